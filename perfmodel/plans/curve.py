"""Latency over the cut point of plans in two segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfmodel.plans.problem import Problem
from perfmodel.plans.segments import NOTHING, prefix_states, segment_costs


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
