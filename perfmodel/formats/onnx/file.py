"""An ONNX file as it is: graph, nodes, attributes and declared shapes, without its weights.

External weight files are never opened. Field numbers: onnx/onnx.proto in github onnx/onnx.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TypeAlias

from perfmodel.formats.limits import (
    MAX_FOLDED_ELEMENTS,
    MAX_NAME,
    MAX_NESTING,
    MAX_OPS,
    MAX_RANK,
)
from perfmodel.formats.onnx.tensors import DTYPES, TensorData, read_sparse_tensor, read_tensor
from perfmodel.formats.onnx.wire import BYTES, FIXED32, VARINT, Span, Wire, signed

_ZEROS: dict[int, int | float | bytes | tuple[int, ...]] = {1: 0.0, 2: 0, 3: b"", 6: (), 7: ()}
"""Values of attributes without a value, by AttributeProto.AttributeType."""


@dataclass(frozen=True)
class ValueInfo:
    """A declared tensor; `shape` has ints and symbols, None where the rank is not known."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


Attribute: TypeAlias = (
    "int | float | bytes | TensorData | tuple[int, ...] | tuple[float, ...] | tuple[bytes, ...]"
    " | GraphSpan | None"
)


@dataclass(frozen=True)
class GraphSpan:
    """A graph inside an attribute (a body of control flow), not parsed."""

    span: Span


@dataclass(frozen=True)
class OnnxNode:
    """One operator as the file has it."""

    index: int
    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]


@dataclass
class GraphData:
    """A graph as the file has it."""

    name: str = ""
    nodes: list[OnnxNode] = field(default_factory=list)
    initializers: dict[str, TensorData] = field(default_factory=dict)
    inputs: list[ValueInfo] = field(default_factory=list)
    outputs: list[ValueInfo] = field(default_factory=list)
    value_info: dict[str, ValueInfo] = field(default_factory=dict)


@dataclass
class FunctionData:
    """A model-local function: formal names, and nodes to put in place of a call."""

    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    nodes: list[OnnxNode] = field(default_factory=list)
    defaults: dict[str, Attribute] = field(default_factory=dict)


@dataclass
class ModelData:
    """A model: its graph, operator set versions by domain, local functions by (domain, name)."""

    graph: GraphData
    opsets: dict[str, int]
    functions: dict[tuple[str, str], FunctionData]


def read_model(wire: Wire) -> ModelData:
    """The model in a mapped file."""
    spans: list[Span] = []
    opsets: dict[str, int] = {}
    functions: dict[tuple[str, str], FunctionData] = {}
    for number, kind, a, b in wire.fields((0, len(wire.buffer))):
        if kind != BYTES:
            continue
        if number == 7:
            spans.append((a, b))
        elif number == 8:
            domain, version = _opset(wire, (a, b))
            opsets[domain] = version
        elif number == 25:
            key, function = _function(wire, (a, b))
            functions[key] = function
    if len(spans) != 1:
        raise wire.error(0, f"{len(spans)} graphs, expected one")
    return ModelData(read_graph(wire, spans[0]), opsets, functions)


def _opset(wire: Wire, span: Span) -> tuple[str, int]:
    domain, version = "", 1
    for number, kind, a, b in wire.fields(span):
        if (number, kind) == (1, BYTES):
            domain = wire.text(a, b)
        elif (number, kind) == (2, VARINT):
            version = signed(a)
    return ("" if domain == "ai.onnx" else domain), version


def _function(wire: Wire, span: Span) -> tuple[tuple[str, str], FunctionData]:
    name = domain = ""
    function = FunctionData()
    for number, kind, a, b in wire.fields(span):
        if kind != BYTES:
            continue
        if number == 1:
            name = wire.text(a, b)
        elif number == 10:
            domain = wire.text(a, b)
        elif number == 4:
            function.inputs.append(wire.text(a, b))
        elif number == 5:
            function.outputs.append(wire.text(a, b))
        elif number == 7:
            function.nodes.append(read_node(wire, (a, b), len(function.nodes)))
        elif number == 11:
            key, value = _attribute(wire, (a, b))
            function.defaults[key] = value
    return (domain, name), function


def read_graph(wire: Wire, span: Span) -> GraphData:
    """The graph in a span of the file."""
    graph = GraphData()
    for number, kind, a, b in wire.fields(span):
        if kind != BYTES:
            continue
        if number == 1:
            if len(graph.nodes) >= MAX_OPS:
                raise wire.error(a, f"more than {MAX_OPS} nodes")
            graph.nodes.append(read_node(wire, (a, b), len(graph.nodes)))
        elif number == 2:
            graph.name = wire.text(a, b)
        elif number == 5:
            tensor = read_tensor(wire, (a, b))
            graph.initializers[tensor.name] = tensor
        elif number == 15:
            tensor = read_sparse_tensor(wire, (a, b))
            graph.initializers[tensor.name] = tensor
        elif number in (11, 12, 13):
            info = _value_info(wire, (a, b))
            if number == 11:
                graph.inputs.append(info)
            elif number == 12:
                graph.outputs.append(info)
            graph.value_info[info.name] = info
    return graph


