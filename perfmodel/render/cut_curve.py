"""Latency over the cut point, split into what each side runs and what moving takes.

The figure of Neurosurgeon (Kang et al., ASPLOS 2017): one stacked bar a cut point, from everything
on the second side (left) to everything on the first (right); the best is marked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perfmodel.errors import PartitionError
from perfmodel.render.plots import LEFT, LEGEND_ROW, RIGHT, axis, legend
from perfmodel.render.svg import INK, LINE, MUTED, PARTS, SECOND, across, figure, text
from perfmodel.render.text import markup
from perfmodel.units import format_ms

_TALL = 278.0
_MOST_LABELS = 16

_INSET = 0.1
"""Share of a bar's pitch that stays free on each side."""

Curve = Mapping[str, Any]
"""A `CutCurve` as plain data; a cut that no unit can run has null instead of a time."""


def totals(curve: Curve) -> list[float | None]:
    """The whole time at every cut point in ms, None where a part is not known."""
    parts = zip(curve["first_ms"], curve["moving_ms"], curve["second_ms"], strict=True)
    return [None if any(map(_missing, p)) else float(sum(p)) for p in parts]


def _missing(part_ms: float | None) -> bool:
    return part_ms is None or not math.isfinite(part_ms)


def curve_svg(curve: Curve, title: str, measured_ms: Mapping[int, float] | None = None) -> str:
    """The stacked bars; `measured_ms` adds a dot at each cut point that was measured."""
    total, measured = totals(curve), measured_ms or {}
    usable = [t for t in total if t is not None]
    if not usable:
        raise PartitionError("no cut point has a finite latency", "add a unit that runs every op")
    body, top = _legend(curve, bool(measured))
    top += LEGEND_ROW + 8
    bottom = top + _TALL
    y, ticks = axis(0.0, max([*usable, *measured.values()]), bottom, top, False)
    pitch = (RIGHT - LEFT) / len(total)
    best = total.index(min(usable))
    for tick in (t for t in ticks if t >= 0):
        body.append(
            f'<line x1="{across(LEFT)}" y1="{y(tick):.1f}" x2="{across(RIGHT)}" '
            f'y2="{y(tick):.1f}" stroke="{LINE}"/>'
        )
        body.append(text(across(LEFT - 1.5), y(tick) + 4, f"{tick:g}", "end"))
    for i, whole in enumerate(total):
        if whole is not None:
            body.append(_stack(curve, i, y, pitch, i == best))
    for i, value in sorted(measured.items()):
        body.append(
            f'<circle cx="{across(LEFT + (i + 0.5) * pitch)}" cy="{y(value):.1f}" r="3" '
            f'fill="{SECOND}"><title>{markup(f"measured {format_ms(value)}")}</title></circle>'
        )
    body += _names(curve["after"], pitch, y(0.0) + 10)
    body.append(text(0, top - 10, "ms", color=MUTED))
    body.append(text("100%", top - 10, f"best: cut after {curve['after'][best][-30:]}", "end"))
    return figure(body, bottom + 120, title)


def _names(after: Sequence[str], pitch: float, top: float) -> list[str]:
    """The layers that are cut after, as many as there is room for."""
    every = max(1, -(-len(after) // _MOST_LABELS))
    return [
        f'<svg x="{across(LEFT + (i + 0.5) * pitch)}" y="{top:.1f}" width="1" height="1" '
        'overflow="visible"><text transform="translate(4 0) rotate(-60)" text-anchor="end" '
        f'font-size="10">{markup(after[i][-20:])}</text></svg>'
        for i in range(0, len(after), every)
    ]


def _legend(curve: Curve, measured: bool) -> tuple[list[str], float]:
    words = (curve["first_target"], "moving", curve["second_target"])
    if words[0] == words[2]:
        words = ("first piece", "moving", "second piece")
    body, end = legend(words)
    if measured:
        body.append(f'<circle cx="6" cy="{end + 6:.0f}" r="4" fill="{SECOND}"/>')
        body.append(text(17, end + 11, "measured"))
        end += LEGEND_ROW
    return body, end


def _stack(curve: Curve, i: int, y: Callable[[float], float], pitch: float, best: bool) -> str:
    """One bar: its parts from the bottom up, a tooltip, an outline around the best."""
    parts = (curve["first_ms"][i], curve["moving_ms"][i], curve["second_ms"][i])
    x, width = LEFT + (i + _INSET) * pitch, (1 - 2 * _INSET) * pitch
    at, drawn = y(0.0), []
    for part, color in zip(parts, PARTS, strict=False):
        tall = y(0.0) - y(part)
        at -= tall
        drawn.append(_rectangle(x, at, width, tall, f'fill="{color}"'))
    if best:
        outline = f'fill="none" stroke="{INK}" stroke-width="2"'
        drawn.append(_rectangle(x, at, width, y(0.0) - at, outline))
    note = (
        f"after {curve['after'][i]}: {format_ms(sum(parts))} = {format_ms(parts[0])} + moving "
        f"{format_ms(parts[1])} + {format_ms(parts[2])}; {curve['moved_bytes'][i]:,} bytes"
    )
    return f"<g><title>{markup(note)}</title>{''.join(drawn)}</g>"


def _rectangle(x: float, y: float, width: float, height: float, paint: str) -> str:
    return (
        f'<rect x="{across(x)}" y="{y:.1f}" width="{across(width)}" height="{height:.1f}" {paint}/>'
    )
