"""Prediction, the one path: networks and a target in, milliseconds with an interval out.

A network is its kernels: each is priced by the target's cost model, what the device makes of them
together is added (see `perfmodel.kernel_times`), and all are summed. One network is a batch of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perfmodel.answer import Answer
from perfmodel.cost_models.interval import FitError, Interval
from perfmodel.cost_models.predictor import PARTS
from perfmodel.devices.answering import answering
from perfmodel.devices.energy import Energy, energy_rate
from perfmodel.devices.profile import Provenance
from perfmodel.devices.registry import ProfileFolder, ProfileSource, Resolved
from perfmodel.errors import PerfmodelError, TargetError
from perfmodel.formats.sizes import InputShape
from perfmodel.graph.ir import Graph
from perfmodel.kernel_times import (
    NetworkBatch,
    PricedKernels,
    kernel_times,
    network_batch,
    slow_storage,
)
from perfmodel.kernels.precisions import stored_precision
from perfmodel.kernels.titles import kernel_blocks, kernel_title
from perfmodel.known_elsewhere import in_ranges, known_batches, known_on_device
from perfmodel.latency_kinds import another_kind, first_run_time
from perfmodel.target import LATENCY_KINDS
from perfmodel.units import format_ms
from perfmodel.workload import (
    BYTES_OF_PRECISION,
    Workload,
    fusion_rules,
    load_at_batch,
    network_work,
    workload,
)

NOVELTY_LIMIT = 0.05
"""Share of time in kernels outside the fitted range, weighted by how far, from which we say so."""

MOST_UNSURE = 10.0
"""An interval whose ends lie further apart than this factor is no answer: nobody can decide by it.
A stated choice, not a fit."""


@dataclass(frozen=True, kw_only=True)
class KernelPrediction:
    """One kernel of a prediction; `bound` names the largest part of its time.

    `title` says for people what it computes, `block` of which part of the network it is (see
    `kernels.titles`; empty where no parts are plain).
    """

    name: str
    title: str
    block: str
    ops: tuple[str, ...]
    kernel_class: str
    macs: int
    bytes: int
    latency_ms: float
    bound: str


@dataclass(frozen=True, kw_only=True)
class Prediction(Answer, command="predict"):
    """How long one inference of the whole batch takes on a target.

    `interval_ms` covers the true latency with probability `interval_coverage`; `extrapolated` is
    true where the network holds kernels outside what the target's model was fitted on (their names
    in `novel_kernels`). `energy` is that of one inference above idle, None where nobody says what
    the unit draws. `error` and `provenance` tell how good the target's model is and why.
    `precision_reason` says why the target's precision was chosen, where that is not plain; where
    the interval is too wide to be an answer, `unknown` says so and `settle` what would help;
    `stands_for` says which phone or chip of the market was meant and why this target answers. All
    four are empty otherwise. `notes` say what reading the network's file took for granted.
    """

    model: str
    target: str
    kind: str
    batch_size: int
    latency_ms: float
    interval_ms: tuple[float, float]
    interval_coverage: float
    extrapolated: bool
    novelty: float
    novel_kernels: tuple[str, ...]
    macs: int
    params: int
    weights_bytes: int
    peak_activation_bytes: int
    uncovered_ops: tuple[str, ...]
    overhead_ms: float
    kernels: tuple[KernelPrediction, ...]
    error: FitError
    provenance: Provenance
    energy: Energy | None = None
    precision_reason: str = ""
    stands_for: str = ""
    unknown: str = ""
    settle: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BatchPrediction:
    """Latencies of a batch on one target: arrays of shape (networks,), `kernel_ms` (kernels,)."""

    batch: NetworkBatch
    resolved: Resolved
    latency_ms: np.ndarray
    low_ms: np.ndarray
    high_ms: np.ndarray
    novelty: np.ndarray
    times: PricedKernels
    kernel_ms: np.ndarray

    @property
    def extrapolated(self) -> np.ndarray:
        """Where a network holds more than a little outside the target's fitted range."""
        return np.asarray(self.novelty > NOVELTY_LIMIT)

    @property
    def known(self) -> np.ndarray:
        """Where the interval is narrow enough to be an answer."""
        return np.asarray(is_answer(self.low_ms, self.high_ms))

    def unknown(self, i: int) -> str:
        """Why network i has no answer on the target; empty where it has one."""
        return why_unknown(float(self.low_ms[i]), float(self.high_ms[i]))

    def predictions(self, *, per_layer: bool = False) -> list[Prediction]:
        """One `Prediction` a network, with its kernels where `per_layer`."""
        starts = np.searchsorted(self.batch.network, np.arange(len(self.batch) + 1))
        return [
            self._one(i, slice(starts[i], starts[i + 1]), per_layer) for i in range(len(self.batch))
        ]

    def _one(self, i: int, mine: slice, per_layer: bool) -> Prediction:
        fitted, work = self.resolved.target, self.batch.works[i]
        interval = float(self.low_ms[i]), float(self.high_ms[i])
        novel = self.times.novelty[self.times.row[mine]] > 0
        return Prediction(
            model=work.graph.name,
            target=str(fitted.target),
            kind=fitted.latency_kind,
            batch_size=work.graph.batch_size,
            latency_ms=float(self.latency_ms[i]),
            interval_ms=interval,
            interval_coverage=fitted.interval.coverage,
            extrapolated=bool(self.novelty[i] > NOVELTY_LIMIT),
            novelty=float(self.novelty[i]),
            novel_kernels=tuple(work.kernels[j].name for j in np.flatnonzero(novel)),
            macs=work.macs,
            params=work.params,
            weights_bytes=work.weights_bytes,
            peak_activation_bytes=work.peak_activation_bytes,
            uncovered_ops=work.uncovered_ops,
            notes=(*work.graph.notes, *filter(None, [fitted.provenance.assumes])),
            overhead_ms=fitted.predictor.overhead_ms,
            kernels=self._kernels(work, mine) if per_layer else (),
            error=fitted.error,
            provenance=fitted.provenance,
            energy=network_energy(self.resolved, work, float(self.latency_ms[i]), interval),
            precision_reason=self.resolved.precision_reason,
            stands_for=self.resolved.stands_for,
            unknown=self.unknown(i),
            settle="" if self.known[i] else how_to_settle(str(fitted.target)),
        )

    def _kernels(self, work: Workload, mine: slice) -> tuple[KernelPrediction, ...]:
        size = BYTES_OF_PRECISION[self.resolved.target.target.precision]
        heaviest = self.times.parts_ms[self.times.row[mine]].argmax(axis=1)
        return tuple(
            KernelPrediction(
                name=k.name,
                title=kernel_title(k),
                block=block,
                ops=k.fused or (k.name,),
                kernel_class=k.kernel_class,
                macs=k.macs,
                bytes=(k.input_elements + k.weight_elements + k.output_elements) * size,
                latency_ms=float(ms),
                bound=PARTS[h],
            )
            for k, ms, h, block in zip(
                work.kernels,
                self.kernel_ms[mine],
                heaviest,
                kernel_blocks(work.kernels),
                strict=True,
            )
        )


