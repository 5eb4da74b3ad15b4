"""Written element by element: activations, arithmetic, reductions, softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from perfmodel.formats.tflite.emitter import (
    LINEAR,
    PROBABILITY,
    RECTIFIED,
    SIGNED_UNIT,
    TfliteEmitter,
    emits,
)
from perfmodel.formats.tflite.file import Quant
from perfmodel.formats.tflite.schema import FUSED_ACTIVATIONS
from perfmodel.graph.ir import Op
from perfmodel.graph.kinds import BINARY, REDUCE, UNARY
from perfmodel.graph.ops import broadcast

_ALIASES = frozenset({"identity", "dropout", "quantize", "dequantize", "fake_quant"})
"""Ops that do nothing at inference, or that the writer places by itself."""

_SIMPLE = {
    "relu": "RELU",
    "relu6": "RELU6",
    "relu_n1_to_1": "RELU_N1_TO_1",
    "hard_tanh": "RELU_N1_TO_1",
    "elu": "ELU",
    "sigmoid": "LOGISTIC",
    "tanh": "TANH",
    "hard_swish": "HARD_SWISH",
    "exp": "EXP",
    "log": "LOG",
    "sqrt": "SQRT",
    "rsqrt": "RSQRT",
    "neg": "NEG",
    "abs": "ABS",
    "sign": "SIGN",
    "sin": "SIN",
    "cos": "COS",
    "square": "SQUARE",
    "floor": "FLOOR",
    "ceil": "CEIL",
    "round": "ROUND",
    "gelu": "GELU",
    "leaky_relu": "LEAKY_RELU",
    "zeros_like": "ZEROS_LIKE",
    "logical_not": "LOGICAL_NOT",
}
_OPTIONS = {
    "hard_swish": "HardSwishOptions",
    "gelu": "GeluOptions",
    "leaky_relu": "LeakyReluOptions",
    "exp": "ExpOptions",
    "neg": "NegOptions",
    "abs": "AbsOptions",
    "cos": "CosOptions",
    "square": "SquareOptions",
    "zeros_like": "ZerosLikeOptions",
    "logical_not": "LogicalNotOptions",
    "sign": "SignOptions",
}
# kinds with an int8 kernel: (output range or None for the input's, operator version)
_INT8: dict[str, tuple[Quant, int]] = {
    "relu": (RECTIFIED, 2),
    "relu6": (RECTIFIED, 2),
    "relu_n1_to_1": (SIGNED_UNIT, 2),
    "hard_tanh": (SIGNED_UNIT, 2),
    "sigmoid": (PROBABILITY, 2),
    "tanh": (SIGNED_UNIT, 2),
    "hard_swish": (LINEAR, 1),
    "leaky_relu": (LINEAR, 2),
    "elu": (LINEAR, 1),
    "gelu": (LINEAR, 2),
}


def emit_unary(e: TfliteEmitter, kind: str, x: int, op: Op) -> int:
    """Apply an activation or function to tensor `x`; attributes and slopes are those of `op`."""
    if kind in _ALIASES:
        return x
    if kind in _COMPOSED:
        return _COMPOSED[kind](e, x, op)
    if kind not in _SIMPLE:
        raise e.refuse(op, f"TFLite has no operator for {kind}")
    fields = {}
    if kind == "leaky_relu":
        fields["alpha"] = float(op.attrs.get("alpha", 0.2))
    if kind == "gelu":
        fields["approximate"] = bool(op.attrs.get("approximate", False))
    quant, version = _INT8.get(kind, (LINEAR, 1))
    if kind not in _INT8:
        x = e.convert(x, "float32")
    return e.emit(
        _SIMPLE[kind],
        [x],
        e.shape(x),
        e.dtype(x),
        _OPTIONS.get(kind, ""),
        version=version if e.dtype(x) == "int8" else 1,
        quant=quant,
        **fields,
    )


def arithmetic(e: TfliteEmitter, builtin: str, a: int, b: int, activation: int = 0) -> int:
    """ADD, SUB, MUL or DIV of two tensors of one element type, with a fused activation code."""
    dtype = e.dtype(a)
    return e.emit(
        builtin,
        [a, b],
        broadcast([e.shape(a), e.shape(b)]),
        dtype,
        f"{builtin.title()}Options",
        version=2 if dtype == "int8" and builtin != "DIV" else 1,
        quant=RECTIFIED if activation in (1, 3) else LINEAR,
        fusedActivationFunction=activation,
    )


def emit_fused(
    e: TfliteEmitter,
    op: Op,
    builtin: str,
    inputs: Sequence[int],
    shape: Sequence[int],
    *,
    dtype: str,
    options: str,
    **fields: Any,
) -> int:
    """Like `e.emit`, with the op's activation fused where TFLite can, else as an operator."""
    activation = op.attrs.get("activation", "none")
    fused = activation if activation in FUSED_ACTIVATIONS else "none"
    quant = RECTIFIED if fused in ("relu", "relu6") else LINEAR
    fields["fusedActivationFunction"] = FUSED_ACTIVATIONS.index(fused)
    out = e.emit(builtin, inputs, shape, dtype, options, quant=quant, **fields)
    return out if fused == activation else activated(e, op, out)


