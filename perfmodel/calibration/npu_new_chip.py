"""How far networks on a new NPU lie from what a few of them tell: known chips left out in turn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perfmodel.calibration.npu import NpuPopulation
from perfmodel.calibration.npu_adapt import answers_of, comparable
from perfmodel.cost_models.interval import LEAST_SPREAD, conformal_quantile

COUNTS = (1, 3, 10)
"""Numbers of measured networks that widths are learned for; between them log widths go straight."""

DRAWS = 2
"""Drawings of the measured networks of each target and number."""

NO_OTHER_CHIP = 0.5
"""Half width of the interval where no two chips tell any: of AI Hub's one network tells the rest
within 0.41."""


def new_widths(population: NpuPopulation) -> dict[int, float]:
    """Half widths of the 90 % interval of a network on a new chip, by how many were measured on it.

    Every chip is left out in all its forms, and networks that no other chip ran are not asked.
    """
    rng = np.random.default_rng(0)
    missed: dict[int, list[float]] = {count: [] for count in COUNTS}
    for i, place in enumerate(population.places):
        others = population.without([place.chip])
        if not any(p.precision == place.precision for p in others.places):
            continue
        chosen = comparable(others, place.precision, place.runtime)
        known, firm = others.log_ms[chosen], others.measured[chosen]
        own = np.flatnonzero(population.measured[i] & firm.any(axis=0))
        for count in COUNTS:
            for _ in range(DRAWS if len(own) > count else 0):
                drawn = rng.permutation(own)
                told, asked = drawn[:count], drawn[count:]
                said = answers_of(known, firm, population.log_ms[i, told], told)
                missed[count] += np.abs(population.log_ms[i, asked] - said[asked]).tolist()
    return {
        count: round(max(conformal_quantile(np.array(misses)), LEAST_SPREAD), 4)
        for count, misses in missed.items()
        if misses
    }


def width_from(widths: Mapping[int, float], count: int) -> float:
    """Half width where `count` networks were measured."""
    if not widths:
        return NO_OTHER_CHIP
    known = sorted(widths)
    return float(
        np.exp(np.interp(np.log(max(count, 1)), np.log(known), np.log([widths[k] for k in known])))
    )
