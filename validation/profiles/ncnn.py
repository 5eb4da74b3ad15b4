"""Profiles of the ncnn devices: populations of all of them, each device calibrated with its rows.

The populations ship as well, because `calibrate` starts from them; the calls are those of a user.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from perfmodel.calibration.from_spec import NEWEST_NETWORKS, facts_key
from perfmodel.calibration.from_table import calibrate_device
from perfmodel.calibration.learn import learn_population
from perfmodel.calibration.measured import NetworkTables, short_processor
from perfmodel.calibration.population import Population, from_dict, to_dict
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.devices.sheet_data import uses_wide_units
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import MeasurementTable
from perfmodel.target import Target
from validation.data.sheets import device_facts
from validation.data.soc_facts import facts_of, soc_facts
from validation.profiles.common import BuiltTarget, DeviceInfo

SOURCE = "Tencent/ncnn benchmark/README.md, commit a4d2ea1d4422 (BSD-3-Clause)"
CLASSES = (("cpu", "float"), ("cpu", "int8"), ("gpu", "float"))
FEWEST_NETWORKS = 3
_CLUSTER_RANK = {"big": 0, "all": 1, "little": 2, "": 0}
OF_OLD_VERSION = (
    "ncnn as it was before 2022, when this was measured: later versions use this core's wide "
    "vector units in more layers and may take less, down to half the time"
)
CORES = Path(__file__).resolve().parents[1] / "data" / "ncnn_devices.csv"


@lru_cache(maxsize=1)
def _networks() -> NetworkTables:
    """Every network is read and fused once."""
    return NetworkTables()


@lru_cache(maxsize=2)
def _table(data: Path) -> MeasurementTable:
    table, _ = read_measurements([data / "ncnn_e2e.csv"], skip_bad=True)
    frame = table.networks.where(framework="ncnn").frame
    known = [(data / model).is_file() for model in frame["model"]]
    return MeasurementTable(frame[known].reset_index(drop=True))


@lru_cache(maxsize=2)
def ncnn_populations(data: Path) -> tuple[Population, ...]:
    """The populations of ncnn's CPUs, float and int8, and GPUs."""
    with CORES.open(newline="") as file:
        cores = {row["device"]: row["cores"] for row in csv.DictReader(file)}
    learned = (
        learn_population(
            _table(data),
            framework="ncnn",
            unit=unit,
            precision=precision,
            cores=cores,
            networks=_networks(),
        )
        for unit, precision in CLASSES
    )
    # as a user reads them from the file, with as many digits
    return tuple(from_dict(to_dict(population)) for population in learned)


def build_ncnn(data: Path) -> list[BuiltTarget]:
    """Every target of ncnn_e2e.csv as a profile's target."""
    populations, infos, built = ncnn_populations(data), _device_infos(data), []
    for device, processor, rows in _devices(_table(data)):
        info = _named(infos[device], processor, _first_processors(_table(data)))
        made = calibrate_device(
            rows,
            device=info.device,
            kind=info.kind,
            population=populations,
            skip_bad=True,
            pick="median",
            networks=_networks(),
        )
        assumes = version_words(rows)
        for target in made.targets:
            if target.networks >= FEWEST_NETWORKS:
                profile = _described(target.profile, processor, assumes)
                built.append(BuiltTarget(info, profile, _rank(profile.target)))
    return built


def _devices(table: MeasurementTable) -> list[tuple[str, str, MeasurementTable]]:
    """Rows by device and, for GPUs, processor; a CPU has none."""
    frame = table.frame
    processor = np.where(frame["unit"] == "cpu", "", frame["processor"])
    keys = sorted(set(zip(frame["device"], processor, strict=True)))
    return [
        (
            device,
            short_processor(name),
            MeasurementTable(
                frame[(frame["device"] == device) & (processor == name)].reset_index(drop=True)
            ),
        )
        for device, name in keys
    ]


def version_words(rows: MeasurementTable) -> str:
    """What a user must know of the version that measured a device's CPU; empty where nothing."""
    frame = rows.frame
    names = {PurePath(model).stem for model in frame["model"]}
    sheet = device_facts().get(facts_key(str(frame["device"].iloc[0]), "cpu"))
    if frame["unit"].iloc[0] != "cpu" or sheet is None or names & set(NEWEST_NETWORKS):
        return ""
    target = Target(sheet.target.device, "cpu", "ncnn", "float", 1)
    if not uses_wide_units(replace(sheet, target=target)):
        return ""
    return OF_OLD_VERSION


def _described(profile: TargetProfile, processor: str, assumes: str) -> TargetProfile:
    cluster, note = profile.target.cluster, profile.provenance.note
    words = ("min of benchncnn's runs", f"GPU {processor}" if processor else "", note)
    return replace(
        profile,
        provenance=Provenance(
            SOURCE,
            profile.provenance.measurements,
            build="ncnn, versions differ by device and are not stated",
            affinity=f"powersave: {cluster} cores" if cluster else "",
            note="; ".join(w for w in words if w),
            assumes=assumes,
        ),
    )


def _rank(target: Target) -> tuple[int, ...]:
    """CPU before GPU, float before int8, big cores first; 4 threads (what apps use), then more."""
    return (
        ("cpu", "gpu").index(target.unit),
        int(target.precision == "int8"),
        _CLUSTER_RANK[target.cluster],
        int(target.threads != 4),
        -target.threads,
    )


def _device_infos(data: Path) -> dict[str, DeviceInfo]:
    """Titles and kinds from the table, facts of the chip for phones and boards named after one."""
    known = soc_facts(data)
    infos: dict[str, DeviceInfo] = {}
    with open(data / "ncnn_e2e.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            info = DeviceInfo(row["device"], row["device_title"], row["kind"])
            facts = facts_of(row["device"], "", known)
            if facts is not None:
                chip: dict[str, Any] = {"soc": facts.soc, "year": facts.year}
                info = replace(info, hardware=facts.hardware, **chip)
            infos[row["device"]] = info
    return infos


def _first_processors(table: MeasurementTable) -> dict[str, str]:
    """The GPU that keeps the device's name: the one with the most networks."""
    counts: dict[str, dict[str, int]] = {}
    gpus = table.where(unit="gpu").frame
    for device, name in zip(gpus["device"], gpus["processor"], strict=True):
        mine = counts.setdefault(device, {})
        mine[short_processor(name)] = mine.get(short_processor(name), 0) + 1
    return {d: min(c, key=lambda p: (-c[p], p)) for d, c in counts.items()}


def _named(info: DeviceInfo, processor: str, firsts: Mapping[str, str]) -> DeviceInfo:
    """A second GPU of a device becomes a device of its own, named after both."""
    if not processor or firsts[info.device] == processor:
        return info
    words = re.sub(r"\((r|tm)\)", "", processor.lower())
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-")
    return replace(info, device=f"{info.device}-{slug}"[:80], title=f"{info.title}: {processor}")
