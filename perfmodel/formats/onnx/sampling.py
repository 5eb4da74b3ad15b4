"""ONNX operators that choose elements by their values, sample at given places, or transform.

How much a choice by value leaves depends on the data: it is taken at its largest, and the graph
notes so. Semantics by operator and operator set version: docs/Operators.md in github onnx/onnx.
"""

from __future__ import annotations

import math

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.call import Call, axis_in, converts, normal_axis
from perfmodel.formats.onnx.net import Value, stored
from perfmodel.graph.ops import Shape


def chosen(call: Call, what: str, name: str, shape: Shape, dtype: str) -> list[Value]:
    """A result of at most that shape, copied out of a tensor."""
    call.granted(f"finds {what}, the most it can")
    return call.emit("strided_slice", [name], {"output_shape": shape}, dtype=dtype)


@converts("NonZero")
def _non_zero(call: Call) -> list[Value]:
    """The places of what is not zero, a column each."""
    x = call.value(0)
    shape = (max(1, len(x.shape)), math.prod(x.shape))
    return chosen(call, f"{shape[1]} elements", call.net.plain(x), shape, "int64")


@converts("Compress")
def _compress(call: Call) -> list[Value]:
    x, picked = call.value(0), call.value(1)
    if "axis" not in call.node.attributes:
        shape: Shape = (math.prod(x.shape),)
    else:
        axis = normal_axis(call.integer("axis", 0), len(x.shape))
        most = min(x.shape[axis], math.prod(picked.shape))
        shape = (*x.shape[:axis], most, *x.shape[axis + 1 :])
    return chosen(call, f"{math.prod(shape)} elements", call.net.plain(x), shape, x.dtype)


@converts("Unique")
def _unique(call: Call) -> list[Value]:
    """What is different, sorted; where each first stood, which it is, how often it occurs."""
    x, name = call.value(0), call.net.plain(call.value(0))
    axis = call.node.attributes.get("axis")
    count = math.prod(x.shape)
    if axis is not None:
        count = x.shape[normal_axis(call.integer("axis", 0), len(x.shape))]
    shapes: tuple[Shape, ...] = (x.shape if axis is not None else (count,), *[(count,)] * 3)
    wanted = shapes[: len(call.node.outputs)]
    call.granted(f"finds {count} elements, the most it can")
    return call.emit("top_k", [name], {"output_shapes": wanted}, outputs=len(wanted))


@converts("NonMaxSuppression")
def _non_max_suppression(call: Call) -> list[Value]:
    """At most max_output_boxes_per_class rows (batch, class, box) each; an image may give fewer."""
    boxes, scores = call.value(0), call.value(1)
    if len(boxes.shape) != 3 or len(scores.shape) != 3:
        raise GraphError(f"boxes {boxes.shape}, scores {scores.shape}")
    limit, most = call.optional(2), boxes.shape[1]
    if limit is None:
        most = 0
    elif limit.value is not None:
        most = min(max(call.known(limit)[0], 0), most)
    rows = scores.shape[0] * scores.shape[1] * most
    names = [call.net.plain(boxes), call.net.plain(scores)]
    attrs = {"output_shapes": ((rows, 3),)}
    call.granted(f"keeps {rows} boxes, the most it can")
    return call.emit("non_max_suppression", names, attrs, dtype="int64")


@converts("GridSample")
def _grid_sample(call: Call) -> list[Value]:
    """Interpolation at given places (batch, ..., axes): a resize that also reads the places."""
    x, grid = call.value(0), call.value(1)
    if len(x.shape) < 4 or len(grid.shape) != len(x.shape):
        raise GraphError(f"image {x.shape}, places {grid.shape}")
    return _sampled(call, x, [grid], (*x.shape[:2], *grid.shape[1:-1]))


@converts("RoiAlign")
def _roi_align(call: Call) -> list[Value]:
    x, regions = call.value(0), call.value(1)
    size = call.integer("output_height", 1), call.integer("output_width", 1)
    return _sampled(call, x, [regions], (regions.shape[0], x.shape[1], *size))


@converts("MaxRoiPool")
def _roi_pool(call: Call) -> list[Value]:
    x, regions = call.value(0), call.value(1)
    size = call.integers("pooled_shape") or ()
    return _sampled(call, x, [regions], (regions.shape[0], x.shape[1], *size))


def _sampled(call: Call, x: Value, places: list[Value], shape: Shape) -> list[Value]:
    names = [call.net.image(x), *(call.net.plain(v) for v in places)]
    attrs = {"output_shape": stored(shape, True), "method": "bilinear"}
    return call.emit("resize_to", names, attrs, last=True)


