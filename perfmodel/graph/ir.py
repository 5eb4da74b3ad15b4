"""The graph: tensors and operators of a network, frozen, in topological order.

Image tensors are NHWC (batch, height, width, channels), sequences are (batch, time, features);
batch is the leading dimension. Weights are tensors with `constant=True`; their values are never
held, only shape and dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from perfmodel.answer import Answer, shortened
from perfmodel.errors import GraphError

T = TypeVar("T")

DTYPE_BYTES: Mapping[str, float] = MappingProxyType(
    {
        "float64": 8,
        "float32": 4,
        "float16": 2,
        "bfloat16": 2,
        "int64": 8,
        "uint64": 8,
        "int32": 4,
        "uint32": 4,
        "int16": 2,
        "uint16": 2,
        "int8": 1,
        "uint8": 1,
        "int4": 0.5,
        "uint4": 0.5,
        "int2": 0.25,
        "float8_e4m3fn": 1,
        "float8_e5m2": 1,
        "bool": 1,
        "complex64": 8,
        "complex128": 16,
    }
)
"""Bytes of one element by dtype; strings, resources and variants have no fixed size."""

OPAQUE_DTYPES = frozenset({"string", "resource", "variant"})


@dataclass(frozen=True)
class Tensor:
    """A named array: `shape` in elements, `dtype` one of `DTYPE_BYTES` or `OPAQUE_DTYPES`.

    `learned` are the parameters that a constant stands for where they are not its elements: 0 of a
    mask that follows from shapes, those of the table that a constant was computed from.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    constant: bool = False
    learned: int | None = None

    @property
    def elements(self) -> int:
        """Number of elements; a scalar has 1."""
        return math.prod(self.shape)

    @property
    def parameters(self) -> int:
        """Learned numbers that it stands for."""
        return self.elements if self.learned is None else self.learned

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole tensor, rounded up; opaque dtypes count 0 (they hold no numbers)."""
        if self.dtype in OPAQUE_DTYPES:
            return 0
        return math.ceil(self.elements * DTYPE_BYTES[self.dtype])


@dataclass(frozen=True)
class Op:
    """One operator: `kind` is a name of `perfmodel.graph.ops.OPS`; attributes as listed there.

    `inputs` and `outputs` are tensor names; an omitted optional input is the empty string.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.attrs, MappingProxyType):
            object.__setattr__(self, "attrs", MappingProxyType(dict(self.attrs)))

    def __reduce__(self) -> tuple[Any, ...]:
        # a mapping proxy cannot be pickled, and process pools must send graphs
        return (Op, (self.name, self.kind, self.inputs, self.outputs, dict(self.attrs)))


