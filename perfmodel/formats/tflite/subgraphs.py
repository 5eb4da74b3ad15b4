"""The parts of a .tflite file as it stores them: operator names, tensors and operators by index."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from perfmodel.formats.limits import MAX_ELEMENTS, MAX_OPS, MAX_RANK
from perfmodel.formats.tflite.flatbuffer import FlatFile, Table
from perfmodel.formats.tflite.schema import (
    BUILTINS,
    DTYPES,
    BufferSlot,
    CodeSlot,
    ModelSlot,
    OperatorSlot,
    SignatureSlot,
    SubgraphSlot,
    TensorSlot,
)
from perfmodel.graph.ir import OPAQUE_DTYPES, Tensor

if TYPE_CHECKING:
    import numpy as np

MAX_TENSORS = 4 * MAX_OPS
"""Of all subgraphs; with `MAX_OPS` operators the longest that a hostile file may take to read."""
LONGEST_SHAPE_CONSTANT = 4096
"""Numbers of an integer constant that are looked at; shapes, axes and paddings are far shorter."""
_LETTERS = {"int32": "i", "int64": "q", "bool": "?"}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of the file, where its data lies and how its shape may vary.

    `signature` is the shape with -1 where the file leaves a size open, () if it leaves none open.
    """

    tensor: Tensor
    data_start: int
    data_bytes: int
    variable: bool
    shape_varies: bool
    signature: tuple[int, ...] = ()


@dataclass(frozen=True)
class StoredOperator:
    """An operator of the file; `inputs` and `outputs` are tensor numbers, -1 where omitted."""

    name: str
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    table: Table


@dataclass(frozen=True)
class Signature:
    """A way to call the network: its name and the number of the subgraph that is run."""

    name: str
    subgraph: int


class FileModel:
    """The tables of a whole file, each subgraph parsed once."""

    def __init__(self, file: FlatFile, path: Path) -> None:
        self.file = file
        self.path = path
        model = file.root()
        version = model.number(ModelSlot.VERSION, "I")
        if version != 3:
            raise file.error("header", f"schema version {version}, expected 3")
        self.codes = [_operator_name(code) for code in model.tables(ModelSlot.OPERATOR_CODES)]
        self.buffers = model.vector(ModelSlot.BUFFERS, 4)
        tables = model.tables(ModelSlot.SUBGRAPHS)
        if not tables:
            raise file.error("header", "no subgraph")
        self._check_counts(tables)
        self.subgraphs = [FileSubgraph(self, table, i) for i, table in enumerate(tables)]
        self.signatures = self._signatures(model)

    def _check_counts(self, subgraphs: list[Table]) -> None:
        for slot, limit, what in (
            (SubgraphSlot.TENSORS, MAX_TENSORS, "tensors"),
            (SubgraphSlot.OPERATORS, MAX_OPS, "operators"),
        ):
            count = sum(table.vector(slot, 4)[1] for table in subgraphs)
            if count > limit:
                raise self.file.error("subgraphs", f"{count} {what}, more than {limit}")

    def _signatures(self, model: Table) -> tuple[Signature, ...]:
        found = []
        for table in model.tables(ModelSlot.SIGNATURES):
            number = table.number(SignatureSlot.SUBGRAPH, "I")
            if number >= len(self.subgraphs):
                raise self.file.error("signatures", f"subgraph {number} of {len(self.subgraphs)}")
            found.append(Signature(table.text(SignatureSlot.KEY), number))
        return tuple(found)


def _operator_name(code: Table) -> tuple[str, bool]:
    """(name, whether custom) of an operator code; codes past 127 came later, in a wider field."""
    number = max(code.i8(CodeSlot.DEPRECATED_BUILTIN), code.i32(CodeSlot.BUILTIN))
    if number < 0:
        raise code.file.error(code.position, f"operator code {number}")
    if number >= len(BUILTINS):
        return f"BUILTIN_{number}", False
    if BUILTINS[number] == "CUSTOM":
        return code.text(CodeSlot.CUSTOM) or "unnamed custom operator", True
    return BUILTINS[number], False