def activated(e: TfliteEmitter, op: Op, out: int) -> int:
    """The op's activation applied to `out` by an operator of its own, if it has one."""
    activation = op.attrs.get("activation", "none")
    if activation == "none":
        return out
    e.file.owner = f"{op.name}/{activation}"
    applied = emit_unary(e, activation, out, op)
    e.file.owner = op.name
    return applied


def _swish(e: TfliteEmitter, x: int, op: Op) -> int:
    return arithmetic(e, "MUL", x, emit_unary(e, "sigmoid", x, op))


def _hard_sigmoid(e: TfliteEmitter, x: int, op: Op) -> int:
    """relu6(x + 3) / 6, as TensorFlow writes it."""
    shifted = arithmetic(e, "ADD", x, e.number(3.0, e.dtype(x)), activation=3)
    return arithmetic(e, "MUL", shifted, e.number(1 / 6, e.dtype(x)))


def _softplus(e: TfliteEmitter, x: int, op: Op) -> int:
    x = emit_unary(e, "exp", x, op)
    return emit_unary(e, "log", arithmetic(e, "ADD", x, e.number(1.0)), op)


def _mish(e: TfliteEmitter, x: int, op: Op) -> int:
    x = e.convert(x, "float32")
    return arithmetic(e, "MUL", x, emit_unary(e, "tanh", _softplus(e, x, op), op))


def _softsign(e: TfliteEmitter, x: int, op: Op) -> int:
    x = e.convert(x, "float32")
    return arithmetic(e, "DIV", x, arithmetic(e, "ADD", emit_unary(e, "abs", x, op), e.number(1.0)))


def _reciprocal(e: TfliteEmitter, x: int, op: Op) -> int:
    return arithmetic(e, "DIV", e.number(1.0), e.convert(x, "float32"))


def _clip(e: TfliteEmitter, x: int, op: Op) -> int:
    bounds = (op.attrs.get("min"), op.attrs.get("max"))
    if bounds == (0, 6):
        return emit_unary(e, "relu6", x, op)
    x = e.convert(x, "float32")
    for bound, builtin in zip(bounds, ("MAXIMUM", "MINIMUM"), strict=True):
        if bound is not None:
            limit = e.number(float(bound))
            x = e.emit(builtin, [x, limit], e.shape(x), "float32", "MaximumMinimumOptions")
    return x


def _prelu(e: TfliteEmitter, x: int, op: Op) -> int:
    slopes = next((n for n in op.inputs[1:] if n and e.graph.tensors[n].constant), "")
    x = e.convert(x, "float32")
    if not slopes:
        raise e.refuse(op, "PReLU without slopes")
    channels = e.graph.tensors[slopes].elements
    shape = (*([1] * (len(e.shape(x)) - 2)), channels)
    alpha = e.real_constant(slopes, shape, 0.02, 0.25)
    return e.emit("PRELU", [x, alpha], e.shape(x), "float32")


_COMPOSED: dict[str, Callable[[TfliteEmitter, int, Op], int]] = {
    "swish": _swish,
    "hard_sigmoid": _hard_sigmoid,
    "softplus": _softplus,
    "mish": _mish,
    "softsign": _softsign,
    "reciprocal": _reciprocal,
    "clip": _clip,
    "prelu": _prelu,
}


@emits([kind for kind in UNARY if kind in _SIMPLE or kind in _COMPOSED])
def _unary(e: TfliteEmitter, op: Op) -> None:
    e.bind(op.outputs[0], emit_unary(e, op.kind, e.read(op.inputs[0]), op))


@emits(_ALIASES)
def _alias(e: TfliteEmitter, op: Op) -> None:
    e.values[op.outputs[0]] = e.values.get(op.inputs[0]) or {"float32": e.read(op.inputs[0])}


@emits("cast")
def _cast(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    want = e.graph.tensors[op.outputs[0]].dtype
    x = e.convert(x, "float32")
    dtype = "float32" if want in ("float16", "bfloat16", "int8", "uint8") else want
    e.bind(op.outputs[0], e.emit("CAST", [x], e.shape(x), dtype))


@emits("cumsum")
def _cumsum(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], "float32")
    axis = e.ints([op.attrs.get("axis", -1) % len(e.shape(x))], ())
    e.bind(op.outputs[0], e.emit("CUMSUM", [x, axis], e.shape(x), e.dtype(x), "CumsumOptions"))


_COMPARISONS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
_FUSED = frozenset({"add", "sub", "mul", "div"})
_INT8_BINARY = frozenset({"add", "sub", "mul", "squared_difference"})
_BINARY_OPTIONS = {
    "maximum": "MaximumMinimumOptions",
    "minimum": "MaximumMinimumOptions",
    "pow": "PowOptions",
    "squared_difference": "SquaredDifferenceOptions",
    "floor_div": "FloorDivOptions",
    "floor_mod": "FloorModOptions",
    "equal": "EqualOptions",
    "not_equal": "NotEqualOptions",
    "less": "LessOptions",
    "less_equal": "LessEqualOptions",
    "greater": "GreaterOptions",
    "greater_equal": "GreaterEqualOptions",
    "logical_and": "LogicalAndOptions",
    "logical_or": "LogicalOrOptions",
}


