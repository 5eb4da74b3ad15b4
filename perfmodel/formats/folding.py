"""What exporters fold into the operator before it, as rules that a writer of files gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from perfmodel.graph.ir import Graph, Op


def folded(graph: Graph, folds: Callable[[Op, Op], bool]) -> Graph:
    """`graph` without the ops that `folds(op, after)` says belong to the op before them.

    Only where nothing else reads that op's result, and it has no activation yet. An activation
    becomes an attribute, its own attributes beside it; an op that also reads a constant, such as a
    factor of each channel, is left out: it changes values of weights and no work.
    """
    consumers = graph.consumers()
    waiting: dict[str, Op] = {}
    for op in graph.ops:
        for name in op.inputs:
            alone = len(consumers.get(name, ())) == 1 and name not in graph.outputs
            if alone and not graph.tensors[name].constant:
                waiting[name] = op
    ops: list[Op] = []
    gone: set[str] = set()
    for op in graph.ops:
        if op.name in gone:
            continue
        made = op
        while made.outputs and (after := waiting.get(made.outputs[0])) is not None:
            if made.attrs.get("activation", "none") != "none" or not folds(made, after):
                break
            gone.add(after.name)
            unary = len(after.inputs) == 1
            own = after.kind if unary else after.attrs.get("activation", "none")
            attrs = {**(after.attrs if unary else {}), **made.attrs, "activation": own}
            made = replace(made, outputs=after.outputs, attrs=attrs)
        ops.append(made)
    return replace(graph, ops=tuple(ops))
