"""`validate partition`: predict every cut of a network, write it down, run the pieces, compare.

A plan is run as a chain: its pieces are .tflite files of their own, loaded together, invoked in
turn, and each tensor that crosses a cut is copied from the piece that made it to those that read
it. Every plan is timed between sets of the reference network, so that drift cancels.

Layer times come from a profile of this host (`calibrate --from host`); without one, from the
operator profile of the whole network, which then tests additivity and the cost of cutting only.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.devices.profile import DeviceProfile, read_profile
from perfmodel.errors import MeasurementError, PerfmodelError, RunnerError
from perfmodel.experiments.host import usual_reference_of
from perfmodel.experiments.partition_result import NetworkOutcome, PartitionValidation
from perfmodel.experiments.scores import Case
from perfmodel.files import write_atomically
from perfmodel.formats.load import load
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import Kernel, KernelTable
from perfmodel.plans.criteria import cuts
from perfmodel.plans.curve import CutCurve, cut_curve
from perfmodel.plans.layers import LayerGraph, layer_graph
from perfmodel.plans.problem import Problem, times_by_layer
from perfmodel.plans.segments import prefix_states, segment_costs
from perfmodel.plans.units import Transfer, Unit
from perfmodel.runners.campaign import Discipline, instability_warning, result_from_entry
from perfmodel.runners.host_bench import HostBench, RunConfig
from perfmodel.runners.journal import Journal
from perfmodel.runners.litert_profiler import profiler_available
from perfmodel.runners.progress import ProgressBar
from perfmodel.runners.runner import Job, MachineFacts
from perfmodel.runners.samples import operator_us, whole_ms
from perfmodel.runners.tflite_align import align
from perfmodel.runners.tflite_chain import ChainPiece, ChainRunner, write_pieces
from perfmodel.runners.tflite_operators import written_steps
from perfmodel.runners.worker import WorkerDied

NETWORKS = (
    *("squeezenet_1_1", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2"),
    *("nin", "squeezenet_1_0", "resnet18", "efficientnet_b0", "mobilenet_v1@width=0.5"),
)
SETUP = RunConfig("fp32", 1)
MOST_CUTS = 40
"""Cut points of a network that are run; more are sampled evenly."""
WHOLE = Discipline(sets=5, runs=3, max_runs=30, set_ms=60.0, warmups=1, reference_runs=4)
PLAN = Discipline(sets=3, runs=2, max_runs=30, set_ms=40.0, warmups=1, reference_runs=3)
REMATCH = Discipline(sets=5, runs=3, max_runs=40, set_ms=60.0, warmups=1, reference_runs=4)
_FIXED_S = 0.45
"""Writing and loading a plan's pieces, about."""


@dataclass(frozen=True)
class PricedNetwork:
    """A network with what its plans are priced from."""

    model: str
    layers: LayerGraph
    unit: Unit
    plans: Mapping[str, tuple[int, ...]]
    predicted_ms: Mapping[str, float]

    @property
    def curve(self) -> CutCurve:
        """Predicted latency over the cut point."""
        return cut_curve(Problem(self.layers, (self.unit,)))


