"""ncnn layers over images: convolutions, pooling, normalisation; constants.

Parameter numbers and defaults are those of `load_param` in Tencent/ncnn, src/layer/*.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.ncnn.net import (
    ABSENT,
    SAME_LOWER,
    NcnnLayer,
    NcnnNet,
    emit,
    layer_types,
    mat_shape,
    one_input,
)
from perfmodel.graph.ir import Tensor
from perfmodel.graph.ops import Shape, same_pads


def activation(layer: NcnnLayer) -> str:
    """Name of the fused activation (parameter 9, with its own parameters in 10)."""
    kind = layer.integer(9, 0)
    names = ("none", "relu", "leaky_relu", "clip", "sigmoid", "mish", "hard_swish")
    if not 0 <= kind < len(names):
        raise GraphError(f"unknown activation_type {kind}")
    if names[kind] == "clip" and layer.params.get(10) == (0, 6):
        return "relu6"
    return names[kind]


def padding(
    layer: NcnnLayer,
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Pads (top, bottom, left, right) of a convolution (parameters 4, 14, 15, 16)."""
    left = layer.integer(4, 0)
    right, top = layer.integer(15, left), layer.integer(14, left)
    bottom = layer.integer(16, top)
    if left in (ABSENT, SAME_LOWER):
        _, h, w, _ = shape
        pads = [
            same_pads(size, k, s, d)
            for size, k, s, d in zip((h, w), kernel, stride, dilation, strict=True)
        ]
        if left == SAME_LOWER:
            pads = [(after, before) for before, after in pads]
        return (*pads[0], *pads[1])
    return (top, bottom, left, right)


def window(layer: NcnnLayer, width_key: int, height_key: int, default: int) -> tuple[int, int]:
    """A (height, width) pair; the height defaults to the width."""
    width = layer.integer(width_key, default)
    pair = (layer.integer(height_key, width), width)
    if min(pair) < 1:
        raise GraphError(f"parameters {width_key} and {height_key} must be at least 1, got {pair}")
    return pair


