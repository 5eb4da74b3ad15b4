"""ONNX convolutions and pooling, of images and of sequences.

Semantics by operator and operator set version: docs/Operators.md in github onnx/onnx.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.call import Call, UncoveredRankError, converts
from perfmodel.formats.onnx.net import Value, stored, unstored
from perfmodel.formats.onnx.products import FUSED_ACTIVATIONS, activated
from perfmodel.graph.ops import Shape, same_pads


def spatial(call: Call, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """An attribute with one number for each spatial axis, at least 1."""
    found = call.integers(name)
    found = default if found is None or not found else found
    if len(found) != len(default) or min(found, default=1) < 1:
        raise GraphError(f"attribute {name} must have {len(default)} positive numbers, has {found}")
    return found


def window_pads(
    call: Call, size: Shape, kernel: Shape, stride: Shape, dilation: Shape
) -> list[tuple[int, int]]:
    """Padding (before, after) of each spatial axis."""
    rule = call.text("auto_pad", "NOTSET")
    if rule in ("SAME_UPPER", "SAME_LOWER"):
        pads = [same_pads(*axis) for axis in zip(size, kernel, stride, dilation, strict=True)]
        return pads if rule == "SAME_UPPER" else [(after, before) for before, after in pads]
    listed = call.integers("pads")
    if rule == "VALID" or not listed:
        return [(0, 0)] * len(size)
    if len(listed) != 2 * len(size) or min(listed) < 0:
        raise GraphError(f"pads {listed} for {len(size)} spatial axes")
    return list(zip(listed[: len(size)], listed[len(size) :], strict=True))


def as_image(call: Call, x: Value) -> str:
    """Tensor name of an image or volume; a sequence becomes an image of height 1."""
    name = call.net.image(x)
    if len(x.shape) != 3:
        if len(x.shape) > 5:
            raise UncoveredRankError(f"{len(x.shape) - 2} spatial axes")
        return name
    n, c, length = x.shape
    inner = call.net.fresh(f"{call.op_name}/as_image")
    return call.net.builder.reshape(name, (n, 1, length, c), inner)


def emit_sliding(
    call: Call, kind: str, names: list[str], attrs: dict[str, Any], x: Value, dtype: str = ""
) -> list[Value]:
    """Append `kind` for images or volumes; the result of a sequence loses its height again."""
    if len(x.shape) != 3:
        axes = len(x.shape) - 2
        return call.emit(f"{kind}{axes}d", names, attrs, last=True, dtype=dtype)
    inner = call.emit(f"{kind}2d", names, attrs, dtype=dtype, suffix="image")[0]
    n, _, length, c = call.net.builder.shape(inner.tensor)
    return call.emit("reshape", [inner.tensor], {"shape": (n, length, c)}, last=True)


def per_axis(values: Sequence[int], unit: int = 1) -> Shape:
    """Numbers by spatial axis; a sequence is an image of height 1."""
    return (unit, *values) if len(values) == 1 else tuple(values)


def flat_pads(pads: Sequence[tuple[int, int]]) -> Shape:
    """Padding as the graph lists it, pair after pair."""
    pairs = [(0, 0), *pads] if len(pads) == 1 else pads
    return tuple(size for pair in pairs for size in pair)


def nhwc(call: Call, index: int) -> Value:
    """An input that the file holds channels last, as ONNX's own order sees it."""
    x = call.value(index)
    shape = unstored(x.shape, True)
    return replace(x, shape=shape, tensor=call.net.plain(x), last=True, constant=False)


def as_nhwc(values: Sequence[Value]) -> list[Value]:
    """Results as the file holds them: channels last."""
    return [replace(v, shape=stored(v.shape, True), last=False) if v.last else v for v in values]


@converts("FusedConv")
def _fused_conv(call: Call) -> list[Value]:
    """onnxruntime's: a sum with input 3 before the activation."""
    x, w, bias, other = call.value(0), call.value(1), call.optional(2), call.optional(3)
    if other is None:
        return convolution(call, x, w, bias)

    def added(outer: Call) -> list[Value]:
        inner = replace(
            outer.node, outputs=(), attributes=outer.node.attributes | {"activation": None}
        )
        made = convolution(replace(outer, node=inner), x, w, bias)[0]
        names = [call.net.image(made), call.net.image(other)]
        return outer.emit("add", names, {"activation": "none"}, last=True)

    return activated(call, added)


@converts("Conv ConvInteger")
def _conv(call: Call) -> list[Value]:
    dtype = "int32" if call.node.op_type == "ConvInteger" else ""
    bias = call.optional(2) if not dtype else None
    return convolution(call, call.value(0), call.value(1), bias, dtype)


