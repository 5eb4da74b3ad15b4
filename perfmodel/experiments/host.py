"""`validate host`: write the predictions down, run the true networks, compare.

The networks are the zoo's and real files, none of which the calibration ran. Each is timed between
sets of the reference network; a tenth of them is timed once more at the end, which tells how well
the campaign repeats itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.calibration.host_profile import changed_scaling, reference_fact
from perfmodel.calibration.yardsticks import Yardstick, drifts, yardsticks_of
from perfmodel.devices.profile import DeviceProfile, read_profile
from perfmodel.errors import PerfmodelError, ProfileError, RunnerError
from perfmodel.experiments.host_cases import Predicted, predict_cases, setups_of
from perfmodel.experiments.host_result import HostValidation, KernelError
from perfmodel.experiments.scores import Case
from perfmodel.files import content_digest, write_atomically
from perfmodel.formats.sizes import Sizes, written
from perfmodel.graph.ops import Shape
from perfmodel.kernels.kernel import KernelTable
from perfmodel.runners.campaign import Discipline, instability_warning, result_from_entry
from perfmodel.runners.host_bench import LOADS, HostBench, RunConfig
from perfmodel.runners.host_frameworks import DEFAULT, HostFramework, host_framework
from perfmodel.runners.journal import Journal
from perfmodel.runners.progress import ProgressBar
from perfmodel.runners.runner import MachineFacts
from perfmodel.runners.samples import first_run, operator_us, whole_ms
from perfmodel.runners.scaling import ScalingWatch, networks_of

REPEATS = "#2"
SET_MS = 40.0
"""Length of a set of a short network: several time slices of the system's scheduler."""
LONGEST_PROFILED_MS = 400.0
"""Operators of longer networks are not timed: their whole times are."""


def validate_host(
    profile_path: Path,
    journal: Path,
    *,
    budget_s: float,
    models: Sequence[str] | None = None,
    files: Sequence[Path] = (),
    predictions: Path | None = None,
    retry: bool = False,
    framework: str = DEFAULT,
    shapes: Mapping[str, Shape] | None = None,
) -> HostValidation:
    """Predict, write the predictions to `predictions` (default: beside the journal), run, compare.

    `models` are zoo specs (default: all), `files` those of the `framework` that runs them, and
    `shapes` the sizes of inputs that files leave open, by name ("" for the only one). Networks are
    run from the quickest to the slowest until the budget is spent. What the journal holds is not
    run again, but for files whose content has changed and, with `retry`, networks that the runtime
    refused or died of. Raises `ProfileError` if the profile is not one of this host's.
    """
    by = host_framework(framework)
    profile = read_profile(profile_path)
    if not setups_of(profile, by.name):
        named = "" if by.name == DEFAULT else f" --framework {by.name}"
        raise ProfileError(
            f"{profile_path}: has no {by.name} target on a CPU",
            f"make one with `perfmodel calibrate --from host{named}`",
        )
    wanted = _zoo_names() if models is None else models
    predicted, refused = predict_cases(profile, wanted, files, by, shapes)
    write_predictions(predicted, predictions or journal.with_suffix(".predictions.json"))
    header = {"validate": "host", "profile": profile.device, "build": _build(profile)}
    with Journal(journal, header) as book, HostBench(framework=by.name) as bench:
        watch = ScalingWatch(book, [s.threads for s in setups_of(profile, by.name)])
        yardsticks = yardsticks_of(profile)
        _run(book, bench, predicted, yardsticks, budget_s=budget_s, retry=retry, watch=watch)
        scaling = watch.finish()
        entries = networks_of(book.entries)
        machine = bench.runner.describe()
    spent = sum(float(e.get("spent_s", 0.0)) for e in entries.values())
    done = _compare(
        profile, by, predicted, entries, refused=refused, machine=machine, spent_s=spent
    )
    told = " ".join(filter(None, [done.warning, changed_scaling(profile, scaling)]))
    by_threads = {str(n): found.to_dict() for n, found in scaling.items()}
    return replace(done, scaling=by_threads, warning=told)


def _zoo_names() -> tuple[str, ...]:
    from perfmodel import zoo

    return zoo.mobile_names()


def _build(profile: DeviceProfile) -> str:
    return profile.targets[0].provenance.build


def write_predictions(predicted: Sequence[Predicted], path: Path) -> None:
    """The predictions as JSON, before anything is run."""
    rows = [
        {
            "model": p.model,
            "target": p.prediction.target,
            "predicted_ms": p.prediction.latency_ms,
            "low_ms": p.prediction.interval_ms[0],
            "high_ms": p.prediction.interval_ms[1],
            "extrapolated": p.prediction.extrapolated,
            "first_ms": p.first_ms,
            "uncovered_ops": list(p.prediction.uncovered_ops),
        }
        for p in predicted
    ]
    write_atomically(path, json.dumps({"predictions": rows}, indent=1) + "\n")


