"""Normalisations written to .tflite, from primitive operators where TFLite has none."""

from __future__ import annotations

import math

from perfmodel.formats.tflite.emitter import SIGNED_UNIT, TfliteEmitter, emits
from perfmodel.formats.tflite.write_elementwise import activated, arithmetic, reduce
from perfmodel.graph.ir import Op


def _constants_of(e: TfliteEmitter, op: Op) -> list[str]:
    return [n for n in op.inputs[1:] if n and e.graph.tensors[n].constant]


def _affine(e: TfliteEmitter, op: Op, x: int, parameters: list[str], channels: int) -> int:
    """x * gamma + beta along the last axis, as far as the op has them."""
    for position, name in enumerate(parameters[:2]):
        values = e.real_constant(name, (channels,), 0.1, 1.0 if position == 0 else 0.0)
        x = arithmetic(e, "MUL" if position == 0 else "ADD", x, values)
    return x


@emits("batch_norm scale")
def _batch_norm(e: TfliteEmitter, op: Op) -> None:
    """Mean and variance are folded into one scale and one shift, as converters do."""
    parameters = _constants_of(e, op)
    if not parameters:
        raise e.refuse(op, "its scale is not constant")
    x = e.read(op.inputs[0], "float32")
    out = _affine(e, op, x, parameters, e.shape(x)[-1])
    e.bind(op.outputs[0], activated(e, op, out))


def _normalised(e: TfliteEmitter, op: Op, x: int, axes: tuple[int, ...]) -> int:
    """(x - mean) / sqrt(variance + epsilon) from primitive operators."""
    epsilon = e.number(float(op.attrs.get("epsilon", 1e-5)))
    mean = reduce(e, "MEAN", x, axes)
    squares = e.emit(
        "SQUARED_DIFFERENCE", [x, mean], e.shape(x), "float32", "SquaredDifferenceOptions"
    )
    variance = arithmetic(e, "ADD", reduce(e, "MEAN", squares, axes), epsilon)
    inverse = e.emit("RSQRT", [variance], e.shape(variance), "float32")
    return arithmetic(e, "MUL", arithmetic(e, "SUB", x, mean), inverse)


@emits("layer_norm instance_norm")
def _layer_norm(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], "float32")
    rank = len(e.shape(x))
    axes = tuple(range(1, rank - 1)) if op.kind == "instance_norm" else (rank - 1,)
    axes = tuple(sorted(a % rank for a in op.attrs.get("axes", axes)))
    out = _affine(e, op, _normalised(e, op, x, axes), _constants_of(e, op), e.shape(x)[-1])
    e.bind(op.outputs[0], activated(e, op, out))


@emits("group_norm")
def _group_norm(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0], "float32")
    shape = e.shape(x)
    groups = op.attrs["groups"]
    split = (shape[0], math.prod(shape[1:-1]), groups, shape[-1] // groups)
    x = e.emit("RESHAPE", [x, e.ints(split)], split, "float32")
    x = _normalised(e, op, x, (1, 3))
    x = e.emit("RESHAPE", [x, e.ints(shape)], shape, "float32")
    out = _affine(e, op, x, _constants_of(e, op), shape[-1])
    e.bind(op.outputs[0], activated(e, op, out))


@emits("l2_norm")
def _l2_norm(e: TfliteEmitter, op: Op) -> None:
    x = e.read(op.inputs[0])
    dtype = e.dtype(x)
    version = 2 if dtype == "int8" else 1
    out = e.emit(
        "L2_NORMALIZATION",
        [x],
        e.shape(x),
        dtype,
        "L2NormOptions",
        version=version,
        quant=SIGNED_UNIT,
    )
    e.bind(op.outputs[0], out)


@emits("lrn")
def _lrn(e: TfliteEmitter, op: Op) -> None:
    """TFLite's alpha multiplies the sum of squares, ours (as Caffe's and ONNX's) their mean."""
    x = e.read(op.inputs[0], "float32")
    size = int(op.attrs.get("size", 5))
    out = e.emit(
        "LOCAL_RESPONSE_NORMALIZATION",
        [x],
        e.shape(x),
        "float32",
        "LocalResponseNormalizationOptions",
        radius=size // 2,
        alpha=float(op.attrs.get("alpha", 1e-4)) / size,
        beta=float(op.attrs.get("beta", 0.75)),
        bias=float(op.attrs.get("bias", 1.0)),
    )
    e.bind(op.outputs[0], out)
