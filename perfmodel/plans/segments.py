"""Cost of every possible segment, as matrices over (first cut, last cut) or pairs of states.

A state is a set of layers that is closed under "what must run before": cutting a network between
two states gives a segment. `prefix_states` are those along one order, `all_states` every one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.plans.layers import Crossing, LayerGraph
from perfmodel.plans.units import Unit


@dataclass(frozen=True)
class States:
    """States as rows of a boolean matrix (states, layers), smaller before larger.

    The first is empty, the last full. `exhaustive` says whether they are all the states there are;
    `along_order` that state i holds just the first i layers.
    """

    member: np.ndarray
    exhaustive: bool
    along_order: bool = False

    def __len__(self) -> int:
        return len(self.member)


def prefix_states(layers: LayerGraph) -> States:
    """The states along the layers' own order; all of them if the network is a chain."""
    n = len(layers)
    chain = all((i, i + 1) in layers.edges for i in range(n - 1))
    return States(np.tri(n + 1, n, -1, dtype=bool), chain, along_order=True)


def order_states(order: Sequence[int]) -> States:
    """The states along any order in which the layers can run."""
    n = len(order)
    member = np.zeros((n + 1, n), dtype=bool)
    for i, layer in enumerate(order, 1):
        member[i:, layer] = True
    return States(member, False)


def all_states(layers: LayerGraph, limit: int) -> States | None:
    """Every state, or None if there are more than `limit`; ordered by size, then by layers."""
    n = len(layers)
    needs = [0] * n
    for a, b in layers.edges:
        needs[b] |= 1 << a
    found, frontier = {0}, [0]
    while frontier:
        following = []
        for state in frontier:
            for layer in range(n):
                bit = 1 << layer
                if not state & bit and needs[layer] & ~state == 0 and state | bit not in found:
                    found.add(state | bit)
                    following.append(state | bit)
                    if len(found) > limit:
                        return None
        frontier = following
    ordered = sorted(found, key=lambda s: (s.bit_count(), s))
    member = np.array([[bool(s >> i & 1) for i in range(n)] for s in ordered], dtype=bool)
    return States(member.reshape(len(ordered), n), True)


Moved = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Tensors taken in, their bytes, tensors handed on, their bytes; each of shape (states, states)."""


@dataclass(frozen=True)
class SegmentCosts:
    """Costs of the segment from state a to state b, shape (states, states); inf where a is not
    inside b. `latency_ms[u]` and `energy_mj[u]` are those on unit u."""

    latency_ms: tuple[np.ndarray, ...]
    energy_mj: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class SegmentParts:
    """Latency of every segment on one unit in parts, shape (states, states): running its layers
    (dispatch and slow storage included), moving tensors in, moving tensors out."""

    running_ms: np.ndarray
    inward_ms: np.ndarray
    outward_ms: np.ndarray


def segment_parts(layers: LayerGraph, states: States, unit: Unit) -> SegmentParts:
    """The parts of every segment's latency on a unit; meaningless where a is not inside b."""
    return _parts(states.member, _moved_of(layers, states, unit.moves_ends), unit)


def _parts(member: np.ndarray, moved: Moved, unit: Unit) -> SegmentParts:
    tensors_in, bytes_in, tensors_out, bytes_out = moved
    running = _sums(member, unit.layer_ms) + unit.dispatch_ms + unit.cut_ms
    running[0, -1] -= unit.cut_ms if np.isfinite(running[0, -1]) else 0.0
    return SegmentParts(
        running + _storage_penalty(member, unit),
        unit.inward.latency_ms(tensors_in, bytes_in),
        unit.outward.latency_ms(tensors_out, bytes_out),
    )


def segment_costs(layers: LayerGraph, states: States, units: Sequence[Unit]) -> SegmentCosts:
    """Latency and energy of every segment on every unit."""
    member = states.member
    inside = ~(member.astype(np.float32) @ (~member).astype(np.float32).T > 0.5)
    np.fill_diagonal(inside, False)
    moved_by = {ends: _moved_of(layers, states, ends) for ends in {u.moves_ends for u in units}}
    weights = _sums(member, np.array(layers.weights_bytes, dtype=float))
    latency, energy = [], []
    for unit in units:
        moved = tensors_in, bytes_in, tensors_out, bytes_out = moved_by[unit.moves_ends]
        parts = _parts(member, moved, unit)
        ms = parts.running_ms + parts.inward_ms + parts.outward_ms
        latency.append(np.where(inside & (weights <= unit.memory_bytes), ms, np.inf))
        mj = _running_mj(member, parts.running_ms, unit)
        mj = mj + unit.inward.energy_mj(tensors_in, bytes_in)
        mj = mj + unit.outward.energy_mj(tensors_out, bytes_out)
        energy.append(np.where(np.isfinite(latency[-1]), mj, np.inf))
    return SegmentCosts(tuple(latency), tuple(energy))