def network_energy(
    resolved: Resolved, work: Workload, latency_ms: float, interval_ms: tuple[float, float]
) -> Energy | None:
    """Energy of an inference that takes so long; None where nobody says what the unit draws."""
    rate = energy_rate(resolved)
    if rate is None:
        return None
    done = network_work(work, resolved.target.target.precision)
    return rate.energy(latency_ms, interval_ms, done)


def is_answer(low_ms: Any, high_ms: Any) -> Any:
    """Whether an interval (numbers or arrays, ms) is narrow enough to be an answer."""
    return high_ms <= MOST_UNSURE * low_ms


def why_unknown(low_ms: float, high_ms: float) -> str:
    """Why an interval (ms) is no answer; empty where it is one."""
    if is_answer(low_ms, high_ms):
        return ""
    low, high = format_ms(low_ms), format_ms(high_ms)
    return f"not known to within a factor of {MOST_UNSURE:g}: {low} to {high}"


def how_to_settle(target: str) -> str:
    """What would make a latency known on a target."""
    return (
        f"measure it, or networks like it: `perfmodel calibrate --suggest 3 --on {target}` names "
        "three, `perfmodel calibrate --from FILE` reads their times; `perfmodel compare "
        f"NETWORK --on '{target.split('/')[0]}/*/*/*'` asks the device's other targets"
    )


def predict_batch(batch: NetworkBatch, resolved: Resolved) -> BatchPrediction:
    """Predict every network of a batch on a target.

    Raises `TargetError` where the target's unit cannot run an operator and no other can.
    """
    times = kernel_times(batch, resolved)
    if times.fallback is not None and not times.fallback.stand_in:
        raise TargetError(f"{resolved.target.target} cannot run {times.fallback.problem}")
    return predict_priced(batch, resolved, times)


def predict_priced(
    batch: NetworkBatch, resolved: Resolved, times: PricedKernels
) -> BatchPrediction:
    """Predict every network of a batch whose kernels on the target are priced already."""
    fitted, count = resolved.target, len(batch)
    each = times.parts_ms.sum(axis=1)[times.row]
    slower = slow_storage(batch, times, resolved)
    each = each if slower is None else each * slower
    latency = np.bincount(batch.network, each, count) + fitted.predictor.overhead_ms
    beyond = np.bincount(batch.network, times.novelty[times.row] * each, count)
    novelty = beyond / np.maximum(latency, 1e-12)
    low, high = _bounds_ms(fitted.interval, latency, novelty, times)
    return BatchPrediction(
        batch=batch,
        resolved=resolved,
        latency_ms=latency,
        low_ms=low,
        high_ms=high,
        novelty=novelty,
        times=times,
        kernel_ms=each,
    )


