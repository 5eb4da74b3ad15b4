"""What a network costs, operator by operator, on no target in particular."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from perfmodel import kernels
from perfmodel.answer import Answer
from perfmodel.formats.sizes import InputShape
from perfmodel.graph.ir import Graph
from perfmodel.workload import load_at_batch


@dataclass(frozen=True, kw_only=True)
class Inspection(Answer, command="inspect"):
    """A network and its figures; those of one operator are in `to_frame()`."""

    graph: Graph
    macs: int
    params: int
    weights_bytes: int
    peak_activation_bytes: int
    uncovered_ops: tuple[str, ...]


def inspect(
    model: Graph | str,
    *,
    batch_size: int | None = None,
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
) -> Inspection:
    """What `model` (a network, its name or its path) computes, holds and moves.

    `batch_size` changes its batch; `dims` and `input_shape` are sizes that a file leaves open (as
    in `load`). MACs leave out `uncovered_ops`. Raises `PerfmodelError`s for unknown networks and
    damaged files.
    """
    graph = load_at_batch(model, batch_size, dims=dims, input_shape=input_shape)
    return Inspection(
        graph=graph,
        macs=kernels.macs(kernels.covered_part(graph)),
        params=kernels.params(graph),
        weights_bytes=kernels.weights_bytes(graph),
        peak_activation_bytes=kernels.peak_activation_bytes(graph),
        uncovered_ops=tuple(op.name for op in kernels.uncovered_ops(graph)),
    )
