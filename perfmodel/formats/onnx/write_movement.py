"""Operators that move values without arithmetic, written to .onnx."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from perfmodel.formats.onnx.emitter import OnnxEmitter, WrittenValue, emits, moved
from perfmodel.formats.onnx.write_elementwise import axis_of, finish
from perfmodel.formats.tflite import random_weights as weights
from perfmodel.formats.tflite.emitter import REAL_DTYPES, Shape
from perfmodel.graph.ir import Op


def _stored(e: OnnxEmitter, name: str, first: bool) -> Shape:
    shape = e.shape_of(name)
    return moved(shape, (0, 3, 1, 2)) if first else shape


def _bound(e: OnnxEmitter, name: str, made: WrittenValue, source: WrittenValue) -> None:
    e.bind(name, e.same_scale(made, source))


@emits("reshape view")
def _reshape(e: OnnxEmitter, op: Op) -> None:
    """Numbers keep the graph's order, but where all axes are flattened: weights follow, and any
    order of theirs is as good."""
    shape = e.shape_of(op.outputs[0])
    flat = len(shape) == 2
    x = e.read(op.inputs[0], None if flat else False)
    e.bind(op.outputs[0], replace(e.reshaped(x, shape, ""), first=False))


@emits("transpose")
def _transpose(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], first=False)
    shape = e.shape_of(op.outputs[0])
    _bound(e, op.outputs[0], e.node("Transpose", [x], shape, "", perm=op.attrs["perm"]), x)


@emits("channel_shuffle")
def _channel_shuffle(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], first=True)
    n, c, h, w = x.shape
    groups = op.attrs["groups"]
    y = e.reshaped(x, (n, groups, c // groups, h, w), "groups")
    turned = e.node("Transpose", [y], (n, c // groups, groups, h, w), "turn", perm=(0, 2, 1, 3, 4))
    made = e.reshaped(e.same_scale(turned, y), x.shape, "")
    e.bind(op.outputs[0], replace(made, first=True))


@emits("concat")
def _concat(e: OnnxEmitter, op: Op) -> None:
    first = any(e.peek(n).first for n in op.inputs if n in e.values)
    parts = [e.read(n, first) for n in op.inputs]
    shape = _stored(e, op.outputs[0], first)
    axis = axis_of(WrittenValue("", shape, first), op.attrs["axis"])
    finish(e, op, e.node("Concat", parts, shape, "", first=first, axis=axis))


@emits("split")
def _split(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    axis = axis_of(x, op.attrs["axis"])
    names = [e.part("" if i == 0 else f"out_{i}") for i in range(len(op.outputs))]
    sizes = e.ints(op.attrs["sizes"])
    e.file.node("Split", [x.name, sizes], names, names[0], {"axis": axis})
    for name, out in zip(names, op.outputs, strict=True):
        _bound(e, out, WrittenValue(name, _stored(e, out, x.first), x.first, dtype=x.dtype), x)


@emits("slice")
def _slice(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    rank = len(x.shape)
    begins = op.attrs.get("begin", (0,) * rank)
    sizes = op.attrs["size"]
    axes = [i for i in range(rank) if sizes[i] != e.shape_of(op.inputs[0])[i]] or [0]
    starts, ends = [begins[i] for i in axes], [begins[i] + sizes[i] for i in axes]
    tables = [e.ints(starts), e.ints(ends), e.ints([axis_of(x, i) for i in axes])]
    shape = _stored(e, op.outputs[0], x.first)
    _bound(e, op.outputs[0], e.node("Slice", [x, *tables], shape, "", first=x.first), x)


@emits("pad")
def _pad(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    pairs = list(op.attrs["paddings"])
    pairs = [pairs[i] for i in (0, 3, 1, 2)] if x.first else pairs
    table = e.ints([p[0] for p in pairs] + [p[1] for p in pairs])
    shape = _stored(e, op.outputs[0], x.first)
    _bound(e, op.outputs[0], e.node("Pad", [x, table], shape, "", first=x.first), x)


@emits("resize resize_to")
def _resize(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], first=True)
    method = op.attrs.get("method", "bilinear")
    modes = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}
    if method not in modes or len(x.shape) != 4:
        raise e.refuse(op, f"the .onnx writer knows no {method} resize of {x.shape}")
    shape = _stored(e, op.outputs[0], True)
    aligned = bool(op.attrs.get("align_corners", False))
    rule = {"align_corners": "align_corners"}.get("align_corners" if aligned else "")
    made = e.node(
        "Resize",
        [x, "", "", e.ints(shape)],
        shape,
        "",
        first=True,
        mode=modes[method],
        coordinate_transformation_mode=rule
        or ("asymmetric" if method == "nearest" else "half_pixel"),
        **({"nearest_mode": "floor"} if method == "nearest" else {}),
    )
    _bound(e, op.outputs[0], made, x)


@emits("depth_to_space space_to_depth")
def _blocks(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], first=True)
    shape = _stored(e, op.outputs[0], True)
    block = int(op.attrs["block"])
    if op.kind == "depth_to_space":
        made = e.node("DepthToSpace", [x], shape, "", first=True, blocksize=block, mode="DCR")
    else:
        made = e.node("SpaceToDepth", [x], shape, "", first=True, blocksize=block)
    _bound(e, op.outputs[0], made, x)


@emits("gather")
def _gather(e: OnnxEmitter, op: Op) -> None:
    """`inputs` are the table and the indices; constant indices are drawn within the table."""
    table = e.read(op.inputs[0], first=False)
    axis = op.attrs["axis"] % len(table.shape)
    tensor = e.graph.tensors[op.inputs[1]]
    if tensor.dtype not in ("int32", "int64") or op.attrs.get("batch_dims", 0):
        raise e.refuse(op, f"indices of type {tensor.dtype}, must be int32 or int64, no batches")
    if tensor.constant:
        drawn = weights.integers(
            tensor.shape, table.shape[axis], tensor.dtype, e.stream(tensor.name)
        )
        indices = e.file.constant(tensor.name, tensor.shape, tensor.dtype, drawn)
    else:
        indices = e.read(tensor.name).name
    made = e.node("Gather", [table, indices], e.shape_of(op.outputs[0]), "", axis=axis)
    _bound(e, op.outputs[0], made, table)


@emits("tile broadcast_to")
def _tile(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], first=False)
    shape = e.shape_of(op.outputs[0])
    if op.kind == "tile":
        made = e.node("Tile", [x, e.ints(op.attrs["multiples"])], shape, "")
    else:
        made = e.node("Expand", [x, e.ints(shape)], shape, "")
    _bound(e, op.outputs[0], made, x)


@emits("fill")
def _fill(e: OnnxEmitter, op: Op) -> None:
    shape = e.shape_of(op.outputs[0])
    if math.prod(shape) > 1_000_000 or e.graph.tensors[op.outputs[0]].dtype not in REAL_DTYPES:
        raise e.refuse(op, "too large a constant")
    value = np.full(shape, float(op.attrs.get("value", 0.0)), np.float32)
    e.bind(op.outputs[0], WrittenValue(e.file.numbers(f"{op.name}/value", value), shape))
