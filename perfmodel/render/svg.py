"""Plots as SVG text: bars with intervals, heat maps, points, lines. No library, no script.

Figures scale to the width they are given; every mark tells its value in a tooltip (`title`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from perfmodel.render.text import markup
from perfmodel.units import format_number

WIDTH = 720
ROW = 24
FONT = 13
CHARACTER = 7.0  # average width of a letter at FONT, in pixels
LETTERS = f'font-family="system-ui,sans-serif" font-size="{FONT}"'
SVG_MARK = LETTERS.encode()
"""Stands at the beginning of every figure that perfmodel wrote."""
INK, FAINT, MARK, SECOND = "#1f2933", "#9aa5b1", "#1f6feb", "#d9480f"
SCALE = ("#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b")
"""Light to dark blue (ColorBrewer's Blues): readable without colour vision and in print."""

PARTS = ("#1f6feb", "#9aa5b1", "#2f9e44", "#d9480f", "#845ef7", "#b8860b", "#0b7285", "#495057")
"""Colours of the parts of a stacked bar and of the lines of a plot, in their order."""

MOST_ROWS = 60


@dataclass(frozen=True)
class Bar:
    """A bar: its label, length and, where known, an interval."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


def figure(body: Sequence[str], width: float, height: float, title: str) -> str:
    """An SVG element that scales down to a narrow screen."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" style="max-width:100%;min-width:30rem;height:auto" role="img" '
        f'aria-label="{markup(title)}" {LETTERS} '
        f'fill="{INK}">{"".join(body)}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = "start", color: str = INK) -> str:
    """Words at a place; `anchor` is start, middle or end."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"'
    return f"<text {place}>{markup(words)}</text>"


def clipped(words: str, most: int) -> str:
    """Words of at most so many characters, the end cut."""
    return words if len(words) <= most else words[: most - 1] + "…"


def bars(rows: Sequence[Bar], unit: str, title: str, limit: float | None = None) -> str:
    """Horizontal bars, one a row, with whiskers for intervals and a line at `limit`."""
    shown = rows[:MOST_ROWS]
    if not shown:
        return ""
    most = 34
    left = 12 + CHARACTER * min(most, max(len(r.label) for r in shown))
    right = WIDTH - 70
    highest = max([*(r.high or r.value for r in shown), limit or 0.0]) or 1.0
    # a whisker far beyond all bars would leave nothing to see of them
    longest = max(max(r.value for r in shown), limit or 0.0) or 1.0
    span = min(highest, 2.5 * longest)

    def x(value: float) -> float:
        return left + (right - left) * min(value, span) / span

    body = []
    for i, row in enumerate(shown):
        y = 8 + i * ROW
        tip = f"{row.label}: {format_number(row.value)} {unit}"
        if row.low is not None and row.high is not None:
            tip += f" ({format_number(row.low)} to {format_number(row.high)})"
        body.append(f"<g><title>{markup(tip + (': ' + row.note if row.note else ''))}</title>")
        body.append(text(left - 6, y + 15, clipped(row.label, most), "end"))
        body.append(
            f'<rect x="{left:.1f}" y="{y + 4}" width="{max(x(row.value) - left, 1):.1f}" '
            f'height="{ROW - 9}" fill="{MARK}"/>'
        )
        end = x(row.value)
        if row.low is not None and row.high is not None:
            body.append(_whisker(x(row.low), x(row.high), y + ROW / 2 - 0.5))
            end = max(end, x(row.high))
        body.append(text(end + 5, y + 15, f"{format_number(row.value)} {unit}") + "</g>")
    height = 16 + len(shown) * ROW
    if limit is not None:
        body.append(
            f'<line x1="{x(limit):.1f}" x2="{x(limit):.1f}" y1="4" y2="{height - 6}" '
            f'stroke="{SECOND}" stroke-width="2" stroke-dasharray="5 3"/>'
        )
    if len(rows) > len(shown):
        body.append(text(left, height + 8, f"... and {len(rows) - len(shown)} more", color=FAINT))
        height += 16
    return figure(body, WIDTH, height, title)


def _whisker(low: float, high: float, y: float) -> str:
    return (
        f'<path d="M{low:.1f} {y - 4:.1f}v8M{low:.1f} {y:.1f}H{high:.1f}M{high:.1f} {y - 4:.1f}v8" '
        f'stroke="{INK}" fill="none"/>'
    )


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
    left = 12 + CHARACTER * min(44, max(len(r) for r in rows))
    top = 14 + CHARACTER * 0.75 * min(30, max(len(c) for c in columns))
    width = max(left + cell * len(columns) + 70, 320.0)
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
                body.append(text(x + cell / 2, y + 16, "–", "middle", FAINT))
                continue
            share = (math.log(value) - low) / (high - low) if high > low and value > 0 else 0.0
            tip = f"{name}, {columns[j]}: {format_number(value)} {unit}"
            body.append(_cell(x, y, cell, value, share, tip))
    return figure(body, width, top + ROW * len(rows) + 8, title)


def _cell(x: float, y: float, width: float, value: float, share: float, tip: str) -> str:
    """A value in its colour, which is its share (0 to 1) of the scale."""
    ink = "#ffffff" if share > 0.55 else INK
    shown = format_number(value) if value < 10_000 else f"{value:.2g}"
    return (
        f"<g><title>{markup(tip)}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{ROW - 1}" '
        f'fill="{shade(share)}"/>{text(x + width / 2, y + 16, shown, "middle", ink)}</g>'
    )


def shade(share: float) -> str:
    """The colour of a share (0 to 1) on `SCALE`."""
    at = min(max(share, 0.0), 1.0) * (len(SCALE) - 1)
    low = min(int(at), len(SCALE) - 2)
    pair = [[int(SCALE[k][i : i + 2], 16) for i in (1, 3, 5)] for k in (low, low + 1)]
    mixed = [round(a + (b - a) * (at - low)) for a, b in zip(*pair, strict=True)]
    return "#" + "".join(f"{c:02x}" for c in mixed)


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
    left, right, top, bottom = 74.0, WIDTH - 24.0, 18.0, 330.0
    xs, ys = [p.x for p in usable], [p.y for p in usable]
    if diagonal:
        xs = ys = [*xs, *ys]
    x, x_ticks = axis(min(xs), max(xs), left, right, log)
    y, y_ticks = axis(min(ys), max(ys), bottom, top, log)
    body = []
    for tick in x_ticks:
        body.append(_grid(x(tick), x(tick), top, bottom))
        body.append(text(x(tick), bottom + 16, format_number(tick), "middle"))
    for tick in y_ticks:
        body.append(_grid(left, right, y(tick), y(tick)))
        body.append(text(left - 6, y(tick) + 4, format_number(tick), "end"))
    if diagonal:
        ends = (min(xs), max(xs))
        body.append(
            f'<path d="M{x(ends[0]):.1f} {y(ends[0]):.1f}L{x(ends[1]):.1f} {y(ends[1]):.1f}" '
            f'stroke="{FAINT}" stroke-dasharray="4 3"/>'
        )
    if joined:
        body.append(_join([p for p in usable if p.marked], x, y))
    for p in sorted(usable, key=lambda p: p.marked):
        body.append(
            f'<circle cx="{x(p.x):.1f}" cy="{y(p.y):.1f}" r="{5 if p.marked else 3.5}" '
            f'fill="{SECOND if p.marked else MARK}" fill-opacity="0.75"><title>'
            f"{markup(f'{p.label}: {format_number(p.x)}, {format_number(p.y)}')}</title></circle>"
        )
    body.append(text((left + right) / 2, bottom + 36, x_label, "middle"))
    body.append(text(8, 12, y_label))
    return figure(body, WIDTH, bottom + 46, title)


def _grid(x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#e4e7eb"/>'


def _join(points: Sequence[Point], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    ordered = sorted(points, key=lambda p: p.x)
    if len(ordered) < 2:
        return ""
    path = "L".join(f"{x(p.x):.1f} {y(p.y):.1f}" for p in ordered)
    return f'<path d="M{path}" stroke="{SECOND}" fill="none"/>'


def legend(words: Sequence[str], x: float, y: float) -> list[str]:
    """A square of each colour of `PARTS` with what it stands for, in one line from a place on."""
    body = []
    for word, color in zip(words, PARTS, strict=False):
        body.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="12" height="12" fill="{color}"/>')
        body.append(text(x + 17, y + 10, word))
        x += 34 + CHARACTER * len(word)
    return body


def stacked_bars(
    panels: Mapping[str, Sequence[tuple[str, Sequence[float]]]],
    parts: Sequence[str],
    unit: str,
    title: str,
) -> str:
    """Horizontal bars made of parts: by panel, (label, a value a part), each panel on its scale."""
    body, y = legend(parts, 12, 8), 34.0
    left = 12 + CHARACTER * max(len(label) for rows in panels.values() for label, _ in rows)
    for name, rows in panels.items():
        longest = max(sum(values) for _, values in rows) or 1.0
        scale = (WIDTH - 90 - left) / longest
        body.append(text(12, y + 15, name))
        for label, values in rows:
            y += ROW
            body.append(_stacked(label, values, parts, unit, (left, y), scale))
        y += ROW + 8
    return figure(body, WIDTH, y + 8, title)


def _stacked(
    label: str,
    values: Sequence[float],
    parts: Sequence[str],
    unit: str,
    corner: tuple[float, float],
    scale: float,
) -> str:
    """One bar of parts, its label before it and the sum behind it."""
    left, y = corner
    at, drawn = left, [text(left - 6, y + 15, label, "end")]
    for value, part, color in zip(values, parts, PARTS, strict=False):
        drawn.append(
            f'<rect x="{at:.1f}" y="{y + 4:.1f}" width="{value * scale:.1f}" height="{ROW - 9}" '
            f'fill="{color}"><title>{markup(f"{label}, {part}: {format_number(value)} {unit}")}'
            "</title></rect>"
        )
        at += value * scale
    drawn.append(text(at + 5, y + 15, f"{format_number(sum(values))} {unit}"))
    return "".join(drawn)


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_label: str,
    y_label: str,
    title: str,
    band: tuple[float, float] | None = None,
) -> str:
    """A line a series on logarithmic axes; `band` is a range of y that is shaded."""
    points = [point for line in series.values() for point in line]
    left, right, top, bottom = 74.0, WIDTH - 24.0, 46.0, 358.0
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x, x_ticks = axis(min(xs), max(xs), left, right, True)
    y, y_ticks = axis(min([*ys, *(band or ())]), max([*ys, *(band or ())]), bottom, top, True)
    body = legend(list(series), left, 8)
    if band is not None:
        body.append(
            f'<rect x="{left}" y="{y(band[1]):.1f}" width="{right - left}" '
            f'height="{y(band[0]) - y(band[1]):.1f}" fill="{MARK}" fill-opacity="0.12"/>'
        )
    for tick in x_ticks:
        body.append(_grid(x(tick), x(tick), top, bottom))
        body.append(text(x(tick), bottom + 16, format_number(tick), "middle"))
    for tick in y_ticks:
        body.append(_grid(left, right, y(tick), y(tick)))
        body.append(text(left - 6, y(tick) + 4, format_number(tick), "end"))
    for (name, line), color in zip(series.items(), PARTS, strict=False):
        places = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line)
        body.append(f'<path d="M{places}" stroke="{color}" fill="none" stroke-width="2"/>')
        body += [
            f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3.5" fill="{color}"><title>'
            f"{markup(f'{name}: {format_number(a)}, {format_number(b)}')}</title></circle>"
            for a, b in line
        ]
    body.append(text((left + right) / 2, bottom + 36, x_label, "middle"))
    body.append(text(8, top - 8, y_label))
    return figure(body, WIDTH, bottom + 46, title)


def axis(
    low: float, high: float, start: float, end: float, log: bool
) -> tuple[Callable[[float], float], list[float]]:
    """A scale from values to pixels, and some round ticks inside it."""
    if log:
        a, b = math.log10(low) - 0.05, math.log10(high) + 0.05
        ticks = [
            m * 10.0**k
            for k in range(math.floor(a), math.ceil(b) + 1)
            for m in ((1,) if b - a > 3 else (1, 2, 5))
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
