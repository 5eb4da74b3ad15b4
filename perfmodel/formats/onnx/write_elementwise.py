"""Written element by element to .onnx: activations, arithmetic, reductions, softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from perfmodel.formats.onnx.emitter import OnnxEmitter, WrittenValue, emits, moved
from perfmodel.formats.tflite.emitter import LINEAR, PROBABILITY, REAL_DTYPES, RECTIFIED
from perfmodel.formats.tflite.file import Quant
from perfmodel.formats.tflite.random_weights import CLIP_SIGMAS
from perfmodel.graph.ir import Op

CHANNELS_FIRST_AXIS = (0, 2, 3, 1)
"""Where an axis of an image is once its channels are first."""


def axis_of(value: WrittenValue, axis: int) -> int:
    """An axis of the graph's tensor among those of the value."""
    axis %= len(value.shape)
    return CHANNELS_FIRST_AXIS[axis] if value.first else axis


_PLAIN = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "gelu": "Gelu",
    "elu": "Elu",
    "selu": "Selu",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "mish": "Mish",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "neg": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "sin": "Sin",
    "cos": "Cos",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
    "erf": "Erf",
    "reciprocal": "Reciprocal",
    "identity": "Identity",
    "dropout": "Identity",
}
_CLIPS = {"relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0), "hard_tanh": (-1.0, 1.0)}
_GATED = {"swish": "Sigmoid", "hard_swish": "HardSigmoid"}
"""Kinds that are a gate and a product, as exporters and ONNX Runtime run them."""
_SCALES = {
    **dict.fromkeys(("relu", "relu6"), RECTIFIED),
    **dict.fromkeys(("sigmoid", "hard_sigmoid", "softmax"), PROBABILITY),
}
WRITTEN = (*_PLAIN, *_CLIPS, *_GATED, "hard_sigmoid", "leaky_relu", "square", "rsqrt", "clip")


def unary(e: OnnxEmitter, kind: str, x: WrittenValue, op: Op, part: str = "") -> WrittenValue:
    """An element-wise function of one tensor; `op` has its attributes."""

    def node(
        op_type: str, inputs: Sequence[WrittenValue | str], own: str = part, **attrs: float
    ) -> WrittenValue:
        name = e.part(own or op_type.lower())
        e.file.node(
            op_type, [i if isinstance(i, str) else i.name for i in inputs], [name], name, attrs
        )
        return replace(x, name=name, quant=None)

    if kind in _PLAIN:
        return node(_PLAIN[kind], [x])
    if kind in _CLIPS or kind == "clip":
        low, high = _CLIPS.get(kind, (op.attrs.get("min", 0.0), op.attrs.get("max", 6.0)))
        return node("Clip", [x, e.number(float(low)), e.number(float(high))])
    if kind in _GATED:
        attrs = {"alpha": 1 / 6, "beta": 0.5} if kind == "hard_swish" else {}
        gate = node(_GATED[kind], [x], f"{part}/gate" if part else "gate", **attrs)
        return node("Mul", [x, e.pair(gate, PROBABILITY) if e.int8 else gate])
    if kind == "hard_sigmoid":
        return node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)
    if kind == "leaky_relu":
        return node("LeakyRelu", [x], alpha=float(op.attrs.get("alpha", 0.01)))
    if kind == "square":
        return node("Mul", [x, x])
    if kind == "rsqrt":
        return node("Reciprocal", [node("Sqrt", [x], "root")])
    raise e.refuse(op, f"the .onnx writer does not know the activation {kind}")


def finish(e: OnnxEmitter, op: Op, value: WrittenValue, quant: Quant | None = None) -> None:
    """Apply the activation that the op carries and bind its result."""
    activation = op.attrs.get("activation", "none")
    if activation != "none":
        value = unary(e, activation, value, op, activation)
    e.bind(op.outputs[0], value, quant or _SCALES.get(activation))


