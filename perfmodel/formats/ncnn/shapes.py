"""ncnn layers that move, pick or gather: shapes, slices, reductions, resizing, detection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from perfmodel.errors import GraphError
from perfmodel.formats.limits import MAX_DIM
from perfmodel.formats.ncnn.net import (
    ABSENT,
    NcnnLayer,
    NcnnNet,
    axis_of,
    emit,
    from_mat_order,
    in_mat_order,
    layer_types,
    mat_axes,
    mat_shape,
    one_input,
)
from perfmodel.graph.ops import Shape

REDUCTIONS = ["sum", "sum", "sum", "mean", "max", "min", "prod", "sum", "sum", "sum", "sum"]
"""Reduction's operation, in order; sums of absolutes, squares and logs cost what a sum does."""

RESHAPE_KEYS = {"w": 0, "h": 1, "d": 11, "c": 2}


@layer_types("Split")
def _split(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """One blob under several names: nothing is copied, so no operator."""
    return [one_input(net, layer)] * len(layer.tops)


@layer_types("Noop Dropout")
def _noop(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Passes on its input; a closing Noop gathers the outputs of the network."""
    return [one_input(net, layer)] * len(layer.tops)


@layer_types("Concat")
def _concat(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    inputs = [net.tensor(b) for b in layer.bottoms]
    shape = net.builder.shape(one_input(net, layer))
    inputs = [_with_batch(net, layer, x) for x in inputs]
    axis = axis_of(shape, layer.integer(0, 0))
    return emit(net, layer, "concat", inputs, axis=axis, activation="none")


def _with_batch(net: NcnnNet, layer: NcnnLayer, x: str) -> str:
    """A constant read with a batch is repeated for each member."""
    tensor = net.builder.tensors[x]
    if not tensor.constant or tensor.shape[0] == net.batch:
        return x
    shape = (net.batch, *tensor.shape[1:])
    return net.builder.op("broadcast_to", x, output_shape=shape)


@layer_types("Slice")
def _slice(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    axis = axis_of(net.builder.shape(x), layer.integer(1, 0))
    total, sizes = net.builder.shape(x)[axis], []
    wanted, ends = layer.integers(0), layer.integers(2)
    if len(ends or wanted) + bool(ends) != len(layer.tops):
        raise GraphError(f"{len(ends or wanted)} sizes given for {len(layer.tops)} outputs")
    if ends:  # positions where the pieces end
        bounds = [0, *(e if e >= 0 else total + e for e in ends), total]
        sizes = [b - a for a, b in pairwise(bounds)]
    else:
        left = total
        for i, size in enumerate(wanted):
            sizes.append(left // (len(wanted) - i) if size == ABSENT else size)
            left -= sizes[-1]
    return emit(net, layer, "split", [x], axis=axis, sizes=tuple(sizes))


@layer_types("Crop")
def _crop(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    if len(layer.bottoms) > 1:
        out = (shape[0], *net.shape(layer.bottoms[1])[1:])
    elif layer.count(9):
        out = _crop_ranges(layer, shape)
    else:
        out = _crop_sizes(layer, shape)
    if len(out) != len(shape) or not all(0 < o <= s for o, s in zip(out, shape, strict=True)):
        raise GraphError(f"cannot crop {shape} to {out}")
    return emit(net, layer, "slice", [x], size=out)


def _crop_ranges(layer: NcnnLayer, shape: Shape) -> Shape:
    """Starts (9), ends (10) and axes (11), as numpy's slices."""
    starts, ends = layer.integers(9), layer.integers(10)
    axes = layer.integers(11) or tuple(range(len(starts)))
    out = list(shape)
    if not len(starts) == len(ends) == len(axes):
        raise GraphError("starts, ends and axes must be of one length")
    for start, end, ncnn_axis in zip(starts, ends, axes, strict=True):
        axis = axis_of(shape, ncnn_axis)
        size = shape[axis]
        first = 0 if start == ABSENT else start if start >= 0 else size + start
        last = size if end == ABSENT else min(size, end if end > 0 else size + end)
        out[axis] = last - first
    return tuple(out)


def _crop_sizes(layer: NcnnLayer, shape: Shape) -> Shape:
    """Offsets (0 w, 1 h, 2 c), sizes (3, 4, 5) and offsets from the end (6, 7, 8)."""
    offsets = layer.integer(2, 0), layer.integer(1, 0), layer.integer(0, 0)
    sizes = layer.integer(5, 0), layer.integer(4, 0), layer.integer(3, 0)
    ends = layer.integer(8, 0), layer.integer(7, 0), layer.integer(6, 0)
    out = list(shape)
    axes = mat_axes(shape)
    for axis, offset, size, end in zip(
        axes, offsets[-len(axes) :], sizes[-len(axes) :], ends[-len(axes) :], strict=True
    ):
        left = shape[axis] - offset - end
        out[axis] = left if size in (0, ABSENT) else min(size, left)
    return tuple(out)


@layer_types("Padding")
def _padding(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    top, bottom, left, right = (layer.integer(k, 0) for k in range(4))
    pairs = [(layer.integer(7, 0), layer.integer(8, 0)), (top, bottom), (left, right)]
    axes = mat_axes(shape)
    paddings = [(0, 0)] * len(shape)
    for axis, pair in zip(reversed(axes), reversed(pairs), strict=False):
        if min(pair) < 0:
            raise GraphError(f"negative padding {pair}")
        paddings[axis] = pair
    if not any(map(any, paddings)):
        return [x]
    modes = ("constant", "replicate", "reflect")
    kind = layer.integer(4, 0)
    if not 0 <= kind < len(modes):
        raise GraphError(f"unknown padding type {kind}")
    return emit(net, layer, "pad", [x], paddings=tuple(paddings), mode=modes[kind])


@layer_types("Reshape")
def _reshape(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    if 6 in layer.params:
        raise GraphError("reshapes by expression are not read")
    old = net.builder.shape(x)
    own = dict(
        zip(
            {2: "w", 3: "wh", 4: "whc", 5: "whdc"}[len(old)],
            reversed(in_mat_order(old)),
            strict=True,
        )
    )
    wanted = {name: layer.integer(key, ABSENT) for name, key in RESHAPE_KEYS.items()}
    # a size of 0 keeps the blob's own
    sizes = [own.get(n, 1) if size == 0 else size for n, size in wanted.items() if size != ABSENT]
    if not sizes or sizes.count(-1) > 1 or min(sizes) < -1:
        raise GraphError(f"a reshape of {old} to {wanted}")
    return emit(net, layer, "reshape", [x], shape=mat_shape(old[0], *sizes))


@layer_types("Flatten")
def _flatten(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    if len(shape) == 2:
        return [x]
    return emit(net, layer, "reshape", [x], shape=(shape[0], math.prod(shape[1:])))


@layer_types("Squeeze ExpandDims")
def _unit_axes(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    sizes = list(in_mat_order(shape))
    axes = layer.integers(3)
    if layer.type == "ExpandDims":
        if not axes:
            axes = tuple(-1 - k for k in (0, 1) if layer.integer(k, 0)) + (0,) * bool(
                layer.integer(2, 0)
            )
        total = len(sizes) + len(axes)
        for axis in sorted(a % total for a in axes):
            sizes.insert(axis, 1)
    else:
        marked = {a % len(sizes) for a in axes}
        if not axes:
            keys = {1: (0,), 2: (1, 0), 3: (2, 1, 0)}[len(sizes)]
            marked = {i for i, key in enumerate(keys) if layer.integer(key, 0)}
        sizes = [s for i, s in enumerate(sizes) if i not in marked or s != 1]
    return emit(net, layer, "reshape", [x], shape=from_mat_order(shape[0], sizes))


@layer_types("Permute")
def _permute(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """order_type numbers the orders of the old axes, from the innermost on."""
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    kind = layer.integer(0, 0)
    orders = {2: ["w"], 3: ["wh", "hw"], 4: ["whc", "hwc", "wch", "cwh", "hcw", "chw"]}
    order = orders.get(len(shape), [])
    if not 0 <= kind < len(order):
        raise GraphError(f"order_type {kind} of a blob {shape}")
    place = {2: {"w": 1}, 3: {"w": 2, "h": 1}, 4: {"w": 2, "h": 1, "c": 3}}[len(shape)]
    perm = [0] * len(shape)
    for new, old in zip("whc", order[kind], strict=False):
        perm[place[new]] = place[old]
    if perm == list(range(len(shape))):
        return [x]
    return emit(net, layer, "transpose", [x], perm=tuple(perm))


@layer_types("ShuffleChannel")
def _shuffle(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    groups = layer.integer(0, 1)
    x = one_input(net, layer)
    if groups < 1 or net.builder.shape(x)[-1] % groups:
        raise GraphError(f"{net.builder.shape(x)} does not divide into {groups} groups")
    return emit(net, layer, "channel_shuffle", [x], groups=groups)


@layer_types("PixelShuffle")
def _pixel_shuffle(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    return emit(net, layer, "depth_to_space", [one_input(net, layer)], block=layer.integer(0, 1))


@layer_types("Reorg")
def _reorg(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    return emit(net, layer, "space_to_depth", [one_input(net, layer)], block=layer.integer(0, 0))


@layer_types("Softmax")
def _softmax(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    return emit(net, layer, "softmax", [x], axis=axis_of(net.builder.shape(x), layer.integer(0, 0)))


@layer_types("Reduction")
def _reduction(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    operation = layer.integer(0, 0)
    if not 0 <= operation < len(REDUCTIONS):
        raise GraphError(f"unknown reduction {operation}")
    ncnn_axes = () if layer.integer(1, 1) else layer.integers(3)
    axes = {axis_of(shape, a) for a in ncnn_axes} or set(range(1, len(shape)))
    kind, keep = f"reduce_{REDUCTIONS[operation]}", bool(layer.integer(4, 0))
    kept = [shape[a] for a in mat_axes(shape) if a not in axes]
    wanted = from_mat_order(shape[0], kept)
    dropped = tuple(s for i, s in enumerate(shape) if i not in axes)
    order = tuple(sorted(axes))
    if keep or dropped == wanted:
        return emit(net, layer, kind, [x], axes=order, keep_dims=keep)
    result = net.builder.op(kind, x, name=f"{layer.name}/reduced", axes=order, keep_dims=False)
    return emit(net, layer, "reshape", [result], shape=wanted)


@layer_types("Interp")
def _interp(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    methods = {0: "nearest", 1: "nearest", 2: "bilinear", 3: "bicubic"}
    method = methods.get(layer.integer(0, 0))
    if method is None:
        raise GraphError(f"unknown resize_type {layer.integer(0, 0)}")
    size = [layer.integer(3, 0), layer.integer(4, 0)]
    if len(layer.bottoms) == 2:
        size = list(net.shape(layer.bottoms[1])[1:3])
    if len(shape) == 2:  # a vector is one pixel a channel
        x = net.builder.reshape(x, (shape[0], 1, 1, shape[1]), f"{layer.name}/pixel")
        shape = net.builder.shape(x)
    if len(shape) != 4:
        raise GraphError(f"an image is expected, got a blob {shape}")
    for i, key in ((0, 1), (1, 2)):
        size[i] = size[i] or int(min(shape[i + 1] * layer.real(key, 1.0), MAX_DIM + 1))
    if min(size) < 1:
        raise GraphError(f"output size {size}")
    return emit(net, layer, "resize", [x], size=tuple(size), method=method)


@layer_types("Tile")
def _tile(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    multiples = [1] * len(shape)
    repeats = layer.integers(2)
    if repeats:
        for axis, count in zip(reversed(mat_axes(shape)), reversed(repeats), strict=False):
            multiples[axis] = count
    else:
        multiples[axis_of(shape, layer.integer(0, 0))] = layer.integer(1, 1)
    return emit(net, layer, "tile", [x], multiples=tuple(multiples))


@layer_types("PriorBox")
def _prior_box(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Boxes of every feature: each size, and each aspect ratio of it (twice if flipped)."""
    _, h, w, _ = net.builder.shape(one_input(net, layer))
    sizes, maxima, ratios = layer.count(0), layer.count(1), layer.count(2)
    if len(layer.bottoms) == 1 and layer.integer(9, 0) == ABSENT and not maxima:  # MXNet's form
        shape: Shape = (1, 4 * w * h * (sizes - 1 + ratios))
    else:
        flips = 2 if layer.integer(7, 1) else 1
        boxes = sizes + maxima + sizes * ratios * flips
        shape = (1, 2, 4 * w * h * boxes)
    inputs = [net.tensor(b) for b in layer.bottoms]
    return emit(net, layer, "prior_box", inputs, output_shapes=(shape,))


@layer_types("DetectionOutput")
def _detection_output(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """At most keep_top_k rows (label, score, box); fewer where the image shows less."""
    inputs = [net.tensor(b) for b in layer.bottoms]
    shape = (net.batch, max(1, layer.integer(3, 100)), 6)
    return emit(net, layer, "detection_output", inputs, output_shapes=(shape,))


@layer_types("YoloDetectionOutput Yolov3DetectionOutput")
def _yolo_output(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """At most one row (label, score, box) for each box of each cell."""
    boxes = layer.integer(1, 5)
    cells = sum(math.prod(net.shape(b)[1:3]) for b in layer.bottoms)
    inputs = [net.tensor(b) for b in layer.bottoms]
    shape = (net.batch, max(1, boxes * cells), 6)
    return emit(net, layer, "yolo_output", inputs, output_shapes=(shape,))
