"""Latency over the cut point, split into what each side runs and what moving takes.

The figure of Neurosurgeon (Kang et al., ASPLOS 2017): one stacked bar a cut point, from everything
on the second side (left) to everything on the first (right); the best is marked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from perfmodel.errors import PartitionError, PerfmodelError
from perfmodel.experiments.partition_result import PartitionValidation, partition_summary
from perfmodel.plans.plan import CutCurve, PartitionResult
from perfmodel.render.plots import write_figure
from perfmodel.render.svg import INK, WIDTH, axis, figure, text
from perfmodel.units import format_ms

COLORS = ("#1f6feb", "#9aa5b1", "#2f9e44")
"""First unit, moving, second unit."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, WIDTH - 12.0, 52.0, 330.0
_MOST_LABELS = 16


def write_plan_plot(result: PartitionResult, path: Path) -> None:
    """Write the curve of a plan as .svg, .html or .png; `PerfmodelError` for another name."""
    if result.curve is None:
        raise PartitionError(f"{result.model}: the plan has no curve to plot")
    title = f"{result.model}: latency over the cut point"
    write_svg(curve_svg(result.curve, title), title, path)


def write_svg(svg: str, title: str, path: Path) -> None:
    """Write a figure as .svg, .html or .png, by the file's name."""
    if path.suffix != ".png":
        if path.suffix not in (".svg", ".html"):
            raise PerfmodelError(f"{path}: a plot is .svg, .html or .png", "change its name")
        write_figure(svg, title, path)
        return
    try:
        import vl_convert
    except ImportError:
        raise PerfmodelError(
            f"{path}: writing .png needs vl-convert-python",
            "pip install 'perfmodel[report]', or write .svg",
        ) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(vl_convert.svg_to_png(svg, scale=2))


def curve_svg(curve: CutCurve, title: str, measured_ms: Mapping[int, float] | None = None) -> str:
    """The stacked bars; `measured_ms` adds a dot at each cut point that was measured."""
    total = curve.total_ms
    usable = [t for t in total if t < float("inf")]
    measured = measured_ms or {}
    if not usable:
        raise PartitionError("no cut point has a finite latency", "add a unit that runs every op")
    top = max([*usable, *measured.values()])
    y, ticks = axis(0.0, top, _BOTTOM, _TOP, False)
    pitch = (_RIGHT - _LEFT) / len(total)
    body = _legend(curve, bool(measured))
    for tick in (t for t in ticks if t >= 0):
        body.append(f'<path d="M{_LEFT} {y(tick):.1f}L{_RIGHT} {y(tick):.1f}" stroke="#e4e7eb"/>')
        body.append(text(_LEFT - 6, y(tick) + 4, f"{tick:g}", "end"))
    best = total.index(min(usable))
    for i in range(len(total)):
        if total[i] < float("inf"):
            body.append(_stack(curve, i, _LEFT + i * pitch, pitch, y(0.0), top, i == best))
    for i, value in sorted(measured.items()):
        x = _LEFT + (i + 0.5) * pitch
        body.append(
            f'<circle cx="{x:.1f}" cy="{y(value):.1f}" r="3" fill="#d9480f">'
            f"<title>{escape(f'measured {format_ms(value)}')}</title></circle>"
        )
    every = max(1, -(-len(total) // _MOST_LABELS))
    for i in range(0, len(total), every):
        x = _LEFT + (i + 0.5) * pitch
        body.append(
            f'<text transform="translate({x + 4:.1f} {y(0.0) + 10:.1f}) rotate(-60)" '
            f'text-anchor="end" font-size="10">{escape(curve.after[i][-22:])}</text>'
        )
    body.append(text(8, _TOP - 8, "ms"))
    body.append(text(_RIGHT, _TOP - 8, f"best: cut after {curve.after[best]}", "end"))
    return figure(body, WIDTH, _BOTTOM + 110, title)


def _legend(curve: CutCurve, measured: bool) -> list[str]:
    words = (curve.first_target, "moving", curve.second_target)
    if curve.first_target == curve.second_target:
        words = ("first piece", "moving", "second piece")
    body, x = [], _LEFT
    for word, color in zip(words, COLORS, strict=True):
        body.append(f'<rect x="{x:.0f}" y="8" width="12" height="12" fill="{color}"/>')
        body.append(text(x + 17, 18, word))
        x += 34 + 6.6 * len(word)
    if measured:
        body.append(f'<circle cx="{x + 5:.0f}" cy="14" r="4" fill="#d9480f"/>')
        body.append(text(x + 15, 18, "measured"))
    return body


def _stack(
    curve: CutCurve, i: int, left: float, pitch: float, base: float, top: float, best: bool
) -> str:
    """One bar: its parts from the bottom up, a tooltip, an outline around the best."""
    parts = (curve.first_ms[i], curve.moving_ms[i], curve.second_ms[i])
    scale, _ = axis(0.0, top, _BOTTOM, _TOP, False)
    height = [base - scale(part) for part in parts]
    x, width, at, drawn = left + 0.1 * pitch, 0.8 * pitch, base, []
    for tall, color in zip(height, COLORS, strict=True):
        at -= tall
        drawn.append(
            f'<rect x="{x:.1f}" y="{at:.1f}" width="{width:.1f}" height="{tall:.1f}" '
            f'fill="{color}"/>'
        )
    if best:
        drawn.append(
            f'<rect x="{x:.1f}" y="{at:.1f}" width="{width:.1f}" height="{base - at:.1f}" '
            f'fill="none" stroke="{INK}" stroke-width="2"/>'
        )
    note = (
        f"after {curve.after[i]}: {format_ms(sum(parts))} = {format_ms(parts[0])} + moving "
        f"{format_ms(parts[1])} + {format_ms(parts[2])}; {curve.moved_bytes[i]:,} bytes"
    )
    return f"<g><title>{escape(note)}</title>{''.join(drawn)}</g>"


def write_validation_plots(done: PartitionValidation, folder: Path) -> list[Path]:
    """One figure a network: predicted latency over the cut point, measured ones as dots."""
    paths = []
    for network in done.networks:
        path = folder / f"{re.sub('[^a-z0-9_]+', '-', network.model)}.svg"
        title = f"{network.model}: two pieces on {done.cases[0].target}, predicted and measured"
        write_svg(curve_svg(network.curve, title, network.measured_ms), title, path)
        paths.append(path)
    return paths


def validation_page(done: PartitionValidation) -> str:
    """The whole comparison as one page: the summary, and a figure a network."""
    figures = "".join(
        f"<h2>{escape(n.model)}</h2>{curve_svg(n.curve, n.model, n.measured_ms)}"
        for n in done.networks
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width"><title>Cuts predicted and measured</title>'
        '<link rel="icon" href="data:,"><body style="font:14px system-ui">'
        f"<h1>Cuts predicted and measured</h1><pre>{escape(partition_summary(done))}</pre>"
        f"{figures}</body></html>\n"
    )
