"""ONNX operators element by element, normalisations, and quantisation.

Semantics by operator and operator set version: docs/Operators.md in github onnx/onnx.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.limits import MAX_FAN
from perfmodel.formats.onnx.net import Call, Value, axis_in, common_layout, converts, same_layout
from perfmodel.formats.onnx.tensors import DTYPES

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