@converts("QLinearConv")
def _quantised_conv(call: Call) -> list[Value]:
    zero = call.optional(7)
    dtype = zero.dtype if zero else call.value(0).dtype
    last = bool(call.integer("channels_last", 0))
    x = nhwc(call, 0) if last else call.value(0)
    made = convolution(call, x, call.value(3), call.optional(8), dtype)
    return as_nhwc(made) if last else made


@converts("NhwcConv NhwcFusedConv")
def _nhwc_conv(call: Call) -> list[Value]:
    """onnxruntime's: images channels last, weights as ever; a sum with input 3 may follow."""
    return as_nhwc(convolution(call, nhwc(call, 0), call.value(1), call.optional(2)))


def convolution(call: Call, x: Value, w: Value, bias: Value | None, dtype: str = "") -> list[Value]:
    """A convolution of an image or a sequence with weights (cout, cin / groups, ...)."""
    if len(x.shape) < 3 or len(w.shape) != len(x.shape):
        raise GraphError(f"input {x.shape} and weights {w.shape}")
    cout, cin_group, *window = w.shape
    ones = (1,) * len(window)
    kernel = spatial(call, "kernel_shape", tuple(window))
    if kernel != tuple(window):
        raise GraphError(f"kernel_shape {kernel} and weights {w.shape}")
    stride, dilation = spatial(call, "strides", ones), spatial(call, "dilations", ones)
    pads = window_pads(call, x.shape[2:], kernel, stride, dilation)
    name = as_image(call, x)
    names = [name, weights(call, w, (cout, *per_axis(kernel), cin_group), out_axis=0)]
    if bias is not None:
        names.append(call.net.plain(bias))
    groups = call.integer("group", 1)
    if groups < 1:
        raise GraphError(f"{groups} groups")
    attrs = {
        "stride": per_axis(stride),
        "dilation": per_axis(dilation),
        "pads": flat_pads(pads),
        "groups": groups,
        "activation": fused_activation(call),
    }
    return emit_sliding(call, "conv", names, attrs, x, dtype)


def fused_activation(call: Call) -> str:
    """Activation of a FusedConv, as onnxruntime's optimiser writes it."""
    name = call.text("activation", "")
    if name not in FUSED_ACTIVATIONS:
        raise GraphError(f"unknown fused activation {name!r}")
    return FUSED_ACTIVATIONS[name]


def weights(call: Call, w: Value, shape: Shape, *, out_axis: int) -> str:
    """Weights in the graph's order; computed ones are moved by a transpose.

    `out_axis` is the axis of output channels in ONNX's order, 0 or 1.
    """
    net = call.net
    if w.constant:
        return net.constant(w, shape)
    name, rank = net.plain(w), len(w.shape)
    if rank == 3:
        name, rank = net.builder.reshape(name, (*w.shape[:2], 1, w.shape[2])), 4
    name = net.builder.op("transpose", name, perm=(out_axis, *range(2, rank), 1 - out_axis))
    # groups of a transposed convolution lie along the other axis
    return name if net.builder.shape(name) == shape else net.builder.reshape(name, shape)


