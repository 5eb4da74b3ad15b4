"""`calibrate --from host`: plan, measure in rounds, fit, and give a profile of this machine.

Random networks are measured in several setups (precision, threads) by turns, so that a campaign
that is cut short has something of each. Everything measured is in a journal: the same call with
the same journal goes on where it was stopped, and the time spent so far counts.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.calibration.host_fit import FittedTarget, fit_targets
from perfmodel.calibration.host_profile import host_profile
from perfmodel.calibration.next_networks import Planner
from perfmodel.calibration.turns import check_budget, next_setup, not_fitted, ordered, spent_s
from perfmodel.devices.profile import DeviceProfile
from perfmodel.errors import PerfmodelError, RunnerError
from perfmodel.graph.ir import Graph
from perfmodel.kernels import macs
from perfmodel.kernels.kernel import KernelTable
from perfmodel.runners.campaign import result_from_entry, usual_reference_ms
from perfmodel.runners.host_bench import LOADS, HostBench, RunConfig, in_situ
from perfmodel.runners.host_frameworks import DEFAULT, HostFramework, host_framework
from perfmodel.runners.journal import Journal
from perfmodel.runners.progress import ProgressBar
from perfmodel.runners.random_micro import is_micro, random_micro
from perfmodel.runners.random_nets import (
    DRAWING,
    MAX_MACS,
    random_image,
    random_named,
    random_network,
    random_recurrent,
    random_staged,
)
from perfmodel.runners.runner import MachineFacts, machine_to_dict
from perfmodel.runners.samples import Sample, sample
from perfmodel.runners.scaling import Scaling, ScalingWatch, networks_of
from perfmodel.target import check_device

FIT_SHARE = 0.15
"""Share of the budget that is kept for fitting, by judgement: fitting 900 networks takes one to
two minutes, of the ten that a usual campaign has."""
CANDIDATES = 1000
"""Random networks to choose from: more than a budget of ten minutes can measure."""
MICRO_CANDIDATES = 250
"""Networks of microcontrollers to draw from: one a turn, of which ten minutes hold about 250."""
TURN = 4
"""Networks that a setup measures before the next one has its turn, beside one of a
microcontroller: that is measured in a tenth of the time, and the plan, which knows the zoo only,
would take none."""
LOADED_OFTEN = 48
"""Networks of a setup that are loaded cold several times: the costs of a first run are known
from as many, and the time that loading takes measures further networks instead."""
MOVED = "the reference moved while it was measured"
EXPLORE = 0.25
"""Share of networks taken as drawn, whatever the plan says, by judgement: the plan only knows the
networks of the zoo, and what it thinks alike may not be."""


@dataclass(frozen=True, kw_only=True)
class HostCalibration:
    """A profile and what it rests on; `lost` counts networks that could not be used, by reason.

    `not_fitted` says of each setup without a target why it has none, `scaling` by threads how many
    times the work of one busy process as many were seen to do.
    """

    profile: DeviceProfile
    fitted: tuple[FittedTarget, ...]
    samples: int
    kernels: int
    spent_s: float
    unknown: Mapping[str, float]
    lost: Mapping[str, int]
    not_fitted: Mapping[str, str]
    machine: MachineFacts
    scaling: Mapping[int, Scaling]
    warning: str


def calibrate_host(
    budget_s: float,
    journal: Path,
    *,
    seed: int = 0,
    framework: str = DEFAULT,
    precisions: Sequence[str] | None = None,
    threads: Sequence[int] | None = None,
    interest: Sequence[Graph] | None = None,
    device: str = "host",
) -> HostCalibration:
    """Measure random networks for about `budget_s` seconds in all and fit this machine's profile.

    `framework` runs them (a name of `runners.host_frameworks`), in `precisions` and with `threads`
    (default: all that it has). `interest` are the networks that predictions are wanted for
    (default: the zoo); none of them is run. A small budget gives fewer targets. Raises
    `RunnerError` without a runtime and, before anything is measured, `MeasurementError` for an
    unusable name of the device or a budget that is too small for one target.
    """
    check_device(device)
    began = time.monotonic()
    by = host_framework(framework)
    setups = ordered(_setups(by, precisions, threads))
    with HostBench(framework=framework, seed=seed) as bench:
        header = _header(bench, seed)
        candidates = [g for g in _drawn(seed) if macs(g) <= 1.5 * MAX_MACS]
        planner = Planner(
            [KernelTable.from_kernels(by.fused(g)) for g in (interest or _zoo())],
            [KernelTable.from_kernels(by.fused(g)) for g in candidates],
        )
        with Journal(journal, header) as book:
            planned_s = time.monotonic() - began
            check_budget(budget_s, planned_s, FIT_SHARE, book.entries)
            measuring_s = budget_s * (1 - FIT_SHARE) - planned_s
            watch = ScalingWatch(book, [s.threads for s in setups])
            _measure(
                book, bench, planner, candidates, setups=setups, budget_s=measuring_s, watch=watch
            )
            scaling = watch.finish()
            entries = networks_of(book.entries)
        machine = bench.runner.describe()
    graphs = _graphs(entries, candidates)
    usual = _usual_reference(entries)
    samples, lost = _samples(entries, graphs, usual, by)
    fitted = fit_targets(samples, seed)
    profile = host_profile(
        device,
        by,
        fitted=fitted,
        samples=samples,
        usual=usual,
        machine=machine,
        scaling=scaling,
    )
    known = {str(s): planner.unknown(_measured(entries, s, candidates)) for s in setups}
    return HostCalibration(
        profile=profile,
        fitted=fitted,
        samples=len(samples),
        kernels=sum(len(s.table) for s in samples),
        spent_s=spent_s(entries.values()),
        unknown=known,
        lost=lost,
        not_fitted=not_fitted(entries, setups, [f.setup for f in fitted]),
        machine=machine,
        scaling=scaling,
        warning=_warning(samples, lost.get(MOVED, 0)),
    )


def _header(bench: HostBench, seed: int) -> dict[str, Any]:
    """What a journal of this calibration belongs to; raises `RunnerError` without a runtime."""
    build = bench.runner.describe().facts["runtime"]
    own = {} if bench.framework.name == DEFAULT else {"framework": bench.framework.name}
    return {"calibrate": "host", "seed": seed, "drawing": DRAWING, "runtime": build, **own}


def _setups(
    by: HostFramework, precisions: Sequence[str] | None, threads: Sequence[int] | None
) -> list[RunConfig]:
    """What is measured; raises `RunnerError` for a precision that the framework does not run."""
    for precision in precisions or ():
        by.stored(precision)
    return [
        RunConfig(p, t)
        for t in sorted(threads or by.threads)
        for p in (precisions or by.precisions)
        if (p, t) not in by.skipped
    ]


def _drawn(seed: int) -> list[Graph]:
    """Candidates in random order; of nine three are recurrent layers, which are timed alone, three
    networks of stages, one an image network. Those of microcontrollers come last."""
    first = seed * 1_000_000
    kinds = {2: random_recurrent, 5: random_recurrent, 8: random_recurrent, 4: random_image}
    kinds |= dict.fromkeys((1, 3, 7), random_staged)
    usual = [kinds.get(i % 9, random_network)(first + i) for i in range(CANDIDATES)]
    return usual + [random_micro(first + i) for i in range(MICRO_CANDIDATES)]


def _zoo() -> list[Graph]:
    from perfmodel import zoo

    return [zoo.build(name) for name in zoo.mobile_names()]


def _measured(
    entries: Mapping[str, Any], setup: RunConfig, candidates: Sequence[Graph]
) -> list[int]:
    place = {g.name: i for i, g in enumerate(candidates)}
    prefix = f"{setup}/"
    # journals of before may hold networks that are no candidates any more
    found = (place.get(k[len(prefix) :]) for k in entries if k.startswith(prefix))
    return [i for i in found if i is not None]


def _graphs(entries: Mapping[str, Any], candidates: Sequence[Graph]) -> dict[str, Graph]:
    """The networks of a journal by name; those that are no candidates any more are drawn again."""
    known = {g.name: g for g in candidates}
    names = dict.fromkeys(key.rpartition("/")[2] for key in entries)
    return {name: known.get(name) or random_named(name) for name in names}


def _measure(
    book: Journal,
    bench: HostBench,
    planner: Planner,
    candidates: Sequence[Graph],
    *,
    setups: Mapping[RunConfig, float],
    budget_s: float,
    watch: ScalingWatch,
) -> None:
    """Take turns until the budget, less what the journal has already spent, is used up."""
    started = time.monotonic() - spent_s(book.entries.values())
    often = {setup: _often(book.entries, setup) for setup in setups}
    with ProgressBar("calibrating", budget_s) as bar:
        while (elapsed := time.monotonic() - started) < budget_s:
            setup = next_setup(book.entries, setups)
            turn = _turn(book, bench.framework, planner, candidates, setup)
            if not turn:
                break
            for number in turn:
                elapsed = time.monotonic() - started
                if elapsed >= budget_s:
                    break
                graph = candidates[number]
                watch.look()
                bar.show(elapsed, f"{setup} {graph.name}")
                expected_ms = float(planner.expected_ms[number])
                loads = LOADS if often[setup] < LOADED_OFTEN else 1
                found = _entry(bench, graph, setup, expected_ms, loads)
                book.add(f"{setup}/{graph.name}", found)
                often[setup] += bool(found.get("loads"))


def _often(entries: Mapping[str, Any], setup: RunConfig) -> int:
    """Networks of a setup that were loaded several times."""
    return sum(bool(e.get("loads")) for k, e in entries.items() if k.startswith(f"{setup}/"))


def _turn(
    book: Journal,
    by: HostFramework,
    planner: Planner,
    candidates: Sequence[Graph],
    setup: RunConfig,
) -> list[int]:
    done = _measured(book.entries, setup, candidates)
    free = np.ones(len(candidates), dtype=bool)
    free[done] = False
    refused = by.refused.get(setup.precision, frozenset())
    free &= [refused.isdisjoint(op.kind for op in g.ops) for g in candidates]
    # candidates are random themselves: the first that is free is a random draw
    small = np.array([is_micro(g.name) for g in candidates])
    micro, random = _first(free & small), _first(free & ~small)
    random = random if sum(not small[i] for i in done) % int(1 / EXPLORE) == 0 else []
    free[random] = False
    planned = planner.choose([*done, *random], TURN - len(random), free & ~small)
    return micro + random + planned


def _first(free: np.ndarray) -> list[int]:
    """The first free candidate, if there is one."""
    return [int(np.argmax(free))] if free.any() else []


def _entry(
    bench: HostBench, graph: Graph, setup: RunConfig, expected_ms: float, loads: int
) -> dict[str, Any]:
    """Measure one network; what the runtime refuses is kept as a reason."""
    began = time.monotonic()
    path = None
    try:
        path = bench.write(graph, setup.precision)
        entry = bench.measure(graph.name, path, setup, in_situ(expected_ms), loads=loads)
        alone = len(bench.framework.fused(graph)) == 1
        if not (alone or bench.framework.tells_operators()):
            entry["pieces"] = bench.measure_pieces(graph.name, graph, setup)
    except PerfmodelError as error:
        entry = {"refused": str(error).replace(f"{bench.folder}/", "")}
    finally:
        if path is not None:
            bench.discard(path)
    return {**entry, "spent_s": time.monotonic() - began}


def _usual_reference(entries: Mapping[str, Any]) -> dict[RunConfig, float]:
    """Median time of each setup's reference over the campaign, in ms."""
    results: dict[RunConfig, list[Any]] = {}
    for key, entry in entries.items():
        if "sets" in entry:
            setup = RunConfig.parse(key.rpartition("/")[0])
            results.setdefault(setup, []).append(result_from_entry(key, entry))
    return {setup: usual_reference_ms(found) for setup, found in results.items()}


