"""NPUs of phones and boards: networks and chips that were not measured, integers or floats.

The rows are Qualcomm AI Hub's, and those of Rockchip's model zoo. A family of networks is left out
on every target (with those of its part, `PARTS`), a chip in every form that it has (`SAME_CHIP`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import perfmodel
from perfmodel.calibration.measured import NetworkTables
from perfmodel.cost_models.interval import ratio_bounds
from perfmodel.devices.profile import DeviceProfile
from perfmodel.target import Target
from validation.accuracy.common import (
    AccuracyRow,
    UnseenCase,
    answered,
    apart,
    ratio_cases,
    score,
    unseen_case,
)
from validation.accuracy.kernels import relative_costs
from validation.aihub.as_run import as_run
from validation.data.aihub import (
    SAME_CHIP,
    AiHubRow,
    campaign_rows,
    families,
    network_lines,
    network_name,
    table_of,
)
from validation.data.rockchip import CHIPS, newest_rows
from validation.data.rockchip import families as rockchip_families
from validation.data.rockchip import network_name as rockchip_network
from validation.data.rockchip import table_of as rockchip_table

PRECISIONS = ("fp16", "w8a8", "w8a16")
MEASURED = (1, 10)

DRAWINGS = 5
"""Drawings of the measured networks: by one of 87 single networks the median moves by a tenth."""

LEAST_LEFT = 5
FOLDS = 4
"""Parts of the families that intervals come of, within what is left."""

PARTS = 16
"""Parts of the families that are left out together: a fit of all targets each."""

ROCKCHIP_FOLDS = 6
"""Parts for intervals of Rockchip's few families, which tell the share of four numbers as well."""

CLEAR = 0.15
"""Two targets whose measured times differ by more are a pair that has an answer."""

TABLES = NetworkTables()
"""Networks read and fused, kept for all calls."""

SIZED_ON = "samsung-galaxy-s24/npu"

REASONS = {
    "pspnet": "a ResNet of dilated convolutions: other networks of the table have a few of them",
    "video_mae": "attention over 1,568 tokens: its scores do not fit the memory on the chip",
    "ddrnet23_slim": "12 batch normalisations that nothing folds are 36 layers of its w8a8 file",
    "pidnet": "9 batch normalisations that nothing folds are 27 layers of its w8a8 file",
    "sinet": "20 batch normalisations that nothing folds are 60 layers of its w8a8 file",
    "densenet121": "62 batch normalisations that nothing folds are 186 layers of its w8a8 file",
    "ffnet": "a reflected border and a filter of three channels over the whole image",
    "stable_diffusion": "attention over 4,096 places: AI Hub splits it by heads so that it fits",
    "controlnet": "attention over 4,096 places: AI Hub splits it by heads so that it fits",
    "unet_segmentation": "in w8a8 chips of like speed differ 4 to 20 times on it, nobody says why",
    "resnet_2plus1d": "convolutions over time; some releases run them hundreds of times slower",
    "resnet_3d": "convolutions over time; some releases run them hundreds of times slower",
    "sa8775p": "one job in six of this board ran four times slower, in another state of power",
    "vit": "w8a16 and w8a8 files hold operators that the compiler runs badly",
    "rknn": "yolo networks alone say little of narrow or depthwise layers on this vendor's chips",
}


Case = UnseenCase[AiHubRow]


def case(row: AiHubRow, answer: Any, simple: Mapping[str, float]) -> Case:
    """A network on a target that did not know it."""
    line = network_lines()[row.network]
    part = f"+{line.component}" if line.component else ""
    name = f"{row.target} {line.model}{part}"
    return unseen_case(row, answer, row.latency_ms, name=name, group=str(row.target), simple=simple)


def bare(row: AiHubRow) -> Target:
    """The target as a measurement table names it, which has no versions."""
    t = row.target
    return Target(t.device, t.unit, t.framework, t.precision)


def answers(rows: Sequence[AiHubRow], profiles: Sequence[DeviceProfile]) -> list[Any]:
    """Predictions of the networks of rows on their targets; raises the first error."""
    names = [network_name(line) for line in network_lines()]
    return answered([(names[row.network], str(bare(row)), 1) for row in rows], profiles)


def answers_as_run(rows: Sequence[AiHubRow], profiles: Sequence[DeviceProfile]) -> list[Any]:
    """Predictions of what ran: the networks with the normalisation of their image."""
    names, ran = [network_name(line) for line in network_lines()], as_run()
    asked = [(ran.get(name := names[r.network], name), str(bare(r)), 1) for r in rows]
    return answered(asked, profiles)


def learned(rows: Sequence[AiHubRow]) -> Any:
    """What the function that makes what ships learns of rows."""
    return perfmodel.learn_npus(
        table_of(rows),
        chips=SAME_CHIP,
        families=families(),
        as_run=as_run(),
        networks=TABLES,
        folds=FOLDS,
    )