@converts("ConvTranspose")
def _conv_transpose(call: Call) -> list[Value]:
    x, w, bias = call.value(0), call.value(1), call.optional(2)
    if len(x.shape) < 3 or len(w.shape) != len(x.shape):
        raise GraphError(f"input {x.shape} and weights {w.shape}")
    groups = call.integer("group", 1)
    cin, cout_group, *window = w.shape
    ones = (1,) * len(window)
    kernel = spatial(call, "kernel_shape", tuple(window))
    stride, dilation = spatial(call, "strides", ones), spatial(call, "dilations", ones)
    extra = call.integers("output_padding") or (0,) * len(window)
    if groups < 1 or cin % groups or len(extra) != len(window) or kernel != tuple(window):
        raise GraphError(f"weights {w.shape}, groups {groups}, output_padding {extra}")
    pads = _transposed_pads(call, x.shape[2:], kernel, stride, dilation, extra)
    shape = (cout_group * groups, *per_axis(kernel), cin // groups)
    names = [as_image(call, x), weights(call, w, shape, out_axis=1)]
    if bias is not None:
        names.append(call.net.plain(bias))
    attrs = {
        "stride": per_axis(stride),
        "dilation": per_axis(dilation),
        "pads": flat_pads(pads),
        "output_padding": per_axis(tuple(extra), 0),
        "groups": groups,
        "activation": "none",
    }
    return emit_sliding(call, "transpose_conv", names, attrs, x)


def _transposed_pads(
    call: Call, size: Shape, kernel: Shape, stride: Shape, dilation: Shape, extra: Shape
) -> list[tuple[int, int]]:
    wanted = call.integers("output_shape")
    rule = call.text("auto_pad", "NOTSET")
    if not wanted and rule in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(s * st for s, st in zip(size, stride, strict=True))
    if not wanted:
        return window_pads(call, size, kernel, stride, dilation)
    wanted = wanted[-len(size) :]
    pads = []
    for s, k, st, d, e, out in zip(size, kernel, stride, dilation, extra, wanted, strict=True):
        total = st * (s - 1) + e + (k - 1) * d + 1 - out
        half = total // 2
        pads.append((half, total - half) if rule != "SAME_LOWER" else (total - half, half))
    return pads


@converts("MaxPool AveragePool LpPool")
def _pool(call: Call) -> list[Value]:
    results = pooling(call, call.value(0))
    if len(call.node.outputs) > 1 and call.node.outputs[1]:
        # where each maximum was: found by the same pass, written beside it
        place = call.net.fresh(call.node.outputs[1])
        attrs_out = {"output_shapes": (call.net.builder.shape(results[0].tensor),)}
        call.net.builder.add_op("scatter", [results[0].tensor], attrs_out, place, [place], "int64")
        results.append(replace(results[0], name=place, tensor=place, dtype="int64"))
    return results


@converts("NhwcMaxPool QLinearAveragePool")
def _nhwc_pool(call: Call) -> list[Value]:
    """onnxruntime's pools of integers, the one always and the other often channels last."""
    if call.node.op_type == "NhwcMaxPool" or call.integer("channels_last", 0):
        return as_nhwc(pooling(call, nhwc(call, 0)))
    return pooling(call, call.value(0))


def pooling(call: Call, x: Value) -> list[Value]:
    """A pool of an image, a sequence or a volume, its first result alone."""
    if len(x.shape) < 3:
        raise GraphError(f"pooling of a tensor {x.shape}")
    axes = len(x.shape) - 2
    kernel, ones = spatial(call, "kernel_shape", (0,) * axes), (1,) * axes
    stride, dilation = spatial(call, "strides", ones), spatial(call, "dilations", ones)
    pads = window_pads(call, x.shape[2:], kernel, stride, dilation)
    if call.integer("ceil_mode", 0):
        pads = [
            _ceil_pads(*a) for a in zip(x.shape[2:], kernel, stride, dilation, pads, strict=True)
        ]
    attrs = {
        "kernel": per_axis(kernel),
        "stride": per_axis(stride),
        "dilation": per_axis(dilation),
        "pads": flat_pads(pads),
        "activation": "none",
    }
    kind = "max_pool" if "MaxPool" in call.node.op_type else "avg_pool"
    return emit_sliding(call, kind, [as_image(call, x)], attrs, x)


def _ceil_pads(
    size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int]
) -> tuple[int, int]:
    """More padding behind for a last window that is not full, if it starts inside the input."""
    span = dilation * (kernel - 1) + 1
    windows = -(-(size + sum(pads) - span) // stride) + 1
    if (windows - 1) * stride >= size + pads[0]:
        windows -= 1
    return pads[0], max(0, (windows - 1) * stride + span - size - pads[0])


@converts("GlobalAveragePool GlobalMaxPool GlobalLpPool QLinearGlobalAveragePool")
def _global_pool(call: Call) -> list[Value]:
    last = bool(call.integer("channels_last", 0))
    x = nhwc(call, 0) if last else call.value(0)
    if len(x.shape) < 3:
        raise GraphError(f"pooling of a tensor {x.shape}")
    kind = "reduce_max" if call.node.op_type == "GlobalMaxPool" else "reduce_mean"
    attrs = {"axes": tuple(range(1, len(x.shape) - 1)), "keep_dims": True}
    made = call.emit(kind, [call.net.image(x)], attrs, last=True)
    return as_nhwc(made) if last else made


@converts("DeformConv")
def _deformable(call: Call) -> list[Value]:
    """Samples the image under each place of the window, then multiplies as a convolution does."""
    x, w, offset = call.value(0), call.value(1), call.value(2)
    if not len(x.shape) == len(w.shape) == len(offset.shape) == 4:
        raise GraphError(f"input {x.shape}, weights {w.shape}, offsets {offset.shape}")
    (cout, cin_group, kh, kw), (n, _, height, width) = w.shape, offset.shape
    attrs: dict[str, Any] = {"output_shape": (n, height * kh, width * kw, x.shape[1])}
    sampled = [call.net.image(x), call.net.image(offset)]
    sampled += [call.net.image(v) for v in call.inputs[4:5] if v is not None]
    image = call.emit("resize_to", sampled, attrs | {"method": "bilinear"}, suffix="sampled")[0]
    names = [image.tensor, weights(call, w, (cout, kh, kw, cin_group), out_axis=0)]
    names += [call.net.plain(v) for v in call.inputs[3:4] if v is not None]
    attrs = {"stride": (kh, kw), "dilation": (1, 1), "pads": (0, 0, 0, 0), "activation": "none"}
    return call.emit("conv2d", names, attrs | {"groups": call.integer("group", 1)}, last=True)
