"""`simulate`: cases times replications, on one process or several, folded into one result."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ScenarioError
from perfmodel.processes import end_with_parent
from perfmodel.sim.case_result import (
    MISSED,
    CaseResult,
    RunOutcome,
    figures_by_replication,
    intervals_of,
    mean_of,
    pooled_latency,
    pooled_steps,
)
from perfmodel.sim.files import ScenarioCase, cases_of, load_cases
from perfmodel.sim.plan import plans_of
from perfmodel.sim.records import Sink, to_frame
from perfmodel.sim.replication import Replication
from perfmodel.sim.request import QUEUE, STEPS
from perfmodel.sim.resolve import resolve
from perfmodel.sim.result import SimulationResult
from perfmodel.sim.scenario import Scenario
from perfmodel.sim.schema import read_table
from perfmodel.sim.stability import warning_after, warnings_before
from perfmodel.sim.stations import Builder
from perfmodel.sim.unit_memory import memory_notes

if TYPE_CHECKING:
    import numpy as np

    from perfmodel.sim.tracing import Tracer

NO_DEADLINE_MS = 1e15  # thirty thousand years: no simulated time comes near


def simulate(
    scenario: str | Path | Mapping[str, Any] | Scenario,
    *,
    replications: int | None = None,
    seed: int | None = None,
    workers: int = 1,
    keep_records: bool = False,
    tracer: Tracer | None = None,
    folder: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> SimulationResult:
    """Simulate a scenario: a file, its tables, or a Scenario.

    `replications` and `seed` replace those of the scenario, `overrides` any value of its tables by
    dotted path. The result, and with `keep_records`
    its records (one row per request), do not depend on `workers`. `tracer` collects the first
    replication of the first case. More than one worker starts processes, so a script needs the
    usual `if __name__ == "__main__"`. Trace files are looked for relative to `folder`, by default
    the scenario file's. Raises ScenarioError for impossible scenarios.
    """
    started = time.perf_counter()
    cases, folder = _cases(scenario, folder, overrides)
    try:
        prepared = [_prepare(case, folder, replications, seed) for case in cases]
    except ScenarioError as error:
        if not isinstance(scenario, (str, Path)):
            raise
        raise ScenarioError(f"{scenario}: {error.message}", error.hint) from None
    first = prepared[0].scenario
    jobs = [
        (case.scenario, replication, keep_records)
        for case in prepared
        for replication in range(case.scenario.replications)
    ]
    ran = _run_all(jobs, workers, tracer)
    results, frames, place = [], [], 0
    for case in prepared:
        mine = ran[place : place + case.scenario.replications]
        place += case.scenario.replications
        results.append(_case_result(case, [outcome for outcome, _ in mine]))
        if keep_records:
            frames.append(_frame(case, [rows for _, rows in mine]))
    return SimulationResult(
        scenario=first.name,
        cases=tuple(results),
        seed=first.seed,
        replications=first.replications,
        elapsed_s=time.perf_counter() - started,
        records=_joined(frames),
    )


def _cases(
    scenario: str | Path | Mapping[str, Any] | Scenario,
    folder: str | Path | None,
    overrides: Mapping[str, Any] | None,
) -> tuple[tuple[ScenarioCase, ...], Path]:
    if isinstance(scenario, (str, Path)):
        place = Path(scenario).parent if folder is None else Path(folder)
        return load_cases(scenario, overrides), place
    place = Path(folder or ".")
    if isinstance(scenario, Scenario):
        if overrides:
            raise ScenarioError(
                "overrides are for the tables of a scenario, not for a Scenario",
                "use dataclasses.replace",
            )
        return (ScenarioCase("", "", scenario),), place
    return cases_of(scenario, overrides), place


def _prepare(
    case: ScenarioCase, folder: Path, replications: int | None, seed: int | None
) -> ScenarioCase:
    scenario = case.scenario
    changes: dict[str, Any] = {}
    if replications is not None:
        changes["replications"] = replications
    if seed is not None:
        changes["seed"] = seed
    scenario = resolve(read_table(Scenario, replace(scenario, **changes)), folder)
    for task in scenario.task:
        plans_of(task, scenario)  # refuses what cannot run before anything runs
    memory_notes(scenario)  # refuses what cannot be held
    return replace(case, scenario=scenario)


Job = tuple[Scenario, int, bool]
Ran = tuple[RunOutcome, "np.ndarray | None"]


def _run_all(jobs: Sequence[Job], workers: int, tracer: Tracer | None) -> list[Ran]:
    if tracer is not None:
        return [_run_one(*jobs[0], tracer), *(_run_one(*job) for job in jobs[1:])]
    if workers <= 1 or len(jobs) == 1:
        return [_run_one(*job) for job in jobs]
    with ProcessPoolExecutor(
        min(workers, len(jobs)), get_context("spawn"), initializer=end_with_parent
    ) as pool:
        return list(pool.map(_run_job, jobs))


def _run_job(job: Job) -> Ran:
    return _run_one(*job)


def _run_one(scenario: Scenario, replication: int, keep: bool, tracer: Tracer | None = None) -> Ran:
    """Run one replication of a resolved scenario."""
    deadlines = [task.deadline_ms or NO_DEADLINE_MS for task in scenario.task]
    sink = Sink(deadlines, scenario.warmup_requests, keep)
    run = Replication(scenario, replication, sink, tracer)
    builder = Builder(run)
    with no_cycle_collection():
        run.until_over()
    statistics = sink.statistics()
    if statistics is None:
        raise ScenarioError(
            f"scenario {scenario.name!r}: no request was answered after the warm-up of "
            f"{scenario.warmup_requests}",
            "ask for more requests, or a smaller warmup_requests",
        )
    return builder.outcome(statistics), sink.kept()


@contextmanager
def no_cycle_collection() -> Iterator[None]:
    """Switch Python's cycle collector off: requests form no cycles; it costs 10 % of a run."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _case_result(case: ScenarioCase, outcomes: Sequence[RunOutcome]) -> CaseResult:
    scenario = case.scenario
    statistics = [outcome.statistics for outcome in outcomes]
    latency, curve, percentile_error = pooled_latency(statistics)
    steps = pooled_steps(statistics)
    requests = sum(s.requests for s in statistics)
    deadlines = [task.deadline_ms for task in scenario.task]
    whole = {f"latency_{key}_ms": value for key, value in latency.items()}
    whole["wait_mean_ms"] = steps[STEPS[QUEUE]]
    miss_rate = None
    if any(deadline is not None for deadline in deadlines):
        whole[MISSED] = miss_rate = sum(s.missed for s in statistics) / requests
    energy, notes = _energy(scenario, outcomes)
    return CaseResult(
        group=case.group,
        name=case.name,
        policy=", ".join(dict.fromkeys(task.policy for task in scenario.task)),
        requests=requests,
        latency_ms=latency,
        latency_curve=curve,
        percentile_error=percentile_error,
        wait_ms={"mean": steps[STEPS[QUEUE]]},
        deadline_ms=deadlines[0] if len(set(deadlines)) == 1 else None,
        deadline_miss_rate=miss_rate,
        energy_mj=energy,
        utilization=mean_of([outcome.utilization for outcome in outcomes]),
        steps_ms=steps,
        plans=_plan_shares(scenario, outcomes),
        counts=mean_of([_counts(outcome) for outcome in outcomes]),
        intervals=intervals_of(whole, statistics),
        by_replication=figures_by_replication(statistics),
        warnings=_warnings(scenario, outcomes[-1]),
        notes=(*notes, *memory_notes(scenario)),
    )


