"""The best plan: dynamic programming over segments, and minimum cut for two sides.

Ties are broken the same way every time: fewer segments first, then the earlier state, then the
earlier unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np

from perfmodel.errors import PartitionError
from perfmodel.plans.layers import LayerGraph
from perfmodel.plans.segments import SegmentCosts
from perfmodel.plans.units import Transfer, Unit


@dataclass(frozen=True)
class Path:
    """A plan as states: segment s runs from `states[s]` to `states[s + 1]` on `units[s]`."""

    states: tuple[int, ...]
    units: tuple[int, ...]
    latency_ms: float
    energy_mj: float


def best_path(costs: SegmentCosts, max_segments: int) -> Path:
    """The plan of least latency with at most `max_segments` segments.

    Raises `PartitionError` where no plan exists (an operator no unit runs, memory too small).
    """
    count = len(costs.states)
    total = np.full((max_segments + 1, count), np.inf)
    total[0, 0] = 0.0
    back = np.zeros((max_segments, count), dtype=np.int64)
    for ends, latency in costs.blocks():
        # states inside of others come before them, so what a step needs is there
        for step in range(max_segments):
            through = total[step, : ends.stop, None] + latency
            back[step, ends] = through.argmin(axis=0)
            total[step + 1, ends] = through.min(axis=0)
    finals = total[1:, -1].tolist()
    if not np.isfinite(min(finals)):
        raise PartitionError(
            f"no plan of at most {max_segments} segments exists",
            "a unit cannot run an operator, or its memory is too small",
        )
    states = [count - 1]
    for step in reversed(range(_first_minimum(finals))):
        states.append(int(back[step, states[-1]]))
    return path_through(costs, tuple(reversed(states)))


def path_through(costs: SegmentCosts, states: tuple[int, ...]) -> Path:
    """The plan along given states, each segment on the unit that is fastest for it."""
    segments = [
        [costs.parts(u, a, b) for u in range(len(costs.units))] for a, b in pairwise(states)
    ]
    units = tuple(min(range(len(of)), key=lambda u: of[u].latency_ms) for of in segments)
    chosen = [of[u] for of, u in zip(segments, units, strict=True)]
    return Path(states, units, sum(c.latency_ms for c in chosen), sum(c.energy_mj for c in chosen))


def _first_minimum(finals: Sequence[float]) -> int:
    """The fewest segments that reach the minimum, sums of the same times taken as equal."""
    best = min(finals) * (1 + 1e-12)
    return next(i for i, value in enumerate(finals, 1) if value <= best)


def least_energy_path(costs: SegmentCosts, max_segments: int, deadline_ms: float) -> Path:
    """The plan of least energy whose latency is at most `deadline_ms`.

    Keeps at every state the plans that no other beats in both latency and energy, so it is exact.
    Raises `PartitionError` if even the fastest plan is too slow.
    """
    count = len(costs.latency_ms[0])
    labels: list[list[_Label]] = [[] for _ in range(count)]
    labels[0] = [_Label(0.0, 0.0, (0,), ())]
    finished: list[_Label] = []
    for _ in range(max_segments):
        labels = _extend(costs, labels, deadline_ms)
        finished += labels[-1]
    if not finished:
        fastest = best_path(costs, max_segments).latency_ms
        raise PartitionError(
            f"no plan of at most {max_segments} segments meets {deadline_ms:g} ms",
            f"the fastest takes {fastest:.3g} ms",
        )
    best = min(finished, key=lambda x: (x.energy_mj, x.latency_ms, len(x.units), x.states))
    return Path(best.states, best.units, best.latency_ms, best.energy_mj)


@dataclass(frozen=True)
class _Label:
    latency_ms: float
    energy_mj: float
    states: tuple[int, ...]
    units: tuple[int, ...]


def _extend(
    costs: SegmentCosts, labels: Sequence[Sequence[_Label]], deadline_ms: float
) -> list[list[_Label]]:
    following: list[list[_Label]] = [[] for _ in labels]
    for a, here in enumerate(labels):
        for label in here:
            for u, latency in enumerate(costs.latency_ms):
                row = latency[a] + label.latency_ms
                for b in np.flatnonzero(row <= deadline_ms):
                    energy = label.energy_mj + float(costs.energy_mj[u][a, b])
                    states, units = (*label.states, int(b)), (*label.units, u)
                    following[b].append(_Label(float(row[b]), energy, states, units))
    return [_undominated(made) for made in following]


def _undominated(labels: Sequence[_Label]) -> list[_Label]:
    kept: list[_Label] = []
    for label in sorted(labels, key=lambda x: (x.latency_ms, x.energy_mj, x.states, x.units)):
        if not kept or label.energy_mj < kept[-1].energy_mj:
            kept.append(label)
    return kept


_FLOW_UNITS = 2.5e8
"""Maximum flow wants 32-bit whole numbers: times are counted in so many parts of their sum to find
the cut; its cost is then summed from the exact times."""


@dataclass(frozen=True)
class Sides:
    """Which layers run on the far unit, and what that costs."""

    far: tuple[bool, ...]
    latency_ms: float


def two_sides(layers: LayerGraph, near: Unit, far: Unit, up: Transfer, down: Transfer) -> Sides:
    """The assignment of layers to two units of least total time, by minimum cut.

    Every layer runs on one side; a tensor that is read on the other side moves once, `up` to the
    far side, `down` back; inputs start and outputs end on the near side. Exact for any directed
    acyclic graph up to the rounding of times to 4e-9 of their sum.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    network = _flow_network(layers, near, far, up, down)
    size, source, sink = network.size, network.source, network.sink
    rows, columns, values = zip(*((a, b, c) for (a, b), c in network.edges.items()), strict=True)
    capacity = csr_matrix((values, (rows, columns)), shape=(size, size), dtype=np.int32)
    flow = maximum_flow(capacity, source, sink).flow
    residual = capacity - flow
    residual.data = np.where(residual.data > 0, 1, 0).astype(np.int32)
    residual.eliminate_zeros()
    reached = set(breadth_first_order(residual, source, return_predecessors=False).tolist())
    # a node on the source's side of the minimum cut runs near, the others far
    chosen = tuple(i not in reached for i in range(len(layers)))
    return Sides(chosen, sides_latency_ms(layers, chosen, near, far, up, down))