def _samples(
    entries: Mapping[str, Any],
    graphs: Mapping[str, Graph],
    usual: Mapping[RunConfig, float],
    by: HostFramework,
) -> tuple[list[Sample], dict[str, int]]:
    found: list[Sample] = []
    lost: Counter[str] = Counter()
    for key, entry in entries.items():
        text, _, name = key.rpartition("/")
        setup = RunConfig.parse(text)
        try:
            if "refused" in entry:
                raise RunnerError(str(entry["refused"]))
            found.append(sample(key, graphs[name], setup, entry, usual[setup], by))
        except RunnerError as error:
            lost[error.message] += 1
    steady = [s for s in found if s.stable]
    # on a machine that never stands still, moving references are all there is
    if len(steady) >= len(found) / 2:
        lost[MOVED] += len(found) - len(steady)
        found = steady
    return found, {k: v for k, v in lost.items() if v}


def _warning(samples: Sequence[Sample], left_out: int) -> str:
    """In words, where more than a fifth of all networks saw the reference move."""
    moved = left_out + sum(not s.stable for s in samples)
    total = left_out + len(samples)
    if 5 * moved <= total:
        return ""
    return (
        f"unstable: the reference moved by more than 5 % around {moved} of {total} networks; "
        "stop what else runs on this machine and calibrate again with a new --journal"
    )


def calibration_to_dict(done: HostCalibration) -> dict[str, Any]:
    """Plain data of a calibration without its models."""
    return {
        "device": done.profile.device,
        "samples": done.samples,
        "kernels": done.kernels,
        "measuring_s": done.spent_s,
        "targets": [
            {
                "target": str(t.target),
                "error_median": t.error.median,
                "error_mean": t.error.mean,
                "networks": t.error.cases,
                "within_10": float(np.mean(np.abs(np.expm1(-np.array(f.left_out))) <= 0.1)),
                "overhead_ms": t.predictor.overhead_ms,
                "interval": t.interval.to_dict(),
            }
            for t, f in zip(done.profile.targets, done.fitted, strict=True)
        ],
        "unknown_share": dict(done.unknown),
        "lost": dict(done.lost),
        "not_fitted": dict(done.not_fitted),
        "machine": machine_to_dict(done.machine),
        "scaling": {str(n): found.to_dict() for n, found in done.scaling.items()},
        "warning": done.warning,
    }