def run_partition(
    journal: Path,
    *,
    profile: Path | None = None,
    models: Sequence[str] = NETWORKS,
    budget_s: float = 240.0,
    most_cuts: int = MOST_CUTS,
    predictions: Path | None = None,
) -> PartitionValidation:
    """Predict all plans, write them to `predictions` (default: beside the journal), run, compare.

    `profile` is a profile of this host with a tflite CPU target (fp32, 1 thread). Cut points are
    sampled evenly where they are more than `most_cuts` or the budget allows. The same call with
    the same journal goes on where it was stopped. Raises `RunnerError` without a TFLite runtime.
    """
    host = read_profile(profile) if profile is not None else None
    if host is None and not profiler_available():
        raise RunnerError(
            "no operator times: this runtime's profiler cannot be reached",
            "give a profile of this host: perfmodel calibrate --from host",
        )
    began, share_s = time.monotonic(), budget_s / len(models)
    left_out: dict[str, str] = {}
    header = {"validate": "partition", "profile": host.device if host else "none"}
    with Journal(journal, header) as book, HostBench() as bench:
        handover, invoke_ms = _handover(book, bench)
        with ProgressBar("validating cuts", budget_s) as bar:
            networks = []
            for model in models:
                bar.show(time.monotonic() - began, f"{model}: whole")
                try:
                    networks.append(
                        _network(
                            book=book,
                            bench=bench,
                            model=model,
                            host=host,
                            handover=(handover, invoke_ms),
                            allowance_s=share_s,
                            most_cuts=most_cuts,
                        )
                    )
                except PerfmodelError as error:
                    left_out[model] = str(error)
            _write(networks, predictions or journal.with_suffix(".predictions.json"))
            for network in networks:
                _run(book, bench, network, lambda what: bar.show(time.monotonic() - began, what))
        entries = dict(book.entries)
        machine = bench.runner.describe()
    return _compare(
        networks=networks,
        entries=entries,
        host=host,
        handover=handover,
        machine=machine,
        left_out=left_out,
        spent_s=time.monotonic() - began,
    )


def _handover(book: Journal, bench: HostBench) -> tuple[Transfer, float]:
    """Handing a tensor from one file to the next, and ms of invoking one more, on this machine."""
    if "handover" not in book:
        book.add("handover", bench.worker.call("handover", folder=str(bench.folder)))
    entry = book.entries["handover"]
    sizes, times = np.array(entry["size_bytes"], float), np.array(entry["latency_ms"])
    # relative least squares of fixed + bytes / rate
    (fixed, slope), *_ = np.linalg.lstsq(
        np.column_stack([1 / times, sizes / times]), np.ones(len(sizes)), rcond=None
    )
    line = Transfer(max(float(fixed), 0.0), 1.0 / max(float(slope), 1e-12))
    return line, float(entry["invoke_ms"])


def _network(
    book: Journal,
    bench: HostBench,
    model: str,
    host: DeviceProfile | None,
    handover: tuple[Transfer, float],
    allowance_s: float,
    most_cuts: int,
) -> PricedNetwork:
    graph = load(model)
    kernels = fuse(graph, "tflite-cpu")
    layers = layer_graph(graph, kernels)
    # the network's own inputs are filled once and cross no cut
    layers = replace(layers, crossings=tuple(c for c in layers.crossings if c.maker >= 0))
    key = f"{model}/operators"
    if key not in book:
        path = bench.write(graph, SETUP.precision)
        try:
            entry = bench.measure(key, path, SETUP, WHOLE, profile=host is None)
        except WorkerDied as died:
            entry = {"refused": str(died)}
        book.add(key, entry)
        path.unlink(missing_ok=True)
    if "refused" in book.entries[key]:
        raise RunnerError(book.entries[key]["refused"])
    result = result_from_entry(key, book.entries[key])
    seen_ms = whole_ms(result, _usual_reference(host, result))
    if host is None:
        per_op = operator_us(result, _usual_reference(host, result))
        overhead = handover[1]
        steps = written_steps(graph, "float32", kernels)
        times = times_by_layer(layers, kernels, align(steps, len(kernels), per_op))
        # the profiler slows operators a little and counts whole microseconds: the sum is the whole
        times = times * max(seen_ms - overhead, 0.0) / max(float(times.sum()), 1e-12)
        name = "host/cpu/tflite/fp32/t1"
    else:
        times, overhead, name = _from_profile(layers, kernels, host)
    unit = Unit(name="cpu", target=name, layer_ms=times, dispatch_ms=overhead, inward=handover[0])
    plans = _plans(layers, allowance_s, seen_ms, most_cuts)
    return PricedNetwork(model, layers, unit, plans, _predict(layers, unit, plans))


