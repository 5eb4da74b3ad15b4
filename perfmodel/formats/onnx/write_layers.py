"""Layers with weights, windows or normalisation, written to .onnx."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perfmodel.formats.onnx.emitter import OnnxEmitter, WrittenValue, emits, moved
from perfmodel.formats.onnx.write_elementwise import finish
from perfmodel.formats.tflite import random_weights as weights
from perfmodel.formats.tflite.emitter import LINEAR, Shape
from perfmodel.formats.tflite.file import Quant
from perfmodel.graph.ir import Op


def _image(e: OnnxEmitter, op: Op) -> WrittenValue:
    """The first input as an image with channels first."""
    x = e.read(op.inputs[0], first=True)
    if len(x.shape) != 4:
        raise e.refuse(op, f"its input has shape {x.shape}, no image")
    return x


def _result_shape(e: OnnxEmitter, op: Op) -> Shape:
    return moved(e.shape_of(op.outputs[0]), (0, 3, 1, 2))


def _pads(pads: Sequence[int]) -> tuple[int, int, int, int]:
    """Begins of both axes, then ends, from (top, bottom, left, right)."""
    top, bottom, left, right = pads
    return top, left, bottom, right


def _constants(
    e: OnnxEmitter, op: Op, x: WrittenValue, shape: Sequence[int], axis: int, fan_in: int
) -> list[WrittenValue | str]:
    """A layer's weights under `shape`, whose channels are on `axis`, and its bias if it has one."""
    name, channels = op.inputs[1], shape[axis]
    if not e.graph.tensors[name].constant:
        raise e.refuse(op, "its weights are not constant")
    readers = [e.graph.ops[i] for i in e.consumers.get(op.outputs[0], ())]
    deviation = weights.deviation(op, readers, fan_in)
    bias = op.inputs[2] if len(op.inputs) > 2 and op.inputs[2] else ""
    if not e.int8:
        found: list[WrittenValue | str] = [e.weights(name, shape, deviation)]
        return [*found, e.weights(bias, (channels,), 0.05)] if bias else found
    quant = weights.channel_quant(channels, deviation, axis, e.stream(name))
    found = [e.integers(name, shape, quant)]
    if bias:
        data, scales = weights.quantised_bias((x.quant or LINEAR).scales[0], quant, channels)
        stored = e.file.constant(f"{bias}/int32", (channels,), "int32", data)
        # a bias has no zero point of its own: the reader takes it for 0
        scale = e.file.numbers(f"{stored}/scale", np.asarray(scales.scales, np.float32))
        made = e.node("DequantizeLinear", [stored, scale], (channels,), "bias", axis=0)
        found.append(made.name)
    return found


@emits("conv2d")
def _conv(e: OnnxEmitter, op: Op) -> None:
    x = _image(e, op)
    cout, kh, kw, cin = e.shape_of(op.inputs[1])
    constants = _constants(e, op, x, (cout, cin, kh, kw), 0, kh * kw * cin)
    made = e.node(
        "Conv",
        [x, *constants],
        _result_shape(e, op),
        "conv",
        first=True,
        kernel_shape=(kh, kw),
        strides=op.attrs["stride"],
        dilations=op.attrs["dilation"],
        pads=_pads(op.attrs["pads"]),
        group=op.attrs["groups"],
    )
    finish(e, op, made)


