"""ATen's operators element by element, reductions, choices."""

from __future__ import annotations

from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.call import common_layout, same_layout
from perfmodel.formats.onnx.net import Value
from perfmodel.formats.pytorch.call import AtenCall, converts
from perfmodel.formats.pytorch.layers import custom

UNARY = {
    "abs": "abs",
    "acos": "acos",
    "asin": "asin",
    "atan": "atan",
    "bernoulli": "threshold",
    "bitwise_not": "logical_not",
    "ceil": "ceil",
    "celu": "elu",
    "cos": "cos",
    "cosh": "cosh",
    "cumsum": "cumsum",
    "elu": "elu",
    "erf": "erf",
    "erfinv": "erf",
    "exp": "exp",
    "exp2": "exp",
    "expm1": "exp",
    "fill": "zeros_like",
    "floor": "floor",
    "gelu": "gelu",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
    "isinf": "is_nan",
    "isnan": "is_nan",
    "leaky_relu": "leaky_relu",
    "log": "log",
    "log10": "log10",
    "log1p": "log",
    "log2": "log",
    "log_sigmoid": "sigmoid",
    "logical_not": "logical_not",
    "logit": "log",
    "mish": "mish",
    "nan_to_num": "clip",
    "neg": "neg",
    "reciprocal": "reciprocal",
    "relu": "relu",
    "relu6": "relu6",
    "round": "round",
    "rsqrt": "rsqrt",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "sign": "sign",
    "silu": "swish",
    "sin": "sin",
    "sinh": "sinh",
    "softplus": "softplus",
    "softshrink": "threshold",
    "sqrt": "sqrt",
    "square": "square",
    "tan": "tan",
    "tanh": "tanh",
    "threshold": "threshold",
    "tril": "threshold",
    "triu": "threshold",
    "trunc": "trunc",
}
"""ATen's name and the kind of the graph."""

BINARY = {
    "add": "add",
    "atan2": "atan2",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_or",
    "div": "div",
    "divide": "div",
    "eq": "equal",
    "floor_divide": "floor_div",
    "fmod": "floor_mod",
    "ge": "greater_equal",
    "gt": "greater",
    "le": "less_equal",
    "logical_and": "logical_and",
    "logical_or": "logical_or",
    "lt": "less",
    "maximum": "maximum",
    "minimum": "minimum",
    "mul": "mul",
    "multiply": "mul",
    "ne": "not_equal",
    "pow": "pow",
    "remainder": "floor_mod",
    "rsub": "sub",
    "sub": "sub",
    "subtract": "sub",
    "true_divide": "div",
}

REDUCTIONS = {
    "all": "ReduceMin",
    "amax": "ReduceMax",
    "amin": "ReduceMin",
    "any": "ReduceMax",
    "linalg_vector_norm": "ReduceL2",
    "logsumexp": "ReduceLogSumExp",
    "mean": "ReduceMean",
    "norm": "ReduceL2",
    "prod": "ReduceProd",
    "sum": "ReduceSum",
}
"""ATen's name and the operator of ONNX."""


@converts(" ".join(UNARY))
def _unary(call: AtenCall) -> list[Value]:
    return same_layout(call.call(), UNARY[call.op], first(call), call.dtype)


def first(call: AtenCall) -> Value:
    """The tensor that an operator of one tensor reads."""
    return call.value(next(n for n in ("self", "input") if n in call.args))


@converts("hardtanh clamp clamp_min clamp_max clip")
def _clip(call: AtenCall) -> list[Value]:
    low = call.args.get("min_val", call.args.get("min"))
    high = call.args.get("max_val", call.args.get("max"))
    x = first(call)
    if isinstance(low, Value) or isinstance(high, Value):
        bounds = [v for v in (low, high) if isinstance(v, Value)]
        return call.onnx("Max", x, *bounds)
    known: dict[tuple[Any, Any], str] = {
        (0, 6): "relu6",
        (0, None): "relu",
        (-1, 1): "relu_n1_to_1",
    }
    return same_layout(call.call(), known.get((low, high), "clip"), x, call.dtype)


@converts(" ".join(BINARY))
def _binary(call: AtenCall) -> list[Value]:
    if call.op == "pow" and call.args.get("exponent") == 2:
        return same_layout(call.call(), "square", call.value("self"), call.dtype)
    other = "exponent" if call.op == "pow" else "other"
    return _met(call, BINARY[call.op], call.operand("self"), call.operand(other))


def _met(call: AtenCall, kind: str, a: Value, b: Value, suffix: str = "") -> list[Value]:
    values = [a, b]
    names, last = common_layout(call.call(), values)
    attrs = {"activation": "none"}
    return call.call().emit(kind, names, attrs, last=last, dtype=call.dtype, suffix=suffix)


