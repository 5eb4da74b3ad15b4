"""Text for people: aligned tables and bars."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from perfmodel.errors import printable

BAR = "█"


def markup(text: str) -> str:
    """Text as HTML or SVG shows it: no markup of its own, no control characters."""
    return escape(printable(text))


GAP = 2
"""Spaces between two columns."""

LEAST, ENOUGH = 16, 28
"""Characters that a column of words keeps where a table is made narrower, and those below which
optional columns go first."""

CUT = "…"
"""Ends a text that was shortened."""


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    width: int | None = None,
    optional: Sequence[str] = (),
) -> str:
    """An aligned table; numbers to the right, words to the left.

    One that is wider than `width` characters loses its `optional` columns, in their order, while
    that is needed; then the longest words are shortened, those of the first column last, and
    numbers never. Its last line says then what is missing. What does not fit so stays too wide.
    """
    cells = [[printable(str(c)) for c in row] for row in rows]
    headers = [printable(header) for header in headers]
    right = [bool(cells) and all(_numeric(r[i]) for r in cells) for i in range(len(headers))]
    full = [max(len(h), *(len(r[i]) for r in cells), 0) for i, h in enumerate(headers)]
    kept = _kept(headers, full, right, width, optional)
    widths = _narrowed({i: full[i] for i in kept}, right, width)

    def line(values: Sequence[str]) -> str:
        short = {i: _cut(values[i], widths[i]) for i in kept}
        padded = (v.rjust(widths[i]) if right[i] else v.ljust(widths[i]) for i, v in short.items())
        return (" " * GAP).join(padded).rstrip()

    lines = [line(headers), line(["-" * w for w in full]).replace(CUT, "-"), *map(line, cells)]
    gone = [h for i, h in enumerate(headers) if i not in kept and h]
    cut = any(len(r[i]) > widths[i] for r in cells for i in kept)
    said = [*([f"without {', '.join(gone)}"] if gone else []), *(["with texts cut"] if cut else [])]
    if said:
        lines.append(f"({' and '.join(said)} to fit {width} characters; --json has all)")
    return "\n".join(lines)


def _kept(
    headers: Sequence[str],
    full: Sequence[int],
    right: Sequence[bool],
    width: int | None,
    optional: Sequence[str],
) -> list[int]:
    """The columns that stay: all, but for optional ones without which the others just fit."""
    kept = list(range(len(headers)))
    for header in optional:
        wanted = sum(full[i] if right[i] or not i else min(full[i], ENOUGH) for i in kept)
        if width is None or wanted + GAP * (len(kept) - 1) <= width:
            break
        kept = [i for i in kept if headers[i] != header]
    return kept


def _narrowed(full: dict[int, int], right: Sequence[bool], width: int | None) -> dict[int, int]:
    """Widths of the columns that stay, the widest of words shortened first."""
    widths = dict(full)
    excess = sum(widths.values()) + GAP * (len(widths) - 1) - (width or 0)
    words = [i for i in widths if not right[i]]
    for columns in ([i for i in words if i], words):
        while width is not None and excess > 0 and columns:
            widest = max(columns, key=lambda i: widths[i])
            if widths[widest] <= LEAST:
                break
            widths[widest] -= 1
            excess -= 1
    return widths


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - len(CUT)] + CUT


def _numeric(cell: str) -> bool:
    """Whether a cell is a number, with its unit or a star at most, or stands for a missing one."""
    number, *unit = cell.split()[:3] or [""]
    if len(unit) > 1:
        return False
    digits = number.replace(",", "").lstrip("+-<≥≤").replace(".", "", 1).rstrip("%*")
    return not number or number in "-–?" or digits.replace("e-", "").isdigit()


def bar(share: float, width: int = 24) -> str:
    """A bar of `share` (0 to 1) of `width` characters; anything above zero shows."""
    filled = round(max(0.0, min(1.0, share)) * width)
    return BAR * max(filled, 1 if share > 0 else 0)


def percent(share: float | None, digits: int = 0) -> str:
    """A share as percent; a missing one is a dash."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def chance(probability: float) -> str:
    """A probability as percent, never rounded to certainty."""
    if probability > 0.99:
        return "over 99 %"
    return "under 1 %" if probability < 0.01 else percent(probability)
