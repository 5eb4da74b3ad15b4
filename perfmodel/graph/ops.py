"""The operators a graph may hold: their attributes and how shapes follow from them.

`OPS[kind]` is the specification of one operator. Shapes are NHWC, those of volumes NDHWC; `pads`
are (top, bottom, left, right), of a volume the front and back before them; weights of a
convolution are (cout, kh, kw, cin / groups) or (cout, kd, kh, kw, cin / groups), of a fully
connected layer (out, in). A convolution with `groups == cin` is depthwise. `activation` is the
name of a fused activation or "none".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.graph.kinds import BINARY, REDUCE, UNARY

Shape = tuple[int, ...]
Infer = Callable[[Sequence[Shape], Mapping[str, Any]], tuple[Shape, ...]]


@dataclass(frozen=True)
class OpSpec:
    """What an operator is: required attributes and the shape rule."""

    kind: str
    required: tuple[str, ...]
    infer: Infer


OPS: dict[str, OpSpec] = {}


def _register(kinds: str | Sequence[str], required: str = "") -> Callable[[Infer], Infer]:
    names = kinds.split() if isinstance(kinds, str) else kinds

    def add(infer: Infer) -> Infer:
        for kind in names:
            OPS[kind] = OpSpec(kind, tuple(required.split()), infer)
        return infer

    return add


def infer_shapes(kind: str, inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    """Shapes of the outputs of one operator; raises `GraphError` if they cannot be.

    `inputs` holds the shapes of all inputs, weights included, in order (an omitted optional input
    is an empty shape).
    """
    spec = OPS.get(kind)
    if spec is None:
        raise GraphError(f"unknown operator {kind!r}")
    lacking = [a for a in spec.required if a not in attrs]
    if lacking:
        raise GraphError(f"operator {kind!r} lacks attribute {lacking[0]!r}")
    try:
        shapes = spec.infer(inputs, attrs)
    except (IndexError, ValueError, TypeError, ZeroDivisionError, AssertionError) as error:
        raise GraphError(
            f"{kind}: shapes {list(inputs)} do not fit {dict(attrs)}: {error}"
        ) from error
    if any(d < 0 for shape in shapes for d in shape):
        raise GraphError(f"{kind}: inputs {list(inputs)} with {dict(attrs)} give {list(shapes)}")
    return shapes


def window_output(
    size: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int = 1
) -> int:
    """Output positions of a sliding window along one axis (floor rule)."""
    return (size + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1


def same_pads(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Padding (before, after) of TensorFlow's SAME rule along one axis."""
    output = -(-size // stride)
    total = max(0, (output - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape that numpy's broadcasting gives; raises `GraphError` where it does not fit."""
    rank = max((len(s) for s in shapes), default=0)
    padded = [(1,) * (rank - len(s)) + tuple(s) for s in shapes]
    out = []
    for dims in zip(*padded, strict=True):
        wide = {d for d in dims if d != 1}
        if len(wide) > 1:
            raise GraphError(f"shapes {list(shapes)} do not broadcast")
        out.append(wide.pop() if wide else 1)
    return tuple(out)


def _pad_pairs(pads: Sequence[int]) -> list[tuple[int, int]]:
    """Padding (before, after) of each spatial axis, from a list of such pairs one after another."""
    return list(zip(pads[::2], pads[1::2], strict=True))


@_register("conv2d conv3d", "stride dilation pads groups")
def _convolution(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    (n, *size, cin), (cout, *kernel, cin_group) = inputs[0], inputs[1]
    if cin_group * attrs["groups"] != cin or cout % attrs["groups"]:
        raise GraphError(
            f"conv{len(size)}d: {cin} channels in, weights {inputs[1]}, groups {attrs['groups']}"
        )
    pads, stride, dilation = _pad_pairs(attrs["pads"]), attrs["stride"], attrs["dilation"]
    windows = zip(size, kernel, stride, pads, dilation, strict=True)
    return ((n, *(window_output(*window) for window in windows), cout),)


@_register("transpose_conv2d transpose_conv3d", "stride pads groups")
def _transposed(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    (n, *size, cin), (cout, *kernel, cin_group) = inputs[0], inputs[1]
    if cin_group * attrs["groups"] != cin:
        raise GraphError(f"transpose_conv{len(size)}d: {cin} channels in, weights {inputs[1]}")
    extra = attrs.get("output_padding", (0,) * len(size))
    dilation = attrs.get("dilation", (1,) * len(size))
    pads, stride = _pad_pairs(attrs["pads"]), attrs["stride"]
    axes = zip(size, kernel, stride, pads, extra, dilation, strict=True)
    out = ((s - 1) * st + d * (k - 1) + 1 - sum(p) + e for s, k, st, p, e, d in axes)
    return ((n, *out, cout),)


@_register("max_pool2d avg_pool2d max_pool3d avg_pool3d", "kernel stride pads")
def _pool(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    """A second output, of the places of the maxima, with attribute `with_places`."""
    n, *size, c = inputs[0]
    kernel, pads = attrs["kernel"], _pad_pairs(attrs["pads"])
    dilation = attrs.get("dilation", (1,) * len(size))
    windows = zip(size, kernel, attrs["stride"], pads, dilation, strict=True)
    out = (n, *(window_output(*window) for window in windows), c)
    return (out, out) if attrs.get("with_places") else (out,)


@_register("fully_connected")
def _fully_connected(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    x, (out, inner) = inputs[0], inputs[1]
    if attrs.get("keep_dims"):
        if x[-1] != inner:
            raise GraphError(f"fully_connected: input {x} against weights {inputs[1]}")
        return ((*x[:-1], out),)
    if math.prod(x) % inner:
        raise GraphError(f"fully_connected: input {x} against weights {inputs[1]}")
    return ((math.prod(x) // inner, out),)


@_register("matmul")
def _matmul(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    a, b = inputs[0], inputs[1]
    m, k = (a[-1], a[-2]) if attrs.get("transpose_a") else (a[-2], a[-1])
    k2, n = (b[-1], b[-2]) if attrs.get("transpose_b") else (b[-2], b[-1])
    if k != k2:
        raise GraphError(f"matmul: inner sizes {k} and {k2} differ")
    return ((*broadcast([a[:-2], b[:-2]]), m, n),)


@_register(
    [
        *UNARY,
        *[
            "softmax",
            "log_softmax",
            "lrn",
            "batch_norm",
            "layer_norm",
            "instance_norm",
            "group_norm",
            "l2_norm",
            "scale",
        ],
        *["channel_shuffle", "reverse", "fake_quant", "local_norm"],
    ]
)
def _same(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    return (inputs[0],)


@_register([*BINARY, "select"])
def _elementwise(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    return (broadcast(inputs),)


@_register(REDUCE, "axes keep_dims")
def _reduce(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    axes = set(attrs["axes"])
    if attrs["keep_dims"]:
        return (tuple(1 if i in axes else d for i, d in enumerate(inputs[0])),)
    return (tuple(d for i, d in enumerate(inputs[0]) if i not in axes),)


@_register("arg_max arg_min", "axis")
def _arg(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    axis = attrs["axis"] % len(inputs[0])
    keep = attrs.get("keep_dims", False)
    return (tuple(1 if i == axis else d for i, d in enumerate(inputs[0]) if keep or i != axis),)


@_register("concat", "axis")
def _concat(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    axis = attrs["axis"] % len(inputs[0])
    rest = {s[:axis] + s[axis + 1 :] for s in inputs}
    if len(rest) != 1:
        raise GraphError(f"concat: shapes {list(inputs)} differ off axis {axis}")
    total = sum(s[axis] for s in inputs)
    return (tuple(total if i == axis else d for i, d in enumerate(inputs[0])),)


@_register("split", "axis sizes")
def _split(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    axis = attrs["axis"] % len(inputs[0])
    if sum(attrs["sizes"]) != inputs[0][axis]:
        raise GraphError(f"split: sizes {attrs['sizes']} do not add up to {inputs[0][axis]}")
    return tuple((*inputs[0][:axis], s, *inputs[0][axis + 1 :]) for s in attrs["sizes"])


@_register("slice", "size")
def _slice(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    size = tuple(attrs["size"])
    if len(size) != len(inputs[0]):
        raise GraphError(f"slice: size {size} for a tensor {inputs[0]}")
    return (size,)


@_register("strided_slice resize_to", "output_shape")
def _given(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    return (tuple(attrs["output_shape"]),)


@_register("pad", "paddings")
def _pad(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    pairs = attrs["paddings"]
    return (tuple(d + a + b for d, (a, b) in zip(inputs[0], pairs, strict=True)),)


@_register("reshape view", "shape")
def _reshape(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    """A `view` names the same stored numbers by other axes, so that no framework has work with it.

    Readers of formats that store pictures channels first use it where an operator works on the
    axes as stored; a `reshape` is an operator of the network.
    """
    shape, total = tuple(attrs["shape"]), math.prod(inputs[0])
    if -1 in shape:
        known = math.prod(d for d in shape if d != -1)
        if shape.count(-1) > 1 or known == 0 or total % known:
            raise GraphError(f"reshape: {inputs[0]} to {shape}")
        shape = tuple(total // known if d == -1 else d for d in shape)
    if math.prod(shape) != total:
        raise GraphError(f"reshape: {inputs[0]} has {total} elements, {shape} has not")
    return (shape,)


@_register("transpose", "perm")
def _transpose(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    if sorted(attrs["perm"]) != list(range(len(inputs[0]))):
        raise GraphError(f"transpose: {attrs['perm']} is no permutation of {inputs[0]}")
    return (tuple(inputs[0][p] for p in attrs["perm"]),)


@_register("gather", "axis")
def _gather(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    axis = attrs["axis"] % len(inputs[0])
    batch_dims = attrs.get("batch_dims", 0)
    return (inputs[0][:axis] + inputs[1][batch_dims:] + inputs[0][axis + 1 :],)


@_register("gather_nd")
def _gather_nd(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    depth = inputs[1][-1]
    if depth > len(inputs[0]):
        raise GraphError(f"gather_nd: index of {depth} numbers into a tensor {inputs[0]}")
    return (inputs[1][:-1] + inputs[0][depth:],)


@_register("tile", "multiples")
def _tile(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    return (tuple(d * m for d, m in zip(inputs[0], attrs["multiples"], strict=True)),)


@_register("broadcast_to fill range one_hot", "output_shape")
def _made(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    return (tuple(attrs["output_shape"]),)


@_register("shape")
def _shape(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    return ((len(inputs[0]),),)


@_register("pack", "axis")
def _pack(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    axis = attrs["axis"] % (len(inputs[0]) + 1)
    return ((*inputs[0][:axis], len(inputs), *inputs[0][axis:]),)


@_register("unpack", "axis")
def _unpack(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    axis = attrs["axis"] % len(inputs[0])
    if inputs[0][axis] > 10_000:
        raise GraphError(f"unpack: {inputs[0][axis]} outputs")
    return (inputs[0][:axis] + inputs[0][axis + 1 :],) * inputs[0][axis]


@_register("resize", "size method")
def _resize(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    return ((inputs[0][0], *attrs["size"], inputs[0][3]),)


@_register("depth_to_space", "block")
def _depth_to_space(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    (n, h, w, c), b = inputs[0], attrs["block"]
    if c % (b * b):
        raise GraphError(f"depth_to_space: {c} channels do not divide by {b * b}")
    return ((n, h * b, w * b, c // (b * b)),)


@_register("space_to_depth", "block")
def _space_to_depth(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    (n, h, w, c), b = inputs[0], attrs["block"]
    if h % b or w % b:
        raise GraphError(f"space_to_depth: {h} x {w} does not divide by {b}")
    return ((n, h // b, w // b, c * b * b),)


@_register("lstm gru rnn", "hidden directions return_sequences time_major")
def _recurrent(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    """Input (batch, time, features), or (time, batch, features) if `time_major`.

    With `merge_outputs` False the two directions are two outputs, else one joined along features.
    `state_shapes` are those of further outputs, the states after the last step. `cells` is the
    number of units where an LSTM projects them to fewer hidden ones.
    """
    a, b, _ = inputs[0]
    states = tuple(tuple(shape) for shape in attrs.get("state_shapes", ()))
    width = attrs["hidden"] * attrs["directions"]
    if not attrs.get("merge_outputs", True):
        return ((a, b, attrs["hidden"]),) * attrs["directions"]
    if attrs["return_sequences"]:
        return ((a, b, width), *states)
    return ((b if attrs["time_major"] else a, width), *states)


@_register(
    "custom detection_output prior_box yolo_output detection_postprocess top_k non_max_suppression "
    "control_flow variable space_to_batch batch_to_space mirror_pad scatter spectral svdf",
    "output_shapes",
)
def _listed(inputs: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Shape, ...]:
    """The reader knows the shapes; `custom` also carries `custom_name`, the name in the file."""
    return tuple(tuple(s) for s in attrs["output_shapes"])
