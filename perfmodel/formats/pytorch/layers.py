"""ATen's convolutions, pooling, resizing and normalisations.

Semantics: the operators of torch.nn.functional (https://docs.pytorch.org/docs/stable/nn.functional.html)
and aten/src/ATen/native/native_functions.yaml in github pytorch/pytorch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.net import Value
from perfmodel.formats.pytorch.call import AtenCall, converts
from perfmodel.graph.ops import Shape


def custom(call: AtenCall, *values: Value) -> list[Value]:
    """An operator whose cost is not modelled, under its name and with the shapes torch says."""
    inputs = [call.net.plain(v) for v in values or tensors_in(call.args)]
    attrs = {"custom_name": call.op, "output_shapes": tuple(m.shape for m in call.made)}
    made = call.call(outputs=len(call.made)).emit(
        "custom", inputs, attrs, outputs=len(call.made), dtype=call.dtype
    )
    return made


def tensors_in(args: dict[str, Any]) -> list[Value]:
    """All tensors among the arguments, in order."""
    found = []
    for value in args.values():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(item, Value):
                found.append(item)
    return found


@converts("conv1d conv2d conv3d convolution conv_transpose1d conv_transpose2d conv_transpose3d")
def _convolution(call: AtenCall) -> list[Value]:
    x, w, bias = call.value("input"), call.value("weight"), call.optional("bias")
    axes = len(w.shape) - 2
    unbatched = len(x.shape) == axes + 1
    if unbatched:
        x = call.onnx("Unsqueeze", x, suffix="batch", axes=(0,))[0]
    transposed = "transpose" in call.op or bool(call.args.get("transposed"))
    attrs: dict[str, Any] = {
        "strides": call.integers("stride", axes),
        "dilations": call.integers("dilation", axes),
        "group": call.args.get("groups", 1),
        "pads": _pads(call, w.shape[2:]),
    }
    if transposed:
        attrs["output_padding"] = call.integers("output_padding", axes)
    made = call.onnx("ConvTranspose" if transposed else "Conv", x, w, bias, **attrs)
    return call.onnx("Squeeze", made[0], suffix="one", axes=(0,)) if unbatched else made


def _pads(call: AtenCall, window: Shape) -> tuple[int, ...]:
    """Padding as ONNX lists it: before each axis, then after each."""
    padding = call.args.get("padding", 0)
    if padding == "valid":
        return (0,) * 2 * len(window)
    if padding == "same":
        dilation = call.integers("dilation", len(window))
        total = [d * (k - 1) for d, k in zip(dilation, window, strict=True)]
        return (*[t // 2 for t in total], *[t - t // 2 for t in total])
    return call.integers("padding", len(window)) * 2


@converts("max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d")
def _pool(call: AtenCall) -> list[Value]:
    x, axes = _input(call), int(call.op[-2])
    kernel = call.integers("kernel_size", axes)
    stride = call.integers("stride", axes) if call.args.get("stride") else kernel
    attrs: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": stride,
        "pads": call.integers("padding", axes) * 2,
        "ceil_mode": int(bool(call.args.get("ceil_mode"))),
    }
    if call.op.startswith("max"):
        attrs["dilations"] = call.integers("dilation", axes)
    op_type = "MaxPool" if call.op.startswith("max") else "AveragePool"
    return call.onnx(op_type, x, **attrs)


@converts("max_pool2d_with_indices")
def _pool_with_places(call: AtenCall) -> list[Value]:
    x, kernel = _input(call), call.integers("kernel_size", 2)
    return call.onnx(
        "MaxPool",
        x,
        outputs=2,
        kernel_shape=kernel,
        strides=call.integers("stride", 2) if call.args.get("stride") else kernel,
        pads=call.integers("padding", 2) * 2,
        dilations=call.integers("dilation", 2),
        ceil_mode=int(bool(call.args.get("ceil_mode"))),
    )


@converts(
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d "
    "adaptive_max_pool2d _adaptive_avg_pool2d"
)
def _adaptive_pool(call: AtenCall) -> list[Value]:
    """A mean over all, or windows that divide the axis as evenly as it goes."""
    x, out = _input(call), call.shape
    axes = int(call.op[-2])
    sizes = list(zip(x.shape[-axes:], out[-axes:], strict=True))
    average = "avg" in call.op
    if all(after == 1 for _, after in sizes):
        places = tuple(range(len(x.shape) - axes, len(x.shape)))
        return call.onnx("ReduceMean" if average else "ReduceMax", x, axes=places, keepdims=1)
    if any(before < after for before, after in sizes):
        return call.onnx("Resize", x, None, None, call.numbers(out), mode=b"nearest")
    strides = tuple(before // after for before, after in sizes)
    kernel = tuple(
        before - (after - 1) * stride
        for (before, after), stride in zip(sizes, strides, strict=True)
    )
    made = call.onnx(
        "AveragePool" if average else "MaxPool", x, kernel_shape=kernel, strides=strides
    )
    if axes == 2:
        # the result is fixed whatever the image's size: `graph.rescale` asks for it
        ops = call.net.builder.ops
        ops[-1] = replace(ops[-1], attrs={**ops[-1].attrs, "adaptive": tuple(out[-axes:])})
    return made


def _input(call: AtenCall) -> Value:
    return call.value("self" if "self" in call.args else "input")


@converts(
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d "
    "upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa "
    "_upsample_bicubic2d_aa _upsample_nearest_exact2d"
)
def _upsample(call: AtenCall) -> list[Value]:
    mode = "linear" if "linear" in call.op else "cubic" if "cubic" in call.op else "nearest"
    return call.onnx(
        "Resize", _input(call), None, None, call.numbers(call.shape), mode=mode.encode()
    )


@converts("pixel_shuffle pixel_unshuffle")
def _pixel_shuffle(call: AtenCall) -> list[Value]:
    up = call.op == "pixel_shuffle"
    factor = call.args["upscale_factor" if up else "downscale_factor"]
    x, shape = call.value("self"), call.shape
    lead = 1
    for size in x.shape[:-3]:
        lead *= size
    if len(x.shape) != 4:
        x = call.onnx("Reshape", x, suffix="image", shape=(lead, *x.shape[-3:]))[0]
    made = call.onnx("DepthToSpace" if up else "SpaceToDepth", x, blocksize=factor)
    return made if len(shape) == 4 else call.onnx("Reshape", made[0], suffix="s", shape=shape)


@converts("channel_shuffle native_channel_shuffle")
def _channel_shuffle(call: AtenCall) -> list[Value]:
    x = call.value("self")
    return call.call().emit(
        "channel_shuffle", [call.net.image(x)], {"groups": call.args["groups"]}, last=True
    )


@converts(
    "batch_norm _native_batch_norm_legit_no_training native_batch_norm instance_norm "
    "cudnn_batch_norm _batch_norm_impl_index"
)
def _channel_norm(call: AtenCall) -> list[Value]:
    """A factor and an offset for each channel; an instance norm finds its statistics first."""
    kind = "instance_norm" if call.op == "instance_norm" else "batch_norm"
    learned = [v for v in (call.optional("weight"), call.optional("bias")) if v is not None]
    made = _norm(call, kind, call.value("input"), learned, images=True)
    return call.and_unused(made)


@converts("group_norm native_group_norm")
def _group_norm(call: AtenCall) -> list[Value]:
    groups = call.args.get("num_groups", call.args.get("group", 1))
    learned = [v for v in (call.optional("weight"), call.optional("bias")) if v is not None]
    made = _norm(call, "group_norm", call.value("input"), learned, images=True, groups=groups)
    return call.and_unused(made)


@converts("layer_norm native_layer_norm rms_norm _fused_rms_norm")
def _layer_norm(call: AtenCall) -> list[Value]:
    learned = [v for v in (call.optional("weight"), call.optional("bias")) if v is not None]
    made = _norm(call, "layer_norm", call.value("input"), learned, images=False)
    return call.and_unused(made)


def _norm(
    call: AtenCall, kind: str, x: Value, learned: list[Value], *, images: bool, **attrs: Any
) -> list[Value]:
    last = x.last or (images and len(x.shape) >= 3)
    name = call.net.image(x) if last else call.net.plain(x)
    names = [name, *[call.net.plain(v) for v in learned]]
    return call.call().emit(kind, names, attrs, last=last)


@converts(
    "constant_pad_nd pad reflection_pad1d reflection_pad2d replication_pad1d "
    "replication_pad2d replication_pad3d"
)
def _pad(call: AtenCall) -> list[Value]:
    x = _input(call)
    listed = call.integers("pad" if "pad" in call.args else "padding")
    if len(listed) % 2 or len(listed) > 2 * len(x.shape):
        raise GraphError(f"padding {listed} of a tensor {x.shape}")
    before, after = [0] * len(x.shape), [0] * len(x.shape)
    for i, (left, right) in enumerate(zip(listed[::2], listed[1::2], strict=True)):
        before[-1 - i], after[-1 - i] = left, right
    words = {
        "reflection": "reflect",
        "replication": "edge",
        "replicate": "edge",
        "circular": "wrap",
    }
    mode = str(call.args.get("mode", call.op.partition("_")[0]))
    return call.onnx("Pad", x, pads=(*before, *after), mode=words.get(mode, "constant").encode())


@converts("grid_sampler grid_sampler_2d")
def _grid_sample(call: AtenCall) -> list[Value]:
    return call.onnx("GridSample", call.value("input"), call.value("grid"))
