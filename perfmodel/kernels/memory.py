"""Activation memory: which tensors live at once, and the arena a greedy planner packs them into.

The planner is TensorFlow Lite's (`arena_planner.cc`, `simple_memory_arena.cc`): tensors in order of
falling size, each into the smallest gap between the tensors that live at the same time. Graph
inputs and outputs live to the end, as there. Scratch buffers of single kernels are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.graph.ir import Graph, Op

ALIGNMENT_BYTES = 64
"""TensorFlow Lite's `kDefaultTensorAlignment`."""

VIEW_KINDS = frozenset({"reshape", "view", "identity"})
"""Operators that only rename their input: the output shares its memory."""

IN_PLACE_KINDS = frozenset({"add", "sub", "mul", "div"})
"""Element-wise operators that may write over an input which nobody else reads any more."""


@dataclass(frozen=True)
class Lifetime:
    """A tensor's bytes and the first and last op index at which its memory is taken."""

    size_bytes: int
    first_op: int
    last_op: int

    def overlaps(self, other: Lifetime) -> bool:
        """Whether both need memory during some operator."""
        return self.first_op <= other.last_op and other.first_op <= self.last_op


@dataclass(frozen=True)
class MemoryPlan:
    """Byte offset of every activation tensor, the arena they need, and the most that live at once.

    Tensors that share memory have the same offset. `max_live_bytes` bounds `arena_bytes` below.
    """

    offsets: Mapping[str, int]
    arena_bytes: int
    max_live_bytes: int


def _reuses(graph: Graph, op: Op, consumers: Mapping[str, tuple[int, ...]]) -> str | None:
    """The input whose memory the first output of `op` takes over, by TensorFlow Lite's rules."""
    view = op.kind in VIEW_KINDS
    if not (view or op.kind in IN_PLACE_KINDS) or op.outputs[0] in graph.outputs:
        return None
    for tensor in graph.activations_in(op)[: 1 if view else 2]:
        if tensor.name in graph.inputs:
            continue
        if view:
            return tensor.name
        alone = len(consumers.get(tensor.name, ())) == 1 and tensor.name not in graph.outputs
        if alone and tensor.size_bytes == graph.tensors[op.outputs[0]].size_bytes:
            return tensor.name
    return None


def memory_owners(graph: Graph, share: bool = True) -> dict[str, str]:
    """For every activation tensor, the tensor whose memory it uses (itself, if none other's)."""
    consumers = graph.consumers()
    owner = {n: n for n in graph.inputs if not graph.tensors[n].constant}
    for op in graph.ops:
        owner.update({n: n for n in op.outputs if n})
        source = _reuses(graph, op, consumers) if share and op.outputs else None
        if source is not None and source in owner:
            owner[op.outputs[0]] = owner[source]
    return owner


def lifetimes(graph: Graph, share: bool = True) -> dict[str, Lifetime]:
    """When the memory of each owning activation tensor is taken; see `memory_owners`."""
    end = max(0, len(graph.ops) - 1)
    owner = memory_owners(graph, share)
    first = dict.fromkeys(graph.inputs, 0)
    last: dict[str, int] = {}
    for i, op in enumerate(graph.ops):
        for name in op.outputs:
            if name:
                first.setdefault(owner[name], i)
                last[owner[name]] = max(last.get(owner[name], 0), i)
        for name in op.inputs:
            if name in owner:
                last[owner[name]] = max(last.get(owner[name], 0), i)
    last.update({owner[n]: end for n in (*graph.inputs, *graph.outputs) if n in owner})
    sizes: dict[str, int] = {}
    for name, source in owner.items():
        sizes[source] = max(sizes.get(source, 0), graph.tensors[name].size_bytes)
    return {n: Lifetime(sizes[n], first[n], last.get(n, end)) for n in first if n in sizes}


def max_live_bytes(lives: Mapping[str, Lifetime]) -> int:
    """The most bytes that are taken during one operator: a lower bound of any arena."""
    changes: dict[int, int] = {}
    for life in lives.values():
        changes[life.first_op] = changes.get(life.first_op, 0) + life.size_bytes
        changes[life.last_op + 1] = changes.get(life.last_op + 1, 0) - life.size_bytes
    live = peak = 0
    for _, change in sorted(changes.items()):
        live += change
        peak = max(peak, live)
    return peak


