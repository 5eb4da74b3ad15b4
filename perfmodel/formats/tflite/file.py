"""Lay out a .tflite file: tensors, operators, and weights that are streamed to the disk.

The tables are packed by the schema module of ai-edge-litert with one byte in place of each large
constant; the constants follow behind the tables, and the offsets are set to them. So a network of
hundreds of megabytes needs the memory of one chunk.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import GraphError, ModelFileError
from perfmodel.files import replaced
from perfmodel.formats.tflite.flatbuffer import FlatFile
from perfmodel.formats.tflite.schema import DTYPES, BufferSlot, ModelSlot, object_api, packed

MAX_FILE_BYTES = 2**31 - 1
"""The FlatBuffers verifier of the runtimes accepts no larger file."""
AUTHOR = "perfmodel"
"""Ends the description in every .tflite file that perfmodel wrote."""
TFLITE_MARK = AUTHOR.encode() + b"\0"
_ALIGNMENT = 16
INLINE_BYTES = 256
"""Constants up to this size are packed with the tables."""


@dataclass(frozen=True)
class Quant:
    """Real value = scale * (stored - zero_point); several scales are per channel, along `axis`."""

    scales: tuple[float, ...]
    zero_point: int = 0
    axis: int = 0


@dataclass(frozen=True)
class Data:
    """Bytes of a constant, made when they are written: `chunks()` yields `size_bytes` in all."""

    size_bytes: int
    chunks: Callable[[], Iterable[bytes]]

    @staticmethod
    def of(array: np.ndarray) -> Data:
        """The bytes of an array."""
        blob = np.ascontiguousarray(array).tobytes()
        return Data(len(blob), lambda: (blob,))


@dataclass(frozen=True)
class FileTensor:
    """What the writer needs to know of a tensor that it has put into the file."""

    shape: tuple[int, ...]
    dtype: str
    quant: Quant | None


class TfliteFile:
    """A .tflite file under construction; tensors are known by their index."""

    def __init__(self, description: str = AUTHOR) -> None:
        schema = self.schema = object_api()
        self.tensors: list[FileTensor] = []
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.description = description
        self._model.operatorCodes = []
        self._model.buffers = [schema.BufferT()]  # buffer 0 must be empty
        self._subgraph = schema.SubGraphT()
        self._subgraph.tensors = []
        self._subgraph.operators = []
        self._model.subgraphs = [self._subgraph]
        self._streamed: dict[int, Data] = {}
        self._codes: dict[tuple[str, int], int] = {}
        self.owner = ""
        self.owners: list[str] = []

    @property
    def model(self) -> Any:
        """The file's tables so far, as the schema's object API has them."""
        return self._model

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        *,
        data: Data | None = None,
        quant: Quant | None = None,
        variable: bool = False,
    ) -> int:
        """Add a tensor and return its index; with `data` it is a constant."""
        tensor = self.schema.TensorT()
        tensor.name = name or f"t{len(self.tensors)}"
        tensor.shape = [int(d) for d in shape]
        tensor.type = DTYPES.index(dtype)
        tensor.isVariable = variable
        tensor.hasRank = True
        tensor.buffer = self._buffer(data) if data is not None else 0
        if quant is not None:
            tensor.quantization = self._quantization(quant)
        self._subgraph.tensors.append(tensor)
        self.tensors.append(FileTensor(tuple(shape), dtype, quant))
        return len(self.tensors) - 1

    def rename(self, index: int, name: str) -> None:
        """Give a tensor its final name."""
        self._subgraph.tensors[index].name = name

    def operator(
        self,
        builtin: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str = "",
        version: int = 1,
        intermediates: Sequence[int] = (),
        **fields: Any,
    ) -> None:
        """Append an operator; `options` names its options table, `fields` are its values.

        An input of -1 is an omitted optional one. `intermediates` are empty tensors that tell a
        kernel the scales inside it. The operator is put down to `owner`: an op of the graph, or
        "OP/ACTIVATION" for an activation that is an operator of its own.
        """
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self._code(builtin, version)
        operator.inputs = list(inputs)
        operator.outputs = list(outputs)
        if intermediates:
            operator.intermediates = list(intermediates)
        if options:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(self.schema, f"{options}T")()
            for field, value in fields.items():
                if not hasattr(operator.builtinOptions, field):
                    raise AttributeError(f"{options} has no field {field}")
                setattr(operator.builtinOptions, field, value)
        self._subgraph.operators.append(operator)
        self.owners.append(self.owner)

    def write(self, path: Path | str, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Write the file atomically; raises `GraphError` where it would pass 2 GiB."""
        self._subgraph.inputs = list(inputs)
        self._subgraph.outputs = list(outputs)
        write_model(self._model, self._streamed, path)

    def _buffer(self, data: Data) -> int:
        buffer = self.schema.BufferT()
        index = len(self._model.buffers)
        if data.size_bytes > INLINE_BYTES:
            buffer.data = np.zeros(1, np.uint8)
            self._streamed[index] = data
        else:
            buffer.data = np.frombuffer(b"".join(data.chunks()), np.uint8)
        self._model.buffers.append(buffer)
        return index

    def _quantization(self, quant: Quant) -> Any:
        parameters = self.schema.QuantizationParametersT()
        parameters.scale = np.asarray(quant.scales, np.float32)
        parameters.zeroPoint = np.full(len(quant.scales), quant.zero_point, np.int64)
        parameters.quantizedDimension = quant.axis
        return parameters

    def _code(self, builtin: str, version: int) -> int:
        if (builtin, version) not in self._codes:
            code = self.schema.OperatorCodeT()
            code.builtinCode = getattr(self.schema.BuiltinOperator, builtin)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = version
            self._codes[builtin, version] = len(self._model.operatorCodes)
            self._model.operatorCodes.append(code)
        return self._codes[builtin, version]


