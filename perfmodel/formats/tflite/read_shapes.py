"""From TFLite's operators to ours: those that move values, have listed shapes, or are custom."""

from __future__ import annotations

from typing import Any

from perfmodel.formats.tflite.read_operators import Converted, OpView, converts


@converts("REVERSE_V2")
def _reverse(view: OpView) -> Converted:
    rank = max(1, len(view.input(0).shape))
    axes = view.constant_ints(1)
    attrs = {} if axes is None else {"axes": tuple(a % rank for a in axes)}
    return Converted("reverse", view.inputs[:1], attrs)


@converts("RESHAPE SQUEEZE EXPAND_DIMS")
def _reshape(view: OpView) -> Converted:
    target: tuple[int, ...] = view.outputs[0].shape
    inputs = view.inputs[:1]
    if view.name == "RESHAPE" and len(view.inputs) > 1:
        written = view.constant_ints(1)
        if written is None:
            inputs = view.inputs[:2]
        elif len(view.input(1).shape) == 1:
            target = written
    return Converted("reshape", inputs, {"shape": target})


@converts("TRANSPOSE")
def _transpose(view: OpView) -> Converted:
    return Converted("transpose", view.inputs[:1], {"perm": view.known_ints(1)})


@converts("PAD PADV2")
def _pad(view: OpView) -> Converted:
    flat = view.known_ints(1)
    pairs = tuple(zip(flat[::2], flat[1::2], strict=True))
    return Converted("pad", view.inputs[:1], {"paddings": pairs})


@converts("MIRROR_PAD")
def _mirror_pad(view: OpView) -> Converted:
    flat = view.known_ints(1)
    attrs = {
        "paddings": tuple(zip(flat[::2], flat[1::2], strict=True)),
        "mode": "symmetric" if view.flag(0) else "reflect",
        "output_shapes": (view.outputs[0].shape,),
    }
    return Converted("mirror_pad", view.inputs[:1], attrs)


@converts("SPLIT SPLIT_V")
def _split(view: OpView) -> Converted:
    data, axis_input = (1, 0) if view.name == "SPLIT" else (0, 2)
    (axis,) = view.known_ints(axis_input)
    axis %= len(view.input(data).shape)
    sizes = tuple(t.shape[axis] for t in view.outputs)
    return Converted("split", (view.input(data),), {"axis": axis, "sizes": sizes})


@converts("SLICE")
def _slice(view: OpView) -> Converted:
    attrs: dict[str, Any] = {"size": view.outputs[0].shape}
    begin = view.constant_ints(1)
    if begin is not None:
        attrs["begin"] = begin
    return Converted("slice", view.inputs[:1], attrs)


@converts("STRIDED_SLICE")
def _strided_slice(view: OpView) -> Converted:
    attrs: dict[str, Any] = {"output_shape": view.outputs[0].shape}
    for index, key in enumerate(("begin", "end", "strides"), start=1):
        values = view.constant_ints(index)
        if values is not None:
            attrs[key] = values
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    attrs.update({mask: view.option(slot) for slot, mask in enumerate(masks)})
    return Converted("strided_slice", view.inputs[:1], attrs)


@converts("GATHER")
def _gather(view: OpView) -> Converted:
    attrs = {"axis": view.option(0), "batch_dims": view.option(1)}
    return Converted("gather", view.inputs, attrs)


@converts("EMBEDDING_LOOKUP")
def _embedding(view: OpView) -> Converted:
    return Converted("gather", (view.input(1), view.input(0)), {"axis": 0, "batch_dims": 0})


@converts("TILE")
def _tile(view: OpView) -> Converted:
    return Converted("tile", view.inputs[:1], {"multiples": view.known_ints(1)})


@converts("BROADCAST_TO FILL RANGE ONE_HOT")
def _made(view: OpView) -> Converted:
    # a fill's first input is the shape, which the attribute already tells
    inputs = view.inputs[1:2] if view.name == "FILL" else view.inputs[:1]
    return Converted(view.name.lower(), inputs, {"output_shape": view.outputs[0].shape})


@converts("PACK UNPACK")
def _pack(view: OpView) -> Converted:
    return Converted(view.name.lower(), view.inputs, {"axis": view.option(1)})


@converts("RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR")
def _resize(view: OpView) -> Converted:
    _, height, width, _ = view.outputs[0].shape
    size = view.constant_ints(1) or (height, width)
    attrs = {
        "size": tuple(size),
        "method": "bilinear" if view.name == "RESIZE_BILINEAR" else "nearest",
        "align_corners": bool(view.flag(0)),
        "half_pixel_centers": bool(view.flag(1)),
    }
    return Converted("resize", view.inputs[:1], attrs)


@converts("DEPTH_TO_SPACE SPACE_TO_DEPTH")
def _blocks(view: OpView) -> Converted:
    if view.option(0) < 1:
        raise ValueError(f"block size {view.option(0)}")
    return Converted(view.name.lower(), view.inputs, {"block": view.option(0)})


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
_CUSTOM = {"TFLite_Detection_PostProcess": "detection_postprocess"}
"""Custom operators that TensorFlow itself defines (lite/kernels/detection_postprocess.cc)."""


@converts(_LISTED)
def _listed(view: OpView) -> Converted:
    attrs: dict[str, Any] = {"output_shapes": tuple(t.shape for t in view.outputs)}
    if view.name in ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"):
        attrs["block"] = view.known_ints(1)
        return Converted(_LISTED[view.name], view.inputs[:1], attrs)
    return Converted(_LISTED[view.name], view.inputs, attrs)


@converts("IF WHILE CALL_ONCE")
def _control_flow(view: OpView) -> Converted:
    """`bodies` are the file's subgraph numbers: then/else, condition/body, or the initialiser."""
    count = 1 if view.name == "CALL_ONCE" else 2
    attrs = {
        "bodies": tuple(view.option(slot) for slot in range(count)),
        "output_shapes": tuple(t.shape for t in view.outputs),
        "custom_name": view.name,
    }
    return Converted("control_flow", view.inputs, attrs)


@converts("CUSTOM")
def _custom(view: OpView) -> Converted:
    shapes = tuple(t.shape for t in view.outputs)
    kind = _CUSTOM.get(view.name, "custom")
    return Converted(kind, view.inputs, {"custom_name": view.name, "output_shapes": shapes})