def _run(
    book: Journal,
    bench: HostBench,
    predicted: Sequence[Predicted],
    yardsticks: Sequence[Yardstick],
    *,
    budget_s: float,
    retry: bool,
    watch: ScalingWatch,
) -> None:
    """Network by network, quickest first, in all its setups, with yardsticks evenly in between;
    then some networks once more."""
    total: dict[str, float] = {}
    for p in predicted:
        total[p.model] = total.get(p.model, 0.0) + p.prediction.latency_ms
    order = sorted(predicted, key=lambda p: (total[p.model], p.model, p.setup.precision))
    again = [replace(p, key=p.key + REPEATS) for p in order[:: max(1, len(order) // 24)]]
    began = time.monotonic() - sum(float(e.get("spent_s", 0)) for e in book.entries.values())
    with ProgressBar("validating", budget_s) as bar:
        for number, p in enumerate([*order, *again]):
            elapsed = time.monotonic() - began
            if elapsed > budget_s and number < len(order):
                continue
            if elapsed > 1.1 * budget_s or _kept(book, bench.framework, p, retry):
                continue
            if p.key.endswith(REPEATS) and "sets" not in book.entries.get(_base(p.key), {}):
                continue
            watch.look()
            bar.show(elapsed, f"{p.setup} {p.model}")
            book.add(p.key, _entry(bench, p))
            due = (number + 1) * len(yardsticks) // len(order)
            for one in yardsticks[:due]:
                if one.key not in book:
                    book.add(one.key, _yardstick_entry(bench, one))
            if number + 1 == len(order) or order[min(number + 1, len(order) - 1)].model != p.model:
                for path in bench.folder.glob(f"{p.model}_*{bench.framework.suffix}"):
                    bench.discard(path)


def _kept(book: Journal, by: HostFramework, p: Predicted, retry: bool) -> bool:
    """Whether the journal has this very network, and it is not to be tried again."""
    entry = book.entries.get(p.key)
    if entry is None or (retry and "refused" in entry):
        return False
    # journals of before hold no digest
    return p.path is None or entry.get("content", "") in ("", _content(by, p))


def _content(by: HostFramework, p: Predicted) -> str:
    """What tells whether the files of a network, and the sizes that it was given, are the same."""
    assert p.path is not None
    digests = [_digest(file) for file in by.files(p.path)]
    given = written(Sizes(shapes=p.shapes))
    return "+".join(filter(None, [*digests, given]))


def _digest(path: Path) -> str:
    """The digest of a file, "" where it cannot be read: its runner will say so."""
    try:
        return content_digest(path)
    except OSError:
        return ""


def discipline_for(predicted_ms: float) -> Discipline:
    """Sets for a network of about that time: long ones are run once a set."""
    runs = int(np.clip(SET_MS / max(predicted_ms, 1e-3), 1, 60))
    return Discipline(
        sets=7 if predicted_ms < 300 else 3,
        runs=runs,
        max_runs=60,
        set_ms=SET_MS,
        warmups=1 if predicted_ms < 300 else 0,
        reference_runs=8,
    )


def _entry(bench: HostBench, p: Predicted) -> dict[str, Any]:
    began = time.monotonic()
    predicted = p.prediction.latency_ms
    profiled = predicted < LONGEST_PROFILED_MS and p.setup.threads == 1
    try:
        path = _file(bench, p)
        entry = bench.measure(
            p.key,
            path,
            p.setup,
            discipline_for(predicted),
            profile=profiled,
            loads=LOADS,
            shapes=p.shapes,
        )
        if p.path is not None and path != p.path:
            bench.discard(path)
    except PerfmodelError as error:
        told = str(error).replace(f"{bench.folder}/", "")
        if p.path is not None:
            told = told.replace(f"{p.path.parent}/", "")
        entry = {"refused": told[:300]}
    content = {} if p.path is None else {"content": _content(bench.framework, p)}
    return {**entry, **content, "spent_s": time.monotonic() - began}


def _file(bench: HostBench, p: Predicted) -> Path:
    """The file that is run: of the zoo's networks one of random weights, a real one otherwise."""
    if p.path is None:
        return bench.write(p.graph, p.setup.precision)
    missing = [file.name for file in bench.framework.files(p.path) if not file.is_file()]
    if missing and p.path.suffix == bench.framework.suffix:
        raise RunnerError(f"{p.path.name}: {missing[0]} is not beside it")
    return bench.runnable(p.path, p.setup.precision, p.shapes)


def _yardstick_entry(bench: HostBench, one: Yardstick) -> dict[str, Any]:
    began = time.monotonic()
    path = bench.write(one.graph, one.setup.precision)
    try:
        entry = bench.measure(one.key, path, one.setup, discipline_for(one.then_ms), profile=False)
    except RunnerError as error:
        entry = {"refused": str(error)[:300]}
    bench.discard(path)
    return {**entry, "spent_s": time.monotonic() - began}


def _compare(
    profile: DeviceProfile,
    by: HostFramework,
    predicted: Sequence[Predicted],
    entries: Mapping[str, Any],
    *,
    refused: Mapping[str, str],
    machine: MachineFacts,
    spent_s: float,
) -> HostValidation:
    left_out = dict(refused)
    usual = {s: usual_reference_of(profile, s) for s in dict.fromkeys(p.setup for p in predicted)}
    drift = drifts(yardsticks_of(profile), entries, usual)
    cases, first, kernels, results = [], [], [], []
    for p in predicted:
        entry = entries.get(p.key)
        if entry is None or "refused" in entry:
            left_out[p.key] = "the budget was spent" if entry is None else entry["refused"]
            continue
        result = result_from_entry(p.key, entry)
        results.append(result)
        usual_ms = usual[p.setup] / drift[p.setup]
        case = _case(p, whole_ms(result, usual_ms))
        cases.append(case)
        run = first_run(_table(p, by), p.setup, result, entry, usual_ms)
        if p.first_ms is not None:
            # the first run is predicted without an interval: both ends are the point
            point = replace(case, predicted_ms=p.first_ms, low_ms=p.first_ms, high_ms=p.first_ms)
            first.append(replace(point, measured_ms=run.first_ms))
        kernels.extend(_kernel_errors(p, by, result, usual_ms))
    again = [
        abs(_timed_ms(k, entries[k], usual) / _timed_ms(k, entries[_base(k)], usual) - 1)
        for k in entries
        if k.endswith(REPEATS) and "sets" in entries[k] and "sets" in entries[_base(k)]
    ]
    return HostValidation(
        cases=tuple(cases),
        files=frozenset(p.model for p in predicted if p.path is not None),
        first=tuple(first),
        kernels=tuple(kernels),
        repeat=float(np.median(again)) if again else None,
        repeats=len(again),
        left_out=left_out,
        machine=machine,
        warning=instability_warning(results),
        spent_s=spent_s,
        drift={str(setup): change for setup, change in drift.items()},
    )


def _case(p: Predicted, measured_ms: float) -> Case:
    low_ms, high_ms = p.prediction.interval_ms
    return Case(
        model=p.model,
        target=p.prediction.target,
        predicted_ms=p.prediction.latency_ms,
        low_ms=low_ms,
        high_ms=high_ms,
        measured_ms=measured_ms,
    )


def _table(p: Predicted, by: HostFramework) -> KernelTable:
    return KernelTable.from_kernels(by.fused(p.graph))


def _base(key: str) -> str:
    return key.removesuffix(REPEATS)


def _timed_ms(key: str, entry: Mapping[str, Any], usual: Mapping[RunConfig, float]) -> float:
    usual_ms = usual[RunConfig.parse(key.rpartition("/")[0])]
    return whole_ms(result_from_entry(key, entry), usual_ms)


def usual_reference_of(profile: DeviceProfile, setup: RunConfig) -> float:
    """The reference's time in the calibration, in ms; raises `ProfileError` where it is missing."""
    fact = profile.hardware.get(reference_fact(setup))
    if fact is None or isinstance(fact.value, str):
        raise ProfileError(
            f"profile {profile.device}: hardware.{reference_fact(setup)} is missing",
            "calibrate this machine again",
        )
    return fact.value


def _kernel_errors(
    p: Predicted, by: HostFramework, result: Any, usual_ms: float
) -> list[KernelError]:
    """Kernel by kernel, where the profile can be split; nothing otherwise."""
    per_op = operator_us(result, usual_ms)
    if not per_op:
        return []
    graph = p.graph
    try:
        times = (
            by.file_kernel_us(p.path, graph, per_op)
            if p.path
            else by.kernel_us(graph, p.setup.precision, per_op)
        )
    except RunnerError:
        return []
    if times is None:
        return []
    return [
        KernelError(
            p.model, p.prediction.target, k.name, k.kernel_class, k.latency_ms * 1e3, float(us)
        )
        for k, us in zip(p.prediction.kernels, times, strict=True)
    ]