def sides_latency_ms(
    layers: LayerGraph,
    far: Sequence[bool],
    near_unit: Unit,
    far_unit: Unit,
    up: Transfer,
    down: Transfer,
) -> float:
    """Time of an assignment: layers one after another, each crossing tensor moved once a way."""
    total = sum(
        float(far_unit.layer_ms[i] if is_far else near_unit.layer_ms[i])
        for i, is_far in enumerate(far)
    )
    for crossing in layers.crossings:
        from_far = crossing.maker >= 0 and far[crossing.maker]
        to = {r < len(layers) and far[r] for r in crossing.readers}
        if not from_far and True in to:
            total += float(up.latency_ms(1, crossing.size_bytes))
        if from_far and False in to:
            total += float(down.latency_ms(1, crossing.size_bytes))
    return total


def alternating_order(layers: LayerGraph, far: Sequence[bool]) -> tuple[int, ...]:
    """An order in which the layers can run that changes sides as late as possible, near first."""
    n = len(layers)
    readers: list[list[int]] = [[] for _ in range(n)]
    waiting = [0] * n
    for a, b in layers.edges:
        readers[a].append(b)
        waiting[b] += 1
    ready: tuple[list[int], list[int]] = ([], [])  # near and far, as heaps
    for i in range(n):
        if not waiting[i]:
            heappush(ready[bool(far[i])], i)
    order: list[int] = []
    side = False
    while len(order) < n:
        if not ready[side]:
            side = not side
            continue
        # the first ready one, so that the order is that of the layers wherever sides allow
        order.append(heappop(ready[side]))
        for reader in readers[order[-1]]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(ready[bool(far[reader])], reader)
    return tuple(order)


@dataclass
class _Network:
    size: int
    source: int
    sink: int
    edges: dict[tuple[int, int], int]


def _flow_network(
    layers: LayerGraph, near: Unit, far: Unit, up: Transfer, down: Transfer
) -> _Network:
    """Nodes: layers, source (near), sink (far), and two helpers a tensor so that it moves once."""
    n = len(layers)
    source, sink, size = n, n + 1, n + 2
    edges: dict[tuple[int, int], int] = {}
    most = np.iinfo(np.int32).max // 4
    moves = [float(t.latency_ms(1, c.size_bytes)) for c in layers.crossings for t in (up, down)]
    times = np.concatenate([near.layer_ms, far.layer_ms, moves])
    resolution_ms = max(float(times[np.isfinite(times)].sum()), 1e-9) / _FLOW_UNITS

    def add(a: int, b: int, ms: float) -> None:
        units = most if not np.isfinite(ms) else round(ms / resolution_ms)
        edges[a, b] = min(most, edges.get((a, b), 0) + units)

    for i in range(n):
        add(source, i, float(far.layer_ms[i]))  # cut if the layer runs far
        add(i, sink, float(near.layer_ms[i]))  # cut if it runs near
    for crossing in layers.crossings:
        maker = source if crossing.maker < 0 else crossing.maker
        readers = [source if r >= n else r for r in crossing.readers]
        for near_to_far, transfer in ((True, up), (False, down)):
            helper, size = size, size + 1
            ms = float(transfer.latency_ms(1, crossing.size_bytes))
            a, b = (maker, helper) if near_to_far else (helper, maker)
            add(a, b, ms)
            for reader in readers:
                a, b = (helper, reader) if near_to_far else (reader, helper)
                add(a, b, float("inf"))
    edges = {(a, b): c for (a, b), c in edges.items() if a != b and c > 0}
    return _Network(size, source, sink, edges)