def pack(lives: Mapping[str, Lifetime], alignment: int = ALIGNMENT_BYTES) -> dict[str, int]:
    """Byte offset of each tensor, largest first, each into its smallest gap that fits.

    Tensors alive from the first to the last op go first; equal sizes in order of first use.
    """
    end = max((life.last_op for life in lives.values()), default=0)
    order = sorted(
        (n for n in lives if lives[n].size_bytes > 0),
        key=lambda n: (
            not (lives[n].first_op == 0 and lives[n].last_op == end),
            -lives[n].size_bytes,
            lives[n].first_op,
        ),
    )
    offsets = {n: 0 for n in lives if lives[n].size_bytes == 0}
    arena = _Arena(len(order), sum(lives[n].size_bytes + alignment for n in order), alignment)
    for name in order:
        offsets[name] = arena.place(lives[name])
    return offsets


class _Arena:
    """Tensors placed so far, by rising offset: arrays, so that ten thousand of them take a second.

    `most_bytes` bounds the end of the last of `count` tensors.
    """

    def __init__(self, count: int, most_bytes: int, alignment: int) -> None:
        # sizes of networks that nobody could run may pass 64 bits
        kind = np.int64 if most_bytes < np.iinfo(np.int64).max else object
        self._alignment = alignment
        self._placed = 0
        self._first, self._last = (np.zeros(count, dtype=np.int64) for _ in range(2))
        self._start, self._end = (np.zeros(count, dtype=kind) for _ in range(2))

    def place(self, life: Lifetime) -> int:
        """Put a tensor into the smallest gap that fits, the first of equal ones; its offset."""
        k = self._placed
        alive = (self._first[:k] <= life.last_op) & (self._last[:k] >= life.first_op)
        near = np.flatnonzero(alive)
        offset = self._best_gap(self._start[near], self._end[near], life.size_bytes)
        at = int(np.searchsorted(self._start[:k], offset))
        end = -(-(offset + life.size_bytes) // self._alignment) * self._alignment
        columns = (self._first, self._last, self._start, self._end)
        for column, value in zip(columns, (life.first_op, life.last_op, offset, end), strict=True):
            column[at + 1 : k + 1] = column[at:k]
            column[at] = value
        self._placed += 1
        return offset

    @staticmethod
    def _best_gap(starts: np.ndarray, ends: np.ndarray, size: int) -> int:
        """Where the smallest gap below tensors begins that has room, else their common end."""
        if not len(starts):
            return 0
        below = np.maximum.accumulate(ends)
        floor = np.concatenate(([0], below[:-1]))
        room = starts - floor
        fitting = np.flatnonzero(room >= size)
        if not len(fitting):
            return int(below[-1])
        return int(floor[fitting[room[fitting].argmin()]])


def plan_lifetimes(lives: Mapping[str, Lifetime], alignment: int = ALIGNMENT_BYTES) -> MemoryPlan:
    """One arena for tensors whose lifetimes are known, whatever runs them."""
    offsets = pack(lives, alignment)
    arena = max((offsets[n] + lives[n].size_bytes for n in lives), default=0)
    return MemoryPlan(offsets, arena, max_live_bytes(lives))


def plan_memory(graph: Graph, alignment: int = ALIGNMENT_BYTES, share: bool = True) -> MemoryPlan:
    """Offsets of all activations in one arena; `share` lets views and in-place ops reuse memory."""
    plan = plan_lifetimes(lifetimes(graph, share), alignment)
    owner = memory_owners(graph, share)
    every = {n: plan.offsets[source] for n, source in owner.items() if source in plan.offsets}
    return replace(plan, offsets=every)


def peak_activation_bytes(graph: Graph) -> int:
    """Bytes of the arena that holds all activations of one inference of `graph`."""
    return graph.once(peak_activation_bytes, lambda: plan_memory(graph).arena_bytes)
