"""From TFLite's builtin operators to ours: kind, inputs and attributes of each.

`convert(view)` looks the builtin's name up in `CONVERTERS`, which `read_shapes` completes. An
operator without an entry, or one whose attributes are only known at run time, becomes kind
"custom" under its own name, so that it is listed as not covered instead of guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from perfmodel.formats.operator_table import registering
from perfmodel.formats.tflite.flatbuffer import Table
from perfmodel.formats.tflite.schema import FUSED_ACTIVATIONS
from perfmodel.graph.ir import Tensor
from perfmodel.graph.ops import same_pads

Slots = tuple[Tensor | None, ...]


@dataclass(frozen=True)
class OpView:
    """One operator of the file: builtin or custom name, tensors (None if omitted), options.

    `constant_ints(i)` gives the numbers of input i if it is a constant or follows from shapes,
    None if it is computed. `custom_options` are the bytes of a custom operator's own options.
    `is_open` says that the file's output shapes are not this run's: they follow from the inputs.
    """

    name: str
    custom: bool
    inputs: Slots
    outputs: tuple[Tensor, ...]
    options: Table | None
    constant_ints: Callable[[int], tuple[int, ...] | None]
    custom_options: bytes = b""
    is_open: bool = False

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


def strided_index(
    view: OpView, rank: int, begin: Sequence[int], end: Sequence[int], strides: Sequence[int]
) -> tuple[Any, ...]:
    """The index of a STRIDED_SLICE as Python writes it: slices, numbers, None and an ellipsis.

    Masks are bits by position; a shrunk axis takes the place `begin` alone.
    """
    names = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    masks = {name: view.option(slot) for slot, name in enumerate(names)}
    index: list[Any] = []
    for place, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << place
        if masks["ellipsis"] & bit:
            index.append(Ellipsis)
        elif masks["new_axis"] & bit:
            index.append(None)
        elif masks["shrink_axis"] & bit:
            index.append(first)
        else:
            index.append(
                slice(
                    None if masks["begin"] & bit else first,
                    None if masks["end"] & bit else last,
                    step,
                )
            )
    return tuple(index)


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


converts = registering(CONVERTERS)
"""Register a converter for builtin operators (space-separated)."""


def fused_activation(code: int) -> str:
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


@converts("CONV_2D")
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
            "activation": fused_activation(view.flag(3)),
        },
    )


@converts("DEPTHWISE_CONV_2D")
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
            "activation": fused_activation(view.flag(4)),
        },
    )


@converts("TRANSPOSE_CONV")
def _transpose_conv(view: OpView) -> Converted:
    weights, x = view.input(1), view.input(2)
    stride = (view.option(2), view.option(1))
    if min(stride) < 1:
        raise ValueError(f"stride {stride}")
    sizes = (view.constant_ints(0) or view.outputs[0].shape)[1:3]
    attrs = transposed_attrs(uncut_sizes(x, weights, stride), sizes, stride)
    attrs["activation"] = fused_activation(view.flag(3))
    return Converted("transpose_conv2d", (x, weights, *view.inputs[3:]), attrs)


def uncut_sizes(x: Tensor, weights: Tensor, stride: tuple[int, int]) -> list[int]:
    """Height and width that a transposed convolution makes before its edges are cut."""
    return [(x.shape[axis] - 1) * stride[axis - 1] + weights.shape[axis] for axis in (1, 2)]


def transposed_attrs(
    full: Sequence[int], sizes: Sequence[int], stride: tuple[int, int]
) -> dict[str, Any]:
    """Attributes of a transposed convolution whose result is cut, or filled up, to `sizes`."""
    cut = [max(0, f - size) for f, size in zip(full, sizes, strict=True)]
    return {
        "stride": stride,
        "pads": (cut[0] // 2, cut[0] - cut[0] // 2, cut[1] // 2, cut[1] - cut[1] // 2),
        "groups": 1,
        "activation": "none",
        "output_padding": tuple(max(0, size - f) for f, size in zip(full, sizes, strict=True)),
    }


@converts("MAX_POOL_2D AVERAGE_POOL_2D")
def _pool(view: OpView) -> Converted:
    _, height, width, _ = view.input(0).shape
    stride, kernel = (view.option(2), view.option(1)), (view.option(4), view.option(3))
    attrs = {
        "kernel": kernel,
        "stride": stride,
        "pads": _window_pads(view, (height, width), kernel, stride),
        "activation": fused_activation(view.flag(5)),
    }
    kind = "max_pool2d" if view.name == "MAX_POOL_2D" else "avg_pool2d"
    return Converted(kind, view.inputs[:1], attrs)


@converts("FULLY_CONNECTED")
def _fully_connected(view: OpView) -> Converted:
    if len(view.input(1).shape) != 2:
        raise ValueError(f"weights {view.input(1).shape}")
    attrs = {"activation": fused_activation(view.flag(0)), "keep_dims": bool(view.flag(2))}
    return Converted("fully_connected", view.inputs, attrs)


@converts("BATCH_MATMUL")
def _matmul(view: OpView) -> Converted:
    attrs = {"transpose_a": bool(view.flag(0)), "transpose_b": bool(view.flag(1))}
    return Converted("matmul", view.inputs, attrs)


@converts("CONCATENATION")
def _concat(view: OpView) -> Converted:
    rank = len(view.input(0).shape)
    attrs = {"axis": view.option(0) % rank, "activation": fused_activation(view.flag(1))}
    return Converted("concat", view.inputs, attrs)


def _fused_binary(kind: str) -> Converter:
    def converter(view: OpView) -> Converted:
        return Converted(kind, view.inputs, {"activation": fused_activation(view.flag(0))})

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


@converts("SOFTMAX")
def _softmax(view: OpView) -> Converted:
    return Converted("softmax", view.inputs, {"axis": -1, "beta": view.real(0)})


@converts("GELU")
def _gelu(view: OpView) -> Converted:
    return Converted("gelu", view.inputs, {"approximate": bool(view.flag(0))})


@converts("LEAKY_RELU")
def _leaky_relu(view: OpView) -> Converted:
    return Converted("leaky_relu", view.inputs, {"alpha": view.real(0)})


@converts("LOCAL_RESPONSE_NORMALIZATION")
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


@converts("MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_PROD REDUCE_ANY REDUCE_ALL")
def _reduce(view: OpView) -> Converted:
    rank = len(view.input(0).shape)
    axes = sorted({axis % rank for axis in view.known_ints(1)}) if rank else []
    kind = {"MEAN": "reduce_mean", "SUM": "reduce_sum"}.get(view.name, view.name.lower())
    attrs = {"axes": tuple(axes), "keep_dims": bool(view.flag(0))}
    return Converted(kind, view.inputs[:1], attrs)


@converts("ARG_MAX ARG_MIN")
def _arg(view: OpView) -> Converted:
    (axis,) = view.known_ints(1)
    attrs = {"axis": axis % len(view.input(0).shape), "keep_dims": False}
    return Converted(view.name.lower(), view.inputs[:1], attrs)


@converts("UNIDIRECTIONAL_SEQUENCE_LSTM")
def _lstm(view: OpView) -> Converted:
    attrs = _recurrent_attrs(view.input(8), 1, bool(view.flag(3)))
    return Converted("lstm", _weights_only(view), attrs)


@converts("BIDIRECTIONAL_SEQUENCE_LSTM")
def _bidirectional_lstm(view: OpView) -> Converted:
    attrs = _recurrent_attrs(view.input(8), 2, bool(view.flag(4)))
    attrs["merge_outputs"] = bool(view.flag(3))
    return Converted("lstm", _weights_only(view), attrs)


@converts("UNIDIRECTIONAL_SEQUENCE_RNN")
def _rnn(view: OpView) -> Converted:
    return Converted(
        "rnn", _weights_only(view), _recurrent_attrs(view.input(2), 1, bool(view.flag(0)))
    )


@converts("BIDIRECTIONAL_SEQUENCE_RNN")
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