class FileSubgraph:
    """One subgraph: `tensors`, `operators`, and the tensor numbers of its inputs and outputs."""

    def __init__(self, model: FileModel, table: Table, index: int) -> None:
        self.model = model
        self.file = model.file
        self.table = table
        self.index = index
        self.where = f"subgraph {index}"
        stem = model.path.stem
        self.name = stem if index == 0 else f"{stem}/{index}"
        self._numbers: dict[int, np.ndarray | None] = {}

    @cached_property
    def tensors(self) -> tuple[StoredTensor, ...]:
        """The tensors, those that somebody writes or feeds told from constants."""
        names: set[str] = set()
        tables = self.table.tables(SubgraphSlot.TENSORS)
        self._count = len(tables)
        parsed = [self._tensor(i, t, names) for i, t in enumerate(tables)]
        made = {*self.inputs, *(i for op in self.operators for i in op.outputs)}
        return tuple(_settled(item, index in made) for index, item in enumerate(parsed))

    @cached_property
    def inputs(self) -> tuple[int, ...]:
        """Tensor numbers of the inputs."""
        return self._ends(SubgraphSlot.INPUTS)

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """Tensor numbers of the outputs."""
        return self._ends(SubgraphSlot.OUTPUTS)

    def _ends(self, slot: int) -> tuple[int, ...]:
        return tuple(i for i in self._indices(self.table, slot, self.where) if i >= 0)

    @cached_property
    def operators(self) -> tuple[StoredOperator, ...]:
        """The operators in the order in which they run."""
        return tuple(
            self._operator(i, table)
            for i, table in enumerate(self.table.tables(SubgraphSlot.OPERATORS))
        )

    def _operator(self, index: int, table: Table) -> StoredOperator:
        code, codes = table.number(OperatorSlot.OPCODE, "I"), self.model.codes
        where = f"{self.where} operator {index}"
        if code >= len(codes):
            raise self.file.error(where, f"operator code {code} of {len(codes)}")
        name, custom = codes[code]
        inputs = self._indices(table, OperatorSlot.INPUTS, f"{where} {name}")
        outputs = self._indices(table, OperatorSlot.OUTPUTS, f"{where} {name}")
        return StoredOperator(name, custom, inputs, tuple(i for i in outputs if i >= 0), table)

    def _indices(self, table: Table, slot: int, where: str) -> tuple[int, ...]:
        indices = table.ints(slot)
        count = self.table.vector(SubgraphSlot.TENSORS, 4)[1]
        for index in indices:
            if not -1 <= index < count:
                raise self.file.error(where, f"tensor {index} of {count}")
        return indices

    def _tensor(self, index: int, table: Table, names: set[str]) -> StoredTensor:
        where = f"{self.where} tensor {index}"
        shape = table.ints(TensorSlot.SHAPE)
        code = table.i8(TensorSlot.TYPE)
        if not 0 <= code < len(DTYPES):
            raise self.file.error(where, f"element type {code}")
        if len(shape) > MAX_RANK or any(d < 0 for d in shape):
            raise self.file.error(where, f"shape {shape[:MAX_RANK]}")
        name = table.text(TensorSlot.NAME) or f"tensor_{index}"
        if name in names:
            name = f"{name}#{index}"
        names.add(name)
        tensor = Tensor(name, shape, DTYPES[code])
        if tensor.elements > MAX_ELEMENTS:
            raise self.file.error(where, f"shape {shape} of {tensor.dtype} is beyond any memory")
        start, size = self._data(table.number(TensorSlot.BUFFER, "I"), where)
        stored_elsewhere = table.number(TensorSlot.EXTERNAL_BUFFER, "I") > 0
        packed = table.field(TensorSlot.SPARSITY) or tensor.dtype in OPAQUE_DTYPES
        if size and not packed and size != tensor.size_bytes:
            raise self.file.error(
                where, f"{shape} of {tensor.dtype} needs {tensor.size_bytes} bytes, has {size}"
            )
        signature = table.ints(TensorSlot.SIGNATURE)
        is_open = any(d < 0 for d in signature)
        varies = is_open or (not shape and not table.i8(TensorSlot.HAS_RANK))
        has_data = bool(size) or stored_elsewhere
        return StoredTensor(
            replace(tensor, constant=has_data),
            start,
            size,
            bool(table.i8(TensorSlot.IS_VARIABLE)),
            varies and not has_data,
            signature if is_open and not has_data else (),
        )

    def _data(self, buffer: int, where: str) -> tuple[int, int]:
        """(start, bytes) of a buffer's data: in the buffer, or behind the tables (large files)."""
        start, count = self.model.buffers
        if buffer >= count:
            raise self.file.error(where, f"buffer {buffer} of {count}")
        if buffer == 0:
            return 0, 0
        entry = start + 4 * buffer
        table = Table(self.file, entry + self.file.u32(entry))
        offset, size = (table.number(s, "Q") for s in (BufferSlot.OFFSET, BufferSlot.SIZE))
        if offset > 1 and size:
            self.file.check(offset, size)
            return offset, size
        return table.vector(BufferSlot.DATA, 1)

    def numbers(self, index: int) -> np.ndarray | None:
        """The numbers of a small constant of integers or truth values, None for all else."""
        if index not in self._numbers:
            self._numbers[index] = self._read_numbers(self.tensors[index])
        return self._numbers[index]

    def _read_numbers(self, item: StoredTensor) -> np.ndarray | None:
        letter = _LETTERS.get(item.tensor.dtype)
        count = item.tensor.elements
        if letter is None or not item.tensor.constant or count > LONGEST_SHAPE_CONSTANT:
            return None
        if not item.data_bytes and count:
            return None
        import numpy as np

        self.file.spend(item.data_start, count)
        stored = struct.unpack_from(f"<{count}{letter}", self.file.buffer, item.data_start)
        return np.array(stored, item.tensor.dtype).reshape(item.tensor.shape)


def _settled(item: StoredTensor, made: bool) -> StoredTensor:
    """What is written or fed is no constant; what nobody makes and holds nothing is one."""
    empty = not item.variable and item.tensor.elements == 0
    constant = not made and (item.tensor.constant or empty)
    if constant == item.tensor.constant:
        return item
    return replace(item, tensor=replace(item.tensor, constant=constant))
