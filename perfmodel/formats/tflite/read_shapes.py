"""From TFLite's operators to ours: those that move values, have listed shapes, or are custom."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from perfmodel.formats.tflite.op_view import ConvertedOp, OpView, Unmapped, converts, strided_index
from perfmodel.formats.tflite.read_layers import transposed_attrs, uncut_sizes
from perfmodel.graph.ops import broadcast, same_pads


@converts("REVERSE_V2")
def _reverse(view: OpView) -> ConvertedOp:
    rank = max(1, len(view.input(0).shape))
    axes = view.constant_ints(1)
    attrs = {} if axes is None else {"axes": tuple(a % rank for a in axes)}
    return ConvertedOp("reverse", view.inputs[:1], attrs)


@converts("RESHAPE SQUEEZE EXPAND_DIMS")
def _reshape(view: OpView) -> ConvertedOp:
    target: tuple[int, ...] = view.outputs[0].shape
    inputs = view.inputs[:1]
    if view.name == "RESHAPE" and len(view.inputs) > 1:
        written = view.constant_ints(1)
        if written is None:
            inputs = view.inputs[:2]
            if math.prod(target) != math.prod(view.input(0).shape):
                raise ValueError("its shape is computed from values that no file tells")
        elif len(view.input(1).shape) == 1:
            target = written
    elif view.is_open:
        target = _reshaped(view)
    return ConvertedOp("reshape", inputs, {"shape": target})


def _reshaped(view: OpView) -> tuple[int, ...]:
    """The shape behind an operator whose options or axis tell it, whatever the input's shape."""
    shape = view.input(0).shape
    if view.name == "EXPAND_DIMS":
        (axis,) = view.known_ints(1)
        axis %= len(shape) + 1
        return (*shape[:axis], 1, *shape[axis:])
    listed = view.options.ints(0) if view.options else ()
    if view.name == "RESHAPE":
        return listed or view.outputs[0].shape
    axes = {axis % len(shape) for axis in listed}
    return tuple(d for i, d in enumerate(shape) if (i not in axes if axes else d != 1))


@converts("TRANSPOSE")
def _transpose(view: OpView) -> ConvertedOp:
    return ConvertedOp("transpose", view.inputs[:1], {"perm": view.known_ints(1)})


@converts("PAD PADV2")
def _pad(view: OpView) -> ConvertedOp:
    flat = view.known_ints(1)
    pairs = tuple(zip(flat[::2], flat[1::2], strict=True))
    return ConvertedOp("pad", view.inputs[:1], {"paddings": pairs})


@converts("MIRROR_PAD")
def _mirror_pad(view: OpView) -> ConvertedOp:
    flat = view.known_ints(1)
    attrs = {
        "paddings": tuple(zip(flat[::2], flat[1::2], strict=True)),
        "mode": "symmetric" if view.flag(0) else "reflect",
        "output_shapes": (
            tuple(
                d + a + b
                for d, a, b in zip(view.input(0).shape, flat[::2], flat[1::2], strict=True)
            ),
        ),
    }
    return ConvertedOp("mirror_pad", view.inputs[:1], attrs)


