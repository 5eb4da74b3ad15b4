"""Constants computed while reading an ONNX file, so that shapes that depend on them are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from perfmodel.errors import GraphError
from perfmodel.formats.limits import MAX_FOLDED_ELEMENTS, check_shape
from perfmodel.formats.onnx.net import Call, Value, normal_axis, of_tensor
from perfmodel.formats.onnx.shapes import resolve_shape, slice_settings, squeezed, unsqueezed
from perfmodel.formats.onnx.tensors import TensorData
from perfmodel.graph.ops import broadcast

NUMPY_DTYPES = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
}


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind == "f" or not b.all():
        return np.true_divide(a, b)
    return np.asarray(np.trunc(np.true_divide(a, b))).astype(a.dtype)  # ONNX rounds to zero


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "Ceil": np.ceil,
    "Div": _divide,
    "Equal": np.equal,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Identity": np.asarray,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mod": np.mod,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Pow": np.power,
    "Round": np.round,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Where": np.where,
}

REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
}


def fold(call: Call) -> list[Value] | None:
    """Results of a node that follow from constants or shapes alone; None where they do not."""
    kind = call.node.op_type
    if kind == "Constant":
        return _constant(call)
    if kind == "Shape":
        shape = call.value(0).shape
        start, end = call.integer("start", 0), call.integer("end", len(shape))
        return call.fold(np.array(shape[start:end], np.int64))
    if kind == "Size":
        return call.fold(np.array(math.prod(call.value(0).shape), np.int64))
    if kind == "ConstantOfShape":
        return _constant_of_shape(call)
    values = [v.value for v in call.given() if v.constant]
    arrays = [v for v in values if v is not None]
    if not arrays or len(arrays) != len(call.given()):
        return None
    try:
        with np.errstate(all="ignore"):
            found = _compute(call, kind, arrays)
    except (ArithmeticError, ValueError, TypeError, IndexError, GraphError):
        return None
    if found is None:
        return None
    if isinstance(found, list):
        return [v for array in found for v in call.fold(np.asarray(array))]
    return call.fold(np.asarray(found))


def _constant(call: Call) -> list[Value]:
    attributes = call.node.attributes
    for name in ("value", "value_int", "value_ints", "value_float", "value_floats"):
        value = attributes.get(name)
        if isinstance(value, TensorData):
            stored = of_tensor(value)
            name = call.node.outputs[0] if call.node.outputs else ""
            return [Value(name, stored.shape, stored.dtype, constant=True, value=stored.value)]
        if isinstance(value, int | float | tuple):
            dtype = np.int64 if name.startswith("value_int") else np.float32
            return call.fold(np.array(value, dtype))
        if name in attributes and value is None:
            return call.fold(np.zeros(0, np.int64))
    name = call.node.outputs[0] if call.node.outputs else ""
    if attributes.keys() & {"value_string", "value_strings"}:
        return [Value(name, (), "string", constant=True)]
    raise GraphError("a constant without a value")


def _constant_of_shape(call: Call) -> list[Value] | None:
    shape_value = call.value(0)
    if shape_value.value is None:
        return None
    shape = call.known(shape_value)
    check_shape(shape)
    fill = call.node.attributes.get("value")
    number, dtype = np.zeros((), np.float32), "float32"
    if isinstance(fill, TensorData):
        dtype = fill.dtype
        if fill.value is not None and fill.value.size:
            number = fill.value.reshape(-1)[0]
    if call.net.may_fold(math.prod(shape)):
        return call.fold(np.full(shape, number), dtype)
    name = call.node.outputs[0] if call.node.outputs else ""
    return [Value(name, shape, dtype, constant=True)]


def _compute(
    call: Call, kind: str, arrays: Sequence[np.ndarray]
) -> np.ndarray | list[np.ndarray] | None:
    x = arrays[0]
    if kind in ELEMENTWISE:
        _small(broadcast([a.shape for a in arrays]))
        if kind in ("Max", "Min"):
            result = x
            for other in arrays[1:]:
                result = ELEMENTWISE[kind](result, other)
            return result
        return ELEMENTWISE[kind](*arrays)
    if kind in REDUCTIONS:
        axes = call.setting("axes", 1)
        over = tuple(normal_axis(a, x.ndim) for a in axes) if axes else None
        keep = bool(call.integer("keepdims", 1))
        return REDUCTIONS[kind](x, axis=over, keepdims=keep).astype(x.dtype)
    compute = OTHERS.get(kind)
    return None if compute is None else compute(call, x, arrays)


def _small(shape: Sequence[int]) -> tuple[int, ...]:
    if math.prod(shape) > MAX_FOLDED_ELEMENTS or min(shape, default=0) < 0:
        raise GraphError(f"a constant of shape {shape}")
    return tuple(shape)


def _slice(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray:
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(*slice_settings(call), strict=True):
        index[normal_axis(axis, x.ndim)] = slice(start, end, step)
    for axis, part in enumerate(index):
        if part.step is not None and part.step < 0 and part.stop is not None:
            # ONNX clamps an end far below zero to "past the first element", as range does
            bounds = range(*part.indices(x.shape[axis]))
            x = x.take(list(bounds), axis)
            index[axis] = slice(None)
    return x[tuple(index)]


def _range(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray:
    start, limit, step = (a.reshape(-1)[0] for a in arrays)
    count = max(0, math.ceil((float(limit) - float(start)) / float(step)))
    if count > MAX_FOLDED_ELEMENTS:
        check_shape((count,))
        return np.broadcast_to(x.reshape(-1)[:1], (count,))  # no memory; numbers are not kept
    return (start + step * np.arange(count)).astype(x.dtype)


def _split(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    axis, sizes = normal_axis(call.integer("axis", 0), x.ndim), call.setting("split", 1)
    count = len(call.node.outputs)
    if not sizes:
        return list(np.array_split(x, count, axis)) if x.shape[axis] % count == 0 else None
    return list(np.split(x, np.cumsum(sizes)[:-1], axis))


def _cast(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    dtype = NUMPY_DTYPES.get(call.integer("to", 0))
    return None if dtype is None else x.astype(dtype)


OTHERS: dict[str, Callable[..., np.ndarray | list[np.ndarray] | None]] = {
    "Cast": _cast,
    "Concat": lambda call, x, arrays: np.concatenate(arrays, call.integer("axis", 0)),
    "Expand": lambda call, x, arrays: np.broadcast_to(
        x, _small(broadcast([x.shape, call.known(call.value(1))]))
    ),
    "Gather": lambda call, x, arrays: x.take(arrays[1], call.integer("axis", 0)),
    "NonZero": lambda call, x, arrays: np.array(np.nonzero(x), np.int64),
    "Range": _range,
    "Reshape": lambda call, x, arrays: x.reshape(
        resolve_shape(x.shape, call.setting("shape", 1) or (), bool(call.integer("allowzero", 0)))
    ),
    "Slice": _slice,
    "Split": _split,
    "Squeeze": lambda call, x, arrays: x.reshape(squeezed(x.shape, call.setting("axes", 1))),
    "Tile": lambda call, x, arrays: np.tile(
        x.reshape(_small([a * b for a, b in zip(x.shape, arrays[1], strict=True)]) and x.shape),
        arrays[1],
    ),
    "Transpose": lambda call, x, arrays: np.transpose(x, call.integers("perm")),
    "Unsqueeze": lambda call, x, arrays: x.reshape(unsqueezed(x.shape, call.setting("axes", 1))),
}