def filters(
    net: NcnnNet, layer: NcnnLayer, kernel: tuple[int, int], groups: int
) -> tuple[str, list[str]]:
    """Weights (and bias) of a convolution; gives dtype of the result and the names."""
    cout, size = layer.integer(0, 0), layer.integer(6, 0)
    per_channel = cout * kernel[0] * kernel[1]
    if cout < 1 or groups < 1 or size < 1 or size % per_channel:
        raise GraphError(f"{size} weights do not fit {cout} filters of {kernel[0]} x {kernel[1]}")
    int8 = layer.integer(8, 0)
    shape = (cout, *kernel, size // per_channel)
    names = [net.weights(layer, "weights", shape, "int8" if int8 else "float32")]
    if layer.integer(5, 0):
        names.append(net.weights(layer, "bias", (cout,), "float32"))
    # terms above 100 requantise: the next convolution reads int8 (ncnn, tools/quantize)
    return "int8" if int8 > 100 else "float32", names


@layer_types("Convolution ConvolutionDepthWise")
def _convolution(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    if layer.integer(19, 0):
        raise GraphError("convolutions with computed weights (dynamic_weight) are not read")
    kernel = window(layer, 1, 11, 0)
    shape = net.builder.shape(x)
    if len(shape) == 2 and kernel == (1, 1):
        return _flat_convolution(net, layer, x)
    if len(shape) != 4:
        raise GraphError(f"a convolution needs an image, got a blob {shape}")
    stride, dilation = window(layer, 3, 13, 1), window(layer, 2, 12, 1)
    groups = layer.integer(7, 1) if layer.type == "ConvolutionDepthWise" else 1
    dtype, names = filters(net, layer, kernel, groups)
    attrs = {
        "stride": stride,
        "dilation": dilation,
        "pads": padding(layer, shape, kernel, stride, dilation),
        "groups": groups,
        "activation": activation(layer),
    }
    return emit(net, layer, "conv2d", [x, *names], dtype, **attrs)


def _flat_convolution(net: NcnnNet, layer: NcnnLayer, x: str) -> Sequence[str]:
    """A 1x1 convolution of a flat blob runs as a fully connected layer in ncnn."""
    dtype, (weights, *bias) = filters(net, layer, (1, 1), 1)
    cout, _, _, cin = net.builder.shape(weights)
    flat = Tensor(weights, (cout, cin), net.builder.tensors[weights].dtype, True)
    net.builder.tensors[weights] = flat
    attrs = {"activation": activation(layer), "keep_dims": True}
    return emit(net, layer, "fully_connected", [x, weights, *bias], dtype, **attrs)


@layer_types("Deconvolution DeconvolutionDepthWise")
def _deconvolution(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    kernel, stride = window(layer, 1, 11, 0), window(layer, 3, 13, 1)
    dilation = window(layer, 2, 12, 1)
    groups = layer.integer(7, 1) if layer.type == "DeconvolutionDepthWise" else 1
    dtype, names = filters(net, layer, kernel, groups)
    left = layer.integer(4, 0)
    if left in (ABSENT, SAME_LOWER) or layer.integer(20, 0) or layer.integer(21, 0):
        raise GraphError("deconvolutions with a given output size are not read")
    top = layer.integer(14, left)
    attrs = {
        "stride": stride,
        "dilation": dilation,
        "pads": (top, layer.integer(16, top), left, layer.integer(15, left)),
        "output_padding": (layer.integer(19, 0), layer.integer(18, 0)),
        "groups": groups,
        "activation": activation(layer),
    }
    return emit(net, layer, "transpose_conv2d", [x, *names], dtype, **attrs)


@layer_types("Pooling")
def _pooling(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    if len(shape) != 4:
        raise GraphError(f"pooling needs an image, got a blob {shape}")
    maximum = layer.integer(0, 0) == 0
    if layer.integer(4, 0):
        kind = "reduce_max" if maximum else "reduce_mean"
        return emit(net, layer, kind, [x], axes=(1, 2), keep_dims=False)
    kind = "max_pool2d" if maximum else "avg_pool2d"
    if layer.integer(7, 0):
        return emit(net, layer, kind, [x], **_adaptive_window(layer, shape))
    kernel, stride = window(layer, 1, 11, 0), window(layer, 2, 12, 1)
    pads = _pool_pads(layer, shape, kernel, stride)
    counted = bool(layer.integer(6, 0))
    attrs: dict[str, Any] = {"kernel": kernel, "stride": stride, "pads": pads, "activation": "none"}
    return emit(net, layer, kind, [x], count_include_pad=counted, **attrs)


def _pool_pads(
    layer: NcnnLayer, shape: Shape, kernel: tuple[int, int], stride: tuple[int, int]
) -> tuple[int, int, int, int]:
    mode, left = layer.integer(5, 0), layer.integer(3, 0)
    top, right = layer.integer(13, left), layer.integer(14, left)
    bottom = layer.integer(15, top)
    if mode == 1:
        return (top, bottom, left, right)
    if mode == 0:  # "full": pad the end so that the last window is complete
        bottom += -(shape[1] + top + bottom - kernel[0]) % stride[0]
        right += -(shape[2] + left + right - kernel[1]) % stride[1]
        return (top, bottom, left, right)
    if mode not in (2, 3):
        raise GraphError(f"unknown pad_mode {mode}")
    pads = [same_pads(shape[i + 1], kernel[i], stride[i]) for i in (0, 1)]
    if mode == 3:
        pads = [(after, before) for before, after in pads]
    return (*pads[0], *pads[1])


def _adaptive_window(layer: NcnnLayer, shape: Shape) -> dict[str, Any]:
    """Windows of adaptive pooling, equal where the size divides, else the nearest equal ones."""
    out_w = layer.integer(8, 0)
    sizes = [layer.integer(18, out_w), out_w]
    out = [shape[i + 1] if size == ABSENT else size for i, size in enumerate(sizes)]
    if min(out) < 1 or any(o > shape[i + 1] for i, o in enumerate(out)):
        raise GraphError(f"adaptive pooling of {shape} to {out}")
    stride = tuple(shape[i + 1] // out[i] for i in (0, 1))
    kernel = tuple(shape[i + 1] - (out[i] - 1) * stride[i] for i in (0, 1))
    return {"kernel": kernel, "stride": stride, "pads": (0, 0, 0, 0), "activation": "none"}


@layer_types("BatchNorm")
def _batch_norm(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    channels = layer.integer(0, 0)
    names = [net.weights(layer, w, (channels,)) for w in ("slope", "mean", "variance", "bias")]
    return emit(net, layer, "batch_norm", [one_input(net, layer), *names])


@layer_types("Scale")
def _scale(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    size = layer.integer(0, 0)
    if size == ABSENT:  # the factors are a second input
        factors = [net.tensor(b) for b in layer.bottoms]
        return emit(net, layer, "mul", factors, activation="none")
    names = [net.weights(layer, "scale", (size,))]
    if layer.integer(1, 0):
        names.append(net.weights(layer, "bias", (size,)))
    return emit(net, layer, "scale", [one_input(net, layer), *names])


@layer_types("Bias")
def _bias(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    bias = net.weights(layer, "bias", (layer.integer(0, 0),))
    return emit(net, layer, "add", [one_input(net, layer), bias], activation="none")


@layer_types("LayerNorm RMSNorm")
def _layer_norm(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    names = []
    if layer.integer(2, 1):
        what = ("gamma",) if layer.type == "RMSNorm" else ("gamma", "beta")
        names = [net.weights(layer, w, (layer.integer(0, 0),)) for w in what]
    return emit(net, layer, "layer_norm", [one_input(net, layer), *names])


@layer_types("InstanceNorm GroupNorm MVN")
def _feature_norm(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    kind, channels, affine = "instance_norm", layer.integer(0, 0), layer.integer(2, 1)
    attrs: dict[str, Any] = {}
    if layer.type == "GroupNorm":
        kind, channels, affine = "group_norm", layer.integer(1, 0), layer.integer(3, 1)
        attrs = {"groups": layer.integer(0, 1)}
    learned = affine and layer.type != "MVN"
    names = [net.weights(layer, w, (channels,)) for w in ("gamma", "beta")] if learned else []
    return emit(net, layer, kind, [one_input(net, layer), *names], **attrs)


@layer_types("Normalize")
def _normalize(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    size = layer.integer(3, 0)
    scale = [net.weights(layer, "scale", (size,))] if size else []
    return emit(net, layer, "l2_norm", [one_input(net, layer), *scale])


@layer_types("LRN")
def _lrn(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    region = "within" if layer.integer(0, 0) else "across"
    return emit(net, layer, "lrn", [one_input(net, layer)], size=layer.integer(1, 5), region=region)


@layer_types("MemoryData")
def _memory_data(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    sizes = [
        s
        for s in (
            layer.integer(0, 0),
            layer.integer(1, 0),
            layer.integer(11, 0),
            layer.integer(2, 0),
        )
        if s
    ]
    if not sizes or min(sizes) < 1 or len(layer.tops) != 1:
        raise GraphError(f"MemoryData of sizes {sizes}")
    return [net.builder.constant(mat_shape(1, *sizes), layer.tops[0], "float32")]