def _bounds_ms(
    interval: Interval, latency_ms: np.ndarray, novelty: np.ndarray, times: PricedKernels
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds of predictions, wider where networks are novel."""
    extra = interval.extra_log(latency_ms, novelty) + times.extra_log
    low = latency_ms * np.exp(-interval.low_log - extra)
    return low, latency_ms * np.exp(interval.high_log + extra)


def at_another_speed(known: BatchPrediction, resolved: Resolved, factor: float) -> BatchPrediction:
    """The prediction for a target whose every time is `factor` of that of a known one's.

    The target is the known one's but for its speed and interval: the same framework, precision and
    shape of costs, and nothing that only one of the two devices does.
    """
    latency = known.latency_ms * factor
    low, high = _bounds_ms(resolved.target.interval, latency, known.novelty, known.times)
    return replace(
        known,
        resolved=resolved,
        latency_ms=latency,
        low_ms=low,
        high_ms=high,
        kernel_ms=known.kernel_ms * factor,
    )


def predict_workload(work: Workload, resolved: Resolved, *, per_layer: bool = True) -> Prediction:
    """Predict a prepared network on a target: a batch of one."""
    return predict_batch(network_batch([work]), resolved).predictions(per_layer=per_layer)[0]


def predict(
    graph: Graph | str,
    target: str,
    *,
    batch_size: int | None = None,
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
    profiles: Sequence[ProfileSource] = (),
    allow_uncovered: bool = False,
    kind: str = "",
    per_layer: bool = True,
) -> Prediction:
    """Latency of `graph` (or of the network with that name or path) on `target`, in ms.

    `target` may leave out trailing parts; the answer holds the full one. Where it leaves the
    precision open, that of the network's weights is taken. `batch_size` changes the batch of the
    graph; `dims` and `input_shape` are sizes that a file leaves open (as in `load`); `profiles` are
    further profiles, as files or as made. `kind` is the kind of latency (of `LATENCY_KINDS`), empty
    for the one that the target answers; a target of steady latencies answers for first runs too,
    where the loads of its device were measured. Raises `PerfmodelError`s: unknown model or target,
    a kind that the target does not answer, uncovered operators, damaged files.
    """
    if kind and kind not in LATENCY_KINDS:
        raise PerfmodelError(f"--kind {kind!r} is none of {', '.join(LATENCY_KINDS)}")
    loaded = load_at_batch(graph, batch_size, dims=dims, input_shape=input_shape)
    resolved = answering(ProfileFolder(tuple(profiles)), target, stored_precision(loaded))
    work = workload(loaded, fusion_rules(resolved), allow_uncovered=allow_uncovered)
    answer = predict_workload(work, resolved, per_layer=per_layer)
    if kind and kind != answer.kind:
        return _of_kind(kind, answer, work, resolved)
    return _settled(answer, work, resolved, tried=bool(batch_size)) if answer.unknown else answer


def _settled(answer: Prediction, work: Workload, resolved: Resolved, tried: bool) -> Prediction:
    """An answer that is none, with what else of the network is known; `tried` another batch."""

    def ask(one: Workload, where: Resolved) -> Prediction:
        return predict_workload(one, where, per_layer=False)

    batches = known_batches(work, resolved, ask) if tried else ()
    other = known_on_device(work, resolved, ask)
    said = []
    if batches:
        sizes = in_ranges(batches)
        said.append(f"{answer.target} knows this network at batches of {sizes} (--batch-size)")
    if other is not None:
        low, high = map(format_ms, other.interval_ms)
        said.append(f"`--on {other.target}` knows this network ({low} to {high})")
    return replace(answer, settle="; ".join([*said, answer.settle]))


def _of_kind(kind: str, other: Prediction, work: Workload, resolved: Resolved) -> Prediction:
    """The prediction of a kind of latency from that of the kind that a target answers.

    Raises `PerfmodelError` where nothing is known of the one from the other.
    """
    first = first_run_time(work, resolved, other.latency_ms, other.interval_ms)
    if kind != "first" or first is None:
        raise another_kind(other.target, other.kind, kind)
    fact, unknown = first.fact, why_unknown(*first.interval_ms)
    slower = fact.first_inference
    origin = replace(other.provenance, source=fact.source, measurements=fact.measurements)
    return replace(
        other,
        kind=kind,
        latency_ms=first.latency_ms,
        interval_ms=first.interval_ms,
        # what is no kernel's: opening the file and preparing it
        overhead_ms=first.latency_ms - slower * (other.latency_ms - other.overhead_ms),
        kernels=tuple(replace(k, latency_ms=slower * k.latency_ms) for k in other.kernels),
        error=FitError("first runs that it was fitted to", fact.measurements, fact.median_error),
        provenance=origin,
        energy=None,
        unknown=unknown,
        settle=how_to_settle(other.target) if unknown else "",
    )