@emits(BINARY)
def _binary(e: TfliteEmitter, op: Op) -> None:
    dtype = "int8" if e.int8 and op.kind in _INT8_BINARY else "float32"
    names = [n for n in op.inputs if n]
    if len(names) < 2:
        raise e.refuse(op, f"{len(names)} input")
    tensors = [e.read(name, dtype) for name in names]
    total = tensors[0]
    plain = replace(op, attrs={**op.attrs, "activation": "none"})
    for term in tensors[1:-1]:  # sums of several terms are chains
        total = _pair(e, plain, total, term)
    e.bind(op.outputs[0], _pair(e, op, total, tensors[-1]))


def _pair(e: TfliteEmitter, op: Op, a: int, b: int) -> int:
    shape = broadcast([e.shape(a), e.shape(b)])
    dtype = "bool" if op.kind in _COMPARISONS else e.dtype(a)
    version = 2 if dtype == "int8" else 1
    builtin = op.kind.upper()
    if op.kind in _FUSED:
        options = f"{builtin.title()}Options"
        return emit_fused(
            e, op, builtin, [a, b], shape, dtype=dtype, options=options, version=version
        )
    out = e.emit(builtin, [a, b], shape, dtype, _BINARY_OPTIONS.get(op.kind, ""), version=version)
    return activated(e, op, out)


@emits("select")
def _select(e: TfliteEmitter, op: Op) -> None:
    condition = e.read(op.inputs[0])
    a, b = (e.read(name, "float32") for name in op.inputs[1:3])
    shape = broadcast([e.shape(i) for i in (condition, a, b)])
    e.bind(
        op.outputs[0], e.emit("SELECT_V2", [condition, a, b], shape, e.dtype(a), "SelectV2Options")
    )


@emits(REDUCE)
def _reduce(e: TfliteEmitter, op: Op) -> None:
    builtin = {"reduce_mean": "MEAN", "reduce_sum": "SUM"}.get(op.kind, op.kind.upper())
    x = e.read(op.inputs[0], "int8" if e.int8 and op.kind == "reduce_mean" else "float32")
    e.bind(op.outputs[0], reduce(e, builtin, x, op.attrs["axes"], op.attrs["keep_dims"]))


def reduce(
    e: TfliteEmitter, builtin: str, x: int, axes: tuple[int, ...], keep_dims: bool = True
) -> int:
    """Mean, sum or extreme over some axes."""
    shape = tuple(
        1 if i in axes else d for i, d in enumerate(e.shape(x)) if keep_dims or i not in axes
    )
    dtype = e.dtype(x)
    return e.emit(
        builtin,
        [x, e.ints(axes)],
        shape,
        dtype,
        "ReducerOptions",
        version=2 if dtype == "int8" else 1,
        quant=e.quant(x),
        keepDims=keep_dims,
    )


@emits("arg_max arg_min")
def _arg(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    axis = op.attrs["axis"] % len(e.shape(x))
    wanted = e.graph.tensors[op.outputs[0]]
    dtype = "int64" if wanted.dtype == "int64" else "int32"
    shape = tuple(d for i, d in enumerate(e.shape(x)) if i != axis)
    options = "ArgMaxOptions" if op.kind == "arg_max" else "ArgMinOptions"
    out = e.emit(
        op.kind.upper(),
        [x, e.ints([axis], ())],
        shape,
        dtype,
        options,
        version=2 if e.dtype(x) == "int8" else 1,
        outputType=4 if dtype == "int64" else 2,
    )
    if wanted.shape != shape:
        out = e.emit("RESHAPE", [out, e.ints(wanted.shape)], wanted.shape, dtype)
    e.bind(op.outputs[0], out)


@emits("softmax log_softmax")
def _softmax(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], "float32" if op.kind == "log_softmax" else "")
    rank = len(e.shape(x))
    axis = op.attrs.get("axis", -1) % rank
    order = [*(i for i in range(rank) if i != axis), axis]
    moved = order != list(range(rank))
    if moved:
        x = _transpose(e, x, order)
    dtype = e.dtype(x)
    if op.kind == "log_softmax":
        x = e.emit("LOG_SOFTMAX", [x], e.shape(x), dtype, "LogSoftmaxOptions")
    else:
        x = e.emit(
            "SOFTMAX",
            [x],
            e.shape(x),
            dtype,
            "SoftmaxOptions",
            version=2 if dtype == "int8" else 1,
            quant=PROBABILITY,
            beta=float(op.attrs.get("beta", 1.0)),
        )
    if moved:
        x = _transpose(e, x, [order.index(i) for i in range(rank)])
    e.bind(op.outputs[0], x)


def _transpose(e: TfliteEmitter, x: int, perm: list[int]) -> int:
    shape = tuple(e.shape(x)[p] for p in perm)
    return e.emit("TRANSPOSE", [x, e.ints(perm)], shape, e.dtype(x), quant=e.quant(x))