def _usual_reference(host: DeviceProfile | None, result: Any) -> float:
    """The reference's time: the calibration's, or that of the network's own sets."""
    if host is not None:
        return usual_reference_of(host, SETUP)
    return statistics.median(s.reference_ms for s in result.sets)


def _from_profile(
    layers: LayerGraph, kernels: Sequence[Kernel], host: DeviceProfile
) -> tuple[np.ndarray, float, str]:
    for one in host.targets:
        t = one.target
        if (t.framework, t.precision, t.threads) == ("tflite", SETUP.precision, SETUP.threads):
            times = one.predictor.parts_ms(KernelTable.from_kernels(kernels)).sum(axis=1)
            return times_by_layer(layers, kernels, times), one.predictor.overhead_ms, str(t)
    raise RunnerError(
        f"profile {host.device} has no target tflite/{SETUP}",
        "make one with `perfmodel calibrate --from host`",
    )


def _plans(
    layers: LayerGraph, allowance_s: float, whole: float, most_cuts: int
) -> dict[str, tuple[int, ...]]:
    """Cut points by name: the whole, the criteria with K = 2, 3, 4, and single cuts."""
    n = len(layers)
    plans: dict[str, tuple[int, ...]] = {"whole": ()}
    for criterion in ("layer-count", "param-count"):
        for k in (2, 3, 4):
            if k <= n:
                plans[f"{criterion} K={k}"] = cuts(layers, criterion, k)
    by_type = cuts(layers, "layer-type", None)
    if 0 < len(by_type) < 4:
        plans["layer-type"] = by_type
    runs = PLAN.sets * (PLAN.warmups + max(PLAN.runs, PLAN.set_ms / whole)) + 1
    each_s = _FIXED_S + runs * whole / 1e3
    count = int(np.clip(allowance_s / each_s - len(plans), 3, min(most_cuts, n - 1)))
    for place in np.unique(np.linspace(1, n - 1, count).round().astype(int)).tolist():
        plans[f"cut {place}"] = (place,)
    return plans


def _predict(
    layers: LayerGraph, unit: Unit, plans: Mapping[str, tuple[int, ...]]
) -> dict[str, float]:
    costs = segment_costs(layers, prefix_states(layers), [unit]).latency_ms[0]
    ends = {name: (0, *places, len(layers)) for name, places in plans.items()}
    return {name: float(sum(costs[a, b] for a, b in pairwise(e))) for name, e in ends.items()}


def _write(networks: Sequence[PricedNetwork], path: Path) -> None:
    """All predictions as JSON, before any plan is run."""
    rows = [{"model": n.model, "predicted_ms": dict(n.predicted_ms)} for n in networks]
    write_atomically(path, json.dumps({"predictions": rows}, indent=1) + "\n")


def _run(
    book: Journal, bench: HostBench, network: PricedNetwork, show: Callable[[str], None]
) -> None:
    """Run a network's plans, then its chosen and its best cut again, by turns."""
    graph = network.layers.ordered_graph()
    chains: dict[str, tuple[ChainPiece, ...]] = {}
    runner = ChainRunner(bench.worker, chains)

    def measure(name: str, key: str, discipline: Discipline) -> None:
        if key in book:
            return
        show(f"{network.model}: {name}")
        places = [network.layers.op_range(p, p)[0] for p in network.plans[name]]
        chains[key] = write_pieces(graph, places, bench.folder)
        job = Job(key, chains[key][0].path, SETUP.threads, SETUP.precision)
        try:
            entry = bench.timed(runner, job, SETUP, discipline)
        except RunnerError as error:
            entry = {"refused": str(error)}
        book.add(key, entry)
        for piece in chains[key]:
            piece.path.unlink(missing_ok=True)

    for name in network.plans:
        measure(name, f"{network.model}/{name}", PLAN)
    chosen, best = chosen_and_best(network, book.entries)
    if chosen and best and chosen != best:
        for name in (chosen, best):
            measure(name, f"{network.model}/{name}/again", REMATCH)


