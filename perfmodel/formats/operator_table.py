"""Tables of converters: what a reader or writer does with each operator type of its format."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import TypeVar

from perfmodel.errors import GraphError
from perfmodel.graph.ir import Graph, Op

Converter = TypeVar("Converter")

WRITTEN_PRECISIONS = ("float32", "int8")
"""Precisions in which files of networks are written."""


def registering(
    table: dict[str, Converter],
) -> Callable[[str | Iterable[str]], Callable[[Converter], Converter]]:
    """A decorator factory: `@types("A B")` enters a converter in `table` under both names.

    The names may also be given as a list.
    """

    def types(names: str | Iterable[str]) -> Callable[[Converter], Converter]:
        def add(converter: Converter) -> Converter:
            listed = names.split() if isinstance(names, str) else names
            table.update(dict.fromkeys(listed, converter))
            return converter

        return add

    return types


def check_precision(precision: str) -> None:
    """Raise `GraphError` for a precision in which no file is written."""
    if precision not in WRITTEN_PRECISIONS:
        known = ", ".join(WRITTEN_PRECISIONS)
        raise GraphError(f"precision {precision!r}", f"choose one of {known}")


def unwritable(graph: Graph, op: Op, reason: str) -> GraphError:
    """The error for an operator that cannot be written."""
    return GraphError(f"{graph.name}: op {op.name!r} ({op.kind}): {reason}")


def check_written(graph: Graph, known: Container[str], file: str) -> None:
    """Raise `GraphError` for the first operator that the writer of a kind of file does not know."""
    for op in graph.ops:
        if op.kind not in known:
            raise unwritable(graph, op, f"the {file} writer does not know it")
