"""Element-wise operators as ncnn layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perfmodel.formats.ncnn.elementwise import BINARY_OPS, UNARY_OPS
from perfmodel.formats.ncnn.write_file import (
    IMAGE,
    Axes,
    NcnnWriter,
    Number,
    Params,
    drawn,
    floats,
    writes,
)
from perfmodel.formats.ncnn.write_products import constant
from perfmodel.graph.ir import Op

_SIXTH, _HALF = 1 / 6, 0.5
"""Slope and offset of a hard sigmoid."""

FOLDED: Mapping[str, tuple[int, Callable[[Mapping[str, Any]], tuple[float, ...]]]] = {
    "relu": (1, lambda attrs: ()),
    "leaky_relu": (2, lambda attrs: (float(attrs.get("alpha", 0.01)),)),
    "relu6": (3, lambda attrs: (0.0, 6.0)),
    "relu_n1_to_1": (3, lambda attrs: (-1.0, 1.0)),
    "clip": (3, lambda attrs: _bounds(attrs)),
    "sigmoid": (4, lambda attrs: ()),
    "mish": (5, lambda attrs: ()),
    "hard_swish": (6, lambda attrs: (_SIXTH, _HALF)),
}
"""activation_type of the activations that a layer with weights runs at its end, and their
parameters."""

_LAYERS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Mapping[int, Number]]]] = {
    "relu": ("ReLU", lambda attrs: {}),
    "leaky_relu": ("ReLU", lambda attrs: {0: float(attrs.get("alpha", 0.01))}),
    "relu6": ("Clip", lambda attrs: {0: 0.0, 1: 6.0}),
    "relu_n1_to_1": ("Clip", lambda attrs: {0: -1.0, 1: 1.0}),
    "clip": ("Clip", lambda attrs: dict(enumerate(_bounds(attrs)))),
    "elu": ("ELU", lambda attrs: {0: float(attrs.get("alpha", 1.0))}),
    "selu": ("SELU", lambda attrs: {}),
    "sigmoid": ("Sigmoid", lambda attrs: {}),
    "hard_sigmoid": ("HardSigmoid", lambda attrs: {0: _SIXTH, 1: _HALF}),
    "hard_swish": ("HardSwish", lambda attrs: {0: _SIXTH, 1: _HALF}),
    "swish": ("Swish", lambda attrs: {}),
    "gelu": ("GELU", lambda attrs: {}),
    "mish": ("Mish", lambda attrs: {}),
    "softplus": ("Softplus", lambda attrs: {}),
    "erf": ("Erf", lambda attrs: {}),
    "tanh": ("TanH", lambda attrs: {}),
}
_UNARY_OP = frozenset(UNARY_OPS) - frozenset(_LAYERS)
_BINARY = ("add", "sub", "mul", "div", "maximum", "minimum", "pow")


def _bounds(attrs: Mapping[str, Any]) -> tuple[float, float]:
    low, high = attrs.get("min"), attrs.get("max")
    largest = 3.4e38
    return -largest if low is None else float(low), largest if high is None else float(high)


def activation_params(op: Op) -> Params:
    """Parameters 9 and 10 of a layer with weights; none where the activation cannot be folded."""
    kind, values = FOLDED.get(op.attrs.get("activation", "none"), (0, lambda attrs: ()))
    found: Params = {9: kind} if kind else {}
    if given := values(op.attrs):
        found[10] = given
    return found


def bind_activated(w: NcnnWriter, op: Op, blob: str, axes: Axes, folded: bool = False) -> None:
    """Bind the op's result, with its activation as a layer of its own unless it was folded."""
    kind = op.attrs.get("activation", "none")
    if kind != "none" and not (folded and kind in FOLDED):
        if kind not in _LAYERS:
            raise w.refuse(op, f"activation {kind} is no ncnn layer")
        layer, params = _LAYERS[kind]
        (blob,) = w.layer(op, layer, [blob], params(op.attrs), part=kind)
    w.bind(op.outputs[0], blob, axes)