def read_node(wire: Wire, span: Span, index: int) -> OnnxNode:
    """One node."""
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: dict[str, Attribute] = {}
    name = op_type = domain = ""
    for number, kind, a, b in wire.fields(span):
        if kind != BYTES:
            continue
        if number == 1:
            inputs.append(wire.text(a, b))
        elif number == 2:
            outputs.append(wire.text(a, b))
        elif number == 3:
            name = wire.text(a, b)
        elif number == 4:
            op_type = wire.text(a, b)
        elif number == 5:
            key, value = _attribute(wire, (a, b))
            attributes[key] = value
        elif number == 7:
            domain = wire.text(a, b)
    domain = "" if domain == "ai.onnx" else domain
    return OnnxNode(
        index=index,
        name=name,
        op_type=op_type,
        domain=domain,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        attributes=attributes,
    )


def _attribute(wire: Wire, span: Span) -> tuple[str, Attribute]:
    name = ""
    value: Attribute = None
    ints: list[int] = []
    floats: list[float] = []
    strings: list[bytes] = []
    for number, kind, a, b in wire.fields(span):
        if (number, kind) == (1, BYTES):
            name = wire.text(a, b)
        elif (number, kind) == (2, FIXED32):
            value = float(struct.unpack("<f", wire.buffer[a:b])[0])
        elif (number, kind) == (3, VARINT):
            value = signed(a)
        elif (number, kind) == (4, BYTES):
            if b - a <= MAX_NAME:  # longer ones are descriptions, never settings
                wire.spend(a, (b - a) // 8)
                value = bytes(wire.buffer[a:b])
        elif (number, kind) == (5, BYTES):
            value = read_tensor(wire, (a, b))
        elif (number, kind) == (6, BYTES):
            value = GraphSpan((a, b))
        elif number == 7:
            floats += wire.floats(kind, a, b)
        elif number == 8:
            wire.packed(kind, a, b, ints, MAX_FOLDED_ELEMENTS)
        elif (number, kind) == (9, BYTES):
            strings.append(wire.text(a, min(b, a + MAX_NAME)).encode())
        elif (number, kind) == (21, BYTES):
            value = ReferencedAttribute(wire.text(a, b))
        elif (number, kind) == (20, VARINT) and value is None:
            value = _ZEROS.get(a)  # writers of protobuf 3 leave out a value of zero
    if ints:
        value = tuple(ints)
    elif floats:
        value = tuple(floats)
    elif strings:
        value = tuple(strings)
    return name, value


@dataclass(frozen=True)
class ReferencedAttribute(GraphSpan):
    """Inside a function: the caller's attribute of that name."""

    name: str

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "span", (0, 0))


def _value_info(wire: Wire, span: Span) -> ValueInfo:
    name, dtype, shape = "", "", None
    for number, kind, a, b in wire.fields(span):
        if (number, kind) == (1, BYTES):
            name = wire.text(a, b)
        elif (number, kind) == (2, BYTES):
            dtype, shape = _type(wire, (a, b), 0)
    return ValueInfo(name, dtype, shape)


def _type(wire: Wire, span: Span, depth: int) -> tuple[str, tuple[int | str | None, ...] | None]:
    """Element type and shape; an empty type is no tensor (a sequence, a map)."""
    if depth > MAX_NESTING:
        raise wire.error(span[0], "types nested too deeply")
    for number, kind, a, b in wire.fields(span):
        if kind == BYTES and number in (1, 8):
            return _tensor_type(wire, (a, b))
        if kind == BYTES and number == 9:  # optional of a type
            for inner_number, inner_kind, start, end in wire.fields((a, b)):
                if (inner_number, inner_kind) == (1, BYTES):
                    return _type(wire, (start, end), depth + 1)
    return "", None


def _tensor_type(wire: Wire, span: Span) -> tuple[str, tuple[int | str | None, ...] | None]:
    dtype, shape = "float32", None
    for number, kind, a, b in wire.fields(span):
        if (number, kind) == (1, VARINT):
            if a not in DTYPES:
                raise wire.error(b, f"unknown element type {a}")
            dtype = DTYPES[a]
        elif (number, kind) == (2, BYTES):
            shape = tuple(
                _dimension(wire, (start, end))
                for field_number, field_kind, start, end in wire.fields((a, b))
                if (field_number, field_kind) == (1, BYTES)
            )
            if len(shape) > MAX_RANK:
                raise wire.error(a, f"a tensor of {len(shape)} axes")
    return dtype, shape


def _dimension(wire: Wire, span: Span) -> int | str | None:
    size: int | str | None = None
    for number, kind, a, b in wire.fields(span):
        if (number, kind) == (1, VARINT):
            size = signed(a)
        elif (number, kind) == (2, BYTES):
            size = wire.text(a, b)
    return size
