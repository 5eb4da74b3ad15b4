"""NAS-Bench-201: a device never seen, from 20 cells measured on it; others predicted.

What is done is what a user does: ask which networks to measure (`next_measurements`), calibrate
with their latencies, predict. Cells are drawn by the seed: some to choose from, others to ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import perfmodel
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import MeasurementTable
from validation.accuracy.common import AccuracyRow, columns_as_cases, score

MEASURED = 20
CANDIDATES = 500
ASKED = 1000
EXPORTED = ("pixel-3", "raspberry-pi-4")
"""Devices that ran TensorFlow Lite (HW-NAS-Bench, arXiv:2103.10584, whose latencies these are);
the others of HELP (arXiv:2106.08630) ran PyTorch."""

REASONS = {
    "essential-ph-1": "whole milliseconds of noisy runs",
    "pixel-2": "whole milliseconds of noisy runs",
    "samsung-galaxy-s7": "whole milliseconds of noisy runs",
    "pixel-3": "cells without a path, or whose unused branches were exported after all",
    "raspberry-pi-4": "cells without a path, or whose unused branches were exported after all",
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What decides which cells are measured: how a device runs networks, never a latency."""

    unit: str
    framework: str
    batch: int

    def target(self, device: str) -> str:
        """The target of a device in this setting."""
        return f"{device}/{self.unit}/{self.framework}/fp32"


@dataclass(frozen=True, eq=False)
class DeviceColumn:
    """One device at one batch size: its rows, a cell each."""

    device: str
    setting: Setting
    table: MeasurementTable

    @property
    def name(self) -> str:
        """The device, with the batch where it is not 1."""
        batch = self.setting.batch
        return self.device if batch == 1 else f"{self.device}, batch {batch}"

    @property
    def held_out(self) -> str:
        """A name of the device that no profile has."""
        return f"held-out-{self.device}-b{self.setting.batch}"

    @cached_property
    def latency_ms(self) -> Mapping[str, float]:
        """Measured latency by network."""
        names, times = self.table.column("model"), self.table.column("latency_ms")
        return dict(zip(names.tolist(), times.tolist(), strict=True))

    def rows(self, networks: Sequence[str]) -> MeasurementTable:
        """The rows of some networks."""
        frame = self.table.frame
        chosen = frame[frame["model"].isin(list(networks))]
        return MeasurementTable(chosen.reset_index(drop=True))


def read_columns(data: Path) -> list[DeviceColumn]:
    """Every device and batch size of nasbench201_latency.csv.gz, its framework filled in."""
    table, _ = read_measurements([data / "nasbench201_latency.csv.gz"])
    found = []
    for (device, unit, batch), frame in table.frame.groupby(["device", "unit", "batch"]):
        framework = "tflite" if device in EXPORTED else "pytorch"
        setting = Setting(unit=str(unit), framework=framework, batch=int(float(str(batch))))
        stated = frame.assign(framework=framework, precision="fp32").reset_index(drop=True)
        if unit == "cpu":
            stated = stated.assign(threads=1.0)
        found.append(DeviceColumn(str(device), setting, MeasurementTable(stated)))
    return found