@converts("addcmul addcdiv")
def _multiply_and_add(call: AtenCall) -> list[Value]:
    kind = "mul" if call.op == "addcmul" else "div"
    made = _met(call, kind, call.value("tensor1"), call.value("tensor2"), "product")[0]
    return _met(call, "add", call.value("self"), made)


@converts("lerp")
def _lerp(call: AtenCall) -> list[Value]:
    start, weight = call.value("self"), call.operand("weight")
    gap = _met(call, "sub", call.value("end"), start, "gap")[0]
    return _met(call, "add", start, _met(call, "mul", gap, weight, "part")[0])


@converts("prelu _prelu_kernel")
def _prelu(call: AtenCall) -> list[Value]:
    x, slopes = call.value("self"), call.value("weight")
    name = call.net.image(x) if len(x.shape) >= 3 else call.net.plain(x)
    names = [name, call.net.plain(slopes)]
    return call.call().emit("prelu", names, last=len(x.shape) >= 3)


@converts("glu")
def _glu(call: AtenCall) -> list[Value]:
    """One half times the sigmoid of the other."""
    x, axis = call.value("self"), call.args.get("dim", -1)
    size = x.shape[axis] // 2
    a, b = call.onnx("Split", x, outputs=2, suffix="halves", axis=axis, split=(size, size))
    gate = call.onnx("Sigmoid", b, suffix="gate")[0]
    return call.onnx("Mul", a, gate)


@converts("softmax _softmax log_softmax _log_softmax")
def _softmax(call: AtenCall) -> list[Value]:
    op_type = "LogSoftmax" if "log" in call.op else "Softmax"
    x = first(call)
    return call.onnx(op_type, x, axis=call.args["dim"]) if x.shape else custom(call)


@converts("where masked_fill")
def _select(call: AtenCall) -> list[Value]:
    if call.op == "where":
        return call.onnx(
            "Where", call.value("condition"), call.operand("self"), call.operand("other")
        )
    return call.onnx("Where", call.value("mask"), call.operand("value"), call.value("self"))


@converts(" ".join(REDUCTIONS))
def _reduce(call: AtenCall) -> list[Value]:
    return _reduced(call, REDUCTIONS[call.op], first(call))


def _reduced(
    call: AtenCall, op_type: str, x: Value, suffix: str = "", keep: int = -1
) -> list[Value]:
    axes = call.args.get("dim")
    listed = axes if isinstance(axes, (list, tuple)) else [axes]
    places = tuple(a for a in listed if a is not None)
    keep = int(bool(call.args.get("keepdim"))) if keep < 0 else keep
    if not x.shape:
        return same_layout(call.call(suffix=suffix), "identity", x)
    return call.onnx(op_type, x, suffix=suffix, axes=places, keepdims=keep)


@converts("var std var_mean std_mean")
def _variance(call: AtenCall) -> list[Value]:
    """The mean of the squared distances to the mean, and its root for a deviation."""
    x = first(call)
    mean = _reduced(call, "ReduceMean", x, "mean", 1)[0]
    gap = _met(call, "squared_difference", x, mean, "gap")[0]
    root = call.op.startswith("std")
    made = _reduced(call, "ReduceMean", gap, "var" if root else "")
    if root:
        made = same_layout(call.call(), "sqrt", made[0])
    if len(call.made) == 1:
        return made
    return [*made, *call.onnx("Reshape", mean, suffix="kept", shape=call.made[1].shape)]


@converts("max min")
def _extreme(call: AtenCall) -> list[Value]:
    if "other" in call.args:
        kind = "maximum" if call.op == "max" else "minimum"
        return _met(call, kind, call.value("self"), call.value("other"))
    x = call.value("self")
    made = _reduced(call, "ReduceMax" if call.op == "max" else "ReduceMin", x)
    if len(call.made) == 1:
        return made
    return made + _place(call, x, "places")


@converts("argmax argmin")
def _arg(call: AtenCall) -> list[Value]:
    return _place(call, call.value("self"))


def _place(call: AtenCall, x: Value, suffix: str = "") -> list[Value]:
    axis, keep = call.args.get("dim"), bool(call.args.get("keepdim"))
    if axis is None:
        size = 1
        for d in x.shape:
            size *= d
        x, axis = call.onnx("Reshape", x, suffix="flat", shape=(size,))[0], 0
    op_type = "ArgMin" if "min" in call.op else "ArgMax"
    return call.onnx(op_type, x, suffix=suffix, axis=axis, keepdims=int(keep))


@converts("topk sort argsort")
def _top_k(call: AtenCall) -> list[Value]:
    x = call.value("self")
    shapes = tuple(m.shape for m in call.made)
    attrs = {"output_shapes": shapes}
    count = len(shapes)
    if call.op == "argsort" and count != 1:
        raise GraphError("argsort makes one tensor")
    return call.call(outputs=count).emit("top_k", [call.net.plain(x)], attrs, outputs=count)
