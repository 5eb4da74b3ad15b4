"""Cost of every possible segment between two states, in blocks that stay small.

A state is a set of layers that is closed under "what must run before": cutting a network between
two states gives a segment. `prefix_states` are those along one order, `all_states` every one.
Of n states there are n * n segments, so their costs are made for some ends at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import numpy as np

from perfmodel.plans.crossings import Crossings, Moved, States
from perfmodel.plans.layers import LayerGraph
from perfmodel.plans.memory import largest_over, segment_bytes, touched_bytes
from perfmodel.plans.units import Unit


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
    readers: list[list[int]] = [[] for _ in range(n)]
    for a, b in layers.edges:
        needs[b] |= 1 << a
        readers[a].append(b)
    found, frontier = {0}, [(0, tuple(i for i in range(n) if not needs[i]))]
    while frontier:
        following = []
        for state, ready in frontier:
            for layer in ready:
                bigger = state | 1 << layer
                if bigger in found:
                    continue
                found.add(bigger)
                if len(found) > limit:
                    return None
                freed = [r for r in readers[layer] if needs[r] & ~bigger == 0]
                following.append((bigger, (*(i for i in ready if i != layer), *freed)))
        frontier = following
    ordered = sorted(found, key=lambda s: (s.bit_count(), s))
    member = np.array([[bool(s >> i & 1) for i in range(n)] for s in ordered], dtype=bool)
    return States(member.reshape(len(ordered), n), True)


BLOCK_NUMBERS = 1_000_000
"""Of a matrix of one block: 8 MB, of which some ten are in use at a time."""


@dataclass(frozen=True, kw_only=True)
class SegmentParts:
    """One segment on one unit: running its layers (dispatch and slow storage included), moving
    tensors in, moving tensors out; infinite where the unit cannot run it or hold its weights."""

    running_ms: float
    inward_ms: float
    outward_ms: float
    energy_mj: float

    @property
    def latency_ms(self) -> float:
        """Time of the segment."""
        return self.running_ms + self.inward_ms + self.outward_ms


NOTHING = SegmentParts(running_ms=0.0, inward_ms=0.0, outward_ms=0.0, energy_mj=0.0)
"""The segment of no layers."""


@dataclass(frozen=True)
class SegmentCosts:
    """Costs of the segment from any state to any other on every unit; infinite where the first is
    not inside the second, and for the segments (unit, first, second) in `beyond`: those whose
    activations were found not to fit into the unit's memory."""

    layers: LayerGraph
    states: States
    units: tuple[Unit, ...]
    beyond: frozenset[tuple[int, int, int]] = frozenset()

    def parts(self, unit: int, a: int, b: int) -> SegmentParts:
        """The segment from state a to state b on a unit; a must be inside b."""
        one, member = self.units[unit], self.states.member
        chosen = self.chosen(a, b)
        moved = self._crossings[one.moves_ends].of(member[a], member[b])
        running = float(one.layer_ms[chosen].sum()) + one.dispatch_ms
        running += 0.0 if chosen.all() else one.cut_ms
        if one.storage is not None and one.storage.heavy[chosen].any():
            running += float(one.storage.extra_ms[chosen].sum())
        energy = 0.0
        if one.layer_mj is not None:
            energy = one.busy_mj(running, float(one.layer_mj[chosen].sum()))
        energy += float(one.inward.energy_mj(moved.tensors_in, moved.bytes_in))
        energy += float(one.outward.energy_mj(moved.tensors_out, moved.bytes_out))
        if np.isfinite(one.memory_bytes):
            held = self._weights[chosen].sum() + self._touched[chosen].max(initial=0.0)
            if held * one.memory_scale > one.memory_bytes or (unit, a, b) in self.beyond:
                running = np.inf
        inward = float(one.inward.latency_ms(moved.tensors_in, moved.bytes_in))
        outward = float(one.outward.latency_ms(moved.tensors_out, moved.bytes_out))
        return SegmentParts(
            running_ms=running,
            inward_ms=inward,
            outward_ms=outward,
            energy_mj=energy if np.isfinite(running + inward + outward) else np.inf,
        )

    def chosen(self, a: int, b: int) -> np.ndarray:
        """The layers of the segment from state a to state b, shape (layers,)."""
        return self.states.member[b] & ~self.states.member[a]

    def held_bytes(self, unit: int, a: int, b: int) -> float:
        """Weights and activations of a segment at the unit's precision, by a plan of its arena."""
        return segment_bytes(self.layers, self.chosen(a, b)) * self.units[unit].memory_scale

    def weights_bytes(self, unit: int, a: int, b: int) -> float:
        """Weights of a segment at the unit's precision."""
        return float(self._weights[self.chosen(a, b)].sum()) * self.units[unit].memory_scale

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Latency on the fastest unit (ms) of segments that end in some states, in their order.

        Yields the ends and an array of shape (states up to the last end, ends).
        """
        width = max(1, BLOCK_NUMBERS // len(self.states))
        for ends, latency, _ in self._blocks(width, energies=False):
            yield ends, np.minimum.reduce(latency)

    @property
    def latency_ms(self) -> tuple[np.ndarray, ...]:
        """Latency of every segment by unit, shape (states, states); for networks of few states."""
        return self._dense[0]

    @property
    def energy_mj(self) -> tuple[np.ndarray, ...]:
        """Energy of every segment by unit, shape (states, states)."""
        return self._dense[1]

    @cached_property
    def _dense(self) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        (_, latency, energy), *_ = self._blocks(len(self.states), energies=True)
        return tuple(latency), tuple(energy)

    @cached_property
    def _weights(self) -> np.ndarray:
        return np.array(self.layers.weights_bytes, dtype=float)

    @cached_property
    def _touched(self) -> np.ndarray:
        return touched_bytes(self.layers)

    @cached_property
    def _crossings(self) -> dict[bool, Crossings]:
        ends = {unit.moves_ends for unit in self.units}
        return {e: Crossings.of_layers(self.layers, with_ends=e) for e in ends}

    def _blocks(
        self, width: int, *, energies: bool
    ) -> Iterator[tuple[slice, list[np.ndarray], list[np.ndarray]]]:
        """Latency and energy by unit of the segments that end in each `width` states."""
        sums = [_UnitSums(unit, self._weights, self.states) for unit in self.units]
        limited = any(np.isfinite(unit.memory_bytes) for unit in self.units)
        largest = largest_over(self.states, self._touched, width) if limited else repeat(None)
        moving = {e: c.blocks(self.states, width) for e, c in self._crossings.items()}
        for first in range(0, len(self.states), width):
            ends = slice(first, min(first + width, len(self.states)))
            inside = _inside(self.states, ends)
            moved_by = {e: next(blocks) for e, blocks in moving.items()}
            moved = [moved_by[unit.moves_ends] for unit in self.units]
            touched = next(largest)
            latency, energy = [], []
            for u, (one, tensors) in enumerate(zip(sums, moved, strict=True)):
                running = one.running_ms(ends)
                allowed = inside & one.fits(ends, touched)
                for _, a, b in (s for s in self.beyond if s[0] == u and first <= s[2] < ends.stop):
                    allowed[a, b - first] = False
                latency.append(one.latency_ms(running, tensors, allowed))
                if energies:
                    energy.append(one.energy_mj(ends, running, tensors, latency[-1]))
            yield ends, latency, energy


def segment_costs(layers: LayerGraph, states: States, units: Sequence[Unit]) -> SegmentCosts:
    """Latency and energy of every segment on every unit."""
    return SegmentCosts(layers, states, tuple(units))


def _inside(states: States, ends: slice) -> np.ndarray:
    """Whether state a is inside another state b; shape (states up to the last end, ends)."""
    starts, finish = np.arange(ends.stop)[:, None], np.arange(ends.start, ends.stop)[None, :]
    if states.along_order:
        return starts < finish
    outside = (~states.member[ends]).astype(np.float32)
    missing = states.member[: ends.stop].astype(np.float32) @ outside.T
    return (missing < 0.5) & (starts != finish)


class _Sums:
    """Sums of a quantity of layers over segments; infinite where a layer of one is."""

    def __init__(self, states: States, values: np.ndarray) -> None:
        finite = np.isfinite(values)
        self._total = _totals(states, np.where(finite, values, 0.0))
        self._blocked = None if finite.all() else _totals(states, (~finite).astype(float))

    def over(self, ends: slice) -> np.ndarray:
        """Sums over the layers of b that are not in a; shape (states up to the last end, ends)."""
        sums = _differences(self._total, ends)
        if self._blocked is None:
            return sums
        return np.where(_differences(self._blocked, ends) > 0, np.inf, sums)


def _totals(states: States, values: np.ndarray) -> np.ndarray:
    """Sum of `values` over the layers of each state."""
    if states.along_order:
        return np.concatenate(([0.0], np.cumsum(values)))
    return np.array([values[row].sum() for row in states.member])


def _differences(total: np.ndarray, ends: slice) -> np.ndarray:
    return total[None, ends] - total[: ends.stop, None]


class _UnitSums:
    """What the costs of all segments on one unit are made of."""

    def __init__(self, unit: Unit, weights: np.ndarray, states: States) -> None:
        self._unit, self._states = unit, states
        self._running = _Sums(states, unit.layer_ms)
        self._energy = None if unit.layer_mj is None else _Sums(states, unit.layer_mj)
        self._weights = _Sums(states, weights) if np.isfinite(unit.memory_bytes) else None
        if unit.storage is not None:
            self._heavy = _Sums(states, unit.storage.heavy.astype(float))
            self._extra = _Sums(states, unit.storage.extra_ms)

    def running_ms(self, ends: slice) -> np.ndarray:
        """Time of the segments from each state up to some ends without moving tensors."""
        unit = self._unit
        ms = self._running.over(ends) + (unit.dispatch_ms + unit.cut_ms)
        if ends.stop == len(self._states) and np.isfinite(ms[0, -1]):
            ms[0, -1] -= unit.cut_ms  # the whole network is not cut
        if unit.storage is not None:
            ms += np.where(self._heavy.over(ends) > 0, self._extra.over(ends), 0.0)
        return ms

    def fits(self, ends: slice, touched: np.ndarray | None) -> np.ndarray | bool:
        """Whether weights and the most that an operator touches fit into the unit's memory."""
        if self._weights is None or touched is None:
            return True
        held = self._weights.over(ends) + touched
        return np.asarray(held * self._unit.memory_scale <= self._unit.memory_bytes)

    def latency_ms(self, running_ms: np.ndarray, moved: Moved, allowed: np.ndarray) -> np.ndarray:
        """Latency of the same segments; infinite where they are not allowed."""
        unit = self._unit
        ms = running_ms + unit.inward.latency_ms(moved.tensors_in, moved.bytes_in)
        ms += unit.outward.latency_ms(moved.tensors_out, moved.bytes_out)
        return np.where(allowed, ms, np.inf)

    def energy_mj(
        self, ends: slice, running_ms: np.ndarray, moved: Moved, latency_ms: np.ndarray
    ) -> np.ndarray:
        """Energy of the same segments; infinite where their latency is."""
        unit = self._unit
        mj = np.zeros_like(latency_ms)
        if self._energy is not None:
            finite = np.where(np.isfinite(running_ms), running_ms, 0.0)
            mj = unit.busy_mj(finite, self._energy.over(ends))
        mj = mj + unit.inward.energy_mj(moved.tensors_in, moved.bytes_in)
        mj = mj + unit.outward.energy_mj(moved.tensors_out, moved.bytes_out)
        return np.where(np.isfinite(latency_ms), mj, np.inf)
