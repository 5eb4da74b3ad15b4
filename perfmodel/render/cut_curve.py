"""Latency over the cut point, split into what each side runs and what moving takes.

The figure of Neurosurgeon (Kang et al., ASPLOS 2017): one stacked bar a cut point, from everything
on the second side (left) to everything on the first (right); the best is marked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perfmodel.errors import PartitionError
from perfmodel.render.svg import CHARACTER, INK, PARTS, SECOND, WIDTH, axis, figure, legend, text
from perfmodel.render.text import markup
from perfmodel.units import format_ms

_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, WIDTH - 12.0, 52.0, 330.0
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
    y, ticks = axis(0.0, max([*usable, *measured.values()]), _BOTTOM, _TOP, False)
    pitch = (_RIGHT - _LEFT) / len(total)
    best = total.index(min(usable))
    body = _legend(curve, bool(measured))
    for tick in (t for t in ticks if t >= 0):
        body.append(f'<path d="M{_LEFT} {y(tick):.1f}L{_RIGHT} {y(tick):.1f}" stroke="#e4e7eb"/>')
        body.append(text(_LEFT - 6, y(tick) + 4, f"{tick:g}", "end"))
    for i, whole in enumerate(total):
        if whole is not None:
            body.append(_stack(curve, i, y, pitch, i == best))
    for i, value in sorted(measured.items()):
        body.append(
            f'<circle cx="{_LEFT + (i + 0.5) * pitch:.1f}" cy="{y(value):.1f}" r="3" '
            f'fill="{SECOND}"><title>{markup(f"measured {format_ms(value)}")}</title></circle>'
        )
    body += _names(curve["after"], pitch, y(0.0) + 10)
    body.append(text(8, _TOP - 8, "ms"))
    body.append(text(_RIGHT, _TOP - 8, f"best: cut after {curve['after'][best]}", "end"))
    return figure(body, WIDTH, _BOTTOM + 110, title)


def _names(after: Sequence[str], pitch: float, top: float) -> list[str]:
    """The layers that are cut after, as many as there is room for."""
    every = max(1, -(-len(after) // _MOST_LABELS))
    return [
        f'<text transform="translate({_LEFT + (i + 0.5) * pitch + 4:.1f} {top:.1f}) rotate(-60)" '
        f'text-anchor="end" font-size="10">{markup(after[i][-22:])}</text>'
        for i in range(0, len(after), every)
    ]


def _legend(curve: Curve, measured: bool) -> list[str]:
    words = (curve["first_target"], "moving", curve["second_target"])
    if words[0] == words[2]:
        words = ("first piece", "moving", "second piece")
    body = legend(words, _LEFT, 8)
    if measured:
        x = _LEFT + sum(34 + CHARACTER * len(word) for word in words)
        body.append(f'<circle cx="{x + 5:.0f}" cy="14" r="4" fill="{SECOND}"/>')
        body.append(text(x + 15, 18, "measured"))
    return body


def _stack(curve: Curve, i: int, y: Callable[[float], float], pitch: float, best: bool) -> str:
    """One bar: its parts from the bottom up, a tooltip, an outline around the best."""
    parts = (curve["first_ms"][i], curve["moving_ms"][i], curve["second_ms"][i])
    x, width = _LEFT + (i + _INSET) * pitch, (1 - 2 * _INSET) * pitch
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
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" {paint}/>'
