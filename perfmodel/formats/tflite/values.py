"""Small integers computed while reading a .tflite file, so that shapes that depend on them are
known, as the runtime knows them when it resizes tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from perfmodel.formats.tflite.op_view import OpView, strided_index
from perfmodel.formats.tflite.subgraphs import LONGEST_SHAPE_CONSTANT

Arrays = Sequence[np.ndarray]


def _truncated(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """TFLite's DIV of integers rounds to zero."""
    if not np.all(b):
        raise ZeroDivisionError
    return np.asarray(np.trunc(a / b)).astype(a.dtype)


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "DIV": _truncated,
    "FLOOR_DIV": np.floor_divide,
    "FLOOR_MOD": np.mod,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "POW": np.power,
    "NEG": np.negative,
    "ABS": np.abs,
    "SQUARE": np.square,
    "EQUAL": np.equal,
    "NOT_EQUAL": np.not_equal,
    "LESS": np.less,
    "LESS_EQUAL": np.less_equal,
    "GREATER": np.greater,
    "GREATER_EQUAL": np.greater_equal,
    "LOGICAL_AND": np.logical_and,
    "LOGICAL_OR": np.logical_or,
    "LOGICAL_NOT": np.logical_not,
    "SELECT": np.where,
    "SELECT_V2": np.where,
}
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "SUM": np.sum,
    "REDUCE_PROD": np.prod,
    "REDUCE_MAX": np.max,
    "REDUCE_MIN": np.min,
    "REDUCE_ANY": np.any,
    "REDUCE_ALL": np.all,
}


def evaluate(view: OpView, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray] | None:
    """The numbers of an operator's outputs; None where they are unknown, long, or no integers.

    `arrays` are the numbers of its inputs, None where they are unknown. SHAPE and RANK look at
    the shapes of the view alone.
    """
    if not view.outputs or any(t.dtype not in _INTEGERS for t in view.outputs):
        return None
    dtype = view.outputs[0].dtype
    if view.name == "SHAPE":
        return [np.array(view.input(0).shape, dtype)]
    if view.name == "RANK":
        return [np.array(len(view.input(0).shape), dtype)]
    known = [a for a in arrays if a is not None]
    if not known or len(known) != len(arrays):
        return None
    try:
        with np.errstate(all="ignore"):
            found = _compute(view, known)
    except (ArithmeticError, ValueError, TypeError, IndexError):
        return None
    if found is None or any(a.size > LONGEST_SHAPE_CONSTANT for a in found):
        return None
    return [np.asarray(a).astype(t.dtype) for a, t in zip(found, view.outputs, strict=True)]


_INTEGERS = frozenset({"int32", "int64", "bool"})


def _compute(view: OpView, arrays: Arrays) -> list[np.ndarray] | None:
    elementwise = _ELEMENTWISE.get(view.name)
    if elementwise is not None:
        if math.prod(np.broadcast_shapes(*(a.shape for a in arrays))) > LONGEST_SHAPE_CONSTANT:
            return None
        return [np.asarray(elementwise(*arrays))]
    if view.name in _REDUCTIONS:
        axes = tuple(int(a) for a in arrays[1].reshape(-1))
        return [np.asarray(_REDUCTIONS[view.name](arrays[0], axis=axes, keepdims=view.flag(0) > 0))]
    compute = _OTHERS.get(view.name)
    return None if compute is None else compute(view, arrays)


def _reshaped(view: OpView, arrays: Arrays) -> list[np.ndarray]:
    return [arrays[0].reshape(view.outputs[0].shape)]


def _strided(view: OpView, arrays: Arrays) -> list[np.ndarray]:
    begin, end, strides = ([int(n) for n in a.reshape(-1)] for a in arrays[1:4])
    return [np.asarray(arrays[0][strided_index(view, arrays[0].ndim, begin, end, strides)])]


def _slice(view: OpView, arrays: Arrays) -> list[np.ndarray]:
    index = tuple(
        slice(int(b), None if s < 0 else int(b) + int(s))
        for b, s in zip(arrays[1].reshape(-1), arrays[2].reshape(-1), strict=True)
    )
    return [arrays[0][index]]


def _filled(view: OpView, arrays: Arrays) -> list[np.ndarray] | None:
    shape = [int(n) for n in arrays[0].reshape(-1)]
    if min(shape, default=1) < 0 or math.prod(shape) > LONGEST_SHAPE_CONSTANT:
        return None
    return [np.full(shape, arrays[1])]


def _range(view: OpView, arrays: Arrays) -> list[np.ndarray] | None:
    start, limit, step = (int(a) for a in arrays)
    numbers = range(start, limit, step)
    return None if len(numbers) > LONGEST_SHAPE_CONSTANT else [np.array(numbers)]


_OTHERS: dict[str, Callable[[OpView, Arrays], list[np.ndarray] | None]] = {
    "CAST": lambda view, arrays: [arrays[0]],
    "CONCATENATION": lambda view, arrays: [np.concatenate(arrays, view.option(0))],
    "EXPAND_DIMS": _reshaped,
    "FILL": _filled,
    "GATHER": lambda view, arrays: [arrays[0].take(arrays[1], view.option(0))],
    "PACK": lambda view, arrays: [np.stack(arrays, view.option(1))],
    "RANGE": _range,
    "RESHAPE": _reshaped,
    "SLICE": _slice,
    "SQUEEZE": _reshaped,
    "STRIDED_SLICE": _strided,
    "TRANSPOSE": lambda view, arrays: [np.transpose(arrays[0], arrays[1].reshape(-1))],
    "UNPACK": lambda view, arrays: [
        np.take(arrays[0], i, view.option(1)) for i in range(len(view.outputs))
    ],
}
