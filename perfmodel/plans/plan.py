"""Plans from profiles: which segments of a network run where, what that takes, and what one pays.

`partition` is the front door: it asks the profiles for layer times and transfer costs, cuts by the
criterion and tells the plan's latency beside the unpartitioned one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from perfmodel.devices.registry import ProfileFolder, ProfileSource
from perfmodel.errors import PartitionError
from perfmodel.formats.sizes import InputShape
from perfmodel.graph.ir import Graph
from perfmodel.kernels.precisions import stored_precision
from perfmodel.plans.criteria import CRITERIA, counted, cuts, too_many
from perfmodel.plans.layers import LayerGraph
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
    NOTHING,
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
    """Operators that run together; indices are into the plan's `op_order`."""

    first_op: int
    last_op: int
    first_name: str
    last_name: str
    target: str
    latency_ms: float
    weights_bytes: int


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """Between two segments: what crosses, and the part of both segments' time that moving takes."""

    after_op: int
    tensors: int
    bytes: int
    latency_ms: float


@dataclass(frozen=True, kw_only=True)
class CutCurve:
    """Two-segment plans over the cut point: after no layer, after the first, ..., after the last.

    Times in ms: what the first unit runs, what moving takes, what the second unit runs; bytes that
    cross. At the ends one unit runs everything.
    """

    first_target: str
    second_target: str
    after: tuple[str, ...]
    first_ms: tuple[float, ...]
    moving_ms: tuple[float, ...]
    second_ms: tuple[float, ...]
    moved_bytes: tuple[int, ...]

    @property
    def total_ms(self) -> tuple[float, ...]:
        """Sum of the parts at every cut."""
        parts = zip(self.first_ms, self.moving_ms, self.second_ms, strict=True)
        return tuple(a + b + c for a, b, c in parts)


@dataclass(frozen=True, kw_only=True)
class PartitionResult:
    """A plan: segments in order, what crosses between them, and the time without cutting.

    `exact_over` says among which plans an optimal one is the best; `notes` name assumptions and
    fall-backs (operators that a unit cannot run, costs taken from another device).
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
) -> PartitionResult:
    """Cut a network by a criterion, or find the best plan, and predict what it takes.

    `target` runs what is not moved; `units` are further units of the same device ("cpu", "gpu",
    "dla") or full targets; `server` and `link` add the cloud. `objective` is latency, energy or
    deadline=MS (least energy within it). `dims` and `input_shape` are sizes that a file leaves open
    (as in `load`). Raises `PartitionError` with what does not fit.
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
    found = path_through(costs, places)
    if not np.isfinite(found.latency_ms):
        raise PartitionError(f"{by}: a segment cannot run on any unit", _blocked(made))
    return _result(made, states, costs, found, by, objective, "the given cuts")


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
        solved.append((_optimal(costs, limit, objective, made), each, costs))
    found, states, costs = min(
        solved, key=lambda s: s[0].latency_ms if objective == "latency" else s[0].energy_mj
    )
    return _result(made, states, costs, found, "optimal", objective, exact_over)


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
    whole = _whole_ms(costs)
    best = int(np.argmin(whole)) if not np.isfinite(whole[0]) else 0
    known = all(made.units[u].layer_mj is not None for u in found.units)
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
        notes=(*made.notes, *_energy_notes(made, found)) if known else made.notes,
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
        segments.append(
            Segment(
                first_op=first,
                last_op=last - 1,
                first_name=ops[first].name,
                last_name=ops[last - 1].name,
                target=made.units[u].target,
                latency_ms=costs.parts(u, found.states[n], found.states[n + 1]).latency_ms,
                weights_bytes=sum(layers.weights_bytes[sizes[n] : sizes[n + 1]]),
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


def cut_curve(made: Problem) -> CutCurve:
    """Latency of every two-segment plan along the order, in parts.

    From the first unit to the cloud, else to the second unit, else to the first again.
    """
    layers = made.layers
    n = len(layers)
    second = made.cloud if made.cloud is not None else min(1, len(made.units) - 1)
    costs = segment_costs(layers, prefix_states(layers), made.units)
    heads = [NOTHING, *(costs.parts(0, 0, cut) for cut in range(1, n + 1))]
    tails = [*(costs.parts(second, cut, n) for cut in range(n)), NOTHING]
    moved = np.zeros(n + 1)
    for crossing in layers.crossings:
        if crossing.maker >= 0:
            moved[crossing.maker + 1 : min(crossing.readers[-1], n) + 1] += crossing.size_bytes
        else:
            moved[0] += crossing.size_bytes
    names = ("input", *(layer.name for layer in layers.layers))
    return CutCurve(
        first_target=made.units[0].target,
        second_target=made.units[second].target,
        after=names,
        first_ms=tuple(head.running_ms for head in heads),
        moving_ms=tuple(
            head.inward_ms + head.outward_ms + tail.inward_ms + tail.outward_ms
            for head, tail in zip(heads, tails, strict=True)
        ),
        second_ms=tuple(tail.running_ms for tail in tails),
        moved_bytes=tuple(int(m) for m in moved),
    )
