"""The graph that an ONNX file is turned into, node by node: values, layouts, constants.

ONNX images are (batch, channels, height, width); the graph's are channels last. A value that a
convolution or pooling makes is held channels last (`Value.last`) and stays so through operators
that do not care; operators that name axes freely get it back in ONNX's order by a reshape, which
is a view: the file's runtime, which computes channels first, moves nothing there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from perfmodel.formats.limits import (
    MAX_FAN,
    MAX_FOLDED_ELEMENTS,
    MAX_FOLDED_TOTAL,
    check_shape,
)
from perfmodel.formats.net import Net
from perfmodel.formats.onnx.tensors import TensorData
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Op, Tensor
from perfmodel.graph.kinds import WEIGHTED
from perfmodel.graph.ops import Shape


@dataclass(frozen=True)
class Value:
    """A tensor as ONNX sees it: `shape` in ONNX's order whatever the layout.

    `tensor` is its name in the graph, empty for a constant that no operator has read yet.
    `value` holds the numbers of a small constant, `sources` the names of the stored tensors that
    a constant was computed from. `parts` are the tensors of a sequence, which is none itself.
    """

    name: str
    shape: Shape
    dtype: str
    tensor: str = ""
    last: bool = False
    constant: bool = False
    value: np.ndarray | None = None
    sources: tuple[str, ...] = ()
    parts: tuple[Value, ...] | None = None


LEARNABLE = frozenset(
    {"float64", "float32", "float16", "bfloat16", "int8", "uint8", "int4", "int2"}
)
"""Element types of stored tensors that may hold what a network learned; others are indices."""


@dataclass(frozen=True)
class Undone:
    """What was added to a net since some state of it."""

    ops: Sequence[Op]
    tensors: Mapping[str, Tensor]
    constants: Mapping[tuple[str, Shape], str]
    claimed: Mapping[str, None]
    notes: Sequence[tuple[str, str, str]]


class OnnxNet(Net):
    """Builder of the graph, with the values made so far.

    `stored` counts the elements of stored tensors, `filled` names those that are one number
    repeated, `notes` holds what was taken for granted: type and name of an
    operator, and what it is taken to do.
    """

    def __init__(self, name: str, opset: int) -> None:
        super().__init__(GraphBuilder(name))
        self.opset = opset
        self.stored: dict[str, int] = {}
        self.filled: set[str] = set()
        self.notes: list[tuple[str, str, str]] = []
        self._claimed: dict[str, None] = {}
        self._constants: dict[tuple[str, Shape], str] = {}
        self._folded = 0
        self._op_names: dict[str, int] = {}

    def fresh_op(self, name: str) -> str:
        """`name`, or with a number behind it where an operator has it."""
        count = self._op_names[name] = self._op_names.get(name, -1) + 1
        return f"{name}_{count}" if count else name

    def store(self, data: TensorData, name: str = "") -> Value:
        """A stored tensor as a constant."""
        name = name or data.name
        if data.dtype in LEARNABLE:
            self.stored[name] = math.prod(data.shape)
        return Value(name, data.shape, data.dtype, constant=True, value=data.value, sources=(name,))

    def sources(self, values: Sequence[Value]) -> tuple[str, ...]:
        """Stored tensors that a constant computed from `values` holds; fillings are none."""
        found = dict.fromkeys(name for value in values for name in value.sources)
        return tuple(name for name in found if name not in self.filled)[:MAX_FAN]

    def view(self, value: Value, *, last: bool) -> Value:
        """The value held channels last or in ONNX's order; a reshape where it is not yet."""
        if value.constant or len(value.shape) < 3 or value.last == last:
            return value
        shape = stored(value.shape, last)
        name = self.fresh(f"{value.tensor}/{'channels_last' if last else 'channels_first'}")
        return replace(value, tensor=self.builder.reshape(value.tensor, shape, name), last=last)

    def plain(self, value: Value) -> str:
        """Tensor name of the value in ONNX's order."""
        if value.constant:
            return self.constant(value, value.shape)
        return self.view(value, last=False).tensor

    def image(self, value: Value) -> str:
        """Tensor name of the value, channels last."""
        if value.constant:
            return self.constant(value, stored(value.shape, True))
        return self.view(value, last=True).tensor

    def constant(self, value: Value, shape: Shape, dtype: str = "") -> str:
        """Name of a constant in the given shape; made on first use, shared after."""
        check_shape(shape)
        key = (value.name, shape)
        if key not in self._constants:
            name, learned = self.fresh(value.name or "constant"), self._learned(value)
            dtype = dtype or value.dtype
            self._constants[key] = self.builder.constant(shape, name, dtype, learned)
        return self._constants[key]

    def _learned(self, value: Value) -> int | None:
        """What a constant adds to the parameters: stored tensors that no other constant holds.

        One that was computed counts no more than itself or the largest tensor behind it: exporters
        store a tensor twice that a statistic of itself is taken from.
        """
        new = [name for name in value.sources if name not in self._claimed]
        self._claimed.update(dict.fromkeys(new))
        if value.sources == (value.name,) and new:
            return None  # the stored tensor itself, each of its elements
        counts = [self.stored.get(name, 0) for name in new]
        return min(sum(counts), max(math.prod(value.shape), *counts)) if counts else 0

    def constants(self) -> Iterable[tuple[tuple[str, Shape], str]]:
        """The constants made so far: name of the value and shape in the graph, and the tensor."""
        return self._constants.items()

    def state(self) -> tuple[int, ...]:
        """How much there is of everything, to go back to."""
        b = self.builder
        parts = (b.ops, b.tensors, self._constants, self._claimed, self.notes)
        return tuple(len(part) for part in parts)

    def moved_since(self, state: tuple[int, ...]) -> int:
        """Elements that the operators added since then read and write."""
        tensors = self.builder.tensors
        added = self.builder.ops[state[0] :]
        return sum(tensors[n].elements for op in added for n in (*op.inputs, *op.outputs) if n)

    def undo(self, state: tuple[int, ...]) -> Undone:
        """Take out what was added since then, and return it."""
        ops, tensors, constants, claimed, notes = state
        made = Undone(
            self.builder.ops[ops:],
            _taken(self.builder.tensors, tensors),
            _taken(self._constants, constants),
            _taken(self._claimed, claimed),
            self.notes[notes:],
        )
        del self.builder.ops[ops:]
        del self.notes[notes:]
        return made

    def redo(self, made: Undone) -> None:
        """Put in what was taken out last."""
        self.builder.ops += made.ops
        self.builder.tensors.update(made.tensors)
        self._constants.update(made.constants)
        self._claimed.update(made.claimed)
        self.notes += made.notes

    def settle_fillings(self) -> None:
        """Count fillings where they stand for weights: of a product or a norm, nowhere else."""
        read = {name for op in self.builder.ops if op.kind in WEIGHTED for name in op.inputs}
        tensors = self.builder.tensors
        for (source, _), name in self._constants.items():
            if source in self.filled and name not in read:
                tensors[name] = replace(tensors[name], learned=0)

    def sentences(self) -> list[str]:
        """What was taken for granted, operators of a kind together."""
        alike: dict[tuple[str, str], list[str]] = {}
        for kind, name, what in self.notes:
            alike.setdefault((kind, what), []).append(name)
        return [
            f"{kind} {names[0]!r}{f' and {len(names) - 1} more: each' if names[1:] else ''} {what}"
            for (kind, what), names in list(alike.items())[:MAX_FAN]
        ]

    def may_fold(self, elements: int) -> bool:
        """Whether a constant of that size is worth its numbers (there is a limit in all)."""
        if elements > MAX_FOLDED_ELEMENTS or self._folded + elements > MAX_FOLDED_TOTAL:
            return False
        self._folded += elements
        return True


Key = TypeVar("Key")
Item = TypeVar("Item")


def _taken(table: dict[Key, Item], size: int) -> dict[Key, Item]:
    """Take all but the first `size` entries out of a table, and return them in order."""
    taken = [table.popitem() for _ in range(len(table) - size)]
    return dict(reversed(taken))


def stored(shape: Shape, last: bool) -> Shape:
    """Shape in the graph of a value that ONNX holds as (batch, channels, ...)."""
    if not last or len(shape) < 3:
        return shape
    return (shape[0], *shape[2:], shape[1])


def unstored(shape: Shape, last: bool) -> Shape:
    """The reverse of `stored`."""
    if not last or len(shape) < 3:
        return shape
    return (shape[0], shape[-1], *shape[1:-1])
