"""Choosing which random networks to measure next: those that teach most about the ones that matter.

Kernels of the networks of interest are points in the space of shapes, weighted by the time they
are expected to take. What is not known of a point shrinks as kernels like it are measured, like the
variance of a mean: 1 / (1 + measured kernels near it). A candidate network is worth how much it
shrinks the unknown over all points, for the time its measurement takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models.kernel_terms import cells_of
from perfmodel.kernels.kernel import KernelTable

COORDINATES = ("m", "n", "k", "input_elements", "output_elements", "weight_elements")
REACH = 0.7
"""How far measuring one kernel helps to predict another, as a distance between the natural logs of
their sizes. By judgement: kernels of twice the size (log 2 = 0.69) still run the same code."""
MACS_PER_US, ELEMENTS_PER_US, START_US = 4e4, 2.5e3, 1.0
"""A core of about 40 GMAC/s (AVX-512 at 2.5 GHz: 16 lanes x 1 unit), 10 GB/s and 1 us a kernel, in
round numbers: it only weighs kernels against each other before anything is measured."""
FIXED_S = 0.25
"""Seconds that writing and loading a small network take before it runs: in the committed host
campaign a network of one thread takes 0.4 to 0.7 s in all."""
WEIGHTS_PER_S = 3e7
"""Weights that are drawn, written and loaded in a second, in round numbers, on the machine of the
committed host campaign."""
RUNS = 20
"""Inferences that a long network costs, profiled ones and loading included."""


@dataclass(frozen=True)
class Points:
    """Kernels as points: `cell` names what cannot be compared across, `at` has shape (points, 9)
    (log sizes, window and stride), `weight` the share of time of the networks they come from."""

    cell: np.ndarray
    at: np.ndarray
    weight: np.ndarray


def expected_us(table: KernelTable) -> np.ndarray:
    """Rough times of kernels on a core of unknown speed, to weigh them by: only ratios count."""
    moved = table["input_elements"] + table["output_elements"] + table["weight_elements"]
    return table["macs"] / MACS_PER_US + moved / ELEMENTS_PER_US + START_US


def points_of(tables: Sequence[KernelTable]) -> Points:
    """Points of several networks, each network weighing the same; like kernels are merged."""
    cells, places, weights = [], [], []
    for table in tables:
        spent = expected_us(table)
        cells.append(cells_of(table))
        places.append(_places(table))
        weights.append(spent / spent.sum())
    cell, at, weight = np.concatenate(cells), np.concatenate(places), np.concatenate(weights)
    key = np.array([f"{c} {row.round(2).tolist()}" for c, row in zip(cell, at, strict=True)])
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return Points(cell[first], at[first], np.bincount(inverse.ravel(), weight))


def _places(table: KernelTable) -> np.ndarray:
    sizes = [np.log(np.maximum(table[c], 1.0)) for c in COORDINATES]
    window = [np.log(np.maximum(table[c], 1.0)) * 2 for c in ("kh", "kw", "sh")]
    return np.column_stack([*sizes, *window])


class Planner:
    """Greedy choice among candidates; `choose` says which to measure next."""

    def __init__(self, interest: Sequence[KernelTable], candidates: Sequence[KernelTable]) -> None:
        self.points = points_of(interest)
        self.near = np.array([self._nearness(c) for c in candidates])
        self.expected_ms = np.array([expected_us(c).sum() / 1e3 for c in candidates])
        weights = np.array([c["weight_elements"].sum() for c in candidates])
        self.cost_s = FIXED_S + RUNS * self.expected_ms / 1e3 + weights / WEIGHTS_PER_S

    def _nearness(self, table: KernelTable) -> np.ndarray:
        """How many kernels of a network lie near each point, shape (points,)."""
        cells, at = cells_of(table), _places(table)
        near = np.zeros(len(self.points.weight))
        for cell in set(cells):
            rows = self.points.cell == cell
            if rows.any():
                gap = self.points.at[rows, None, :] - at[None, cells == cell, :]
                near[rows] = np.exp(-(gap**2).sum(axis=2) / (2 * REACH**2)).sum(axis=1)
        return near

    def unknown(self, measured: Sequence[int]) -> float:
        """Share of the interest's time that is still unknown, from 1 (all) down to 0."""
        left = self.points.weight / (1.0 + self.near[list(measured)].sum(axis=0))
        return float(left.sum() / self.points.weight.sum())

    def choose(self, measured: Sequence[int], count: int, allowed: np.ndarray) -> list[int]:
        """`count` candidates among `allowed` (a mask), best first, given those `measured`."""
        seen = self.near[list(measured)].sum(axis=0) if len(measured) else 0.0
        seen = seen + np.zeros(len(self.points.weight))
        open_ = allowed.copy()
        chosen: list[int] = []
        while len(chosen) < count and open_.any():
            before = self.points.weight / (1.0 + seen)
            after = self.points.weight / (1.0 + seen + self.near)
            gain = (before - after).sum(axis=1) / self.cost_s
            best = int(np.argmax(np.where(open_, gain, -np.inf)))
            chosen.append(best)
            open_[best] = False
            seen = seen + self.near[best]
        return chosen
