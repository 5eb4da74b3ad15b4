"""Text for people: aligned tables and bars."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from perfmodel.errors import printable

BAR = "█"


def markup(text: str) -> str:
    """Text as HTML or SVG shows it: no markup of its own, no control characters."""
    return escape(printable(text))


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An aligned table; numbers to the right, words to the left."""
    cells = [[printable(str(c)) for c in row] for row in rows]
    headers = [printable(header) for header in headers]
    widths = [max(len(h), *(len(r[i]) for r in cells), 0) for i, h in enumerate(headers)]
    right = [bool(cells) and all(_numeric(r[i]) for r in cells) for i in range(len(headers))]

    def line(values: Sequence[str]) -> str:
        padded = (
            v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(headers), line(["-" * w for w in widths]), *map(line, cells)])


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