def _warnings(scenario: Scenario, last: RunOutcome) -> tuple[str, ...]:
    """What cannot keep up, by arithmetic, or else as the last replication shows it."""
    warnings = warnings_before(scenario)
    if warnings:
        return warnings
    seen = warning_after(last.answered, last.backlog, last.last_arrival_ms)
    return (seen,) if seen else ()


def _counts(outcome: RunOutcome) -> dict[str, float]:
    counts: dict[str, float] = {"dropped": outcome.dropped, "rejected": outcome.rejected}
    counts.update(outcome.counts)
    if outcome.statistics.batch_size_mean > 1:
        counts["batch_size_mean"] = outcome.statistics.batch_size_mean
    return counts


def _energy(
    scenario: Scenario, outcomes: Sequence[RunOutcome]
) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return energy per answered request (mJ), by component; None with the reason if unknown."""
    missing = missing_powers(scenario)
    if missing:
        return None, (f"energy is not reported: {', '.join(missing)} not given",)
    per_request = mean_of(
        [
            {name: mj / outcome.answered for name, mj in (outcome.energy_mj or {}).items() if mj}
            for outcome in outcomes
        ]
    )
    energy: dict[str, Any] = {"mean": sum(per_request.values()), "by_component": per_request}
    battery_mwh = scenario.device.battery_mwh
    if battery_mwh is not None:
        share = energy["mean"] / (battery_mwh * 3600.0)
        energy["battery_percent_per_1000_requests"] = 100.0 * 1000.0 * share
    if scenario.device.base_mw is None:
        return energy, ("energy is of units and radio alone: device.base_mw is not given",)
    return energy, ()


def missing_powers(scenario: Scenario) -> list[str]:
    """Return the powers a scenario would need for energy and does not give."""
    missing = {}
    for task in scenario.task:
        for plan in plans_of(task, scenario):
            for step in plan.steps:
                if step.where in ("uplink", "downlink"):
                    if scenario.link is not None and scenario.link.radio is None:
                        missing["link.radio"] = True
                elif step.where not in ("server", "heap"):
                    unit = "cpu" if step.where == "memory" else step.where
                    if getattr(scenario.device, unit).active_mw is None:
                        missing[f"device.{unit}.active_mw"] = True
    return list(missing)


def _plan_shares(scenario: Scenario, outcomes: Sequence[RunOutcome]) -> dict[str, float]:
    """Return the share of requests each plan answered."""
    names = [[plan.name for plan in plans_of(task, scenario)] for task in scenario.task]
    total = sum(outcome.statistics.requests for outcome in outcomes)
    shares: dict[str, float] = {}
    for outcome in outcomes:
        for task, plan, number in outcome.statistics.plans:
            label = names[task][plan]
            if len(scenario.task) > 1:
                label = f"{scenario.task[task].name}: {label}"
            shares[label] = shares.get(label, 0.0) + number / total
    return shares


def _frame(case: ScenarioCase, arrays: Sequence[Any]) -> Any:
    scenario = case.scenario
    plans = [[plan.name for plan in plans_of(task, scenario)] for task in scenario.task]
    frame = to_frame(arrays, [task.name for task in scenario.task], plans)
    if case.group or case.name:
        frame.insert(0, "case", case.name)
        frame.insert(0, "group", case.group)
    return frame


def _joined(frames: Sequence[Any]) -> Any:
    if not frames:
        return None
    import pandas as pd

    return pd.concat(frames, ignore_index=True)
