"""Plans from profiles: which segments of a network run where, what that takes, and what one pays.

`partition` is the front door: it asks the profiles for layer times and transfer costs, cuts by the
criterion and tells the plan's latency beside the unpartitioned one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from perfmodel.answer import Answer
from perfmodel.devices.registry import ProfileFolder, ProfileSource
from perfmodel.errors import PartitionError
from perfmodel.formats.sizes import InputShape
from perfmodel.graph.ir import Graph
from perfmodel.kernels.precisions import stored_precision
from perfmodel.plans.criteria import CRITERIA, counted, cuts, too_many
from perfmodel.plans.curve import CutCurve, cut_curve
from perfmodel.plans.doubts import doubt
from perfmodel.plans.layers import LayerGraph
from perfmodel.plans.limits import memory_notes, with_limits, within_memory
from perfmodel.plans.optimal import Path as PlanPath
from perfmodel.plans.optimal import (
    alternating_order,
    best_path,
    least_energy_path,
    path_through,
    two_sides,
)
from perfmodel.plans.problem import Link, Problem, home_unit, problem, resolve_units
from perfmodel.plans.segments import (
    SegmentCosts,
    States,
    all_states,
    order_states,
    prefix_states,
    segment_costs,
)
from perfmodel.plans.units import Unit
from perfmodel.workload import load_at_batch

MAX_STATES = 2500
"""Networks with more states than this are cut along one order only; the answer says so."""

MAX_ENERGY_STATES = 200
"""The same for energies under a deadline, where every state keeps several plans."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Operators that run together; indices are into the plan's `op_order`.

    `weights_bytes` are as the network stores them, `memory_bytes` weights and activations at the
    target's precision; `memory_limit_bytes` is what the unit may hold, None where nobody said.
    """

    first_op: int
    last_op: int
    first_name: str
    last_name: str
    target: str
    latency_ms: float
    weights_bytes: int
    memory_bytes: float
    memory_limit_bytes: float | None


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """Between two segments: what crosses, and the part of both segments' time that moving takes."""

    after_op: int
    tensors: int
    bytes: int
    latency_ms: float


@dataclass(frozen=True, kw_only=True)
class PartitionResult(Answer, command="partition"):
    """A plan: segments in order, what crosses between them, and the time without cutting.

    `exact_over` says among which plans an optimal one is the best; `notes` name assumptions and
    fall-backs (operators that a unit cannot run, costs taken from another device). Where the time
    of the plan is not known well enough to be an answer `unknown` says so, and where that in one
    piece is not `unpartitioned_unknown`; `settle` is what would help. All three are empty
    otherwise. The figures are then estimates, by which plans were compared all the same.
    """

    model: str
    criterion: str
    k: int
    objective: str
    latency_ms: float
    energy_mj: float | None
    segments: tuple[Segment, ...]
    boundaries: tuple[Boundary, ...]
    unpartitioned_ms: float
    unpartitioned_target: str
    exact_over: str
    notes: tuple[str, ...]
    unknown: str = ""
    unpartitioned_unknown: str = ""
    settle: str = ""
    op_order: tuple[str, ...] = field(repr=False, default=())
    curve: CutCurve | None = field(repr=False, default=None)

    @property
    def speedup(self) -> float:
        """Unpartitioned time over that of the plan."""
        return self.unpartitioned_ms / self.latency_ms


def partition(
    model: Graph | str,
    target: str,
    *,
    units: Sequence[str] = (),
    k: int | None = None,
    by: str = "optimal",
    server: str | None = None,
    link: Link | None = None,
    objective: str = "latency",
    batch_size: int | None = None,
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
    profiles: Sequence[ProfileSource] = (),
    allow_uncovered: bool = False,
    memory: Mapping[str, float] | None = None,
) -> PartitionResult:
    """Cut a network by a criterion, or find the best plan, and predict what it takes.

    `target` runs what is not moved; `units` are further units of the same device ("cpu", "gpu",
    "dla") or full targets; `server` and `link` add the cloud. `objective` is latency, energy or
    deadline=MS (least energy within it). `memory` bounds what the parts of a unit may hold of
    weights and activations, in bytes ({"gpu": 2e8}; a server is "cloud"). `dims` and `input_shape`
    are sizes that a file leaves open (as in `load`). Raises `PartitionError` for what does not
    fit.
    """
    if by not in CRITERIA:
        raise PartitionError(f"unknown criterion {by!r}", f"criteria: {', '.join(CRITERIA)}")
    graph = load_at_batch(model, batch_size, dims=dims, input_shape=input_shape)
    folder = ProfileFolder(tuple(profiles))
    stored = stored_precision(graph)
    resolved = resolve_units(folder, target, units, stored)
    home = home_unit([r.target.target.unit for r in resolved])
    far = folder.resolve(server, stored) if server else None
    made = problem(
        graph,
        resolved,
        home=home,
        server=far,
        link=link,
        folder=folder,
        allow_uncovered=allow_uncovered,
    )
    made = with_limits(made, memory or {})
    return solve(made, by=by, k=k, objective=objective)


