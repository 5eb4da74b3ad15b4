"""A phone that nobody measured: targets from its chip's spec sheet.

The chip's speed follows from measured targets (`cost_models.sheet_model`), the shape of its costs
from targets of the same kind of core or GPU; both are data in hw_profiles/populations, made by
`calibration.from_spec`. A measurement of one target of the chip moves all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perfmodel.cost_models.interval import COVERAGE, NOVELTY_SLOPE, FitError, Interval
from perfmodel.cost_models.sheet_model import Expected
from perfmodel.devices.cpu_specs import CORES
from perfmodel.devices.gpu_families import gpu_family
from perfmodel.devices.market import Chip, Cluster
from perfmodel.devices.npu_sheets import npu_targets
from perfmodel.devices.profile import DeviceProfile, Fact, Provenance, TargetProfile
from perfmodel.devices.sheet_bounds import bounds_of, expect_bounded
from perfmodel.devices.sheet_data import (
    MeasuredSheet,
    ScaledShape,
    Shape,
    Sheets,
    kin_of,
    shipped_sheets,
    uses_wide_units,
)
from perfmodel.devices.sheet_rows import target_class
from perfmodel.target import Target

EXPERIMENT = "phones' chips left out, spec sheet alone"
NAMED = 3
"""Measured chips that an answer names."""

LOOKED_AT = 30
"""Measured targets among which they are looked for: chips have several."""

SAME_FRAMEWORK = 0.1
"""What a common framework is worth among the chips that are named, in correlations of cores."""


CPU_OFFERS: tuple[tuple[str, str], ...] = (
    ("ncnn", "float"),
    ("tflite", "fp32"),
    ("mnn", "fp32"),
    ("ncnn", "int8"),
    ("tflite", "int8"),
)
GPU_OFFERS: tuple[tuple[str, str], ...] = (("ncnn", "float"), ("tflite", "fp16"), ("mnn", "fp16"))
"""Frameworks and precisions of which a sheet tells enough, the default first."""

OLD_VERSION = "2021"
"""The version of ncnn that stands for all that do not use a core's wide units yet: half precision
and dot products came to its layers one by one until that year."""

PINS = ("ncnn", "mnn")
"""Frameworks whose measurements name the cluster that threads were bound to."""

NOT_ON_APPLE = ("mnn",)
"""Frameworks that no iPhone was measured with."""


def profile_of_chip(chip: Chip, device: str = "", sheets: Sheets | None = None) -> DeviceProfile:
    """The profile of a phone with a chip of which nothing was measured, by its sheet.

    `device` names it, the chip's slug if left out; `sheets` replaces what ships. Units are those
    that the chip has and whose speed its sheet tells: a chip without clusters has no CPU targets.
    """
    return profiles_of_chips([(chip, device or chip.slug)], sheets=sheets)[0]


def profiles_of_chips(
    named: Sequence[tuple[Chip, str]], *, usual: bool = False, sheets: Sheets | None = None
) -> tuple[DeviceProfile, ...]:
    """Profiles of many phones, each a chip and a device's name, at once.

    `usual` leaves only the first number of threads of every class: what apps use.
    """
    asked = [[*_cpu_sheets(chip, name, usual), *_gpu_sheets(chip, name)] for chip, name in named]
    flat = [sheet for mine in asked for sheet in mine]
    made = iter(targets_of_sheets(flat, sheets or shipped_sheets()))
    found = []
    for (chip, name), mine in zip(named, asked, strict=True):
        targets = (
            *(t for _ in mine if (t := next(made)) is not None),
            *npu_targets(chip, name),
        )
        found.append(
            DeviceProfile(
                name,
                chip.name,
                "phone",
                targets,
                soc=chip.name,
                year=chip.year,
                hardware=_facts(chip),
            )
        )
    return tuple(found)


def targets_of_sheets(
    asked: Sequence[MeasuredSheet], sheets: Sheets
) -> tuple[TargetProfile | None, ...]:
    """Targets by their sheets alone; None for those whose class is not known well enough."""
    if not asked:
        return ()
    expected = expect_bounded(sheets.model, bounds_of(sheets), asked)
    return tuple(
        None
        if (shape := _shape_of(sheet, float(expected.log_ms[place]), sheets)) is None
        else _target(sheet, shape, expected, place, sheets)
        for place, sheet in enumerate(asked)
    )


def silicon(chip: Chip) -> str:
    """What chips share that are one design at several clocks: 865, 865+ and 870; its cores and GPU.

    A measurement of one of them says of the others what no sheet does.
    """
    cores = "+".join(f"{c.count}x{c.core}" for c in _merged(chip.clusters))
    return f"{cores} {chip.gpu} {chip.gpu_cores or ''}".strip()


def _merged(clusters: Sequence[Cluster]) -> list[Cluster]:
    """Neighbouring clusters of one core as one."""
    found: list[Cluster] = []
    for c in clusters:
        if found and found[-1].core == c.core:
            found[-1] = Cluster(found[-1].count + c.count, c.core, found[-1].mhz)
        else:
            found.append(c)
    return found


def _facts(chip: Chip) -> dict[str, Fact]:
    values = {
        "cpu_clusters": chip.cores_text,
        "gpu": chip.gpu,
        "gpu_fp32_gflops": chip.gpu_gflops,
        "mem_bw_gbs": chip.mem_bandwidth_gbs,
        "npu_tops": chip.npu_tops,
    }
    return {k: Fact(v, f"chips.csv: {chip.source}"[:2000]) for k, v in values.items() if v}


def _cpu_sheets(chip: Chip, device: str, usual: bool) -> list[MeasuredSheet]:
    """Every CPU target that the chip can have."""
    known = [c for c in chip.clusters if c.core in CORES]
    if not known or len(known) < len(chip.clusters):
        return []
    found = [
        sheet_of_chip(chip, Target(device, "cpu", framework, precision, threads, cluster))
        for framework, precision in CPU_OFFERS
        if not (chip.vendor == "Apple" and framework in NOT_ON_APPLE)
        for threads, cluster in _threads(chip, framework in PINS)[: 1 if usual else None]
    ]
    newest = [] if usual else [s for s in found if uses_wide_units(s)]
    return [*found, *map(of_old_version, newest)]


def of_old_version(sheet: MeasuredSheet) -> MeasuredSheet:
    """The same target as run by the last version that did not use the core's wide units."""
    return replace(sheet, target=replace(sheet.target, version=OLD_VERSION), old=True)


