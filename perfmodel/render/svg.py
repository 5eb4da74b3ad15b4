"""What all figures are made of, bars and heat maps, as SVG text: no library, no script.

A figure is as wide as the screen leaves it (`WIDTH` at most) with letters of one size: its places
across are percent of the width, those down are pixels. So nothing sticks out on a phone and nothing
becomes too small to read. Only a heat map has a width of its own, as a table has. Every mark tells
its value in a tooltip (`title`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfmodel.render.colors import LIGHT, MARKS, cell_ink, shade
from perfmodel.render.text import markup
from perfmodel.units import format_number

WIDTH = 720
NARROW = 350
"""Pixels that a figure has on a phone 390 pixels wide: what stands in one line must fit."""
ROW = 24
BAR_ROW = 36
FONT = 13
CHARACTER = 7.0  # average width of a letter at FONT, in pixels
LETTERS = f'font-family="system-ui,sans-serif" font-size="{FONT}"'
SVG_MARK = LETTERS.encode()
"""Stands at the beginning of every figure that perfmodel wrote."""
INK, MUTED, FAINT, LINE = (LIGHT[name] for name in ("ink", "muted", "faint", "line"))
MARK, SECOND = LIGHT["mark"], LIGHT["second"]
PARTS = tuple(LIGHT[name] for name in MARKS)
"""Colours of the parts of a stacked bar and of the lines of a plot, in their order."""

MOST_ROWS = 60
MOST_LETTERS = 38
"""Letters of a bar's label, so that its value fits beside it where the screen is narrow."""
LEAST_DECADES, MOST_DECADES = 1.0, 6.0
"""Decades that bars on a logarithmic scale span; bars below them are as short as can be."""

Place = Callable[[float], float]


