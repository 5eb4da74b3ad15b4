"""Plans within the memory of their units: the best whose parts fit together, found by branching.

A plan is solved without looking at what its segments hold together; where those of a unit hold too
much, one of them at least must go, so each is left out in turn and the plans are solved again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np

from perfmodel.errors import PartitionError
from perfmodel.plans.optimal import Path
from perfmodel.plans.problem import Problem
from perfmodel.plans.segments import SegmentCosts
from perfmodel.units import format_bytes

MOST_PLANS = 300
"""That are solved for one answer; more are needed only where a limit leaves hardly any plan."""

Segment = tuple[int, int, int]
"""Unit and the states that a segment leads from and to."""


def with_limits(made: Problem, memory: Mapping[str, float]) -> Problem:
    """The problem with what its units may hold, in bytes, by unit ("cpu", "cloud") or by target.

    Raises `PartitionError` for a unit that is not there and a limit that is no size.
    """
    known = [name for unit in made.units for name in (unit.name, unit.target)]
    for name, limit in memory.items():
        if name not in known:
            raise PartitionError(
                f"memory of {name!r}: no such unit", f"units are {', '.join(known[::2])}"
            )
        if not 0 < limit < float("inf"):
            raise PartitionError(f"memory of {name!r} must be above 0 bytes, got {limit:g}")
    units = tuple(
        replace(u, memory_bytes=memory.get(u.target, memory.get(u.name, u.memory_bytes)))
        for u in made.units
    )
    return replace(made, units=units)


def within_memory(
    costs: SegmentCosts,
    solve: Callable[[SegmentCosts], Path],
    objective: Callable[[Path], float] = lambda path: path.latency_ms,
) -> tuple[Path, SegmentCosts]:
    """The best plan of `solve` whose parts fit into their units, and the costs it was found by.

    Raises `PartitionError` where there is none, with what the network needs.
    """
    if not any(np.isfinite(unit.memory_bytes) for unit in costs.units):
        return solve(costs), costs
    solved: set[frozenset[Segment]] = set()
    open_plans: list[tuple[float, int, Path, SegmentCosts]] = []

    def push(narrowed: SegmentCosts) -> None:
        if narrowed.beyond in solved:
            return
        solved.add(narrowed.beyond)
        try:
            path = solve(narrowed)
        except PartitionError:
            return  # no plan without that segment
        if np.isfinite(objective(path)):
            heappush(open_plans, (objective(path), len(solved), path, narrowed))

    push(costs)
    while open_plans and len(solved) < MOST_PLANS:
        _, _, path, narrowed = heappop(open_plans)
        together = _too_much(narrowed, path)
        if not together:
            return path, narrowed
        for segment in together:
            push(replace(narrowed, beyond=narrowed.beyond | {segment}))
    raise _refusal(costs, searched=not open_plans)


def _too_much(costs: SegmentCosts, path: Path) -> list[Segment]:
    """Segments that one of them must leave: one that is too large, or all of an overfull unit."""
    of_unit: dict[int, list[Segment]] = {}
    for u, (a, b) in zip(path.units, pairwise(path.states), strict=True):
        if np.isfinite(costs.units[u].memory_bytes):
            of_unit.setdefault(u, []).append((u, a, b))
    for u, mine in of_unit.items():
        limit = costs.units[u].memory_bytes
        for segment in mine:
            if costs.held_bytes(*segment) > limit:
                return [segment]
        if unit_bytes(costs, mine) > limit:
            return mine
    return []


def unit_bytes(costs: SegmentCosts, mine: list[Segment]) -> float:
    """What the segments of one unit hold: the weights of all, the activations of the largest."""
    weights = [costs.weights_bytes(*segment) for segment in mine]
    held = [costs.held_bytes(*segment) for segment in mine]
    return sum(weights) + max(h - w for h, w in zip(held, weights, strict=True))


def memory_notes(costs: SegmentCosts, path: Path, whole: int) -> tuple[str, ...]:
    """What each unit with a limit holds in a plan, and that the whole network would not fit the
    unit that a plan is compared with."""
    notes = []
    for u, unit in enumerate(costs.units):
        pieces = zip(path.units, pairwise(path.states), strict=True)
        mine = [(u, a, b) for v, (a, b) in pieces if v == u]
        if mine and np.isfinite(unit.memory_bytes):
            held, limit = format_bytes(unit_bytes(costs, mine)), format_bytes(unit.memory_bytes)
            notes.append(f"memory of {unit.target}: {held} of {limit}")
    last, unit = len(costs.states) - 1, costs.units[whole]
    if np.isfinite(unit.memory_bytes) and costs.held_bytes(whole, 0, last) > unit.memory_bytes:
        needed = format_bytes(costs.held_bytes(whole, 0, last))
        notes.append(f"in one piece the network would not fit {unit.target}: it takes {needed}")
    return tuple(notes)


def _refusal(costs: SegmentCosts, *, searched: bool) -> PartitionError:
    last = len(costs.states) - 1
    limits = [
        f"{unit.target} may hold {format_bytes(unit.memory_bytes)} and the whole network takes "
        f"{format_bytes(costs.held_bytes(u, 0, last))} there"
        for u, unit in enumerate(costs.units)
        if np.isfinite(unit.memory_bytes)
    ]
    found = "no plan fits" if searched else f"none of the best {MOST_PLANS} plans fits"
    return PartitionError(
        f"{costs.layers.graph.name}: {found} into memory: {'; '.join(limits)}",
        "allow more memory, further --units or more segments (-k)",
    )
