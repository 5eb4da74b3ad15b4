"""Prediction, the one path: networks and a target in, milliseconds with an interval out.

A network is its kernels: each is priced by the target's cost model, what the device makes of them
together (fall-backs, slow storage) is added, and all are summed. One network is a batch of one;
plans ask for the same kernel times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from operator import attrgetter

import numpy as np

from perfmodel.cost_models.interval import FitError
from perfmodel.cost_models.predictor import PARTS
from perfmodel.devices.profile import Provenance
from perfmodel.devices.registry import ProfileFolder, ProfileSource, Resolved
from perfmodel.devices.unsupported import Fallback, fallback_of
from perfmodel.errors import PerfmodelError, TargetError
from perfmodel.graph.ir import Graph
from perfmodel.kernels.kernel import Kernel, KernelTable
from perfmodel.workload import BYTES_OF_PRECISION, Workload, fusion_rules, load_at_batch, workload

NOVELTY_LIMIT = 0.05
"""Share of time in kernels outside the fitted range, weighted by how far, from which we say so."""

CHUNK = 16_384
"""Queries that `predict_many` answers together."""

_shape_of = attrgetter(*(f.name for f in fields(Kernel) if f.name not in ("name", "fused")))


@dataclass(frozen=True, kw_only=True)
class KernelPrediction:
    """One kernel of a prediction; `bound` names the largest part of its time."""

    name: str
    ops: tuple[str, ...]
    kernel_class: str
    macs: int
    bytes: int
    latency_ms: float
    bound: str


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """How long one inference of the whole batch takes on a target.

    `interval_ms` covers the true latency with probability `interval_coverage`; `extrapolated` is
    true where the network holds kernels outside what the target's model was fitted on (their names
    in `novel_kernels`). `error` and `provenance` tell how good the target's model is and why.
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


@dataclass(frozen=True)
class NetworkBatch:
    """Networks under one framework's fusion rules, ready for any of its targets.

    `table` holds each distinct kernel once; kernel i of all networks, one after the other, is row
    `row[i]` of it and belongs to network `network[i]`.
    """

    works: tuple[Workload, ...]
    table: KernelTable
    row: np.ndarray
    network: np.ndarray

    def __len__(self) -> int:
        return len(self.works)


def network_batch(works: Sequence[Workload]) -> NetworkBatch:
    """The batch of prepared networks; all must follow the same fusion rules."""
    if len({w.framework for w in works}) > 1:
        raise ValueError("networks of one batch must follow the same fusion rules")
    if len(works) == 1:
        count = len(works[0].kernels)
        return NetworkBatch(
            tuple(works), works[0].table, np.arange(count), np.zeros(count, dtype=np.int64)
        )
    place: dict[tuple[object, ...], int] = {}
    distinct: list[Kernel] = []
    row: list[int] = []
    for work in works:
        for kernel in work.kernels:
            shape = _shape_of(kernel)
            at = place.setdefault(shape, len(distinct))
            if at == len(distinct):
                distinct.append(kernel)
            row.append(at)
    network = np.repeat(np.arange(len(works)), [len(w.kernels) for w in works])
    return NetworkBatch(
        tuple(works), KernelTable.from_kernels(distinct), np.array(row, dtype=np.int64), network
    )


@dataclass(frozen=True, kw_only=True)
class KernelTimes:
    """What the kernels of a batch take on a target while no other kernel slows them.

    Kernel i takes `parts_ms[row[i]]` (columns `PARTS`), holds `weight_bytes[row[i]]` bytes of
    weights and lies `novelty[row[i]]` outside the fitted range. `fallback` tells of kernels that
    the target's unit leaves to another.
    """

    parts_ms: np.ndarray
    weight_bytes: np.ndarray
    novelty: np.ndarray
    row: np.ndarray
    fallback: Fallback | None = None


def kernel_times(batch: NetworkBatch, resolved: Resolved) -> KernelTimes:
    """The time of every kernel of a batch on a target, fall-backs included.

    A kernel that the unit cannot run takes infinitely long where the device has no unit for it.
    """
    predictor, target = resolved.target.predictor, resolved.target.target
    fallback = fallback_of([(w.graph, w.kernels) for w in batch.works], resolved)
    tables, row = [batch.table], batch.row
    if fallback is not None or predictor.needs_whole_network:
        # the same kernel differs from network to network
        tables, row = [w.table for w in batch.works], np.arange(len(batch.row))
    parts = np.concatenate([predictor.parts_ms(t) for t in tables])
    novelty = np.concatenate([predictor.novelty(t) for t in tables])
    if fallback is not None:
        there = fallback.parts_ms(tables)
        parts[fallback.kernels], novelty[fallback.kernels] = there[fallback.kernels], 0.0
    weights = np.concatenate([t["weight_elements"] for t in tables])
    return KernelTimes(
        parts_ms=parts,
        weight_bytes=weights * BYTES_OF_PRECISION[target.precision],
        novelty=novelty,
        row=row,
        fallback=fallback,
    )