@writes([*_LAYERS, *_UNARY_OP])
def _unary(w: NcnnWriter, op: Op) -> None:
    x = w.blob(op.inputs[0])
    layer, made = _LAYERS.get(op.kind, ("UnaryOp", lambda attrs: {0: UNARY_OPS.index(op.kind)}))
    params = made(op.attrs)
    (blob,) = w.layer(op, layer, [x.name], params)
    w.bind(op.outputs[0], blob, x.axes, x.flat_of)


@writes("prelu")
def _prelu(w: NcnnWriter, op: Op) -> None:
    x = w.blob(op.inputs[0])
    shape = w.shape(op.inputs[1])
    if len(x.axes) == 2:
        raise w.refuse(op, "ncnn has slopes for rows there, not for channels")
    slopes = floats(drawn((shape[-1],), 0.02, 0.25, w.stream(op.inputs[1])))
    (blob,) = w.layer(op, "PReLU", [x.name], {0: shape[-1]}, [slopes])
    w.bind(op.outputs[0], blob, x.axes)


@writes("identity dropout")
def _alias(w: NcnnWriter, op: Op) -> None:
    w.alias(op.outputs[0], op.inputs[0])


@writes(_BINARY)
def _binary(w: NcnnWriter, op: Op) -> None:
    names = [n for n in op.inputs if n]
    constants = [n for n in names if w.graph.tensors[n].constant]
    if len(names) != 2 or len(constants) == 2:
        raise w.refuse(op, f"{len(names)} inputs, {len(constants)} of them constant")
    if constants:
        return _with_constant(w, op, names, constants[0])
    axes = _common_axes(w, op, names)
    blobs = [w.read(op, name, a) for name, a in zip(names, axes, strict=True)]
    (blob,) = w.layer(op, "BinaryOp", blobs, {0: BINARY_OPS.index(op.kind)})
    bind_activated(w, op, blob, max(axes, key=len))


def _common_axes(w: NcnnWriter, op: Op, names: Sequence[str]) -> list[Axes]:
    """Axes for both operands: as they are where ncnn's rules fit, as factors of channels do."""
    have = [w.blob(name) for name in names]
    if have[0].flat_of != have[1].flat_of:
        raise w.refuse(op, "one operand lies in another order than the other")
    axes = [blob.axes for blob in have]
    if axes[0] == axes[1] or sorted(axes, key=len) == [IMAGE[:1], IMAGE]:
        return axes
    if len({len(w.shape(name)) for name in names}) > 1:
        raise w.refuse(op, "operands of other ranks")
    return [max(axes, key=len) if len(axes[0]) != len(axes[1]) else axes[0]] * 2


def _with_constant(w: NcnnWriter, op: Op, names: Sequence[str], name: str) -> None:
    """A number, a factor or offset of each channel, or a tensor of constants."""
    other = next(n for n in names if n != name)
    x, shape = w.blob(other), w.shape(name)
    channels = w.shape(other)[-1]
    first = names[0] == name and op.kind in ("sub", "div", "pow")
    wide = x.axes[0] == len(w.shape(other)) - 1  # channels are the outermost axis
    code = BINARY_OPS.index(op.kind)
    values = drawn(shape, 1.0, 0.0, w.stream(name)).reshape(-1)
    if first and len(values) == 1:
        raise w.refuse(op, "a number on the left")
    if len(values) == 1:
        (blob,) = w.layer(op, "BinaryOp", [x.name], {0: code, 1: 1, 2: float(values[0])})
    elif wide and len(values) == channels and op.kind in ("mul", "add"):
        layer = "Scale" if op.kind == "mul" else "Bias"
        (blob,) = w.layer(op, layer, [x.name], {0: channels}, [floats(values)])
    else:
        blobs = [x.name, constant(w, op, name, x.axes, len(w.shape(other)))]
        (blob,) = w.layer(op, "BinaryOp", blobs[::-1] if first else blobs, {0: code})
    bind_activated(w, op, blob, x.axes)
