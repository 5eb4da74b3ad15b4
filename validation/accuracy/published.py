"""Whole networks that somebody published times of: a family that a target never ran.

A family is left out on every target, in every form, and with it the networks that share its
backbone; `learn_networks` makes targets of the rest, as it makes those that ship. Asked are the
published rows whose target has something left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

import perfmodel
from perfmodel.devices.gpu_specs import of_nvidia
from perfmodel.devices.profile import DeviceProfile
from perfmodel.target import QUANTISED, Target
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
from validation.data.published_networks import (
    PublishedRow,
    PublishedTables,
    anchor_rows,
    learned,
    published_rows,
)
from validation.data.yolo11 import SIZES, yolo11

PARTS = 10
"""Parts of the families that are left out together: one at a time takes three times as long."""

FOLDS = 3
"""Parts of the families that intervals come of, within what is left."""

CLEAR = 0.15
"""Two targets whose measured times differ by more are a pair that has an answer."""

TABLES = PublishedTables()
"""Networks read and fused, kept for all calls."""

SIZED_BY = "tflite-cpu"
"""Rules of fusion by which the simple models count a network's kernels."""

KINDS = {
    "mobile GPU": lambda t: t.unit == "gpu" and not of_nvidia(t.device),
    "CPU": lambda t: t.unit == "cpu",
    "NPU, NNAPI, DSP": lambda t: t.unit not in ("cpu", "gpu"),
    "GPU of NVIDIA": lambda t: t.unit == "gpu" and of_nvidia(t.device),
}
"""Targets that are judged together; each borrows from its own kind alone."""

Case = UnseenCase[PublishedRow]
"""A network on a target that did not know its family."""


@lru_cache(maxsize=2)
def all_rows(data: Path) -> tuple[PublishedRow, ...]:
    """Published rows, then those that are only borrowed from."""
    rows, _ = published_rows(data)
    return (*rows, *anchor_rows(data))


@lru_cache(maxsize=8)
def unseen_cases(data: Path, kind: str) -> tuple[Case, ...]:
    """Every published row of a kind of targets, its family left out on every target."""
    rows, found = [r for r in all_rows(data) if KINDS[kind](r.target)], []
    families = sorted({r.family for r in rows if _asked(r)})
    for left in (set(families[part::PARTS]) for part in range(min(PARTS, len(families)))):
        kept = [r for r in rows if r.family not in left]
        profiles = learned(kept, TABLES, FOLDS)
        known = {t.target for p in profiles for t in p.targets}
        held = [r for r in rows if r.family in left and _asked(r) and r.target in known]
        if held:
            found += _cases(held, kept, profiles)
    return tuple(found)


def _asked(row: PublishedRow) -> bool:
    return not row.anchor and not row.at_most


def _cases(
    held: Sequence[PublishedRow], kept: Sequence[PublishedRow], profiles: Sequence[DeviceProfile]
) -> list[Case]:
    cases = []
    for row, answer in zip(held, _answers(held, profiles), strict=True):
        own = [r for r in kept if r.target == row.target and not r.at_most]
        seen = np.array([r.latency_ms for r in own])
        numbers, asked = (
            np.array([sizes(r.model, r.batch) for r in own]),
            sizes(row.model, row.batch),
        )
        simple = {
            "FLOPs": asked[0] * float(np.exp(np.mean(np.log(seen / numbers[:, 0])))),
            "four numbers": max(float(np.dot(asked, relative_costs(numbers, seen))), 1e-3),
        }
        batch = f", batch {row.batch}" if row.batch > 1 else ""
        name, group = f"{row.target} {row.model}{batch}", str(row.target)
        cases.append(
            unseen_case(row, answer, row.latency_ms, name=name, group=group, simple=simple)
        )
    return cases


def _answers(held: Sequence[PublishedRow], profiles: Sequence[DeviceProfile]) -> list[Any]:
    """Predictions of the rows, by the calls that users make; raises the first error."""
    by_name = [(r.model, str(r.target), r.batch) for r in held if r.model not in SIZES]
    said = iter(answered(by_name, profiles))
    return [
        perfmodel.predict(yolo11(r.model), str(r.target), profiles=profiles)
        if r.model in SIZES
        else next(said)
        for r in held
    ]


def sizes(model: str, batch: int) -> tuple[float, ...]:
    """MACs, elements that kernels move, weights and 1 of a network."""
    table = TABLES.get(model, batch, SIZED_BY)
    moved = table["input_elements"].sum() + table["output_elements"].sum()
    return float(table["macs"].sum()), float(moved), float(table["weight_elements"].sum()), 1.0


def unseen_network(kind: str) -> Callable[[Path, int], list[AccuracyRow]]:
    """The experiment of one kind of targets."""

    def run(data: Path, seed: int) -> list[AccuracyRow]:
        return [score("published, unseen network family", kind, unseen_cases(data, kind), seed)]

    return run


def which_is_faster(data: Path, seed: int) -> list[AccuracyRow]:
    """Of two units or precisions of a device the faster one, the network's family left out.

    Pairs are of one network on one device, on unlike units or in floats and in integers, whose
    measured times differ by more than `CLEAR`; errors are of the predicted ratio, the share of
    right answers stands in the kind.
    """
    places: dict[tuple[str, str, int], list[Case]] = {}
    for kind in KINDS:
        for case in unseen_cases(data, kind):
            row = case.row
            places.setdefault((row.target.device, row.model, row.batch), []).append(case)
    pairs = [
        (a, b)
        for cases in places.values()
        for a, b in combinations(cases, 2)
        if _unlike(a.row.target, b.row.target) and apart(a, b, 1 + CLEAR)
    ]
    ratios, right = ratio_cases(pairs, lambda a, b: f"{a.model} against {b.row.target}")
    kind = f"ratio of two units or precisions; {100 * right:.1f} % right which is faster"
    return [score("published, which unit or precision is faster", kind, ratios, seed)]


def _unlike(a: Target, b: Target) -> bool:
    """Whether two targets of a device differ in unit, or one computes in integers."""
    return a.unit != b.unit or (a.precision in QUANTISED) != (b.precision in QUANTISED)


EXPERIMENTS = {
    "published-mobile-gpu": unseen_network("mobile GPU"),
    "published-cpu": unseen_network("CPU"),
    "published-npu": unseen_network("NPU, NNAPI, DSP"),
    "published-nvidia": unseen_network("GPU of NVIDIA"),
    "published-faster": which_is_faster,
}
