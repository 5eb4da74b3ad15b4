"""`perfmodel simulate`: run a scenario, print the answer first, then where the time goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfmodel.cli.output import print_json
from perfmodel.errors import ScenarioError
from perfmodel.render.text import table
from perfmodel.sim import Tracer, simulate
from perfmodel.sim.records import write_records
from perfmodel.units import format_ms

if TYPE_CHECKING:
    from perfmodel.sim.result import CaseResult, SimulationResult

SHOWN_STEPS = ("load", "preprocess", "pause", "upload", "queue", "compute", "download", "abandoned")


def simulate_command(
    scenario: Path,
    replications: int | None = None,
    seed: int | None = None,
    trace: Path | None = None,
    records: Path | None = None,
    as_json: bool = False,
    workers: int = 1,
) -> int:
    """Simulate a scenario file and print the result; return the exit code."""
    if records is not None:
        check_records_path(records)
    tracer = Tracer() if trace is not None else None
    result = simulate(
        scenario,
        replications=replications,
        seed=seed,
        workers=workers,
        keep_records=records is not None,
        tracer=tracer,
    )
    if records is not None:
        write_records(result.records, records)
    if tracer is not None and trace is not None:
        tracer.write(trace)
    if as_json:
        print_json(result.to_json())
        return 0
    print(render(result))
    if records is not None:
        print(f"\nrecords: {records}")
    if trace is not None and tracer is not None:
        more = f" ({tracer.left_out} slices left out)" if tracer.left_out else ""
        print(f"\ntrace: {trace}{more}; open it at https://ui.perfetto.dev")
    return 0


def check_records_path(path: Path) -> None:
    """Refuse a records file that could not be written, before anything runs."""
    if path.suffix not in (".csv", ".parquet"):
        raise ScenarioError(f"{path}: records are written as .csv or .parquet", "change its name")
    if path.suffix == ".parquet":
        import importlib.util

        if importlib.util.find_spec("pyarrow") is None:
            raise ScenarioError(
                f"{path}: writing Parquet needs pyarrow, which is not installed",
                "pip install pyarrow, or name the file .csv",
            )


def render(result: SimulationResult) -> str:
    """Return the result as text: answer, cases, steps, warnings."""
    parts = [_headline(result)]
    groups = dict.fromkeys(case.group for case in result.cases)
    for group in groups:
        cases = [case for case in result.cases if case.group == group]
        parts.append(_table(group, cases, result.winners()[group]))
    parts.append(_steps(result))
    parts.append(_details(result))
    parts.append(
        f"{sum(case.requests for case in result.cases)} requests, "
        f"{result.replications} replication{'s' if result.replications > 1 else ''}, "
        f"seed {result.seed}, {result.elapsed_s:.1f} s"
    )
    return "\n\n".join(part for part in parts if part)


def _headline(result: SimulationResult) -> str:
    lines = []
    for group, case in result.winners().items():
        rivals = [other for other in result.cases if other.group == group and other is not case]
        name = case.name or case.policy
        place = f"{group}: " if group else ""
        if rivals:
            second = min(rivals, key=lambda other: other.latency_ms["p95"])
            ratio = second.latency_ms["p95"] / max(case.latency_ms["p95"], 1e-9)
            mine, theirs = (format_ms(c.latency_ms["p95"]) for c in (case, second))
            rival = second.name or second.policy
            lines.append(
                f"{place}{name} wins: p95 {mine} against {theirs} for {rival} ({ratio:.1f}x)"
            )
        else:
            lines.append(f"{place}{_one(case)}")
        if case.warnings:
            lines[-1] += " - but see the warning below"
    return f"{result.scenario}\n" + "\n".join(lines)


def _one(case: CaseResult) -> str:
    latency = case.latency_ms
    text = (
        f"{case.policy}: p50 {format_ms(latency['p50'])}, p95 {format_ms(latency['p95'])}, "
        f"p99 {format_ms(latency['p99'])}; most of it is {case.bottleneck}"
    )
    if case.deadline_miss_rate is not None:
        text += f"; {100 * case.deadline_miss_rate:.2f} % miss the deadline"
    return text


def _table(group: str, cases: list[CaseResult], winner: CaseResult) -> str:
    headers = ["", "mean", "95 % CI", "p50", "p95", "p99", "late", "energy", "bottleneck"]
    rows = []
    for case in cases:
        latency, interval = case.latency_ms, case.intervals.get("latency_mean_ms")
        missed, energy = case.deadline_miss_rate, case.energy_mj
        rows.append(
            [
                ("* " if case is winner and len(cases) > 1 else "  ") + (case.name or case.policy),
                format_ms(latency["mean"]),
                f"{format_ms(interval[0])} to {format_ms(interval[1])}" if interval else "-",
                format_ms(latency["p50"]),
                format_ms(latency["p95"]),
                format_ms(latency["p99"]),
                "-" if missed is None else f"{100 * missed:.1f} %",
                "-" if energy is None else f"{energy['mean']:.4g} mJ",
                case.bottleneck,
            ]
        )
    return f"{group or 'latency per request'}\n{table(headers, rows)}"


def _steps(result: SimulationResult) -> str:
    """Return the step breakdown: one row per case, one column per step that took time anywhere."""
    used = [step for step in SHOWN_STEPS if any(case.steps_ms[step] > 0 for case in result.cases)]
    rows = []
    for case in result.cases:
        label = _label(case)
        cells = [format_ms(case.steps_ms[step]) for step in used]
        rows.append([label, *cells, format_ms(case.latency_ms["mean"])])
    return "mean time per step\n" + table(["", *used, "total"], rows)


def _details(result: SimulationResult) -> str:
    """Return warnings of every case, and of the winners what was busy, spent and counted."""
    lines = [f"warning: {_label(case)}: {text}" for case in result.cases for text in case.warnings]
    lines += dict.fromkeys(f"note: {text}" for case in result.cases for text in case.notes)
    for case in result.winners().values():
        lines += _circumstances(case)
    return "\n".join(lines)


def _label(case: CaseResult) -> str:
    return ", ".join(part for part in (case.group, case.name or case.policy) if part)


def _circumstances(case: CaseResult) -> list[str]:
    label, lines = _label(case), []
    busy = {name: share for name, share in case.utilization.items() if share}
    if busy:
        text = ", ".join(f"{name} {100 * share:.1f} %" for name, share in busy.items())
        lines.append(f"busy: {label}: {text}")
    if len(case.plans) > 1:
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in case.plans.items())
        lines.append(f"answered by: {label}: {shares}")
    if case.energy_mj is not None and case.energy_mj["mean"]:
        parts = case.energy_mj["by_component"].items()
        lines.append(f"energy: {label}: " + ", ".join(f"{name} {mj:.4g} mJ" for name, mj in parts))
    words = [(name.replace("_", " "), value) for name, value in case.counts.items() if value]
    if words:
        counted = ", ".join(f"{name} {value:.6g}" for name, value in words)
        lines.append(f"counted: {label}: {counted}")
    return lines