def _threads(chip: Chip, pins: bool) -> list[tuple[int, str]]:
    """Numbers of threads and clusters that are asked of a chip, the usual one first."""
    little = _little(chip)
    cores = sum(c.count for c in chip.clusters)
    big = cores - sum(c.count for c in little)
    most = min(4, cores)
    if not pins:
        return [(n, "") for n in (4, 2, 1) if n <= most]
    found = [(n, "big") for n in (4, 2, 1) if n <= big]
    if big < most:
        found.append((most, "all"))
    found += [(n, "little") for n in (4, 1) if n <= sum(c.count for c in little)]
    return found if cores <= 4 or not pins else [*found, (cores, "all")]


def _little(chip: Chip) -> list[Cluster]:
    """The clusters of in-order or efficiency cores beside others."""
    small = [c for c in chip.clusters if CORES[c.core].small]
    return small if len(small) < len(chip.clusters) else []


def _gpu_sheets(chip: Chip, device: str) -> list[MeasuredSheet]:
    """Every GPU target that the chip can have."""
    family = gpu_family(chip.gpu) if chip.gpu else None
    if family is None or not chip.gpu_gflops:
        return []
    return [
        sheet_of_chip(chip, Target(device, "gpu", framework, precision))
        for framework, precision in GPU_OFFERS
        if (family.vulkan if framework == "ncnn" else family.opencl)
        and not (chip.vendor == "Apple" and framework in NOT_ON_APPLE)
    ]


def sheet_of_chip(chip: Chip, target: Target) -> MeasuredSheet:
    """A target of a phone with a chip, as its spec sheet has it."""
    return MeasuredSheet(
        target=target,
        chip=silicon(chip),
        title=chip.name,
        kind="phone",
        cores=chip.cores_text,
        gpu=chip.gpu,
        gflops=chip.gpu_gflops or 0.0,
        memory_gbs=chip.mem_bandwidth_gbs,
    )


def _shape_of(sheet: MeasuredSheet, log_ms: float, sheets: Sheets) -> Shape | None:
    place = target_class(sheet.target)
    if place not in sheets.errors:
        return None
    return sheets.shape(place, kin_of(sheet), max(sheet.target.threads, 1), log_ms)


def _target(
    sheet: MeasuredSheet, shape: Shape, expected: Expected, place: int, sheets: Sheets
) -> TargetProfile:
    error = sheets.errors[target_class(sheet.target)]
    width = round(error.half_width(float(expected.sd[place])), 4)
    named = leaning_on(sheet, expected.leans[place], sheets)
    return TargetProfile(
        sheet.target,
        "steady",
        ScaledShape(shape=shape, log_factor=round(float(expected.log_ms[place]) - shape.log_ms, 5)),
        Interval(COVERAGE, width, width, NOVELTY_SLOPE),
        FitError(EXPERIMENT, error.cases, error.median, None, error.within_20),
        Provenance(
            sheet_words(sheet, named),
            0,
            note="nobody measured this processor here",
            assumes=_version(sheet),
        ),
    )


def _version(sheet: MeasuredSheet) -> str:
    """Which version of ncnn an answer is for, where it matters: a sheet does not say."""
    if not uses_wide_units(sheet):
        return ""
    units = "this core's wide units (half precision, dot products)"
    if sheet.old:
        return f"ncnn of {OLD_VERSION} or earlier, of a version that does not use {units}"
    return f"ncnn of 2022 or later; earlier versions did not all use {units}: ask {_older(sheet)}"


def _older(sheet: MeasuredSheet) -> str:
    """The target of old versions as it is asked for, without the device."""
    return str(of_old_version(sheet).target).partition("/")[2]


SHEET_MARK = "from its spec sheet"
"""How the source of a target begins that was never measured."""


def sheet_words(sheet: MeasuredSheet, named: Sequence[str]) -> str:
    """`from its spec sheet (4xCortex-A76@2.4), after Snapdragon 855 and Kirin 980`."""
    what = sheet.cores if sheet.target.unit == "cpu" else f"{sheet.gpu}, {sheet.gflops:.0f} GFLOPS"
    after = f", after measured {_and(named)}" if named else ""
    return f"{SHEET_MARK} ({what}){after}"


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def leaning_on(sheet: MeasuredSheet, leans: np.ndarray, sheets: Sheets) -> tuple[str, ...]:
    """The measured chips that say most of a target, those of its own framework first."""
    worth = leans + SAME_FRAMEWORK * (sheets.places == target_class(sheet.target))
    titles: dict[str, None] = {}
    first = np.argpartition(-worth, min(LOOKED_AT, len(worth) - 1))[:LOOKED_AT]
    for i in sorted(first, key=lambda place: (-worth[place], place)):
        if len(titles) == NAMED or not leans[i] > 0.0:
            break
        titles[sheets.known[i].title] = None
    return tuple(titles)
