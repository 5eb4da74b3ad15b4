"""From TFLite's operators to ours: element by element, over axes, and what joins tensors."""

from __future__ import annotations

from typing import Any

from perfmodel.formats.tflite.op_view import (
    CONVERTERS,
    ConvertedOp,
    Converter,
    OpView,
    converts,
    fused_activation,
)


@converts("CONCATENATION")
def _concat(view: OpView) -> ConvertedOp:
    rank = len(view.input(0).shape)
    attrs = {"axis": view.option(0) % rank, "activation": fused_activation(view.flag(1))}
    return ConvertedOp("concat", view.inputs, attrs)


def _fused_binary(kind: str) -> Converter:
    def converter(view: OpView) -> ConvertedOp:
        return ConvertedOp(kind, view.inputs, {"activation": fused_activation(view.flag(0))})

    return converter


def _same_inputs(kind: str, **attrs: Any) -> Converter:
    def converter(view: OpView) -> ConvertedOp:
        return ConvertedOp(kind, view.inputs, dict(attrs))

    return converter


def _first_input(kind: str, **attrs: Any) -> Converter:
    def converter(view: OpView) -> ConvertedOp:
        return ConvertedOp(kind, view.inputs[:1], dict(attrs))

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
def _softmax(view: OpView) -> ConvertedOp:
    return ConvertedOp("softmax", view.inputs, {"axis": -1, "beta": view.real(0)})


@converts("GELU")
def _gelu(view: OpView) -> ConvertedOp:
    return ConvertedOp("gelu", view.inputs, {"approximate": bool(view.flag(0))})


@converts("LEAKY_RELU")
def _leaky_relu(view: OpView) -> ConvertedOp:
    return ConvertedOp("leaky_relu", view.inputs, {"alpha": view.real(0)})


@converts("LOCAL_RESPONSE_NORMALIZATION")
def _lrn(view: OpView) -> ConvertedOp:
    """TFLite's alpha multiplies the sum of squares, ours (as Caffe's and ONNX's) their mean."""
    size = 2 * view.option(0) + 1
    attrs = {
        "size": size,
        "alpha": view.real(2) * size,
        "beta": view.real(3),
        "bias": view.real(1),
    }
    return ConvertedOp("lrn", view.inputs, attrs)


@converts("MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_PROD REDUCE_ANY REDUCE_ALL")
def _reduce(view: OpView) -> ConvertedOp:
    rank = len(view.input(0).shape)
    axes = sorted({axis % rank for axis in view.known_ints(1)}) if rank else []
    kind = {"MEAN": "reduce_mean", "SUM": "reduce_sum"}.get(view.name, view.name.lower())
    attrs = {"axes": tuple(axes), "keep_dims": bool(view.flag(0))}
    return ConvertedOp(kind, view.inputs[:1], attrs)


@converts("ARG_MAX ARG_MIN")
def _arg(view: OpView) -> ConvertedOp:
    (axis,) = view.known_ints(1)
    attrs = {"axis": axis % len(view.input(0).shape), "keep_dims": False}
    return ConvertedOp(view.name.lower(), view.inputs[:1], attrs)
