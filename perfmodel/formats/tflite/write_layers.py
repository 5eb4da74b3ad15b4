"""Layers with weights or windows, written to .tflite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from perfmodel.formats.tflite import random_weights as weights
from perfmodel.formats.tflite.emitter import LINEAR, Shape, TfliteEmitter, emits
from perfmodel.formats.tflite.file import Quant
from perfmodel.formats.tflite.schema import FUSED_ACTIVATIONS
from perfmodel.formats.tflite.write_elementwise import activated, emit_fused
from perfmodel.graph.ir import Op
from perfmodel.graph.ops import same_pads, window_output

_SAME, _VALID = 0, 1


def _weights_shape(e: TfliteEmitter, op: Op) -> Shape:
    if len(op.inputs) < 2 or not e.graph.tensors[op.inputs[1]].constant:
        raise e.refuse(op, "weights are not constant")
    return e.graph.tensors[op.inputs[1]].shape


def _weights_and_bias(
    e: TfliteEmitter,
    op: Op,
    x: int,
    shape: Sequence[int],
    axis: int,
    fan_in: int,
    per_channel: bool = True,
) -> tuple[int, int]:
    """A layer's constants; runtimes insist on a bias, so one is written where none is given."""
    readers = [e.graph.ops[i] for i in e.consumers.get(op.outputs[0], ())]
    deviation = weights.deviation(op, readers, fan_in)
    channels = shape[axis]
    name = op.inputs[1]
    bias_name = op.inputs[2] if len(op.inputs) > 2 and op.inputs[2] else f"{op.name}/no_bias"
    if e.dtype(x) != "int8":
        kernel = e.real_constant(name, shape, deviation)
        data = weights.normal((channels,), 0.05, 0.0, e.stream(bias_name))
        return kernel, e.file.tensor(bias_name, (channels,), "float32", data=data)
    if per_channel:
        quant = weights.channel_quant(channels, deviation, axis, e.stream(name))
    else:
        quant = Quant((deviation * weights.CLIP_SIGMAS / 127,), 0)
    kernel = e.int8_constant(name, shape, quant)
    data, bias_quant = weights.quantised_bias(e.scale(x), quant, channels)
    return kernel, e.file.tensor(bias_name, (channels,), "int32", data=data, quant=bias_quant)


def _pad(e: TfliteEmitter, op: Op, x: int, pads: Sequence[int]) -> int:
    top, bottom, left, right = pads
    if min(pads) < 0:
        raise e.refuse(op, f"negative padding {tuple(pads)}")
    n, h, w, c = e.shape(x)
    table = e.ints([0, 0, top, bottom, left, right, 0, 0], (4, 2))
    shape = (n, h + top + bottom, w + left + right, c)
    dtype = e.dtype(x)
    version = 2 if dtype == "int8" else 1
    return e.emit("PAD", [x, table], shape, dtype, "PadOptions", version=version, quant=e.quant(x))


def _window(
    e: TfliteEmitter, op: Op, x: int, kernel: Sequence[int], dilation: Sequence[int] = (1, 1)
) -> tuple[int, int]:
    """Padding scheme for the op's pads; pads that are neither SAME nor VALID become a PAD op."""
    pads, stride = tuple(op.attrs["pads"]), op.attrs["stride"]
    if pads == (0, 0, 0, 0):
        return x, _VALID
    same = tuple(
        pad
        for axis in (0, 1)
        for pad in same_pads(e.shape(x)[1 + axis], kernel[axis], stride[axis], dilation[axis])
    )
    if pads == same:
        return x, _SAME
    return _pad(e, op, x, pads), _VALID


@emits("conv2d")
def _conv(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], "int8" if e.int8 else "float32")
    cout, kh, kw, channels_in_group = _weights_shape(e, op)
    groups, channels = op.attrs["groups"], e.shape(x)[3]
    depthwise = groups == channels and groups > 1
    shape, axis = ((1, kh, kw, cout), 3) if depthwise else ((cout, kh, kw, channels_in_group), 0)
    stride, dilation = op.attrs["stride"], op.attrs["dilation"]
    fan_in = kh * kw * channels_in_group
    kernel, bias = _weights_and_bias(e, op, x, shape, axis, fan_in)
    x, scheme = _window(e, op, x, (kh, kw), dilation)
    fields: dict[str, Any] = {
        "padding": scheme,
        "strideH": stride[0],
        "strideW": stride[1],
        "dilationHFactor": dilation[0],
        "dilationWFactor": dilation[1],
        "version": _conv_version(e, x, depthwise, tuple(dilation), groups),
    }
    if depthwise:
        fields["depthMultiplier"] = cout // channels
    builtin = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    options = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    out_shape = e.graph.tensors[op.outputs[0]].shape
    out = emit_fused(
        e, op, builtin, [x, kernel, bias], out_shape, dtype=e.dtype(x), options=options, **fields
    )
    e.bind(op.outputs[0], out)


def _conv_version(e: TfliteEmitter, x: int, depthwise: bool, dilation: Shape, groups: int) -> int:
    """Operator versions: tensorflow/lite/tools/versioning/op_version.cc."""
    if groups > 1 and not depthwise:
        return 6
    if e.dtype(x) == "int8":
        return 3
    return 2 if depthwise and dilation != (1, 1) else 1


