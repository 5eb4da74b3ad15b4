"""One self-contained HTML page: answer first, then plots, tables, assumptions, sources, command.

No script, no font, no request: the page opens anywhere and stays readable on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perfmodel.errors import PerfmodelError
from perfmodel.files import write_atomically
from perfmodel.render.text import markup

MOST_ROWS = 400

PAGE_MARK = b'<meta name="generator" content="perfmodel">'
"""What tells a page that perfmodel wrote from everybody else's."""


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading and HTML made by the functions below (never by a user)."""

    title: str
    html: str


STYLE = """
:root{color-scheme:light}
body{font:16px/1.5 system-ui,sans-serif;color:#1f2933;background:#fff;margin:0 auto;
max-width:60rem;padding:1rem}
h1{font-size:1.1rem;color:#52606d;font-weight:600;margin:.5rem 0}
h2{font-size:1.05rem;margin:2rem 0 .5rem}
.answer{font-size:1.35rem;line-height:1.35;margin:.25rem 0 1rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.85rem;min-width:100%}
th,td{padding:.25rem .6rem;border-bottom:1px solid #e4e7eb;text-align:left;white-space:nowrap;
vertical-align:top}
td.words{white-space:normal;min-width:14rem}
th{color:#52606d;font-weight:600}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
code,pre{font:.85rem ui-monospace,monospace;background:#f5f7fa;border-radius:4px}
pre{padding:.75rem;overflow-x:auto}
li{margin:.2rem 0;overflow-wrap:anywhere}
"""


def document(
    title: str,
    answer: str,
    facts: Sequence[str] = (),
    sections: Sequence[Section] = (),
    command: str = "",
) -> str:
    """The page: the answer, what belongs to it, sections, the command that makes it again."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f'<link rel="icon" href="data:,">{PAGE_MARK.decode()}',
        f"<title>{markup(title)}</title><style>{STYLE}</style></head><body>",
        f'<h1>{markup(title)}</h1><p class="answer">{markup(_sentence(answer))}</p>',
    ]
    if facts:
        parts.append(bullets(facts))
    shown = [s for s in sections if s.html]
    if command:
        shown.append(Section("Make it again", f"<pre>{markup(command)}</pre>"))
    parts += [
        f'<section><h2>{markup(s.title)}</h2><div class="scroll">{s.html}</div></section>'
        for s in shown
    ]
    return "\n".join([*parts, "</body></html>\n"])


def _sentence(words: str) -> str:
    """Words with a capital, unless they start with a network's or device's name, and a stop."""
    first = words.split(" ")[0]
    words = words[:1].upper() + words[1:] if first in ("the", "no", "none") else words
    return words if words.endswith((".", "!", "?")) else words + "."


def bullets(lines: Sequence[str]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{markup(line)}</li>" for line in lines) + "</ul>"


def html_table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], most: int | None = None
) -> str:
    """A table that scrolls sideways where the screen is narrow; numbers stand to the right.

    At most `most` rows (and never more than `MOST_ROWS`) are shown; nothing where there is none.
    """
    limit = MOST_ROWS if most is None else min(most, MOST_ROWS)
    shown = [["" if c is None else str(c) for c in row] for row in rows[:limit]]
    if not shown:
        return ""
    kinds = [_kind([row[i] for row in shown]) for i in range(len(headers))]
    head = "".join(f"<th{_class(k)}>{markup(h)}</th>" for h, k in zip(headers, kinds, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{_class(k)}>{markup(c)}</td>" for c, k in zip(row, kinds, strict=True))
        + "</tr>"
        for row in shown
    )
    more = f"<p>... and {len(rows) - len(shown)} more rows</p>" if len(rows) > len(shown) else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return table + more


def _kind(cells: Sequence[str]) -> str:
    if any(cells) and all(not c or c in "-–" or c.lstrip("+-")[:1].isdigit() for c in cells):
        return "number"
    return "words" if max(map(len, cells), default=0) > 48 else ""


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def write_figure(svg: str, title: str, path: Path) -> None:
    """Write one figure as .svg or, on a page, as .html, by the file's name."""
    check_figure_name(path)
    page = document("perfmodel", title, sections=(Section("", svg),))
    write_atomically(path, svg + "\n" if path.suffix == ".svg" else page)


def check_figure_name(path: Path) -> None:
    """Raise `PerfmodelError` for a name that says no format a figure is written in."""
    if path.suffix not in (".svg", ".html"):
        raise PerfmodelError(f"{path}: a plot is written as .svg or .html", "change its name")