def chosen_and_best(network: PricedNetwork, entries: Mapping[str, Any]) -> tuple[str, str]:
    """The single cut predicted to be the fastest, and the one measured so; "" where none was."""
    seen = {
        name: result_from_entry(name, entries[key]).ratio
        for name in network.plans
        if name.startswith("cut ") and "sets" in entries.get(key := f"{network.model}/{name}", {})
    }
    if not seen:
        return "", ""
    return min(seen, key=lambda n: network.predicted_ms[n]), min(seen, key=lambda n: seen[n])


def _compare(
    networks: Sequence[PricedNetwork],
    entries: Mapping[str, Any],
    host: DeviceProfile | None,
    handover: Transfer,
    machine: MachineFacts,
    left_out: Mapping[str, str],
    spent_s: float,
) -> PartitionValidation:
    cases: list[Case] = []
    plans: list[str] = []
    outcomes, results = [], []
    for network in networks:
        whole = result_from_entry("", entries[f"{network.model}/operators"])
        usual_ms = _usual_reference(host, whole)
        mine: dict[str, Case] = {}
        for name, predicted in network.predicted_ms.items():
            entry = entries.get(f"{network.model}/{name}", {})
            if "sets" not in entry:
                continue
            result = result_from_entry(f"{network.model}/{name}", entry)
            results.append(result)
            measured_ms = whole_ms(result, usual_ms)
            mine[name] = _case(network, predicted, _interval(host, predicted), measured_ms)
        cases += mine.values()
        plans += mine
        if any(name.startswith("cut ") for name in mine):
            outcomes.append(_outcome(network, mine, entries))
    if not cases:
        raise MeasurementError("no plan was measured", "give a larger --budget")
    source = (
        f"profile {host.device}"
        if host
        else "the operator profile of each whole network: this "
        "tests that times add up and what a cut costs, not the prediction of operators"
    )
    warning = instability_warning(results)
    return PartitionValidation(
        cases=tuple(cases),
        plans=tuple(plans),
        networks=tuple(outcomes),
        source=source,
        handover=handover,
        machine=machine,
        warning=warning,
        left_out=dict(left_out),
        spent_s=spent_s,
    )


def _case(
    network: PricedNetwork,
    predicted_ms: float,
    interval_ms: tuple[float, float],
    measured_ms: float,
) -> Case:
    return Case(
        model=network.model,
        target=network.unit.target,
        predicted_ms=predicted_ms,
        low_ms=interval_ms[0],
        high_ms=interval_ms[1],
        measured_ms=measured_ms,
    )


def _interval(host: DeviceProfile | None, predicted: float) -> tuple[float, float]:
    """The profile's own interval; without a profile there is none and it is the point."""
    for one in host.targets if host else ():
        if (one.target.precision, one.target.threads) == (SETUP.precision, SETUP.threads):
            return one.interval.around(predicted)
    return predicted, predicted


def _outcome(
    network: PricedNetwork, mine: Mapping[str, Case], entries: Mapping[str, Any]
) -> NetworkOutcome:
    single = {name: case for name, case in mine.items() if name.startswith("cut ")}
    chosen, best = chosen_and_best(network, entries)
    again = [f"{network.model}/{name}/again" for name in (chosen, best)]
    ratio = 1.0
    if chosen != best and all("sets" in entries.get(k, {}) for k in again):
        first, second = (result_from_entry(k, entries[k]).ratio for k in again)
        ratio = first / second
    return NetworkOutcome(
        model=network.model,
        layers=len(network.layers),
        cuts=len(single),
        mape=float(np.mean([abs(c.error) for c in single.values()])),
        whole_error=mine["whole"].error if "whole" in mine else float("nan"),
        chosen=chosen,
        best=best,
        chosen_over_best=ratio,
        curve=network.curve,
        measured_ms={network.plans[name][0]: case.measured_ms for name, case in single.items()},
    )
