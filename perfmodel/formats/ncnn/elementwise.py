"""ncnn layers that work element by element: activations, unary and binary operators."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.errors import GraphError
from perfmodel.formats.limits import MAX_FAN
from perfmodel.formats.ncnn.net import (
    NcnnLayer,
    NcnnNet,
    emit,
    from_mat_order,
    in_mat_order,
    layer_types,
    one_input,
)

UNARY_TYPES = {
    "AbsVal": "abs",
    "CELU": "elu",
    "Erf": "erf",
    "Shrink": "threshold",
    "BNLL": "softplus",
    "Clip": "clip",
    "DeepCopy": "identity",
    "Dequantize": "dequantize",
    "ELU": "elu",
    "Exp": "exp",
    "GELU": "gelu",
    "HardSigmoid": "hard_sigmoid",
    "HardSwish": "hard_swish",
    "Log": "log",
    "Mish": "mish",
    "Packing": "identity",
    "Quantize": "quantize",
    "Requantize": "quantize",
    "SELU": "selu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Swish": "swish",
    "TanH": "tanh",
    "Threshold": "threshold",
    "CumulativeSum": "cumsum",
}

UNARY_OPS = [
    "abs",
    "neg",
    "floor",
    "ceil",
    "square",
    "sqrt",
    "rsqrt",
    "exp",
    "log",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "reciprocal",
    "tanh",
    "log10",
    "round",
    "trunc",
    "sign",
    "exp",
    "sinh",
    "asinh",
    "cosh",
    "acosh",
    "atanh",
    "log",
]
"""UnaryOp's op_type, in order; expm1 (21) and log1p (27) cost what their plain forms do."""

BINARY_OPS = [
    "add",
    "sub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "pow",
    "sub",
    "div",
    "pow",
    "atan2",
    "atan2",
    "floor_mod",
    "floor_mod",
    "pow",
    "floor_div",
    "floor_div",
    "floor_mod",
    "floor_mod",
]
"""BinaryOp's op_type, in order; the reversed forms swap their operands.

A logarithm of a sum of exponentials (14) costs what a power does, a C remainder what Python's does.
"""

REVERSED_OPS = (7, 8, 9, 11, 13, 16, 18)

CAST_DTYPES = ("float32", "float32", "float16", "int8", "bfloat16")


@layer_types(" ".join(UNARY_TYPES))
def _unary(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    kind = UNARY_TYPES[layer.type]
    dtype = {"quantize": "int8", "dequantize": "float32"}.get(kind, "")
    if kind == "clip" and (layer.real(0, -1), layer.real(1, -1)) == (0, 6):
        kind = "relu6"
    return emit(net, layer, kind, [one_input(net, layer)], dtype)


@layer_types("ReLU")
def _relu(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    kind = "leaky_relu" if layer.real(0, 0.0) else "relu"
    return emit(net, layer, kind, [one_input(net, layer)])


@layer_types("PReLU")
def _prelu(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    slopes = net.weights(layer, "slopes", (layer.integer(0, 0),))
    return emit(net, layer, "prelu", [one_input(net, layer), slopes])


@layer_types("UnaryOp")
def _unary_op(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    kind = layer.integer(0, 0)
    if not 0 <= kind < len(UNARY_OPS):
        raise GraphError(f"unknown op_type {kind}")
    return emit(net, layer, UNARY_OPS[kind], [one_input(net, layer)])


@layer_types("Cast")
def _cast(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    kind = layer.integer(1, 0)
    if not 0 <= kind < len(CAST_DTYPES):
        raise GraphError(f"unknown type_to {kind}")
    return emit(net, layer, "cast", [one_input(net, layer)], CAST_DTYPES[kind])


@layer_types("Power")
def _power(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    if layer.real(0, 1.0) == 1.0:
        return emit(net, layer, "scale", [x])
    exponent = net.weights(layer, "exponent", ())
    return emit(net, layer, "pow", [x, exponent], activation="none")


@layer_types("BinaryOp")
def _binary_op(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    kind = layer.integer(0, 0)
    if not 0 <= kind < len(BINARY_OPS):
        raise GraphError(f"unknown op_type {kind}")
    inputs = [net.tensor(b) for b in layer.bottoms]
    if layer.integer(1, 0):
        inputs = [one_input(net, layer), net.weights(layer, "scalar", ())]
    if len(inputs) != 2:
        raise GraphError(f"two inputs expected, {len(inputs)} given")
    inputs = _broadcast_outer(net, layer, inputs)
    if kind in REVERSED_OPS:
        inputs.reverse()
    return emit(net, layer, BINARY_OPS[kind], inputs, activation="none")


def _broadcast_outer(net: NcnnNet, layer: NcnnLayer, inputs: list[str]) -> list[str]:
    """Give the smaller operand the axes that ncnn aligns it with.

    ncnn (wiki: binaryop-broadcasting) first aligns a smaller blob with the outer axes: a vector
    with channels or rows, a matrix with channels and rows.
    """
    shapes = [net.builder.shape(x) for x in inputs]
    ranks = [len(s) for s in shapes]
    if ranks[0] == ranks[1] or not all(ranks):
        return inputs
    small = ranks.index(min(ranks))
    large = in_mat_order(shapes[1 - small])
    sizes = in_mat_order(shapes[small])
    pairs = zip(sizes, large, strict=False)
    outer = all(s == x or (1 in (s, x) and len(sizes) > 1) for s, x in pairs)
    lacking = (1,) * (len(large) - len(sizes))
    aligned = (*sizes, *lacking) if outer else (*lacking, *sizes)
    shape = from_mat_order(shapes[small][0], aligned)
    inputs[small] = net.builder.reshape(inputs[small], shape, f"{layer.name}/aligned")
    return inputs


@layer_types("Eltwise")
def _eltwise(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    kinds = ("mul", "add", "maximum")
    kind = layer.integer(0, 0)
    if not 0 <= kind < len(kinds) or not 2 <= len(layer.bottoms) <= MAX_FAN:
        raise GraphError(f"op_type {kind} of {len(layer.bottoms)} inputs")
    result, *others = [net.tensor(b) for b in layer.bottoms]
    for i, other in enumerate(others[:-1]):
        result = net.builder.binary(kinds[kind], result, other, name=f"{layer.name}/{i}")
    return emit(net, layer, kinds[kind], [result, others[-1]], activation="none")