@lru_cache(maxsize=2)
def unseen_cases(data: Path) -> tuple[Case, ...]:
    """Every row, its network's family left out on every target with those of its part."""
    lines = network_lines()
    asked = sorted({lines[row.network].family for row in campaign_rows(data)})
    parts = [frozenset(asked[i::PARTS]) for i in range(PARTS)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        found = pool.map(partial(_unseen_families, data), parts)
        return tuple(case for cases in found for case in cases)


def _unseen_families(data: Path, families: frozenset[str]) -> list[Case]:
    """The rows of families of which nothing was learned."""
    rows, lines = campaign_rows(data), network_lines()
    held = [r for r in rows if lines[r.network].family in families]
    kept = [r for r in rows if lines[r.network].family not in families]
    said = answers_as_run(held, learned(kept).profiles)
    return [
        case(row, answer, {"four numbers": simple})
        for row, answer, simple in zip(held, said, least_squares(kept, held), strict=True)
    ]


@lru_cache(maxsize=200)
def four_numbers(name: str) -> tuple[float, ...]:
    """MACs, bytes that kernels move beside weights, weights and 1 of a network."""
    size = perfmodel.predict(perfmodel.load(name), SIZED_ON)
    moved = sum(kernel.bytes for kernel in size.kernels) - 2 * size.params
    return float(size.macs), max(float(moved), 0.0), float(size.params), 1.0


def fitted_numbers(names: Sequence[str], latency_ms: np.ndarray) -> np.ndarray:
    """What each of the four numbers costs, by non-negative least squares of relative errors."""
    return relative_costs(np.array([four_numbers(name) for name in names]), latency_ms)


def least_squares(kept: Sequence[AiHubRow], held: Sequence[AiHubRow]) -> list[float]:
    """Baseline, ms: the four numbers' costs target by target."""
    names = [network_name(line) for line in network_lines()]
    costs = {}
    for target in {row.target for row in held}:
        own = [row for row in kept if row.target == target]
        times = np.array([row.latency_ms for row in own])
        costs[target] = fitted_numbers([names[row.network] for row in own], times)
    return [max(float(np.dot(four_numbers(names[r.network]), costs[r.target])), 1e-3) for r in held]


def unseen_network(data: Path, seed: int) -> list[AccuracyRow]:
    """A network whose family nobody measured, on known targets, by precision."""
    return [
        score(
            "NPU, unseen network family",
            f"AI Hub {precision}",
            cases,
            seed,
            reasons=REASONS,
        )
        for precision in PRECISIONS
        if (cases := [c for c in unseen_cases(data) if c.row.target.precision == precision])
    ]


def integers_or_floats(data: Path, seed: int) -> list[AccuracyRow]:
    """Which of two precisions is faster, the family left out: error of the predicted ratio.

    Only pairs whose measured times differ by more than `CLEAR`; `within_20` and the others are of
    the ratio, the share of right answers stands in the kind.
    """
    places: dict[tuple[str, str, int], list[Case]] = {}
    for found in unseen_cases(data):
        target = found.row.target
        key = (target.device, target.framework, found.row.network)
        places.setdefault(key, []).append(found)
    pairs = [
        (a, b)
        for cases in places.values()
        for a, b in combinations(cases, 2)
        if apart(a, b, 1 + CLEAR)
    ]
    bounds = ratio_bounds(*_said(a for a, _ in pairs), *_said(b for _, b in pairs))
    ratios, right = ratio_cases(
        pairs, lambda a, b: f"{a.model} against {b.row.target.precision}", bounds
    )
    kind = f"ratio of two precisions; {100 * right:.1f} % right which is faster"
    return [score("NPU, int8 or float", kind, ratios, seed, reasons=REASONS)]


def _said(cases: Iterable[Case]) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and their intervals, ms."""
    listed = list(cases)
    bounds = np.array([(c.low_ms, c.high_ms) for c in listed], dtype=float)
    return np.array([c.predicted_ms for c in listed]), bounds


@dataclass(frozen=True, kw_only=True)
class NewTarget:
    """A target of a chip that was left out: its profile, the rows it is asked, a baseline's ms."""

    profile: DeviceProfile
    asked: Sequence[AiHubRow]
    nearest: Sequence[float]


def new_chip(data: Path, seed: int) -> list[AccuracyRow]:
    """A chip left out in every form, from 1 and from 10 networks measured on it, drawn anew
    `DRAWINGS` times."""
    by_count: dict[int, list[list[NewTarget]]] = {
        count: [[] for _ in range(DRAWINGS)] for count in MEASURED
    }
    rows = campaign_rows(data)
    rng = np.random.default_rng(seed)
    for chip in sorted({r.chip for r in rows}):
        others = [r for r in rows if r.chip != chip]
        population = learned(others).population
        for target in sorted({r.target for r in rows if r.chip == chip}, key=str):
            own = [r for r in rows if r.target == target]
            for drawing in range(DRAWINGS):
                order = [own[i] for i in rng.permutation(len(own))]
                for count in MEASURED:
                    if len(order) >= count + LEAST_LEFT:
                        made = _new_target(order[:count], order[count:], others, population)
                        by_count[count][drawing].append(made)
    return [_chip_result(count, drawings, seed) for count, drawings in by_count.items()]


def _new_target(
    told: Sequence[AiHubRow],
    asked: Sequence[AiHubRow],
    others: Sequence[AiHubRow],
    population: Any,
) -> NewTarget:
    """A target calibrated with `told`, to be asked for the networks of `asked`."""
    profile = perfmodel.calibrate(
        table_of(told),
        device=told[0].target.device,
        population=population,
        trusted=True,
        pick="median",
    )
    return NewTarget(profile=profile, asked=asked, nearest=_nearest_scaled(told, asked, others))


def _new_answers(made: Sequence[NewTarget]) -> list[Any]:
    """Predictions of all that new targets are asked, at once: each network is read once."""
    devices: dict[str, DeviceProfile] = {}
    for target in made:
        mine = target.profile
        known = devices.get(mine.device)
        targets = (*known.targets, *mine.targets) if known else mine.targets
        devices[mine.device] = replace(mine, targets=targets)
    return answers([row for target in made for row in target.asked], list(devices.values()))


def _chip_result(count: int, drawings: Sequence[Sequence[NewTarget]], seed: int) -> AccuracyRow:
    """Scores of all new targets."""
    said = [answer for made in drawings for answer in _new_answers(made)]
    every = [target for made in drawings for target in made]
    rows = [row for target in every for row in target.asked]
    nearest = [ms for target in every for ms in target.nearest]
    cases = [
        case(row, answer, {"nearest scaled": ms})
        for row, answer, ms in zip(rows, said, nearest, strict=True)
    ]
    kind = f"from {count} network{'s' if count > 1 else ''}"
    return score("NPU, new chip", kind, cases, seed, reasons=REASONS)


def _nearest_scaled(
    told: Sequence[AiHubRow], asked: Sequence[AiHubRow], others: Sequence[AiHubRow]
) -> list[float]:
    """Baseline: times on the target of the same runtime and precision whose ratios are the most
    even (or nearest to 1), scaled; NaN for a network that it did not run."""
    mine = told[0].target
    known: dict[Target, dict[int, float]] = {}
    for row in others:
        t = row.target
        if (t.framework, t.precision) == (mine.framework, mine.precision):
            known.setdefault(t, {})[row.network] = row.latency_ms
    best: tuple[float, dict[int, float], float] | None = None
    for times in known.values():
        gaps = [np.log(r.latency_ms / times[r.network]) for r in told if r.network in times]
        if not gaps:
            continue
        offset = float(np.median(gaps))
        uneven = float(np.mean(np.abs(np.array(gaps) - offset))) if len(told) > 1 else abs(offset)
        if best is None or uneven < best[0]:
            best = (uneven, times, float(np.exp(offset)))
    if best is None:
        return [float("nan")] * len(asked)
    return [best[1].get(r.network, float("nan")) * best[2] for r in asked]


def rockchip(data: Path, seed: int) -> list[AccuracyRow]:
    """Networks of Rockchip's model zoo on its chips, the family left out on every chip."""
    rows, names = newest_rows(data), rockchip_families()
    cases: list[UnseenCase[Mapping[str, Any]]] = []
    for family in sorted(set(names.values())):
        held = [r for r in rows if names[rockchip_network(r["model"])] == family]
        kept = [r for r in rows if names[rockchip_network(r["model"])] != family]
        made = perfmodel.learn_npus(
            rockchip_table(kept), families=names, networks=TABLES, folds=ROCKCHIP_FOLDS
        )
        asked = [
            (rockchip_network(r["model"]), f"{CHIPS[r['soc']]}/npu/rknn/int8", 1) for r in held
        ]
        for row, query, answer in zip(held, asked, answered(asked, made.profiles), strict=True):
            own = [r for r in kept if r["soc"] == row["soc"]]
            costs = fitted_numbers(
                [rockchip_network(r["model"]) for r in own],
                np.array([float(r["latency_ms"]) for r in own]),
            )
            simple = max(float(np.dot(four_numbers(query[0]), costs)), 1e-3)
            cases.append(
                unseen_case(
                    row,
                    answer,
                    float(row["latency_ms"]),
                    name=f"{query[1]} {row['model']}",
                    group=query[1],
                    simple={"four numbers": simple},
                )
            )
    return [score("NPU, unseen network family", "Rockchip int8", cases, seed, reasons=REASONS)]


EXPERIMENTS = {
    "npu-networks": unseen_network,
    "npu-precisions": integers_or_floats,
    "npu-new-chip": new_chip,
    "npu-rockchip": rockchip,
}
