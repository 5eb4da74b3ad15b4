"""Layers with weights, windows or a state, written to .tflite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from perfmodel.graph import tflite_weights as weights
from perfmodel.graph.ir import Op
from perfmodel.graph.ops import UNARY, same_pads, window_output
from perfmodel.graph.tflite_elementwise import arithmetic, emit_unary, reduce
from perfmodel.graph.tflite_emit import LINEAR, SIGNED_UNIT, Emitter, Shape, emits
from perfmodel.graph.tflite_file import Quant

_SAME, _VALID = 0, 1


def _gain(e: Emitter, op: Op) -> float:
    """Variance gain that makes up for what the activation cuts off (He et al. 2015)."""
    if op.attrs.get("activation", "none") != "none":
        return 2.0
    readers = e.consumers.get(op.outputs[0], ())
    return 2.0 if any(e.graph.ops[i].kind in UNARY for i in readers) else 1.0


def _weights_shape(e: Emitter, op: Op) -> Shape:
    if len(op.inputs) < 2 or not e.graph.tensors[op.inputs[1]].constant:
        raise e.refuse(op, "weights are not constant")
    return e.graph.tensors[op.inputs[1]].shape


def _weights_and_bias(
    e: Emitter,
    op: Op,
    x: int,
    shape: Sequence[int],
    axis: int,
    fan_in: int,
    per_channel: bool = True,
) -> tuple[int, int]:
    """A layer's constants; runtimes insist on a bias, so one is written where none is given."""
    deviation = math.sqrt(_gain(e, op) / max(1, fan_in))
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


def _pad(e: Emitter, op: Op, x: int, pads: Sequence[int]) -> int:
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
    e: Emitter, op: Op, x: int, kernel: Sequence[int], dilation: Sequence[int] = (1, 1)
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
def _conv(e: Emitter, op: Op) -> None:
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
    out = e.emit_fused(op, builtin, [x, kernel, bias], out_shape, e.dtype(x), options, **fields)
    e.bind(op.outputs[0], out)


def _conv_version(e: Emitter, x: int, depthwise: bool, dilation: Shape, groups: int) -> int:
    """Operator versions: tensorflow/lite/tools/versioning/op_version.cc."""
    if groups > 1 and not depthwise:
        return 6
    if e.dtype(x) == "int8":
        return 3
    return 2 if depthwise and dilation != (1, 1) else 1


@emits("transpose_conv2d")
def _transpose_conv(e: Emitter, op: Op) -> None:
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
    out = e.emit_fused(
        op,
        "TRANSPOSE_CONV",
        [e.ints(made), kernel, x, bias],
        made,
        e.dtype(x),
        "TransposeConvOptions",
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


@emits("max_pool2d", "avg_pool2d")
def _pool(e: Emitter, op: Op) -> None:
    """Pads that are neither SAME nor VALID are zeros (right behind a rectifier for maxima too)."""
    x = e.read(op.inputs[0])
    kernel, stride = op.attrs["kernel"], op.attrs["stride"]
    wanted = e.graph.tensors[op.outputs[0]].shape
    x, scheme = _window(e, op, x, kernel)
    x = _trim(e, op, x, wanted, scheme)
    out = e.temporary(wanted, e.dtype(x), e.quant(x))
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
    )
    activation = op.attrs.get("activation", "none")
    e.bind(op.outputs[0], out if activation == "none" else emit_unary(e, activation, out, op))


def _trim(e: Emitter, op: Op, x: int, wanted: Shape, scheme: int) -> int:
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
def _fully_connected(e: Emitter, op: Op) -> None:
    """int8 weights have one scale: per-channel ones need a runtime of 2024 or later."""
    x = e.read(op.inputs[0], "int8" if e.int8 else "float32")
    out_features, in_features = _weights_shape(e, op)
    shape = (out_features, in_features)
    kernel, bias = _weights_and_bias(e, op, x, shape, 0, in_features, per_channel=False)
    keep_dims = bool(op.attrs.get("keep_dims", False))
    version = 5 if keep_dims else (4 if e.dtype(x) == "int8" else 1)
    out = e.emit_fused(
        op,
        "FULLY_CONNECTED",
        [x, kernel, bias],
        e.graph.tensors[op.outputs[0]].shape,
        e.dtype(x),
        "FullyConnectedOptions",
        keepNumDims=keep_dims,
        version=version,
    )
    e.bind(op.outputs[0], out)


@emits("matmul")
def _matmul(e: Emitter, op: Op) -> None:
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
    activation = op.attrs.get("activation", "none")
    e.bind(
        op.outputs[0], product if activation == "none" else emit_unary(e, activation, product, op)
    )