@converts("SPLIT SPLIT_V")
def _split(view: OpView) -> ConvertedOp:
    data, axis_input = (1, 0) if view.name == "SPLIT" else (0, 2)
    (axis,) = view.known_ints(axis_input)
    shape = view.input(data).shape
    axis %= len(shape)
    sizes = tuple(t.shape[axis] for t in view.outputs)
    if view.is_open and view.name == "SPLIT":
        sizes = (shape[axis] // len(sizes),) * len(sizes)
    elif view.is_open:
        listed = view.known_ints(1)
        rest = shape[axis] - sum(d for d in listed if d >= 0)
        sizes = tuple(rest if d < 0 else d for d in listed)
    return ConvertedOp("split", (view.input(data),), {"axis": axis, "sizes": sizes})


@converts("SLICE")
def _slice(view: OpView) -> ConvertedOp:
    attrs: dict[str, Any] = {"size": view.outputs[0].shape}
    begin, size = view.constant_ints(1), view.constant_ints(2)
    if begin is not None:
        attrs["begin"] = begin
    if view.is_open and size is not None:
        starts = begin or (0,) * len(size)
        attrs["size"] = tuple(
            d - b if s < 0 else s for d, b, s in zip(view.input(0).shape, starts, size, strict=True)
        )
    return ConvertedOp("slice", view.inputs[:1], attrs)


@converts("STRIDED_SLICE")
def _strided_slice(view: OpView) -> ConvertedOp:
    attrs: dict[str, Any] = {"output_shape": view.outputs[0].shape}
    for index, key in enumerate(("begin", "end", "strides"), start=1):
        values = view.constant_ints(index)
        if values is not None:
            attrs[key] = values
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    attrs.update({mask: view.option(slot) for slot, mask in enumerate(masks)})
    if view.is_open and {"begin", "end", "strides"} <= attrs.keys():
        attrs["output_shape"] = _strided_shape(view, attrs)
    return ConvertedOp("strided_slice", view.inputs[:1], attrs)


def _strided_shape(view: OpView, attrs: dict[str, Any]) -> tuple[int, ...]:
    shape = view.input(0).shape
    index = strided_index(view, len(shape), attrs["begin"], attrs["end"], attrs["strides"])
    named = sum(part is not None and part is not Ellipsis for part in index)
    if Ellipsis not in index:
        index = (*index, Ellipsis)
    sizes: list[int] = []
    left = iter(shape)
    for part in index:
        if part is None:
            sizes.append(1)
        elif part is Ellipsis:
            sizes += [next(left) for _ in range(len(shape) - named)]
        elif isinstance(part, slice):
            sizes.append(len(range(*part.indices(next(left)))))
        else:
            next(left)
    return tuple(sizes)


@converts("GATHER")
def _gather(view: OpView) -> ConvertedOp:
    attrs = {"axis": view.option(0), "batch_dims": view.option(1)}
    return ConvertedOp("gather", view.inputs, attrs)


@converts("EMBEDDING_LOOKUP")
def _embedding(view: OpView) -> ConvertedOp:
    return ConvertedOp("gather", (view.input(1), view.input(0)), {"axis": 0, "batch_dims": 0})


@converts("TILE")
def _tile(view: OpView) -> ConvertedOp:
    return ConvertedOp("tile", view.inputs[:1], {"multiples": view.known_ints(1)})


@converts("BROADCAST_TO FILL RANGE ONE_HOT")
def _made(view: OpView) -> ConvertedOp:
    # a fill's first input is the shape, which the attribute already tells
    inputs = view.inputs[1:2] if view.name == "FILL" else view.inputs[:1]
    shape = _made_shape(view) if view.is_open else None
    return ConvertedOp(view.name.lower(), inputs, {"output_shape": shape or view.outputs[0].shape})


def _made_shape(view: OpView) -> tuple[int, ...] | None:
    """The shape that the numbers of the operands tell, None where they are not known."""
    if view.name == "FILL":
        return view.constant_ints(0)
    if view.name == "BROADCAST_TO":
        wanted = view.constant_ints(1)
        return None if wanted is None else broadcast([view.input(0).shape, wanted])
    if view.name == "RANGE":
        ends = [view.constant_ints(i) for i in range(3)]
        if any(e is None or len(e) != 1 for e in ends):
            return None
        start, limit, step = (e[0] for e in ends if e is not None)
        return (len(range(start, limit, step)),)
    depth = view.constant_ints(1)
    if depth is None:
        return None
    shape, axis = view.input(0).shape, view.option(0, -1)
    place = axis % (len(shape) + 1)
    return (*shape[:place], *depth, *shape[place:])


@converts("PACK UNPACK")
def _pack(view: OpView) -> ConvertedOp:
    return ConvertedOp(view.name.lower(), view.inputs, {"axis": view.option(1)})


@converts("RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR")
def _resize(view: OpView) -> ConvertedOp:
    _, height, width, _ = view.outputs[0].shape
    size = view.constant_ints(1) or (height, width)
    attrs = {
        "size": tuple(size),
        "method": "bilinear" if view.name == "RESIZE_BILINEAR" else "nearest",
        "align_corners": bool(view.flag(0)),
        "half_pixel_centers": bool(view.flag(1)),
    }
    return ConvertedOp("resize", view.inputs[:1], attrs)


@converts("DEPTH_TO_SPACE SPACE_TO_DEPTH")
def _blocks(view: OpView) -> ConvertedOp:
    if view.option(0) < 1:
        raise ValueError(f"block size {view.option(0)}")
    return ConvertedOp(view.name.lower(), view.inputs, {"block": view.option(0)})


_LISTED = {
    "SVDF": "svdf",
    "TOPK_V2": "top_k",
    "NON_MAX_SUPPRESSION_V4": "non_max_suppression",
    "NON_MAX_SUPPRESSION_V5": "non_max_suppression",
    "SPACE_TO_BATCH_ND": "space_to_batch",
    "BATCH_TO_SPACE_ND": "batch_to_space",
    "SPARSE_TO_DENSE": "scatter",
    "SCATTER_ND": "scatter",
    "DYNAMIC_UPDATE_SLICE": "scatter",
    "RFFT2D": "spectral",
    "REAL": "spectral",
    "IMAG": "spectral",
    "COMPLEX_ABS": "spectral",
    "VAR_HANDLE": "variable",
    "READ_VARIABLE": "variable",
    "ASSIGN_VARIABLE": "variable",
}


@converts(_LISTED)
def _listed(view: OpView) -> ConvertedOp:
    shapes = tuple(t.shape for t in view.outputs)
    if view.is_open:
        shapes = _listed_shapes(view) or shapes
    attrs: dict[str, Any] = {"output_shapes": shapes}
    if view.name in ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"):
        attrs["block"] = view.known_ints(1)
        return ConvertedOp(_LISTED[view.name], view.inputs[:1], attrs)
    return ConvertedOp(_LISTED[view.name], view.inputs, attrs)


def _listed_shapes(view: OpView) -> tuple[tuple[int, ...], ...] | None:
    """Output shapes where the file's are of another input; None where nothing else is known."""
    if view.name in ("DYNAMIC_UPDATE_SLICE", "REAL", "IMAG", "COMPLEX_ABS"):
        return (view.input(0).shape,)
    if view.name in ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"):
        return (_moved_blocks(view),)
    if view.name in ("SCATTER_ND", "SPARSE_TO_DENSE"):
        shape = view.constant_ints(2 if view.name == "SCATTER_ND" else 1)
        return None if shape is None else (shape,)
    if view.name == "TOPK_V2":
        count = view.constant_ints(1)
        return None if count is None else ((*view.input(0).shape[:-1], *count),) * 2
    if view.name == "SVDF":
        return ((view.input(0).shape[0], view.outputs[0].shape[-1]),)
    if view.name == "RFFT2D":
        length = view.constant_ints(1)
        if length is None:
            return None
        return ((*view.input(0).shape[:-2], length[0], length[1] // 2 + 1),)
    return None


def _moved_blocks(view: OpView) -> tuple[int, ...]:
    """The batch grows by the blocks that space loses, or the other way round."""
    shape, block, edges = view.input(0).shape, view.known_ints(1), view.known_ints(2)
    pairs = [a + b for a, b in zip(edges[::2], edges[1::2], strict=True)]
    count, space, rest = math.prod(block), shape[1 : 1 + len(block)], shape[1 + len(block) :]
    if view.name == "SPACE_TO_BATCH_ND":
        inner = [(d + p) // b for d, b, p in zip(space, block, pairs, strict=True)]
        return (shape[0] * count, *inner, *rest)
    inner = [d * b - p for d, b, p in zip(space, block, pairs, strict=True)]
    return (shape[0] // count, *inner, *rest)


@converts("IF WHILE")
def _control_flow(view: OpView) -> ConvertedOp:
    """`bodies` are the file's subgraph numbers: then/else, or condition/body."""
    attrs = {
        "bodies": tuple(view.option(slot) for slot in range(2)),
        "output_shapes": tuple(t.shape for t in view.outputs),
        "custom_name": view.name,
    }
    return ConvertedOp("control_flow", view.inputs, attrs)


@converts("CUSTOM")
def _custom(view: OpView) -> ConvertedOp:
    known = _CUSTOM.get(view.name)
    if known is not None:
        try:
            return known(view)
        except struct.error:
            pass  # options of another layout: the operator keeps its name
    raise Unmapped


def _detection(view: OpView) -> ConvertedOp:
    shapes = tuple(t.shape for t in view.outputs)
    attrs = {"custom_name": view.name, "output_shapes": shapes}
    return ConvertedOp("detection_postprocess", view.inputs, attrs)


def _transpose_conv_bias(view: OpView) -> ConvertedOp:
    """Inputs: data, weights (cout, kh, kw, cin), bias; options: scheme, stride width and height."""
    x, weights = view.input(0), view.input(1)
    scheme, *strides = struct.unpack_from("<3i", view.custom_options)
    stride = (strides[1], strides[0])
    if scheme not in (_SAME, _VALID) or min(stride) < 1:
        raise Unmapped
    full = uncut_sizes(x, weights, stride)
    sizes: Sequence[int] = view.outputs[0].shape[1:3]
    if view.is_open:
        same = [x.shape[axis] * stride[axis - 1] for axis in (1, 2)]
        sizes = same if scheme == _SAME else full
    attrs = transposed_attrs(full, sizes, stride)
    return ConvertedOp("transpose_conv2d", view.inputs, attrs)


def _pool_with_places(view: OpView) -> ConvertedOp:
    """Options: scheme, stride width and height, window width and height (TfLitePoolParams)."""
    scheme, sw, sh, kw, kh = struct.unpack_from("<5i", view.custom_options)
    if scheme not in (_SAME, _VALID) or min(sw, sh, kw, kh) < 1:
        raise Unmapped
    _, height, width, _ = view.input(0).shape
    pads = (0, 0, 0, 0)
    if scheme == _SAME:
        pads = (*same_pads(height, kh, sh), *same_pads(width, kw, sw))
    attrs = {"kernel": (kh, kw), "stride": (sh, sw), "pads": pads, "with_places": True}
    return ConvertedOp("max_pool2d", view.inputs[:1], attrs)


def _unpool(view: OpView) -> ConvertedOp:
    shapes = tuple(t.shape for t in view.outputs)
    return ConvertedOp("scatter", view.inputs, {"output_shapes": shapes})


_SAME, _VALID = 1, 2
"""TfLitePadding in the runtime's C headers (lite/core/c/builtin_op_data.h)."""
_CUSTOM = {
    "TFLite_Detection_PostProcess": _detection,
    "Convolution2DTransposeBias": _transpose_conv_bias,
    "MaxPoolingWithArgmax2D": _pool_with_places,
    "MaxUnpooling2D": _unpool,
}
"""Custom operators with a known cost: TensorFlow's own (lite/kernels/detection_postprocess.cc) and
MediaPipe's (mediapipe/util/tflite/operations)."""
