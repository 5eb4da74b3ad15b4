"""Plots with axes: points, lines, stacked bars. See `svg` for what they are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perfmodel.render.svg import (
    BAR_ROW,
    CHARACTER,
    DASHED,
    FAINT,
    LINE,
    MARK,
    MUTED,
    NARROW,
    PARTS,
    SECOND,
    Place,
    across,
    clipped,
    figure,
    path,
    text,
)
from perfmodel.render.text import markup
from perfmodel.units import format_number

LEFT, RIGHT = 13.0, 98.0
"""Where axes across begin and end, in percent of the width: room for numbers of five digits."""
TOP, BOTTOM = 26.0, 330.0
LEGEND_ROW = 18
MOST_DOTS = 100
"""A line of more points shows so many as dots, evenly chosen."""
MOST_LEGEND_LETTERS = 46


@dataclass(frozen=True)
class Point:
    """A point of a scatter plot; marked ones stand out and carry their label."""

    x: float
    y: float
    label: str
    marked: bool = False


def scatter(
    points: Sequence[Point],
    x_label: str,
    y_label: str,
    title: str,
    *,
    log: bool = False,
    diagonal: bool = False,
    joined: bool = False,
) -> str:
    """Points with axes; `log` scales both, `diagonal` draws y = x, `joined` joins marked points."""
    usable = [p for p in points if not log or (p.x > 0 and p.y > 0)]
    if not usable:
        return ""
    xs, ys = [p.x for p in usable], [p.y for p in usable]
    if diagonal:
        xs = ys = [*xs, *ys]
    x, x_ticks = axis(min(xs), max(xs), LEFT, RIGHT, log)
    y, y_ticks = axis(min(ys), max(ys), BOTTOM, TOP, log)
    height = BOTTOM + 46
    body = _axes((x, x_ticks, x_label), (y, y_ticks, y_label), TOP, BOTTOM)
    if diagonal:
        ends = [(x(v), y(v)) for v in (min(xs), max(xs))]
        body.append(path(ends, height, FAINT, DASHED))
    marked = sorted((p for p in usable if p.marked), key=lambda p: p.x)
    if joined and len(marked) > 1:
        body.append(path([(x(p.x), y(p.y)) for p in marked], height, SECOND))
    for p in sorted(usable, key=lambda p: p.marked):
        tip = f"{p.label}: {format_number(p.x)}, {format_number(p.y)}"
        body.append(_dot(x(p.x), y(p.y), tip, SECOND if p.marked else MARK, 5 if p.marked else 3.5))
    return figure(body, height, title)


def _dot(x: float, y: float, tip: str, color: str, radius: float = 3.5) -> str:
    return (
        f'<circle cx="{across(x)}" cy="{y:.1f}" r="{radius}" fill="{color}" fill-opacity="0.75">'
        f"<title>{markup(tip)}</title></circle>"
    )


def _axes(
    down: tuple[Place, Sequence[float], str],
    up: tuple[Place, Sequence[float], str],
    top: float,
    bottom: float,
) -> list[str]:
    """Grid, numbers and names of the axis across and of the one up."""
    (x, x_ticks, x_label), (y, y_ticks, y_label) = down, up
    body = []
    for tick in x_ticks:
        at = across(x(tick))
        body.append(f'<line x1="{at}" y1="{top}" x2="{at}" y2="{bottom}" stroke="{LINE}"/>')
        body.append(text(at, bottom + 16, format_number(tick), "middle"))
    for tick in y_ticks:
        body.append(
            f'<line x1="{across(LEFT)}" y1="{y(tick):.1f}" x2="{across(RIGHT)}" '
            f'y2="{y(tick):.1f}" stroke="{LINE}"/>'
        )
        body.append(text(across(LEFT - 1.5), y(tick) + 4, format_number(tick), "end"))
    middle = across((LEFT + RIGHT) / 2)
    body.append(text(middle, bottom + 36, clipped(x_label, 44), "middle", MUTED))
    body.append(text(0, top - 12, clipped(y_label, 44), color=MUTED))
    return body


def legend(words: Sequence[str], top: float = 4.0) -> tuple[list[str], float]:
    """A square of each colour of `PARTS` with what it stands for, and where it ends (pixels down).

    In one line where a narrow screen has room for it, else one below the other.
    """
    body, x, y = [], 0.0, top
    together = sum(34 + CHARACTER * len(word) for word in words) <= NARROW
    for word, color in zip(words, PARTS, strict=False):
        body.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="12" height="12" fill="{color}"/>')
        body.append(text(x + 17, y + 11, clipped(word, MOST_LEGEND_LETTERS)))
        if together:
            x += 34 + CHARACTER * len(word)
        else:
            y += LEGEND_ROW
    return body, y + (LEGEND_ROW if together else 0)


def stacked_bars(
    panels: Mapping[str, Sequence[tuple[str, Sequence[float]]]],
    parts: Sequence[str],
    unit: str,
    title: str,
) -> str:
    """Horizontal bars made of parts: by panel, (label, a value a part), each panel on its scale."""
    body, y = legend(parts)
    for name, rows in panels.items():
        longest = max((sum(values) for _, values in rows), default=0.0) or 1.0
        body.append(text(0, y + 20, name, color=MUTED))
        y += 28
        for label, values in rows:
            body.append(_stacked(label, values, parts, unit, y, longest))
            y += BAR_ROW
    return figure(body, y + 8, title)


def _stacked(
    label: str,
    values: Sequence[float],
    parts: Sequence[str],
    unit: str,
    y: float,
    longest: float,
) -> str:
    """One bar of parts, its label and the sum above it."""
    at, drawn = 0.0, [text(0, y + 13, clipped(label, MOST_LEGEND_LETTERS - 8))]
    drawn.append(text("100%", y + 13, f"{format_number(sum(values))} {unit}", "end"))
    for value, part, color in zip(values, parts, PARTS, strict=False):
        wide = 100 * value / longest
        drawn.append(
            f'<rect x="{across(at)}" y="{y + 18:.1f}" width="{across(wide)}" height="12" '
            f'fill="{color}"><title>{markup(f"{label}, {part}: {format_number(value)} {unit}")}'
            "</title></rect>"
        )
        at += wide
    return "".join(drawn)


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_label: str,
    y_label: str,
    title: str,
    band: tuple[float, float] | None = None,
    log: tuple[bool, bool] = (True, True),
    limit: float | None = None,
) -> str:
    """A line a series; `log` says whether the axes across and up are logarithmic.

    `band` is a range of y that is shaded, `limit` a place on x that is marked.
    """
    kept = {
        name: [
            p for p in line if all(v > 0 or not scaled for v, scaled in zip(p, log, strict=True))
        ]
        for name, line in series.items()
    }
    points = [point for line in kept.values() for point in line]
    if not points:
        return ""
    body, top = legend(list(kept))
    top, bottom = top + 24, top + 320
    height = bottom + 46
    xs = [*(x for x, _ in points), *(() if limit is None else (limit,))]
    ys = [*(y for _, y in points), *(band or ())]
    x, x_ticks = axis(min(xs), max(xs), LEFT, RIGHT, log[0])
    y, y_ticks = axis(min(ys), max(ys), bottom, top, log[1])
    if band is not None:
        body.append(
            f'<rect x="{across(LEFT)}" y="{y(band[1]):.1f}" width="{across(RIGHT - LEFT)}" '
            f'height="{y(band[0]) - y(band[1]):.1f}" fill="{MARK}" fill-opacity="0.12"/>'
        )
    body += _axes((x, x_ticks, x_label), (y, y_ticks, y_label), top, bottom)
    if limit is not None:
        body.append(path([(x(limit), top), (x(limit), bottom)], height, SECOND, DASHED, 2))
    for (name, line), color in zip(kept.items(), PARTS, strict=False):
        body.append(path([(x(a), y(b)) for a, b in line], height, color, width=2))
        every = max(1, -(-len(line) // MOST_DOTS))
        body += [
            _dot(x(a), y(b), f"{name}: {format_number(a)}, {format_number(b)}", color)
            for a, b in line[::every]
        ]
    return figure(body, height, title)


def axis(low: float, high: float, start: float, end: float, log: bool) -> tuple[Place, list[float]]:
    """A scale from values to places, and some round ticks inside it."""
    if log:
        a, b = math.log10(low) - 0.05, math.log10(high) + 0.05
        ticks = [
            m * 10.0**k
            for k in range(math.floor(a), math.ceil(b) + 1)
            for m in ((1,) if b - a > 2.3 else (1, 2, 5))
            if a <= math.log10(m * 10.0**k) <= b
        ]
        return lambda v: start + (end - start) * (math.log10(v) - a) / (b - a), ticks
    room = (high - low) or abs(high) or 1.0
    a, b = low - 0.05 * room, high + 0.05 * room
    step = _round_step((b - a) / 6)
    first = math.ceil(a / step)
    ticks = [k * step for k in range(first, math.floor(b / step) + 1)]
    return lambda v: start + (end - start) * (v - a) / (b - a), ticks


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
