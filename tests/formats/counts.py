"""Counts over graphs, apart from the package's own."""

from __future__ import annotations

from perfmodel.graph.ir import Graph


def parameters(graph: Graph) -> int:
    """Elements of all constants."""
    return sum(t.elements for t in graph.tensors.values() if t.constant)
