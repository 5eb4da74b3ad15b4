"""One self-contained HTML page: answer first, then plots, tables, assumptions, sources, command.

No font and no request: the page opens anywhere and stays readable on a phone, on dark screens and
in print. It is complete without its small script (see `page_script`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perfmodel.errors import PerfmodelError
from perfmodel.files import write_atomically
from perfmodel.render.colors import color_rules
from perfmodel.render.page_script import SCRIPT, script_hash
from perfmodel.render.text import markup
from perfmodel.units import scale_of

MOST_ROWS = 400

PAGE_MARK = b'<meta name="generator" content="perfmodel">'
"""What tells a page that perfmodel wrote from everybody else's."""


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading and HTML made by the functions below (never by a user)."""

    title: str
    html: str


SCOPE = ".perfmodel"
"""The style sheet holds for elements within this class only, so that a notebook keeps its own."""

STYLE = (
    color_rules(SCOPE)
    + """
.perfmodel{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page)}
body.perfmodel{margin:0 auto;max-width:60rem;padding:1rem}
.perfmodel h1{font-size:1.1rem;color:var(--muted);font-weight:600;margin:.5rem 0}
.perfmodel h2{font-size:1.05rem;margin:2rem 0 .5rem}
.perfmodel .answer{font-size:1.35rem;line-height:1.35;margin:.25rem 0 1rem;overflow-wrap:anywhere}
.perfmodel h1,.perfmodel h2{overflow-wrap:anywhere}
.perfmodel .scroll{overflow-x:auto}
.perfmodel svg{display:block}
.perfmodel table{border-collapse:collapse;font-size:.85rem;min-width:100%}
.perfmodel th,.perfmodel td{padding:.25rem .6rem;border-bottom:1px solid var(--line);
text-align:left;white-space:nowrap;vertical-align:top;color:inherit;background:none}
.perfmodel td.words{white-space:normal;min-width:14rem}
.perfmodel th{color:var(--muted);font-weight:600}
.perfmodel td.number,.perfmodel th.number{text-align:right;font-variant-numeric:tabular-nums}
.perfmodel th button{all:unset;cursor:pointer}
.perfmodel th button:focus-visible{outline:2px solid var(--mark);outline-offset:2px}
.perfmodel th[aria-sort=ascending] button::after{content:" \\25b2"}
.perfmodel th[aria-sort=descending] button::after{content:" \\25bc"}
.perfmodel code,.perfmodel pre{font:.85rem ui-monospace,monospace;background:var(--code);
border-radius:4px;color:inherit}
.perfmodel pre{padding:.75rem;overflow-x:auto}
.perfmodel ul{padding-left:1.2rem}
.perfmodel li{margin:.2rem 0;overflow-wrap:anywhere}
.perfmodel .other,.perfmodel .scales:has(:checked)>.one{display:none}
.perfmodel .scales:has(:checked)>.other{display:block}
.perfmodel .scales label{display:inline-block;font-size:.85rem;color:var(--muted);padding:.3rem 0}
.perfmodel.tip{position:fixed;max-width:20rem;padding:.2rem .5rem;border-radius:4px;
font-size:.85rem;color:var(--page);background:var(--ink);pointer-events:none;z-index:1}
@media print{.perfmodel .scales label{display:none}.perfmodel .scroll{overflow:visible}
.perfmodel tr,.perfmodel svg{break-inside:avoid}}
"""
)

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
"""What a page may do: show itself; nothing comes from or goes elsewhere. Its own script may run, by
its hash."""

MOST_OTHER = 60_000
"""Letters of a figure that may stand on a page a second time, on another scale."""


def document(
    title: str,
    answer: str,
    facts: Sequence[str] = (),
    sections: Sequence[Section] = (),
    command: str = "",
) -> str:
    """The page: the answer, what belongs to it, sections, the command that makes it again."""
    allowed = f"{POLICY}; script-src '{script_hash()}'"
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{allowed}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<link rel="icon" href="data:,">{PAGE_MARK.decode()}\n'
        f"<title>{markup(title)}</title><style>{STYLE}</style></head>"
        '<body class="perfmodel">\n'
    )
    shown = body(title, answer, facts, sections, command)
    return f"{head}{shown}\n<script>{SCRIPT}</script></body></html>\n"


def body(
    title: str,
    answer: str,
    facts: Sequence[str] = (),
    sections: Sequence[Section] = (),
    command: str = "",
) -> str:
    """What a page shows, to be put into any page: it looks right within `SCOPE` only."""
    parts = [f'<h1>{markup(title)}</h1><p class="answer">{markup(_sentence(answer))}</p>']
    if facts:
        parts.append(bullets(facts))
    shown = [s for s in sections if s.html]
    if command:
        shown.append(Section("Make it again", f"<pre>{markup(command)}</pre>"))
    parts += [
        f'<section><h2>{markup(s.title)}</h2><div class="scroll">{s.html}</div></section>'
        for s in shown
    ]
    return "\n".join(parts)


def on_two_scales(figure: str, other: str, scale: str) -> str:
    """A figure and the same on another scale, with a switch; `scale` names the other one.

    The figure alone where there is no other, or where a page would grow too large by it.
    """
    if not figure or not other or len(other) > MOST_OTHER:
        return figure
    return (
        f'<div class="scales"><label><input type="checkbox"> {markup(scale)}</label>'
        f'<div class="one">{figure}</div><div class="other">{other}</div></div>'
    )


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
        + "".join(
            f"<td{_class(k)}{_order(k, c)}>{markup(c)}</td>"
            for c, k in zip(row, kinds, strict=True)
        )
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


def _order(kind: str, cell: str) -> str:
    """What a cell is sorted by, where its first digits alone would mislead: `2 MB` over `3 KB`."""
    number, _, unit = cell.partition(" ")
    factor = scale_of(unit.split(" ")[0]) if kind == "number" else 1.0
    if factor == 1.0:
        return ""
    try:
        return f' data-v="{float(number.replace(",", "")) * factor:.6g}"'
    except ValueError:
        return ""


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
