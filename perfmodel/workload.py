"""A network as one framework runs it: its kernels and sums, which all targets of it share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.devices.energy import KernelWork
from perfmodel.devices.registry import Resolved
from perfmodel.errors import UncoveredOpError
from perfmodel.graph.ir import Graph, Op
from perfmodel.kernels import (
    covered_part,
    fuse,
    macs,
    params,
    peak_activation_bytes,
    run_by,
    uncovered_ops,
    weights_bytes,
)
from perfmodel.kernels.fusion_rules import FUSION, rules_on
from perfmodel.kernels.fusion_rules import fusion_rules as rules_named
from perfmodel.kernels.kernel import Kernel, KernelTable, shape_of
from perfmodel.kernels.precisions import stored_precision

if TYPE_CHECKING:
    from perfmodel.formats.sizes import InputShape

BYTES_OF_PRECISION = {
    "fp32": 4,
    "tf32": 4,
    "float": 4,
    "fp16": 2,
    "int8": 1,
    "uint8": 1,
    "w8a8": 1,
    "w8a16": 1,
}
"""Bytes of a weight or activation as stored; `float` counts its upper bound, `w8a16` weights."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A graph as one framework runs it: what predictions on any of its targets share.

    `framework` names the fusion rules, `graph` is without what an exporter for it leaves out.
    `table` holds the `kernels` as columns; MACs and parameters are of one inference of the whole
    batch, bytes those of the graph's own types.
    """

    graph: Graph
    framework: str
    kernels: tuple[Kernel, ...]
    table: KernelTable
    macs: int
    params: int
    weights_bytes: int
    peak_activation_bytes: int
    uncovered_ops: tuple[str, ...]

    @cached_property
    def stored(self) -> str:
        """The precision that the network's weights are stored in."""
        return stored_precision(self.graph)

    @cached_property
    def distinct(self) -> tuple[KernelTable, np.ndarray]:
        """The table with equal kernels once, and the row of each kernel in it, shape (kernels,)."""
        place: dict[tuple[object, ...], int] = {}
        row = np.array([place.setdefault(shape_of(k), len(place)) for k in self.kernels], dtype=int)
        if len(place) == len(row):
            return self.table, row
        return self.table.take(np.unique(row, return_index=True)[1]), row


def workload(graph: Graph, framework: str, *, allow_uncovered: bool = False) -> Workload:
    """Cost and kernels of a graph under a framework's fusion rules.

    Raises `UncoveredOpError` where an operator's cost is not modelled, unless `allow_uncovered`:
    then those operators are named in the result and their time is not in it. A network of which
    nothing at all is covered has no prediction and is refused either way.
    """
    graph = run_by(graph, framework)
    uncovered = tuple(f"{op.name} ({_label(op)})" for op in uncovered_ops(graph))
    kernels = fuse(graph, framework)
    if uncovered and not (allow_uncovered and kernels):
        shown = ", ".join(uncovered[:5]) + (" ..." if len(uncovered) > 5 else "")
        raise UncoveredOpError(
            f"{graph.name}: {len(uncovered)} operators are not covered by the cost model: {shown}",
            "add --allow-uncovered to predict the rest without them"
            if kernels
            else "no operator is covered, so nothing is known of this network's latency",
        )
    return Workload(
        graph=graph,
        framework=framework,
        kernels=kernels,
        table=KernelTable.from_kernels(kernels),
        macs=macs(covered_part(graph)),
        params=params(graph),
        weights_bytes=weights_bytes(graph),
        peak_activation_bytes=peak_activation_bytes(graph),
        uncovered_ops=uncovered,
    )


def _label(op: Op) -> str:
    return str(op.attrs.get("custom_name", op.kind))


def activation_bytes(work: Workload, precision: str) -> float:
    """Peak of the activations in bytes, were they stored in a target's precision.

    A graph's own peak counts its own types: floats of 4 bytes, a quantised network's single bytes.
    """
    held = BYTES_OF_PRECISION[work.stored]
    return work.peak_activation_bytes * BYTES_OF_PRECISION[precision] / held


def load_at_batch(
    graph: Graph | str,
    batch_size: int | None,
    *,
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
) -> Graph:
    """The graph itself or the one that a name or path means, at the given sizes and batch."""
    from perfmodel.formats.load import load, with_sizes
    from perfmodel.graph.rebatch import rebatch

    sized = with_sizes([graph], dims=dims, input_shape=input_shape)[0]
    loaded = load(sized) if isinstance(sized, str) else sized
    if batch_size is None or loaded.batch_size == batch_size:
        return loaded
    return rebatch(loaded, batch_size)


def fusion_rules(resolved: Resolved) -> str:
    """The name of the fusion rules of a target's framework (TFLite differs by unit).

    Frameworks that fuse alike share a name, so that a network is fused once for all of them.
    """
    target = resolved.target.target
    rules = rules_named(rules_on(target.framework, target.unit))
    return next(known for known, same in FUSION.items() if same == rules)


def kernel_work(work: Workload, precision: str) -> KernelWork:
    """Work of each kernel (arrays) for its energy, its elements stored in a target's precision."""
    table, size = work.table, BYTES_OF_PRECISION[precision]
    moved = (table[n] for n in ("input_elements", "weight_elements", "output_elements"))
    return KernelWork(
        kernels=np.ones(len(table)), macs=table["macs"], moved_bytes=size * sum(moved)
    )


def network_work(work: Workload, precision: str) -> KernelWork:
    """Work of all kernels together, summed once for all targets of a precision."""
    return work.table.once(
        ("network_work", precision), lambda: kernel_work(work, precision).total()
    )
