"""From TFLite's operators to ours: those with weights, windows or states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from perfmodel.formats.tflite.op_view import ConvertedOp, OpView, Slots, converts, fused_activation
from perfmodel.graph.ir import Tensor
from perfmodel.graph.ops import same_pads


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
def _conv(view: OpView) -> ConvertedOp:
    x, weights = view.input(0), view.input(1)
    _, height, width, channels = x.shape
    _, kh, kw, channels_in_group = weights.shape
    stride, dilation = (view.option(2), view.option(1)), (view.option(5, 1), view.option(4, 1))
    if channels_in_group < 1 or channels % channels_in_group:
        raise ValueError(f"{channels} channels in, weights {weights.shape}")
    return ConvertedOp(
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
def _depthwise(view: OpView) -> ConvertedOp:
    x, weights = view.input(0), view.input(1)
    _, height, width, channels = x.shape
    one, kh, kw, cout = weights.shape
    if one != 1 or channels < 1 or cout % channels:
        raise ValueError(f"{channels} channels in, depthwise weights {weights.shape}")
    stride, dilation = (view.option(2), view.option(1)), (view.option(6, 1), view.option(5, 1))
    return ConvertedOp(
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
def _transpose_conv(view: OpView) -> ConvertedOp:
    weights, x = view.input(1), view.input(2)
    stride = (view.option(2), view.option(1))
    if min(stride) < 1:
        raise ValueError(f"stride {stride}")
    sizes = (view.constant_ints(0) or view.outputs[0].shape)[1:3]
    attrs = transposed_attrs(uncut_sizes(x, weights, stride), sizes, stride)
    attrs["activation"] = fused_activation(view.flag(3))
    return ConvertedOp("transpose_conv2d", (x, weights, *view.inputs[3:]), attrs)


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
def _pool(view: OpView) -> ConvertedOp:
    _, height, width, _ = view.input(0).shape
    stride, kernel = (view.option(2), view.option(1)), (view.option(4), view.option(3))
    attrs = {
        "kernel": kernel,
        "stride": stride,
        "pads": _window_pads(view, (height, width), kernel, stride),
        "activation": fused_activation(view.flag(5)),
    }
    kind = "max_pool2d" if view.name == "MAX_POOL_2D" else "avg_pool2d"
    return ConvertedOp(kind, view.inputs[:1], attrs)


@converts("FULLY_CONNECTED")
def _fully_connected(view: OpView) -> ConvertedOp:
    if len(view.input(1).shape) != 2:
        raise ValueError(f"weights {view.input(1).shape}")
    attrs = {"activation": fused_activation(view.flag(0)), "keep_dims": bool(view.flag(2))}
    return ConvertedOp("fully_connected", view.inputs, attrs)


@converts("BATCH_MATMUL")
def _matmul(view: OpView) -> ConvertedOp:
    attrs = {"transpose_a": bool(view.flag(0)), "transpose_b": bool(view.flag(1))}
    return ConvertedOp("matmul", view.inputs, attrs)


@converts("UNIDIRECTIONAL_SEQUENCE_LSTM")
def _lstm(view: OpView) -> ConvertedOp:
    attrs = _recurrent_attrs(view.input(8), 1, bool(view.flag(3)))
    return ConvertedOp("lstm", _weights_only(view), attrs)


@converts("BIDIRECTIONAL_SEQUENCE_LSTM")
def _bidirectional_lstm(view: OpView) -> ConvertedOp:
    attrs = _recurrent_attrs(view.input(8), 2, bool(view.flag(4)))
    attrs["merge_outputs"] = bool(view.flag(3))
    return ConvertedOp("lstm", _weights_only(view), attrs)


@converts("UNIDIRECTIONAL_SEQUENCE_RNN")
def _rnn(view: OpView) -> ConvertedOp:
    return ConvertedOp(
        "rnn", _weights_only(view), _recurrent_attrs(view.input(2), 1, bool(view.flag(0)))
    )


@converts("BIDIRECTIONAL_SEQUENCE_RNN")
def _bidirectional_rnn(view: OpView) -> ConvertedOp:
    attrs = _recurrent_attrs(view.input(2), 2, bool(view.flag(0)))
    attrs["merge_outputs"] = bool(view.flag(2))
    return ConvertedOp("rnn", _weights_only(view), attrs)


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
