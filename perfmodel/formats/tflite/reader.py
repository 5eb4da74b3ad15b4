"""Read a .tflite file: the network without its weights.

The file is mapped and only its tables are touched, so that half a gigabyte of weights costs
nothing. Shapes are the file's, checked against our own inference where an operator has a rule.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path

from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.limits import MAX_ELEMENTS, MAX_OPS, MAX_RANK
from perfmodel.formats.tflite import read_shapes
from perfmodel.formats.tflite.flatbuffer import FlatFile, Table, open_flat
from perfmodel.formats.tflite.read_operators import Converted, OpView, convert
from perfmodel.formats.tflite.schema import (
    BUILTINS,
    DTYPES,
    IDENTIFIER,
    BufferSlot,
    CodeSlot,
    ModelSlot,
    OperatorSlot,
    SubgraphSlot,
    TensorSlot,
)
from perfmodel.graph.ir import OPAQUE_DTYPES, Graph, Op, Tensor, check_graph
from perfmodel.graph.ops import infer_shapes

MAX_TENSORS = 4 * MAX_OPS
"""Of all subgraphs; with `MAX_OPS` operators the longest that a hostile file may take to read."""
_LONGEST_SHAPE_CONSTANT = 4096
_REGISTERS = (read_shapes,)
"""Modules that complete the table of operators when imported."""
_FOLDED = frozenset({"DEQUANTIZE", "DENSIFY"})
"""Unpacking of stored weights, which runtimes do once while loading."""


@dataclass(frozen=True)
class _FileTensor:
    """A tensor of the file, where its data lies and how its shape may vary."""

    tensor: Tensor
    data_start: int
    data_bytes: int
    variable: bool
    shape_varies: bool


def read_tflite(path: Path | str) -> Graph:
    """Read a .tflite file: operators, shapes and element types; no weight is loaded.

    Constants that are stored as float16 (or quantised) and unpacked by DEQUANTIZE count in their
    stored form. Operators without a counterpart get kind "custom" and keep their name. Raises
    `ModelFileError` for anything that is not a sound file.
    """
    layouts = _read(path)
    return replace(layouts[0].graph, subgraphs=tuple(layout.graph for layout in layouts[1:]))


@dataclass(frozen=True)
class FileLayout:
    """Where a graph's parts are in its file: operator number of each op, name of each tensor."""

    graph: Graph
    operators: tuple[int, ...]
    tensor_names: tuple[str, ...]


def read_layout(path: Path | str) -> FileLayout:
    """Read a file's first subgraph and remember which operator of the file each op is."""
    layouts = _read(path)
    return layouts[0]


def _read(path: Path | str) -> list[FileLayout]:
    file = open_flat(path, IDENTIFIER)
    try:
        return _read_model(file, Path(path))
    except GraphError as error:
        raise ModelFileError(path, "graph", error.message) from error
    except struct.error as error:
        raise ModelFileError(path, "file", str(error)) from error


def _read_model(file: FlatFile, path: Path) -> list[FileLayout]:
    model = file.root()
    version = model.number(ModelSlot.VERSION, "I")
    if version != 3:
        raise file.error("header", f"schema version {version}, expected 3")
    codes = [_operator_name(code) for code in model.tables(ModelSlot.OPERATOR_CODES)]
    buffers = model.vector(ModelSlot.BUFFERS, 4)
    tables = model.tables(ModelSlot.SUBGRAPHS)
    if not tables:
        raise file.error("header", "no subgraph")
    _check_counts(file, tables)
    return [
        _SubgraphReader(file, codes, buffers, table, index, path).read()
        for index, table in enumerate(tables)
    ]


def _check_counts(file: FlatFile, subgraphs: list[Table]) -> None:
    for slot, limit, what in (
        (SubgraphSlot.TENSORS, MAX_TENSORS, "tensors"),
        (SubgraphSlot.OPERATORS, MAX_OPS, "operators"),
    ):
        count = sum(table.vector(slot, 4)[1] for table in subgraphs)
        if count > limit:
            raise file.error("subgraphs", f"{count} {what}, more than {limit}")


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


