"""Structure files: a graph as JSON, without weights, plain or compressed by gzip.

The one file format of our own, for networks that are shipped and for tools that write graphs:

    {"format": "perfmodel-structure", "version": 1, "name": "tiny",
     "inputs": [["image", [1, 224, 224, 3], "float32"]],
     "ops": [["conv2d", "stem", ["image", ["stem.weight", [16, 3, 3, 3]]],
              {"stride": [2, 2], "dilation": [1, 1], "pads": [1, 1, 1, 1], "groups": 1}],
             ["relu", "act", ["stem"]]],
     "outputs": ["act"]}

An operator is [kind, name, inputs, attributes, outputs, dtypes]; what is left out at the end is
empty. Kinds and attributes are those of `perfmodel.graph.ops`, axes in the graph's order (NHWC).
An input is the name of a tensor, "" where an optional one is left out, or, where a constant is
read for the first time, [name, shape, dtype, learned]: dtype float32 and as many parameters as
elements by default. Outputs are called as the operator, further ones NAME:1, NAME:2, and have the
dtype of the first input, unless the file says otherwise. Shapes of results follow from the
operators.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from perfmodel.errors import GraphError, ModelFileError, OutputError
from perfmodel.files import write_atomically
from perfmodel.formats.limits import (
    MAX_ELEMENTS,
    MAX_FAN,
    MAX_NAME,
    MAX_OPS,
    MAX_RANK,
    MAX_STRUCTURE_BYTES,
    MAX_TENSORS,
    check_shape,
    shorten,
)
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import DTYPE_BYTES, OPAQUE_DTYPES, Graph, Op, Tensor
from perfmodel.graph.ops import OPS

FORMAT = "perfmodel-structure"
VERSION = 1

Attribute = Any
"""A number, a text, true, false, or a list of them."""


def write_structure(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write `graph` to a .json file, compressed where the name ends in .gz.

    The same graph gives the same bytes. Raises `OutputError` for a graph with subgraphs.
    """
    if graph.subgraphs:
        raise OutputError(f"{graph.name}: a structure file holds no bodies of control flow")
    text = json.dumps(structure_of(graph), separators=(",", ":"), allow_nan=False)
    data = text.encode()
    if str(path).endswith(".gz"):
        data = gzip.compress(data, 9, mtime=0)
    write_atomically(Path(path), data)


def structure_of(graph: Graph) -> dict[str, Any]:
    """The graph as the plain data of a structure file."""
    told: set[str] = set()
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": graph.name,
        "inputs": [[n, list(t.shape), t.dtype] for n in graph.inputs for t in [graph.tensors[n]]],
        "ops": [_written(graph, op, told) for op in graph.ops],
        "outputs": [_reference(graph, n, told) for n in graph.outputs],
    }


def _written(graph: Graph, op: Op, told: set[str]) -> list[Any]:
    inputs = [_reference(graph, name, told) for name in op.inputs]
    results = [graph.tensors[n] for n in op.outputs if n]
    usual = _default_outputs(op.name, len(op.outputs))
    first = graph.tensors[op.inputs[0]].dtype if op.inputs and op.inputs[0] else "float32"
    dtypes = [] if all(t.dtype == first for t in results) else [t.dtype for t in results]
    attrs = {k: _plain(v) for k, v in op.attrs.items()}
    entry = [op.kind, op.name, inputs, attrs, [] if op.outputs == usual else list(op.outputs)]
    entry.append(dtypes)
    while not entry[-1]:
        entry.pop()
    return entry


def _default_outputs(name: str, count: int) -> tuple[str, ...]:
    return tuple(name if i == 0 else f"{name}:{i}" for i in range(count))


def _reference(graph: Graph, name: str, told: set[str]) -> Any:
    tensor = graph.tensors[name] if name else Tensor("", ())
    if not tensor.constant or name in told:
        return name
    told.add(name)
    entry: list[Any] = [name, list(tensor.shape), tensor.dtype]
    if tensor.learned is not None:
        entry.append(tensor.learned)
    return entry[:2] if entry[2:] == ["float32"] else entry


def _plain(value: object) -> Attribute:
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise OutputError(f"an attribute of type {type(value).__name__} cannot be written as JSON")


def read_structure(path: str | os.PathLike[str]) -> Graph:
    """Read a structure file, plain or compressed.

    Raises `ModelFileError` for a file that is no structure file, of a later version, too large or
    inconsistent; the position names the operator.
    """
    data = _parsed(path, _unpacked(path))
    for key, kind in (("name", str), ("inputs", list), ("ops", list), ("outputs", list)):
        if not isinstance(data.get(key), kind):
            raise ModelFileError(path, "file", f"{key!r} must be a {_WORDS[kind]}")
    unknown = sorted(data.keys() - {"format", "version", "name", "inputs", "ops", "outputs"})
    if unknown:
        raise ModelFileError(path, "file", f"unknown key {shorten(unknown[0])!r}")
    return _Reader(path, data).read()


_WORDS: Mapping[type, str] = {str: "text", list: "list"}


