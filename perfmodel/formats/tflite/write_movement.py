"""Operators that move or make values without arithmetic, written to .tflite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.formats.tflite import random_weights as weights
from perfmodel.formats.tflite.emitter import Shape, TfliteEmitter, emits
from perfmodel.formats.tflite.write_elementwise import activated
from perfmodel.graph.ir import Op


def _move(
    e: TfliteEmitter,
    builtin: str,
    x: int,
    arguments: Sequence[int],
    shape: Sequence[int],
    options: str = "",
    int8_version: int = 2,
    **fields: Any,
) -> int:
    """An operator whose output holds values of `x` under the same scale."""
    version = int8_version if e.dtype(x) == "int8" else 1
    return e.emit(
        builtin,
        [x, *arguments],
        shape,
        e.dtype(x),
        options,
        version=version,
        quant=e.quant(x),
        **fields,
    )


def _out_shape(e: TfliteEmitter, op: Op) -> Shape:
    return e.graph.tensors[op.outputs[0]].shape


def reshape(e: TfliteEmitter, x: int, shape: Sequence[int]) -> int:
    """The same values in another shape."""
    return _move(
        e,
        "RESHAPE",
        x,
        [e.ints(shape)],
        shape,
        "ReshapeOptions",
        int8_version=1,
        newShape=list(shape),
    )


def transpose(e: TfliteEmitter, x: int, perm: Sequence[int]) -> int:
    """Axes in another order."""
    shape = tuple(e.shape(x)[p] for p in perm)
    return _move(e, "TRANSPOSE", x, [e.ints(perm)], shape, "TransposeOptions")


@emits("reshape view")
def _reshape(e: TfliteEmitter, op: Op) -> None:
    e.bind(op.outputs[0], reshape(e, e.read(op.inputs[0]), _out_shape(e, op)))


@emits("transpose")
def _transpose(e: TfliteEmitter, op: Op) -> None:
    e.bind(op.outputs[0], transpose(e, e.read(op.inputs[0]), op.attrs["perm"]))


@emits("channel_shuffle")
def _channel_shuffle(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    n, h, w, c = e.shape(x)
    groups = op.attrs["groups"]
    x = reshape(e, x, (n, h, w, groups, c // groups))
    x = transpose(e, x, (0, 1, 2, 4, 3))
    e.bind(op.outputs[0], reshape(e, x, (n, h, w, c)))


@emits("concat")
def _concat(e: TfliteEmitter, op: Op) -> None:
    """Inputs of an int8 concatenation must share one scale; others are converted."""
    dtype = "int8" if e.int8 else "float32"
    tensors = [e.read(name, dtype) for name in op.inputs]
    common = e.quant(tensors[0])
    tensors = [e.requantise(i, common) for i in tensors]
    out = e.emit(
        "CONCATENATION",
        tensors,
        _out_shape(e, op),
        e.dtype(tensors[0]),
        "ConcatenationOptions",
        version=2 if dtype == "int8" else 1,
        quant=common,
        axis=op.attrs["axis"] % len(_out_shape(e, op)),
    )
    e.bind(op.outputs[0], activated(e, op, out))


@emits("pack")
def _pack(e: TfliteEmitter, op: Op) -> None:
    tensors = [e.read(name) for name in op.inputs]
    if len({e.dtype(i) for i in tensors}) > 1:
        tensors = [e.convert(i, "float32") for i in tensors]
    common = e.quant(tensors[0])
    tensors = [e.requantise(i, common) for i in tensors]
    dtype = e.dtype(tensors[0])
    out = e.emit(
        "PACK",
        tensors,
        _out_shape(e, op),
        dtype,
        "PackOptions",
        version=2 if dtype == "int8" else 1,
        quant=common,
        valuesCount=len(tensors),
        axis=op.attrs["axis"] % len(_out_shape(e, op)),
    )
    e.bind(op.outputs[0], out)


def _several_outputs(e: TfliteEmitter, op: Op, x: int) -> list[int]:
    outs = []
    for name in op.outputs:
        out = e.temporary(e.graph.tensors[name].shape, e.dtype(x), e.quant(x))
        e.bind(name, out)
        outs.append(out)
    return outs


@emits("unpack")
def _unpack(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    axis = op.attrs["axis"] % len(e.shape(x))
    version = 2 if e.dtype(x) == "int8" else 1
    outs = _several_outputs(e, op, x)
    e.file.operator("UNPACK", [x], outs, "UnpackOptions", version, num=len(outs), axis=axis)


@emits("split")
def _split(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    axis = e.ints([op.attrs["axis"] % len(e.shape(x))], ())
    sizes = op.attrs["sizes"]
    version = 2 if e.dtype(x) == "int8" else 1
    outs = _several_outputs(e, op, x)
    if len(set(sizes)) == 1:
        e.file.operator("SPLIT", [axis, x], outs, "SplitOptions", version, numSplits=len(outs))
    else:
        inputs = [x, e.ints(sizes), axis]
        e.file.operator("SPLIT_V", inputs, outs, "SplitVOptions", version, numSplits=len(outs))


@emits("slice")
def _slice(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    begin = op.attrs.get("begin", (0,) * len(e.shape(x)))
    shape = _out_shape(e, op)
    arguments = [e.ints(begin), e.ints(shape)]
    e.bind(op.outputs[0], _move(e, "SLICE", x, arguments, shape, "SliceOptions"))


_MASKS = {
    "begin_mask": "beginMask",
    "end_mask": "endMask",
    "ellipsis_mask": "ellipsisMask",
    "new_axis_mask": "newAxisMask",
    "shrink_axis_mask": "shrinkAxisMask",
}


@emits("strided_slice")
def _strided_slice(e: TfliteEmitter, op: Op) -> None:
    """Where only the shape is known, values are taken from the start with the widest step."""
    x = e.read(op.inputs[0])
    shape, size = _out_shape(e, op), e.shape(x)
    if {"begin", "end", "strides"} <= set(op.attrs):
        ranges = [op.attrs[key] for key in ("begin", "end", "strides")]
        masks = {field: int(op.attrs.get(key, 0)) for key, field in _MASKS.items()}
    else:
        if len(shape) != len(size):
            raise e.refuse(op, f"{size} to {shape} without begin, end and strides")
        steps = [max(1, old // max(1, new)) for old, new in zip(size, shape, strict=True)]
        ends = [(new - 1) * step + 1 for new, step in zip(shape, steps, strict=True)]
        ranges = [[0] * len(size), ends, steps]
        masks = {}
    arguments = [e.ints(values) for values in ranges]
    out = _move(e, "STRIDED_SLICE", x, arguments, shape, "StridedSliceOptions", **masks)
    e.bind(op.outputs[0], out)


@emits("pad mirror_pad")
def _pad(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    pairs = op.attrs["paddings"]
    if any(amount < 0 for pair in pairs for amount in pair):
        raise e.refuse(op, f"negative padding {pairs}")
    table = e.ints([amount for pair in pairs for amount in pair], (len(pairs), 2))
    if op.kind == "pad":
        out = _move(e, "PAD", x, [table], _out_shape(e, op), "PadOptions")
    else:
        mode = 1 if op.attrs.get("mode") == "symmetric" else 0
        out = _move(e, "MIRROR_PAD", x, [table], _out_shape(e, op), "MirrorPadOptions", mode=mode)
    e.bind(op.outputs[0], out)


@emits("gather")
def _gather(e: TfliteEmitter, op: Op) -> None:
    """`inputs` are the table and the indices; constant indices are drawn within the table."""
    axis = op.attrs["axis"] % len(e.graph.tensors[op.inputs[0]].shape)
    table = e.read(op.inputs[0])
    indices = _indices(e, op, e.shape(table)[axis])
    fields = {"axis": axis, "batchDims": op.attrs.get("batch_dims", 0)}
    out = _move(e, "GATHER", table, [indices], _out_shape(e, op), "GatherOptions", **fields)
    e.bind(op.outputs[0], out)


@emits("gather_nd")
def _gather_nd(e: TfliteEmitter, op: Op) -> None:
    table = e.read(op.inputs[0], "float32")
    depth = e.graph.tensors[op.inputs[1]].shape[-1]
    indices = _indices(e, op, min(e.shape(table)[:depth]))
    out = _move(e, "GATHER_ND", table, [indices], _out_shape(e, op), "GatherNdOptions")
    e.bind(op.outputs[0], out)


def _indices(e: TfliteEmitter, op: Op, below: int) -> int:
    tensor = e.graph.tensors[op.inputs[1]]
    if tensor.dtype not in ("int32", "int64"):
        raise e.refuse(op, f"indices of type {tensor.dtype}, must be int32 or int64")
    if not tensor.constant:
        return e.read(op.inputs[1])
    data = weights.integers(tensor.shape, below, tensor.dtype, e.stream(tensor.name))
    return e.file.tensor(tensor.name, tensor.shape, tensor.dtype, data=data)


@emits("tile")
def _tile(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], "float32")
    multiples = [e.ints(op.attrs["multiples"])]
    e.bind(op.outputs[0], _move(e, "TILE", x, multiples, _out_shape(e, op), "TileOptions"))


@emits("broadcast_to")
def _broadcast_to(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], "float32")
    shape = _out_shape(e, op)
    out = _move(e, "BROADCAST_TO", x, [e.ints(shape)], shape, "BroadcastToOptions")
    e.bind(op.outputs[0], out)


@emits("fill")
def _fill(e: TfliteEmitter, op: Op) -> None:
    shape = _out_shape(e, op)
    value = e.number(float(op.attrs.get("value", 0.0)))
    e.bind(op.outputs[0], e.emit("FILL", [e.ints(shape), value], shape, "float32", "FillOptions"))


@emits("shape")
def _shape(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    out = e.emit("SHAPE", [x], _out_shape(e, op), "int32", "ShapeOptions", outType=2)
    e.bind(op.outputs[0], out)


@emits("reverse")
def _reverse(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], "float32")
    axes = op.attrs.get("axes", (1,))
    out = x
    for axis in axes:  # the kernel takes neighbouring axes only
        out = _move(e, "REVERSE_V2", out, [e.ints([axis])], e.shape(x), "ReverseV2Options")
    e.bind(op.outputs[0], out)


@emits("resize resize_to")
def _resize(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    shape = _out_shape(e, op)
    method = op.attrs.get("method", "bilinear")
    names = {
        "bilinear": ("RESIZE_BILINEAR", "ResizeBilinearOptions"),
        "nearest": ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
    }
    if method not in names:
        raise e.refuse(op, f"TFLite has no {method} resize")
    builtin, options = names[method]
    half_pixel = bool(op.attrs.get("half_pixel_centers", not op.attrs.get("align_corners")))
    out = e.emit(
        builtin,
        [x, e.ints(shape[1:3])],
        shape,
        e.dtype(x),
        options,
        version=3 if half_pixel else (2 if e.dtype(x) == "int8" else 1),
        quant=e.quant(x),
        alignCorners=bool(op.attrs.get("align_corners", False)),
        halfPixelCenters=half_pixel,
    )
    e.bind(op.outputs[0], out)


@emits("depth_to_space space_to_depth")
def _blocks(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    options = "DepthToSpaceOptions" if op.kind == "depth_to_space" else "SpaceToDepthOptions"
    version = 1 if op.kind == "depth_to_space" else 2
    out = _move(
        e,
        op.kind.upper(),
        x,
        [],
        _out_shape(e, op),
        options,
        int8_version=version,
        blockSize=op.attrs["block"],
    )
    e.bind(op.outputs[0], out)
