"""What a command answers, described once and rendered as text, as JSON and as a page.

A describing function of a topic (`render/prediction.py`, `render/minspec.py`, ...) turns the plain
data of an answer, which is also its JSON, into a `Result`; so a page made from a file says what the
command said.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.errors import printable
from perfmodel.render.page import (
    SCOPE,
    STYLE,
    Section,
    body,
    bullets,
    document,
    html_table,
    on_two_scales,
)
from perfmodel.render.svg import Bar, bars
from perfmodel.render.text import bar, table

Data = Mapping[str, Any]

BAR_WIDTH = 20
SHOWN_SOURCES = 2
STEADY = "steady-state latency of a network that has the unit to itself: no heat, no other load"


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """Rows under headers.

    `bars` are shares (0 to 1), one a row, that text draws as a last column. At most `text_rows` are
    shown as text and `page_rows` on a page (0: not there at all, None: all); `rest` says what the
    others are. `optional` are headers of columns that text leaves out where they do not fit, the
    first of them first.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""
    bars: Sequence[float] = ()
    text_rows: int | None = None
    page_rows: int | None = None
    rest: str = "more rows"
    optional: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ResultFigure:
    """A plot that stands on pages only; `draw` returns SVG, or nothing where there is none.

    `other` draws the same on the scale that `scale` names; a switch shows it instead.
    """

    title: str
    draw: Callable[[], str]
    other: Callable[[], str] | None = None
    scale: str = "logarithmic scale"


def bar_figure(
    title: str, rows: Callable[[], Sequence[Bar]], unit: str, name: str, limit: float | None = None
) -> ResultFigure:
    """Bars of lengths that may be logarithms; `name` is what a screen reader calls them."""
    return ResultFigure(
        title=title,
        draw=lambda: bars(rows(), unit, name, limit),
        other=lambda: bars(rows(), unit, name, limit, log=True),
    )


@dataclass(frozen=True, kw_only=True)
class Result:
    """An answer: one sentence first, then what supports it.

    `facts` belong to the answer itself, `warnings` say what spoils it, `closing` tells of the run
    (what was written, how long it took). `data` is the JSON contract of the command.
    """

    title: str
    answer: str
    data: Any
    facts: Sequence[str] = ()
    warnings: Sequence[str] = ()
    parts: Sequence[ResultTable | ResultFigure] = ()
    assumptions: Sequence[str] = ()
    sources: Sequence[str] = ()
    closing: Sequence[str] = ()


def as_text(result: Result, width: int | None = None) -> str:
    """The result for a terminal: the answer is the first line.

    Tables fit `width` characters where that is given; sentences are left to the terminal.
    """
    head = [printable(result.answer), *(f"  {printable(fact)}" for fact in result.facts)]
    head += [f"warning: {printable(text)}" for text in result.warnings]
    tables = [_table_text(p, width) for p in result.parts if isinstance(p, ResultTable)]
    more = result.sources[SHOWN_SOURCES:]
    tail = [
        *(f"  assumed: {printable(text)}" for text in result.assumptions),
        *(f"  source: {printable(text)}" for text in result.sources[:SHOWN_SOURCES]),
        *([f"  and {len(more)} more sources (--json has all)"] if more else []),
    ]
    closing = [printable(text) for text in result.closing]
    blocks = ["\n".join(head), *tables, "\n".join(tail), "\n".join(closing)]
    return "\n\n".join(block for block in blocks if block)


def _table_text(part: ResultTable, width: int | None) -> str:
    rows = part.rows if part.text_rows is None else part.rows[: part.text_rows]
    if not rows:
        return ""
    headers, optional = [*part.headers], [*part.optional]
    shown = [list(row) for row in rows]
    if part.bars:
        headers.append("")
        optional.append("")
        for row, share in zip(shown, part.bars, strict=False):
            row.append(bar(share, BAR_WIDTH))
    lines = [printable(part.title)] if part.title else []
    lines.append(table(headers, shown, width=width, optional=optional))
    if len(rows) < len(part.rows):
        lines.append(f"... and {len(part.rows) - len(rows)} {part.rest}")
    return "\n".join(lines)


def as_page(result: Result, command: str = "") -> str:
    """The result as one HTML page that opens anywhere; `command` makes it again.

    Data that were read from a file say by themselves which command made them.
    """
    return document(result.title, result.answer, result.facts, *_sections(result, command))


def as_fragment(result: Result, *, style: bool = True) -> str:
    """The result as a part of somebody else's page: no script, its style for itself alone."""
    sheet = f"<style>{STYLE}</style>" if style else ""
    shown = body(result.title, result.answer, result.facts, *_sections(result, ""))
    return f'<div class="{SCOPE[1:]}">{sheet}{shown}</div>'


def _sections(result: Result, command: str) -> tuple[list[Section], str]:
    sections = [_section(part) for part in result.parts]
    lists = (
        ("Warnings", result.warnings),
        ("Assumptions", result.assumptions),
        ("Sources", result.sources),
        ("About this run", result.closing),
    )
    sections += [Section(title, bullets(lines)) for title, lines in lists if lines]
    if isinstance(result.data, Mapping):
        command = command or str(result.data.get("reproduce", ""))
    return sections, command


def _section(part: ResultTable | ResultFigure) -> Section:
    if isinstance(part, ResultFigure):
        other = part.other() if part.other is not None else ""
        return Section(part.title, on_two_scales(part.draw(), other, part.scale))
    return Section(part.title, html_table(part.headers, part.rows, part.page_rows))


def plain(value: Any) -> Any:
    """Frozen results as dicts and lists; numbers rounded to 9 significant digits.

    JSON knows neither NaN nor infinity: they become null.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value
