"""ncnn's convolutions over rows, pictures and volumes, depthwise and transposed ones too.

Parameter numbers and defaults are those of `load_param` in Tencent/ncnn, src/layer/*.cpp. Axes are
counted from the innermost, the width, on; a number for each axis stands outermost first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.ncnn.net import (
    ABSENT,
    SAME_LOWER,
    NcnnLayer,
    NcnnNet,
    emit,
    emit_as,
    in_mat_order,
    layer_types,
    one_input,
    view,
)
from perfmodel.graph.ir import Tensor
from perfmodel.graph.ops import Shape, same_pads, window_output

KERNEL, DILATION, STRIDE = (21, 11, 1), (22, 12, 2), (23, 13, 3)
"""Parameters of the depth, the height and the width."""
PAD_BEFORE, PAD_AFTER = (24, 14, 4), (17, 16, 15)
EXTRA, OUTPUT = {1: (18,), 2: (19, 18), 3: (20, 19, 18)}, {1: (20,), 2: (21, 20), 3: (27, 26, 25)}
"""Of transposed convolutions: rows added at the end, and the size of the output."""

ACTIVATIONS = ("none", "relu", "leaky_relu", "clip", "sigmoid", "mish", "hard_swish")


def activation(layer: NcnnLayer) -> str:
    """Name of the fused activation (parameter 9, with its own parameters in 10)."""
    kind = layer.integer(9, 0)
    if not 0 <= kind < len(ACTIVATIONS):
        raise GraphError(f"unknown activation_type {kind}")
    if ACTIVATIONS[kind] == "clip" and layer.params.get(10) == (0, 6):
        return "relu6"
    return ACTIVATIONS[kind]


def window(layer: NcnnLayer, keys: Sequence[int], default: int) -> tuple[int, ...]:
    """A number for each axis, outermost first; others are by default that of the width."""
    width = layer.integer(keys[-1], default)
    found = (*(layer.integer(key, width) for key in keys[:-1]), width)
    if min(found) < 1:
        raise GraphError(f"parameters {', '.join(map(str, keys))} must be at least 1, got {found}")
    return found


def axes_of(layer: NcnnLayer) -> int:
    """Axes that a layer's window slides along, by the layer type's ending."""
    return {"1D": 1, "3D": 3}.get(layer.type[-2:], 2)


def pictured(net: NcnnNet, layer: NcnnLayer, axes: int) -> str:
    """The first input, with `axes` axes before its channels; rows become pictures of height 1."""
    x = one_input(net, layer)
    shape = net.builder.shape(x)
    if len(shape) != axes + 2:
        what = {1: "rows", 2: "an image", 3: "a volume"}[axes]
        raise GraphError(f"{layer.type} needs {what}, got a blob {shape}")
    if axes > 1:
        return x
    batch, channels, width = shape
    return view(net, layer, x, (batch, 1, width, channels))


def emit_window(
    net: NcnnNet,
    layer: NcnnLayer,
    kind: str,
    inputs: Sequence[str],
    dtype: str = "",
    *,
    out: Shape,
    **attrs: Any,
) -> Sequence[str]:
    """Append an op of `pictured` input; `out` are its spatial sizes and channels."""
    batch = net.builder.shape(inputs[0])[0]
    shape = (batch, out[1], out[0]) if len(out) == 2 else (batch, *out)
    return emit_as(net, layer, kind, inputs, shape, dtype, **attrs)


def padding(
    layer: NcnnLayer,
    sizes: Shape,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[tuple[int, int]]:
    """Padding (before, after) of each axis of a convolution."""
    left = layer.integer(PAD_BEFORE[-1], 0)
    if left in (ABSENT, SAME_LOWER):
        axes = zip(sizes, kernel, stride, dilation, strict=True)
        pads = [same_pads(*axis) for axis in axes]
        return pads if left == ABSENT else [(after, before) for before, after in pads]
    keys = zip(PAD_BEFORE[-len(sizes) :], PAD_AFTER[-len(sizes) :], strict=True)
    pairs = []
    for before_key, after_key in keys:
        before = layer.integer(before_key, left)
        pairs.append((before, layer.integer(after_key, before)))
    return pairs


def filters(
    net: NcnnNet, layer: NcnnLayer, kernel: Sequence[int], groups: int
) -> tuple[str, list[str]]:
    """Weights (and bias) of a convolution; gives dtype of the result and the names."""
    cout, size = layer.integer(0, 0), layer.integer(6, 0)
    per_channel = cout
    for side in kernel:
        per_channel *= side
    if cout < 1 or groups < 1 or size < 1 or size % per_channel:
        sides = " x ".join(map(str, kernel))
        raise GraphError(f"{size} weights do not fit {cout} filters of {sides}")
    int8 = layer.integer(8, 0)
    shape = (cout, *kernel, size // per_channel)
    names = [net.weights(layer, "weights", shape, "int8" if int8 else "float32")]
    if layer.integer(5, 0):
        names.append(net.weights(layer, "bias", (cout,), "float32"))
    # terms above 100 requantise: the next convolution reads int8 (ncnn, tools/quantize)
    return "int8" if int8 > 100 else "float32", names


def given_filters(net: NcnnNet, layer: NcnnLayer, axes: int) -> tuple[str, list[str]]:
    """Weights (and bias) that other layers compute: a blob of (out, in, ...)."""
    bottoms = [net.tensor(b) for b in layer.bottoms[1:]]
    if len(bottoms) != 1 + bool(layer.integer(5, 0)):
        raise GraphError("computed weights (dynamic_weight) are not among the inputs")
    cout, cin, *kernel = in_mat_order(net.builder.shape(bottoms[0]))
    if len(kernel) != axes:
        raise GraphError(f"computed weights of shape {net.builder.shape(bottoms[0])}")
    sides = (1, *kernel) if axes == 1 else tuple(kernel)
    names = [view(net, layer, bottoms[0], (cout, *sides, cin))]
    return "float32", [*names, *(view(net, layer, b, (cout,)) for b in bottoms[1:])]


@layer_types(
    "Convolution ConvolutionDepthWise Convolution1D ConvolutionDepthWise1D Convolution3D "
    "ConvolutionDepthWise3D DeformableConv2D"
)
def _convolution(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    axes = 2 if layer.type == "DeformableConv2D" else axes_of(layer)
    depthwise = "DepthWise" in layer.type
    x = one_input(net, layer)
    if len(net.builder.shape(x)) == 2 and axes == 2 and layer.integer(1, 0) == 1:
        return _flat_convolution(net, layer, x)
    x = pictured(net, layer, axes)
    computed = layer.integer(19, 0) and layer.type != "DeformableConv2D"
    if computed:
        dtype, names = given_filters(net, layer, axes)
        kernel = net.builder.shape(names[0])[1:-1][-axes:]
    else:
        kernel = window(layer, KERNEL[-axes:], 0)
        dtype, names = filters(net, layer, kernel if axes > 1 else (1, *kernel), _groups(layer))
    stride, dilation = window(layer, STRIDE[-axes:], 1), window(layer, DILATION[-axes:], 1)
    sizes = net.builder.shape(x)[1:-1][-axes:]
    pads = padding(layer, sizes, kernel, stride, dilation)
    if layer.type == "DeformableConv2D":  # it reads offsets, and masks, of every window too
        names += [net.tensor(b) for b in layer.bottoms[1:]]
    groups = _groups(layer) if depthwise else 1
    along = zip(sizes, kernel, stride, pads, dilation, strict=True)
    out = (*(window_output(*axis) for axis in along), net.builder.shape(names[0])[0])
    attrs = _attributes(layer, stride, dilation, pads, groups)
    kind = "conv3d" if axes == 3 else "conv2d"
    return emit_window(net, layer, kind, [x, *names], dtype, out=out, **attrs)


def _groups(layer: NcnnLayer) -> int:
    return layer.integer(7, 1) if "DepthWise" in layer.type else 1


def _attributes(
    layer: NcnnLayer,
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    pads: Sequence[tuple[int, int]],
    groups: int,
) -> dict[str, Any]:
    """Attributes of a convolution; one over rows is one over a picture of height 1."""
    if len(stride) == 1:
        stride, dilation, pads = (1, *stride), (1, *dilation), [(0, 0), *pads]
    return {
        "stride": stride,
        "dilation": dilation,
        "pads": tuple(chain.from_iterable(pads)),
        "groups": groups,
        "activation": activation(layer),
    }


def _flat_convolution(net: NcnnNet, layer: NcnnLayer, x: str) -> Sequence[str]:
    """A 1x1 convolution of a flat blob runs as a fully connected layer in ncnn."""
    dtype, (weights, *bias) = filters(net, layer, window(layer, KERNEL[-2:], 0), 1)
    cout, *_, cin = net.builder.shape(weights)
    flat = Tensor(weights, (cout, cin), net.builder.tensors[weights].dtype, True)
    net.builder.tensors[weights] = flat
    attrs = {"activation": activation(layer), "keep_dims": True}
    return emit(net, layer, "fully_connected", [x, weights, *bias], dtype, **attrs)


@layer_types(
    "Deconvolution DeconvolutionDepthWise Deconvolution1D DeconvolutionDepthWise1D "
    "Deconvolution3D DeconvolutionDepthWise3D"
)
def _deconvolution(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    axes = axes_of(layer)
    x = pictured(net, layer, axes)
    kernel, stride = window(layer, KERNEL[-axes:], 0), window(layer, STRIDE[-axes:], 1)
    dilation = window(layer, DILATION[-axes:], 1)
    dtype, names = filters(net, layer, kernel if axes > 1 else (1, *kernel), _groups(layer))
    added = EXTRA[axes]
    extra = tuple(layer.integer(key, layer.integer(added[-1], 0)) for key in added)
    sizes = net.builder.shape(x)[1:-1][-axes:]
    along = zip(sizes, kernel, stride, dilation, extra, strict=True)
    whole = [(n - 1) * s + d * (k - 1) + 1 + e for n, k, s, d, e in along]
    pads = _cut(layer, whole)
    out = (*(n - sum(p) for n, p in zip(whole, pads, strict=True)), layer.integer(0, 0))
    attrs = _attributes(layer, stride, dilation, pads, _groups(layer))
    attrs["output_padding"] = extra if axes > 1 else (0, *extra)
    kind = "transpose_conv3d" if axes == 3 else "transpose_conv2d"
    return emit_window(net, layer, kind, [x, *names], dtype, out=out, **attrs)


def _cut(layer: NcnnLayer, whole: Sequence[int]) -> list[tuple[int, int]]:
    """What a transposed convolution cuts off its result at both ends of each axis."""
    axes = len(whole)
    left = layer.integer(PAD_BEFORE[-1], 0)
    if left not in (ABSENT, SAME_LOWER):
        return padding(layer, (0,) * axes, (1,) * axes, (1,) * axes, (1,) * axes)
    width = layer.integer(OUTPUT[axes][-1], 0)
    wanted = [layer.integer(key, width) for key in OUTPUT[axes]]
    if min(wanted) < 1:  # ncnn cuts nothing where it is told no size
        return [(0, 0)] * axes
    cuts = [total - size for total, size in zip(whole, wanted, strict=True)]
    if min(cuts) < 0:
        raise GraphError(f"an output of {wanted} cut from {list(whole)}")
    pairs = [(cut // 2, cut - cut // 2) for cut in cuts]
    return pairs if left == ABSENT else [(after, before) for before, after in pairs]