def solve(
    made: Problem, *, by: str = "optimal", k: int | None = None, objective: str = "latency"
) -> PartitionResult:
    """The plan of a prepared problem; raises `PartitionError` where there is none."""
    if by == "optimal":
        return _best_plan(made, k, objective)
    layers, units = made.layers, made.units
    states = prefix_states(layers)
    costs = segment_costs(layers, states, units)
    places = (0, *cuts(layers, by, k), len(layers))
    found, costs = within_memory(costs, lambda c: path_through(c, places))
    if not np.isfinite(found.latency_ms):
        raise PartitionError(f"{by}: a segment cannot run on any unit", _blocked(made))
    return _result(
        made, states, costs, found, by=by, objective=objective, exact_over="the given cuts"
    )


def _blocked(made: Problem) -> str:
    """Which layers no unit runs, as a hint."""
    nowhere = np.all([~np.isfinite(u.layer_ms) for u in made.units], axis=0)
    names = [layer.name for layer, no in zip(made.layers.layers, nowhere, strict=True) if no]
    if names:
        return f"no unit runs {', '.join(names[:5])}; add --units cpu"
    return (
        "a unit cannot run an operator of its segment, its memory is too small, or what moving its "
        "tensors takes is not known"
    )


def _best_plan(made: Problem, k: int | None, objective: str) -> PartitionResult:
    layers = made.layers
    limit = k if k is not None else min(4, len(layers))
    if not 1 <= limit <= len(layers):
        raise too_many(layers, limit)
    along = prefix_states(layers)
    most = MAX_STATES if objective == "latency" else MAX_ENERGY_STATES
    states = along if along.exhaustive else all_states(layers, most) or along
    orders = [states]
    exact_over = f"all plans of at most {counted(limit, 'segment')}"
    if not states.exhaustive:
        exact_over += " along one order of the layers"
        if made.cloud is not None:
            orders.append(order_states(_minimum_cut_order(made)))
            exact_over += ", and along the order of a minimum cut"
    solved = []
    for each in orders:
        costs = segment_costs(layers, each, made.units)
        path, costs = within_memory(
            costs, lambda c: _optimal(c, limit, objective, made), lambda p: _worth(p, objective)
        )
        solved.append((path, each, costs))
    found, states, costs = min(solved, key=lambda s: _worth(s[0], objective))
    return _result(
        made, states, costs, found, by="optimal", objective=objective, exact_over=exact_over
    )


def _worth(path: PlanPath, objective: str) -> float:
    """What is made as small as it can be."""
    return path.latency_ms if objective == "latency" else path.energy_mj


def _minimum_cut_order(made: Problem) -> tuple[int, ...]:
    """Layers of the target's side of the cheapest device/cloud assignment before the cloud's."""
    assert made.cloud is not None
    near, far = made.units[0], made.units[made.cloud]
    sides = two_sides(made.layers, near, far, far.inward, far.outward)
    return alternating_order(made.layers, sides.far)


def _optimal(costs: SegmentCosts, limit: int, objective: str, made: Problem) -> PlanPath:
    if objective == "latency":
        if not np.isfinite(_whole_ms(costs)).any():
            _refuse_impossible(made)
        return best_path(costs, limit)
    missing = [u.target for u in made.units if u.layer_mj is None]
    if missing:
        raise PartitionError(
            f"the energy of {missing[0]} is not known",
            "add traits.power to the device's profile; a link needs its radio's power",
        )
    if objective == "energy":
        return least_energy_path(costs, limit, float("inf"))
    name, _, value = objective.partition("=")
    try:
        deadline_ms = float(value)
    except ValueError:
        deadline_ms = -1.0
    if name != "deadline" or not 0 < deadline_ms < float("inf"):
        raise PartitionError(
            f"objective {objective!r} is none of latency, energy, deadline=MS",
            "for example --objective deadline=30",
        )
    return least_energy_path(costs, limit, deadline_ms)


def _whole_ms(costs: SegmentCosts) -> list[float]:
    """Time of the whole network on each unit."""
    last = len(costs.states) - 1
    return [costs.parts(u, 0, last).latency_ms for u in range(len(costs.units))]


