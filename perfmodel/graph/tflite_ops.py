"""From TFLite's builtin operators to ours: kind, inputs and attributes of each.

`convert(view)` looks the builtin's name up in `CONVERTERS`. An operator without an entry, or one
whose attributes are only known at run time, becomes kind "custom" under its own name, so that it
is listed as not covered instead of guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from perfmodel.graph.flat import Table
from perfmodel.graph.ir import Tensor
from perfmodel.graph.ops import same_pads
from perfmodel.graph.tflite_format import FUSED_ACTIVATIONS

Slots = tuple[Tensor | None, ...]


@dataclass(frozen=True)
class OpView:
    """One operator of the file: builtin or custom name, tensors (None if omitted), options.

    `constant_ints(i)` gives the numbers of constant input i, None if it is computed.
    """

    name: str
    custom: bool
    inputs: Slots
    outputs: tuple[Tensor, ...]
    options: Table | None
    constant_ints: Callable[[int], tuple[int, ...] | None]

    def input(self, index: int) -> Tensor:
        """Input `index`, which must be present."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise ValueError(f"input {index} is missing")
        return tensor

    def option(self, slot: int, default: int = 0) -> int:
        """A 32-bit option."""
        return self.options.i32(slot, default) if self.options else default

    def flag(self, slot: int, default: int = 0) -> int:
        """A byte option: flags and enumerations."""
        return self.options.i8(slot, default) if self.options else default

    def real(self, slot: int, default: float = 0.0) -> float:
        """A float option."""
        return self.options.real(slot, default) if self.options else default

    def known_ints(self, index: int) -> tuple[int, ...]:
        """The numbers of constant input `index`; raises `Unmapped` if it is computed."""
        values = self.constant_ints(index)
        if values is None:
            raise Unmapped
        return values


class Unmapped(Exception):
    """This use of the operator has no counterpart among our kinds."""


@dataclass(frozen=True)
class Converted:
    """The operator in our terms."""

    kind: str
    inputs: Slots
    attrs: dict[str, Any]


Converter = Callable[[OpView], Converted]
CONVERTERS: dict[str, Converter] = {}


def convert(view: OpView) -> Converted:
    """Our operator for one of the file's."""
    name = "CUSTOM" if view.custom else view.name
    converter = CONVERTERS.get(name)
    if converter is not None:
        try:
            return converter(view)
        except Unmapped:
            pass
    shapes = tuple(t.shape for t in view.outputs)
    return Converted("custom", view.inputs, {"custom_name": view.name, "output_shapes": shapes})


def _converts(*names: str) -> Callable[[Converter], Converter]:
    def add(converter: Converter) -> Converter:
        CONVERTERS.update(dict.fromkeys(names, converter))
        return converter

    return add


def _activation(code: int) -> str:
    if not 0 <= code < len(FUSED_ACTIVATIONS):
        raise ValueError(f"fused activation {code}")
    return FUSED_ACTIVATIONS[code]


