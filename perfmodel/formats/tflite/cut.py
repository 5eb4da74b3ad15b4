"""Cut a network, or its .tflite file, into pieces at op boundaries.

A piece reads every tensor that earlier ops made and its ops use, and writes every tensor that
later ops (or the user) still need: several tensors may cross one cut. To run a chain of pieces,
keep a pool of tensors by name and feed each piece from it.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.tflite.file import AUTHOR, INLINE_BYTES, Data, write_model
from perfmodel.formats.tflite.reader import read_layout
from perfmodel.formats.tflite.schema import BUILTINS, object_api
from perfmodel.graph.ir import OPAQUE_DTYPES, Graph, Tensor

_WITH_SUBGRAPHS = frozenset({"IF", "WHILE", "CALL_ONCE", "CALL", "STABLEHLO_COMPOSITE"})
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Piece:
    """A piece of a file: where it is and the tensors that cross its ends, in the file's order."""

    path: Path
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def boundary(graph: Graph, i: int, j: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the tensors that ops [i:j) read from before and leave for after.

    Raises `GraphError` unless 0 <= i < j <= number of ops.
    """
    if not 0 <= i < j <= len(graph.ops):
        raise GraphError(
            f"{graph.name}: cannot cut ops [{i}:{j}) of {len(graph.ops)}",
            "give 0 <= i < j <= number of ops",
        )
    ops = graph.ops[i:j]
    made = [name for op in ops for name in op.outputs if name]
    own = {*made, ""}
    read = dict.fromkeys(
        name
        for op in ops
        for name in op.inputs
        if name not in own and not graph.tensors[name].constant
    )
    wanted = {name for op in graph.ops[j:] for name in op.inputs} | set(graph.outputs)
    return tuple(read), tuple(name for name in dict.fromkeys(made) if name in wanted)


def cut(graph: Graph, i: int, j: int) -> Graph:
    """Ops [i:j) as a graph of their own; the weights keep their names.

    Raises `GraphError` unless 0 <= i < j <= number of ops.
    """
    inputs, outputs = boundary(graph, i, j)
    ops = graph.ops[i:j]
    names = {n for op in ops for n in (*op.inputs, *op.outputs) if n}
    tensors = {n: t for n, t in graph.tensors.items() if n in names}
    name = f"{graph.name}[{i}:{j}]"
    return replace(
        graph, name=name, tensors=tensors, ops=ops, inputs=inputs, outputs=outputs, subgraphs=()
    )


def cut_tflite(
    src: Path | str, i: int, j: int, dst: Path | str, *, order: Sequence[int] | None = None
) -> Piece:
    """Write ops [i:j) of `read_tflite(src)` as a .tflite file that computes the same bits.

    `order` lists the ops in another order in which they can run; [i:j) then counts in it. Unpacking
    of stored weights goes along with the ops that use them. Raises `ModelFileError` for a bad file,
    `GraphError` for a range that makes no sense or cannot be cut out (control flow, resources that
    cross the cut).
    """
    layout = read_layout(src)
    graph, operators = layout.graph, layout.operators
    if order is not None:
        graph = replace(graph, ops=tuple(graph.ops[k] for k in order))
        operators = tuple(operators[k] for k in order)
    inputs, outputs = boundary(graph, i, j)
    for name in (*inputs, *outputs):
        if layout.graph.tensors[name].dtype in OPAQUE_DTYPES:
            raise GraphError(f"{src}: {name!r} cannot cross a cut, it holds no numbers")
    numbers = tuple(sorted(operators[i:j]))
    try:
        with open(src, "rb") as stream:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        surgeon = _Surgeon(src, mapped, layout.tensor_names)
        surgeon.cut(numbers, inputs, outputs)
        write_model(surgeon.model, surgeon.streamed, dst)
    except (struct.error, IndexError, TypeError, ValueError, AttributeError, OSError) as error:
        raise ModelFileError(src, f"operators {numbers[0]} to {numbers[-1]}", str(error)) from error
    tensors = layout.graph.tensors
    return Piece(Path(dst), tuple(tensors[n] for n in inputs), tuple(tensors[n] for n in outputs))


class _Surgeon:
    """Cuts one model, given as the schema's objects; large constants stay in the mapped file."""

    def __init__(self, src: Path | str, mapped: mmap.mmap, names: tuple[str, ...]) -> None:
        self.src = src
        self.mapped = mapped
        schema = self.schema = object_api()
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(mapped, 0))
        self.subgraph = self.model.subgraphs[0]
        for tensor, name in zip(self.subgraph.tensors, names, strict=True):
            tensor.name = name
        self.index_of = {name: k for k, name in enumerate(names)}
        self.streamed: dict[int, Data] = {}

    def cut(
        self, numbers: tuple[int, ...], inputs: tuple[str, ...], outputs: tuple[str, ...]
    ) -> None:
        """Keep the operators `numbers` and what they need, as subgraph 0 and the only one."""
        operators = [self.subgraph.operators[k] for k in self._with_unpacking(numbers, inputs)]
        for operator in operators:
            self._refuse_what_cannot_move(operator)
        used = sorted(
            {
                int(t)
                for o in operators
                for field in (o.inputs, o.outputs, o.intermediates)
                for t in self._ints(field)
                if t >= 0
            }
        )
        renumbered = {old: new for new, old in enumerate(used)} | {-1: -1}
        for operator in operators:
            for field in ("inputs", "outputs", "intermediates"):
                values = self._ints(getattr(operator, field))
                setattr(operator, field, [renumbered[int(t)] for t in values])
        self._keep_codes(operators)
        self._keep_buffers([self.subgraph.tensors[k] for k in used])
        self.subgraph.tensors = [self.subgraph.tensors[k] for k in used]
        self.subgraph.operators = operators
        self.subgraph.inputs = [renumbered[self.index_of[n]] for n in inputs]
        self.subgraph.outputs = [renumbered[self.index_of[n]] for n in outputs]
        self.model.subgraphs = [self.subgraph]
        # they describe the whole: a runtime would look their tensors up in the piece
        whole = (self.model.description or b"").decode("utf-8", "replace")
        self.model.description = f"{whole}, cut by {AUTHOR}".lstrip(", ")
        self.model.metadata = self.model.metadataBuffer = self.model.signatureDefs = None

    @staticmethod
    def _ints(field: Any) -> Iterable[int]:
        return () if field is None else field

    def _with_unpacking(self, numbers: tuple[int, ...], inputs: tuple[str, ...]) -> list[int]:
        """`numbers` plus the operators, left out by the reader, that unpack stored weights."""
        makers = {
            int(t): k for k, o in enumerate(self.subgraph.operators) for t in self._ints(o.outputs)
        }
        given = {self.index_of[n] for n in inputs}
        keep = set(numbers)
        todo = list(numbers)
        while todo:
            for tensor in self._ints(self.subgraph.operators[todo.pop()].inputs):
                maker = makers.get(int(tensor))
                if maker is not None and maker not in keep and int(tensor) not in given:
                    keep.add(maker)
                    todo.append(maker)
        return sorted(keep)

    def _refuse_what_cannot_move(self, operator: Any) -> None:
        code = self.model.operatorCodes[operator.opcodeIndex]
        name = BUILTINS[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if name in _WITH_SUBGRAPHS:
            raise GraphError(f"{self.src}: {name} runs other subgraphs; its ops cannot be cut out")
        if operator.largeCustomOptionsSize:
            raise GraphError(f"{self.src}: {name} keeps its options outside the tables")

    def _keep_codes(self, operators: list[Any]) -> None:
        codes = sorted({o.opcodeIndex for o in operators})
        for operator in operators:
            operator.opcodeIndex = codes.index(operator.opcodeIndex)
        self.model.operatorCodes = [self.model.operatorCodes[c] for c in codes]

    def _keep_buffers(self, tensors: list[Any]) -> None:
        """New buffer numbers; tensors that shared a buffer still do."""
        empty = self.schema.BufferT()
        kept = [empty]
        moved: dict[int, int] = {0: 0}
        for tensor in tensors:
            if tensor.buffer not in moved:
                buffer = self.model.buffers[tensor.buffer]
                moved[tensor.buffer] = self._keep_buffer(kept, buffer)
            tensor.buffer = moved[tensor.buffer]
        self.model.buffers = kept

    def _keep_buffer(self, kept: list[Any], buffer: Any) -> int:
        data = self._data(buffer)
        if data is None:
            return 0
        fresh = self.schema.BufferT()
        if data.size_bytes > INLINE_BYTES:
            fresh.data = np.zeros(1, np.uint8)
            self.streamed[len(kept)] = data
        else:
            fresh.data = np.frombuffer(b"".join(data.chunks()), np.uint8)
        kept.append(fresh)
        return len(kept) - 1

    def _data(self, buffer: Any) -> Data | None:
        """A buffer's bytes, wherever the file keeps them."""
        if buffer.offset > 1 and buffer.size:
            start, end = buffer.offset, buffer.offset + buffer.size
            view: Any = memoryview(self.mapped)[start:end]
        elif buffer.data is not None and len(buffer.data):
            view = np.ascontiguousarray(buffer.data).data
        else:
            return None
        return Data(len(view), lambda: _pieces(view))


def _pieces(view: memoryview) -> Iterator[bytes]:
    for start in range(0, len(view), _CHUNK_BYTES):
        yield bytes(view[start : start + _CHUNK_BYTES])
