"""ncnn layers that resize or sample pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perfmodel.errors import GraphError
from perfmodel.formats.limits import MAX_DIM
from perfmodel.formats.ncnn.convolutions import DILATION, KERNEL, STRIDE, padding, window
from perfmodel.formats.ncnn.expression import evaluate
from perfmodel.formats.ncnn.net import (
    NcnnLayer,
    NcnnNet,
    emit,
    emit_as,
    from_mat_order,
    in_mat_order,
    input_sizes,
    layer_types,
    one_input,
    view,
)
from perfmodel.graph.ops import Shape, window_output


@layer_types("PixelShuffle")
def _pixel_shuffle(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    return emit(net, layer, "depth_to_space", [one_input(net, layer)], block=layer.integer(0, 1))


@layer_types("Reorg")
def _reorg(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    return emit(net, layer, "space_to_depth", [one_input(net, layer)], block=layer.integer(0, 0))


METHODS = {0: "nearest", 1: "nearest", 2: "bilinear", 3: "bicubic"}


@layer_types("Interp")
def _interp(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """A picture to another size; rows keep their number, and a vector is one pixel a channel."""
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    method = METHODS.get(layer.integer(0, 0))
    if method is None:
        raise GraphError(f"unknown resize_type {layer.integer(0, 0)}")
    if len(shape) == 2:
        x = view(net, layer, x, (shape[0], 1, 1, shape[1]))
    elif len(shape) == 3:
        x = view(net, layer, x, (shape[0], shape[1], shape[2], 1))
    elif len(shape) != 4:
        raise GraphError(f"an image is expected, got a blob {shape}")
    height, width = _new_size(net, layer, net.builder.shape(x))
    rows = len(shape) == 3
    size = (shape[1] if rows else height, width)
    out = (shape[0], *size) if rows else (shape[0], *size, net.builder.shape(x)[3])
    if min(size) < 1:
        raise GraphError(f"output size {size}")
    return emit_as(net, layer, "resize", [x], out, size=size, method=method)


def _new_size(net: NcnnNet, layer: NcnnLayer, shape: Shape) -> list[int]:
    """Height and width: of a second input, from an expression, as given, or by factors."""
    if expression := layer.text(9):
        found = evaluate(expression, input_sizes(net, layer))
        return [found[1] if len(found) > 1 else 1, found[0]]
    if len(layer.bottoms) == 2:
        reference = net.shape(layer.bottoms[1])
        return [1, reference[-1]] if len(reference) < 4 else list(reference[1:3])
    size = [layer.integer(3, 0), layer.integer(4, 0)]
    for i, key in ((0, 1), (1, 2)):
        size[i] = size[i] or int(min(shape[i + 1] * layer.real(key, 1.0), MAX_DIM + 1))
    return size


@layer_types("GridSample")
def _grid_sample(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Samples at the places of a grid, whose coordinates lie innermost or, fused, outermost."""
    if len(layer.bottoms) != 2:
        raise GraphError(f"two inputs expected, {len(layer.bottoms)} given")
    x, grid = (net.tensor(b) for b in layer.bottoms)
    shape, places = net.builder.shape(x), in_mat_order(net.builder.shape(grid))
    places, coordinates = (
        (places[1:], places[0]) if layer.integer(3, 0) else (places[:-1], places[-1])
    )
    if len(shape) - 2 != len(places) or coordinates != len(places):
        raise GraphError(f"a grid {net.builder.shape(grid)} for a blob {shape}")
    out = (shape[0], *places, shape[-1])
    return emit(net, layer, "resize_to", [x, grid], output_shape=out)


@layer_types("YoloV5Focus")
def _focus(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """A layer that YOLOv5's and YOLOX's demos bring along: every second pixel into channels."""
    return emit(net, layer, "space_to_depth", [one_input(net, layer)], block=2)


@layer_types("rife.Warp")
def _warp(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """A layer that RIFE's demo brings along: a picture sampled where a flow points."""
    inputs = [net.tensor(b) for b in layer.bottoms]
    if len(inputs) != 2 or net.builder.shape(inputs[0])[1:3] != net.builder.shape(inputs[1])[1:3]:
        raise GraphError("a picture and a flow of its size expected")
    return emit(net, layer, "resize_to", inputs, output_shape=net.builder.shape(inputs[0]))


@layer_types("Unfold")
def _unfold(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Every window as a column: rows of channels x window, a column a place."""
    x = one_input(net, layer)
    kernel, sizes = window(layer, KERNEL[-2:], 0), net.builder.shape(x)[1:-1]
    count = _places(layer, sizes, kernel)
    out = (net.builder.shape(x)[0], net.builder.shape(x)[-1] * math.prod(kernel), count)
    return emit(net, layer, "strided_slice", [x], output_shape=out)


@layer_types("Fold")
def _fold(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """The reverse: windows are added up into a picture."""
    x = one_input(net, layer)
    batch, rows, columns = net.builder.shape(x)
    kernel, sizes = window(layer, KERNEL[-2:], 0), window(layer, (21, 20), 0)
    channels, rest = divmod(rows, math.prod(kernel))
    if rest or columns != _places(layer, sizes, kernel):
        raise GraphError(f"a blob {net.builder.shape(x)} is no windows of {kernel} of {sizes}")
    return emit(net, layer, "scatter", [x], output_shapes=((batch, *sizes, channels),))


def _places(layer: NcnnLayer, sizes: Shape, kernel: Sequence[int]) -> int:
    """How often a window fits a picture."""
    stride, dilation = window(layer, STRIDE[-2:], 1), window(layer, DILATION[-2:], 1)
    pads = padding(layer, sizes, kernel, stride, dilation)
    axes = zip(sizes, kernel, stride, pads, dilation, strict=True)
    return math.prod(max(0, window_output(*axis)) for axis in axes)


@layer_types("Spectrogram InverseSpectrogram")
def _spectrogram(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Fourier transforms of overlapping frames, and back."""
    x = one_input(net, layer)
    shape, size = net.builder.shape(x), layer.integer(0, 0)
    hop = layer.integer(2, size // 4)
    if size < 1 or hop < 1:
        raise GraphError(f"frames of {size} every {hop}")
    centred = layer.integer(5, 1)
    if layer.type == "Spectrogram":
        frames = (shape[1] + (size // 2 * 2 if centred else 0) - size) // hop + 1
        bins = size // 2 + 1 if layer.integer(8, 1) else size
        complex_parts = () if layer.integer(1, 0) else (2,)
        sizes = (bins, frames, *complex_parts)
    else:
        _, frames, parts = in_mat_order(shape)
        length = (frames - 1) * hop + size - (size // 2 * 2 if centred else 0)
        sizes = (length,) if layer.integer(1, 0) else (length, parts)
    out = from_mat_order(shape[0], sizes)
    return emit(net, layer, "spectral", [x], output_shapes=(out,), custom_name=layer.type)
