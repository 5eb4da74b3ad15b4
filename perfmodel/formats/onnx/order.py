"""The order of an ONNX graph's nodes, which some converters write as they find them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from perfmodel.formats.limits import MAX_NESTING
from perfmodel.formats.onnx.file import GraphData, GraphSpan, OnnxNode, ReferencedAttribute
from perfmodel.graph.ir import topological


@dataclass(frozen=True)
class _Step:
    """A node with all that it reads, also within its bodies."""

    node: OnnxNode
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def sorted_nodes(
    nodes: Sequence[OnnxNode], given: Collection[str], body: Callable[[GraphSpan], GraphData]
) -> Sequence[OnnxNode]:
    """`nodes` so that each follows what it reads; as they are where they are so already.

    `given` are the names that no node makes; `body` reads a graph inside an attribute, whose nodes
    may read what is outside. Raises `GraphError` where nodes wait for each other.
    """
    steps = [
        _Step(
            node,
            node.name or next(iter(node.outputs), ""),
            tuple(dict.fromkeys([*filter(None, node.inputs), *_captured(node, body, 0)])),
            node.outputs,
        )
        for node in nodes
    ]
    made_anywhere = {name for step in steps for name in step.outputs if name}
    made: set[str] = set()
    for step in steps:
        if any(n not in made and n in made_anywhere and n not in given for n in step.inputs):
            # what nothing makes is named by the node that reads it, when it is read
            ready = {n for s in steps for n in s.inputs if n not in made_anywhere} | set(given)
            return [s.node for s in topological(steps, ready, "nodes")]
        made.update(step.outputs)
    return nodes


def _captured(node: OnnxNode, body: Callable[[GraphSpan], GraphData], depth: int) -> list[str]:
    """Names that the bodies of control flow read, of the graph around them or of their own."""
    found: list[str] = []
    for value in node.attributes.values():
        if isinstance(value, GraphSpan) and not isinstance(value, ReferencedAttribute):
            if depth > MAX_NESTING:
                break
            graph = body(value)
            own = {*graph.initializers, *(info.name for info in graph.inputs)}
            own.update(name for inner in graph.nodes for name in inner.outputs)
            read = {info.name for info in graph.outputs}
            for inner in graph.nodes:
                read.update(inner.inputs)
                read.update(_captured(inner, body, depth + 1))
            found += sorted(read - own - {""})
    return found
