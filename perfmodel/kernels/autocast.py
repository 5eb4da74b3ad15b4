"""Which tensors PyTorch's automatic mixed precision leaves in single precision.

PyTorch docs, "Automatic Mixed Precision package", op reference for CUDA: convolutions and products
give half precision, normalisations over channels, softmax, powers and sums single precision; what
else has several inputs takes the widest type among them, a parameter being single; and everything
else gives the type that it is given. A multiplication by a learned scale so makes all that follows
twice as wide, up to the next convolution, before which a kernel makes halves of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from perfmodel.graph.ir import Graph, Op, Tensor
from perfmodel.graph.kinds import BINARY, CONVOLUTIONS, GATES

NARROW = CONVOLUTIONS | {"fully_connected", "matmul", *GATES}
"""Kinds that compute on halves and give halves."""

WIDE = frozenset(
    {"layer_norm", "group_norm", "l2_norm", "softmax", "log_softmax", "softplus"}
    | {"pow", "exp", "log", "log10", "rsqrt", "reciprocal", "acos", "asin", "cosh", "sinh", "tan"}
    | {"reduce_sum", "reduce_prod", "cumsum"}
)
"""Kinds that compute on single precision and give it."""

_WIDEST = frozenset({*BINARY, "concat", "pack", "select", "gather"})

EVERYWHERE, FUSED = "everywhere", "fused"
"""Whether a conversion is a kernel of its own, or part of the kernel that makes the tensor."""


def wide_tensors(graph: Graph, casts: str) -> frozenset[str]:
    """Activations that are stored in single precision.

    Where conversions are `FUSED`, those that only convolutions and products read are halves.
    """
    wide = set(graph.inputs)
    for op in graph.ops:
        if gives_wide(graph, op, wide):
            wide.update(op.outputs)
    if casts == FUSED:
        wide &= _read_as_they_are(graph)
    return frozenset(wide)


def gives_wide(graph: Graph, op: Op, wide: set[str]) -> bool:
    """Whether an operator's results are single precision, given what of its inputs is."""
    if op.kind in NARROW:
        return False
    if op.kind in WIDE or any(name in wide for name in op.inputs):
        return True
    if op.kind not in _WIDEST:
        return False
    # a number that the code states has no sides, and takes the other's type
    return any(len(tensor.shape) > 0 for tensor in graph.weights_of(op))


def stored_elements(tensors: Iterable[Tensor], wide: Collection[str]) -> int:
    """Elements of some tensors, those in single precision as two halves."""
    return sum(t.elements * (2 if t.name in wide else 1) for t in tensors)


def _read_as_they_are(graph: Graph) -> set[str]:
    """Tensors that something else than a convolution or product reads, views of them followed."""
    found = set(graph.outputs)
    for op in reversed(graph.ops):
        if op.kind in NARROW:
            continue
        moves = op.kind in ("reshape", "transpose")
        if not moves or any(name in found for name in op.outputs):
            found.update(op.inputs)
    return found