@emits(WRITTEN)
def _unary(e: OnnxEmitter, op: Op) -> None:
    made = unary(e, op.kind, e.read(op.inputs[0]), op)
    e.bind(op.outputs[0], made, _SCALES.get(op.kind))


@emits("prelu")
def _prelu(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    slope = _beside(e, op.inputs[1], x)
    e.bind(op.outputs[0], e.node("PRelu", [x, slope], x.shape, first=x.first))


def _beside(e: OnnxEmitter, name: str, other: WrittenValue) -> WrittenValue:
    """A value that broadcasts against `other` as the graph's tensors do."""
    tensor = e.graph.tensors[name]
    if name not in e.values:
        shape = tensor.shape
        if other.first and tensor.dtype in REAL_DTYPES:
            shape = moved((*(1,) * (4 - len(shape)), *shape), (0, 3, 1, 2))
            shape = shape[1:] if len(tensor.shape) < 4 else shape
        if tensor.dtype not in REAL_DTYPES:
            return e.real_constant(name)
        if e.int8:
            return WrittenValue(e.integers(name, shape, Quant((CLIP_SIGMAS / 127,), 0)), shape)
        return WrittenValue(e.weights(name, shape, 1.0), shape)
    value = e.read(name, other.first if len(tensor.shape) == 4 else None)
    if other.first and 1 <= len(value.shape) < 4:
        wide = moved((*(1,) * (4 - len(value.shape)), *value.shape), (0, 3, 1, 2))
        if math.prod(wide[2:]) != 1:
            value = e.reshaped(value, (*(1,) * (4 - len(value.shape)), *value.shape), "rank")
            return e.turned(replace(value, first=False))
        value = e.reshaped(value, wide, "rank")
    return value


_BINARY: dict[str, str] = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "pow": "Pow",
}


@emits(list(_BINARY))
def _binary(e: OnnxEmitter, op: Op) -> None:
    known = [e.peek(n) for n in op.inputs if n in e.values]
    images = [v for v in known if len(v.shape) == 4]
    first = any(v.first for v in images)
    model = next((v for v in images if v.first == first), known[0])
    a, b = (_beside(e, n, model) for n in op.inputs[:2])
    graph_shape = e.shape_of(op.outputs[0])
    shape = moved(graph_shape, (0, 3, 1, 2)) if first else graph_shape
    made = e.node(_BINARY[op.kind], [a, b], shape, first=first, dtype=model.dtype)
    finish(e, op, made)


@emits("softmax log_softmax")
def _softmax(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    name = "Softmax" if op.kind == "softmax" else "LogSoftmax"
    axis = axis_of(x, op.attrs.get("axis", -1))
    made = e.node(name, [x], x.shape, first=x.first, axis=axis)
    e.bind(op.outputs[0], made, _SCALES.get(op.kind))


_REDUCE = {
    "reduce_mean": "ReduceMean",
    "reduce_sum": "ReduceSum",
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
}


@emits(list(_REDUCE))
def _reduce(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    axes = sorted(a % len(x.shape) for a in op.attrs["axes"])
    pooled = x.first and axes == [1, 2] and op.kind in ("reduce_mean", "reduce_max")
    if pooled:
        shape = (*x.shape[:2], 1, 1)
        name = "GlobalAveragePool" if op.kind == "reduce_mean" else "GlobalMaxPool"
        made = e.node(name, [x], shape, first=True)
        if not op.attrs["keep_dims"]:
            made = e.reshaped(e.paired(made, LINEAR, op.outputs[0]), shape[:2], "flat")
            made = replace(made, first=False)
        e.bind(op.outputs[0], made)
        return
    if x.first and not op.attrs["keep_dims"]:
        x = e.read(op.inputs[0], first=False)
    table = e.ints([axis_of(x, a) for a in axes])
    shape = e.shape_of(op.outputs[0])
    shape = moved(shape, (0, 3, 1, 2)) if x.first else shape
    keep = int(op.attrs["keep_dims"])
    made = e.node(_REDUCE[op.kind], [x, table], shape, first=x.first, keepdims=keep)
    finish(e, op, made)
