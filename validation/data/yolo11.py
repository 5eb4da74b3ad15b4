"""YOLO11 by the names of its sizes: a network of the zoo."""

from __future__ import annotations

from perfmodel.formats.load import load
from perfmodel.graph.ir import Graph

SIZES = tuple(f"yolo11{size}" for size in "nsmlx")


def yolo11(name: str) -> Graph:
    """The graph of a size."""
    return load(name)
