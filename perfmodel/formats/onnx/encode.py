"""Lay out an .onnx file: nodes, declared tensors, and weights that are streamed to the disk.

Protobuf's wire format needs every length before its bytes, and only weights are large: everything
else is put together in memory, and the weights of hundreds of megabytes follow chunk by chunk.
Field numbers: onnx/onnx.proto in github onnx/onnx.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from perfmodel.errors import GraphError
from perfmodel.files import replaced
from perfmodel.formats.onnx.tensors import DTYPES
from perfmodel.formats.onnx.wire import BYTES, FIXED32, VARINT
from perfmodel.formats.tflite.file import Data

OPSET = 20
"""The first with an operator for GELU, and the last whose files ONNX Runtime of 2024 reads."""
IR_VERSION = 9
"""The version of the file format that belongs to it."""
PRODUCER = "perfmodel"
MAX_FILE_BYTES = 2**31 - 1
"""Protobuf reads no larger message."""

Attr: TypeAlias = "int | float | str | Sequence[int]"
_CODES = {name: code for code, name in reversed(DTYPES.items())}


@dataclass(frozen=True)
class Initializer:
    """A constant of the file."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: Data


@dataclass
class OnnxFile:
    """What the file will hold, in order; nodes are encoded when they are added."""

    name: str
    nodes: list[bytes] = field(default_factory=list)
    constants: dict[str, Initializer] = field(default_factory=dict)
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)

    def node(
        self,
        op_type: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        name: str,
        attributes: Mapping[str, Attr],
    ) -> None:
        """Append an operator; "" stands for an input that is left out."""
        parts = [text(1, i) for i in inputs] + [text(2, o) for o in outputs]
        parts += [text(3, name), text(4, op_type)]
        parts += [message(5, _attribute(key, value)) for key, value in attributes.items()]
        self.nodes.append(b"".join(parts))

    def constant(self, name: str, shape: Sequence[int], dtype: str, data: Data) -> str:
        """Enter a constant once; returns its name."""
        self.constants.setdefault(name, Initializer(name, tuple(shape), dtype, data))
        return name

    def numbers(self, name: str, array: np.ndarray) -> str:
        """Enter a small constant of known numbers; returns its name."""
        return self.constant(name, array.shape, str(array.dtype), Data.of(array))

    def write(self, path: Path) -> None:
        """Write the file; raises `GraphError` where it would be larger than protobuf reads."""
        before = b"".join([message(1, n) for n in self.nodes] + [text(2, self.name)])
        after = b"".join(
            [message(11, i) for i in self.inputs] + [message(12, o) for o in self.outputs]
        )
        heads = [_tensor_head(c) for c in self.constants.values()]
        sizes = [
            len(h) + c.data.size_bytes for h, c in zip(heads, self.constants.values(), strict=True)
        ]
        whole = (
            len(before) + len(after) + sum(len(_tag(5, BYTES)) + len(varint(s)) + s for s in sizes)
        )
        if whole > MAX_FILE_BYTES:
            raise GraphError(f"{self.name}: {whole / 1e9:.1f} GB are too much for one .onnx file")
        with replaced(path) as temporary, open(temporary, "wb") as file:
            file.write(number(1, IR_VERSION) + text(2, PRODUCER))
            file.write(message(8, number(2, OPSET)))
            file.write(_tag(7, BYTES) + varint(whole) + before)
            for head, size, stored in zip(heads, sizes, self.constants.values(), strict=True):
                file.write(_tag(5, BYTES) + varint(size) + head)
                _stream(file, stored)
            file.write(after)


def _stream(file: IO[bytes], stored: Initializer) -> None:
    for chunk in stored.data.chunks():
        file.write(chunk)


def declared(name: str, shape: Sequence[int], dtype: str) -> bytes:
    """A ValueInfoProto: an input or output of the graph."""
    dims = b"".join(message(1, number(1, d)) for d in shape)
    tensor = number(1, _CODES[dtype]) + message(2, dims)
    return text(1, name) + message(2, message(1, tensor))


def _tensor_head(stored: Initializer) -> bytes:
    """A TensorProto up to the bytes of its numbers."""
    dims = b"".join(number(1, d) for d in stored.shape)
    code = number(2, _CODES[stored.dtype])
    return dims + code + text(8, stored.name) + _tag(9, BYTES) + varint(stored.data.size_bytes)


def _attribute(name: str, value: Attr) -> bytes:
    if isinstance(value, bool | int):
        return text(1, name) + number(3, int(value)) + number(20, 2)
    if isinstance(value, float):
        return text(1, name) + _tag(2, FIXED32) + struct.pack("<f", value) + number(20, 1)
    if isinstance(value, str):
        return text(1, name) + text(4, value) + number(20, 3)
    return text(1, name) + b"".join(number(8, int(v)) for v in value) + number(20, 7)


def varint(value: int) -> bytes:
    """An integer, seven bits a byte, the lowest first; negative ones as 64 bits."""
    value &= 0xFFFFFFFFFFFFFFFF
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _tag(number_of_field: int, kind: int) -> bytes:
    return varint(number_of_field << 3 | kind)


def number(number_of_field: int, value: int) -> bytes:
    """An integer field."""
    return _tag(number_of_field, VARINT) + varint(value)


def message(number_of_field: int, content: bytes) -> bytes:
    """A field of bytes."""
    return _tag(number_of_field, BYTES) + varint(len(content)) + content


def text(number_of_field: int, value: str) -> bytes:
    """A field of text."""
    return message(number_of_field, value.encode())
