"""Constants computed while reading an ONNX file, so that shapes that depend on them are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from perfmodel.errors import GraphError
from perfmodel.formats.limits import MAX_FOLDED_ELEMENTS, check_shape
from perfmodel.formats.onnx.call import Call, normal_axis
from perfmodel.formats.onnx.net import Value
from perfmodel.formats.onnx.shapes import (
    flattened,
    resolve_shape,
    slice_settings,
    squeezed,
    unsqueezed,
)
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


def _clip(x: np.ndarray, low: np.ndarray | None, high: np.ndarray | None) -> np.ndarray:
    above = x if low is None else np.maximum(x, low)
    return above if high is None else np.minimum(above, high)


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseNot": np.bitwise_not,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Div": _divide,
    "Equal": np.equal,
    "Exp": np.exp,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Identity": np.asarray,
    "IsNaN": np.isnan,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Log": np.log,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mod": np.mod,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Pow": np.power,
    "Reciprocal": np.reciprocal,
    "Relu": lambda x: np.maximum(x, 0),
    "Round": np.round,
    "Sign": np.sign,
    "Sin": np.sin,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Sum": np.add,
    "Tanh": np.tanh,
    "Where": np.where,
    "Xor": np.logical_xor,
}

CHAINED = frozenset({"Max", "Min", "Sum"})
"""Element-wise operators of any number of operands."""

REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceL1": lambda x, **over: np.sum(np.abs(x), **over),
    "ReduceL2": lambda x, **over: np.sqrt(np.sum(np.square(x), **over)),
    "ReduceMax": np.max,
    "ReduceMean": np.mean,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
    "ReduceSumSquare": lambda x, **over: np.sum(np.square(x), **over),
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
    if kind == "SequenceLength" and call.value(0).parts is not None:
        return call.fold(np.array(len(call.value(0).parts or ()), np.int64))
    if kind == "OptionalHasElement":
        return call.fold(np.array(bool(call.given())))
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
            return [call.net.store(value, call.node.outputs[0] if call.node.outputs else "")]
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
    # zoos write networks without weights that way: what an operator reads as it is may be learned
    name = call.node.outputs[0] if call.node.outputs else ""
    kept = np.full(shape, number) if call.net.may_fold(math.prod(shape)) else None
    made = call.net.store(TensorData(name, shape, dtype, kept))
    call.net.filled.add(made.name)
    return [made]


def _compute(
    call: Call, kind: str, arrays: Sequence[np.ndarray]
) -> np.ndarray | list[np.ndarray] | None:
    x = arrays[0]
    if kind == "Clip":
        return _clipped(call, x)
    if kind == "Mod" and call.integer("fmod", 0):
        return np.fmod(*arrays)  # the sign is that of the first, as in C
    if kind == "Pow":
        return np.power(x, arrays[1]).astype(x.dtype)
    if kind in ELEMENTWISE:
        _small(broadcast([a.shape for a in arrays]))
        if kind in CHAINED:
            result = x
            for other in arrays[1:]:
                result = ELEMENTWISE[kind](result, other)
            return result
        return ELEMENTWISE[kind](*arrays)
    if kind in REDUCTIONS:
        axes = call.setting("axes", 1)
        if not axes and call.integer("noop_with_empty_axes", 0):
            return x
        over = tuple(normal_axis(a, x.ndim) for a in axes) if axes else None
        keep = bool(call.integer("keepdims", 1))
        return REDUCTIONS[kind](x, axis=over, keepdims=keep).astype(x.dtype)
    compute = OTHERS.get(kind)
    return None if compute is None else compute(call, x, arrays)


def _small(shape: Sequence[int]) -> tuple[int, ...]:
    if math.prod(shape) > MAX_FOLDED_ELEMENTS or min(shape, default=0) < 0:
        raise GraphError(f"a constant of shape {shape}")
    return tuple(shape)


def _clipped(call: Call, x: np.ndarray) -> np.ndarray:
    """Bounds are attributes in older operator sets, inputs that may be left out in newer."""
    found = []
    for index, name in ((1, "min"), (2, "max")):
        given = call.optional(index)
        listed = np.asarray(call.real(name, 0.0)) if name in call.node.attributes else None
        found.append(listed if given is None else given.value)
    return _clip(x, found[0], found[1]).astype(x.dtype)


def _padded(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    pads, listed = call.setting("pads", 1), call.optional(3)
    if pads is None or listed is not None or len(pads) != 2 * x.ndim or min(pads) < 0:
        return None
    mode = call.text("mode", "constant")
    pairs = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    _small([size + before + after for size, (before, after) in zip(x.shape, pairs, strict=True)])
    if mode != "constant":
        return np.pad(x, pairs, {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}[mode])  # type: ignore[call-overload]
    fill = arrays[2].reshape(-1)[0] if len(arrays) > 2 else call.real("value", 0.0)
    return np.pad(x, pairs, constant_values=fill)


def _gather(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray:
    axis = normal_axis(call.integer("axis", 0), x.ndim)
    _small([x.size // max(1, x.shape[axis]) * arrays[1].size])
    return x.take(arrays[1], axis)


def _gather_nd(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    if call.integer("batch_dims", 0):
        return None
    return np.asarray(x[tuple(np.moveaxis(arrays[1], -1, 0))])


def _scatter_nd(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    if call.text("reduction", "none") != "none":
        return None
    result = x.copy()
    result[tuple(np.moveaxis(arrays[1], -1, 0))] = arrays[2]
    return result


def _scatter_elements(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    if call.text("reduction", "none") != "none":
        return None
    result = x.copy()
    np.put_along_axis(result, arrays[1], arrays[2], call.integer("axis", 0))
    return result


def _top_k(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    axis, found = normal_axis(call.integer("axis", -1), x.ndim), call.setting("k", 1) or (0,)
    order = np.argsort(x if not call.integer("largest", 1) else -x, axis, kind="stable")
    first = order.take(range(found[0]), axis)
    return [np.take_along_axis(x, first, axis), first]


def _triangle(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray:
    offset = int(arrays[1].reshape(-1)[0]) if len(arrays) > 1 else 0
    if abs(offset) > MAX_FOLDED_ELEMENTS:
        raise GraphError(f"a diagonal at {offset}")
    return np.triu(x, offset) if call.integer("upper", 1) else np.tril(x, offset)


def _cumulated(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    if call.integer("exclusive", 0) or call.integer("reverse", 0):
        return None
    return np.cumsum(x, int(arrays[1].reshape(-1)[0])).astype(x.dtype)


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


def _split(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    axis, sizes = normal_axis(call.integer("axis", 0), x.ndim), call.setting("split", 1)
    count = len(call.node.outputs)
    if not sizes:
        chunk = -(-x.shape[axis] // max(1, count))  # the last may be smaller
        sizes = (chunk,) * (count - 1)
        return list(np.split(x, np.cumsum(sizes), axis))
    return list(np.split(x, np.cumsum(sizes)[:-1], axis))


def _cast(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    dtype = NUMPY_DTYPES.get(call.integer("to", 0))
    return None if dtype is None else x.astype(dtype)


def _arg(call: Call, x: np.ndarray, find: Callable[..., Any]) -> np.ndarray | None:
    if call.integer("select_last_index", 0):
        return None
    keep = bool(call.integer("keepdims", 1))
    return np.asarray(find(x, axis=call.integer("axis", 0), keepdims=keep), np.int64)


def _compressed(call: Call, x: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray:
    axis = call.integer("axis", 0) if "axis" in call.node.attributes else None
    return np.compress(arrays[1], x, axis)


OTHERS: dict[str, Callable[..., np.ndarray | list[np.ndarray] | None]] = {
    "ArgMax": lambda call, x, arrays: _arg(call, x, np.argmax),
    "ArgMin": lambda call, x, arrays: _arg(call, x, np.argmin),
    "Cast": _cast,
    "CastLike": lambda call, x, arrays: x.astype(arrays[1].dtype),
    "Compress": _compressed,
    "Concat": lambda call, x, arrays: np.concatenate(arrays, call.integer("axis", 0)),
    "Expand": lambda call, x, arrays: np.broadcast_to(
        x, _small(broadcast([x.shape, call.known(call.value(1))]))
    ),
    "CumSum": _cumulated,
    "Flatten": lambda call, x, arrays: x.reshape(flattened(x.shape, call.integer("axis", 1))),
    "Gather": _gather,
    "GatherElements": lambda call, x, arrays: np.take_along_axis(
        x, arrays[1], call.integer("axis", 0)
    ),
    "GatherND": _gather_nd,
    "MatMul": lambda call, x, arrays: np.matmul(x, arrays[1]),
    "NonZero": lambda call, x, arrays: np.array(np.nonzero(x), np.int64),
    "Pad": _padded,
    "Range": _range,
    "Reshape": lambda call, x, arrays: x.reshape(
        resolve_shape(x.shape, call.setting("shape", 1) or (), bool(call.integer("allowzero", 0)))
    ),
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": lambda call, x, arrays: x.reshape(squeezed(x.shape, call.setting("axes", 1))),
    "Tile": lambda call, x, arrays: np.tile(
        x.reshape(_small([a * b for a, b in zip(x.shape, arrays[1], strict=True)]) and x.shape),
        arrays[1],
    ),
    "TopK": _top_k,
    "Transpose": lambda call, x, arrays: np.transpose(x, call.integers("perm")),
    "Trilu": _triangle,
    "Unsqueeze": lambda call, x, arrays: x.reshape(unsqueezed(x.shape, call.setting("axes", 1))),
}

FOLDED = frozenset([*ELEMENTWISE, *REDUCTIONS, *OTHERS, "Clip", "ConstantOfShape"])
"""Operators whose results are computed where their inputs are known."""