def drawn(networks: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """(networks to choose from, others to ask for), both drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(networks))
    picked = [networks[i] for i in order[: CANDIDATES + ASKED]]
    return picked[:CANDIDATES], picked[CANDIDATES:]


def choose(setting: Setting, candidates: Sequence[str]) -> list[str]:
    """The networks to measure on a new device of a setting; no latency is looked at."""
    found = perfmodel.next_measurements(
        MEASURED, setting.target("new"), candidates=candidates, batch_size=setting.batch
    )
    return [s.name for s in found.suggestions]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was predicted and measured of one column, cell by cell."""

    column: DeviceColumn
    networks: list[str]
    predicted: np.ndarray
    measured: np.ndarray
    intervals: np.ndarray
    baselines: Mapping[str, np.ndarray]


def simple_models(
    column: DeviceColumn,
    chosen: Sequence[str],
    asked: Sequence[str],
    macs: Mapping[str, int],
    others: Sequence[DeviceColumn],
) -> dict[str, np.ndarray]:
    """Time in proportion to MACs, a line through MACs, and the device most alike, scaled."""
    from scipy.optimize import nnls

    mine = np.array([column.latency_ms[n] for n in chosen])
    known = np.array([macs[n] for n in chosen], dtype=float)
    new = np.array([macs[n] for n in asked], dtype=float)
    scale = known.max()
    cost, _ = nnls(np.column_stack([known / scale, np.ones(len(known))]) / mine[:, None],
                   np.ones(len(mine)))  # fmt: skip
    found = {
        "FLOPs": new * np.median(mine / known),
        "linear": new / scale * cost[0] + cost[1],
    }

    def ratios(other: DeviceColumn) -> np.ndarray:
        return np.log(mine / [other.latency_ms[n] for n in chosen])

    alike = [c for c in others if c.device != column.device]
    if alike:
        best = min(alike, key=lambda c: float(np.mean(np.abs(ratios(c) - np.median(ratios(c))))))
        near = np.array([best.latency_ms[n] for n in asked])
        found["nearest device"] = near * np.exp(np.median(ratios(best)))
    return found


def outcomes(columns: Sequence[DeviceColumn], seed: int) -> list[Outcome]:
    """Each column calibrated from the cells that its setting asks for, and asked for the others."""
    networks = sorted(set.intersection(*(set(c.latency_ms) for c in columns)))
    candidates, asked = drawn(networks, seed)
    chosen = {s: choose(s, candidates) for s in {c.setting: None for c in columns}}
    profiles, queries = [], []
    for column in columns:
        few = column.rows(chosen[column.setting])
        profiles.append(perfmodel.calibrate(few, device=column.held_out, trusted=True))
        target = column.setting.target(column.held_out)
        queries += [(n, target, column.setting.batch) for n in (*chosen[column.setting], *asked)]
    answers: list[Any] = list(perfmodel.predict_many(queries, profiles=profiles))
    found, start = [], 0
    for column in columns:
        few_names = chosen[column.setting]
        mine = dict(zip((*few_names, *asked), answers[start:], strict=False))
        start += len(few_names) + len(asked)
        for answer in mine.values():
            if isinstance(answer, Exception):
                raise answer
        macs = {n: a.macs for n, a in mine.items()}
        found.append(
            Outcome(
                column,
                list(asked),
                np.array([mine[n].latency_ms for n in asked]),
                np.array([column.latency_ms[n] for n in asked]),
                np.array([mine[n].interval_ms for n in asked]),
                simple_models(column, few_names, asked, macs, columns),
            )
        )
    return found


def _score(found: Sequence[Outcome], kind: str, seed: int, worst: int) -> AccuracyRow:
    return score(
        f"NAS-Bench-201, {MEASURED} cells measured",
        kind,
        columns_as_cases(
            [f"{f.column.name} {n.partition('=')[2]}" for f in found for n in f.networks],
            np.concatenate([f.predicted for f in found]),
            np.concatenate([f.measured for f in found]),
            groups=[f.column.name for f in found for _ in f.networks],
            intervals_ms=np.concatenate([f.intervals for f in found]),
        ),
        seed,
        baselines={
            name: np.concatenate([f.baselines[name] for f in found]) for name in found[0].baselines
        },
        reasons=REASONS,
        worst=worst,
    )


def one_device(data: Path, seed: int) -> list[AccuracyRow]:
    """Every device and batch size on its own, then all of them."""
    found = outcomes(read_columns(data), seed)
    return [
        *(_score([f], f.column.name, seed, 2) for f in found),
        _score(found, "all devices", seed, 0),
    ]


EXPERIMENTS = {"nasbench-one-device": one_device}
