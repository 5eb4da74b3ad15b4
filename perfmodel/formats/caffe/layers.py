"""What each layer type of Caffe means: from its parameters to operators of the graph.

Defaults and rules are those of src/caffe/layers/*.cpp in github BVLC/caffe.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.caffe.net import (
    CaffeLayer,
    CaffeNet,
    axis_of,
    blob_shape,
    emit,
    first,
    flag,
    image,
    integer,
    integers,
    layer_types,
    pair,
    real,
    stored,
)
from perfmodel.formats.limits import MAX_DIM, MAX_FAN, shorten


@layer_types("Convolution ConvolutionDepthwise DepthwiseConvolution Deconvolution")
def _convolution(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x, param = image(net, layer), layer.message.message("convolution_param")
    channels = net.builder.shape(x)[3]
    out = integer(param, "num_output", 0, 1)
    kernel = pair(param, "kernel_size", "kernel", 0, 1)
    stride, pads = pair(param, "stride", "stride", 1, 1), pair(param, "pad", "pad", 0, 0)
    dilation = pair(param, "dilation", "dilation", 1, 1)
    groups = integer(param, "group", 1, 1)
    if layer.type.startswith(("ConvolutionDepth", "Depthwise")):
        groups = channels
    if out < 1 or channels % groups or out % groups:
        raise GraphError(f"{channels} channels in, {out} out, in {groups} groups")
    names = [x, net.weights(layer, "weights", (out, *kernel, channels // groups))]
    if flag(param, "bias_term", True):
        names.append(net.weights(layer, "bias", (out,)))
    attrs: dict[str, Any] = {
        "stride": stride,
        "dilation": dilation,
        "pads": (pads[0], pads[0], pads[1], pads[1]),
        "groups": groups,
        "activation": "none",
    }
    kind = "transpose_conv2d" if layer.type == "Deconvolution" else "conv2d"
    return emit(net, layer, kind, names, **attrs)


@layer_types("InnerProduct")
def _inner_product(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x, param = first(net, layer), layer.message.message("inner_product_param")
    out, axis = integer(param, "num_output", 0, 1), integer(param, "axis", 1, -16)
    shape = blob_shape(net.builder.shape(x))
    inner = math.prod(shape[axis % len(shape) :])
    if out < 1:
        raise GraphError("num_output must be given")
    names = [x, net.weights(layer, "weights", (out, inner))]
    if flag(param, "bias_term", True):
        names.append(net.weights(layer, "bias", (out,)))
    return emit(net, layer, "fully_connected", names, activation="none", keep_dims=False)


@layer_types("Pooling")
def _pooling(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x, param = image(net, layer), layer.message.message("pooling_param")
    kinds = {"MAX": "max", "AVE": "avg", "0": "max", "1": "avg"}
    kind = kinds.get(param.text("pool", "MAX"))
    if kind is None:
        raise GraphError(f"pooling of kind {shorten(param.text('pool'))!r} is not read")
    if flag(param, "global_pooling", False):
        reduce = "reduce_max" if kind == "max" else "reduce_mean"
        return emit(net, layer, reduce, [x], axes=(1, 2), keep_dims=True)
    kernel = pair(param, "kernel_size", "kernel", 0, 1)
    stride, pads = pair(param, "stride", "stride", 1, 1), pair(param, "pad", "pad", 0, 0)
    size = net.builder.shape(x)[1:3]
    floor = param.text("round_mode", "CEIL") in ("FLOOR", "1")
    sides = [
        pooled_pads(*axis, floor=floor) for axis in zip(size, kernel, stride, pads, strict=True)
    ]
    attrs: dict[str, Any] = {"kernel": kernel, "stride": stride, "pads": (*sides[0], *sides[1])}
    return emit(net, layer, f"{kind}_pool2d", [x], activation="none", **attrs)


def pooled_pads(size: int, kernel: int, stride: int, pad: int, *, floor: bool) -> tuple[int, int]:
    """Padding (before, after) that gives Caffe's output size.

    Caffe rounds the number of windows up, but with padding the last window must start inside the
    image or its padding in front (pooling_layer.cpp, Reshape).
    """
    if floor:
        return pad, pad
    windows = -(-(size + 2 * pad - kernel) // stride) + 1
    if pad and (windows - 1) * stride >= size + pad:
        windows -= 1
    if windows < 1:
        raise GraphError(f"a window of {kernel} on {size} with padding {pad}")
    return pad, max(0, (windows - 1) * stride + kernel - size - pad)


UNARY = {
    "AbsVal": "abs",
    "BNLL": "softplus",
    "Clip": "clip",
    "ELU": "elu",
    "Exp": "exp",
    "Log": "log",
    "MVN": "instance_norm",
    "ReLU6": "relu6",
    "Sigmoid": "sigmoid",
    "Swish": "swish",
    "TanH": "tanh",
    "Threshold": "threshold",
}


@layer_types(" ".join(UNARY))
def _unary(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    return emit(net, layer, UNARY[layer.type], [first(net, layer)])


@layer_types("ReLU")
def _relu(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    slope = real(layer.message.message("relu_param"), "negative_slope", 0.0)
    return emit(net, layer, "leaky_relu" if slope else "relu", [first(net, layer)])


@layer_types("PReLU")
def _prelu(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x = first(net, layer)
    shared = flag(layer.message.message("prelu_param"), "channel_shared", False)
    channels = 1 if shared else blob_shape(net.builder.shape(x))[1]
    return emit(net, layer, "prelu", [x, net.weights(layer, "slopes", (channels,))])


@layer_types("Power")
def _power(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x, param = first(net, layer), layer.message.message("power_param")
    if real(param, "power", 1.0) == 1.0:
        return emit(net, layer, "scale", [x])
    return emit(net, layer, "pow", [x, net.weights(layer, "power", ())], activation="none")


@layer_types("LRN")
def _lrn(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    param = layer.message.message("lrn_param")
    within = param.text("norm_region", "ACROSS_CHANNELS") in ("WITHIN_CHANNEL", "1")
    size = integer(param, "local_size", 5, 1)
    region = "within" if within else "across"
    return emit(net, layer, "lrn", [first(net, layer)], size=size, region=region)


@layer_types("BatchNorm")
def _batch_norm(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    """Mean and variance; Caffe learns factor and offset in a Scale layer."""
    x = first(net, layer)
    channels = blob_shape(net.builder.shape(x))[1]
    names = [net.weights(layer, what, (channels,)) for what in ("mean", "variance")]
    return emit(net, layer, "batch_norm", [x, *names])


@layer_types("Scale Bias")
def _scale(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x = first(net, layer)
    shape = net.builder.shape(x)
    if len(layer.bottoms) > 1:
        kind = "mul" if layer.type == "Scale" else "add"
        other = net.tensor(layer.bottoms[1])
        small = net.builder.shape(other)
        if len(small) < len(shape):  # aligned with the first axes
            padded = stored((*small, *[1] * (len(shape) - len(small))))
            other = net.builder.reshape(other, padded, net.fresh(f"{layer.name}/aligned"))
        return emit(net, layer, kind, [x, other], activation="none")
    channels = blob_shape(shape)[1]
    names = [net.weights(layer, "scale" if layer.type == "Scale" else "bias", (channels,))]
    if layer.type == "Scale" and flag(layer.message.message("scale_param"), "bias_term", False):
        names.append(net.weights(layer, "bias", (channels,)))
    return emit(net, layer, "scale", [x, *names])


@layer_types("Normalize")
def _normalize(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x, param = first(net, layer), layer.message.message("norm_param")
    shared = flag(param, "channel_shared", True)
    channels = 1 if shared else blob_shape(net.builder.shape(x))[1]
    return emit(net, layer, "l2_norm", [x, net.weights(layer, "scale", (channels,))])


@layer_types("Eltwise")
def _eltwise(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    kinds = {"PROD": "mul", "SUM": "add", "MAX": "maximum", "0": "mul", "1": "add", "2": "maximum"}
    operation = layer.message.message("eltwise_param").text("operation", "SUM")
    kind = kinds.get(operation)
    if kind is None or not 2 <= len(layer.bottoms) <= MAX_FAN:
        raise GraphError(f"{shorten(operation)!r} of {len(layer.bottoms)} bottoms")
    result, *others = [net.tensor(b) for b in layer.bottoms]
    for other in others[:-1]:
        result = net.builder.binary(kind, result, other, name=net.fresh(f"{layer.name}/part"))
    return emit(net, layer, kind, [result, others[-1]], activation="none")


@layer_types("Concat")
def _concat(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    param = layer.message.message("concat_param")
    inputs = [net.tensor(b) for b in layer.bottoms]
    axis = integer(param, "axis", integer(param, "concat_dim", 1), -16)
    place = axis_of(net.builder.shape(first(net, layer)), axis)
    return emit(net, layer, "concat", inputs, axis=place, activation="none")


@layer_types("Slice")
def _slice(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x, param = first(net, layer), layer.message.message("slice_param")
    axis = integer(param, "axis", integer(param, "slice_dim", 1), -16)
    place = axis_of(net.builder.shape(x), axis)
    total, points, count = (
        net.builder.shape(x)[place],
        integers(param, "slice_point"),
        len(layer.tops),
    )
    if points and len(points) != count - 1:
        raise GraphError(f"{len(points)} slice points for {count} tops")
    if not points and (not count or total % count):
        raise GraphError(f"{total} does not divide into {count} slices")
    bounds = [0, *points, total] if points else list(range(0, total + 1, total // count))
    sizes = tuple(b - a for a, b in pairwise(bounds))
    return emit(net, layer, "split", [x], axis=place, sizes=sizes)


@layer_types("Split Dropout")
def _alias(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    """Copies nothing in inference, so no operator."""
    if not layer.bottoms:
        raise GraphError("a bottom is missing")
    return [net.held(layer.bottoms[0])] * max(1, len(layer.tops))


@layer_types("Softmax SoftmaxWithLoss")
def _softmax(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x = first(net, layer)
    axis = integer(layer.message.message("softmax_param"), "axis", 1, -16)
    return emit(net, layer, "softmax", [x], axis=axis_of(net.builder.shape(x), axis))


@layer_types("Flatten")
def _flatten(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x, param = first(net, layer), layer.message.message("flatten_param")
    shape = blob_shape(net.builder.shape(x))
    start = integer(param, "axis", 1, -16) % len(shape)
    end = integer(param, "end_axis", -1, -16) % len(shape)
    flat = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
    return emit(net, layer, "reshape", [x], shape=stored(flat))


@layer_types("Reshape")
def _reshape(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x, param = first(net, layer), layer.message.message("reshape_param")
    shape = blob_shape(net.builder.shape(x))
    wanted = list(integers(param.message("shape"), "dim", -1))
    axis = integer(param, "axis", 0, -16)
    start = axis if axis >= 0 else len(shape) + axis + 1
    count = integer(param, "num_axes", -1, -1)
    end = len(shape) if count == -1 else start + count
    for i, size in enumerate(wanted):
        if size == 0:  # keeps the blob's own
            wanted[i] = shape[start + i]
    full = [*shape[:start], *wanted, *shape[end:]]
    if full.count(-1) > 1:
        raise GraphError(f"a reshape of {shape} to {full}")
    if -1 in full:
        known = math.prod(s for s in full if s != -1)
        full[full.index(-1)] = math.prod(shape) // known
    return emit(net, layer, "reshape", [x], shape=stored(tuple(full)))


@layer_types("Permute")
def _permute(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x = first(net, layer)
    shape = net.builder.shape(x)
    order = list(integers(layer.message.message("permute_param"), "order"))
    order += [a for a in range(len(shape)) if a not in order]
    perm = [0] * len(shape)
    for new, old in enumerate(order):
        perm[axis_of(shape, new)] = axis_of(shape, old)
    return emit(net, layer, "transpose", [x], perm=tuple(perm))


@layer_types("ShuffleChannel")
def _shuffle(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    groups = integer(layer.message.message("shuffle_channel_param"), "group", 1, 1)
    return emit(net, layer, "channel_shuffle", [image(net, layer)], groups=groups)


@layer_types("Crop")
def _crop(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x = first(net, layer)
    shape, like = (
        blob_shape(net.builder.shape(x)),
        blob_shape(net.builder.shape(net.tensor(layer.bottoms[1]))),
    )
    axis = integer(layer.message.message("crop_param"), "axis", 2, -16) % len(shape)
    out = (*shape[:axis], *like[axis:])
    if any(o > s for o, s in zip(out, shape, strict=True)):
        raise GraphError(f"cannot crop {shape} to {out}")
    return emit(net, layer, "slice", [x], size=stored(out))


@layer_types("Interp Upsample")
def _interp(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x = image(net, layer)
    h, w = net.builder.shape(x)[1:3]
    if layer.type == "Upsample":
        scale = integer(layer.message.message("upsample_param"), "scale", 2, 1)
        return emit(net, layer, "resize", [x], size=(h * scale, w * scale), method="nearest")
    param = layer.message.message("interp_param")
    shrink, zoom = integer(param, "shrink_factor", 1, 1), integer(param, "zoom_factor", 1, 1)
    around = integer(param, "pad_beg", 0, -MAX_DIM) + integer(param, "pad_end", 0, -MAX_DIM)
    h, w = ((s + around - 1) // shrink + 1 for s in (h, w))
    grown = (
        (h * zoom, w * zoom)
        if net.plain_zoom
        else (h + (h - 1) * (zoom - 1), w + (w - 1) * (zoom - 1))
    )
    size = (integer(param, "height", grown[0], 1), integer(param, "width", grown[1], 1))
    return emit(net, layer, "resize", [x], size=size, method="bilinear")


@layer_types("Tile")
def _tile(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    x, param = first(net, layer), layer.message.message("tile_param")
    multiples = [1] * len(net.builder.shape(x))
    multiples[axis_of(net.builder.shape(x), integer(param, "axis", 1, -16))] = integer(
        param, "tiles", 1, 1
    )
    return emit(net, layer, "tile", [x], multiples=tuple(multiples))


@layer_types("Axpy")
def _axpy(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    """a x + y, with a factor a for each channel (SENet)."""
    if len(layer.bottoms) != 3:
        raise GraphError(f"three bottoms expected, {len(layer.bottoms)} given")
    a, x, y = (net.tensor(b) for b in layer.bottoms)
    scaled = net.builder.binary("mul", x, a, name=net.fresh(f"{layer.name}/scaled"))
    return emit(net, layer, "add", [scaled, y], activation="none")


@layer_types("LSTM Lstm")
def _lstm(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    """Input (time, batch, ...), and marks of where sequences begin, which cost nothing."""
    x = first(net, layer)
    name = "recurrent_param" if layer.type == "LSTM" else "lstm_param"
    out = integer(layer.message.message(name), "num_output", 0, 1)
    steps, batch, *inner = blob_shape(net.builder.shape(x))
    features = math.prod(inner)
    if out < 1 or not inner:
        raise GraphError(f"{out} outputs of a blob {net.builder.shape(x)}")
    if len(inner) > 1:
        x = net.builder.reshape(x, (steps, batch, features), net.fresh(f"{layer.name}/rows"))
    rows = 4 * out
    names = [
        net.weights(layer, "weights", (rows, features)),
        net.weights(layer, "recurrent", (rows, out)),
        net.weights(layer, "bias", (rows,)),
    ]
    attrs: dict[str, Any] = {"hidden": out, "directions": 1, "return_sequences": True}
    return emit(net, layer, "lstm", [x, *names], time_major=True, **attrs)


@layer_types("ArgMax")
def _arg_max(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    param, x = layer.message.message("argmax_param"), first(net, layer)
    if "axis" not in param.fields:
        raise GraphError("argmax without an axis is not read")
    axis = axis_of(net.builder.shape(x), integer(param, "axis", 1, -16))
    return emit(net, layer, "arg_max", [x], axis=axis, keep_dims=True)