def _running_mj(member: np.ndarray, running_ms: np.ndarray, unit: Unit) -> np.ndarray:
    """Energy of every segment while the unit runs it; 0 where its power is not known."""
    if unit.layer_mj is None:
        return np.zeros_like(running_ms)
    finite = np.where(np.isfinite(running_ms), running_ms, 0.0)
    mj = unit.active_mw * finite / 1e3 + _sums(member, unit.layer_mj)
    return np.minimum(mj, unit.most_mw * finite / 1e3) if np.isfinite(unit.most_mw) else mj


def _sums(member: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum of `values` over the layers of b that are not in a; infinite where one of them is."""
    finite = np.where(np.isfinite(values), values, 0.0)
    total = member @ finite
    sums = total[None, :] - total[:, None]
    if np.isfinite(values).all():
        return sums
    blocked = member.astype(float) @ (~np.isfinite(values)).astype(float)
    return np.where(blocked[None, :] > blocked[:, None], np.inf, sums)


def _storage_penalty(member: np.ndarray, unit: Unit) -> np.ndarray | float:
    """Extra time of a segment whose unit falls back to slow storage."""
    if unit.storage is None:
        return 0.0
    count = member.astype(float) @ unit.storage.heavy.astype(float)
    falls_back = count[None, :] > count[:, None]
    return np.where(falls_back, _sums(member, unit.storage.extra_ms), 0.0)


def _moved_of(layers: LayerGraph, states: States, ends: bool) -> Moved:
    """What every segment takes in and hands on; with the network's own input and output or not."""
    n = len(layers)
    crossings = layers.crossings if ends else _inner(layers.crossings, n)
    if states.along_order:
        return _moved_along_order(crossings, n)
    return _moved(crossings, n, states.member)


def _inner(crossings: Sequence[Crossing], n: int) -> tuple[Crossing, ...]:
    """The tensors between layers, without the caller as their maker or reader."""
    inner = ((c, tuple(r for r in c.readers if r < n)) for c in crossings if c.maker >= 0)
    return tuple(replace(c, readers=readers) for c, readers in inner if readers)


def _moved_along_order(crossings: Sequence[Crossing], n: int) -> Moved:
    """`_moved` for prefix states, in time linear in the lives of tensors: the condition on the
    segment's end is an interval, so its ends are marked and summed up once."""
    tensors_in, bytes_in, tensors_out, bytes_out = (np.zeros((n + 1, n + 2)) for _ in range(4))
    for crossing in crossings:
        size, first = crossing.size_bytes, crossing.maker + 1
        for reader in crossing.readers:
            if reader < n:
                # segments that start after the maker and after the reader before, up to the reader
                tensors_in[first : reader + 1, reader + 1] += 1
                bytes_in[first : reader + 1, reader + 1] += size
                first = reader + 1
        if crossing.maker >= 0:
            last = crossing.readers[-1]
            for matrix, amount in ((tensors_out, 1), (bytes_out, size)):
                matrix[: crossing.maker + 1, crossing.maker + 1] += amount
                matrix[: crossing.maker + 1, last + 1] -= amount

    def summed(matrix: np.ndarray) -> np.ndarray:
        return np.cumsum(matrix, axis=1)[:, : n + 1]

    return summed(tensors_in), summed(bytes_in), summed(tensors_out), summed(bytes_out)


def _moved(crossings: Sequence[Crossing], n: int, member: np.ndarray) -> Moved:
    """Tensors and bytes that the segment from a to b takes in and hands on.

    What holds of a alone and of b alone is a product of matrices over tensors; only tensors with
    several readers need a look at each pair.
    """
    sizes = np.array([float(c.size_bytes) for c in crossings])
    made, read, unread = (np.zeros((len(member), len(crossings))) for _ in range(3))
    for i, crossing in enumerate(crossings):
        readers = [r for r in crossing.readers if r < n]
        made[:, i] = member[:, crossing.maker] if crossing.maker >= 0 else 1.0
        read[:, i] = member[:, readers].sum(axis=1)
        unread[:, i] = read[:, i] < len(crossing.readers)
    # handed on: made between a and b, and a reader lies outside b
    handed = np.zeros((len(member), len(crossings)))
    for i, crossing in enumerate(crossings):
        if crossing.maker >= 0:
            handed[:, i] = made[:, i] * unread[:, i]
    tensors_out, bytes_out = ((1.0 - made) * w @ handed.T for w in (np.ones_like(sizes), sizes))
    # taken in: made before a, and a reader lies in b but not in a
    single = np.array([len(c.readers) == 1 for c in crossings], dtype=bool)
    waiting, reached = (made * (read == 0))[:, single], read[:, single]
    tensors_in = waiting @ reached.T
    bytes_in = waiting * sizes[single] @ reached.T
    for i in np.flatnonzero(~single).tolist():
        taken = (made[:, i] > 0)[:, None] & (read[None, :, i] > read[:, None, i])
        np.add(tensors_in, 1.0, out=tensors_in, where=taken)
        np.add(bytes_in, sizes[i], out=bytes_in, where=taken)
    return tensors_in, bytes_in, tensors_out, bytes_out
