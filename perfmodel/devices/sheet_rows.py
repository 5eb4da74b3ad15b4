"""Targets as `cost_models.sheet_model` sees them: what a spec sheet says of a CPU's or GPU's speed.

The priors say what physics expects before any measurement: time falls with the clock one to one,
nearly so with threads, less than one to one with a GPU's peak, as small kernels leave it idle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from perfmodel.cost_models.sheet_model import SheetRow
from perfmodel.devices.cpu_specs import CpuSheet
from perfmodel.devices.gpu_families import GpuFamily
from perfmodel.target import Target

MEMORY_MS_GB_PER_S = 60.0
"""Mean time that a network of ncnn_e2e.csv waits for memory, times the bandwidth: ms x GB/s. Of 1,
60 and 120 best on the phones and boards of the table, a chip left out."""

USUAL_GB_PER_S: Mapping[str, float] = {"phone": 17.0, "board": 12.0, "server": 200.0}
LARGE_GB_PER_S = 60.0
"""Bandwidth by kind of device where no sheet gives one, and that of laptops, desktops and Jetsons:
of phones the median of the chips in chips.csv; the others are usual configurations."""

FEATURES: Mapping[str, tuple[float, float]] = {
    "clock": (-1.0, 0.02),
    "rate": (-1.0, 0.1),
    "half": (-0.6, 0.2),
    "dot": (-0.5, 0.5),
    "threads": (-0.85, 0.1),
    "threads squared": (0.05, 0.03),
    "spread": (0.7, 0.1),
    "crowded": (0.2, 0.3),
    "old and wide": (0.4, 0.3),
    "old": (0.05, 0.15),
    "x86": (0.0, 0.5),
    "other": (0.3, 1.0),
    "phone": (0.0, 0.1),
    "phone and half": (-0.1, 0.2),
    "server threads": (0.0, 0.3),
    "gpu": (0.0, 2.0),
    "gflops": (-0.7, 0.15),
    "bandwidth": (-0.15, 0.1),
    "large gpu": (0.0, 0.7),
}
"""Mean and spread of the slope of log time in each feature, before any measurement: physics for
the first of each unit; the others were chosen on ncnn_e2e.csv and the phones of
networks_phones.csv, a chip left out, and the data move all of them."""

LEVELS: Mapping[str, float] = {
    "framework": 2.0,
    "core": 0.15,
    "generation": 0.2,
    "generation in framework": 0.15,
    "core in framework": 0.1,
    "threads of generation": 0.05,
    "chip": 0.15,
    "unit of chip": 0.1,
    "device": 0.1,
    "version": 0.22,
    "gpu family": 0.25,
    "gpu maker": 0.25,
    "gpu maker in framework": 0.1,
    "gpu chip": 0.1,
}
"""Spread of what targets share beyond the features (log units), chosen as those of the features.
"version" is the hidden half-step of old runs on cores whose vector units a framework learned to
use meanwhile; a chip's CPU and GPU share "chip" (memory, heat; their errors correlate by 0.3)."""

SHARED_BY_ALL = ("framework", "device", "version")
"""Levels that do not say whom a target takes after."""

CPU_NOISE, CROWDED_NOISE, OTHER_NOISE, GPU_NOISE = 0.1, 0.5, 0.3, 0.2
"""Spread of one target around its sheet (log units): as a rule, with more threads than cores, on
processors of neither Arm nor x86, on GPUs."""


def usual_gb_per_s(memory_gbs: float | None, kind: str) -> float:
    """What a sheet gives as the memory's bandwidth, else what is usual for a kind of device."""
    return memory_gbs or USUAL_GB_PER_S.get(kind, LARGE_GB_PER_S)


def precision_class(precision: str) -> str:
    """int8 or float."""
    return "int8" if precision in ("int8", "uint8") else "float"


def target_class(target: Target) -> str:
    """What targets that are compared share: unit, framework and class of precision."""
    return f"{target.unit}/{target.framework}/{precision_class(target.precision)}"


def cpu_row(
    target: Target,
    sheet: CpuSheet,
    *,
    chip: str,
    kind: str,
    memory_gbs: float | None = None,
    old: bool = False,
) -> SheetRow:
    """A CPU target. `old`: run by a version that did not use the core's wide units yet."""
    core, threads = sheet.lead, len(sheet.names)
    is_float = precision_class(target.precision) == "float"
    features = {
        "clock": math.log(sheet.clocks_ghz[0]),
        "rate": math.log(core.rate),
        "half": core.half and is_float and target.framework == "ncnn",
        "dot": core.dot and not is_float,
        "threads": math.log(threads),
        "threads squared": math.log(threads) ** 2,
        "spread": math.log(max(sheet.rates) / min(sheet.rates)),
        "crowded": min(math.log(max(sheet.asked / threads, 1.0)), 0.7),
        "old and wide": old and core.wide,
        "old": old and not core.wide,
        "x86": core.family == "x86",
        "other": core.family == "other",
        "phone": kind == "phone" and is_float,
        "phone and half": kind == "phone" and core.half,
        "server threads": kind == "server" and threads > 1,
    }
    name, kin = sheet.names[0], core.generation
    place = target_class(target)
    crowded = sheet.asked > threads
    noise = (CPU_NOISE, CROWDED_NOISE * crowded, OTHER_NOISE * (core.family == "other"))
    share = 1.0 if is_float else 0.5
    return SheetRow(
        name=str(target),
        chip=chip,
        features={k: float(v) for k, v in features.items()},
        effects={
            "framework": (place, 1.0),
            "core": (name, 1.0),
            "generation": (kin, 1.0),
            "generation in framework": (f"{kin}, {place}", 1.0),
            "core in framework": (f"{name}, {place}", 1.0),
            "threads of generation": (f"{kin}, {threads}", 1.0),
            "chip": (chip, 1.0),
            "unit of chip": (f"{chip} cpu", 1.0),
            "device": (target.device, 1.0),
            "version": (f"{target.device} {target.framework}", float(old and core.wide)),
        },
        memory_ms=share * MEMORY_MS_GB_PER_S / usual_gb_per_s(memory_gbs, kind),
        noise_sd=math.hypot(*noise),
    )


def gpu_row(
    target: Target,
    family: GpuFamily,
    gflops: float,
    *,
    chip: str,
    kind: str,
    memory_gbs: float | None = None,
) -> SheetRow:
    """A phone's or board's GPU target; `gflops` fp32 as cores x lanes x 2 x MHz."""
    place = target_class(target)
    return SheetRow(
        name=str(target),
        chip=chip,
        features={
            "gpu": 1.0,
            "gflops": float(math.log(gflops)) - 6.0,
            "bandwidth": math.log(usual_gb_per_s(memory_gbs, kind) / 20.0),
            "large gpu": float(family.maker == "nvidia"),
        },
        effects={
            "framework": (place, 1.0),
            "gpu family": (family.name, 1.0),
            "gpu maker": (family.maker, 1.0),
            "gpu maker in framework": (f"{family.maker}, {place}", 1.0),
            "chip": (chip, 1.0),
            "gpu chip": (chip, 1.0),
            "device": (target.device, 1.0),
        },
        noise_sd=GPU_NOISE,
    )
