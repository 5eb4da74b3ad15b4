"""ncnn layers that are matrix products, and look-ups in tables.

Parameter numbers and defaults are those of `load_param` in Tencent/ncnn, src/layer/*.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.limits import shorten
from perfmodel.formats.ncnn.convolutions import activation
from perfmodel.formats.ncnn.net import (
    NcnnLayer,
    NcnnNet,
    emit,
    emit_as,
    from_mat_order,
    in_mat_order,
    layer_types,
    one_input,
    view,
)
from perfmodel.graph.ops import infer_shapes


@layer_types("InnerProduct")
def _inner_product(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Weights applied to the whole blob, or to every row of a matrix, as ncnn does.

    Where a larger blob has not as many elements as the weights want, ncnn's own result is
    undefined; what the exporter meant is the innermost axis, or the only one of that length.
    """
    x = one_input(net, layer)
    out, size, int8 = layer.integer(0, 0), layer.integer(2, 0), layer.integer(8, 0)
    if out < 1 or size < 1 or size % out:
        raise GraphError(f"{size} weights do not fit {out} outputs")
    names = [net.weights(layer, "weights", (out, size // out), "int8" if int8 else "float32")]
    if layer.integer(1, 0):
        names.append(net.weights(layer, "bias", (out,), "float32"))
    shape, inner = net.builder.shape(x), size // out
    sizes = list(in_mat_order(shape))
    along = [axis for axis, length in enumerate(sizes) if length == inner]
    if sizes[-1] == inner:
        along = [len(sizes) - 1]
    attrs: dict[str, Any] = {"activation": activation(layer)}
    if math.prod(sizes) == inner and not (along and len(sizes) == 2):
        attrs["keep_dims"] = False
        return emit(net, layer, "fully_connected", [x, *names], "float32", **attrs)
    if len(along) != 1:
        raise GraphError(f"a blob {shape} does not fit weights for {inner} inputs")
    sizes[along[0]] = out
    rows = view(net, layer, x, (shape[0], math.prod(sizes) // out, inner))
    attrs["keep_dims"] = True
    result = from_mat_order(shape[0], sizes)
    return emit_as(net, layer, "fully_connected", [rows, *names], result, "float32", **attrs)


@layer_types("Gemm")
def _gemm(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """alpha * A * B + beta * C; a constant B makes it a fully connected layer."""
    rows, columns, inner = layer.integer(7, 0), layer.integer(8, 0), layer.integer(9, 0)
    dynamic = iter([net.tensor(b) for b in layer.bottoms])
    trans_a, trans_b = bool(layer.integer(2, 0)), bool(layer.integer(3, 0))
    dtype = "int8" if layer.integer(18, 0) else "float32"
    try:
        size = (inner, rows) if trans_a else (rows, inner)
        a = _constant(net, layer, "a", size, dtype) if layer.integer(4, 0) else next(dynamic)
        weights = layer.integer(5, 0)
        if weights and not trans_a and len(net.builder.shape(a)) <= 3:
            b = net.weights(layer, "weights", (columns, inner), dtype)
        else:
            size = (columns, inner) if trans_b else (inner, columns)
            b = _constant(net, layer, "b", size, dtype) if weights else next(dynamic)
            weights = 0
    except StopIteration:
        raise GraphError("an input matrix is missing") from None
    c = _gemm_bias(net, layer, rows, columns, list(dynamic))
    if len(net.builder.shape(a)) == 2 and not net.builder.tensors[a].constant:
        a = net.builder.reshape(a, (net.batch, 1, net.builder.shape(a)[1]))
    if weights:
        return emit(net, layer, "fully_connected", [a, b, *c], activation="none", keep_dims=True)
    return emit(net, layer, "matmul", [a, b, *c], transpose_a=trans_a, transpose_b=trans_b)


def _constant(net: NcnnNet, layer: NcnnLayer, what: str, size: tuple[int, int], dtype: str) -> str:
    return net.weights(layer, what, (1, *size), dtype)


def _gemm_bias(
    net: NcnnNet, layer: NcnnLayer, rows: int, columns: int, dynamic: list[str]
) -> list[str]:
    if not layer.integer(6, 0):
        return dynamic[:1]
    shapes: dict[int, tuple[int, ...]] = {
        -1: (),
        0: (1,),
        1: (rows,),
        2: (rows, 1),
        3: (rows, columns),
        4: (columns,),
    }
    kind = layer.integer(10, 0)
    if kind not in shapes:
        raise GraphError(f"unknown constant_broadcast_type_C {kind}")
    return [net.weights(layer, "bias", shapes[kind])] if kind >= 0 else []


@layer_types("MatMul")
def _matmul(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """A product of the last two axes as ncnn stores them; the others are a batch and broadcast.

    A vector is a row on the left and a column on the right, and gives up that axis again.
    """
    if len(layer.bottoms) != 2:
        raise GraphError(f"two inputs expected, {len(layer.bottoms)} given")
    left, right = (net.tensor(b) for b in layer.bottoms)
    transposed = bool(layer.integer(0, 0))
    sizes = [in_mat_order(net.builder.shape(x)) for x in (left, right)]
    rank = max(2, *map(len, sizes))
    inputs = []
    for place, (x, own) in enumerate(zip((left, right), sizes, strict=True)):
        column = place == 1 and len(own) == 1 and not transposed
        wide = (*own, 1) if column else own
        wide = (*(1,) * (rank - len(wide)), *wide)
        inputs.append(view(net, layer, x, (net.builder.shape(x)[0], *wide)))
    (made,) = infer_shapes(
        "matmul", [net.builder.shape(x) for x in inputs], {"transpose_b": transposed}
    )
    batch, *kept = made
    if len(sizes[1]) == 1:
        kept.pop()
    if len(sizes[0]) == 1:
        kept.pop(-1 if len(sizes[1]) == 1 else -2)
    shape = from_mat_order(batch, kept)
    return emit_as(net, layer, "matmul", inputs, shape, transpose_b=transposed)


@layer_types("Einsum")
def _einsum(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """A product of two blobs, whose equation stands as the numbers of its letters."""
    equation = "".join(map(chr, layer.integers(0))) if 0 in layer.params else ""
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    if not arrow or len(terms) != 2 or len(layer.bottoms) != 2:
        raise GraphError(f"the equation {shorten(equation)!r} is no product of two blobs")
    inputs = [net.tensor(b) for b in layer.bottoms]
    sizes: dict[str, int] = {}
    for term, x in zip(terms, inputs, strict=True):
        sizes.update(zip(term, in_mat_order(net.builder.shape(x)), strict=True))
    a, b = (set(term) for term in terms)
    groups = [a & b & set(result), a - b, b - a, (a & b) - set(result)]
    count, rows, columns, inner = (math.prod(sizes[i] for i in sorted(g)) for g in groups)
    batch = net.builder.shape(inputs[0])[0]
    parts = [
        view(net, layer, inputs[0], (batch, count, rows, inner)),
        view(net, layer, inputs[1], (net.builder.shape(inputs[1])[0], count, inner, columns)),
    ]
    shape = from_mat_order(batch, [sizes[i] for i in result])
    return emit_as(net, layer, "matmul", parts, shape)


@layer_types("Embed")
def _embed(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    table = net.weights(layer, "table", (layer.integer(1, 0), layer.integer(0, 0)))
    return emit(net, layer, "gather", [table, one_input(net, layer)], axis=0)