@emits("transpose_conv2d")
def _transpose_conv(e: OnnxEmitter, op: Op) -> None:
    x = _image(e, op)
    cout, kh, kw, cin_group = e.shape_of(op.inputs[1])
    groups, stride = op.attrs["groups"], op.attrs["stride"]
    shape = (x.shape[1], cout // groups, kh, kw)
    fan_in = max(1, kh * kw * cin_group // (stride[0] * stride[1]))
    made = e.node(
        "ConvTranspose",
        [x, *_constants(e, op, x, shape, 1, fan_in)],
        _result_shape(e, op),
        "conv",
        first=True,
        kernel_shape=(kh, kw),
        strides=stride,
        dilations=op.attrs.get("dilation", (1, 1)),
        pads=_pads(op.attrs["pads"]),
        output_padding=op.attrs.get("output_padding", (0, 0)),
        group=groups,
    )
    finish(e, op, made)


@emits("max_pool2d avg_pool2d")
def _pool(e: OnnxEmitter, op: Op) -> None:
    x = _image(e, op)
    made = e.node(
        "MaxPool" if op.kind == "max_pool2d" else "AveragePool",
        [x],
        _result_shape(e, op),
        "pool",
        first=True,
        kernel_shape=op.attrs["kernel"],
        strides=op.attrs["stride"],
        pads=_pads(op.attrs["pads"]),
    )
    finish(e, op, made, x.quant)


@emits("fully_connected")
def _fully_connected(e: OnnxEmitter, op: Op) -> None:
    """`Gemm` where the input is flattened; a product of matrices and a sum where it is not."""
    wide, inner = e.shape_of(op.inputs[1])
    shape = e.shape_of(op.outputs[0])
    if op.attrs.get("keep_dims") and len(shape) != 2:
        x = e.read(op.inputs[0], first=False)
        kernel, *bias = _constants(e, op, x, (inner, wide), 1, inner)
        made = e.node("MatMul", [x, kernel], shape, "product")
        if bias:
            made = e.paired(made, LINEAR, op.outputs[0])
            made = e.node("Add", [made, *bias], shape, "bias")
        return finish(e, op, made)
    # weights are drawn: any order of the flattened numbers is as good
    x = e.read(op.inputs[0])
    if len(x.shape) != 2:
        x = e.reshaped(x, (shape[0], inner), "flatten")
    constants = _constants(e, op, x, (wide, inner), 0, inner)
    finish(e, op, e.node("Gemm", [x, *constants], shape, "product", transB=1))


@emits("matmul")
def _matmul(e: OnnxEmitter, op: Op) -> None:
    sides = []
    for name, turned in zip(op.inputs[:2], ("transpose_a", "transpose_b"), strict=True):
        side = e.read(name, first=False)
        if op.attrs.get(turned):
            rank = len(side.shape)
            order = (*range(rank - 2), rank - 1, rank - 2)
            # runtimes make one of two transpositions in a row: it is the first one's
            e.owner = e.turning(name) or op.name
            made = e.node("Transpose", [side], moved(side.shape, order), turned, perm=order)
            side = e.same_scale(made, side)
            e.owner = op.name
        sides.append(side)
    made = e.node("MatMul", sides, e.shape_of(op.outputs[0]), "product")
    inner = sides[0].shape[-1]
    finish(e, op, made, Quant((LINEAR.scales[0] * math.sqrt(inner),), 0))


def _scale_and_shift(e: OnnxEmitter, op: Op, channels: int) -> list[WrittenValue | str]:
    """The two parameters of a normalisation, of which a graph may hold none."""
    names = [n for n in op.inputs[1:] if n and e.graph.tensors[n].constant]
    scale = names[0] if names else f"{op.name}/scale"
    shift = names[1] if len(names) > 1 else f"{op.name}/shift"
    return [e.weights(scale, (channels,), 0.1, 1.0), e.weights(shift, (channels,), 0.1)]


@emits("batch_norm scale")
def _batch_norm(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    channels = e.shape_of(op.inputs[0])[-1]
    if not x.first:
        raise e.refuse(op, "the .onnx writer normalises images only")
    scale_and_shift = _scale_and_shift(e, op, channels)
    mean = e.weights(f"{op.name}/mean", (channels,), 0.1)
    variance = e.weights(f"{op.name}/variance", (channels,), 0.01, 1.0)
    inputs = [x, *scale_and_shift, mean, variance]
    finish(e, op, e.node("BatchNormalization", inputs, x.shape, "norm", first=True))


@emits("layer_norm")
def _layer_norm(e: OnnxEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], first=False)
    axes = sorted(a % len(x.shape) for a in op.attrs.get("axes", (-1,)))
    if axes != [len(x.shape) - 1]:
        raise e.refuse(op, "the .onnx writer normalises the last axis only")
    inputs = [x, *_scale_and_shift(e, op, x.shape[-1])]
    finish(e, op, e.node("LayerNormalization", inputs, x.shape, "norm", axis=-1))


@emits("instance_norm group_norm")
def _instance_norm(e: OnnxEmitter, op: Op) -> None:
    """Groups as PyTorch exports them: an instance norm of the groups, then scale and shift."""
    x = _image(e, op)
    channels = x.shape[1]
    if op.kind == "instance_norm":
        inputs = [x, *_scale_and_shift(e, op, channels)]
        made = e.node("InstanceNormalization", inputs, x.shape, "norm", first=True)
        return finish(e, op, made)
    groups = op.attrs["groups"]
    shape = (x.shape[0], groups, math.prod(x.shape[1:]) // groups)
    ones = e.file.numbers(f"{op.name}/ones", np.ones(groups, np.float32))
    zeros = e.file.numbers(f"{op.name}/zeros", np.zeros(groups, np.float32))
    flat = e.reshaped(x, shape)
    made = e.node("InstanceNormalization", [flat, ones, zeros], shape, "norm")
    made = replace(e.reshaped(made, x.shape), first=True)
    scale = e.weights(f"{op.name}/scale", (channels, 1, 1), 0.1, 1.0)
    shift = e.weights(f"{op.name}/shift", (channels, 1, 1), 0.1)
    made = e.node("Mul", [made, scale], x.shape, "scaled", first=True)
    finish(e, op, e.node("Add", [made, shift], x.shape, "shifted", first=True))


@emits("lrn")
def _lrn(e: OnnxEmitter, op: Op) -> None:
    x = _image(e, op)
    made = e.node(
        "LRN",
        [x],
        x.shape,
        first=True,
        size=int(op.attrs.get("size", 5)),
        alpha=float(op.attrs.get("alpha", 1e-4)),
        beta=float(op.attrs.get("beta", 0.75)),
        bias=float(op.attrs.get("bias", 1.0)),
    )
    e.bind(op.outputs[0], made)


@emits("lstm")
def _lstm(e: OnnxEmitter, op: Op) -> None:
    """ONNX's LSTM is time major and gives its directions apart."""
    x = e.read(op.inputs[0])
    hidden, directions = op.attrs["hidden"], op.attrs["directions"]
    if op.attrs.get("cells", hidden) != hidden or not op.attrs.get("merge_outputs", True):
        raise e.refuse(op, "the .onnx writer knows plain LSTM layers")
    if not op.attrs["time_major"]:
        x = e.node("Transpose", [x], moved(x.shape, (1, 0, 2)), "time_first", perm=(1, 0, 2))
    steps, batch, features = x.shape
    gates = (directions, 4 * hidden)
    inputs: list[WrittenValue | str] = [
        x,
        e.weights(f"{op.name}/w", (*gates, features), 1 / math.sqrt(features)),
        e.weights(f"{op.name}/r", (*gates, hidden), 1 / math.sqrt(hidden)),
        e.weights(f"{op.name}/b", (directions, 8 * hidden), 0.05),
    ]
    whole = op.attrs["return_sequences"]
    name = e.part("lstm")
    outputs = [name] if whole else ["", name]
    direction = "bidirectional" if directions == 2 else "forward"
    names = [i if isinstance(i, str) else i.name for i in inputs]
    e.file.node("LSTM", names, outputs, name, {"hidden_size": hidden, "direction": direction})
    if whole:
        made = WrittenValue(name, (steps, directions, batch, hidden))
        order: tuple[int, ...] = (0, 2, 1, 3) if op.attrs["time_major"] else (2, 0, 1, 3)
    else:
        made = WrittenValue(name, (directions, batch, hidden))
        order = (1, 0, 2)
    made = e.node("Transpose", [made], moved(made.shape, order), "order", perm=order)
    e.bind(op.outputs[0], e.reshaped(made, e.shape_of(op.outputs[0]), ""))
