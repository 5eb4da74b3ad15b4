"""Many networks on a target at once: every distinct kernel is predicted once, then summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

import numpy as np

from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.predictor import Predictor
from perfmodel.devices.registry import Resolved
from perfmodel.kernels.kernel import Kernel, KernelTable
from perfmodel.prediction import NOVELTY_LIMIT, Prediction, Workload

_shape_of = attrgetter(*(f.name for f in fields(Kernel) if f.name not in ("name", "fused")))


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


@dataclass(frozen=True)
class BatchPrediction:
    """Latencies of a batch on one target; arrays of shape (networks,), `novel` of (kernels,)."""

    batch: NetworkBatch
    resolved: Resolved
    latency_ms: np.ndarray
    low_ms: np.ndarray
    high_ms: np.ndarray
    novelty: np.ndarray
    novel: np.ndarray

    @property
    def extrapolated(self) -> np.ndarray:
        """Where a network holds more than a little outside the target's fitted range."""
        return np.asarray(self.novelty > NOVELTY_LIMIT)

    def predictions(self) -> list[Prediction]:
        """One `Prediction` a network, without its kernels."""
        starts = np.searchsorted(self.batch.network, np.arange(len(self.batch) + 1))
        novel = self.novel[self.batch.row] > 0
        return [
            self._one(i, work, novel[starts[i] : starts[i + 1]])
            for i, work in enumerate(self.batch.works)
        ]

    def _one(self, i: int, work: Workload, novel: np.ndarray) -> Prediction:
        fitted = self.resolved.target
        names = tuple(work.kernels[j].name for j in np.flatnonzero(novel))
        return Prediction(
            work.graph.name,
            str(fitted.target),
            fitted.latency_kind,
            work.graph.batch_size,
            float(self.latency_ms[i]),
            (float(self.low_ms[i]), float(self.high_ms[i])),
            fitted.interval.coverage,
            bool(self.novelty[i] > NOVELTY_LIMIT),
            float(self.novelty[i]),
            names,
            work.macs,
            work.params,
            work.weight_elements,
            work.peak_activation_bytes,
            work.uncovered_ops,
            fitted.predictor.overhead_ms,
            (),
            fitted.error,
            fitted.provenance,
        )


def _kernel_ms(batch: NetworkBatch, predictor: Predictor) -> np.ndarray:
    """Milliseconds of every kernel of every network, one after the other."""
    if isinstance(predictor, KernelPredictor) and predictor.machine.whole:
        # the same kernel differs from network to network
        return np.concatenate([predictor.parts_ms(w.table).sum(axis=1) for w in batch.works])
    shared: np.ndarray = predictor.parts_ms(batch.table).sum(axis=1)[batch.row]
    return shared


def predict_batch(batch: NetworkBatch, resolved: Resolved) -> BatchPrediction:
    """Predict every network of a batch on a target, as `predict_workload` would one by one."""
    fitted, count = resolved.target, len(batch)
    each = _kernel_ms(batch, fitted.predictor)
    novel = fitted.predictor.novelty(batch.table)
    latency = np.bincount(batch.network, each, count) + fitted.predictor.overhead_ms
    beyond = np.bincount(batch.network, novel[batch.row] * each, count)
    novelty = beyond / np.maximum(latency, 1e-12)
    extra = fitted.interval.novelty_slope * novelty
    return BatchPrediction(
        batch,
        resolved,
        latency,
        latency * np.exp(-fitted.interval.low_log - extra),
        latency * np.exp(fitted.interval.high_log + extra),
        novelty,
        novel,
    )
