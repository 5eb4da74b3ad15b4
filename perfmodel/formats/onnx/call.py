"""One node with its values at hand: how its attributes are read, and what it adds to the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perfmodel.errors import GraphError
from perfmodel.formats.limits import check_shape, shorten
from perfmodel.formats.onnx.file import OnnxNode
from perfmodel.formats.onnx.net import OnnxNet, Value, stored, unstored
from perfmodel.formats.operator_table import registering
from perfmodel.graph.ops import Shape


@dataclass(frozen=True)
class Call:
    """One node with its values at hand, for the converters."""

    net: OnnxNet
    node: OnnxNode
    inputs: tuple[Value | None, ...]

    @property
    def op_name(self) -> str:
        """Name of the operator in the graph: the node's, else its first output's."""
        return self.node.name or next((o for o in self.node.outputs if o), self.node.op_type)

    def value(self, index: int) -> Value:
        """An input that must be there."""
        found = self.optional(index)
        if found is None:
            raise GraphError(f"input {index} is missing")
        return found

    def optional(self, index: int) -> Value | None:
        """An input that may be left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def given(self) -> list[Value]:
        """All inputs that are there."""
        return [v for v in self.inputs if v is not None]

    def integer(self, name: str, default: int) -> int:
        """Integer attribute."""
        value = self.node.attributes.get(name)
        if value is None:
            return default
        if not isinstance(value, int):
            raise GraphError(f"attribute {name} must be an integer")
        return value

    def real(self, name: str, default: float) -> float:
        """Real attribute."""
        value = self.node.attributes.get(name, default)
        if not isinstance(value, int | float):
            raise GraphError(f"attribute {name} must be a number")
        return float(value)

    def text(self, name: str, default: str) -> str:
        """String attribute."""
        value = self.node.attributes.get(name)
        if value is None:
            return default
        if not isinstance(value, bytes):
            raise GraphError(f"attribute {name} must be a string")
        return value.decode("utf-8", "replace")

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Attribute that lists integers; None where absent."""
        if name not in self.node.attributes:
            return None
        value = self.node.attributes[name]
        if value is None:
            return ()
        if not isinstance(value, tuple) or not all(isinstance(v, int) for v in value):
            raise GraphError(f"attribute {name} must list integers")
        return tuple(int(v) for v in value if isinstance(v, int))

    def setting(self, name: str, index: int) -> tuple[int, ...] | None:
        """Integers that are an attribute in older operator sets, a constant input in newer."""
        listed = self.integers(name)
        if listed is not None:
            return listed
        value = self.optional(index)
        return None if value is None else self.known(value)

    def known(self, value: Value) -> tuple[int, ...]:
        """The integers in a constant, which the shapes depend on."""
        return tuple(int(v) for v in self.numbers(value))

    def numbers(self, value: Value) -> tuple[float, ...]:
        """The numbers in a constant, which the shapes depend on."""
        if value.value is None:
            raise UnknownShapeError(
                f"{shorten(value.name)!r} decides the shape but is not a constant in the file"
            )
        numbers = value.value.reshape(-1)
        if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
            raise GraphError(f"{shorten(value.name)!r} holds numbers that are not finite")
        return tuple(numbers.tolist())

    def emit(
        self,
        kind: str,
        inputs: Sequence[str],
        attrs: dict[str, Any] | None = None,
        *,
        last: bool = False,
        dtype: str = "",
        suffix: str = "",
        outputs: int = 1,
    ) -> list[Value]:
        """Append an operator; its results are the node's outputs, or inner ones with a suffix."""
        net = self.net
        if suffix:
            names = [net.fresh(f"{self.op_name}/{suffix}")]
        else:
            given = (*self.node.outputs[:outputs], *[""] * outputs)[:outputs]
            names = [net.fresh(n or f"{self.op_name}:{i}") for i, n in enumerate(given)]
        name = net.fresh_op(f"{self.op_name}/{suffix}" if suffix else self.op_name)
        made = net.builder.add_op(kind, inputs, attrs or {}, name, names, dtype)
        results = []
        for tensor in made:
            shape = net.builder.shape(tensor)
            check_shape(shape)
            held = last and len(shape) >= 3
            results.append(
                Value(
                    tensor, unstored(shape, held), net.builder.tensors[tensor].dtype, tensor, held
                )
            )
        return results

    def granted(self, what: str) -> None:
        """Note what this operator is taken to do, because it depends on the data."""
        self.net.notes.append((self.node.op_type, shorten(self.op_name), what))

    def rename(self, value: Value) -> list[Value]:
        """Pass a value on under the node's output name, copying nothing."""
        return [replace(value, name=self.node.outputs[0] if self.node.outputs else value.name)]

    def fold(self, value: np.ndarray, dtype: str = "") -> list[Value]:
        """A constant result with its numbers."""
        kept = value if self.net.may_fold(value.size) else None
        dtype = dtype or ("bool" if value.dtype == np.bool_ else str(value.dtype))
        return [self.constant(tuple(value.shape), dtype, kept)]

    def constant(self, shape: Shape, dtype: str, value: np.ndarray | None = None) -> Value:
        """A constant that follows from the constants among the inputs."""
        name = self.node.outputs[0] if self.node.outputs else ""
        sources = self.net.sources([v for v in self.given() if v.constant])
        return Value(name, shape, dtype, constant=True, value=value, sources=sources)


Converter = Callable[[Call], list[Value]]

CONVERTERS: dict[str, Converter] = {}
"""How each operator type of ONNX becomes operators of the graph."""

converts = registering(CONVERTERS)
"""Register a converter for operator types (space-separated)."""


def axis_in(value: Value, axis: int) -> int:
    """The graph's axis for an ONNX axis of a value, which may be negative."""
    rank = len(value.shape)
    if not -rank <= axis < max(rank, 1):
        raise GraphError(f"axis {axis} of a tensor {value.shape}")
    axis %= max(rank, 1)
    if not value.last or axis == 0:
        return axis
    return rank - 1 if axis == 1 else axis - 1


def common_layout(call: Call, values: Sequence[Value]) -> tuple[list[str], bool]:
    """Tensor names of values that meet element by element, and whether channels last.

    Where one of them is an image, smaller operands get the axes that broadcasting gives them.
    """
    net = call.net
    last = any(v.last for v in values)
    if not last:
        return [net.plain(v) for v in values], False
    rank = max(len(v.shape) for v in values)
    names = []
    for value in values:
        if len(value.shape) in (0, rank):
            names.append(net.image(value) if value.shape else net.plain(value))
            continue
        padded = (*[1] * (rank - len(value.shape)), *value.shape)
        shape = stored(padded, True)
        if value.constant:
            names.append(net.constant(value, shape))
        else:
            name = net.fresh(f"{call.op_name}/aligned")
            names.append(net.builder.reshape(net.plain(value), shape, name))
    return names, True


def same_layout(call: Call, kind: str, x: Value, dtype: str = "", **attrs: Any) -> list[Value]:
    """An operator of one input that does not care for the layout."""
    name = call.net.image(x) if x.last else call.net.plain(x)
    return call.emit(kind, [name], attrs, last=x.last, dtype=dtype)


def normal_axis(axis: int, rank: int) -> int:
    """A non-negative axis."""
    if not -rank <= axis < rank:
        raise GraphError(f"axis {axis} of a tensor of {rank} axes")
    return axis % rank


class UnknownShapeError(GraphError):
    """A result whose shape depends on the data: only the file's own declaration can tell it."""


class UncoveredRankError(GraphError):
    """An operator we know, on a rank we do not: it becomes a custom operator."""
