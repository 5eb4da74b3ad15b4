"""What a worker process does: a question in, HTML out. Texts of both are JSON."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping
from typing import Any

from perfmodel.errors import PerfmodelError, ProfileWarning
from perfmodel.render.result import Result, as_fragment, as_page
from perfmodel.render.text import markup
from perfmodel.ui.views import Answered, answer, question

WARM_UP = {"view": ["time"], "model": ["mobilenet_v2"], "on": ["pixel-7/cpu"]}
"""Any question: what it imports and reads once is ready then."""


def warm_up() -> None:
    """Import and read once what every answer needs, so that the first one is as quick as others."""
    done({"fields": WARM_UP, "folder": os.getcwd()})


def done(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a request, or its error in words; nothing that a file holds raises here.

    `fields` are a form's, `folder` is where the dropped files of this question lie, `part` asks for
    the page of one of the results instead of the fragment of all.
    """
    home = os.getcwd()
    try:
        # a relative name stands in messages and on pages as the person knows it
        os.chdir(request["folder"])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ProfileWarning)
            answers = answer(question(request["fields"]))
            part = request.get("part")
            made = _page(answers, part) if part is not None else _fragment(answers)
        notes = [str(w.message) for w in caught if issubclass(w.category, ProfileWarning)]
        return made | {"notices": notes}
    except PerfmodelError as error:
        return {"error": error.message, "hint": error.hint}
    except MemoryError:
        return {"error": "there is not enough memory for this", "hint": ""}
    except OSError as error:
        return {"error": f"{error.filename or ''}: {error.strerror or error}", "hint": ""}
    finally:
        os.chdir(home)


def _page(answers: list[Answered], part: int) -> dict[str, Any]:
    if not 0 <= part < len(answers):
        raise PerfmodelError(f"this answer has {len(answers)} reports, none of number {part}")
    chosen = answers[part]
    return {"page": as_page(chosen.result, chosen.command), "title": chosen.result.title}


def _fragment(answers: list[Answered]) -> dict[str, Any]:
    parts = [_article(number, answered) for number, answered in enumerate(answers)]
    return {"html": "\n".join(parts), "commands": [a.command for a in answers]}


def _article(number: int, answered: Answered) -> str:
    """One result with its command line and what saves its page."""
    result = answered.result
    return (
        f'<article aria-label="{markup(result.title)}">'
        f"{_curve(result)}{as_fragment(result, style=False)}"
        "<section><h2>The same on the command line</h2>"
        f'<pre class="command" id="command-{number}">{markup(answered.command)}</pre>'
        f'<p><button type="button" data-copy="command-{number}">Copy the command</button> '
        f'<a class="button" data-part="{number}" download>Save this report</a></p></section>'
        "</article>"
    )


def _curve(result: Result) -> str:
    """The share of phones by limit, for the slider to say while it moves."""
    data = result.data
    if not isinstance(data, Mapping) or not data.get("market"):
        return ""
    steps = [step for step in data["curve"] if step[0] is not None and math.isfinite(step[0])]
    return f'<div hidden id="curve" data-curve="{markup(json.dumps(steps))}"></div>'
