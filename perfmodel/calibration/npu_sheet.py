"""NPU targets of a chip that nobody measured, from the generation that its spec sheet names.

Qualcomm's Hexagon NPUs differ in speed by their generation (V69 of Snapdragon 8 Gen 1 to V85 of 8
Elite Gen 5): log time falls in a straight line with it, within what the sheet's test shows
(`validation.accuracy`, chips left out). Peaks in TOPS are not stated for most chips, so they are no
part of it. Chips of other vendors, and of generations far from the measured ones, have no target.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from perfmodel.calibration.npu import NpuPopulation, predictor_of
from perfmodel.calibration.npu_population import shipped_npus
from perfmodel.cost_models.interval import expected_error, expected_interval
from perfmodel.devices.market import Chip
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.target import Target

GENERATIONS: Mapping[str, int] = {
    "snapdragon-8-gen-1": 69,
    "snapdragon-8-gen-2": 73,
    "snapdragon-8-gen-3": 75,
    "snapdragon-8-elite": 79,
    "snapdragon-8-elite-gen-5": 85,
}
"""Hexagon generations of measured chips of phones (perfmodel/devices/chips.csv, `npu`)."""

FARTHEST = 3
"""Generations beyond the measured ones that are still answered for."""

GRADES = ("top",)
"""Grades of chips that the measured ones stand for: smaller chips have fewer units."""

SHEET_LOG = 0.35
"""Half width of the 90 % interval of a chip's speed, in log units, beyond that of a network: the
largest miss of the measured chips when each is left out."""

NOVELTY_SLOPE = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class SheetNpu:
    """What a sheet says of an NPU with a precision: costs and times of the known networks."""

    precision: str
    log_cost: np.ndarray
    log_ms: np.ndarray


def generation_of(chip: Chip) -> int | None:
    """The generation of a chip's Hexagon NPU; None where its sheet names none."""
    found = re.match(r"Hexagon V(\d+)", chip.npu)
    return int(found[1]) if found else None


def npu_of_generation(
    population: NpuPopulation, generation: int, precision: str, runtime: str = "qnn"
) -> SheetNpu | None:
    """A target of a generation by the line through the measured ones; None if it is too far."""
    known = {
        i: GENERATIONS[p.chip]
        for i, p in enumerate(population.places)
        if (p.precision, p.runtime) == (precision, runtime) and p.chip in GENERATIONS
    }
    if len(set(known.values())) < 2:
        return None
    low, high = min(known.values()), max(known.values())
    if not low - FARTHEST <= generation <= high + FARTHEST:
        return None
    rows = np.array(list(known))
    level = population.log_ms[rows].mean(axis=1)
    steps = np.array(list(known.values()), dtype=float)
    slope, start = np.polyfit(steps, level, 1)
    near = np.abs(steps - generation)
    weights = np.exp(-near) / np.exp(-near).sum()
    shift = start + slope * generation - level
    if near.min() == 0:
        # a measured generation answers for itself
        weights, shift = (near == 0) / (near == 0).sum(), np.zeros(len(rows))
    return SheetNpu(
        precision=precision,
        log_cost=weights @ (population.log_cost[rows] + shift[:, None]),
        log_ms=weights @ (population.log_ms[rows] + shift[:, None]),
    )


def npu_targets_of_chip(
    chip: Chip, device: str, population: NpuPopulation | None = None
) -> tuple[TargetProfile, ...]:
    """NPU targets of a phone with a chip, float first; none where its family is not measured."""
    generation = generation_of(chip)
    if generation is None or chip.grade not in GRADES:
        return ()
    known = population or shipped_npus()
    made = []
    for precision in ("fp16", "w8a8", "w8a16"):
        found = npu_of_generation(known, generation, precision)
        if found is not None:
            made.append(
                TargetProfile(
                    Target(device, "npu", "qnn", precision),
                    "steady",
                    predictor_of(known, precision, found.log_cost, found.log_ms),
                    expected_interval(np.zeros(0), SHEET_LOG, NOVELTY_SLOPE),
                    expected_error("chips left out, spec sheet alone", SHEET_LOG),
                    Provenance(f"from its spec sheet: {chip.npu}, between measured generations", 0),
                )
            )
    return tuple(made)
