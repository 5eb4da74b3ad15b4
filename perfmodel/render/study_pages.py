"""Pages about runs: simulate, whatif, validate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.render.page import Page, Section, html_table
from perfmodel.render.svg import Bar, Point, bars, scatter
from perfmodel.render.text import percent
from perfmodel.units import format_ms, format_number

Data = Mapping[str, Any]
WORST = 15


def simulate_page(data: Data) -> Page:
    """A scenario's cases: latency, steps, what was busy."""
    cases = data["cases"]
    best = {(g, n) for g, n in data["winners"].items()}
    plot = [
        Bar(
            _label(c),
            c["latency_ms"]["p95"],
            *_interval(c),
            note=f"mean {c['latency_ms']['mean']:.4g}",
        )
        for c in cases
    ]
    rows = [
        (
            ("* " if (c["group"], c["case"]) in best and len(cases) > 1 else "") + _label(c),
            *(f"{c['latency_ms'][k]:.4g}" for k in ("mean", "p50", "p95", "p99")),
            percent(c["deadline_miss_rate"], 2),
            "-" if c["energy_mj"] is None else f"{c['energy_mj']['mean']:.4g}",
            c["bottleneck"],
        )
        for c in cases
    ]
    used = [s for s in data["steps_ms"] if any(c["steps_ms"].get(s, 0) > 0 for c in cases)]
    steps = [(_label(c), *(f"{c['steps_ms'].get(s, 0):.4g}" for s in used)) for c in cases]
    units = list(dict.fromkeys(u for c in cases for u, v in c["utilization"].items() if v))
    busy = [(_label(c), *(percent(c["utilization"].get(u), 1) for u in units)) for c in cases]
    headers = ("case", "mean ms", "p50", "p95", "p99", "late", "energy mJ", "bottleneck")
    notes = dict.fromkeys(n for c in cases for n in (*c["warnings"], *c["notes"]))
    return Page(
        f"Scenario: {data['scenario']}",
        _winner(data),
        (
            Section("95th percentile of latency", bars(plot, "ms", "p95 of each case")),
            Section("Cases (* = best of its group)", html_table(headers, rows)),
            Section("Mean time by step, ms", html_table(("case", *used), steps)),
            Section("How busy", html_table(("case", *units), busy)),
        ),
        (
            f"{data['replications']} replications, seed {data['seed']}; intervals are "
            f"{percent(data['interval_coverage'])} confidence intervals of the simulation, not of "
            "the inputs.",
        ),
        tuple(notes),
    )


def _label(case: Data) -> str:
    return ", ".join(p for p in (case["group"], case["case"] or case["policy"]) if p)


def _interval(case: Data) -> tuple[float | None, float | None]:
    low, high = case["intervals"].get("latency_p95_ms", (None, None))
    return low, high


def _winner(data: Data) -> str:
    sentences = []
    for group, name in data["winners"].items():
        rivals = [c for c in data["cases"] if c["group"] == group]
        best = next(c for c in rivals if c["case"] == name)
        words = f"{_label(best)}: p95 {format_ms(best['latency_ms']['p95'])}"
        others = [c for c in rivals if c is not best]
        if others:
            second = min(others, key=lambda c: c["latency_ms"]["p95"])
            words += f", against {format_ms(second['latency_ms']['p95'])} for {_label(second)}"
        if best["deadline_miss_rate"] is not None:
            words += f"; {percent(best['deadline_miss_rate'], 2)} miss the deadline"
        sentences.append(words + ".")
    return " ".join(sentences)


def whatif_page(data: Data) -> Page:
    """A sweep: what moves the answer, and the best points."""
    effects, metric, rows = data["effects"], data["metric"], data.get("rows", [])
    shares = [
        Bar(e["path"], 100 * e["share"], note=f"{e['low']:.4g} to {e['high']:.4g}") for e in effects
    ]
    table = [
        (
            e["path"],
            percent(e["share"], 1),
            "-" if e["rank_correlation"] is None else f"{e['rank_correlation']:+.2f}",
            f"{format_number(e['low'])} at {e['low_at']}",
            f"{format_number(e['high'])} at {e['high_at']}",
        )
        for e in effects
    ]
    sections = [
        Section(f"Share of the variance of {metric} (ranks)", bars(shares, "%", "sensitivity")),
        Section(
            "What moves it",
            html_table(("input", "of variance", "rank corr.", "least mean", "largest mean"), table),
        ),
    ]
    if effects and _plottable(rows, effects[0]["path"], metric):
        path = effects[0]["path"]
        points = [
            Point(r[path], r[metric], ", ".join(f"{p}={r[p]}" for p in data["paths"]))
            for r in rows
            if r.get(metric) is not None
        ]
        sections.append(Section(f"{metric} over {path}", scatter(points, path, metric, "points")))
    sections += _front(data)
    failed = data["failed"]
    return Page(
        f"What if: {data['subject']}",
        str(data["answer"]) + ".",
        tuple(sections),
        (f"{data['points']} points" + (f", {failed} of them without an answer" if failed else "")
         + "; shares are first-order effects of independent inputs.",),
    )  # fmt: skip