@converts("MaxUnpool Col2Im")
def _spread(call: Call) -> list[Value]:
    """Values written to places of a larger tensor."""
    x = call.value(0)
    if call.node.op_type == "Col2Im":
        size = call.known(call.value(1))
        block = math.prod(call.known(call.value(2)))
        shape: Shape = (x.shape[0], x.shape[1] // max(1, block), *size)
    else:
        shape = _unpooled(call, x)
    return call.emit("scatter", [call.net.plain(x)], {"output_shapes": (shape,)}, dtype=x.dtype)


def _unpooled(call: Call, x: Value) -> Shape:
    given = call.optional(2)
    if given is not None:
        return call.known(given)
    kernel, axes = call.integers("kernel_shape") or (), len(x.shape) - 2
    stride, pads = call.integers("strides") or (1,) * axes, call.integers("pads") or (0,) * 2 * axes
    if not len(kernel) == len(stride) == axes == len(pads) // 2:
        raise GraphError(f"kernel_shape {kernel}, strides {stride}, pads {pads} of {x.shape}")
    sizes = zip(x.shape[2:], kernel, stride, pads[:axes], pads[axes:], strict=True)
    return (*x.shape[:2], *((s - 1) * st + k - a - b for s, k, st, a, b in sizes))


@converts("STFT")
def _stft(call: Call) -> list[Value]:
    """Signal (batch, samples, 1 or 2) to (batch, frames, frequencies, real and imaginary)."""
    signal, step = call.value(0), call.known(call.value(1))[0]
    window, length = call.optional(2), call.optional(3)
    size = call.known(length)[0] if length is not None else 0
    size = size or (window.shape[0] if window is not None and window.shape else 0)
    if len(signal.shape) < 2 or step < 1 or not 0 < size <= signal.shape[1]:
        raise GraphError(f"signal {signal.shape}, frames of {size} every {step}")
    frames = 1 + (signal.shape[1] - size) // step
    bins = size // 2 + 1 if call.integer("onesided", 1) else size
    return _transformed(call, [signal, window], (signal.shape[0], frames, bins, 2))


@converts("DFT")
def _dft(call: Call) -> list[Value]:
    """Along one axis, (..., 1 or 2) to (..., 2); a length cuts or fills the axis."""
    x, length, given = call.value(0), call.optional(1), call.optional(2)
    axis = call.known(given)[0] if given is not None else call.integer("axis", 1)
    if call.net.opset >= 20 and given is None:
        axis = -2
    axis = normal_axis(axis, len(x.shape))
    inverse, half = call.integer("inverse", 0), call.integer("onesided", 0)
    size = 2 * (x.shape[axis] - 1) if half and inverse else x.shape[axis]
    size = call.known(length)[0] if length is not None else size
    count = size // 2 + 1 if half and not inverse else size
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 : -1], 1 if half and inverse else 2)
    return _transformed(call, [x], shape)


def _transformed(call: Call, values: list[Value | None], shape: Shape) -> list[Value]:
    """A Fourier transform: it has a name and a shape, but no cost yet."""
    names = [call.net.plain(v) for v in values if v is not None]
    attrs = {"output_shapes": (shape,), "custom_name": call.node.op_type}
    return call.emit("spectral", names, attrs)


@converts("MelWeightMatrix")
def _mel(call: Call) -> list[Value]:
    """A table that follows from settings: (frequencies, mel bins)."""
    bins, length = call.known(call.value(0))[0], call.known(call.value(1))[0]
    return [call.constant((length // 2 + 1, bins), "float32")]


@converts("HannWindow HammingWindow BlackmanWindow")
def _window(call: Call) -> list[Value]:
    return [call.constant((call.known(call.value(0))[0],), "float32")]


@converts("AffineGrid")
def _affine_grid(call: Call) -> list[Value]:
    """Places for GridSample: (batch, ..., axes) from the size (batch, channels, ...)."""
    batch, _, *size = call.known(call.value(1))
    attrs = {"output_shape": (batch, *size, len(size))}
    return call.emit("broadcast_to", [call.net.plain(call.value(0))], attrs)


@converts("CenterCropPad")
def _center(call: Call) -> list[Value]:
    x, wanted = call.value(0), call.known(call.value(1))
    axes = call.integers("axes") or tuple(range(len(x.shape)))
    shape = list(x.shape)
    for axis, size in zip(axes, wanted, strict=True):
        shape[normal_axis(axis, len(shape))] = size
    attrs = {"output_shape": stored(tuple(shape), x.last)}
    name = call.net.image(x) if x.last else call.net.plain(x)
    return call.emit("strided_slice", [name], attrs, last=x.last)


@converts("Hardmax")
def _hard_max(call: Call) -> list[Value]:
    x = call.value(0)
    axis = axis_in(x, call.integer("axis", -1 if call.net.opset >= 13 else 1))
    name = call.net.image(x) if x.last else call.net.plain(x)
    return call.emit("softmax", [name], {"axis": axis}, last=x.last)
