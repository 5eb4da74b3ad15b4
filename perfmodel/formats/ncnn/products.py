"""ncnn layers that are matrix products: inner products, attention, recurrent layers, look-ups.

Parameter numbers and defaults are those of `load_param` in Tencent/ncnn, src/layer/*.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.ncnn.layers import activation
from perfmodel.formats.ncnn.net import NcnnLayer, NcnnNet, emit, layer_types, one_input
from perfmodel.graph.kinds import GATES


@layer_types("InnerProduct")
def _inner_product(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    out, size, int8 = layer.integer(0, 0), layer.integer(2, 0), layer.integer(8, 0)
    if out < 1 or size < 1 or size % out:
        raise GraphError(f"{size} weights do not fit {out} outputs")
    names = [net.weights(layer, "weights", (out, size // out), "int8" if int8 else "float32")]
    if layer.integer(1, 0):
        names.append(net.weights(layer, "bias", (out,), "float32"))
    shape = net.builder.shape(x)
    rows = len(shape) == 3 and shape[-1] == size // out  # ncnn: a matrix keeps its rows
    attrs = {"activation": activation(layer), "keep_dims": rows}
    return emit(net, layer, "fully_connected", [x, *names], "float32", **attrs)


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
    inputs = [net.tensor(b) for b in layer.bottoms[:2]]
    return emit(net, layer, "matmul", inputs, transpose_b=bool(layer.integer(0, 0)))


@layer_types("MultiHeadAttention")
def _attention(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """The real operators: projections of q, k, v, scores, softmax, mix, output projection.

    ncnn's projections write head by head, so splitting and joining heads are reshapes only.
    """
    b = net.builder
    q, k, v = ([net.tensor(x) for x in layer.bottoms[:3]] * 3)[:3] if layer.bottoms else [""] * 3
    if not q:
        raise GraphError("an input is missing")
    if len(layer.bottoms) == 2:
        v = k
    width, heads = layer.integer(0, 0), layer.integer(1, 1)
    if width < 1 or heads < 1 or width % heads:
        raise GraphError(f"{width} features do not divide into {heads} heads")
    per_head = width // heads

    def project(x: str, what: str, out: int) -> str:
        weights = net.weights(layer, f"{what}/weights", (out, b.shape(x)[-1]))
        bias = net.weights(layer, f"{what}/bias", (out,))
        attrs = {"activation": "none", "keep_dims": True}
        return b.add_op("fully_connected", [x, weights, bias], attrs, f"{layer.name}/{what}")[0]

    def split_heads(x: str, what: str) -> str:
        batch, length, _ = b.shape(x)
        return b.reshape(x, (batch, heads, length, per_head), f"{layer.name}/{what}_heads")

    if any(len(b.shape(x)) != 3 for x in (q, k, v)):
        raise GraphError("attention needs (length, features) blobs")
    queries = split_heads(project(q, "query", width), "query")
    keys = split_heads(project(k, "key", width), "key")
    values = split_heads(project(v, "value", width), "value")
    scores = b.op("matmul", queries, keys, name=f"{layer.name}/scores", transpose_b=True)
    if layer.integer(5, 0) and len(layer.bottoms) > 1:
        mask = net.tensor(layer.bottoms[-1])
        scores = b.binary("add", scores, mask, name=f"{layer.name}/mask")
    shares = b.op("softmax", scores, name=f"{layer.name}/softmax", axis=3)
    mixed = b.op("matmul", shares, values, name=f"{layer.name}/mix")
    joined = b.reshape(mixed, (*b.shape(q)[:2], width), f"{layer.name}/join_heads")
    weights = net.weights(layer, "output/weights", (b.shape(q)[-1], width))
    bias = net.weights(layer, "output/bias", (b.shape(q)[-1],))
    attrs = {"activation": "none", "keep_dims": True}
    return b.add_op("fully_connected", [joined, weights, bias], attrs, layer.name, layer.tops)


@layer_types("LSTM GRU RNN")
def _recurrent(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Input (time, features); weights (gates, in), (gates, out) and bias for each direction."""
    x = one_input(net, layer)
    if len(layer.bottoms) != 1 or len(layer.tops) != 1:
        raise GraphError("recurrent layers with states as inputs or outputs are not read")
    out, size = layer.integer(0, 0), layer.integer(1, 0)
    directions = 2 if layer.integer(2, 0) == 2 else 1
    gates = GATES[layer.type.lower()]
    hidden = layer.integer(3, 0) or out if layer.type == "LSTM" else out
    rows = gates * hidden * directions
    if out < 1 or rows < 1 or size % rows:
        raise GraphError(f"{size} weights do not fit {out} outputs")
    biases = {"LSTM": 4, "GRU": 4, "RNN": 1}[layer.type]
    names = [
        net.weights(layer, "weights", (rows, size // rows)),
        net.weights(layer, "recurrent", (rows, out)),
        net.weights(layer, "bias", (directions * hidden * biases,)),
    ]
    if hidden != out:
        names.append(net.weights(layer, "projection", (directions * out, hidden)))
    attrs: dict[str, Any] = {"hidden": out, "directions": directions, "return_sequences": True}
    return emit(net, layer, layer.type.lower(), [x, *names], time_major=False, **attrs)


@layer_types("Embed")
def _embed(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    table = net.weights(layer, "table", (layer.integer(1, 0), layer.integer(0, 0)))
    return emit(net, layer, "gather", [table, one_input(net, layer)], axis=0)
