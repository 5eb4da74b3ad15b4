"""Activation memory: which tensors live at once, and the arena a greedy planner packs them into.

The planner is TensorFlow Lite's (`arena_planner.cc`, `simple_memory_arena.cc`): tensors in order of
falling size, each into the smallest gap between the tensors that live at the same time. Graph
inputs and outputs live to the end, as there. Scratch buffers of single kernels are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
    placed: list[tuple[int, str]] = []
    for name in order:
        neighbours = sorted((o, n) for o, n in placed if lives[n].overlaps(lives[name]))
        offset = _best_gap(neighbours, lives, lives[name].size_bytes, alignment)
        offsets[name] = offset
        placed.append((offset, name))
    return offsets


def _best_gap(
    neighbours: list[tuple[int, str]], lives: Mapping[str, Lifetime], size: int, alignment: int
) -> int:
    cursor = 0
    best_offset, best_room = -1, -1
    for offset, name in neighbours:
        room = offset - cursor
        if room >= size and (best_offset < 0 or room < best_room):
            best_offset, best_room = cursor, room
        cursor = max(cursor, -(-(offset + lives[name].size_bytes) // alignment) * alignment)
    return cursor if best_offset < 0 else best_offset


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
    return plan_memory(graph).arena_bytes