def _refuse_impossible(made: Problem) -> None:
    nowhere = np.all([~np.isfinite(u.layer_ms) for u in made.units], axis=0)
    if nowhere.any():
        raise PartitionError(f"{made.layers.graph.name}: no plan exists", _blocked(made))


def _result(
    made: Problem,
    states: States,
    costs: SegmentCosts,
    found: PlanPath,
    by: str,
    objective: str,
    exact_over: str,
) -> PartitionResult:
    order = [
        layer
        for a, b in zip(found.states, found.states[1:], strict=False)
        for layer in np.flatnonzero(states.member[b] & ~states.member[a])
    ]
    layers = made.layers.reordered([int(n) for n in order])
    sizes = [int(states.member[s].sum()) for s in found.states]
    segments = _segments(made, layers, costs, found, sizes)
    boundaries = [
        _boundary(layers, made.units, found.units, sizes, n, segment.first_op - 1)
        for n, segment in enumerate(segments)
        if n
    ]
    unbounded = tuple(replace(u, memory_bytes=float("inf")) for u in made.units)
    whole = _whole_ms(replace(costs, units=unbounded))
    best = int(np.argmin(whole)) if not np.isfinite(whole[0]) else 0
    known = all(made.units[u].layer_mj is not None for u in found.units)
    doubts = doubt(replace(costs, units=unbounded), found, best)
    return PartitionResult(
        model=layers.graph.name,
        criterion=by,
        k=len(segments),
        objective=objective,
        latency_ms=found.latency_ms,
        energy_mj=found.energy_mj if known else None,
        segments=segments,
        boundaries=tuple(boundaries),
        unpartitioned_ms=whole[best],
        unpartitioned_target=made.units[best].target,
        exact_over=exact_over,
        notes=(
            *made.notes,
            *(_energy_notes(made, found) if known else ()),
            *memory_notes(costs, found, best),
            *doubts.notes,
        ),
        unknown=doubts.plan,
        unpartitioned_unknown=doubts.whole,
        settle=doubts.settle,
        op_order=tuple(op.name for op in layers.ordered_graph().ops),
        curve=cut_curve(made),
    )


def _energy_notes(made: Problem, found: PlanPath) -> tuple[str, ...]:
    """Where the energy of the units that work comes from, each once."""
    notes = (made.units[u].energy_note for u in found.units)
    return tuple(dict.fromkeys(note for note in notes if note))


def _segments(
    made: Problem,
    layers: LayerGraph,
    costs: SegmentCosts,
    found: PlanPath,
    sizes: Sequence[int],
) -> tuple[Segment, ...]:
    """The segments of a plan; segment n holds the ordered layers sizes[n] to sizes[n + 1]."""
    ops = layers.ordered_graph().ops
    segments = []
    for n, u in enumerate(found.units):
        first, last = layers.op_range(sizes[n], sizes[n + 1] - 1)
        limit = made.units[u].memory_bytes
        segments.append(
            Segment(
                first_op=first,
                last_op=last - 1,
                first_name=ops[first].name,
                last_name=ops[last - 1].name,
                target=made.units[u].target,
                latency_ms=costs.parts(u, found.states[n], found.states[n + 1]).latency_ms,
                weights_bytes=sum(layers.weights_bytes[sizes[n] : sizes[n + 1]]),
                memory_bytes=costs.held_bytes(u, found.states[n], found.states[n + 1]),
                memory_limit_bytes=limit if np.isfinite(limit) else None,
            )
        )
    return tuple(segments)


def _boundary(
    layers: LayerGraph,
    units: Sequence[Unit],
    chosen: Sequence[int],
    sizes: Sequence[int],
    n: int,
    after_op: int,
) -> Boundary:
    """Tensors made before the cut and read after it; time is what the units at the cut pay."""
    cut = sizes[n]
    crossing = [c for c in layers.crossings if c.maker < cut <= c.readers[-1] and c.maker >= 0]
    taken = [c for c in crossing if any(cut <= r < sizes[n + 1] for r in c.readers)]
    handed = [c for c in crossing if c.maker >= sizes[n - 1]]
    before, after = units[chosen[n - 1]], units[chosen[n]]
    outward = before.outward.latency_ms(len(handed), sum(c.size_bytes for c in handed))
    inward = after.inward.latency_ms(len(taken), sum(c.size_bytes for c in taken))
    return Boundary(
        after_op=after_op,
        tensors=len(crossing),
        bytes=sum(c.size_bytes for c in crossing),
        latency_ms=float(outward + inward),
    )