def _unpacked(path: str | os.PathLike[str]) -> bytes:
    """The text of the file; at most `MAX_STRUCTURE_BYTES` are unpacked."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_STRUCTURE_BYTES + 1)
    except OSError as error:
        raise ModelFileError(path, "file", error.strerror or str(error)) from error
    if data.startswith(b"\x1f\x8b"):
        try:
            data = zlib.decompressobj(wbits=31).decompress(data, MAX_STRUCTURE_BYTES + 1)
        except zlib.error as error:
            raise ModelFileError(
                path, "byte 0", f"the compressed file is damaged ({error})"
            ) from None
    if len(data) > MAX_STRUCTURE_BYTES:
        raise ModelFileError(path, "file", f"more than {MAX_STRUCTURE_BYTES} bytes of text")
    return data


def _parsed(path: str | os.PathLike[str], data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(path, "file", f"no JSON text ({shorten(error)})") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ModelFileError(path, "file", f'not a structure file: no "format": "{FORMAT}"')
    if found.get("version") != VERSION:
        raise ModelFileError(
            path,
            "version",
            f"version {shorten(found.get('version'))}, readable is {VERSION}",
            "a later version of this package reads it",
        )
    return found


class _Reader:
    """The graph so far, operator by operator."""

    def __init__(self, path: str | os.PathLike[str], data: dict[str, Any]) -> None:
        self.path, self.data = path, data
        self.builder = GraphBuilder(data["name"][:MAX_NAME])

    def read(self) -> Graph:
        """The graph; an error says at which entry of the file it is."""
        if len(self.data["ops"]) > MAX_OPS:
            raise ModelFileError(self.path, "ops", f"more than {MAX_OPS} operators")
        try:
            for key, add in (("inputs", self._input), ("ops", self._op)):
                for place, entry in enumerate(self.data[key]):
                    where = f"{key}[{place}]"
                    add(entry)
            where = "outputs"
            outputs = [self._tensor(entry) for entry in self.data["outputs"]]
            return self.builder.build(*outputs, source=str(self.path), format="structure")
        except GraphError as error:
            raise ModelFileError(self.path, where, shorten(error.message, 300)) from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # shape rules trust the numbers and lists that an operator asks for
            reason = f"entries or attributes that do not fit the operator ({shorten(error)})"
            raise ModelFileError(self.path, where, reason) from None

    def _input(self, entry: object) -> None:
        name, shape, dtype, _ = _tensor_entry(entry)
        self.builder.input(shape, name, dtype)

    def _op(self, entry: object) -> None:
        if not isinstance(entry, list) or not 3 <= len(entry) <= 6:
            raise GraphError(f"[kind, name, inputs, ...] expected, not {shorten(entry)}")
        usual: list[Any] = ["", "", [], {}, [], []]
        kind, name, inputs, attrs, outputs, dtypes = [*entry, *usual[len(entry) :]]
        if not isinstance(kind, str) or kind not in OPS:
            raise GraphError(f"unknown operator {shorten(kind)!r}")
        if not isinstance(inputs, list) or not isinstance(attrs, dict):
            raise GraphError(f"{_name(name)}: inputs must be a list, attributes an object")
        if max(len(inputs), len(outputs)) > MAX_FAN:
            raise GraphError(f"{_name(name)}: more than {MAX_FAN} inputs or outputs")
        names = [self._tensor(i) for i in inputs]
        read = {key: _tuples(value) for key, value in attrs.items()}
        made = self.builder.add_op(kind, names, read, _name(name), [_name(o) for o in outputs])
        for tensor in made:
            check_shape(self.builder.shape(tensor))
        for tensor, dtype in zip(made, dtypes, strict=bool(dtypes)):
            held = self.builder.tensors[tensor]
            self.builder.tensors[tensor] = replace(held, dtype=_dtype(dtype))
        if len(self.builder.tensors) > MAX_TENSORS:
            raise GraphError(f"more than {MAX_TENSORS} tensors")

    def _tensor(self, entry: object) -> str:
        """Name of the tensor that an entry refers to; a constant that it declares is made."""
        if isinstance(entry, str):
            if entry and entry not in self.builder.tensors:
                raise GraphError(f"{shorten(entry)!r} is read before it is made")
            return entry
        name, shape, dtype, learned = _tensor_entry(entry)
        self.builder.constant(shape, name, dtype)
        if learned is not None:
            held = self.builder.tensors[name]
            self.builder.tensors[name] = replace(held, learned=learned)
        return name


def _tensor_entry(entry: object) -> tuple[str, tuple[int, ...], str, int | None]:
    """A declared tensor: [name, shape], then dtype and learned parameters if they are not usual."""
    if not isinstance(entry, list) or not 2 <= len(entry) <= 4 or not isinstance(entry[1], list):
        raise GraphError(f"[name, shape, dtype] expected, not {shorten(entry)}")
    shape = tuple(entry[1])
    if not all(type(size) is int for size in shape):
        raise GraphError(f"sizes must be whole numbers, not {shorten(shape)}")
    check_shape(shape)
    learned = entry[3] if len(entry) == 4 else None
    if learned is not None and (type(learned) is not int or not 0 <= learned <= MAX_ELEMENTS):
        raise GraphError(f"learned parameters must be a whole number, not {shorten(learned)}")
    return _name(entry[0]), shape, _dtype(entry[2]) if len(entry) > 2 else "float32", learned


def _name(name: object) -> str:
    if not isinstance(name, str) or not name or len(name) > MAX_NAME:
        raise GraphError(f"a name expected, not {shorten(name)!r}")
    return name


def _dtype(dtype: object) -> str:
    if not isinstance(dtype, str) or not (dtype in DTYPE_BYTES or dtype in OPAQUE_DTYPES):
        raise GraphError(f"unknown dtype {shorten(dtype)!r}")
    return dtype


def _tuples(value: object, depth: int = 0) -> Attribute:
    """Lists as the tuples that a graph's attributes are."""
    if isinstance(value, list):
        if depth > MAX_RANK or len(value) > MAX_FAN:
            raise GraphError("an attribute with too many numbers")
        return tuple(_tuples(v, depth + 1) for v in value)
    if isinstance(value, dict):
        raise GraphError("an attribute that is an object")
    return value
