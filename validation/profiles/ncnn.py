"""Profiles of the ncnn devices: one joint fit, errors and intervals from left-out networks."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from perfmodel.cost_models.interval import COVERAGE, FitError, Interval
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.formats.ncnn.reader import read_ncnn
from perfmodel.graph.ir import Graph
from perfmodel.measurements.table import read_measurements
from perfmodel.target import Target
from validation.data.network_tables import NetworkRows, TargetKey, network_rows
from validation.data.soc_facts import facts_of, soc_facts
from validation.profiles.common import BuiltTarget, DeviceInfo
from validation.profiles.network_training import TrainedTarget, train

SOURCE = "Tencent/ncnn benchmark/README.md, commit a4d2ea1d4422 (BSD-3-Clause)"
EXPERIMENT = "network left out on every device"
_CLUSTER_RANK = {"big": 0, "all": 1, "little": 2, "": 0}


def graph_loader(data: Path) -> Callable[[str], Graph]:
    """Reads the benchmarked graph of a model name; `KeyError` where there is none."""

    def load(model: str) -> Graph:
        path = data / "ncnn_models" / f"{Path(model).stem}.param"
        if not path.is_file():
            raise KeyError(model)
        return read_ncnn(path)

    return load


def build_ncnn(data: Path) -> list[BuiltTarget]:
    """Every target of ncnn_e2e.csv as a profile's target; CPUs and GPUs are fitted apart."""
    table, _ = read_measurements([data / "ncnn_e2e.csv"], skip_bad=True)
    load, infos = graph_loader(data), _device_infos(data)
    built = []
    for unit in ("cpu", "gpu"):
        rows = network_rows(table, load, framework="ncnn", units=(unit,))
        firsts = _first_processors(rows)
        for trained in train(rows):
            target, info = _named(trained.key, infos[trained.key.target.device], firsts)
            profile = _profile(trained, target)
            built.append(BuiltTarget(info, profile, _rank(target)))
    return built


def _profile(trained: TrainedTarget, target: Target) -> TargetProfile:
    width, processor = round(trained.half_width_log, 4), trained.key.processor
    return TargetProfile(
        target,
        "steady",
        trained.predictor,
        Interval(COVERAGE, width, width, trained.novelty_slope),
        FitError(
            EXPERIMENT,
            trained.cases,
            round(trained.median_error, 4),
            round(trained.mean_error, 4),
            round(trained.within_20, 4),
        ),
        Provenance(
            SOURCE,
            trained.measurements,
            build="ncnn, versions differ by device and are not stated",
            affinity=f"powersave: {target.cluster} cores" if target.cluster else "",
            note=f"min of benchncnn's runs; GPU {processor}" if processor else "",
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
                chip = {"soc": facts.soc, "year": facts.year, "hardware": facts.hardware}
                info = replace(info, **chip)  # type: ignore[arg-type]
            infos[row["device"]] = info
    return infos


def _first_processors(rows: NetworkRows) -> dict[str, str]:
    """The GPU that keeps the device's name: the one with the most networks."""
    counts: dict[str, dict[str, int]] = {}
    for number, key in enumerate(rows.targets):
        if key.processor:
            mine = counts.setdefault(key.target.device, {})
            mine[key.processor] = mine.get(key.processor, 0) + int((rows.target == number).sum())
    return {d: min(c, key=lambda p: (-c[p], p)) for d, c in counts.items()}


def _named(key: TargetKey, info: DeviceInfo, firsts: dict[str, str]) -> tuple[Target, DeviceInfo]:
    """A second GPU of a device becomes a device of its own, named after both."""
    if not key.processor or firsts[key.target.device] == key.processor:
        return key.target, info
    words = re.sub(r"\((r|tm)\)", "", key.processor.lower())
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-")
    name = f"{key.target.device}-{slug}"[:80]
    title = f"{info.title}: {key.processor}"
    return replace(key.target, device=name), replace(info, device=name, title=title)
