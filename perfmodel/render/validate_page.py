"""The comparison as one self-contained HTML page: plain SVG, no scripts, no outside files."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from perfmodel.experiments.host import HostValidation, by_target, class_errors, worst
from perfmodel.experiments.scores import Case, scores
from perfmodel.units import format_ms

COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#b8860b", "#6a4c93", "#444444")
_SIDE, _MARGIN = 520, 56
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .7em;text-align:right;"
    "border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}"
    "svg{max-width:100%;height:auto}.warn{color:#a00}"
)


def host_page(done: HostValidation) -> str:
    """HTML of a host validation."""
    facts = done.machine.facts
    total = scores(done.cases)
    parts = [
        "<h1>Predicted and measured on this machine</h1>",
        f"<p>{len(done.cases)} networks that the calibration never ran: mean error "
        f"{total.mape:.1%}, {total.within_10:.0%} within 10 %, {_share(total.coverage)} inside "
        f"their 90 % interval. Predictions were written down before anything was run.</p>",
        f"<p>{html.escape(', '.join(f'{k} {v}' for k, v in facts.items()))}</p>",
        f'<p class="warn">{html.escape(done.warning)}</p>' if done.warning else "",
        _groups(done),
        "<h2>Predicted against measured</h2>",
        scatter_svg(done.cases),
        "<p>Lines: exact, and 20 % either way.</p>",
        "<h2>Error by kernel class</h2>",
        _classes(done),
        "<h2>Worst cases, and the kernels that explain them</h2>",
        _worst(done),
        "<h2>All cases</h2>",
        _cases(done.cases),
    ]
    if done.first:
        parts += ["<h2>First run (file opened cold, prepared, run once)</h2>", _cases(done.first)]
    if done.left_out:
        items = "".join(
            f"<li>{html.escape(k)}: {html.escape(v[:200])}</li>" for k, v in done.left_out.items()
        )
        parts.append(f"<h2>Left out</h2><ul>{items}</ul>")
    body = "\n".join(p for p in parts if p)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>perfmodel validate host</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def scatter_svg(cases: Sequence[Case]) -> str:
    """Predicted against measured ms on log axes, one colour a target, as SVG."""
    values = [v for c in cases for v in (c.predicted_ms, c.measured_ms)]
    low = math.floor(math.log10(min(values)))
    high = max(low + 1, math.ceil(math.log10(max(values))))
    step = (_SIDE - 2 * _MARGIN) / (high - low)

    def x(ms: float) -> float:
        return _MARGIN + (math.log10(ms) - low) * step

    def y(ms: float) -> float:
        return _SIDE - x(ms)

    ends = (10.0**low, 10.0**high)
    shapes = [f'<svg viewBox="0 0 {_SIDE + 240} {_SIDE}" width="{_SIDE + 240}" role="img">']
    for power in range(low, high + 1):
        at = 10.0**power
        shapes.append(
            f'<path d="M{x(at):.1f} {_MARGIN}V{_SIDE - _MARGIN}M{_MARGIN} {y(at):.1f}'
            f'H{_SIDE - _MARGIN}" stroke="#ddd"/>'
            f'<text x="{x(at):.1f}" y="{_SIDE - 36}" text-anchor="middle" font-size="12">'
            f'{at:g}</text><text x="{_MARGIN - 6}" y="{y(at) + 4:.1f}" text-anchor="end" '
            f'font-size="12">{at:g}</text>'
        )
    for factor, dash in ((1.0, ""), (1.2, "4 4"), (1 / 1.2, "4 4")):
        shapes.append(
            f'<path d="M{x(ends[0]):.1f} {y(ends[0] * factor):.1f}L{x(ends[1]):.1f} '
            f'{y(ends[1] * factor):.1f}" stroke="#888" stroke-dasharray="{dash}"/>'
        )
    for number, target in enumerate(dict.fromkeys(c.target for c in cases)):
        colour = COLOURS[number % len(COLOURS)]
        top = _MARGIN + 20 * number
        shapes.append(
            f'<circle cx="{_SIDE}" cy="{top}" r="5" fill="{colour}"/>'
            f'<text x="{_SIDE + 12}" y="{top + 4}" font-size="13">{html.escape(target)}</text>'
        )
        for c in cases:
            if c.target == target:
                told = f"{c.model}: {c.predicted_ms:.3g} predicted, {c.measured_ms:.3g} measured"
                shapes.append(
                    f'<circle cx="{x(c.measured_ms):.1f}" cy="{y(c.predicted_ms):.1f}" r="4" '
                    f'fill="{colour}" fill-opacity=".65"><title>{html.escape(told)} ms</title>'
                    "</circle>"
                )
    shapes.append(
        f'<text x="{_SIDE / 2}" y="{_SIDE - 10}" text-anchor="middle" font-size="13">measured, ms'
        f'</text><text x="16" y="{_SIDE / 2}" text-anchor="middle" font-size="13" '
        f'transform="rotate(-90 16 {_SIDE / 2})">predicted, ms</text></svg>'
    )
    return "".join(shapes)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(h)}</th>" for h in headers)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{lines}</table>"


def _groups(done: HostValidation) -> str:
    rows = [
        (
            name,
            str(s.cases),
            f"{s.mape:.1%}",
            f"{s.median:.1%}",
            f"{s.bias:+.1%}",
            *(f"{v:.0%}" for v in (s.within_5, s.within_10, s.within_15, s.within_20)),
            "-" if name.startswith("first") else _share(s.coverage),
            "-" if s.spearman is None else f"{s.spearman:.3f}",
        )
        for name, s in by_target(done).items()
    ]
    headers = ("", "cases", "mean error", "median", "bias", "in 5 %", "in 10 %", "in 15 %")
    return _table((*headers, "in 20 %", "covered", "rank corr."), rows)


def _classes(done: HostValidation) -> str:
    rows = [
        (
            f"{c.target}: {c.kernel_class}",
            str(c.kernels),
            f"{c.time_share:.1%}",
            f"{c.weighted_error:.1%}",
            f"{c.bias:+.1%}",
        )
        for c in class_errors(done.kernels)
    ]
    return _table(("class", "kernels", "share of time", "error", "bias"), rows)


def _worst(done: HostValidation) -> str:
    rows = []
    for row in worst(done):
        why = "; ".join(
            f"{k['kernel']} ({k['class']}) {k['predicted_us']:.0f} for {k['measured_us']:.0f} us"
            for k in row["kernels"]
        )
        rows.append((f"{row['model']} on {row['target']}", f"{row['error']:+.1%}", why or "-"))
    return _table(("network", "error", "kernels that are most off"), rows)


def _cases(cases: Sequence[Case]) -> str:
    rows = [
        (
            f"{c.model} on {c.target}",
            format_ms(c.predicted_ms),
            "-"
            if c.low_ms is None or c.high_ms is None
            else f"{format_ms(c.low_ms)} to {format_ms(c.high_ms)}",
            format_ms(c.measured_ms),
            f"{c.error:+.1%}",
        )
        for c in cases
    ]
    return _table(("network", "predicted", "interval", "measured", "error"), rows)
