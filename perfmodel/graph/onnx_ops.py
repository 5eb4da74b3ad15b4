"""ONNX operators that compute: convolutions, products, pooling, norms, activations, recurrence.

Semantics by operator and operator set version: docs/Operators.md in github onnx/onnx.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.graph.limits import MAX_FAN
from perfmodel.graph.onnx_net import (
    Call,
    Value,
    axis_in,
    common_layout,
    converts,
)
from perfmodel.graph.ops import Shape, same_pads

UNARY = {
    "Abs": "abs",
    "Acos": "acos",
    "Acosh": "acosh",
    "Asin": "asin",
    "Asinh": "asinh",
    "Atan": "atan",
    "Atanh": "atanh",
    "BitwiseNot": "logical_not",
    "Ceil": "ceil",
    "Celu": "elu",
    "Cos": "cos",
    "Cosh": "cosh",
    "CumSum": "cumsum",
    "Elu": "elu",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "Gelu": "gelu",
    "FastGelu": "gelu",
    "HardSigmoid": "hard_sigmoid",
    "HardSwish": "hard_swish",
    "LeakyRelu": "leaky_relu",
    "Log": "log",
    "Mish": "mish",
    "Neg": "neg",
    "QuickGelu": "swish",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round",
    "Selu": "selu",
    "Shrink": "threshold",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Sqrt": "sqrt",
    "Swish": "swish",
    "Tan": "tan",
    "Tanh": "tanh",
    "ThresholdedRelu": "threshold",
    "Trilu": "threshold",
}

TESTS = {"IsInf": "is_nan", "IsNaN": "is_nan", "Not": "logical_not"}

BINARY = {
    "Add": "add",
    "BitShift": "mul",
    "BitwiseAnd": "logical_and",
    "BitwiseOr": "logical_or",
    "BitwiseXor": "logical_or",
    "Div": "div",
    "Mod": "floor_mod",
    "Mul": "mul",
    "Pow": "pow",
    "Sub": "sub",
}

COMPARE = {
    "And": "logical_and",
    "Equal": "equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Or": "logical_or",
    "Xor": "not_equal",
}

VARIADIC = {"Max": "maximum", "Mean": "add", "Min": "minimum", "Sum": "add"}


@converts(" ".join((*UNARY, *TESTS)))
def _unary(call: Call) -> list[Value]:
    x, kind = call.value(0), call.node.op_type
    dtype = "bool" if kind in TESTS else x.dtype
    return same_layout(call, UNARY.get(kind) or TESTS[kind], x, dtype)


def same_layout(call: Call, kind: str, x: Value, dtype: str = "", **attrs: Any) -> list[Value]:
    """An operator of one input that does not care for the layout."""
    name = call.net.image(x) if x.last else call.net.plain(x)
    return call.emit(kind, [name], attrs, last=x.last, dtype=dtype)


@converts("Clip")
def _clip(call: Call) -> list[Value]:
    bounds = []
    for index, name, default in ((1, "min", -math.inf), (2, "max", math.inf)):
        value = call.optional(index)
        if value is not None and value.value is not None and value.value.size == 1:
            bounds.append(float(value.value.reshape(-1)[0]))
        else:
            bounds.append(call.real(name, default) if value is None else math.nan)
    kind = {(0.0, 6.0): "relu6", (0.0, math.inf): "relu", (-1.0, 1.0): "relu_n1_to_1"}
    return same_layout(call, kind.get((bounds[0], bounds[1]), "clip"), call.value(0))


@converts("Cast")
def _cast(call: Call) -> list[Value]:
    from perfmodel.graph.onnx_wire import DTYPES

    code = call.integer("to", 0)
    if code not in DTYPES:
        raise GraphError(f"a cast to unknown element type {code}")
    return same_layout(call, "cast", call.value(0), DTYPES[code])


@converts("CastLike BitCast")
def _cast_like(call: Call) -> list[Value]:
    like = call.optional(1)
    return same_layout(call, "cast", call.value(0), like.dtype if like else "")


@converts("PRelu")
def _prelu(call: Call) -> list[Value]:
    names, last = common_layout(call, [call.value(0), call.value(1)])
    return call.emit("prelu", names, last=last)


@converts(" ".join((*BINARY, *COMPARE)))
def _binary(call: Call) -> list[Value]:
    kind = call.node.op_type
    dtype = "bool" if kind in COMPARE else call.value(0).dtype
    names, last = common_layout(call, [call.value(0), call.value(1)])
    attrs = {"activation": "none"}
    return call.emit(BINARY.get(kind) or COMPARE[kind], names, attrs, last=last, dtype=dtype)


@converts(" ".join(VARIADIC))
def _variadic(call: Call) -> list[Value]:
    """One, two or more inputs, as a chain of binary operators."""
    values, kind = call.given(), VARIADIC[call.node.op_type]
    if len(values) == 1:
        return same_layout(call, "identity", values[0])
    if len(values) > MAX_FAN:
        raise GraphError(f"{len(values)} operands; at most {MAX_FAN} are read")
    names, last = common_layout(call, values)
    result = names[0]
    for i, other in enumerate(names[1:-1]):
        result = call.emit(kind, [result, other], {"activation": "none"}, suffix=str(i))[0].tensor
    return call.emit(kind, [result, names[-1]], {"activation": "none"}, last=last)


@converts("Where")
def _where(call: Call) -> list[Value]:
    values = [call.value(i) for i in range(3)]
    names, last = common_layout(call, values)
    return call.emit("select", names, last=last, dtype=values[1].dtype)


def spatial(call: Call, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """An attribute with one number for each spatial axis, at least 1."""
    found = call.integers(name)
    found = default if found is None or not found else found
    if len(found) != len(default) or min(found, default=1) < 1:
        raise GraphError(f"attribute {name} must have {len(default)} positive numbers, has {found}")
    return found


def window_pads(
    call: Call, size: Shape, kernel: Shape, stride: Shape, dilation: Shape
) -> list[tuple[int, int]]:
    """Padding (before, after) of each spatial axis."""
    rule = call.text("auto_pad", "NOTSET")
    if rule in ("SAME_UPPER", "SAME_LOWER"):
        pads = [same_pads(*axis) for axis in zip(size, kernel, stride, dilation, strict=True)]
        return pads if rule == "SAME_UPPER" else [(after, before) for before, after in pads]
    listed = call.integers("pads")
    if rule == "VALID" or not listed:
        return [(0, 0)] * len(size)
    if len(listed) != 2 * len(size) or min(listed) < 0:
        raise GraphError(f"pads {listed} for {len(size)} spatial axes")
    return list(zip(listed[: len(size)], listed[len(size) :], strict=True))


def as_2d(call: Call, x: Value) -> tuple[str, bool]:
    """Tensor name of an image (batch, h, w, channels); a sequence becomes an image of height 1."""
    name = call.net.image(x)
    if len(x.shape) == 4:
        return name, False
    if len(x.shape) != 3:
        raise UncoveredRankError(f"{len(x.shape) - 2} spatial axes")
    n, c, length = x.shape
    inner = call.net.fresh(f"{call.op_name}/as_image")
    return call.net.builder.reshape(name, (n, 1, length, c), inner), True


class UncoveredRankError(GraphError):
    """An operator we know, on a rank we do not: it becomes a custom operator."""


def emit_2d(
    call: Call, kind: str, names: list[str], attrs: dict[str, Any], flat: bool, dtype: str = ""
) -> list[Value]:
    """Append an image operator; for a sequence its result loses the height again."""
    if not flat:
        return call.emit(kind, names, attrs, last=True, dtype=dtype)
    inner = call.emit(kind, names, attrs, dtype=dtype, suffix="image")[0]
    n, _, length, c = call.net.builder.shape(inner.tensor)
    return call.emit("reshape", [inner.tensor], {"shape": (n, length, c)}, last=True)


def per_axis(values: tuple[int, ...], flat: bool, unit: int = 1) -> tuple[int, ...]:
    """Numbers by spatial axis as (height, width)."""
    return (unit, *values) if flat else values


@converts("Conv FusedConv ConvInteger")
def _conv(call: Call) -> list[Value]:
    dtype = "int32" if call.node.op_type == "ConvInteger" else ""
    bias = call.optional(2) if not dtype else None
    return convolution(call, call.value(0), call.value(1), bias, dtype)


@converts("QLinearConv")
def _quantised_conv(call: Call) -> list[Value]:
    zero = call.optional(7)
    dtype = zero.dtype if zero else call.value(0).dtype
    return convolution(call, call.value(0), call.value(3), call.optional(8), dtype)


def convolution(call: Call, x: Value, w: Value, bias: Value | None, dtype: str = "") -> list[Value]:
    """A convolution of an image or a sequence with weights (cout, cin / groups, ...)."""
    if len(x.shape) < 3 or len(w.shape) != len(x.shape):
        raise GraphError(f"input {x.shape} and weights {w.shape}")
    cout, cin_group, *window = w.shape
    ones = (1,) * len(window)
    kernel = spatial(call, "kernel_shape", tuple(window))
    if kernel != tuple(window):
        raise GraphError(f"kernel_shape {kernel} and weights {w.shape}")
    stride, dilation = spatial(call, "strides", ones), spatial(call, "dilations", ones)
    pads = window_pads(call, x.shape[2:], kernel, stride, dilation)
    name, flat = as_2d(call, x)
    kernel = per_axis(kernel, flat)
    pad_pairs = [(0, 0), *pads] if flat else pads
    names = [name, weights(call, w, (cout, *kernel, cin_group), (0, 2, 3, 1))]
    if bias is not None:
        names.append(call.net.plain(bias))
    groups = call.integer("group", 1)
    if groups < 1:
        raise GraphError(f"{groups} groups")
    attrs = {
        "stride": per_axis(stride, flat),
        "dilation": per_axis(dilation, flat),
        "pads": (*pad_pairs[0], *pad_pairs[1]),
        "groups": groups,
        "activation": fused_activation(call),
    }
    return emit_2d(call, "conv2d", names, attrs, flat, dtype)


def fused_activation(call: Call) -> str:
    """Activation of a FusedConv, as onnxruntime's optimiser writes it."""
    known = {"": "none", "Relu": "relu", "LeakyRelu": "leaky_relu", "Tanh": "tanh"}
    known |= {"Sigmoid": "sigmoid", "Clip": "clip", "HardSigmoid": "hard_sigmoid"}
    name = call.text("activation", "")
    if name not in known:
        raise GraphError(f"unknown fused activation {name!r}")
    return known[name]


