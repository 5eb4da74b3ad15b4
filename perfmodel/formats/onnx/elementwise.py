"""ONNX operators element by element, normalisations, and quantisation.

Semantics by operator and operator set version: docs/Operators.md in github onnx/onnx.
"""

from __future__ import annotations

import math
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.limits import MAX_FAN
from perfmodel.formats.onnx.call import (
    Call,
    axis_in,
    common_layout,
    converts,
    normal_axis,
    same_layout,
)
from perfmodel.formats.onnx.net import Value
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


@converts("FastGelu BiasGelu BiasAdd BiasSplitGelu BiasDropout")
def _biased(call: Call) -> list[Value]:
    """onnxruntime's fusions of a sum with constants (FastGelu may lack it) and an activation."""
    kind, values = call.node.op_type, call.given()
    kept = 3 if kind in ("BiasAdd", "BiasDropout") else 2  # the third of those is a skip
    names, last = common_layout(call, [v for v in values[:kept] if v.shape])
    for i, other in enumerate(names[1:], 1):
        suffix = f"sum{i}" if kind.endswith("Gelu") or i + 1 < len(names) else ""
        made = call.emit("add", [names[0], other], {"activation": "none"}, last=last, suffix=suffix)
        names[0] = made[0].tensor
        if not suffix:
            return made
    if kind == "BiasSplitGelu":
        # one half is multiplied by the activation of the other
        shape = call.net.builder.shape(names[0])
        half = {"axis": len(shape) - 1, "sizes": (shape[-1] // 2, shape[-1] - shape[-1] // 2)}
        left, right = call.net.builder.add_op(
            "split", [names[0]], half, call.net.fresh(f"{call.op_name}/halves")
        )
        gate = call.emit("gelu", [right], suffix="gate")[0]
        return call.emit("mul", [left, gate.tensor], {"activation": "none"})
    return call.emit("gelu" if kind.endswith("Gelu") else "identity", names[:1], last=last)


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
    image = x.last or (kind not in ("layer_norm", "l2_norm") and len(x.shape) >= 3)
    name = call.net.image(x) if image else call.net.plain(x)
    names = [name, *[call.net.plain(v) for v in learned]]
    attrs: dict[str, Any] = {}
    if kind == "lrn":
        attrs = {"size": call.integer("size", 5)}
    elif kind == "group_norm":
        attrs = {"groups": call.integer("num_groups", 1)}
    made = call.emit(kind, names, attrs, last=image)
    return made if kind == "batch_norm" else [*made, *_statistics(call, x)]


def _statistics(call: Call, x: Value) -> list[Value]:
    """Mean and deviation beside the result, where a node names them; the axes are the last."""
    axis = normal_axis(call.integer("axis", -1), len(x.shape))
    attrs = {"axes": tuple(range(axis, len(x.shape))), "keep_dims": True}
    return [
        call.emit("reduce_mean", [call.net.plain(x)], attrs, suffix=f"statistic{i}")[0]
        for i, name in enumerate(call.node.outputs[1:3])
        if name
    ]


@converts("Softmax LogSoftmax")
def _softmax(call: Call) -> list[Value]:
    x = call.value(0)
    kind = "softmax" if call.node.op_type == "Softmax" else "log_softmax"
    axis = call.integer("axis", -1 if call.net.opset >= 13 else 1)
    if not x.shape:
        raise GraphError("a softmax of one number")
    return same_layout(call, kind, x, axis=axis_in(x, axis))
