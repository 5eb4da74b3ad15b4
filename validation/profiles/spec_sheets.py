"""What ships of spec sheets: spec-sheets.json and npu-hexagon-*.json in hw_profiles/populations.

`python -m validation.profiles.spec_sheets` makes it alone, from the profiles and
populations that ship: measured targets of phones and of boards with phones' cores or GPUs, their
sheets (chips.csv for phones, validation/data for boards) and the shapes of their costs.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

import perfmodel
from perfmodel.calibration.device_kinds import shipped_kinds
from perfmodel.calibration.from_spec import (
    facts_key,
    is_phones,
    learn_sheets,
    population_shapes,
    sheets_of,
)
from perfmodel.calibration.npu_sheet import write_generations
from perfmodel.calibration.population import Population, shipped_population
from perfmodel.cost_models.interval import MEDIAN_SD
from perfmodel.devices.market import chips
from perfmodel.devices.registry import builtin_folder, list_targets
from perfmodel.devices.sheet_data import MeasuredSheet, Shape, Sheets, kin_of, write_sheets
from perfmodel.devices.sheet_rows import target_class
from perfmodel.devices.spec_sheet import silicon
from perfmodel.errors import ProfileError
from perfmodel.target import Target, full_target, parse_target

DATA = Path(__file__).resolve().parents[1] / "data"

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


@lru_cache(maxsize=1)
def device_facts() -> Mapping[str, MeasuredSheet]:
    """The sheets of measured devices by `facts_key`, without a speed."""
    with (DATA / "ncnn_devices.csv").open(newline="") as file:
        cores = {row["device"]: row["cores"] for row in csv.DictReader(file)}
    found: dict[str, MeasuredSheet] = {}
    with (DATA / "spec_sheets.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for unit in ("cpu", "gpu"):
                sheet = _facts(row, cores, Target(row["device"], unit, "", ""))
                found[facts_key(row["device"], unit)] = sheet
    return found


def _facts(row: Mapping[str, str], cores: Mapping[str, str], target: Target) -> MeasuredSheet:
    chip = chips().get(row["chip"])
    cpu = target.unit == "cpu"
    kind = shipped_kinds().get(target.device, "board")
    if chip is not None:
        return MeasuredSheet(
            target=target,
            chip=silicon(chip),
            title=chip.name,
            kind=kind,
            cores=chip.cores_text if cpu else "",
            gpu="" if cpu else chip.gpu,
            gflops=0.0 if cpu else chip.gpu_gflops or 0.0,
            memory_gbs=chip.mem_bandwidth_gbs,
        )
    return MeasuredSheet(
        target=target,
        chip=row["chip"],
        title=row["chip"],
        kind=kind,
        cores=(row["cores"] or cores.get(target.device, "")) if cpu else "",
        gpu="" if cpu else row["gpu"],
        gflops=0.0 if cpu else float(row["gpu_gflops"] or 0.0),
        memory_gbs=float(row["memory_gbs"]) if row["memory_gbs"] else None,
    )


def known_speeds(targets: Sequence[str]) -> list[MeasuredSheet]:
    """Targets of shipped profiles with a sheet, and their speed over `REFERENCE`."""
    facts, found = device_facts(), []
    for name in targets:
        target = full_target(name)
        sheet = facts.get(facts_key(target.device, target.unit))
        if sheet is None or not (sheet.cores or sheet.gpu):
            continue
        found.append(replace(sheet, target=target))
    queries = [(network, str(s.target), None) for s in found for network in REFERENCE]
    answers = list(perfmodel.predict_many(queries))
    speeds = []
    for place, sheet in enumerate(found):
        mine = answers[place * len(REFERENCE) : (place + 1) * len(REFERENCE)]
        if any(isinstance(a, Exception) for a in mine):
            continue
        log_ms = float(np.mean([np.log(a.latency_ms) for a in mine]))
        speeds.append(replace(sheet, log_ms=log_ms))
    return speeds


def published_targets() -> list[str]:
    """Targets of shipped profiles whose class is offered or says something of chips."""
    return [
        line.target
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


def network_spread(population: Population) -> float:
    """Spread of networks around a target's speed under the shape of its kind (log units)."""
    facts = device_facts()
    theirs = [s is not None and is_phones(s) for s in sheets_of(population, facts)]
    times = np.where(population.measured, population.log_ms, np.nan)[theirs]
    left = times - np.nanmean(times, axis=1, keepdims=True)
    left = left - np.nanmedian(left, axis=0, keepdims=True)
    return float(np.nanmedian(np.abs(left)) / MEDIAN_SD)


def build_sheets(populations: Sequence[Population], others: Sequence[MeasuredSheet]) -> Sheets:
    """What ships, from ncnn's populations and measured targets of other frameworks."""
    facts = device_facts()
    measured = [s for p in populations for s in sheets_of(p, facts) if s is not None]
    measured = [s for s in (*measured, *others) if is_phones(s)]
    shapes = [shape for p in populations for shape in population_shapes(p, facts)]
    spreads = {place: BETWEEN_NETWORKS[place.partition("/")[0]] for place in OFFERED}
    spreads |= {f"{p.unit}/{p.framework}/{p.precision}": network_spread(p) for p in populations}
    return learn_sheets(measured, [*shapes, *target_shapes(others)], spreads)


def ncnn_shipped() -> list[Population]:
    """The populations that ship."""
    found = [
        shipped_population(Target("", unit, "ncnn", precision)) for unit, precision in POPULATIONS
    ]
    if any(p is None for p in found):
        raise ProfileError("populations of ncnn are missing", "run `python -m validation.profiles`")
    return [p for p in found if p is not None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=builtin_folder())
    options = parser.parse_args(arguments)
    sheets = build_sheets(ncnn_shipped(), known_speeds(published_targets()))
    path = write_sheets(sheets, options.output)
    print(f"{len(sheets.known)} targets, {len(sheets.shapes)} shapes: {path}")
    generations = ", ".join(f"V{g}" for g in write_generations(options.output))
    print(f"NPUs of generations {generations}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
