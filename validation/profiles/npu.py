"""Profiles of NPUs from Qualcomm AI Hub: every chip, runtime and precision fitted at once.

The newest release says what the targets are; devices that only earlier releases ran keep the
newest version that they were measured with. Errors come from leaving network families out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from perfmodel.calibration.npu import (
    KNOWN_LOG,
    NpuNetworks,
    NpuPopulation,
    family_left_out,
    learn_npus,
    predictor_of,
)
from perfmodel.cost_models.interval import (
    COVERAGE,
    NOVELTY_SLOPE,
    Interval,
    fit_error,
    widths_by_group,
)
from perfmodel.cost_models.npu_model import NpuPlace
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.target import Target
from validation.data.aihub import AiHubRow, aihub_rows, networks, targets_of
from validation.profiles.common import BuiltTarget, DeviceInfo

SOURCE = "Qualcomm AI Hub, quic/ai-hub-models v0.46.1, perf.yaml (BSD-3-Clause)"
EXPERIMENT = "network family left out on every target"
FRAMEWORKS = ("qnn", "tflite", "onnxruntime")
PRECISIONS = ("fp16", "w8a8", "w8a16")
NAMES = {
    "samsung-galaxy-s25": ("Samsung Galaxy S25", "phone", "Snapdragon 8 Elite", 2025),
    "samsung-galaxy-s24": ("Samsung Galaxy S24", "phone", "Snapdragon 8 Gen 3", 2024),
    "samsung-galaxy-s23": ("Samsung Galaxy S23", "phone", "Snapdragon 8 Gen 2", 2023),
    "snapdragon-8-elite-gen-5-qrd": (
        *("Snapdragon 8 Elite Gen 5 QRD", "board"),
        *("Snapdragon 8 Elite Gen 5", 2025),
    ),
    "snapdragon-8-elite-qrd": ("Snapdragon 8 Elite QRD", "board", "Snapdragon 8 Elite", 2024),
    "snapdragon-7-gen-4-qrd": ("Snapdragon 7 Gen 4 QRD", "board", "Snapdragon 7 Gen 4", 2025),
    "snapdragon-7-gen-5-qrd": ("Snapdragon 7 Gen 5 QRD", "board", "Snapdragon 7 Gen 5", None),
    "qcs8550": ("QCS8550 (Proxy)", "board", "QCS8550 (Snapdragon 8 Gen 2 class)", None),
    "qcs8450": ("QCS8450 (Proxy)", "board", "QCS8450 (Snapdragon 8 Gen 1 class)", None),
    "dragonwing-rb3-gen-2-vision-kit": (
        *("Dragonwing RB3 Gen 2 Vision Kit", "board"),
        *("QCS6490", None),
    ),
    "dragonwing-iq-9075-evk": ("Dragonwing IQ-9075 EVK", "board", "QCS9075", None),
    "qcs8275": ("QCS8275 (Proxy)", "board", "QCS8275", None),
    "sa8775p-adp": ("SA8775P ADP", "board", "SA8775P", None),
    "sa8255": ("SA8255 (Proxy)", "board", "SA8255P", None),
    "sa8650": ("SA8650 (Proxy)", "board", "SA8650P", None),
}
"""Title, kind, chip and year of each device, as AI Hub writes them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Campaign:
    """All measured targets: what they share, their times and the networks."""

    targets: tuple[Target, ...]
    places: tuple[NpuPlace, ...]
    log_ms: np.ndarray
    networks: NpuNetworks
    tools: dict[Target, str]

    def learned(self) -> NpuPopulation:
        """The population of all targets, its widths by precision from families left out."""
        names = [str(t) for t in self.targets]
        population = learn_npus(names, self.places, self.networks, self.log_ms)
        return replace(population, strange_width=self.strange_widths())

    def left_out(self) -> np.ndarray:
        """log(measured / predicted) with the family left out, NaN where not measured."""
        return _left_out(self)

    def strange_widths(self) -> dict[str, float]:
        """Half width of the interval of a strange network on a new target, by precision."""
        by_precision = np.array([PRECISIONS.index(p.precision) for p in self.places])
        rows, _ = np.nonzero(np.isfinite(self.left_out()))
        misses = self.left_out()[np.isfinite(self.left_out())]
        widths = widths_by_group(misses, by_precision[rows], len(PRECISIONS))
        return {p: round(float(w), 4) for p, w in zip(PRECISIONS, widths, strict=True)}


@lru_cache(maxsize=2)
def campaign(data: Path) -> Campaign:
    """The newest release, and from earlier ones the devices that it does not have."""
    rows = aihub_rows(data)
    rows += newest_versions(aihub_rows(data, "aihub_history.csv.gz"), rows)
    targets, places, log_ms = targets_of(rows)
    tools = {r.target: r.tools for r in rows}
    return Campaign(
        targets=tuple(targets),
        places=tuple(places),
        log_ms=log_ms,
        networks=networks(),
        tools=tools,
    )


@lru_cache(maxsize=2)
def _left_out(measured: Campaign) -> np.ndarray:
    return family_left_out(measured.places, measured.networks, measured.log_ms)


def newest_versions(history: Sequence[AiHubRow], known: Sequence[AiHubRow]) -> list[AiHubRow]:
    """Rows of devices that are not `known`, of the newest stated version of each runtime."""
    have = {r.target.device for r in known}
    rows = [r for r in history if r.target.device in NAMES and r.target.device not in have]
    rows = [r for r in rows if r.target.version]
    newest: dict[tuple[str, str, str], tuple[int, ...]] = {}
    for r in rows:
        newest[_runtime(r)] = max(newest.get(_runtime(r), ()), _number(r.target.version))
    return [r for r in rows if _number(r.target.version) == newest[_runtime(r)]]


def _runtime(row: AiHubRow) -> tuple[str, str, str]:
    return row.target.device, row.target.framework, row.target.precision


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def build_npu(data: Path) -> list[BuiltTarget]:
    """Every NPU target of AI Hub with enough networks that can be rebuilt."""
    measured = campaign(data)
    population, left = measured.learned(), measured.left_out()
    rows, _ = np.nonzero(np.isfinite(left))
    widths = widths_by_group(left[np.isfinite(left)], rows, len(measured.targets))
    return [
        _built(measured, population, i, left[i][np.isfinite(left[i])], float(widths[i]))
        for i in range(len(measured.targets))
    ]


def _built(
    measured: Campaign, population: NpuPopulation, i: int, left: np.ndarray, width: float
) -> BuiltTarget:
    target = measured.targets[i]
    predictor = predictor_of(
        population, target.precision, population.log_cost[i], population.log_ms[i]
    )
    correction = replace(predictor.correction, strange_log=max(width - KNOWN_LOG, 0.0))
    least = min(width, KNOWN_LOG)
    profile = TargetProfile(
        target,
        "steady",
        replace(predictor, correction=correction),
        Interval(COVERAGE, least, least, NOVELTY_SLOPE),
        fit_error(EXPERIMENT, left),
        Provenance(
            SOURCE,
            len(left),
            build=measured.tools[target][:200],
            note="near the fastest run; networks it was measured with get their own misfit",
        ),
    )
    title, kind, soc, year = NAMES[target.device]
    rank = (PRECISIONS.index(target.precision), FRAMEWORKS.index(target.framework))
    return BuiltTarget(DeviceInfo(target.device, title, kind, soc, year), profile, rank)