@dataclass(frozen=True)
class Graph(Answer, command="inspect"):
    """A network: every tensor by name, operators in topological order, inputs and outputs.

    `source` is the file it came from or `zoo:NAME`; `format` is tflite, onnx, ncnn, caffe or zoo.
    `subgraphs` are the further subgraphs of a file (bodies of control flow), in file order. `notes`
    are sentences on what reading took for granted where the file leaves it to the data.
    """

    name: str
    tensors: Mapping[str, Tensor]
    ops: tuple[Op, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    source: str = ""
    format: str = ""
    subgraphs: tuple[Graph, ...] = ()
    notes: tuple[str, ...] = ()
    _derived: dict[object, Any] = field(
        default_factory=dict, init=False, repr=False, compare=False, hash=False
    )

    def __post_init__(self) -> None:
        if not isinstance(self.tensors, MappingProxyType):
            object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{n} {'x'.join(map(str, self.tensors[n].shape))}" for n in self.inputs)
        return shortened(f"<Graph {self.name}: {len(self.ops)} operators, inputs {sizes}>")

    def once(self, key: object, make: Callable[[], T]) -> T:
        """What `make` returns, made once per graph: what all frameworks and targets share."""
        if key not in self._derived:
            self._derived[key] = make()
        found: T = self._derived[key]
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        args = (self.name, dict(self.tensors), self.ops, self.inputs, self.outputs)
        return (Graph, (*args, self.source, self.format, self.subgraphs, self.notes))

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name."""
        return self.tensors[name]

    def activations_in(self, op: Op) -> tuple[Tensor, ...]:
        """The inputs of `op` that are computed at run time, in order."""
        return tuple(self.tensors[n] for n in op.inputs if n and not self.tensors[n].constant)

    def weights_of(self, op: Op) -> tuple[Tensor, ...]:
        """The constant inputs of `op`, in order."""
        return tuple(self.tensors[n] for n in op.inputs if n and self.tensors[n].constant)

    def outputs_of(self, op: Op) -> tuple[Tensor, ...]:
        """The results of `op`, in order."""
        return tuple(self.tensors[n] for n in op.outputs if n)

    @property
    def batch_size(self) -> int:
        """Leading dimension of the first input that has one, else 1."""
        for name in self.inputs:
            if self.tensors[name].shape:
                return self.tensors[name].shape[0]
        return 1

    def producers(self) -> dict[str, int]:
        """Index of the op that writes each tensor."""
        return {out: i for i, op in enumerate(self.ops) for out in op.outputs if out}

    def consumers(self) -> dict[str, tuple[int, ...]]:
        """Indices of the ops that read each tensor, ascending; tensors nobody reads are absent."""
        readers: dict[str, list[int]] = {}
        for i, op in enumerate(self.ops):
            for name in dict.fromkeys(n for n in op.inputs if n):
                readers.setdefault(name, []).append(i)
        return {name: tuple(where) for name, where in readers.items()}


def check_graph(graph: Graph) -> Graph:
    """Return `graph` if it is sound, else raise `GraphError`.

    Every op reads tensors that exist and were made before it, every tensor is written once, sizes
    are positive and outputs exist.
    """
    known = set(graph.inputs) | {n for n, t in graph.tensors.items() if t.constant}
    missing = [n for n in (*graph.inputs, *graph.outputs) if n not in graph.tensors]
    if missing:
        raise GraphError(f"{graph.name}: no tensor named {missing[0]!r}")
    written: set[str] = set()
    for op in graph.ops:
        for name in op.inputs:
            if name and name not in known:
                raise GraphError(f"{graph.name}: op {op.name!r} reads {name!r} before it is made")
        for name in op.outputs:
            if not name:
                continue
            if name not in graph.tensors:
                raise GraphError(f"{graph.name}: op {op.name!r} writes unknown tensor {name!r}")
            if name in written:
                raise GraphError(f"{graph.name}: tensor {name!r} is written twice")
            written.add(name)
            known.add(name)
    unmade = [n for n in graph.outputs if n not in known]
    if unmade:
        raise GraphError(f"{graph.name}: output {unmade[0]!r} is never made")
    for tensor in graph.tensors.values():
        if any(d < 0 for d in tensor.shape):
            raise GraphError(f"{graph.name}: tensor {tensor.name!r} has shape {tensor.shape}")
    return graph


class NamedStep(Protocol):
    """What reads and makes named values: an operator, or a node of a file."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def outputs(self) -> tuple[str, ...]: ...


AnyStep = TypeVar("AnyStep", bound=NamedStep)


def topological(ops: Iterable[AnyStep], ready: Iterable[str], where: str) -> tuple[AnyStep, ...]:
    """Order `ops` so that each reads only `ready` tensors or results of earlier ops (Kahn).

    The given order is kept among ops that are ready together. Raises `GraphError` on a cycle or a
    tensor nobody makes.
    """
    ops = tuple(ops)
    made_by = {out: i for i, op in enumerate(ops) for out in op.outputs if out}
    have = set(ready)
    waiting: list[int] = []
    readers: dict[int, list[int]] = {}
    for i, op in enumerate(ops):
        needs = {made_by.get(n, -1) for n in op.inputs if n and n not in have}
        if -1 in needs:
            lost = next(n for n in op.inputs if n and n not in have and n not in made_by)
            raise GraphError(f"{where}: op {op.name!r} reads {lost!r}, which nothing makes")
        waiting.append(len(needs))
        for maker in needs:
            readers.setdefault(maker, []).append(i)
    import heapq

    heap = [i for i, count in enumerate(waiting) if count == 0]
    order: list[int] = []
    while heap:
        i = heapq.heappop(heap)
        order.append(i)
        for reader in readers.get(i, ()):
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(heap, reader)
    if len(order) < len(ops):
        stuck = next(op for i, op in enumerate(ops) if waiting[i] > 0)
        raise GraphError(f"{where}: op {stuck.name!r} is part of a cycle")
    return tuple(ops[i] for i in order)