def write_model(model: Any, streamed: Mapping[int, Data], path: Path | str) -> None:
    """Write a model of the schema's object API atomically, with the data of some buffers streamed.

    `streamed` gives the data of buffers by index; in the model they hold one byte. Raises
    `GraphError` where the file would pass 2 GiB, `ModelFileError` where its folder is missing,
    `OutputError` where it cannot be written.
    """
    tables = packed(model)
    positions, total = _place(len(tables), streamed)
    if total > MAX_FILE_BYTES:
        raise GraphError(f"{path}: {total} bytes of weights; a .tflite file holds 2 GiB")
    _point(tables, positions)
    target = Path(path)
    if not target.parent.is_dir():
        raise ModelFileError(path, "file", "its folder is not there")
    _write_whole(target, tables, positions, streamed)


def _write_whole(
    target: Path, tables: bytearray, positions: Mapping[int, int], streamed: Mapping[int, Data]
) -> None:
    with replaced(target) as new, open(new, "wb") as stream:
        stream.write(tables)
        for index, position in positions.items():
            stream.write(b"\0" * (position - stream.tell()))
            stream.write(struct.pack("<I", streamed[index].size_bytes))
            for chunk in streamed[index].chunks():
                stream.write(chunk)
            assert stream.tell() == position + 4 + streamed[index].size_bytes


def _place(start: int, streamed: Mapping[int, Data]) -> tuple[dict[int, int], int]:
    """Byte position of each streamed constant's length word, and the size of the file."""
    positions = {}
    end = start
    for index, data in streamed.items():
        first_byte = -(-(end + 4) // _ALIGNMENT) * _ALIGNMENT
        positions[index] = first_byte - 4
        end = first_byte + data.size_bytes
    return positions, end


def _point(tables: bytearray, positions: dict[int, int]) -> None:
    """Set the buffers' offsets to where their data will lie."""
    buffers = FlatFile("new file", bytes(tables)).root().tables(ModelSlot.BUFFERS)
    for index, position in positions.items():
        field = buffers[index].field(BufferSlot.DATA)
        struct.pack_into("<I", tables, field, position - field)


def chunked(size: int, chunk: int = 1 << 20) -> Iterator[int]:
    """Sizes of the pieces that `size` elements are made in."""
    while size > 0:
        yield min(size, chunk)
        size -= chunk
