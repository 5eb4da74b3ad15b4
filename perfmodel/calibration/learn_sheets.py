"""What spec sheets tell of phones, from the targets that ship and the sheets of their devices.

What ships (spec-sheets.json) is made by `learn_sheets`, as is what the study of left-out chips
judges: measured targets of phones, and of boards with phones' cores or GPUs, with their speeds and
the shapes of their costs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from perfmodel.calibration.from_spec import (
    Facts,
    facts_key,
    is_phones,
    population_shapes,
    sheets_from,
    sheets_of,
    with_versions,
)
from perfmodel.calibration.population import Population, shipped_population
from perfmodel.cost_models.interval import MEDIAN_SD
from perfmodel.devices.profile import DeviceProfile, profiles_by_device
from perfmodel.devices.registry import list_targets
from perfmodel.devices.sheet_data import MeasuredSheet, Shape, Sheets, kin_of
from perfmodel.devices.sheet_rows import target_class
from perfmodel.devices.spec_sheet import targets_of_sheets
from perfmodel.errors import ProfileError
from perfmodel.many_queries import predict_many
from perfmodel.target import Target, full_target, parse_target

REFERENCE = (
    *("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "squeezenet1_1", "resnet18"),
    *("resnet50", "efficientnet_b0", "shufflenet_v2_x1_0", "googlenet", "vgg16"),
)
"""Networks whose mean log time is the speed of a target that was not measured with ncnn."""

POPULATIONS = (("cpu", "float"), ("cpu", "int8"), ("gpu", "float"))
"""Classes of ncnn whose populations give speeds and shapes."""

OFFERED = (
    "cpu/tflite/float",
    "cpu/tflite/int8",
    "gpu/tflite/float",
    "cpu/mnn/float",
    "gpu/mnn/float",
)
"""Further classes that are offered; a measured target gives the shape."""

SUPPORTING = ("tnn", "paddle-lite")
"""Frameworks whose targets tell of chips though they are not offered."""

BETWEEN_NETWORKS: Mapping[str, float] = {"cpu": 0.09, "gpu": 0.4}
"""Spread of networks around a speed taken from another target's shape (log units) by unit: the
median over left-out phones of TFLite and MNN (`validation.accuracy --only market-others`)."""


def learn_sheets(
    facts: Facts,
    *,
    populations: Sequence[Population] = (),
    without: Collection[str] = (),
) -> Sheets:
    """What the sheets of known devices tell of others.

    `facts` are sheets by device and unit (`facts_key`); `populations` replace those of ncnn that
    ship; targets of the chips `without` names tell nothing, whatever device has them. Raises
    `ProfileError` where nothing with a sheet is left or no population ships.
    """
    learned = [_less(p, facts, without) for p in populations or ncnn_populations()]
    speeds = known_speeds(tuple(facts.values()))
    facts = with_versions(facts, learned)
    others = [s for s in speeds if s.chip not in without]
    measured = [s for p in learned for s in sheets_of(p, facts) if s is not None]
    measured = [s for s in (*measured, *others) if is_phones(s)]
    shapes = [shape for p in learned for shape in population_shapes(p, facts)]
    spreads = {place: BETWEEN_NETWORKS[place.partition("/")[0]] for place in OFFERED}
    spreads |= {f"{p.unit}/{p.framework}/{p.precision}": network_spread(p, facts) for p in learned}
    return sheets_from(measured, [*shapes, *target_shapes(others)], spreads)


def sheet_profiles(asked: Sequence[MeasuredSheet], sheets: Sheets) -> tuple[DeviceProfile, ...]:
    """Devices with the targets that are asked for, by their sheets alone.

    A target of a class that sheets tell nothing of is left out.
    """
    made = targets_of_sheets(asked, sheets)
    return profiles_by_device((target for target in made if target is not None), "phone")


def ncnn_populations() -> list[Population]:
    """The populations of ncnn that ship; raises `ProfileError` where one is missing."""
    found = [
        shipped_population(Target("", unit, "ncnn", precision)) for unit, precision in POPULATIONS
    ]
    if any(p is None for p in found):
        raise ProfileError("populations of ncnn are missing", "install the package anew")
    return [p for p in found if p is not None]


def _less(population: Population, facts: Facts, chips: Collection[str]) -> Population:
    """A population without the targets of some chips."""
    gone = []
    for name in population.names:
        target = full_target(name.partition(" ")[0])
        sheet = facts.get(facts_key(target.device, target.unit))
        gone.append(sheet is not None and sheet.chip in chips)
    return population.without(np.array(gone)) if any(gone) else population


@lru_cache(maxsize=4)
def known_speeds(facts: tuple[MeasuredSheet, ...]) -> tuple[MeasuredSheet, ...]:
    """Measured targets of other frameworks that have a sheet, with their speed over `REFERENCE`."""
    sheets = {facts_key(s.target.device, s.target.unit): s for s in facts}
    found = []
    for target in other_targets():
        sheet = sheets.get(facts_key(target.device, target.unit))
        if sheet is not None and (sheet.cores or sheet.gpu):
            found.append(replace(sheet, target=target))
    queries = [(network, str(s.target), None) for s in found for network in REFERENCE]
    answers = list(predict_many(queries))
    speeds = []
    for place, sheet in enumerate(found):
        mine = answers[place * len(REFERENCE) : (place + 1) * len(REFERENCE)]
        times = [a.latency_ms for a in mine if not isinstance(a, Exception)]
        if len(times) == len(mine):
            speeds.append(replace(sheet, log_ms=float(np.mean(np.log(times)))))
    return tuple(speeds)


def other_targets() -> list[Target]:
    """Targets of shipped profiles whose class is offered or says something of chips."""
    return [
        full_target(line.target)
        for line in list_targets()
        if target_class(full_target(line.target)) in OFFERED
        or parse_target(line.target).framework in SUPPORTING
    ]


def target_shapes(known: Sequence[MeasuredSheet]) -> list[Shape]:
    """Every measured target of an offered class as a shape, by its name."""
    return [
        Shape(
            place=target_class(s.target),
            kin=kin_of(s),
            threads=max(s.target.threads, 1),
            log_ms=s.log_ms,
            model=str(s.target),
        )
        for s in known
        if target_class(s.target) in OFFERED
    ]


def network_spread(population: Population, facts: Facts) -> float:
    """Spread of networks around a target's speed under the shape of its kind (log units)."""
    theirs = [s is not None and is_phones(s) for s in sheets_of(population, facts)]
    known = population.measured[theirs]
    if not known.any():
        raise ProfileError(
            f"no phone of {population.unit}/{population.framework} has a sheet",
            "give facts of the devices that were measured",
        )
    times = np.where(known, population.log_ms[theirs], np.nan)[:, known.any(axis=0)]
    left = times - np.nanmean(times, axis=1, keepdims=True)
    left = left - np.nanmedian(left, axis=0, keepdims=True)
    return float(np.nanmedian(np.abs(left)) / MEDIAN_SD)


__all__ = ["learn_sheets", "sheet_profiles"]