@dataclass(frozen=True)
class Bar:
    """A bar: its label, length and, where known, an interval."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


def figure(body: Sequence[str], height: float, title: str, width: float | None = None) -> str:
    """An SVG element as wide as there is room, or with a `width` of its own (pixels)."""
    room = (
        f'width="{WIDTH}" style="width:100%;max-width:{WIDTH}px"'
        if width is None
        else f'width="{width:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {room} height="{height:.0f}" role="img" '
        f'aria-label="{markup(title)}" {LETTERS} fill="{INK}">{"".join(body)}</svg>'
    )


def text(x: float | str, y: float, words: str, anchor: str = "start", color: str = INK) -> str:
    """Words at a place (pixels, or percent as `across` writes them); `anchor` is start, middle or
    end."""
    where = x if isinstance(x, str) else f"{x:.1f}"
    place = f'x="{where}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"'
    return f"<text {place}>{markup(words)}</text>"


def across(percent: float) -> str:
    """A place across a figure, in percent of its width."""
    return f"{percent:.2f}%"


def path(
    steps: Sequence[tuple[float, float]],
    height: float,
    stroke: str,
    extra: str = "",
    width: int = 1,
) -> str:
    """A line through places (percent across, pixels down) of a figure so high."""
    way = "L".join(f"{x:.2f} {y:.1f}" for x, y in steps)
    return (
        f'<svg width="100%" height="{height:.0f}" viewBox="0 0 100 {height:.0f}" '
        f'preserveAspectRatio="none" fill="none"><path d="M{way}" stroke="{stroke}" '
        f'stroke-width="{width}" vector-effect="non-scaling-stroke"{extra and " " + extra}/></svg>'
    )


DASHED = 'stroke-dasharray="5 3"'


def clipped(words: str, most: int) -> str:
    """Words of at most so many characters, the end cut."""
    return words if len(words) <= most else words[: most - 1] + "…"


def bars(
    rows: Sequence[Bar], unit: str, title: str, limit: float | None = None, log: bool = False
) -> str:
    """Horizontal bars under their labels and values, with whiskers for intervals.

    A dashed line is at `limit`; lengths are logarithms with `log`.
    """
    shown = rows[:MOST_ROWS]
    if not shown:
        return ""
    length = _lengths(shown, limit, log)
    height = 8 + len(shown) * BAR_ROW
    body = []
    if limit is not None:
        at = length(limit)
        body.append(path([(at, 2), (at, height - 4)], height, SECOND, DASHED, 2))
    for i, row in enumerate(shown):
        body.append(_bar(row, unit, 4.0 + i * BAR_ROW, length))
    if len(rows) > len(shown):
        body.append(text(0, height + 12, f"... and {len(rows) - len(shown)} more", color=MUTED))
        height += 20
    return figure(body, height, title)


def _lengths(shown: Sequence[Bar], limit: float | None, log: bool) -> Place:
    """Lengths of values in percent of the width."""
    highest = max([*(r.high or r.value for r in shown), limit or 0.0]) or 1.0
    # a whisker far beyond all bars would leave nothing to see of them
    longest = max(max(r.value for r in shown), limit or 0.0) or 1.0
    span = min(highest, 2.5 * longest)
    if not log:
        return lambda value: 100 * min(max(value, 0.0), span) / span
    least = min((v for r in shown for v in (r.low or r.value, r.value) if v > 0), default=span)
    decades = min(max(math.log10(span / least) + 0.2, LEAST_DECADES), MOST_DECADES)

    def length(value: float) -> float:
        share = 1 + math.log10(value / span) / decades if value > 0 else 0.0
        return 100 * min(max(share, 0.0), 1.0)

    return length


def _bar(row: Bar, unit: str, y: float, length: Place) -> str:
    """One bar: a line with label and value, the bar and its interval below."""
    tip = f"{row.label}: {format_number(row.value)} {unit}"
    value = f"{format_number(row.value)} {unit}"
    drawn = []
    if row.low is not None and row.high is not None:
        tip += f" ({format_number(row.low)} to {format_number(row.high)})"
        drawn = _whisker(length(row.low), length(row.high), y + 24)
    wide = length(row.value)
    return "".join(
        (
            f"<g><title>{markup(tip + (': ' + row.note if row.note else ''))}</title>",
            text(0, y + 13, clipped(row.label, MOST_LETTERS)),
            text("100%", y + 13, value, "end"),
            f'<rect x="0" y="{y + 18:.1f}" width="{across(wide) if wide > 0.2 else "1"}" '
            f'height="12" fill="{MARK}"/>',
            *drawn,
            "</g>",
        )
    )


def _whisker(low: float, high: float, y: float) -> list[str]:
    ends = ((low, y - 4, low, y + 4), (low, y, high, y), (high, y - 4, high, y + 4))
    return [
        f'<line x1="{across(a)}" y1="{b:.1f}" x2="{across(c)}" y2="{d:.1f}" stroke="{INK}"/>'
        for a, b, c, d in ends
    ]


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    unit: str,
    title: str,
) -> str:
    """A table of coloured cells on a logarithmic scale, dark = most; None is left white."""
    known = [v for line in values for v in line if v is not None and v > 0]
    if not known:
        return ""
    low, high = math.log(min(known)), math.log(max(known))
    cell = 58.0
    # names of targets hold more wide letters than words do
    left = 12 + 1.15 * CHARACTER * min(44, max(len(r) for r in rows))
    top = 14 + CHARACTER * 0.75 * min(30, max(len(c) for c in columns))
    body = []
    for j, name in enumerate(columns):
        x = left + (j + 0.5) * cell
        body.append(
            f'<text transform="translate({x:.1f},{top - 6:.1f}) rotate(-45)">'
            f"{markup(clipped(name, 30))}</text>"
        )
    for i, name in enumerate(rows):
        y = top + i * ROW
        body.append(text(left - 6, y + 16, clipped(name, 44), "end"))
        for j, value in enumerate(values[i]):
            x = left + j * cell
            if value is None:
                body.append(text(x + cell / 2, y + 16, "–", "middle", MUTED))
                continue
            share = (math.log(value) - low) / (high - low) if high > low and value > 0 else 0.0
            tip = f"{name}, {columns[j]}: {format_number(value)} {unit}"
            body.append(_cell(x, y, cell, value, share, tip))
    # the last column's slanted name needs room beyond its cell
    width = left + cell * len(columns) + top
    return figure(body, top + ROW * len(rows) + 8, title, width)


def _cell(x: float, y: float, width: float, value: float, share: float, tip: str) -> str:
    """A value in its colour, which is its share (0 to 1) of the scale."""
    ground = shade(share)
    shown = format_number(value) if value < 10_000 else f"{value:.2g}"
    return (
        f"<g><title>{markup(tip)}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{ROW - 1}" '
        f'fill="{ground}"/>{text(x + width / 2, y + 16, shown, "middle", cell_ink(ground))}</g>'
    )