def _window_pads(
    view: OpView,
    size: Sequence[int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> tuple[int, int, int, int]:
    """Pads of the padding scheme in option 0; raises where the window makes no sense."""
    if min(*kernel, *stride, *dilation) < 1:
        raise ValueError(f"window {kernel}, stride {stride}, dilation {dilation}")
    scheme = view.flag(0)
    if scheme not in (0, 1):
        raise ValueError(f"padding scheme {scheme}")
    if scheme == 1:
        return (0, 0, 0, 0)
    rows, columns = (
        same_pads(size[axis], kernel[axis], stride[axis], dilation[axis]) for axis in (0, 1)
    )
    return (*rows, *columns)


@_converts("CONV_2D")
def _conv(view: OpView) -> Converted:
    x, weights = view.input(0), view.input(1)
    _, height, width, channels = x.shape
    _, kh, kw, channels_in_group = weights.shape
    stride, dilation = (view.option(2), view.option(1)), (view.option(5, 1), view.option(4, 1))
    if channels_in_group < 1 or channels % channels_in_group:
        raise ValueError(f"{channels} channels in, weights {weights.shape}")
    return Converted(
        "conv2d",
        view.inputs,
        {
            "stride": stride,
            "dilation": dilation,
            "pads": _window_pads(view, (height, width), (kh, kw), stride, dilation),
            "groups": channels // channels_in_group,
            "activation": _activation(view.flag(3)),
        },
    )


@_converts("DEPTHWISE_CONV_2D")
def _depthwise(view: OpView) -> Converted:
    x, weights = view.input(0), view.input(1)
    _, height, width, channels = x.shape
    one, kh, kw, cout = weights.shape
    if one != 1 or channels < 1 or cout % channels:
        raise ValueError(f"{channels} channels in, depthwise weights {weights.shape}")
    stride, dilation = (view.option(2), view.option(1)), (view.option(6, 1), view.option(5, 1))
    return Converted(
        "conv2d",
        (x, replace(weights, shape=(cout, kh, kw, 1)), *view.inputs[2:]),
        {
            "stride": stride,
            "dilation": dilation,
            "pads": _window_pads(view, (height, width), (kh, kw), stride, dilation),
            "groups": channels,
            "activation": _activation(view.flag(4)),
        },
    )


@_converts("TRANSPOSE_CONV")
def _transpose_conv(view: OpView) -> Converted:
    weights, x = view.input(1), view.input(2)
    stride = (view.option(2), view.option(1))
    if min(stride) < 1:
        raise ValueError(f"stride {stride}")
    full = [(x.shape[axis] - 1) * stride[axis - 1] + weights.shape[axis] for axis in (1, 2)]
    sizes = view.outputs[0].shape[1:3]
    cut = [max(0, f - size) for f, size in zip(full, sizes, strict=True)]
    return Converted(
        "transpose_conv2d",
        (x, weights, *view.inputs[3:]),
        {
            "stride": stride,
            "pads": (cut[0] // 2, cut[0] - cut[0] // 2, cut[1] // 2, cut[1] - cut[1] // 2),
            "groups": 1,
            "activation": _activation(view.flag(3)),
            "output_padding": tuple(max(0, size - f) for f, size in zip(full, sizes, strict=True)),
        },
    )


@_converts("MAX_POOL_2D", "AVERAGE_POOL_2D")
def _pool(view: OpView) -> Converted:
    _, height, width, _ = view.input(0).shape
    stride, kernel = (view.option(2), view.option(1)), (view.option(4), view.option(3))
    attrs = {
        "kernel": kernel,
        "stride": stride,
        "pads": _window_pads(view, (height, width), kernel, stride),
        "activation": _activation(view.flag(5)),
    }
    kind = "max_pool2d" if view.name == "MAX_POOL_2D" else "avg_pool2d"
    return Converted(kind, view.inputs[:1], attrs)


@_converts("FULLY_CONNECTED")
def _fully_connected(view: OpView) -> Converted:
    if len(view.input(1).shape) != 2:
        raise ValueError(f"weights {view.input(1).shape}")
    attrs = {"activation": _activation(view.flag(0)), "keep_dims": bool(view.flag(2))}
    return Converted("fully_connected", view.inputs, attrs)


@_converts("BATCH_MATMUL")
def _matmul(view: OpView) -> Converted:
    attrs = {"transpose_a": bool(view.flag(0)), "transpose_b": bool(view.flag(1))}
    return Converted("matmul", view.inputs, attrs)


@_converts("CONCATENATION")
def _concat(view: OpView) -> Converted:
    rank = len(view.input(0).shape)
    attrs = {"axis": view.option(0) % rank, "activation": _activation(view.flag(1))}
    return Converted("concat", view.inputs, attrs)


def _fused_binary(kind: str) -> Converter:
    def converter(view: OpView) -> Converted:
        return Converted(kind, view.inputs, {"activation": _activation(view.flag(0))})

    return converter


def _same_inputs(kind: str, **attrs: Any) -> Converter:
    def converter(view: OpView) -> Converted:
        return Converted(kind, view.inputs, dict(attrs))

    return converter


def _first_input(kind: str, **attrs: Any) -> Converter:
    def converter(view: OpView) -> Converted:
        return Converted(kind, view.inputs[:1], dict(attrs))

    return converter


for _name in ("ADD", "SUB", "MUL", "DIV"):
    CONVERTERS[_name] = _fused_binary(_name.lower())
_BINARY = """
MAXIMUM MINIMUM POW SQUARED_DIFFERENCE FLOOR_DIV FLOOR_MOD EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER
GREATER_EQUAL LOGICAL_AND LOGICAL_OR ATAN2
"""
for _name in _BINARY.split():
    CONVERTERS[_name] = _same_inputs(_name.lower(), activation="none")
CONVERTERS["ADD_N"] = _same_inputs("add", activation="none")
CONVERTERS["SELECT"] = CONVERTERS["SELECT_V2"] = _same_inputs("select")
_UNARY = """
RELU RELU6 RELU_N1_TO_1 PRELU ELU TANH HARD_SWISH EXP LOG SQRT RSQRT NEG ABS SIGN SIN COS SQUARE
FLOOR CEIL ROUND CAST QUANTIZE DEQUANTIZE LOGICAL_NOT ZEROS_LIKE
"""
for _name in _UNARY.split():
    CONVERTERS[_name] = _same_inputs(_name.lower())
CONVERTERS["LOGISTIC"] = _same_inputs("sigmoid")
CONVERTERS["RELU_0_TO_1"] = _same_inputs("clip", min=0.0, max=1.0)
CONVERTERS["L2_NORMALIZATION"] = _same_inputs("l2_norm")
CONVERTERS["FAKE_QUANT"] = _same_inputs("fake_quant")
CONVERTERS["LOG_SOFTMAX"] = _same_inputs("log_softmax", axis=-1)
CONVERTERS["CUMSUM"] = _first_input("cumsum")
CONVERTERS["REVERSE_SEQUENCE"] = _first_input("reverse")
CONVERTERS["SHAPE"] = _same_inputs("shape")
CONVERTERS["GATHER_ND"] = _same_inputs("gather_nd")


@_converts("REVERSE_V2")
def _reverse(view: OpView) -> Converted:
    rank = max(1, len(view.input(0).shape))
    axes = view.constant_ints(1)
    attrs = {} if axes is None else {"axes": tuple(a % rank for a in axes)}
    return Converted("reverse", view.inputs[:1], attrs)


@_converts("SOFTMAX")
def _softmax(view: OpView) -> Converted:
    return Converted("softmax", view.inputs, {"axis": -1, "beta": view.real(0)})


@_converts("GELU")
def _gelu(view: OpView) -> Converted:
    return Converted("gelu", view.inputs, {"approximate": bool(view.flag(0))})


@_converts("LEAKY_RELU")
def _leaky_relu(view: OpView) -> Converted:
    return Converted("leaky_relu", view.inputs, {"alpha": view.real(0)})


@_converts("LOCAL_RESPONSE_NORMALIZATION")
def _lrn(view: OpView) -> Converted:
    """TFLite's alpha multiplies the sum of squares, ours (as Caffe's and ONNX's) their mean."""
    size = 2 * view.option(0) + 1
    attrs = {
        "size": size,
        "alpha": view.real(2) * size,
        "beta": view.real(3),
        "bias": view.real(1),
    }
    return Converted("lrn", view.inputs, attrs)


@_converts("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL")
def _reduce(view: OpView) -> Converted:
    rank = len(view.input(0).shape)
    axes = sorted({axis % rank for axis in view.known_ints(1)}) if rank else []
    kind = {"MEAN": "reduce_mean", "SUM": "reduce_sum"}.get(view.name, view.name.lower())
    attrs = {"axes": tuple(axes), "keep_dims": bool(view.flag(0))}
    return Converted(kind, view.inputs[:1], attrs)


@_converts("ARG_MAX", "ARG_MIN")
def _arg(view: OpView) -> Converted:
    (axis,) = view.known_ints(1)
    attrs = {"axis": axis % len(view.input(0).shape), "keep_dims": False}
    return Converted(view.name.lower(), view.inputs[:1], attrs)


@_converts("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(view: OpView) -> Converted:
    target: tuple[int, ...] = view.outputs[0].shape
    inputs = view.inputs[:1]
    if view.name == "RESHAPE" and len(view.inputs) > 1:
        written = view.constant_ints(1)
        if written is None:
            inputs = view.inputs[:2]
        elif len(view.input(1).shape) == 1:
            target = written
    return Converted("reshape", inputs, {"shape": target})


@_converts("TRANSPOSE")
def _transpose(view: OpView) -> Converted:
    return Converted("transpose", view.inputs[:1], {"perm": view.known_ints(1)})


@_converts("PAD", "PADV2")
def _pad(view: OpView) -> Converted:
    flat = view.known_ints(1)
    pairs = tuple(zip(flat[::2], flat[1::2], strict=True))
    return Converted("pad", view.inputs[:1], {"paddings": pairs})


@_converts("MIRROR_PAD")
def _mirror_pad(view: OpView) -> Converted:
    flat = view.known_ints(1)
    attrs = {
        "paddings": tuple(zip(flat[::2], flat[1::2], strict=True)),
        "mode": "symmetric" if view.flag(0) else "reflect",
        "output_shapes": (view.outputs[0].shape,),
    }
    return Converted("mirror_pad", view.inputs[:1], attrs)


@_converts("SPLIT", "SPLIT_V")
def _split(view: OpView) -> Converted:
    data, axis_input = (1, 0) if view.name == "SPLIT" else (0, 2)
    (axis,) = view.known_ints(axis_input)
    axis %= len(view.input(data).shape)
    sizes = tuple(t.shape[axis] for t in view.outputs)
    return Converted("split", (view.input(data),), {"axis": axis, "sizes": sizes})


@_converts("SLICE")
def _slice(view: OpView) -> Converted:
    attrs: dict[str, Any] = {"size": view.outputs[0].shape}
    begin = view.constant_ints(1)
    if begin is not None:
        attrs["begin"] = begin
    return Converted("slice", view.inputs[:1], attrs)


@_converts("STRIDED_SLICE")
def _strided_slice(view: OpView) -> Converted:
    attrs: dict[str, Any] = {"output_shape": view.outputs[0].shape}
    for index, key in enumerate(("begin", "end", "strides"), start=1):
        values = view.constant_ints(index)
        if values is not None:
            attrs[key] = values
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    attrs.update({mask: view.option(slot) for slot, mask in enumerate(masks)})
    return Converted("strided_slice", view.inputs[:1], attrs)


@_converts("GATHER")
def _gather(view: OpView) -> Converted:
    attrs = {"axis": view.option(0), "batch_dims": view.option(1)}
    return Converted("gather", view.inputs, attrs)


@_converts("EMBEDDING_LOOKUP")
def _embedding(view: OpView) -> Converted:
    return Converted("gather", (view.input(1), view.input(0)), {"axis": 0, "batch_dims": 0})


@_converts("TILE")
def _tile(view: OpView) -> Converted:
    return Converted("tile", view.inputs[:1], {"multiples": view.known_ints(1)})


@_converts("BROADCAST_TO", "FILL", "RANGE", "ONE_HOT")
def _made(view: OpView) -> Converted:
    # a fill's first input is the shape, which the attribute already tells
    inputs = view.inputs[1:2] if view.name == "FILL" else view.inputs[:1]
    return Converted(view.name.lower(), inputs, {"output_shape": view.outputs[0].shape})


@_converts("PACK", "UNPACK")
def _pack(view: OpView) -> Converted:
    return Converted(view.name.lower(), view.inputs, {"axis": view.option(1)})


@_converts("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def _resize(view: OpView) -> Converted:
    _, height, width, _ = view.outputs[0].shape
    size = view.constant_ints(1) or (height, width)
    attrs = {
        "size": tuple(size),
        "method": "bilinear" if view.name == "RESIZE_BILINEAR" else "nearest",
        "align_corners": bool(view.flag(0)),
        "half_pixel_centers": bool(view.flag(1)),
    }
    return Converted("resize", view.inputs[:1], attrs)


@_converts("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def _blocks(view: OpView) -> Converted:
    if view.option(0) < 1:
        raise ValueError(f"block size {view.option(0)}")
    return Converted(view.name.lower(), view.inputs, {"block": view.option(0)})


@_converts("UNIDIRECTIONAL_SEQUENCE_LSTM")
def _lstm(view: OpView) -> Converted:
    attrs = _recurrent_attrs(view.input(8), 1, bool(view.flag(3)))
    return Converted("lstm", _weights_only(view), attrs)


@_converts("BIDIRECTIONAL_SEQUENCE_LSTM")
def _bidirectional_lstm(view: OpView) -> Converted:
    attrs = _recurrent_attrs(view.input(8), 2, bool(view.flag(4)))
    attrs["merge_outputs"] = bool(view.flag(3))
    return Converted("lstm", _weights_only(view), attrs)


@_converts("UNIDIRECTIONAL_SEQUENCE_RNN")
def _rnn(view: OpView) -> Converted:
    return Converted(
        "rnn", _weights_only(view), _recurrent_attrs(view.input(2), 1, bool(view.flag(0)))
    )


@_converts("BIDIRECTIONAL_SEQUENCE_RNN")
def _bidirectional_rnn(view: OpView) -> Converted:
    attrs = _recurrent_attrs(view.input(2), 2, bool(view.flag(0)))
    attrs["merge_outputs"] = bool(view.flag(2))
    return Converted("rnn", _weights_only(view), attrs)


def _recurrent_attrs(recurrent: Tensor, directions: int, time_major: bool) -> dict[str, Any]:
    """`hidden` is the width fed back: the second size of the recurrent weights (cells, hidden)."""
    cells, hidden = recurrent.shape
    attrs = {
        "hidden": hidden,
        "directions": directions,
        "return_sequences": True,
        "time_major": time_major,
    }
    if cells != hidden:
        attrs["cells"] = cells
    return attrs


def _weights_only(view: OpView) -> Slots:
    """The sequence and the constants: TFLite keeps states and omitted gates as inputs too."""
    return (view.input(0), *(t for t in view.inputs[1:] if t is not None))


_LISTED = {
    "SVDF": "svdf",
    "TOPK_V2": "top_k",
    "NON_MAX_SUPPRESSION_V4": "non_max_suppression",
    "NON_MAX_SUPPRESSION_V5": "non_max_suppression",
    "SPACE_TO_BATCH_ND": "space_to_batch",
    "BATCH_TO_SPACE_ND": "batch_to_space",
    "SPARSE_TO_DENSE": "scatter",
    "SCATTER_ND": "scatter",
    "DYNAMIC_UPDATE_SLICE": "scatter",
    "RFFT2D": "spectral",
    "REAL": "spectral",
    "IMAG": "spectral",
    "COMPLEX_ABS": "spectral",
    "VAR_HANDLE": "variable",
    "READ_VARIABLE": "variable",
    "ASSIGN_VARIABLE": "variable",
}
_CUSTOM = {"TFLite_Detection_PostProcess": "detection_postprocess"}
"""Custom operators that TensorFlow itself defines (lite/kernels/detection_postprocess.cc)."""


@_converts(*_LISTED)
def _listed(view: OpView) -> Converted:
    attrs: dict[str, Any] = {"output_shapes": tuple(t.shape for t in view.outputs)}
    if view.name in ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"):
        attrs["block"] = view.known_ints(1)
        return Converted(_LISTED[view.name], view.inputs[:1], attrs)
    return Converted(_LISTED[view.name], view.inputs, attrs)


@_converts("IF", "WHILE", "CALL_ONCE")
def _control_flow(view: OpView) -> Converted:
    """`bodies` are the file's subgraph numbers: then/else, condition/body, or the initialiser."""
    count = 1 if view.name == "CALL_ONCE" else 2
    attrs = {
        "bodies": tuple(view.option(slot) for slot in range(count)),
        "output_shapes": tuple(t.shape for t in view.outputs),
        "custom_name": view.name,
    }
    return Converted("control_flow", view.inputs, attrs)


@_converts("CUSTOM")
def _custom(view: OpView) -> Converted:
    shapes = tuple(t.shape for t in view.outputs)
    kind = _CUSTOM.get(view.name, "custom")
    return Converted(kind, view.inputs, {"custom_name": view.name, "output_shapes": shapes})
