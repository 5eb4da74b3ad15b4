"""One self-contained HTML page: answer first, then plots, tables, assumptions, sources, command.

No script, no font, no request: the page opens anywhere and stays readable on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

MOST_ROWS = 400


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading and HTML made by the functions below (never by a user)."""

    title: str
    html: str


@dataclass(frozen=True)
class Page:
    """What a page says; `sure` is how sure the answer is, `command` what makes it again."""

    title: str
    answer: str
    sections: tuple[Section, ...] = ()
    sure: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    command: str = ""


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


def render(page: Page) -> str:
    """The page as HTML text."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(page.title)}</title><style>{STYLE}</style></head><body>",
        f'<h1>{escape(page.title)}</h1><p class="answer">{escape(_sentence(page.answer))}</p>',
    ]
    lists = (
        ("How sure this is", page.sure),
        ("Assumptions", page.assumptions),
        ("Sources", page.sources),
    )
    sections = [s for s in page.sections if s.html]
    sections += [Section(title, bullets(lines)) for title, lines in lists if lines]
    if page.command:
        sections.append(Section("Make it again", f"<pre>{escape(page.command)}</pre>"))
    parts += [
        f'<section><h2>{escape(s.title)}</h2><div class="scroll">{s.html}</div></section>'
        for s in sections
    ]
    return "\n".join([*parts, "</body></html>\n"])


def _sentence(words: str) -> str:
    """Words with a capital, unless they start with a network's or device's name."""
    first = words.split(" ")[0]
    return words[:1].upper() + words[1:] if first in ("the", "no", "none") else words


def bullets(lines: Sequence[str]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def html_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table that scrolls sideways where the screen is narrow; numbers stand to the right."""
    if not rows:
        return ""
    shown = [["" if c is None else str(c) for c in row] for row in rows[:MOST_ROWS]]
    kinds = [_kind([row[i] for row in shown]) for i in range(len(headers))]
    head = "".join(f"<th{_class(k)}>{escape(h)}</th>" for h, k in zip(headers, kinds, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{_class(k)}>{escape(c)}</td>" for c, k in zip(row, kinds, strict=True))
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