@emits("transpose_conv2d")
def _transpose_conv(e: TfliteEmitter, op: Op) -> None:
    """SAME where the pads are what it implies, else VALID with the rim sliced off."""
    if op.attrs["groups"] != 1:
        raise e.refuse(op, "TFLite has no grouped transposed convolution")
    x = e.read(op.inputs[0], "int8" if e.int8 else "float32")
    cout, kh, kw, cin = _weights_shape(e, op)
    n, height, width, _ = e.shape(x)
    stride, pads = op.attrs["stride"], op.attrs["pads"]
    out_shape = e.graph.tensors[op.outputs[0]].shape
    full = ((height - 1) * stride[0] + kh, (width - 1) * stride[1] + kw)
    cut = [max(0, full[axis] - out_shape[1 + axis]) for axis in (0, 1)]
    same = (cut[0] // 2, cut[0] - cut[0] // 2, cut[1] // 2, cut[1] - cut[1] // 2)
    fits_same = tuple(pads) == same and all(
        out_shape[1 + axis] == e.shape(x)[1 + axis] * stride[axis] for axis in (0, 1)
    )
    extra = op.attrs.get("output_padding", (0, 0))
    made = out_shape if fits_same else (n, full[0] + extra[0], full[1] + extra[1], cout)
    fan_in = max(1, kh * kw * cin // (stride[0] * stride[1]))
    kernel, bias = _weights_and_bias(e, op, x, (cout, kh, kw, cin), 0, fan_in)
    out = emit_fused(
        e,
        op,
        "TRANSPOSE_CONV",
        [e.ints(made), kernel, x, bias],
        made,
        dtype=e.dtype(x),
        options="TransposeConvOptions",
        padding=_SAME if fits_same else _VALID,
        strideH=stride[0],
        strideW=stride[1],
        version=3 if op.attrs.get("activation", "none") == "none" else 4,
    )
    if made != out_shape:
        begin = e.ints([0, pads[0], pads[2], 0])
        inputs = [out, begin, e.ints(out_shape)]
        version = 2 if e.dtype(out) == "int8" else 1
        out = e.emit(
            "SLICE",
            inputs,
            out_shape,
            e.dtype(out),
            "SliceOptions",
            version=version,
            quant=e.quant(out),
        )
    e.bind(op.outputs[0], out)


@emits("max_pool2d avg_pool2d")
def _pool(e: TfliteEmitter, op: Op) -> None:
    """Pads that are neither SAME nor VALID are zeros (right behind a rectifier for maxima too)."""
    x = e.read(op.inputs[0])
    kernel, stride = op.attrs["kernel"], op.attrs["stride"]
    wanted = e.graph.tensors[op.outputs[0]].shape
    x, scheme = _window(e, op, x, kernel)
    x = _trim(e, op, x, wanted, scheme)
    out = e.temporary(wanted, e.dtype(x), e.quant(x))
    activation = op.attrs.get("activation", "none")
    fused = activation in FUSED_ACTIVATIONS
    e.file.operator(
        "MAX_POOL_2D" if op.kind == "max_pool2d" else "AVERAGE_POOL_2D",
        [x],
        [out],
        "Pool2DOptions",
        2 if e.dtype(x) == "int8" else 1,
        padding=scheme,
        strideH=stride[0],
        strideW=stride[1],
        filterHeight=kernel[0],
        filterWidth=kernel[1],
        fusedActivationFunction=FUSED_ACTIVATIONS.index(activation if fused else "none"),
    )
    e.bind(op.outputs[0], out if fused else activated(e, op, out))


def _trim(e: TfliteEmitter, op: Op, x: int, wanted: Shape, scheme: int) -> int:
    """Check that the window gives the graph's shape (a pool may also cover the whole image)."""
    if scheme == _VALID:
        for axis in (0, 1):
            made = window_output(
                e.shape(x)[1 + axis], op.attrs["kernel"][axis], op.attrs["stride"][axis], (0, 0)
            )
            if made != wanted[1 + axis]:
                raise e.refuse(op, f"window gives {made} positions, the graph says {wanted}")
    return x


@emits("fully_connected")
def _fully_connected(e: TfliteEmitter, op: Op) -> None:
    """int8 weights have one scale: per-channel ones need a runtime of 2024 or later."""
    x = e.read(op.inputs[0], "int8" if e.int8 else "float32")
    out_features, in_features = _weights_shape(e, op)
    shape = (out_features, in_features)
    kernel, bias = _weights_and_bias(e, op, x, shape, 0, in_features, per_channel=False)
    keep_dims = bool(op.attrs.get("keep_dims", False))
    version = 5 if keep_dims else (4 if e.dtype(x) == "int8" else 1)
    out = emit_fused(
        e,
        op,
        "FULLY_CONNECTED",
        [x, kernel, bias],
        e.graph.tensors[op.outputs[0]].shape,
        dtype=e.dtype(x),
        options="FullyConnectedOptions",
        keepNumDims=keep_dims,
        version=version,
    )
    e.bind(op.outputs[0], out)


@emits("matmul")
def _matmul(e: TfliteEmitter, op: Op) -> None:
    dtype = "int8" if e.int8 else "float32"
    a, b = (e.read(name, dtype) for name in op.inputs[:2])
    inner = e.shape(a)[-2 if op.attrs.get("transpose_a") else -1]
    product = e.emit(
        "BATCH_MATMUL",
        [a, b],
        e.graph.tensors[op.outputs[0]].shape,
        dtype,
        "BatchMatMulOptions",
        version=2 if dtype == "int8" else 1,
        # products of K unit-variance terms have deviation sqrt(K)
        quant=Quant((LINEAR.scales[0] * math.sqrt(inner),), 0),
        adjX=bool(op.attrs.get("transpose_a", False)),
        adjY=bool(op.attrs.get("transpose_b", False)),
    )
    e.bind(op.outputs[0], activated(e, op, product))