@emits("lstm")
def _lstm(e: Emitter, op: Op) -> None:
    """Float kernels only: an int8 network runs its recurrent layers in float32."""
    x = e.read(op.inputs[0], "float32")
    hidden, directions = op.attrs["hidden"], op.attrs["directions"]
    if op.attrs.get("cells", hidden) != hidden:
        raise e.refuse(op, "projection")
    a, b, features = e.shape(x)
    batch = b if op.attrs["time_major"] else a
    gates: list[int] = []
    for direction in range(directions):
        gates += _lstm_weights(e, op, direction, features, hidden)
    states = [
        e.file.tensor(f"{op.name}/state_{i}", (batch, hidden), "float32", variable=True)
        for i in range(2 * directions)
    ]
    outs = [e.temporary((a, b, hidden), "float32") for _ in range(directions)]
    common = {"fusedActivationFunction": 4, "timeMajor": bool(op.attrs["time_major"])}
    if directions == 1:
        e.file.operator(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            [x, *gates, *states],
            outs,
            "UnidirectionalSequenceLSTMOptions",
            **common,
        )
    else:
        joined = op.attrs["return_sequences"] and op.attrs.get("merge_outputs", True)
        # ai-edge-litert 2.3 merges wrongly from the second batch element on
        merged = joined and batch == 1
        if merged:
            outs = [e.temporary((a, b, 2 * hidden), "float32")]
        e.file.operator(
            "BIDIRECTIONAL_SEQUENCE_LSTM",
            [x, *gates, *states, *[-1] * 9],
            outs,
            "BidirectionalSequenceLSTMOptions",
            mergeOutputs=merged,
            **common,
        )
        if joined and not merged:
            shape = (a, b, 2 * hidden)
            options = "ConcatenationOptions"
            outs = [e.emit("CONCATENATION", outs, shape, "float32", options, axis=2)]
    if not op.attrs["return_sequences"]:
        outs = [_last_step(e, op, outs)]
    for name, out in zip(op.outputs, outs, strict=False):
        e.bind(name, out)


def _lstm_weights(e: Emitter, op: Op, direction: int, features: int, hidden: int) -> list[int]:
    """Inputs 1 to 17 of the kernel: gates in the order input, forget, cell, output; no peephole."""
    base = next((n for n in op.inputs[1:] if n), op.outputs[0])

    def constant(kind: int, gate: int, shape: Shape, deviation: float) -> int:
        stream = [*e.stream(base), direction, kind, gate]
        data = weights.normal(shape, deviation, 0.0, stream)
        name = f"{op.name}/{direction}/{('input', 'recurrent', 'bias')[kind]}_{gate}"
        return e.file.tensor(name, shape, "float32", data=data)

    inputs = [constant(0, g, (hidden, features), features**-0.5) for g in range(4)]
    recurrent = [constant(1, g, (hidden, hidden), hidden**-0.5) for g in range(4)]
    biases = [constant(2, g, (hidden,), 0.05) for g in range(4)]
    return [*inputs, *recurrent, -1, -1, -1, *biases, -1, -1]


def _last_step(e: Emitter, op: Op, outs: list[int]) -> int:
    """The final step of each direction; the backward one ends at the sequence's start."""
    time_axis = 0 if op.attrs["time_major"] else 1
    last = []
    for direction, out in enumerate(outs):
        a, b, hidden = e.shape(out)
        step = ((a, b)[time_axis] - 1) if direction == 0 else 0
        begin = [0, 0, 0]
        begin[time_axis] = step
        size = [a, b, hidden]
        size[time_axis] = 1
        piece = e.emit("SLICE", [out, e.ints(begin), e.ints(size)], size, "float32", "SliceOptions")
        flat = (b if time_axis == 0 else a, hidden)
        last.append(e.emit("RESHAPE", [piece, e.ints(flat)], flat, "float32"))
    if len(last) == 1:
        return last[0]
    shape = (e.shape(last[0])[0], sum(e.shape(i)[1] for i in last))
    return e.emit("CONCATENATION", last, shape, "float32", "ConcatenationOptions", axis=1)


@emits("rnn")
def _rnn(e: Emitter, op: Op) -> None:
    if op.attrs["directions"] != 1 or not op.attrs["return_sequences"]:
        raise e.refuse(op, "only one direction that returns its sequence")
    x = e.read(op.inputs[0], "float32")
    a, b, features = e.shape(x)
    hidden, time_major = op.attrs["hidden"], bool(op.attrs["time_major"])
    base = e.stream(next((n for n in op.inputs[1:] if n), op.outputs[0]))
    shapes = ((hidden, features), (hidden, hidden), (hidden,))
    constants = [
        e.file.tensor(
            f"{op.name}/weights_{i}",
            shape,
            "float32",
            data=weights.normal(shape, shape[-1] ** -0.5, 0.0, [*base, i]),
        )
        for i, shape in enumerate(shapes)
    ]
    batch = b if time_major else a
    state = e.file.tensor(f"{op.name}/state", (batch, hidden), "float32", variable=True)
    e.bind(
        op.outputs[0],
        e.emit(
            "UNIDIRECTIONAL_SEQUENCE_RNN",
            [x, *constants, state],
            (a, b, hidden),
            "float32",
            "SequenceRNNOptions",
            timeMajor=time_major,
            fusedActivationFunction=4,
        ),
    )


