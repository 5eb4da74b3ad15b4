"""ncnn's pooling over rows, pictures and volumes, and of regions.

Parameter numbers and defaults are those of `load_param` in Tencent/ncnn, src/layer/*.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.ncnn.convolutions import axes_of, emit_window, pictured, window
from perfmodel.formats.ncnn.net import (
    ABSENT,
    NcnnLayer,
    NcnnNet,
    emit,
    layer_types,
    mat_shape,
    one_input,
)
from perfmodel.graph.ops import Shape, same_pads, window_output

KERNEL, STRIDE = (21, 11, 1), (22, 12, 2)
"""Parameters of the depth, the height and the width."""
PAD_BEFORE, PAD_AFTER, OUTPUT = (23, 13, 3), (16, 15, 14), (28, 18, 8)


@layer_types("Pooling Pooling1D Pooling3D")
def _pooling(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    axes = axes_of(layer)
    maximum = layer.integer(0, 0) == 0
    if layer.integer(4, 0):
        return _global_pool(net, layer, axes, "reduce_max" if maximum else "reduce_mean")
    x = pictured(net, layer, axes)
    shape = net.builder.shape(x)
    sizes = shape[1:-1][-axes:]
    if layer.integer(7, 0):
        out, kernel, stride = _adaptive_window(layer, sizes)
        pads, counted = [(0, 0)] * axes, False
        if any(o > s for o, s in zip(out, sizes, strict=True)):
            return _adapted_up(net, layer, x, (*out, shape[-1]))
    else:
        kernel, stride = window(layer, KERNEL[-axes:], 0), window(layer, STRIDE[-axes:], 1)
        pads, counted = _pads(layer, sizes, kernel, stride), bool(layer.integer(6, 0))
        along = zip(sizes, kernel, stride, pads, strict=True)
        out = tuple(window_output(*axis) for axis in along)
    if axes == 1:
        kernel, stride, pads = (1, *kernel), (1, *stride), [(0, 0), *pads]
    attrs: dict[str, Any] = {"kernel": kernel, "stride": stride, "activation": "none"}
    attrs |= {"pads": tuple(chain.from_iterable(pads)), "count_include_pad": counted}
    kind = f"{'max' if maximum else 'avg'}_pool{3 if axes == 3 else 2}d"
    return emit_window(net, layer, kind, [x], out=(*out, shape[-1]), **attrs)


def _global_pool(net: NcnnNet, layer: NcnnLayer, axes: int, kind: str) -> Sequence[str]:
    x = one_input(net, layer)
    if len(net.builder.shape(x)) != axes + 2:
        raise GraphError(f"{layer.type} of a blob {net.builder.shape(x)}")
    over = (2,) if axes == 1 else tuple(range(1, axes + 1))
    return emit(net, layer, kind, [x], axes=over, keep_dims=False)


def _pads(
    layer: NcnnLayer, sizes: Shape, kernel: Sequence[int], stride: Sequence[int]
) -> list[tuple[int, int]]:
    mode, left = layer.integer(5, 0), layer.integer(PAD_BEFORE[-1], 0)
    if mode in (2, 3):
        pads = [same_pads(*axis) for axis in zip(sizes, kernel, stride, strict=True)]
        return pads if mode == 2 else [(after, before) for before, after in pads]
    if mode not in (0, 1):
        raise GraphError(f"unknown pad_mode {mode}")
    pairs = []
    keys = zip(PAD_BEFORE[-len(sizes) :], PAD_AFTER[-len(sizes) :], strict=True)
    for (before_key, after_key), *axis in zip(keys, sizes, kernel, stride, strict=True):
        before = layer.integer(before_key, left)
        after = layer.integer(after_key, before)
        if mode == 0:  # "full": pad the end so that the last window is complete
            size, side, step = axis
            after += -(size + before + after - side) % step
        pairs.append((before, after))
    return pairs


def _adaptive_window(
    layer: NcnnLayer, sizes: Shape
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Output, kernel and stride: equal windows where the size divides, else the nearest equal."""
    width = layer.integer(OUTPUT[-1], 0)
    wanted = [layer.integer(key, width) for key in OUTPUT[-len(sizes) :]]
    out = tuple(s if o == ABSENT else o for s, o in zip(sizes, wanted, strict=True))
    if min(out) < 1:
        raise GraphError(f"adaptive pooling of {sizes} to {out}")
    stride = tuple(max(1, s // o) for s, o in zip(sizes, out, strict=True))
    kernel = tuple(s - (o - 1) * st for s, o, st in zip(sizes, out, stride, strict=True))
    return out, kernel, stride


def _adapted_up(net: NcnnNet, layer: NcnnLayer, x: str, out: Shape) -> Sequence[str]:
    """To more windows than there are elements: each repeats some."""
    batch, *sizes = net.builder.shape(x)
    shape = (batch, 1, *out) if len(out) < len(sizes) else (batch, *out)
    return emit_window(net, layer, "resize_to", [x], out=out, output_shape=shape)


@layer_types("StatisticsPooling")
def _statistics(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """The mean of each channel, and its standard deviation behind it."""
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    if len(shape) < 4:
        raise GraphError(f"statistics of a blob {shape}")
    over = tuple(range(1, len(shape) - 1))
    if not layer.integer(0, 0):
        return emit(net, layer, "reduce_mean", [x], axes=over, keep_dims=False)
    parts = [
        net.builder.op(
            "reduce_mean", x, name=net.fresh(f"{layer.name}/{what}"), axes=over, keep_dims=False
        )
        for what in ("mean", "deviation")
    ]
    return emit(net, layer, "concat", parts, axis=1, activation="none")


@layer_types("ROIPooling ROIAlign PSROIPooling")
def _regions(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """The features of one region, resized to a fixed number of cells."""
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    width, height = layer.integer(0, 0), layer.integer(1, 0)
    channels = layer.integer(3, 0) if layer.type == "PSROIPooling" else shape[-1]
    if len(shape) != 4 or min(width, height, channels) < 1:
        raise GraphError(f"regions of {height} x {width} x {channels} of a blob {shape}")
    inputs = [net.tensor(b) for b in layer.bottoms]
    out = mat_shape(shape[0], width, height, channels)
    return emit(net, layer, "resize_to", inputs, output_shape=out)


@layer_types("Proposal")
def _proposal(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """At most after_nms_topN regions, and their scores where asked for."""
    count = layer.integer(3, 300)
    if count < 1:
        raise GraphError(f"{count} proposals")
    shapes = (mat_shape(net.batch, 4, 1, count), mat_shape(net.batch, 1, 1, count))
    inputs = [net.tensor(b) for b in layer.bottoms]
    return emit(net, layer, "non_max_suppression", inputs, output_shapes=shapes[: len(layer.tops)])
