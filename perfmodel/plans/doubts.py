"""Whether the time of a plan is known well enough to be an answer, and what is said where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from perfmodel.plans.optimal import Path
from perfmodel.plans.segments import SegmentCosts
from perfmodel.prediction import how_to_settle, why_unknown


@dataclass(frozen=True, kw_only=True)
class Doubts:
    """Why the time of a plan and that in one piece are no answers, what would settle it, and the
    units that were compared by such times; all are empty where there is no doubt."""

    plan: str
    whole: str
    settle: str
    notes: tuple[str, ...]


def doubt(costs: SegmentCosts, found: Path, whole: int) -> Doubts:
    """The doubts about a plan beside the network in one piece on unit `whole`.

    The segments on one unit are taken to be off alike, and all units to the same side, so the
    interval of a network in one segment is that of its prediction; moving is taken as known.
    """
    last, units = len(costs.states) - 1, range(len(costs.units))
    ends = [_bounds_ms(costs, (u,), (0, last)) for u in units]
    of_plan = _bounds_ms(costs, found.units, found.states)
    plan, alone = why_unknown(*of_plan), why_unknown(*ends[whole])
    settle = how_to_settle(costs.units[_widest(costs, found)].target) if plan else ""
    if alone and not settle:
        settle = how_to_settle(costs.units[whole].target)
    notes = []
    if len(units) > 1 or len(found.units) > 1:
        notes = [
            f"plans are compared by an estimate of {costs.units[u].target}: its time for the whole "
            f"network is {why_unknown(*ends[u])}"
            for u in units
            if why_unknown(*ends[u])
        ]
    return Doubts(plan=plan, whole=alone, settle=settle, notes=tuple(notes))


def _bounds_ms(
    costs: SegmentCosts, units: Sequence[int], states: Sequence[int]
) -> tuple[float, float]:
    """Lower and upper bound of the time of segments between states, each on its unit (ms)."""
    low = high = 0.0
    for u, (a, b) in zip(units, pairwise(states), strict=True):
        parts = costs.parts(u, a, b)
        moving = parts.inward_ms + parts.outward_ms
        low += parts.running_ms * costs.units[u].low + moving
        high += parts.running_ms * costs.units[u].high + moving
    return low, high


def _widest(costs: SegmentCosts, found: Path) -> int:
    """The unit whose segments widen the interval of a plan most."""
    width = dict.fromkeys(found.units, 0.0)
    for u, (a, b) in zip(found.units, pairwise(found.states), strict=True):
        low, high = _bounds_ms(costs, (u,), (a, b))
        width[u] += high - low
    return max(width, key=width.__getitem__)
