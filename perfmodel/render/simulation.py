"""What `simulate` answers: which case is best, where the time goes, what was busy."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.render.plots import lines
from perfmodel.render.result import Data, Result, ResultFigure, ResultTable, bar_figure
from perfmodel.render.svg import PARTS, Bar
from perfmodel.render.text import percent
from perfmodel.sim.request import STEPS
from perfmodel.units import format_ms


def simulation_result(data: Data, closing: Sequence[str] = ()) -> Result:
    """Describe a simulation; `closing` tells of files that were written."""
    cases = data["cases"]
    groups = list(dict.fromkeys(c["group"] for c in cases))
    requests = sum(c["requests"] for c in cases)
    count = data["replications"]
    return Result(
        title=f"Scenario: {data['scenario']}",
        answer=simulation_sentence(data),
        data=data,
        facts=(
            data["scenario"],
            *(_verdicts(data) if len(groups) > 1 else ()),
            *dict.fromkeys(f"note: {n}" for c in cases for n in c["notes"]),
        ),
        warnings=[f"{_label(c)}: {text}" for c in cases for text in c["warnings"]],
        parts=(
            bar_figure(
                "95th percentile of latency", lambda: _plot(cases), "ms", "p95 of each case"
            ),
            *_distributions(cases, groups),
            *(_latencies(data, group) for group in groups),
            _steps(cases),
            _busy(cases),
        ),
        closing=(
            *(line for c in _leaders(data) for line in _circumstances(c)),
            _basis(data),
            f"{requests} requests, {count} replication{'s' if count > 1 else ''}, "
            f"seed {data['seed']}, {data['elapsed_s']:.1f} s",
            *closing,
        ),
    )


def _leaders(data: Data) -> list[Data]:
    cases = data["cases"]
    return [
        next(c for c in cases if (c["group"], c["case"]) == (group, verdict["leader"]))
        for group, verdict in data["verdicts"].items()
    ]


def simulation_sentence(data: Data) -> str:
    """The verdict on the cases; of several groups, how often each case wins or leads."""
    verdicts = _verdicts(data)
    if len(verdicts) == 1:
        return verdicts[0]
    names = [
        "no clear winner" if data["winners"][case["group"]] is None else _name(case)
        for case in _leaders(data)
    ]
    counted = ", ".join(f"{n} {names.count(n)}" for n in dict.fromkeys(names))
    return f"best in how many of {len(names)} groups: {counted}"


def _verdicts(data: Data) -> list[str]:
    return [_verdict(data, case) for case in _leaders(data)]


def _verdict(data: Data, leader: Data) -> str:
    group = leader["group"]
    place = f"{group}: " if group else ""
    text = data["verdicts"][group]["sentence"] or _one(leader)
    return place + text + (" - but see the warning below" if leader["warnings"] else "")


def _basis(data: Data) -> str:
    """Of what the figures are, and over what their intervals."""
    several = data["replications"] > 1
    error = max(c["percentile_error"] for c in data["cases"])
    exact = "exact" if not error else f"percentiles within {percent(error, 2)}"
    pooled = "the requests of all replications together" if several else "the requests"
    spread = "the replications" if several else "parts of the run"
    return f"figures are of {pooled} ({exact}), intervals over {spread}"


def _one(case: Data) -> str:
    latency = case["latency_ms"]
    text = (
        f"{case['policy']}: p50 {format_ms(latency['p50'])}, p95 {format_ms(latency['p95'])}, "
        f"p99 {format_ms(latency['p99'])}; most of it is {case['bottleneck']}"
    )
    if case["deadline_miss_rate"] is not None:
        text += f"; {percent(case['deadline_miss_rate'], 2)} miss the deadline"
    return text


def _name(case: Data) -> str:
    return str(case["case"] or case["policy"])


def _label(case: Data) -> str:
    return ", ".join(part for part in (case["group"], _name(case)) if part)


def _plot(cases: Sequence[Data]) -> list[Bar]:
    rows = []
    for case in cases:
        latency = case["latency_ms"]
        low, high = case["intervals"].get("latency_p95_ms", (None, None))
        note = f"mean {latency['mean']:.4g}"
        rows.append(Bar(_label(case), latency["p95"], low, high, note))
    return rows


def _distributions(cases: Sequence[Data], groups: Sequence[str]) -> list[ResultFigure]:
    """By group, how many requests are answered within what time."""
    return [
        figure
        for group in groups
        if (figure := _distribution(group, [c for c in cases if c["group"] == group]))
    ]


def _distribution(group: str, cases: Sequence[Data]) -> ResultFigure | None:
    curves = {
        _name(c): [(ms, percent) for percent, ms in c.get("latency_curve", ())]
        for c in cases[: len(PARTS)]
    }
    if not any(curves.values()):
        return None
    deadlines = {c.get("deadline_ms") for c in cases}
    limit = deadlines.pop() if len(deadlines) == 1 else None
    across = "latency in ms" + ("; the deadline dashed" if limit else "")
    more = f" ({len(curves)} of {len(cases)} cases)" if len(cases) > len(curves) else ""

    def drawn(log: bool) -> str:
        name = "distribution of latencies"
        return lines(curves, across, "% answered within", name, log=(log, False), limit=limit)

    return ResultFigure(
        title=f"{group + ': ' if group else ''}requests answered within a time{more}",
        draw=lambda: drawn(False),
        other=lambda: drawn(True),
    )


def _latencies(data: Data, group: str) -> ResultTable:
    cases = [c for c in data["cases"] if c["group"] == group]
    best = data["winners"][group]
    rows = []
    for case in cases:
        latency, interval = case["latency_ms"], case["intervals"].get("latency_mean_ms")
        energy = case["energy_mj"]
        rows.append(
            [
                ("* " if case["case"] == best and len(cases) > 1 else "  ") + _name(case),
                format_ms(latency["mean"]),
                f"{format_ms(interval[0])} to {format_ms(interval[1])}" if interval else "-",
                *(format_ms(latency[key]) for key in ("p50", "p95", "p99")),
                percent(case["deadline_miss_rate"], 1),
                "-" if energy is None else f"{energy['mean']:.4g} mJ",
                case["bottleneck"],
            ]
        )
    covered = percent(data["interval_coverage"])
    headers = ["", "mean", f"{covered} CI", "p50", "p95", "p99", "late", "energy", "bottleneck"]
    return ResultTable(title=group or "latency per request", headers=headers, rows=rows)


def _steps(cases: Sequence[Data]) -> ResultTable:
    """A row a case, a column for each step that took time anywhere."""
    used = [s for s in STEPS if any(c["steps_ms"].get(s, 0) > 0 for c in cases)]
    rows = [
        [
            _label(c),
            *(format_ms(c["steps_ms"].get(s, 0.0)) for s in used),
            format_ms(c["latency_ms"]["mean"]),
        ]
        for c in cases
    ]
    return ResultTable(title="mean time per step", headers=["", *used, "total"], rows=rows)


def _busy(cases: Sequence[Data]) -> ResultTable:
    units = list(dict.fromkeys(u for c in cases for u, share in c["utilization"].items() if share))
    rows = [(_label(c), *(percent(c["utilization"].get(u), 1) for u in units)) for c in cases]
    return ResultTable(title="How busy", headers=("case", *units), rows=rows, text_rows=0)


def _circumstances(case: Data) -> list[str]:
    """What was busy, who answered, where the energy went and what was counted in a case."""
    label, lines = _label(case), []
    busy = {name: share for name, share in case["utilization"].items() if share}
    if busy:
        lines.append(f"busy: {label}: {_shares(busy)}")
    if len(case["plans"]) > 1:
        lines.append(f"answered by: {label}: {_shares(case['plans'])}")
    if case["energy_mj"] is not None and case["energy_mj"]["mean"]:
        parts = case["energy_mj"]["by_component"].items()
        lines.append(f"energy: {label}: " + ", ".join(f"{name} {mj:.4g} mJ" for name, mj in parts))
    counts = [(name.replace("_", " "), value) for name, value in case["counts"].items() if value]
    if counts:
        lines.append(f"counted: {label}: " + ", ".join(f"{n} {value:.6g}" for n, value in counts))
    return lines


def _shares(shares: Data) -> str:
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
