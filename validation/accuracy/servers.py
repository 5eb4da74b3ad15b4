"""Cards and a CPU under PyTorch: timm's networks, families left out; a card from its data sheet.

Batches fill a card (256 images and more), the CPU has one image at a time. What is asked is how
long the whole batch takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import perfmodel
from perfmodel.calibration.measured import NetworkTables
from perfmodel.errors import GraphError
from perfmodel.target import Target
from validation.accuracy.common import AccuracyRow, UnseenCase, answered, score, unseen_case
from validation.accuracy.gpus import SHEETS
from validation.data.timm_times import (
    CPU_RUNS,
    GPU_RUNS,
    OLDER,
    SHEET_FRAMEWORK,
    SHEET_RUNS,
    TimmRow,
    families,
    read_rows,
    table_of,
)

PARTS = 6
"""Parts of the families that are left out together."""

TABLES = NetworkTables()
"""Networks read and fused, kept for all calls."""

REASONS = {
    "dinov2": "1,370 tokens, seven times those of most: long attention runs at a better rate",
    "efficientformerv2": "its smooth resizes run one thread a pixel, which no other family's do",
    "samvit": "4,096 tokens with a bias for each pair of them, twenty times those of others",
    "sequencer": "recurrent layers, which no other family has",
}
"""Why the networks that miss most do, by what their names hold."""


Case = UnseenCase[TimmRow]


def case(row: TimmRow, answer: Any, simple: Mapping[str, float]) -> Case:
    """A row and what was said of it without its family or its card."""
    name = f"{row.target} {row.model} b{row.batch}"
    return unseen_case(row, answer, row.latency_ms, name=name, group=str(row.target), simple=simple)


def asked_rows(data: Path, runs: dict[str, Target]) -> list[TimmRow]:
    """The rows of networks that can be asked at their batch: a few are written for one image."""
    found = []
    for row in read_rows(data, runs):
        try:
            TABLES.get(row.model, row.batch, row.target.framework)
        except GraphError:
            continue
        found.append(row)
    return found


def unseen_families(data: Path, seed: int) -> list[AccuracyRow]:
    """A family of networks that no card or mode ran; then the same on the CPU."""
    results = []
    for runs in (GPU_RUNS, CPU_RUNS):
        cases = family_cases(asked_rows(data, runs))
        frameworks = dict.fromkeys(t.framework for t in runs.values())
        for framework in (f for f in frameworks if f not in OLDER):
            mine = [c for c in cases if c.row.target.framework == framework]
            kind = f"{mine[0].row.target.unit}, {framework}"
            name = "servers, network family left out"
            results.append(score(name, kind, mine, seed, reasons=REASONS, worst=3))
    return results


def family_cases(rows: Sequence[TimmRow]) -> list[Case]:
    """Every row, its network's family left out on every target."""
    names = sorted({r.family for r in rows})
    found = []
    for part in range(PARTS):
        left = set(names[part::PARTS])
        kept = [r for r in rows if r.family not in left]
        held = [r for r in rows if r.family in left and r.target.framework not in OLDER]
        learned = perfmodel.learn_speeds(table_of(kept), families=families(), networks=TABLES)
        simple = by_sums(kept, held)
        asked = [(r.model, str(r.target), r.batch) for r in held]
        for i, (row, answer) in enumerate(
            zip(held, answered(asked, learned.profiles), strict=True)
        ):
            told = {name: float(ms[i]) for name, ms in simple.items()}
            found.append(case(row, answer, told))
    return found


def by_sums(kept: Sequence[TimmRow], held: Sequence[TimmRow]) -> dict[str, np.ndarray]:
    """Baselines, ms: a time for each MAC, and for each MAC and activation, target by target."""
    from scipy.optimize import nnls

    one, both = np.full(len(held), np.nan), np.full(len(held), np.nan)
    for target in {r.target for r in held}:
        own = [r for r in kept if r.target == target]
        times = np.array([r.latency_ms for r in own])
        sums, asked = _sums(own), _sums([r for r in held if r.target == target])
        mine = np.array([r.target == target for r in held])
        one[mine] = asked[:, 0] * np.median(times / sums[:, 0])
        scaled = sums / times[:, None]
        size = scaled.max(axis=0)
        both[mine] = asked @ (nnls(scaled / size, np.ones(len(own)))[0] / size)
    return {"MACs": one, "MACs and activations": both}


def _sums(rows: Sequence[TimmRow]) -> np.ndarray:
    return np.array([(r.macs, r.activations) for r in rows])


def unseen_cards(data: Path, seed: int) -> list[AccuracyRow]:
    """A card of which only the data sheet is known, from the other cards run in the same way."""
    rows = asked_rows(data, SHEET_RUNS)
    cases = []
    for device in sorted({r.target.device for r in rows}):
        others = [r for r in rows if r.target.device != device]
        held = [r for r in rows if r.target.device == device]
        learned = perfmodel.learn_speeds(table_of(others), families=families(), networks=TABLES)
        profile = perfmodel.gpu_profile(
            device,
            precisions=("fp16",),
            framework=SHEET_FRAMEWORK,
            population=learned.population,
        )
        near = nearest_scaled(others, held)
        asked = [(r.model, str(r.target), r.batch) for r in held]
        for row, scaled, answer in zip(held, near, answered(asked, [profile]), strict=True):
            cases.append(case(row, answer, {"nearest scaled": scaled}))
    name = "server card from its data sheet"
    return [score(name, f"gpu, {SHEET_FRAMEWORK}", cases, seed, reasons=REASONS, worst=3)]


def peak_of(row: TimmRow) -> float:
    """GFLOP/s of half precision that the card's data sheet promises."""
    return SHEETS[row.target.device].peak_gflops("fp16_tc")


def nearest_scaled(others: Sequence[TimmRow], held: Sequence[TimmRow]) -> list[float]:
    """Baseline, ms: an image's time on the card nearest in peak, scaled by the peaks; NaN where no
    other card ran the network."""
    times: dict[str, list[TimmRow]] = {}
    for row in others:
        times.setdefault(row.model, []).append(row)
    found = []
    for row in held:
        peak = peak_of(row)
        near = min(
            times.get(row.model, []),
            key=lambda r: abs(np.log(peak_of(r) / peak)),
            default=None,
        )
        ratio = np.nan if near is None else peak_of(near) / peak
        found.append(np.nan if near is None else near.latency_ms / near.batch * row.batch * ratio)
    return found


EXPERIMENTS = {"servers-families": unseen_families, "servers-sheets": unseen_cards}
