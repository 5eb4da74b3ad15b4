"""ncnn layers over one or more axes: sums, softmax, the largest."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.errors import GraphError
from perfmodel.formats.ncnn.net import (
    NcnnLayer,
    NcnnNet,
    axis_of,
    emit,
    from_mat_order,
    layer_types,
    mat_axes,
    one_input,
)

REDUCTIONS = ["sum", "sum", "sum", "mean", "max", "min", "prod", "sum", "sum", "sum", "sum"]
"""Reduction's operation, in order; sums of absolutes, squares and logs cost what a sum does."""


@layer_types("Softmax")
def _softmax(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    return emit(net, layer, "softmax", [x], axis=axis_of(net.builder.shape(x), layer.integer(0, 0)))


@layer_types("Reduction")
def _reduction(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    operation = layer.integer(0, 0)
    if not 0 <= operation < len(REDUCTIONS):
        raise GraphError(f"unknown reduction {operation}")
    ncnn_axes = () if layer.integer(1, 1) else layer.integers(3)
    axes = {axis_of(shape, a) for a in ncnn_axes} or set(range(1, len(shape)))
    kind, keep = f"reduce_{REDUCTIONS[operation]}", bool(layer.integer(4, 0))
    kept = [shape[a] for a in mat_axes(shape) if a not in axes]
    wanted = from_mat_order(shape[0], kept)
    dropped = tuple(s for i, s in enumerate(shape) if i not in axes)
    order = tuple(sorted(axes))
    if keep or dropped == wanted:
        return emit(net, layer, kind, [x], axes=order, keep_dims=keep)
    result = net.builder.op(kind, x, name=f"{layer.name}/reduced", axes=order, keep_dims=False)
    return emit(net, layer, "reshape", [result], shape=wanted)


@layer_types("ArgMax")
def _arg_max(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Places of the largest elements of the whole blob, and their values if asked for."""
    x, count = one_input(net, layer), layer.integer(1, 1)
    if count < 1:
        raise GraphError(f"the {count} largest")
    shape = (net.builder.shape(x)[0], *((2,) if layer.integer(0, 0) else ()), count)
    return emit(net, layer, "top_k", [x], output_shapes=(shape,))
