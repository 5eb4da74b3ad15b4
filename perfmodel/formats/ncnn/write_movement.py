"""Operators that pick, join, turn or resize, as ncnn layers."""

from __future__ import annotations

import math

from perfmodel.formats.ncnn.write_elementwise import bind_activated
from perfmodel.formats.ncnn.write_file import IMAGE, Axes, NcnnWriter, Params, writes
from perfmodel.formats.ncnn.write_products import constant
from perfmodel.graph.ir import Op

_ON_STRAIGHT = frozenset({"transpose", "reshape", "view", "matmul", "layer_norm", "softmax"})
"""What works on a tensor's own order of axes, so that it is not turned into an image for it."""


@writes("reshape view")
def _reshape(w: NcnnWriter, op: Op) -> None:
    """An image becomes one axis as it lies, channels outermost: what follows has its weights
    turned. Anything else keeps the order of a tensor with its channels last."""
    name, made = op.inputs[0], op.outputs[0]
    x, shape, new = w.blob(name), w.shape(name), w.shape(made)
    if shape == new:
        return w.alias(made, name)
    if len(new) == 2 and x.axes == IMAGE:
        (blob,) = w.layer(op, "Flatten", [x.name])
        return w.bind(made, blob, (1,), tuple(shape[a] for a in IMAGE))
    if _same_long_axes(shape, new) and len(x.axes) == 1:
        return w.bind(made, x.name, (len(new) - 1,))
    axes = w.straight(name)
    blob = w.reshape(op, w.read(op, name, axes), new[1:])
    axes = w.straight(made)
    if len(new) == 4 and not _stays(w, op):
        blob, axes = w.permute(op, blob, axes, IMAGE), IMAGE
    w.bind(made, blob, axes)


def _same_long_axes(shape: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """Whether both are one row of channels with axes of one element before it."""
    return math.prod(shape) == shape[-1] == new[-1] == math.prod(new)


def _stays(w: NcnnWriter, op: Op) -> bool:
    """Whether all that read the result work on its own order of axes."""
    readers = w.readers(op)
    return bool(readers) and all(reader.kind in _ON_STRAIGHT for reader in readers)


@writes("transpose")
def _transpose(w: NcnnWriter, op: Op) -> None:
    perm = tuple(op.attrs["perm"])
    if perm[0] != 0:
        raise w.refuse(op, "it moves the batch")
    blob = w.read(op, op.inputs[0], w.straight(op.inputs[0]))
    blob = w.permute(op, blob, w.straight(op.inputs[0]), perm[1:])
    w.bind(op.outputs[0], blob, w.straight(op.outputs[0]))


def _full(w: NcnnWriter, tensor: str) -> Axes:
    """All axes of a tensor, in the order in which it is held if it is held whole."""
    have = w.blob(tensor).axes
    return have if len(have) == len(w.shape(tensor)) - 1 else w.usual(tensor)


@writes("concat")
def _concat(w: NcnnWriter, op: Op) -> None:
    axis = op.attrs["axis"] % len(w.shape(op.outputs[0]))
    fixed = {name for name in op.inputs if w.graph.tensors[name].constant}
    moving = [name for name in op.inputs if name not in fixed]
    if not moving:
        raise w.refuse(op, "nothing but constants")
    held = {w.blob(name).axes for name in moving}
    axes = held.pop() if len(held) == 1 else _full(w, moving[0])
    if axis not in axes:
        axes = _full(w, moving[0])
    rank = len(w.shape(op.outputs[0]))
    blobs = [
        constant(w, op, name, axes, rank) if name in fixed else w.read(op, name, axes)
        for name in op.inputs
    ]
    (blob,) = w.layer(op, "Concat", blobs, {0: axes.index(axis)})
    bind_activated(w, op, blob, axes)


@writes("split")
def _split(w: NcnnWriter, op: Op) -> None:
    name = op.inputs[0]
    axes, axis = _full(w, name), op.attrs["axis"] % len(w.shape(name))
    params: Params = {0: tuple(op.attrs["sizes"]), 1: axes.index(axis)}
    blobs = w.layer(op, "Slice", [w.read(op, name, axes)], params, tops=len(op.outputs))
    for tensor, blob in zip(op.outputs, blobs, strict=True):
        w.bind(tensor, blob, axes)


@writes("slice")
def _slice(w: NcnnWriter, op: Op) -> None:
    name, axes = op.inputs[0], _full(w, op.inputs[0])
    begin = op.attrs.get("begin", (0,) * len(w.shape(name)))
    size, old = w.shape(op.outputs[0]), w.shape(name)
    places = [i for i, a in enumerate(axes) if size[a] != old[a]]
    params = {
        9: tuple(int(begin[axes[i]]) for i in places),
        10: tuple(int(begin[axes[i]] + size[axes[i]]) for i in places),
        11: tuple(places),
    }
    if not places:
        return w.alias(op.outputs[0], name)
    (blob,) = w.layer(op, "Crop", [w.read(op, name, axes)], params)
    return w.bind(op.outputs[0], blob, axes)


@writes("pad")
def _pad(w: NcnnWriter, op: Op) -> None:
    name, pairs = op.inputs[0], op.attrs["paddings"]
    axes = w.usual(name)
    if any(amount < 0 for pair in pairs for amount in pair) or any(pairs[0]) or len(axes) > 3:
        raise w.refuse(op, f"padding {pairs}")
    params: dict[int, int] = {}
    for axis, keys in zip(reversed(axes), ((2, 3), (0, 1), (7, 8)), strict=False):
        params |= dict(zip(keys, map(int, pairs[axis]), strict=True))
    (blob,) = w.layer(op, "Padding", [w.read(op, name, axes)], dict(sorted(params.items())))
    w.bind(op.outputs[0], blob, axes)


@writes("resize")
def _resize(w: NcnnWriter, op: Op) -> None:
    kinds = {"nearest": 1, "bilinear": 2, "bicubic": 3}
    method = op.attrs["method"]
    if method not in kinds:
        raise w.refuse(op, f"ncnn has no {method} resize")
    height, width = op.attrs["size"]
    params = {0: kinds[method], 3: int(height), 4: int(width)}
    if op.attrs.get("align_corners"):
        params[6] = 1
    (blob,) = w.layer(op, "Interp", [w.read(op, op.inputs[0], IMAGE)], params)
    w.bind(op.outputs[0], blob, IMAGE)


@writes("depth_to_space space_to_depth")
def _blocks(w: NcnnWriter, op: Op) -> None:
    """Mode 1: the place within a block counts before the channel, as in TensorFlow."""
    layer = "PixelShuffle" if op.kind == "depth_to_space" else "Reorg"
    params = {0: int(op.attrs["block"]), 1: 1}
    (blob,) = w.layer(op, layer, [w.read(op, op.inputs[0], IMAGE)], params)
    w.bind(op.outputs[0], blob, IMAGE)


@writes("channel_shuffle")
def _shuffle(w: NcnnWriter, op: Op) -> None:
    params = {0: int(op.attrs["groups"])}
    (blob,) = w.layer(op, "ShuffleChannel", [w.read(op, op.inputs[0], IMAGE)], params)
    w.bind(op.outputs[0], blob, IMAGE)
