"""The time of every kernel of a batch of networks on a target; predictions and plans share it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perfmodel.cost_models.predictor import Predictor
from perfmodel.devices.registry import Resolved
from perfmodel.devices.unsupported import Fallback, fallback_of
from perfmodel.kernels.kernel import NETWORK_COLUMN, Kernel, KernelTable, shape_of
from perfmodel.workload import BYTES_OF_PRECISION, Workload


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

    @cached_property
    def largest_batch(self) -> int:
        """The largest batch size of the networks."""
        return max((w.graph.batch_size for w in self.works), default=1)

    @cached_property
    def by_batch_size(self) -> tuple[tuple[int, NetworkBatch], ...]:
        """The networks of each batch size, as batches of their own."""
        sizes = dict.fromkeys(w.graph.batch_size for w in self.works)
        return tuple(
            (size, network_batch([w for w in self.works if w.graph.batch_size == size]))
            for size in sizes
        )

    @cached_property
    def row_by_batch_size(self) -> np.ndarray:
        """`row`, where the tables of `by_batch_size` stand one after the other."""
        row = np.empty(len(self.row), dtype=np.int64)
        size_of = np.array([w.graph.batch_size for w in self.works])[self.network]
        start = 0
        for size, same in self.by_batch_size:
            row[size_of == size] = same.row + start
            start += len(same.table)
        return row


def network_batch(works: Sequence[Workload]) -> NetworkBatch:
    """The batch of prepared networks; all must follow the same fusion rules."""
    if len({w.framework for w in works}) > 1:
        raise ValueError("networks of one batch must follow the same fusion rules")
    if len(works) == 1:
        table, rows = works[0].distinct
        return NetworkBatch(tuple(works), table, rows, np.zeros(len(rows), dtype=np.int64))
    place: dict[tuple[object, ...], int] = {}
    distinct: list[Kernel] = []
    row: list[int] = []
    for work in works:
        for kernel in work.kernels:
            shape = shape_of(kernel)
            at = place.setdefault(shape, len(distinct))
            if at == len(distinct):
                distinct.append(kernel)
            row.append(at)
    network = np.repeat(np.arange(len(works)), [len(w.kernels) for w in works])
    return NetworkBatch(
        tuple(works), KernelTable.from_kernels(distinct), np.array(row, dtype=np.int64), network
    )


@dataclass(frozen=True, kw_only=True)
class PricedKernels:
    """What the kernels of a batch take on a target while no other kernel slows them.

    Kernel i takes `parts_ms[row[i]]` (columns `PARTS`), holds `weight_bytes[row[i]]` bytes of
    weights and lies `novelty[row[i]]` outside the fitted range. `extra_log` (networks,) widens the
    log intervals of networks that are like none that was measured. `fallback` tells of kernels that
    the target's unit leaves to another.
    """

    parts_ms: np.ndarray
    weight_bytes: np.ndarray
    novelty: np.ndarray
    row: np.ndarray
    extra_log: np.ndarray
    fallback: Fallback | None = None


def kernel_times(batch: NetworkBatch, resolved: Resolved) -> PricedKernels:
    """The time of every kernel of a batch on a target, fall-backs included.

    A kernel that the unit cannot run takes infinitely long where the device has no unit for it.
    """
    predictor, target = resolved.target.predictor, resolved.target.target
    fallback = fallback_of([(w.graph, w.kernels) for w in batch.works], resolved)
    tables, row, sizes = [batch.table], batch.row, [1]
    if fallback is not None or predictor.needs_whole_network:
        # the same kernel differs from network to network
        tables, row = [w.table for w in batch.works], np.arange(len(batch.row))
        sizes = [w.graph.batch_size for w in batch.works]
    elif not predictor.grows_with_batch and batch.largest_batch > 1:
        tables = [same.table for _, same in batch.by_batch_size]
        row, sizes = batch.row_by_batch_size, [size for size, _ in batch.by_batch_size]
    parts = np.concatenate(
        [_parts_ms(t, size, predictor) for t, size in zip(tables, sizes, strict=True)]
    )
    novelty = np.concatenate([predictor.novelty(t) for t in tables])
    weights = np.concatenate([t["weight_elements"] for t in tables])
    terms = predictor.network_terms([w.table for w in batch.works])
    if terms.log_factor.any():
        # a factor of the network, whose kernels share no rows from here on
        parts = parts[row] * np.exp(terms.log_factor)[batch.network][:, None]
        novelty, weights, row = novelty[row], weights[row], np.arange(len(batch.row))
    if fallback is not None:
        there = fallback.parts_ms(tables)
        parts[fallback.kernels], novelty[fallback.kernels] = there[fallback.kernels], 0.0
    return PricedKernels(
        parts_ms=parts,
        weight_bytes=weights * BYTES_OF_PRECISION[target.precision],
        novelty=novelty,
        row=row,
        extra_log=terms.extra_log,
        fallback=fallback,
    )


def _parts_ms(table: KernelTable, size: int, predictor: Predictor) -> np.ndarray:
    """`parts_ms` of kernels at a batch size, none of which takes less than at a smaller one.

    Where the predictor does not see to that, each kernel is priced at batches 1, 2, 4, ... and
    takes the longest of those up to its own; between two of them it lies on the line that joins
    their times.
    """
    parts: np.ndarray = predictor.parts_ms(table)
    if size == 1 or predictor.grows_with_batch:
        return parts
    below = 2 ** int(math.log2(size))
    sizes = [2**i for i in range(int(math.log2(below)) + 1)]
    sizes += [] if below == size else [2 * below]
    times = np.array([predictor.parts_ms(at_batch(table, size, s)).sum(axis=1) for s in sizes])
    longest = np.maximum.accumulate(times)
    wanted = longest[-1]
    if below != size:
        wanted = longest[-2] + (longest[-1] - longest[-2]) * (size / below - 1)
    total = parts.sum(axis=1)
    longer = np.divide(wanted, total, out=np.ones_like(total), where=total > 0)
    return parts * longer[:, None]


def at_batch(table: KernelTable, old: int, new: int) -> KernelTable:
    """The kernels of a network at batch size `old` as they are at `new`, by rows and elements.

    Weights stay. A fully connected layer holds the batch in its rows, a convolution in its batch
    and its rows, everything else in its batch; what holds it nowhere (a table of positions) stays.
    """
    dense = table["op"] == "fully_connected"
    follows = np.where(dense, table["m"], table["batch"]) % old == 0
    ratio = np.where(follows, new / old, 1.0)
    number = dict(table.number)
    for name in ("elements", "macs", "input_elements", "output_elements"):
        number[name] = number[name] * ratio
    number["batch"] = np.where(dense, number["batch"], number["batch"] * ratio)
    in_rows = dense | np.isin(table["op"].astype(str), ("conv2d", "transpose_conv2d"))
    number["m"] = np.where(in_rows, number["m"] * ratio, number["m"])
    held = number["weight_elements"].sum() + number["output_elements"].sum()
    number[NETWORK_COLUMN] = np.full(len(table), held)
    return KernelTable(table.text, number)


def slow_storage(
    batch: NetworkBatch, times: PricedKernels, resolved: Resolved
) -> np.ndarray | None:
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
