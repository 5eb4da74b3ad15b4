"""NPU targets of a chip that nobody measured, from the generation that its spec sheet names.

Qualcomm's Hexagon NPUs differ in speed by their generation (V69 of Snapdragon 8 Gen 1 to V85 of 8
Elite Gen 5): log time falls in a straight line with it, within what the study of left-out chips
shows (`validation.aihub.study`). Peaks in TOPS are not stated for most chips, so they are no part
of it. Chips of other vendors, and of generations far from the measured ones, have no target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perfmodel.calibration.npu import PRECISIONS, NpuPopulation
from perfmodel.calibration.npu_population import shipped_npus
from perfmodel.calibration.npu_predictors import predictor_of
from perfmodel.cost_models.interval import NOVELTY_SLOPE, expected_error, expected_interval
from perfmodel.devices.market import chips
from perfmodel.devices.npu_sheets import FILE, GRADES, generation_of
from perfmodel.devices.profile import DeviceProfile, Provenance, TargetProfile, write_profile
from perfmodel.target import Target

GENERATIONS: Mapping[str, int] = {
    "snapdragon-8-gen-1": 69,
    "snapdragon-8-gen-2": 73,
    "snapdragon-8-gen-3": 75,
    "snapdragon-8-elite": 79,
    "snapdragon-8-elite-gen-5-qrd": 85,
}
"""Hexagon generations of measured chips, of the newest its reference phone (chips.csv, `npu`)."""

FARTHEST = 3
"""Generations beyond the measured ones that are still answered for."""

SHEET_LOG = 0.35
"""Half width of the 90 % interval of a chip's speed, in log units, beyond that of a network: the
largest miss of the measured chips when each is left out."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SheetNpu:
    """What a sheet says of an NPU with a precision: costs and times of the known networks."""

    precision: str
    log_cost: np.ndarray
    log_ms: np.ndarray


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


def profile_of_generation(
    generation: int, population: NpuPopulation | None = None
) -> DeviceProfile | None:
    """NPU targets of large chips of a generation, float first; None if none is near enough."""
    known = population or shipped_npus()
    device = f"hexagon-v{generation}"
    made = []
    for precision in PRECISIONS:
        found = npu_of_generation(known, generation, precision)
        if found is not None:
            made.append(
                TargetProfile(
                    Target(device, "npu", "qnn", precision),
                    "steady",
                    predictor_of(known, precision, found.log_cost, found.log_ms),
                    expected_interval(np.zeros(0), SHEET_LOG, NOVELTY_SLOPE),
                    expected_error("chips left out, spec sheet alone", SHEET_LOG),
                    Provenance(f"from its spec sheet: Hexagon V{generation}, as measured ones", 0),
                )
            )
    return DeviceProfile(device, f"Hexagon V{generation}", "phone", tuple(made)) if made else None


def write_generations(folder: Path, population: NpuPopulation | None = None) -> list[int]:
    """Write a profile for the generation of every large chip of the market; returns them."""
    asked = {generation_of(chip) for chip in chips().values() if chip.grade in GRADES}
    written = []
    for generation in sorted(g for g in asked if g is not None):
        profile = profile_of_generation(generation, population)
        if profile is not None:
            write_profile(profile, folder / FILE.format(generation=generation))
            written.append(generation)
    return written
