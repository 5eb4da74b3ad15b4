"""Profiles of RTX cards and a Core i9 under PyTorch, from timm's benchmarks of whole networks."""

from __future__ import annotations

from pathlib import Path

import perfmodel
from perfmodel.cost_models.kernel_population import KernelPopulation
from perfmodel.devices.kernel_populations import population_name
from validation.data.timm_times import (
    CPU_RUNS,
    GPU_RUNS,
    OLDER,
    SHEET_RUNS,
    families,
    read_rows,
    table_of,
)
from validation.profiles.common import BuiltTarget, DeviceInfo

_TITLES = {
    "core-i9-10940x": ("Intel Core i9-10940X", "desktop"),
    "rtx-3090": ("NVIDIA GeForce RTX 3090", "desktop"),
    "rtx-4090": ("NVIDIA GeForce RTX 4090", "desktop"),
    "rtx-5090": ("NVIDIA GeForce RTX 5090", "desktop"),
}


def build_timm(data: Path) -> list[BuiltTarget]:
    """Every card, mode and the CPU, with what leaving families out tells of the error."""
    built = []
    for runs in (GPU_RUNS, CPU_RUNS):
        learned = perfmodel.learn_speeds(table_of(read_rows(data, runs)), families=families())
        place = {target: i for i, target in enumerate(runs.values())}
        for profile in learned.profiles:
            info = DeviceInfo(profile.device, *_TITLES[profile.device])
            built += [
                BuiltTarget(info, target, (place[target.target],))
                for target in profile.targets
                if target.target.framework not in OLDER
            ]
    return built


def sheet_populations(data: Path) -> dict[str, KernelPopulation]:
    """What cards that ran in one way share, for those of which only the sheet is known."""
    target = next(iter(SHEET_RUNS.values()))
    learned = perfmodel.learn_speeds(table_of(read_rows(data, SHEET_RUNS)), families=families())
    return {population_name(target): learned.population}
