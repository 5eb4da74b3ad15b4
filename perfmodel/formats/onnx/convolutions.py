"""ONNX convolutions and pooling, of images and of sequences.

Semantics by operator and operator set version: docs/Operators.md in github onnx/onnx.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.net import Call, UncoveredRankError, Value, converts
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


def as_2d(call: Call, x: Value) -> tuple[str, bool]:
    """Tensor name of an image (batch, h, w, channels); a sequence becomes an image of height 1."""
    name = call.net.image(x)
    if len(x.shape) == 4:
        return name, False
    if len(x.shape) != 3:
        raise UncoveredRankError(f"{len(x.shape) - 2} spatial axes")
    n, c, length = x.shape
    inner = call.net.fresh(f"{call.op_name}/as_image")
    return call.net.builder.reshape(name, (n, 1, length, c), inner), True


def emit_2d(
    call: Call, kind: str, names: list[str], attrs: dict[str, Any], flat: bool, dtype: str = ""
) -> list[Value]:
    """Append an image operator; for a sequence its result loses the height again."""
    if not flat:
        return call.emit(kind, names, attrs, last=True, dtype=dtype)
    inner = call.emit(kind, names, attrs, dtype=dtype, suffix="image")[0]
    n, _, length, c = call.net.builder.shape(inner.tensor)
    return call.emit("reshape", [inner.tensor], {"shape": (n, length, c)}, last=True)


def per_axis(values: tuple[int, ...], flat: bool, unit: int = 1) -> tuple[int, ...]:
    """Numbers by spatial axis as (height, width)."""
    return (unit, *values) if flat else values


@converts("Conv FusedConv ConvInteger")
def _conv(call: Call) -> list[Value]:
    dtype = "int32" if call.node.op_type == "ConvInteger" else ""
    bias = call.optional(2) if not dtype else None
    return convolution(call, call.value(0), call.value(1), bias, dtype)


@converts("QLinearConv")
def _quantised_conv(call: Call) -> list[Value]:
    zero = call.optional(7)
    dtype = zero.dtype if zero else call.value(0).dtype
    return convolution(call, call.value(0), call.value(3), call.optional(8), dtype)


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
    name, flat = as_2d(call, x)
    kernel = per_axis(kernel, flat)
    pad_pairs = [(0, 0), *pads] if flat else pads
    names = [name, weights(call, w, (cout, *kernel, cin_group), (0, 2, 3, 1))]
    if bias is not None:
        names.append(call.net.plain(bias))
    groups = call.integer("group", 1)
    if groups < 1:
        raise GraphError(f"{groups} groups")
    attrs = {
        "stride": per_axis(stride, flat),
        "dilation": per_axis(dilation, flat),
        "pads": (*pad_pairs[0], *pad_pairs[1]),
        "groups": groups,
        "activation": fused_activation(call),
    }
    return emit_2d(call, "conv2d", names, attrs, flat, dtype)


def fused_activation(call: Call) -> str:
    """Activation of a FusedConv, as onnxruntime's optimiser writes it."""
    known = {"": "none", "Relu": "relu", "LeakyRelu": "leaky_relu", "Tanh": "tanh"}
    known |= {"Sigmoid": "sigmoid", "Clip": "clip", "HardSigmoid": "hard_sigmoid"}
    name = call.text("activation", "")
    if name not in known:
        raise GraphError(f"unknown fused activation {name!r}")
    return known[name]


def weights(call: Call, w: Value, shape: Shape, perm: Shape) -> str:
    """Weights in the graph's order; computed ones are moved by a transpose."""
    net = call.net
    if w.constant:
        return net.constant(w, shape)
    name = net.plain(w)
    if len(w.shape) == 3:
        name = net.builder.reshape(name, (*w.shape[:2], 1, w.shape[2]))
    name = net.builder.op("transpose", name, perm=perm)
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
    name, flat = as_2d(call, x)
    kernel = per_axis(kernel, flat)
    pad_pairs = [(0, 0), *pads] if flat else pads
    shape = (cout_group * groups, *kernel, cin // groups)
    names = [name, weights(call, w, shape, (1, 2, 3, 0))]
    if bias is not None:
        names.append(call.net.plain(bias))
    attrs = {
        "stride": per_axis(stride, flat),
        "dilation": per_axis(dilation, flat),
        "pads": (*pad_pairs[0], *pad_pairs[1]),
        "output_padding": per_axis(tuple(extra), flat, 0),
        "groups": groups,
        "activation": "none",
    }
    return emit_2d(call, "transpose_conv2d", names, attrs, flat)


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
    x = call.value(0)
    if len(x.shape) < 3:
        raise GraphError(f"pooling of a tensor {x.shape}")
    axes = len(x.shape) - 2
    kernel = spatial(call, "kernel_shape", (0,) * axes)
    stride, dilation = (
        spatial(call, "strides", (1,) * axes),
        spatial(call, "dilations", (1,) * axes),
    )
    pads = window_pads(call, x.shape[2:], kernel, stride, dilation)
    if call.integer("ceil_mode", 0):
        pads = [
            _ceil_pads(*a) for a in zip(x.shape[2:], kernel, stride, dilation, pads, strict=True)
        ]
    name, flat = as_2d(call, x)
    pad_pairs = [(0, 0), *pads] if flat else pads
    attrs = {
        "kernel": per_axis(kernel, flat),
        "stride": per_axis(stride, flat),
        "dilation": per_axis(dilation, flat),
        "pads": (*pad_pairs[0], *pad_pairs[1]),
        "activation": "none",
    }
    kind = "max_pool2d" if call.node.op_type == "MaxPool" else "avg_pool2d"
    results = emit_2d(call, kind, [name], attrs, flat)
    if len(call.node.outputs) > 1 and call.node.outputs[1]:
        # where each maximum was: found by the same pass, written beside it
        place = call.net.fresh(call.node.outputs[1])
        attrs_out = {"output_shapes": (call.net.builder.shape(results[0].tensor),)}
        call.net.builder.add_op("scatter", [results[0].tensor], attrs_out, place, [place], "int64")
        results.append(replace(results[0], name=place, tensor=place, dtype="int64"))
    return results


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
    x = call.value(0)
    if len(x.shape) < 3:
        raise GraphError(f"pooling of a tensor {x.shape}")
    kind = "reduce_max" if call.node.op_type == "GlobalMaxPool" else "reduce_mean"
    attrs = {"axes": tuple(range(1, len(x.shape) - 1)), "keep_dims": True}
    return call.emit(kind, [call.net.image(x)], attrs, last=True)
