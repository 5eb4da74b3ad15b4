"""Layers: the pieces a plan may not split (a kernel's operators), and what crosses between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from perfmodel.errors import PartitionError
from perfmodel.graph.ir import Graph
from perfmodel.kernels.kernel import Kernel

DENSE_OPS = frozenset({"fully_connected", "gemm", "bmm", "matmul"})
CONVOLUTION_OPS = frozenset({"conv2d", "transpose_conv2d"})


@dataclass(frozen=True)
class Layer:
    """Operators that run together: indices into the graph's `ops`, ascending, and their kernels.

    `group` is the layer type: "convolutional", "dense", or that of the layer before for what is
    neither (pooling belongs to its convolution, softmax to the classifier).
    """

    ops: tuple[int, ...]
    kernels: tuple[int, ...]
    name: str
    group: str


@dataclass(frozen=True)
class Crossing:
    """A tensor that is computed: who makes it (-1: a graph input) and which layers read it.

    `readers` are layer indices, ascending; a graph output is read by the index after the last.
    """

    tensor: str
    size_bytes: int
    maker: int
    readers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LayerGraph:
    """A graph as layers in an order in which they can run, branches kept together."""

    graph: Graph
    layers: tuple[Layer, ...]
    crossings: tuple[Crossing, ...]
    weights_bytes: tuple[int, ...]
    params: tuple[int, ...]
    largest_weight_bytes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.layers)

    @cached_property
    def edges(self) -> frozenset[tuple[int, int]]:
        """Pairs (maker, reader) of layers."""
        n = len(self)
        return frozenset(
            (c.maker, r) for c in self.crossings for r in c.readers if c.maker >= 0 and r < n
        )

    def ordered_graph(self) -> Graph:
        """The same graph with its operators in layer order, so that a plan can be cut out of it."""
        ops = tuple(self.graph.ops[i] for layer in self.layers for i in layer.ops)
        return replace(self.graph, ops=ops)

    def op_range(self, first: int, last: int) -> tuple[int, int]:
        """Range of `ordered_graph` operators [i, j) of layers first..last inclusive."""
        counts = np.cumsum([0, *(len(layer.ops) for layer in self.layers)])
        return int(counts[first]), int(counts[last + 1])

    def reordered(self, order: Sequence[int]) -> LayerGraph:
        """The same layers in another order in which they can run."""
        place = {old: new for new, old in enumerate(order)}
        n = len(self)
        place |= {-1: -1, n: n}

        def pick(values: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(values[i] for i in order)

        crossings = tuple(
            replace(c, maker=place[c.maker], readers=tuple(sorted(place[r] for r in c.readers)))
            for c in self.crossings
        )
        return LayerGraph(
            graph=self.graph,
            layers=tuple(self.layers[i] for i in order),
            crossings=crossings,
            weights_bytes=pick(self.weights_bytes),
            params=pick(self.params),
            largest_weight_bytes=pick(self.largest_weight_bytes),
        )


def layer_graph(graph: Graph, kernels: Sequence[Kernel]) -> LayerGraph:
    """Group a graph's operators into the given kernels and order the groups depth first.

    Operators in no kernel (views, uncovered ones) join the layer that makes their first input, or
    the next one where another of their inputs comes after that layer.
    Raises `PartitionError` for a graph without operators.
    """
    if not graph.ops:
        raise PartitionError(f"{graph.name}: no operators to partition")
    owner = _owners(graph, kernels)
    members: dict[int, list[int]] = {}
    for op_index, group in enumerate(owner):
        members.setdefault(group, []).append(op_index)
    groups = sorted(members, key=lambda g: members[g][0])
    place = _depth_first(graph, owner, groups)
    ordered = sorted(groups, key=lambda g: place[g])
    kernels_of: dict[int, list[int]] = {}
    index_of = {op.name: i for i, op in enumerate(graph.ops)}
    for number, kernel in enumerate(kernels):
        kernels_of.setdefault(owner[index_of[kernel.fused[0]]], []).append(number)
    owned = [tuple(kernels_of.get(g, ())) for g in ordered]
    kinds = [
        kernels[own[0]].op if own else graph.ops[members[g][0]].kind
        for g, own in zip(ordered, owned, strict=True)
    ]
    names = [
        kernels[own[0]].name if own else graph.ops[members[g][0]].name
        for g, own in zip(ordered, owned, strict=True)
    ]
    layers = tuple(
        Layer(tuple(members[g]), own, name, group)
        for g, own, name, group in zip(ordered, owned, names, _groups(kinds), strict=True)
    )
    layer_of = {op: i for i, layer in enumerate(layers) for op in layer.ops}
    weights = [
        {t.name: t for i in layer.ops for t in graph.weights_of(graph.ops[i])} for layer in layers
    ]
    return LayerGraph(
        graph=graph,
        layers=layers,
        crossings=_crossings(graph, layer_of, len(layers)),
        weights_bytes=tuple(sum(t.size_bytes for t in w.values()) for w in weights),
        params=tuple(sum(t.parameters for t in w.values()) for w in weights),
        largest_weight_bytes=tuple(
            max((t.size_bytes for t in w.values()), default=0) for w in weights
        ),
    )


def _owners(graph: Graph, kernels: Sequence[Kernel]) -> list[int]:
    """Group number of each op; kernels that share an op are one group."""
    group_of_op: dict[str, int] = {}
    for number, kernel in enumerate(kernels):
        shared = next((group_of_op[n] for n in kernel.fused if n in group_of_op), number)
        group_of_op.update(dict.fromkeys(kernel.fused, shared))
    made_by: dict[str, int] = {}
    needs: dict[int, set[int]] = {}
    owners: list[int] = []
    for index, op in enumerate(graph.ops):
        makers = list(dict.fromkeys(made_by[n] for n in op.inputs if n in made_by))
        group = group_of_op.get(op.name)
        if group is None:
            group = next((g for g in makers if _is_last(g, makers, needs)), len(kernels) + index)
        owners.append(group)
        needs.setdefault(group, set()).update(g for g in makers if g != group)
        made_by.update(dict.fromkeys((n for n in op.outputs if n), group))
    return owners


def _is_last(group: int, makers: Sequence[int], needs: Mapping[int, set[int]]) -> bool:
    """Whether none of the other makers needs a group: what joins it then waits for none behind."""
    seen: set[int] = set()
    waiting = [g for g in makers if g != group]
    while waiting:
        found = waiting.pop()
        if found == group:
            return False
        if found not in seen:
            seen.add(found)
            waiting += needs.get(found, ())
    return True


def _depth_first(graph: Graph, owner: Sequence[int], groups: Sequence[int]) -> dict[int, int]:
    """Position of each group in a topological order that follows a branch to its end."""
    maker = {out: owner[i] for i, op in enumerate(graph.ops) for out in op.outputs if out}
    needs: dict[int, set[int]] = {g: set() for g in groups}
    readers: dict[int, set[int]] = {g: set() for g in groups}
    for i, op in enumerate(graph.ops):
        for name in op.inputs:
            source = maker.get(name)
            if source is not None and source != owner[i]:
                needs[owner[i]].add(source)
                readers[source].add(owner[i])
    first = {g: n for n, g in enumerate(groups)}
    stack = sorted((g for g in groups if not needs[g]), key=lambda g: -first[g])
    waiting = {g: len(needs[g]) for g in groups}
    place: dict[int, int] = {}
    while stack:
        group = stack.pop()
        place[group] = len(place)
        for reader in sorted(readers[group], key=lambda g: -first[g]):
            waiting[reader] -= 1
            if waiting[reader] == 0:
                stack.append(reader)
    if len(place) < len(groups):
        raise PartitionError(f"{graph.name}: its kernels depend on each other in a circle")
    return place


def _groups(kinds: Sequence[str]) -> list[str]:
    """Layer types in order; what is neither convolution nor product joins the layer before."""
    own = [
        "dense" if kind in DENSE_OPS else "convolutional" if kind in CONVOLUTION_OPS else ""
        for kind in kinds
    ]
    group, groups = next((g for g in own if g), "convolutional"), []
    for found in own:
        group = found or group
        groups.append(group)
    return groups


def _crossings(graph: Graph, layer_of: dict[int, int], count: int) -> tuple[Crossing, ...]:
    makers = dict.fromkeys(graph.inputs, -1)
    for i, op in enumerate(graph.ops):
        makers.update(dict.fromkeys((n for n in op.outputs if n), layer_of[i]))
    readers: dict[str, set[int]] = {n: set() for n in makers}
    for i, op in enumerate(graph.ops):
        for name in op.inputs:
            if name in readers and makers[name] != layer_of[i]:
                readers[name].add(layer_of[i])
    for name in graph.outputs:
        readers.setdefault(name, set()).add(count)
    return tuple(
        Crossing(name, graph.tensors[name].size_bytes, makers[name], tuple(sorted(who)))
        for name, who in readers.items()
        if who and name in makers
    )


def is_order(layers: LayerGraph, order: Sequence[int]) -> bool:
    """Whether layers can run in this order."""
    place = {layer: n for n, layer in enumerate(order)}
    return len(place) == len(layers) and all(place[a] < place[b] for a, b in layers.edges)
