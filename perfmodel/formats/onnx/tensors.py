"""Stored tensors of an ONNX file: shape and element type, and the numbers where they are few.

External weight files are never opened. Field numbers: onnx/onnx.proto in github onnx/onnx.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.formats.limits import MAX_FOLDED_ELEMENTS, MAX_FOLDED_REALS, MAX_RANK
from perfmodel.formats.onnx.wire import BYTES, VARINT, Span, Wire

DTYPES: dict[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "int8",  # float8 e4m3fn: one byte, as the graph knows no 8-bit floats
    18: "int8",
    19: "int8",
    20: "int8",
    21: "int4",  # uint4
    22: "int4",
    23: "int4",  # float4 e2m1
    24: "uint8",  # float8 e8m0, the scales of blocks
    25: "int2",  # uint2
    26: "int2",
}
"""TensorProto.DataType under the names of `perfmodel.graph.ir.DTYPE_BYTES`."""

_NUMPY: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    4: np.dtype("<u2"),
    5: np.dtype("<i2"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
    9: np.dtype("?"),
    10: np.dtype("<f2"),
    11: np.dtype("<f8"),
    12: np.dtype("<u4"),
    13: np.dtype("<u8"),
}


@dataclass(frozen=True)
class TensorData:
    """A stored tensor: shape and dtype; the value only where it is small."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    value: np.ndarray | None


def read_tensor(wire: Wire, span: Span) -> TensorData:
    """A stored tensor; its numbers are decoded only where they are few."""
    dims: list[int] = []
    name, code, external = "", 1, False
    raw: Span | None = None
    packed: list[tuple[int, int, int, int]] = []
    for number, kind, a, b in wire.fields(span):
        if number == 1:
            wire.packed(kind, a, b, dims, MAX_RANK)
        elif (number, kind) == (2, VARINT):
            code = a
        elif (number, kind) == (8, BYTES):
            name = wire.text(a, b)
        elif (number, kind) == (9, BYTES):
            raw = (a, b)
        elif number in (4, 5, 7, 10, 11):
            if len(packed) < MAX_FOLDED_ELEMENTS:
                packed.append((number, kind, a, b))
        elif (number, kind) == (14, VARINT):
            external = a == 1
    if code not in DTYPES:
        raise wire.error(span[0], f"tensor {name!r} of unknown element type {code}")
    if any(d < 0 for d in dims):
        raise wire.error(span[0], f"tensor {name!r} of shape {tuple(dims)}")
    shape, count = tuple(dims), math.prod(dims)
    value = None
    most = MAX_FOLDED_REALS if code in (1, 10, 11) else MAX_FOLDED_ELEMENTS
    if not external and code in _NUMPY and count <= most:
        value = _decode(wire, span, code=code, shape=shape, raw=raw, packed=packed)
    return TensorData(name, shape, DTYPES[code], value)


def _decode(
    wire: Wire,
    span: Span,
    *,
    code: int,
    shape: tuple[int, ...],
    raw: Span | None,
    packed: list[tuple[int, int, int, int]],
) -> np.ndarray | None:
    """The numbers of a tensor of `DTYPES[code]`, from its bytes or its listed fields."""
    dtype, count = _NUMPY[code], math.prod(shape)
    if raw is not None:
        if raw[1] - raw[0] != count * dtype.itemsize:
            raise wire.error(
                span[0], f"{raw[1] - raw[0]} bytes of numbers for shape {shape}, {dtype}"
            )
        return np.frombuffer(bytes(wire.buffer[raw[0] : raw[1]]), dtype).reshape(shape)
    integers: list[int] = []
    reals: list[float] = []
    for number, kind, a, b in packed:
        if number == 4:
            reals += wire.floats(kind, a, b)
        elif number == 10:
            if (b - a) % 8 or b - a > 8 * MAX_FOLDED_ELEMENTS:
                raise wire.error(a, "a broken list of numbers")
            wire.spend(a, (b - a) // 8)
            reals += struct.unpack(f"<{(b - a) // 8}d", wire.buffer[a:b])
        else:
            wire.packed(kind, a, b, integers, MAX_FOLDED_ELEMENTS)
    values: list[int] | list[float] = reals if code in (1, 11) else integers
    if len(values) != count:
        return None  # stripped of its data, as model zoos do
    with np.errstate(all="ignore"):
        if code == 10:
            halves = np.array([v & 0xFFFF for v in integers], np.uint16)
            return halves.view(np.float16).reshape(shape)
        if dtype.kind in "iu":
            bits = 8 * dtype.itemsize
            wrapped = np.array([int(v) & ((1 << bits) - 1) for v in integers], np.uint64)
            return wrapped.astype(dtype).reshape(shape)
        return np.array(values, np.float64).astype(dtype).reshape(shape)


def read_sparse_tensor(wire: Wire, span: Span) -> TensorData:
    """A stored sparse tensor as a dense one of its shape, without its numbers."""
    dims: list[int] = []
    values = TensorData("", (), "float32", None)
    for number, kind, a, b in wire.fields(span):
        if (number, kind) == (1, BYTES):
            values = read_tensor(wire, (a, b))
        elif number == 3:
            wire.packed(kind, a, b, dims, MAX_RANK)
    if any(d < 0 for d in dims):
        raise wire.error(span[0], f"a sparse tensor of shape {tuple(dims)}")
    return TensorData(values.name, tuple(dims), values.dtype, None)
