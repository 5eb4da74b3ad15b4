"""ncnn layers that pick, join, repeat or pad."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from perfmodel.errors import GraphError
from perfmodel.formats.ncnn.expression import evaluate
from perfmodel.formats.ncnn.net import (
    ABSENT,
    NcnnLayer,
    NcnnNet,
    axis_of,
    emit,
    from_mat_order,
    in_mat_order,
    input_sizes,
    layer_types,
    mat_axes,
    named_sizes,
    one_input,
    view,
)
from perfmodel.graph.ops import Shape


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
    inputs = [_with_batch(net, layer, _of_rank(net, layer, x, len(shape) - 1)) for x in inputs]
    axis = axis_of(shape, layer.integer(0, 0))
    return emit(net, layer, "concat", inputs, axis=axis, activation="none")


def _of_rank(net: NcnnNet, layer: NcnnLayer, x: str, rank: int) -> str:
    """A blob without outer axes of length 1 that it has beyond `rank`; ncnn never looks at them."""
    shape = net.builder.shape(x)
    outer, sizes = in_mat_order(shape)[:-rank], in_mat_order(shape)[-rank:]
    if not outer or max(outer) > 1:
        return x
    return view(net, layer, x, from_mat_order(shape[0], sizes))


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
    starts, ends, axes = (_list(net, layer, *keys) for keys in ((9, 19), (10, 20), (11, 21)))
    if starts:
        out = _crop_ranges(shape, starts, ends, axes)
    elif len(layer.bottoms) > 1:
        out = (shape[0], *net.shape(layer.bottoms[1])[1:])
    else:
        out = _crop_sizes(layer, shape)
    if len(out) != len(shape) or not all(0 < o <= s for o, s in zip(out, shape, strict=True)):
        raise GraphError(f"cannot crop {shape} to {out}")
    return emit(net, layer, "slice", [x], size=out)


def _list(net: NcnnNet, layer: NcnnLayer, key: int, expression: int) -> Sequence[int]:
    """An array, or what an expression in its place gives."""
    text = layer.text(expression)
    return evaluate(text, input_sizes(net, layer)) if text else layer.integers(key)


def _crop_ranges(
    shape: Shape, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int]
) -> Shape:
    """Sizes between starts and ends, as of numpy's slices, along axes (all in order by default)."""
    axes = axes or tuple(range(len(starts)))
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


CROP_KEYS = {
    # axis: offset, size, offset from the end
    "w": (0, 3, 6),
    "h": (1, 4, 7),
    "d": (13, 14, 15),
    "c": (2, 5, 8),
}


def _crop_sizes(layer: NcnnLayer, shape: Shape) -> Shape:
    """Sizes after offsets from the start and the end."""
    out = list(shape)
    for letter, axis in zip(named_sizes(shape), reversed(mat_axes(shape)), strict=True):
        offset, size, end = (layer.integer(key, 0) for key in CROP_KEYS[letter])
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


@layer_types("ShuffleChannel")
def _shuffle(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    groups = layer.integer(0, 1)
    x = one_input(net, layer)
    if groups < 1 or net.builder.shape(x)[-1] % groups:
        raise GraphError(f"{net.builder.shape(x)} does not divide into {groups} groups")
    return emit(net, layer, "channel_shuffle", [x], groups=groups)


@layer_types("Tile")
def _tile(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    multiples = [1] * len(shape)
    repeats = layer.integers(2)
    if len(repeats) > len(shape) - 1:
        outer = in_mat_order(shape)[:1] if len(shape) == 4 else ()  # channels stay outermost
        sizes = in_mat_order(shape)[len(outer) :]
        lacking = (1,) * (len(repeats) - len(outer) - len(sizes))
        shape = from_mat_order(shape[0], (*outer, *lacking, *sizes))
        x, multiples = view(net, layer, x, shape), [1] * len(shape)
    if repeats:
        for axis, count in zip(reversed(mat_axes(shape)), reversed(repeats), strict=False):
            multiples[axis] = count
    else:
        multiples[axis_of(shape, layer.integer(0, 0))] = layer.integer(1, 1)
    return emit(net, layer, "tile", [x], multiples=tuple(multiples))


@layer_types("Flip")
def _flip(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    return emit(net, layer, "reverse", [one_input(net, layer)])


@layer_types("CopyTo")
def _copy_to(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """A blob with a part of it written over."""
    inputs = [net.tensor(b) for b in layer.bottoms]
    if len(inputs) != 2:
        raise GraphError(f"two inputs expected, {len(inputs)} given")
    return emit(net, layer, "scatter", inputs, output_shapes=(net.builder.shape(inputs[0]),))


@layer_types("Diag")
def _diag(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """A vector on a diagonal of a matrix, or a diagonal of a matrix as a vector."""
    x, offset = one_input(net, layer), layer.integer(0, 0)
    batch, *sizes = net.builder.shape(x)
    if len(sizes) == 1:
        side = sizes[0] + abs(offset)
        return emit(net, layer, "scatter", [x], output_shapes=((batch, side, side),))
    rows, columns = sizes
    length = min(rows + min(offset, 0), columns - max(offset, 0))
    if length < 1:
        raise GraphError(f"diagonal {offset} of a blob {net.builder.shape(x)}")
    return emit(net, layer, "strided_slice", [x], output_shape=(batch, length))


@layer_types("GLU")
def _gated(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """The first half of an axis, times the sigmoid of the second."""
    x = one_input(net, layer)
    shape = list(net.builder.shape(x))
    axis = axis_of(net.builder.shape(x), layer.integer(0, 0))
    if shape[axis] % 2:
        raise GraphError(f"{shape[axis]} elements have no half")
    halves = net.builder.add_op(
        "split",
        [x],
        {"axis": axis, "sizes": (shape[axis] // 2,) * 2},
        net.fresh(f"{layer.name}/halves"),
    )
    gate = net.builder.op("sigmoid", halves[1], name=net.fresh(f"{layer.name}/gate"))
    return emit(net, layer, "mul", [halves[0], gate], activation="none")
