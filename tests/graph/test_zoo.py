"""The zoo: every network against its published MACs and parameters, and the spec strings."""

from __future__ import annotations

import pytest

from perfmodel.graph import Graph, Op, zoo


def count_macs(graph: Graph) -> int:
    """Multiply-adds by their definition; an own count, so that the zoo is tested on its own."""
    return sum(_op_macs(graph, op) for op in graph.ops)


def _op_macs(graph: Graph, op: Op) -> int:
    first, result = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    weights = graph.weights_of(op)
    if op.kind == "conv2d":  # one product per output element and weight of its filter
        return result.elements * weights[0].elements // weights[0].shape[0]
    if op.kind == "transpose_conv2d":  # every input element meets every filter of its channel
        return first.elements * weights[0].elements // weights[0].shape[3]
    if op.kind == "fully_connected":
        return result.elements * weights[0].shape[1]
    if op.kind == "matmul":
        return result.elements * first.shape[-2 if op.attrs.get("transpose_a") else -1]
    if op.kind == "lstm":  # four gates, each reading the input and the state, at every step
        steps = first.shape[0] * first.shape[1]
        per_step = 4 * op.attrs["hidden"] * (first.shape[2] + op.attrs["hidden"])
        return steps * per_step * op.attrs["directions"]
    return 0


def count_params(graph: Graph) -> int:
    """Elements of all weights."""
    return sum(t.elements for t in graph.tensors.values() if t.constant)


PUBLISHED = [(entry, row) for entry in zoo.entries() for row in entry.published]


def build_row(entry: zoo.ZooEntry, row: zoo.Published) -> Graph:
    return zoo.build(entry.name + ("@" + row.parameters if row.parameters else ""))


@pytest.mark.parametrize(
    ("entry", "row"), PUBLISHED, ids=[f"{e.name}-{r.parameters}" for e, r in PUBLISHED]
)
def test_macs_and_parameters_are_those_published(entry: zoo.ZooEntry, row: zoo.Published) -> None:
    graph = build_row(entry, row)
    if row.macs is not None:
        allowed = max(0.01 * row.macs, row.macs_rounding)
        assert abs(count_macs(graph) - row.macs) <= allowed, row.source
    if row.params is not None:
        allowed = max(0.01 * row.params, row.params_rounding)
        assert abs(count_params(graph) - row.params) <= allowed, row.source