def _constants_of(e: Emitter, op: Op) -> list[str]:
    return [n for n in op.inputs[1:] if n and e.graph.tensors[n].constant]


def _affine(e: Emitter, op: Op, x: int, parameters: list[str], channels: int) -> int:
    """x * gamma + beta along the last axis, as far as the op has them."""
    for position, name in enumerate(parameters[:2]):
        values = e.real_constant(name, (channels,), 0.1, 1.0 if position == 0 else 0.0)
        x = arithmetic(e, "MUL" if position == 0 else "ADD", x, values)
    return x


@emits("batch_norm", "scale")
def _batch_norm(e: Emitter, op: Op) -> None:
    """Mean and variance are folded into one scale and one shift, as converters do."""
    parameters = _constants_of(e, op)
    if not parameters:
        raise e.refuse(op, "its scale is not constant")
    x = e.read(op.inputs[0], "float32")
    out = _affine(e, op, x, parameters, e.shape(x)[-1])
    activation = op.attrs.get("activation", "none")
    e.bind(op.outputs[0], out if activation == "none" else emit_unary(e, activation, out, op))


def _normalised(e: Emitter, op: Op, x: int, axes: tuple[int, ...]) -> int:
    """(x - mean) / sqrt(variance + epsilon) from primitive operators."""
    epsilon = e.number(float(op.attrs.get("epsilon", 1e-5)))
    mean = reduce(e, "MEAN", x, axes)
    squares = e.emit(
        "SQUARED_DIFFERENCE", [x, mean], e.shape(x), "float32", "SquaredDifferenceOptions"
    )
    variance = arithmetic(e, "ADD", reduce(e, "MEAN", squares, axes), epsilon)
    inverse = e.emit("RSQRT", [variance], e.shape(variance), "float32")
    return arithmetic(e, "MUL", arithmetic(e, "SUB", x, mean), inverse)


@emits("layer_norm", "instance_norm")
def _layer_norm(e: Emitter, op: Op) -> None:
    x = e.read(op.inputs[0], "float32")
    rank = len(e.shape(x))
    axes = tuple(range(1, rank - 1)) if op.kind == "instance_norm" else (rank - 1,)
    axes = tuple(sorted(a % rank for a in op.attrs.get("axes", axes)))
    out = _normalised(e, op, x, axes)
    e.bind(op.outputs[0], _affine(e, op, out, _constants_of(e, op), e.shape(x)[-1]))


@emits("group_norm")
def _group_norm(e: Emitter, op: Op) -> None:
    x = e.read(op.inputs[0], "float32")
    shape = e.shape(x)
    groups = op.attrs["groups"]
    split = (shape[0], math.prod(shape[1:-1]), groups, shape[-1] // groups)
    x = e.emit("RESHAPE", [x, e.ints(split)], split, "float32")
    x = _normalised(e, op, x, (1, 3))
    x = e.emit("RESHAPE", [x, e.ints(shape)], shape, "float32")
    e.bind(op.outputs[0], _affine(e, op, x, _constants_of(e, op), shape[-1]))


@emits("l2_norm")
def _l2_norm(e: Emitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    dtype = e.dtype(x)
    version = 2 if dtype == "int8" else 1
    out = e.emit(
        "L2_NORMALIZATION",
        [x],
        e.shape(x),
        dtype,
        "L2NormOptions",
        version=version,
        quant=SIGNED_UNIT,
    )
    e.bind(op.outputs[0], out)


@emits("lrn")
def _lrn(e: Emitter, op: Op) -> None:
    """TFLite's alpha multiplies the sum of squares, ours (as Caffe's and ONNX's) their mean."""
    x = e.read(op.inputs[0], "float32")
    size = int(op.attrs.get("size", 5))
    out = e.emit(
        "LOCAL_RESPONSE_NORMALIZATION",
        [x],
        e.shape(x),
        "float32",
        "LocalResponseNormalizationOptions",
        radius=size // 2,
        alpha=float(op.attrs.get("alpha", 1e-4)) / size,
        beta=float(op.attrs.get("beta", 0.75)),
        bias=float(op.attrs.get("bias", 1.0)),
    )
    e.bind(op.outputs[0], out)
