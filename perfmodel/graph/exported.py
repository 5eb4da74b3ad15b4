"""What an exporter leaves of a network's code: no dead branches, no sums with zeros."""

from __future__ import annotations

from dataclasses import replace

from perfmodel.graph.ir import Graph, Op

_WRITTEN_BY_EXPORTERS = frozenset({"tflite", "ncnn"})
"""File formats that come out of an exporter: what it left in them runs."""


def exported(graph: Graph) -> Graph:
    """`graph` without what no exporter keeps; the same graph where there is none of it.

    Three rules: what is computed of zeros only is a constant (`mul` with attribute `zero` makes
    zeros); an addition of zeros is the other tensor; what reaches no output does not run. Operators
    with attribute `shared` run once for each tensor they read. Files that an exporter wrote stay
    as they are.
    """
    if graph.format in _WRITTEN_BY_EXPORTERS:
        return graph
    ops = _reaching(graph, _without_zeros(graph))
    return graph if len(ops) == len(graph.ops) else replace(graph, ops=tuple(ops))


def _without_zeros(graph: Graph) -> list[Op]:
    """Operators left after the first two rules and the repeats, reading what stands for theirs."""
    zeros: set[str] = set()
    stands_for: dict[str, str] = {}
    shared: dict[tuple[str, ...], str] = {}
    kept = []
    for op in graph.ops:
        inputs = tuple(stands_for.get(n, n) for n in op.inputs)
        read = [n for n in inputs if n and not graph.tensors[n].constant]
        live = [n for n in read if n not in zeros]
        same = (op.kind, *inputs) if op.attrs.get("shared") else ()
        if op.attrs.get("zero") or (read and not live):
            zeros.update(op.outputs)
        elif same in shared:
            stands_for[op.outputs[0]] = shared[same]
        elif op.kind == "add" and len(read) == 2 and len(live) == 1:
            stands_for[op.outputs[0]] = live[0]
        else:
            if same:
                shared[same] = op.outputs[0]
            kept.append(op if inputs == op.inputs else replace(op, inputs=inputs))
    return kept


def _reaching(graph: Graph, ops: list[Op]) -> list[Op]:
    """The operators from which an output can be reached."""
    wanted = set(graph.outputs)
    found = []
    for op in reversed(ops):
        if not wanted.isdisjoint(op.outputs):
            wanted.update(op.inputs)
            found.append(op)
    return found[::-1]
