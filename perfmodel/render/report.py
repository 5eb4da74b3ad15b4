"""`report`: a result file of any command as one HTML page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perfmodel.errors import PerfmodelError
from perfmodel.files import write_atomically
from perfmodel.render import network_pages, study_pages
from perfmodel.render.page import Page, render
from perfmodel.render.result_file import kind_of, read_result

PAGES: dict[str, Callable[[Mapping[str, Any]], Page]] = {
    "predict": network_pages.predict_page,
    "partition": network_pages.partition_page,
    "compare": network_pages.compare_page,
    "suite": network_pages.suite_page,
    "minspec": network_pages.minspec_page,
    "select": network_pages.select_page,
    "simulate": study_pages.simulate_page,
    "whatif": study_pages.whatif_page,
    "validate": study_pages.validate_page,
}


@dataclass(frozen=True)
class Report:
    """A written page: where it is, of which command, what it answers, its size."""

    output: str
    kind: str
    answer: str
    size_bytes: int


def page_of(data: Mapping[str, Any]) -> Page:
    """The page of a result; raises `PerfmodelError` for data that is none."""
    kind = kind_of(data)
    try:
        page = PAGES[kind](data)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise PerfmodelError(
            f"this {kind} result is damaged or of another version: {error!r:.200}",
            f"make it again with perfmodel {kind} ... --json",
        ) from None
    return replace(page, command=str(data.get("reproduce", "")))


def report(result: Path | str, output: Path | str | None = None) -> Report:
    """Write the page of a result file (what a command printed with --json) as HTML.

    `output` is by default the result's name with .html. Raises `PerfmodelError` for a file that is
    no result.
    """
    source = Path(result)
    place = Path(output) if output is not None else source.with_suffix(".html")
    data = read_result(source)
    page = page_of(data)
    text = render(page)
    write_atomically(place, text)
    return Report(str(place), kind_of(data), page.answer, len(text.encode()))