def slow_storage(batch: NetworkBatch, times: KernelTimes, resolved: Resolved) -> np.ndarray | None:
    """How many times as long each kernel takes because of another's weights, shape (kernels,).

    None where the device has no `StorageFact` for the unit.
    """
    fact = resolved.device.traits.storage_of(resolved.target.target.unit)
    if fact is None:
        return None
    heavy = fact.is_heavy(times.weight_bytes)[times.row]
    falls_back = np.bincount(batch.network, heavy, len(batch)) > 0
    slower = fact.slowdowns(times.weight_bytes)[times.row]
    return np.where(falls_back[batch.network], slower, 1.0)


@dataclass(frozen=True, kw_only=True)
class BatchPrediction:
    """Latencies of a batch on one target: arrays of shape (networks,), `kernel_ms` (kernels,)."""

    batch: NetworkBatch
    resolved: Resolved
    latency_ms: np.ndarray
    low_ms: np.ndarray
    high_ms: np.ndarray
    novelty: np.ndarray
    times: KernelTimes
    kernel_ms: np.ndarray

    @property
    def extrapolated(self) -> np.ndarray:
        """Where a network holds more than a little outside the target's fitted range."""
        return np.asarray(self.novelty > NOVELTY_LIMIT)

    def predictions(self, *, per_layer: bool = False) -> list[Prediction]:
        """One `Prediction` a network, with its kernels where `per_layer`."""
        starts = np.searchsorted(self.batch.network, np.arange(len(self.batch) + 1))
        return [
            self._one(i, slice(starts[i], starts[i + 1]), per_layer) for i in range(len(self.batch))
        ]

    def _one(self, i: int, mine: slice, per_layer: bool) -> Prediction:
        fitted, work = self.resolved.target, self.batch.works[i]
        novel = self.times.novelty[self.times.row[mine]] > 0
        return Prediction(
            model=work.graph.name,
            target=str(fitted.target),
            kind=fitted.latency_kind,
            batch_size=work.graph.batch_size,
            latency_ms=float(self.latency_ms[i]),
            interval_ms=(float(self.low_ms[i]), float(self.high_ms[i])),
            interval_coverage=fitted.interval.coverage,
            extrapolated=bool(self.novelty[i] > NOVELTY_LIMIT),
            novelty=float(self.novelty[i]),
            novel_kernels=tuple(work.kernels[j].name for j in np.flatnonzero(novel)),
            macs=work.macs,
            params=work.params,
            weights_bytes=work.weights_bytes,
            peak_activation_bytes=work.peak_activation_bytes,
            uncovered_ops=work.uncovered_ops,
            overhead_ms=fitted.predictor.overhead_ms,
            kernels=self._kernels(work, mine) if per_layer else (),
            error=fitted.error,
            provenance=fitted.provenance,
        )

    def _kernels(self, work: Workload, mine: slice) -> tuple[KernelPrediction, ...]:
        size = BYTES_OF_PRECISION[self.resolved.target.target.precision]
        heaviest = self.times.parts_ms[self.times.row[mine]].argmax(axis=1)
        return tuple(
            KernelPrediction(
                name=k.name,
                ops=k.fused or (k.name,),
                kernel_class=k.kernel_class,
                macs=k.macs,
                bytes=(k.input_elements + k.weight_elements + k.output_elements) * size,
                latency_ms=float(ms),
                bound=PARTS[h],
            )
            for k, ms, h in zip(work.kernels, self.kernel_ms[mine], heaviest, strict=True)
        )


def predict_batch(batch: NetworkBatch, resolved: Resolved) -> BatchPrediction:
    """Predict every network of a batch on a target.

    Raises `TargetError` where the target's unit cannot run an operator and no other can.
    """
    fitted, count = resolved.target, len(batch)
    times = kernel_times(batch, resolved)
    if times.fallback is not None and not times.fallback.stand_in:
        raise TargetError(f"{fitted.target} cannot run {times.fallback.problem}")
    each = times.parts_ms.sum(axis=1)[times.row]
    slower = slow_storage(batch, times, resolved)
    each = each if slower is None else each * slower
    latency = np.bincount(batch.network, each, count) + fitted.predictor.overhead_ms
    beyond = np.bincount(batch.network, times.novelty[times.row] * each, count)
    novelty = beyond / np.maximum(latency, 1e-12)
    extra = fitted.interval.novelty_slope * novelty
    return BatchPrediction(
        batch=batch,
        resolved=resolved,
        latency_ms=latency,
        low_ms=latency * np.exp(-fitted.interval.low_log - extra),
        high_ms=latency * np.exp(fitted.interval.high_log + extra),
        novelty=novelty,
        times=times,
        kernel_ms=each,
    )