def weights(call: Call, w: Value, shape: Shape, perm: Shape) -> str:
    """Weights in the graph's order; computed ones are moved by a transpose."""
    net = call.net
    if w.constant:
        return net.constant(w, shape)
    name = net.plain(w)
    if len(w.shape) == 3:
        name = net.builder.reshape(name, (*w.shape[:2], 1, w.shape[2]))
    name = net.builder.op("transpose", name, perm=perm)
    # groups of a transposed convolution lie along the other axis
    return name if net.builder.shape(name) == shape else net.builder.reshape(name, shape)


@converts("ConvTranspose")
def _conv_transpose(call: Call) -> list[Value]:
    x, w, bias = call.value(0), call.value(1), call.optional(2)
    if len(x.shape) < 3 or len(w.shape) != len(x.shape):
        raise GraphError(f"input {x.shape} and weights {w.shape}")
    groups = call.integer("group", 1)
    cin, cout_group, *window = w.shape
    ones = (1,) * len(window)
    kernel = spatial(call, "kernel_shape", tuple(window))
    stride, dilation = spatial(call, "strides", ones), spatial(call, "dilations", ones)
    extra = call.integers("output_padding") or (0,) * len(window)
    if groups < 1 or cin % groups or len(extra) != len(window) or kernel != tuple(window):
        raise GraphError(f"weights {w.shape}, groups {groups}, output_padding {extra}")
    pads = _transposed_pads(call, x.shape[2:], kernel, stride, dilation, extra)
    name, flat = as_2d(call, x)
    kernel = per_axis(kernel, flat)
    pad_pairs = [(0, 0), *pads] if flat else pads
    shape = (cout_group * groups, *kernel, cin // groups)
    names = [name, weights(call, w, shape, (1, 2, 3, 0))]
    if bias is not None:
        names.append(call.net.plain(bias))
    attrs = {
        "stride": per_axis(stride, flat),
        "dilation": per_axis(dilation, flat),
        "pads": (*pad_pairs[0], *pad_pairs[1]),
        "output_padding": per_axis(tuple(extra), flat, 0),
        "groups": groups,
        "activation": "none",
    }
    return emit_2d(call, "transpose_conv2d", names, attrs, flat)


def _transposed_pads(
    call: Call, size: Shape, kernel: Shape, stride: Shape, dilation: Shape, extra: Shape
) -> list[tuple[int, int]]:
    wanted = call.integers("output_shape")
    rule = call.text("auto_pad", "NOTSET")
    if not wanted and rule in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(s * st for s, st in zip(size, stride, strict=True))
    if not wanted:
        return window_pads(call, size, kernel, stride, dilation)
    wanted = wanted[-len(size) :]
    pads = []
    for s, k, st, d, e, out in zip(size, kernel, stride, dilation, extra, wanted, strict=True):
        total = st * (s - 1) + e + (k - 1) * d + 1 - out
        half = total // 2
        pads.append((half, total - half) if rule != "SAME_LOWER" else (total - half, half))
    return pads


@converts("MaxPool AveragePool LpPool")
def _pool(call: Call) -> list[Value]:
    x = call.value(0)
    if len(x.shape) < 3:
        raise GraphError(f"pooling of a tensor {x.shape}")
    axes = len(x.shape) - 2
    kernel = spatial(call, "kernel_shape", (0,) * axes)
    stride, dilation = (
        spatial(call, "strides", (1,) * axes),
        spatial(call, "dilations", (1,) * axes),
    )
    pads = window_pads(call, x.shape[2:], kernel, stride, dilation)
    if call.integer("ceil_mode", 0):
        pads = [
            _ceil_pads(*a) for a in zip(x.shape[2:], kernel, stride, dilation, pads, strict=True)
        ]
    name, flat = as_2d(call, x)
    pad_pairs = [(0, 0), *pads] if flat else pads
    attrs = {
        "kernel": per_axis(kernel, flat),
        "stride": per_axis(stride, flat),
        "dilation": per_axis(dilation, flat),
        "pads": (*pad_pairs[0], *pad_pairs[1]),
        "activation": "none",
    }
    kind = "max_pool2d" if call.node.op_type == "MaxPool" else "avg_pool2d"
    results = emit_2d(call, kind, [name], attrs, flat)
    if len(call.node.outputs) > 1 and call.node.outputs[1]:
        # where each maximum was: found by the same pass, written beside it
        place = call.net.fresh(call.node.outputs[1])
        attrs_out = {"output_shapes": (call.net.builder.shape(results[0].tensor),)}
        call.net.builder.add_op("scatter", [results[0].tensor], attrs_out, place, [place], "int64")
        results.append(replace(results[0], name=place, tensor=place, dtype="int64"))
    return results


def _ceil_pads(
    size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int]
) -> tuple[int, int]:
    """More padding behind for a last window that is not full, if it starts inside the input."""
    span = dilation * (kernel - 1) + 1
    windows = -(-(size + sum(pads) - span) // stride) + 1
    if (windows - 1) * stride >= size + pads[0]:
        windows -= 1
    return pads[0], max(0, (windows - 1) * stride + span - size - pads[0])


@converts("GlobalAveragePool GlobalMaxPool GlobalLpPool QLinearGlobalAveragePool")
def _global_pool(call: Call) -> list[Value]:
    x = call.value(0)
    if len(x.shape) < 3:
        raise GraphError(f"pooling of a tensor {x.shape}")
    kind = "reduce_max" if call.node.op_type == "GlobalMaxPool" else "reduce_mean"
    attrs = {"axes": tuple(range(1, len(x.shape) - 1)), "keep_dims": True}
    return call.emit(kind, [call.net.image(x)], attrs, last=True)


@converts("MatMul MatMulInteger FusedMatMul")
def _matmul(call: Call) -> list[Value]:
    dtype = "int32" if call.node.op_type == "MatMulInteger" else ""
    flags = call.integer("transA", 0), call.integer("transB", 0)
    return product(call, call.value(0), call.value(1), dtype, flags)


@converts("QLinearMatMul")
def _quantised_matmul(call: Call) -> list[Value]:
    return product(call, call.value(0), call.value(3), call.value(7).dtype)


def product(
    call: Call, a: Value, b: Value, dtype: str = "", flags: tuple[int, int] = (0, 0)
) -> list[Value]:
    """numpy's matmul; with constant (in, out) weights it is a fully connected layer."""
    net = call.net
    if not a.shape or not b.shape:
        raise GraphError(f"a product of shapes {a.shape} and {b.shape}")
    if b.constant and len(b.shape) == 2 and len(a.shape) >= 2 and not any(flags):
        names = [net.plain(a), net.constant(b, (b.shape[1], b.shape[0]))]
        attrs: dict[str, Any] = {"activation": "none", "keep_dims": True}
        return call.emit("fully_connected", names, attrs, dtype=dtype)
    names = [net.plain(a), net.plain(b)]
    if len(a.shape) == 1:
        names[0] = net.builder.reshape(names[0], (1, *a.shape))
    if len(b.shape) == 1:
        names[1] = net.builder.reshape(names[1], (*b.shape, 1))
    attrs = {"transpose_a": bool(flags[0]), "transpose_b": bool(flags[1])}
    if len(a.shape) > 1 and len(b.shape) > 1:
        return call.emit("matmul", names, attrs, dtype=dtype)
    inner = call.emit("matmul", names, attrs, dtype=dtype, suffix="product")[0]
    shape = inner.shape if len(b.shape) > 1 else inner.shape[:-1]
    if len(a.shape) == 1:
        shape = (*shape[:-2], *shape[-1:]) if len(b.shape) > 1 else shape[:-1]
    return call.emit("reshape", [inner.tensor], {"shape": shape})


@converts("Gemm")
def _gemm(call: Call) -> list[Value]:
    a, b, c = call.value(0), call.value(1), call.optional(2)
    if len(b.shape) != 2 or len(a.shape) < 2:
        raise GraphError(f"matrices expected, got {a.shape} and {b.shape}")
    net, name = call.net, call.net.plain(a)
    if len(a.shape) > 2:  # before operator set 7 Gemm flattened its input
        name = net.builder.reshape(name, (a.shape[0], math.prod(a.shape[1:])))
    trans_a, trans_b = bool(call.integer("transA", 0)), bool(call.integer("transB", 0))
    if not b.constant:
        return _gemm_computed(call, name, net.plain(b), c, (trans_a, trans_b))
    if trans_a:
        name = net.builder.op("transpose", name, perm=(1, 0))
    shape = b.shape if trans_b else (b.shape[1], b.shape[0])
    names, attrs = [name, net.constant(b, shape)], {"activation": "none", "keep_dims": True}
    if c is not None and c.constant and math.prod(c.shape) == shape[0]:
        return call.emit("fully_connected", [*names, net.constant(c, (shape[0],))], attrs)
    if c is None:
        return call.emit("fully_connected", names, attrs)
    inner = call.emit("fully_connected", names, attrs, suffix="product")[0]
    return call.emit("add", [inner.tensor, net.plain(c)], {"activation": "none"})


def _gemm_computed(
    call: Call, a: str, b: str, c: Value | None, flags: tuple[bool, bool]
) -> list[Value]:
    attrs = {"transpose_a": flags[0], "transpose_b": flags[1]}
    if c is None:
        return call.emit("matmul", [a, b], attrs)
    inner = call.emit("matmul", [a, b], attrs, suffix="product")[0]
    return call.emit("add", [inner.tensor, call.net.plain(c)], {"activation": "none"})


NORMS = {
    "BatchNormalization": "batch_norm",
    "GroupNormalization": "group_norm",
    "InstanceNormalization": "instance_norm",
    "LRN": "lrn",
    "LayerNormalization": "layer_norm",
    "LpNormalization": "l2_norm",
    "MeanVarianceNormalization": "instance_norm",
    "RMSNormalization": "layer_norm",
    "SimplifiedLayerNormalization": "layer_norm",
}


@converts(" ".join(NORMS))
def _norm(call: Call) -> list[Value]:
    """Normalisations: statistics (or their use) and learned factors; the shape stays."""
    kind, (x, *learned) = NORMS[call.node.op_type], [call.value(0), *call.given()[1:]]
    if any(call.node.outputs[1:]) and kind != "batch_norm":
        raise GraphError("only the first output is read, as in inference")
    image = x.last or (kind not in ("layer_norm", "l2_norm") and len(x.shape) >= 3)
    name = call.net.image(x) if image else call.net.plain(x)
    names = [name, *[call.net.plain(v) for v in learned]]
    attrs: dict[str, Any] = {}
    if kind == "lrn":
        attrs = {"size": call.integer("size", 5)}
    elif kind == "group_norm":
        attrs = {"groups": call.integer("num_groups", 1)}
    return call.emit(kind, names, attrs, last=image)


@converts("Softmax LogSoftmax")
def _softmax(call: Call) -> list[Value]:
    x = call.value(0)
    kind = "softmax" if call.node.op_type == "Softmax" else "log_softmax"
    axis = call.integer("axis", -1 if call.net.opset >= 13 else 1)
    if not x.shape:
        raise GraphError("a softmax of one number")
    return same_layout(call, kind, x, axis=axis_in(x, axis))


@converts("QLinearAdd QLinearMul")
def _quantised_binary(call: Call) -> list[Value]:
    """onnxruntime's: each operand is followed by its scale and zero point."""
    names, last = common_layout(call, [call.value(0), call.value(3)])
    kind = "add" if call.node.op_type == "QLinearAdd" else "mul"
    return call.emit(kind, names, {"activation": "none"}, last=last)


@converts("QLinearSigmoid QLinearLeakyRelu QLinearSoftmax")
def _quantised_unary(call: Call) -> list[Value]:
    kinds = {"QLinearSigmoid": "sigmoid", "QLinearLeakyRelu": "leaky_relu"}
    kind = kinds.get(call.node.op_type, "softmax")
    attrs: dict[str, Any] = {}
    if kind == "softmax":
        attrs = {"axis": axis_in(call.value(0), -1)}
    return same_layout(call, kind, call.value(0), **attrs)


@converts("SkipLayerNormalization BiasGelu")
def _fused_after_add(call: Call) -> list[Value]:
    """onnxruntime's fusions of transformers: a sum, then a norm or an activation."""
    x, other, *learned = call.given()
    names, last = common_layout(call, [x, other])
    total = call.emit("add", names, {"activation": "none"}, last=last, suffix="sum")[0]
    if call.node.op_type == "BiasGelu":
        return call.emit("gelu", [total.tensor], last=last)
    constants = [call.net.plain(v) for v in learned[:2]]
    return call.emit("layer_norm", [total.tensor, *constants], last=last)


@converts("QuantizeLinear")
def _quantize(call: Call) -> list[Value]:
    zero = call.optional(2)
    return same_layout(call, "quantize", call.value(0), zero.dtype if zero else "uint8")


@converts("DequantizeLinear")
def _dequantize(call: Call) -> list[Value]:
    x = call.value(0)
    if x.constant:
        # stored weights count in their stored form: runtimes compute with it, or unpack it once
        return call.rename(replace(x, value=None))
    return same_layout(call, "dequantize", x, call.value(1).dtype)


@converts("DynamicQuantizeLinear")
def _dynamic_quantize(call: Call) -> list[Value]:
    """Finds the range of the input, then quantises; scale and zero point are numbers."""
    x = call.value(0)
    name = call.net.plain(x)
    y = call.emit("quantize", [name], dtype="uint8")[0]
    axes = {"axes": tuple(range(len(x.shape))), "keep_dims": False}
    results = [y]
    for i, dtype in ((1, "float32"), (2, "uint8")):
        place = call.net.fresh(f"{call.op_name}/range{i}")
        kind = "reduce_max" if i == 1 else "reduce_min"
        made = call.net.builder.add_op(kind, [name], axes, place, [place], dtype)[0]
        results.append(Value(made, (), dtype, made))
    return results[: len(call.node.outputs)]


@converts("LSTM GRU RNN")
def _recurrent(call: Call) -> list[Value]:
    """Input (time, batch, features), or (batch, time, features) where layout is 1."""
    net, (x, w, r) = call.net, (call.value(0), call.value(1), call.value(2))
    hidden, batch_first = call.integer("hidden_size", r.shape[-1]), call.integer("layout", 0)
    if len(x.shape) != 3 or len(w.shape) != 3 or hidden < 1:
        raise GraphError(f"input {x.shape}, weights {w.shape}, hidden size {hidden}")
    directions = 2 if call.text("direction", "forward") == "bidirectional" else 1
    batch, time = (x.shape[0], x.shape[1]) if batch_first else (x.shape[1], x.shape[0])
    learned = [net.plain(v) for v in (w, r, call.optional(3)) if v is not None]
    wanted = [*call.node.outputs, "", "", ""]
    attrs = {
        "hidden": hidden,
        "directions": directions,
        "return_sequences": bool(wanted[0]),
        "time_major": not batch_first,
    }
    names = [net.plain(x), *learned]
    made = call.emit(call.node.op_type.lower(), names, attrs, suffix="cells")[0]
    results = []
    if batch_first:
        full: Shape = (batch, time, directions, hidden)
        state: Shape = (batch, directions, hidden)
    else:
        full, state = (time, directions, batch, hidden), (directions, batch, hidden)
    for i, name in enumerate(call.node.outputs):
        if not name:
            results.append(Value("", (), "float32", constant=True))
            continue
        shape = full if i == 0 else state
        whole = math.prod(shape) == math.prod(net.builder.shape(made.tensor))
        kind, key = ("reshape", "shape") if whole else ("strided_slice", "output_shape")
        place = net.fresh(name)
        net.builder.add_op(kind, [made.tensor], {key: shape}, place, [place])
        results.append(Value(place, shape, made.dtype, place))
    return results
