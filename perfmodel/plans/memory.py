"""What a segment holds in memory: its weights, and the arena of its activations.

The arena is that of `perfmodel.kernels.memory` for the segment as a network of its own, whose
inputs and outputs live to its end. It is planned for the segments of a plan only; what is known of
all segments at once is a bound from below, the most that one operator of the segment touches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from perfmodel.graph.ir import Graph, Op
from perfmodel.kernels.memory import IN_PLACE_KINDS, VIEW_KINDS, peak_activation_bytes
from perfmodel.plans.crossings import States
from perfmodel.plans.layers import LayerGraph


def segment_bytes(layers: LayerGraph, chosen: np.ndarray) -> int:
    """Bytes of the weights and activations of the layers of a segment, as the network stores them;
    `chosen` is of shape (layers,)."""
    numbers = np.flatnonzero(chosen).tolist()
    weights = sum(layers.weights_bytes[n] for n in numbers)
    return weights + peak_activation_bytes(_alone(layers.graph, layers, numbers))


def _alone(graph: Graph, layers: LayerGraph, numbers: list[int]) -> Graph:
    """Some layers of a network as one of their own."""
    if len(numbers) == len(layers):
        return graph
    places = sorted(place for n in numbers for place in layers.layers[n].ops)
    inside = set(places)
    ops = tuple(graph.ops[place] for place in places)
    consumers = graph.once(Graph.consumers, graph.consumers)
    made = dict.fromkeys(n for op in ops for n in op.outputs if n)
    names = dict.fromkeys(n for op in ops for n in (*op.inputs, *op.outputs) if n)
    wanted = set(graph.outputs)
    return replace(
        graph,
        tensors={n: graph.tensors[n] for n in names},
        ops=ops,
        inputs=tuple(n for n in names if n not in made and not graph.tensors[n].constant),
        outputs=tuple(
            n for n in made if n in wanted or any(c not in inside for c in consumers.get(n, ()))
        ),
        subgraphs=(),
    )


def touched_bytes(layers: LayerGraph) -> np.ndarray:
    """The most bytes of activations that one operator of each layer touches, shape (layers,)."""
    graph = layers.graph
    return np.array(
        [
            max((_touched(graph, graph.ops[i]) for i in layer.ops), default=0)
            for layer in layers.layers
        ],
        dtype=float,
    )


def _touched(graph: Graph, op: Op) -> int:
    taken = {t.name: t.size_bytes for t in graph.activations_in(op)}
    made = {t.name: t.size_bytes for t in graph.outputs_of(op)}
    if op.kind in VIEW_KINDS or op.kind in IN_PLACE_KINDS:  # the result may lie where an input did
        return max(sum(taken.values()), sum(made.values()))
    return sum((taken | made).values())


def largest_over(states: States, values: np.ndarray, width: int) -> Iterator[np.ndarray]:
    """The largest of some values of layers over each segment, for each `width` ends in turn.

    Of shape (states up to the last end, ends); 0 where no layer is between two states.
    """
    count = len(states)
    largest = np.zeros(count)
    for first in range(0, count, width):
        last = min(first + width, count)
        block = np.zeros((last, last - first))
        if states.along_order:
            for end in range(first, last):
                if end:
                    largest[:end] = np.maximum(largest[:end], values[end - 1])
                block[:, end - first] = largest[:last]
        else:
            for layer in np.argsort(values).tolist():
                before = states.member[:last, layer, None]
                block[states.member[None, first:last, layer] & ~before] = values[layer]
        yield block
