"""The time of every kernel of a batch of networks on a target; predictions and plans share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

import numpy as np

from perfmodel.devices.registry import Resolved
from perfmodel.devices.unsupported import Fallback, fallback_of
from perfmodel.kernels.kernel import Kernel, KernelTable
from perfmodel.workload import BYTES_OF_PRECISION, Workload

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