class _SubgraphReader:
    """Turns one subgraph into a `Graph`."""

    def __init__(
        self,
        file: FlatFile,
        codes: list[tuple[str, bool]],
        buffers: tuple[int, int],
        table: Table,
        index: int,
        path: Path,
    ) -> None:
        self.file = file
        self.codes = codes
        self.buffers = buffers
        self.table = table
        self.where = f"subgraph {index}"
        self.path = path
        self.name = path.stem if index == 0 else f"{path.stem}/{index}"
        self.used: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.numbers: list[int] = []

    def read(self) -> FileLayout:
        names: set[str] = set()
        self.tensors = [
            self._tensor(i, t, names) for i, t in enumerate(self.table.tables(SubgraphSlot.TENSORS))
        ]
        unique_names = tuple(item.tensor.name for item in self.tensors)
        inputs = self._indices(self.table, SubgraphSlot.INPUTS, self.where)
        outputs = self._indices(self.table, SubgraphSlot.OUTPUTS, self.where)
        operators = self.table.tables(SubgraphSlot.OPERATORS)
        self._mark_constants({*inputs, *self._written(operators)})
        self.kept = set(outputs)
        for index, operator in enumerate(operators):
            self._operator(index, operator)
        for index in (*inputs, *outputs):
            self._use(self._current(index))
        graph = Graph(
            name=self.name,
            tensors=self.used,
            ops=tuple(self.ops),
            inputs=tuple(dict.fromkeys(self._current(i).name for i in inputs)),
            outputs=tuple(dict.fromkeys(self._current(i).name for i in outputs)),
            source=str(self.path),
            format="tflite",
        )
        return FileLayout(check_graph(graph), tuple(self.numbers), unique_names)

    def _tensor(self, index: int, table: Table, names: set[str]) -> _FileTensor:
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
        varies = any(d < 0 for d in signature) or (not shape and not table.i8(TensorSlot.HAS_RANK))
        has_data = bool(size) or stored_elsewhere
        return _FileTensor(
            replace(tensor, constant=has_data),
            start,
            size,
            bool(table.i8(TensorSlot.IS_VARIABLE)),
            varies and not has_data,
        )

    def _data(self, buffer: int, where: str) -> tuple[int, int]:
        """(start, bytes) of a buffer's data: in the buffer, or behind the tables (large files)."""
        start, count = self.buffers
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

    def _mark_constants(self, made: set[int]) -> None:
        """What is written or fed is no constant; what nobody makes and holds nothing is one."""
        for index, item in enumerate(self.tensors):
            empty = not item.variable and item.tensor.elements == 0
            constant = index not in made and (item.tensor.constant or empty)
            if constant != item.tensor.constant:
                tensor = replace(item.tensor, constant=constant)
                self.tensors[index] = replace(item, tensor=tensor)

    def _written(self, operators: list[Table]) -> list[int]:
        return [
            index
            for i, operator in enumerate(operators)
            for index in self._indices(operator, OperatorSlot.OUTPUTS, f"{self.where} operator {i}")
            if index >= 0
        ]

    def _indices(self, table: Table, slot: int, where: str) -> tuple[int, ...]:
        indices = table.ints(slot)
        for index in indices:
            if not -1 <= index < len(self.tensors):
                raise self.file.error(where, f"tensor {index} of {len(self.tensors)}")
        if slot in (SubgraphSlot.INPUTS, SubgraphSlot.OUTPUTS) and table is self.table:
            return tuple(i for i in indices if i >= 0)
        return indices

    def _operator(self, index: int, table: Table) -> None:
        code = table.number(OperatorSlot.OPCODE, "I")
        if code >= len(self.codes):
            where = f"{self.where} operator {index}"
            raise self.file.error(where, f"operator code {code} of {len(self.codes)}")
        name, custom = self.codes[code]
        where = f"{self.where} operator {index} {name}"
        inputs = self._indices(table, OperatorSlot.INPUTS, where)
        outputs = [i for i in self._indices(table, OperatorSlot.OUTPUTS, where) if i >= 0]
        if name in _FOLDED and self._fold(inputs, outputs):
            return
        view = OpView(
            name,
            custom,
            tuple(self._readable(i) for i in inputs),
            tuple(self._current(i) for i in outputs),
            table.table(OperatorSlot.OPTIONS),
            lambda slot: self._constant_ints(inputs[slot] if slot < len(inputs) else -1),
        )
        try:
            converted = convert(view)
            shapes = self._inferred(converted)
        except (ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError) as error:
            raise self.file.error(where, str(error) or type(error).__name__) from error
        except GraphError as error:
            raise self.file.error(where, error.message) from error
        self._settle_shapes(where, converted, outputs, shapes)
        self._append(converted, outputs)
        self.numbers.append(index)

    def _fold(self, inputs: tuple[int, ...], outputs: list[int]) -> bool:
        """Let readers of an unpacked constant read the stored one; False if it is no constant."""
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0] < 0 or outputs[0] in self.kept:
            return False
        stored = self._current(inputs[0])
        if not stored.constant or stored.shape != self._current(outputs[0]).shape:
            return False
        self.tensors[outputs[0]] = replace(self.tensors[inputs[0]], variable=False)
        return True

    def _current(self, index: int) -> Tensor:
        return self.tensors[index].tensor

    def _readable(self, index: int) -> Tensor | None:
        """An operator's input; states that the runtime keeps for the operator are left out."""
        if index < 0 or self.tensors[index].variable:
            return None
        return self._current(index)

    def _constant_ints(self, index: int) -> tuple[int, ...] | None:
        """The numbers of a small integer constant (a shape, axes, paddings), else None."""
        if index < 0:
            return None
        item = self.tensors[index]
        letter = {"int32": "i", "int64": "q"}.get(item.tensor.dtype)
        if not item.tensor.constant or letter is None:
            return None
        if item.tensor.elements > _LONGEST_SHAPE_CONSTANT or not (
            item.data_bytes or item.tensor.elements == 0
        ):
            return None
        layout = f"<{item.tensor.elements}{letter}"
        self.file.spend(item.data_start, item.tensor.elements)
        return struct.unpack_from(layout, self.file.buffer, item.data_start)

    def _inferred(self, converted: Converted) -> tuple[tuple[int, ...], ...]:
        shapes = [t.shape if t is not None else () for t in converted.inputs]
        return infer_shapes(converted.kind, shapes, converted.attrs)

    def _settle_shapes(
        self,
        where: str,
        converted: Converted,
        outputs: list[int],
        shapes: tuple[tuple[int, ...], ...],
    ) -> None:
        """Compare our shapes with the file's; where the file leaves them open, ours count."""
        if len(shapes) != len(outputs):
            raise self.file.error(
                where, f"{len(outputs)} outputs, {converted.kind} has {len(shapes)}"
            )
        for index, shape in zip(outputs, shapes, strict=True):
            item = self.tensors[index]
            if item.tensor.shape == shape:
                continue
            if not item.shape_varies:
                raise self.file.error(
                    where,
                    f"the file gives {item.tensor.name!r} shape {item.tensor.shape}, "
                    f"its inputs give {shape}",
                )
            self.tensors[index] = replace(item, tensor=replace(item.tensor, shape=shape))

    def _append(self, converted: Converted, outputs: list[int]) -> None:
        inputs = tuple(self._use(t) if t is not None else "" for t in converted.inputs)
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        written = tuple(self._use(self._current(i)) for i in outputs)
        name = written[0] if written else f"{converted.kind}_{len(self.ops)}"
        self.ops.append(Op(name, converted.kind, inputs, written, converted.attrs))

    def _use(self, tensor: Tensor) -> str:
        """Keep a tensor in the graph; the same constant in two shapes becomes two tensors."""
        known = self.used.setdefault(tensor.name, tensor)
        if known.shape == tensor.shape:
            return tensor.name
        shape = "x".join(map(str, tensor.shape))
        return self._use(replace(tensor, name=f"{tensor.name}#{shape}"))