def predict_workload(work: Workload, resolved: Resolved, *, per_layer: bool = True) -> Prediction:
    """Predict a prepared network on a target: a batch of one."""
    return predict_batch(network_batch([work]), resolved).predictions(per_layer=per_layer)[0]


def predict(
    graph: Graph | str,
    target: str,
    *,
    batch_size: int | None = None,
    profiles: Sequence[ProfileSource] = (),
    allow_uncovered: bool = False,
    per_layer: bool = True,
) -> Prediction:
    """Latency of `graph` (or of the network with that name or path) on `target`, in ms.

    `target` may leave out trailing parts; the answer holds the full one. `batch_size` changes the
    batch of the graph; `profiles` are further profiles, as files or as made. Raises
    `PerfmodelError`s: unknown model or target, uncovered operators, damaged files.
    """
    resolved = ProfileFolder(tuple(profiles)).resolve(target)
    loaded = load_at_batch(graph, batch_size)
    work = workload(loaded, fusion_rules(resolved), allow_uncovered=allow_uncovered)
    return predict_workload(work, resolved, per_layer=per_layer)


Query = tuple[str, str, int | None]
"""Model, target, batch size (None: the model's own)."""


def predict_many(
    queries: Iterable[Query],
    *,
    profiles: Sequence[ProfileSource] = (),
    allow_uncovered: bool = False,
) -> Iterator[Prediction | Exception]:
    """Predictions for many (model, target, batch size); a bad one gives its error in place.

    Networks are read and fused once, targets resolved once, and what is asked of one target is
    predicted at once. Answers come in the order of the queries, `CHUNK` at a time.
    """
    asked = _Asked(ProfileFolder(tuple(profiles)), allow_uncovered)
    source = iter(queries)
    while chunk := list(islice(source, CHUNK)):
        asked.answer(dict.fromkeys(chunk))
        for query in chunk:
            yield asked.answers[query]


@dataclass(frozen=True)
class _Asked:
    """What `predict_many` has read, fused and answered so far."""

    folder: ProfileFolder
    allow_uncovered: bool
    targets: dict[str, Resolved] = field(default_factory=dict)
    graphs: dict[object, Graph] = field(default_factory=dict)
    works: dict[object, Workload] = field(default_factory=dict)
    answers: dict[Query, Prediction | Exception] = field(default_factory=dict)

    def answer(self, queries: Iterable[Query]) -> None:
        """Fill `answers` for queries that have none yet."""
        by_target: dict[str, list[Query]] = {}
        for query in queries:
            if query not in self.answers:
                by_target.setdefault(query[1], []).append(query)
        batches: dict[object, NetworkBatch] = {}
        for target, group in by_target.items():
            ready = [(q, w) for q in group if (w := self._work(q)) is not None]
            if ready:
                works = [w for _, w in ready]
                key = (works[0].framework, *((m, b) for (m, _, b), _ in ready))
                if key not in batches:
                    batches[key] = network_batch(works)
                asked = [q for q, _ in ready]
                self.answers.update(self._predicted(asked, batches[key], self.targets[target]))

    @staticmethod
    def _predicted(
        queries: Sequence[Query], batch: NetworkBatch, resolved: Resolved
    ) -> dict[Query, Prediction | Exception]:
        try:
            found = predict_batch(batch, resolved).predictions()
        except PerfmodelError as error:
            if len(queries) == 1:
                return {queries[0]: error}
            alone = [network_batch([w]) for w in batch.works]
            answers = [
                _Asked._predicted([q], b, resolved) for q, b in zip(queries, alone, strict=True)
            ]
            return {q: a for answer in answers for q, a in answer.items()}
        return dict(zip(queries, found, strict=True))

    def _work(self, query: Query) -> Workload | None:
        """The network of a query under its target's rules; None where that is an error."""
        model, target, batch_size = query
        try:
            if target not in self.targets:
                self.targets[target] = self.folder.resolve(target)
            if (model, batch_size) not in self.graphs:
                self.graphs[model, batch_size] = load_at_batch(model, batch_size)
            rules = fusion_rules(self.targets[target])
            if (model, batch_size, rules) not in self.works:
                self.works[model, batch_size, rules] = workload(
                    self.graphs[model, batch_size], rules, allow_uncovered=self.allow_uncovered
                )
            return self.works[model, batch_size, rules]
        except PerfmodelError as error:
            self.answers[query] = error
            return None