def _plottable(rows: Sequence[Data], path: str, metric: str) -> bool:
    def numeric(value: object) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    return len(rows) > 2 and all(numeric(r.get(path)) for r in rows) and metric in rows[0]


def _front(data: Data) -> list[Section]:
    front, names = data["front"], data["objectives"]
    if not front:
        return []
    columns = [*data["paths"], *names]
    rows = [[_short(r.get(c)) for c in columns] for r in front]
    sections = [Section("Points that no other beats at once", html_table(columns, rows))]
    if len(names) >= 2:
        other = "accuracy" if "accuracy" in names else names[1]
        marked = [
            Point(r[names[0]], r[other], ", ".join(f"{p}={r[p]}" for p in data["paths"]), True)
            for r in front
        ]
        plot = scatter(marked, names[0], other, "Pareto front")
        sections.insert(0, Section(f"{other} over {names[0]} on that front", plot))
    return sections


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else "-" if value is None else str(value)


def validate_page(data: Data) -> Page:
    """Predicted against measured."""
    cases = [c for c in data["cases"] if c.get("measured_ms") and c.get("predicted_ms")]
    points = [
        Point(c["measured_ms"], c["predicted_ms"], f"{c['model']} on {c['target']}", _outside(c))
        for c in cases
    ]
    worst = sorted(cases, key=lambda c: -_error(c))[:WORST]
    rows = [
        (
            c["model"],
            c["target"],
            f"{c['predicted_ms']:.4g}",
            "-" if c.get("low_ms") is None else f"{c['low_ms']:.4g} to {c['high_ms']:.4g}",
            f"{c['measured_ms']:.4g}",
            f"{100 * (c['predicted_ms'] / c['measured_ms'] - 1):+.1f} %",
        )
        for c in worst
    ]
    figures = [
        (name, _figure(data.get(key), share))
        for name, key, share in (
            ("mean absolute error", "mape", True),
            ("within 10 %", "within_10", True),
            ("within 20 %", "within_20", True),
            ("rank correlation (Spearman)", "spearman", False),
            ("inside their interval", "coverage", True),
        )
    ]
    headers = ("network", "target", "predicted ms", "interval", "measured ms", "error")
    plot = scatter(points, "measured ms", "predicted ms", "cases", log=True, diagonal=True)
    machine = data.get("machine")
    return Page(
        f"Validation: {data['experiment']}",
        str(data.get("answer") or _validation(data, len(cases))),
        (
            Section("Predicted over measured (outside the interval marked)", plot),
            Section("Figures", html_table(("", ""), figures)),
            Section("Farthest off", html_table(headers, rows)),
        ),
        sources=() if not machine else (f"Measured on: {_machine(machine)}",),
    )


def _figure(value: Any, share: bool) -> str:
    if value is None:
        return "-"
    return percent(value, 1) if share else f"{value:.3f}"


def _validation(data: Data, count: int) -> str:
    inside = data.get("coverage")
    tail = "" if inside is None else f"; {percent(inside)} lie inside their interval"
    return (
        f"Over {count} cases predictions are off by {percent(data['mape'], 1)} on average, "
        f"{percent(data.get('within_20'))} of them by at most 20 %{tail}."
    )


def _error(case: Data) -> float:
    return abs(math.log(case["predicted_ms"] / case["measured_ms"]))


def _outside(case: Data) -> bool:
    if case.get("low_ms") is None or case.get("high_ms") is None:
        return False
    return not case["low_ms"] <= case["measured_ms"] <= case["high_ms"]


def _machine(machine: Any) -> str:
    if isinstance(machine, Mapping):
        return ", ".join(f"{k}: {v}" for k, v in machine.items() if not isinstance(v, (dict, list)))
    return str(machine)
