"""Profiles of the ncnn devices: one joint fit, errors and intervals from left-out networks."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from perfmodel.graph.ir import Graph
from perfmodel.graph.ncnn_reader import read_ncnn
from perfmodel.profile.joint import JointEfficiencyModel
from perfmodel.profile.joint_predictor import EfficiencyPredictor, size_ranges
from perfmodel.profile.joint_rows import NetworkRows, TargetKey, network_rows
from perfmodel.profile.profile_file import Provenance, TargetProfile
from perfmodel.profile.table import read_measurements
from perfmodel.profile.target import Target
from validation.profiles_common import (
    BuiltTarget,
    DeviceInfo,
    conformal_interval,
    fit_error,
)
from validation.soc_facts import facts_of, soc_facts

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
    """Every target of ncnn_e2e.csv as a profile's target."""
    table, _ = read_measurements([data / "ncnn_e2e.csv"], skip_bad=True)
    rows = network_rows(table, graph_loader(data), framework="ncnn")
    model = JointEfficiencyModel().fit(rows.inputs(), rows.latency_ms)
    left_out = left_out_log_ratio(rows)
    infos = _device_infos(data)
    firsts = _first_processors(rows)
    built = []
    for number, key in enumerate(rows.targets):
        mask = rows.target == number
        peers = np.array([k.target.unit == key.target.unit for k in rows.targets])[rows.target]
        target, info = _named(key, infos[key.target.device], firsts)
        precision = "int8" if target.precision == "int8" else "fp32"
        place = int(np.searchsorted(model.targets_, number))
        networks = sorted(set(rows.network[mask].tolist()))
        predictor = EfficiencyPredictor(
            tuple(float(v) for v in model.log_cost_[place]),
            precision,
            size_ranges([rows.kernels[n] for n in networks]),
        )
        profile = TargetProfile(
            target,
            "steady",
            predictor,
            conformal_interval(-left_out[mask], -left_out[peers]),
            fit_error(EXPERIMENT, left_out[mask]),
            Provenance(
                SOURCE,
                int(mask.sum()),
                build="ncnn, versions differ by device and are not stated",
                affinity=f"powersave: {target.cluster} cores" if target.cluster else "",
                note=f"min of benchncnn's runs; GPU {key.processor}" if key.processor else "",
            ),
        )
        built.append(BuiltTarget(info, profile, _rank(target)))
    return built


def left_out_log_ratio(rows: NetworkRows) -> np.ndarray:
    """log(predicted / measured) of every row, its network's family left out of the whole fit."""
    out = np.full(len(rows), np.nan)
    families = np.array(rows.families)[rows.network]
    for family in sorted(set(rows.families)):
        held = families == family
        kept = rows.where(~held)
        known = np.isin(rows.target, np.unique(kept.target))
        model = JointEfficiencyModel().fit(kept.inputs(), kept.latency_ms)
        asked = rows.where(held & known)
        out[held & known] = np.log(model.predict(asked.inputs()) / asked.latency_ms)
    # a target with no other family cannot be judged: it counts as far off, not as right
    return np.where(np.isnan(out), np.log(2.0), out)


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
