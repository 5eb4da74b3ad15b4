"""Convolutions, inner products, pools and normalisations as ncnn layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from perfmodel.formats.ncnn.reductions import REDUCTIONS
from perfmodel.formats.ncnn.write_elementwise import FOLDED, activation_params, bind_activated
from perfmodel.formats.ncnn.write_file import (
    IMAGE,
    INT8_TAG,
    Axes,
    NcnnWriter,
    Params,
    drawn,
    floats,
    tagged,
    turned_rows,
    writes,
)
from perfmodel.formats.tflite import random_weights as weights
from perfmodel.formats.tflite.file import Data
from perfmodel.graph.ir import Op

REQUANTISED = 100
"""Added to int8_scale_term where a layer hands integers on to the next one."""


def _filters(w: NcnnWriter, op: Op) -> tuple[int, ...]:
    if len(op.inputs) < 2 or not w.graph.tensors[op.inputs[1]].constant:
        raise w.refuse(op, "weights are not constant")
    return w.shape(op.inputs[1])


def _bias(w: NcnnWriter, op: Op, channels: int) -> Data:
    """Every layer has biases: where the network has none, its normalisation was folded in."""
    name = op.inputs[2] if len(op.inputs) > 2 and op.inputs[2] else f"{op.name}/no_bias"
    return floats(drawn((channels,), 0.05, 0.0, w.stream(name)))


def _weights(
    w: NcnnWriter, op: Op, shape: Sequence[int], fan_in: int, groups: int = 1, integers: bool = True
) -> tuple[list[Data], bool]:
    """Weights and biases of a layer, with their scales if they are integers, and whether they are.

    `shape` is (cout, ..., cin) as the values are drawn for a .tflite file; ncnn has the input
    channels before the window.
    """
    deviation = weights.deviation(op, w.readers(op), fan_in)
    stream, depthwise = w.stream(op.inputs[1]), groups > 1 and groups == shape[0] and shape[-1] == 1
    int8 = w.int8 and integers
    dtype = "int8" if int8 else "float32"
    plain = (
        weights.quantised_normal(shape, stream)
        if int8
        else weights.normal(shape, deviation, 0.0, stream)
    )
    if depthwise:  # drawn as (1, kh, kw, cout)
        values = np.frombuffer(b"".join(plain.chunks()), dtype).reshape(-1, shape[0])
        data = Data.of(np.ascontiguousarray(values.T))
    elif len(shape) == 2:
        data = plain
    else:
        data = turned_rows(plain, shape, lambda rows: np.moveaxis(rows, -1, 1), dtype)
    made = [tagged(data, INT8_TAG) if int8 else tagged(data), _bias(w, op, shape[0])]
    if int8:
        scale = 127 / (deviation * weights.CLIP_SIGMAS)
        made.append(floats(np.full(groups if groups > 1 else shape[0], scale)))
        made.append(floats(np.array([w.scale(op.inputs[0])])))
    return made, int8


@writes("conv2d")
def _convolution(w: NcnnWriter, op: Op) -> None:
    cout, kh, kw, cin_group = shape = _filters(w, op)
    groups, pads = op.attrs["groups"], op.attrs["pads"]
    blob = w.blob(op.inputs[0])
    if blob.axes == IMAGE[:1] and (kh, kw, groups) == (1, 1, 1) and not any(pads):
        return _dense(w, op, blob.name, (cout, cin_group), IMAGE[:1])
    params: Params = {0: cout, **_window(op, (kh, kw)), 5: 1, 6: math.prod(shape)}
    if groups > 1:
        params[7] = groups
    data, int8 = _weights(w, op, shape, kh * kw * cin_group, groups)
    if int8:
        scaled = 1 if groups > 1 else 2
        params[8] = scaled
        if _hands_on_integers(w, op):
            params[8] = REQUANTISED + scaled
            data.append(floats(np.array([w.scale(op.outputs[0])])))
    kind = "ConvolutionDepthWise" if groups > 1 else "Convolution"
    inputs = [w.read(op, op.inputs[0], IMAGE)]
    (made,) = w.layer(op, kind, inputs, params | activation_params(op), data)
    bind_activated(w, op, made, IMAGE, folded=True)


def _window(op: Op, kernel: Sequence[int]) -> Params:
    top, bottom, left, right = op.attrs["pads"]
    (sh, sw), (dh, dw) = op.attrs["stride"], op.attrs.get("dilation", (1, 1))
    params: Params = {1: kernel[1], 11: kernel[0], 2: dw, 12: dh, 3: sw, 13: sh}
    return params | {4: left, 14: top, 15: right, 16: bottom}


def _hands_on_integers(w: NcnnWriter, op: Op) -> bool:
    """Whether nothing but convolutions read the result: ncnn2int8 then leaves it in integers."""
    readers = w.readers(op)
    return (
        bool(readers)
        and op.outputs[0] not in w.graph.outputs
        and op.attrs.get("activation", "none") in ("none", *FOLDED)
        and all(r.kind == "conv2d" and r.inputs[0] == op.outputs[0] for r in readers)
    )


@writes("transpose_conv2d")
def _deconvolution(w: NcnnWriter, op: Op) -> None:
    cout, kh, kw, cin = shape = _filters(w, op)
    groups, (sh, sw) = op.attrs["groups"], op.attrs["stride"]
    extra = op.attrs.get("output_padding", (0, 0))
    params: Params = {0: cout, **_window(op, (kh, kw)), 5: 1, 6: math.prod(shape)}
    if groups > 1:
        params[7] = groups
    if any(extra):
        params |= {18: extra[1], 19: extra[0]}
    data, _ = _weights(w, op, shape, max(1, kh * kw * cin // (sh * sw)), integers=False)
    kind = "DeconvolutionDepthWise" if groups > 1 else "Deconvolution"
    inputs = [w.read(op, op.inputs[0], IMAGE)]
    (made,) = w.layer(op, kind, inputs, params | activation_params(op), data)
    bind_activated(w, op, made, IMAGE, folded=True)


def _dense(
    w: NcnnWriter,
    op: Op,
    blob: str,
    shape: tuple[int, int],
    axes: Axes,
    flat_of: Sequence[int] = (),
) -> None:
    """An inner product; `flat_of` are the channels, height and width that it reads as one axis."""
    out, inner = shape
    window = (*flat_of[1:], flat_of[0]) if flat_of else (inner,)
    data, int8 = _weights(w, op, (out, *window), inner)
    params: Params = {0: out, 1: 1, 2: out * inner, **activation_params(op)}
    if int8:
        params[8] = 2
    (made,) = w.layer(op, "InnerProduct", [blob], params, data)
    bind_activated(w, op, made, axes, folded=True)


@writes("fully_connected")
def _fully_connected(w: NcnnWriter, op: Op) -> None:
    out, inner = _filters(w, op)
    name = op.inputs[0]
    x, shape = w.blob(name), w.shape(name)
    made = op.outputs[0]
    if op.attrs.get("keep_dims") and len(shape) > 2:
        if len(shape) != 3:
            raise w.refuse(op, f"rows of a tensor {shape}")
        return _dense(w, op, w.read(op, name, (1, 2)), (out, inner), (1, 2))
    if math.prod(shape) != inner:
        raise w.refuse(op, f"rows of a tensor {shape}")
    if x.axes == IMAGE:
        flat_of = tuple(shape[a] for a in IMAGE)
        return _dense(w, op, x.name, (out, inner), w.straight(made), flat_of)
    blob = x.name
    if len(x.axes) > 1:  # ncnn would take the last axis for the inputs, where it is as long
        (blob,) = w.layer(op, "Flatten", [w.read(op, name, w.straight(name))], part="flatten")
    return _dense(w, op, blob, (out, inner), w.straight(made), x.flat_of)


@writes("max_pool2d avg_pool2d")
def _pool(w: NcnnWriter, op: Op) -> None:
    if tuple(op.attrs.get("dilation", (1, 1))) != (1, 1) or op.attrs.get("with_places"):
        raise w.refuse(op, "dilated pools or places of maxima")
    (kh, kw), (sh, sw) = op.attrs["kernel"], op.attrs["stride"]
    top, bottom, left, right = op.attrs["pads"]
    params: Params = {0: int(op.kind == "avg_pool2d"), 1: kw, 11: kh, 2: sw, 12: sh}
    params |= {3: left, 13: top, 14: right, 15: bottom, 5: 1}
    if op.kind == "avg_pool2d" and op.attrs.get("count_include_pad"):
        params[6] = 1
    (blob,) = w.layer(op, "Pooling", [w.read(op, op.inputs[0], IMAGE)], params)
    bind_activated(w, op, blob, IMAGE)


@writes("reduce_mean reduce_max reduce_sum reduce_min reduce_prod")
def _reduce(w: NcnnWriter, op: Op) -> None:
    name, kind = op.inputs[0], op.kind.removeprefix("reduce_")
    shape, over, keep = w.shape(name), set(op.attrs["axes"]), bool(op.attrs["keep_dims"])
    x = w.blob(name)
    if kind in ("mean", "max") and x.axes == IMAGE and over == {1, 2}:
        (blob,) = w.layer(op, "Pooling", [x.name], {0: int(kind == "mean"), 4: 1})
        return w.bind(op.outputs[0], blob, IMAGE[:1] if keep else (1,))
    if 0 in over:
        raise w.refuse(op, "over the batch")
    axes = x.axes if len(x.axes) == len(shape) - 1 else w.usual(name)
    places = tuple(i for i, axis in enumerate(axes) if axis in over)
    params: Params = {0: REDUCTIONS.index(kind), 1: 0, 3: places, 4: int(keep), 5: 1}
    (blob,) = w.layer(op, "Reduction", [w.read(op, name, axes)], params)
    if not keep:
        left = [a for a in range(len(shape)) if a not in over]
        axes = tuple(left.index(a) for a in axes if a not in over)
    return w.bind(op.outputs[0], blob, axes)


@writes("softmax")
def _softmax(w: NcnnWriter, op: Op) -> None:
    x, rank = w.blob(op.inputs[0]), len(w.shape(op.inputs[0]))
    axis = op.attrs.get("axis", -1) % rank
    if axis not in x.axes:
        raise w.refuse(op, "over an axis of one element")
    (blob,) = w.layer(op, "Softmax", [x.name], {0: x.axes.index(axis), 1: 1})
    w.bind(op.outputs[0], blob, x.axes)


def _affine(w: NcnnWriter, op: Op, channels: int) -> list[Data]:
    """Factors around 1 and offsets around 0, as far as the op has them, both or none in ncnn."""
    names = [n for n in op.inputs[1:] if n]
    stated = [*names, *(f"{op.name}/no_factor" for _ in range(2 - len(names)))]
    return [
        floats(drawn((channels,), 0.1, 1.0 if i == 0 else 0.0, w.stream(name)))
        for i, name in enumerate(stated[:2])
    ]


@writes("layer_norm instance_norm group_norm")
def _norm(w: NcnnWriter, op: Op) -> None:
    name = op.inputs[0]
    shape = w.shape(name)
    epsilon = float(op.attrs.get("epsilon", 1e-5))
    data = _affine(w, op, shape[-1])
    if op.kind == "layer_norm":
        if {a % len(shape) for a in op.attrs.get("axes", (-1,))} != {len(shape) - 1}:
            raise w.refuse(op, f"over axes {op.attrs.get('axes')} of {shape}")
        axes = w.straight(name)
        params: Params = {0: shape[-1], 1: epsilon, 2: 1}
    else:
        axes = w.usual(name)
        params = {0: shape[-1], 1: epsilon, 2: 1}
        if op.kind == "group_norm":
            params = {0: op.attrs["groups"], 1: shape[-1], 2: epsilon, 3: 1}
    layer = {"layer_norm": "LayerNorm", "instance_norm": "InstanceNorm"}.get(op.kind, "GroupNorm")
    (blob,) = w.layer(op, layer, [w.read(op, name, axes)], params, data)
    bind_activated(w, op, blob, axes)


@writes("batch_norm scale")
def _batch_norm(w: NcnnWriter, op: Op) -> None:
    """A factor and an offset of each channel, as converters leave of a normalisation."""
    name = op.inputs[0]
    axes, channels = w.usual(name), w.shape(name)[-1]
    if len(axes) == 2:
        raise w.refuse(op, "ncnn has factors for rows there, not for channels")
    (blob,) = w.layer(
        op, "Scale", [w.read(op, name, axes)], {0: channels, 1: 1}, _affine(w, op, channels)
    )
    bind_activated(w, op, blob, axes)


@writes("lrn")
def _lrn(w: NcnnWriter, op: Op) -> None:
    """ncnn's alpha multiplies the mean of squares, as ours does."""
    params: Params = {0: 0, 1: int(op.attrs.get("size", 5))}
    params |= {
        2: float(op.attrs.get("alpha", 1e-4)),
        3: float(op.attrs.get("beta", 0.75)),
        4: float(op.attrs.get("bias", 1.0)),
    }
    (blob,) = w.layer(op, "LRN", [w.read(op, op.inputs[0], IMAGE)], params)
    w.bind(op.outputs[0], blob, IMAGE)
