"""Whole networks as published: TFLite on a Pixel 3, and every target that some source lists.

A left-out family (all widths, resolutions and precisions of a network; MobileNet V1 is one) is
left out on every target of the pool, the devices that are only borrowed from included.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perfmodel.cost_models.interval import widths_by_group
from validation.accuracy.common import Result, score
from validation.data.published_networks import POOLS, Pool, anchor_rows, make_pool, published_rows
from validation.profiles.published import left_out_log_ratio

PIXEL_3 = {
    "Pixel 3 CPU float": "pixel-3/cpu/tflite/fp32/t4",
    "Pixel 3 CPU int8": "pixel-3/cpu/tflite/int8/t4",
    "Pixel 3 GPU": "pixel-3/gpu/tflite/fp16",
    "Pixel 3 NNAPI float": "pixel-3/nnapi/tflite/fp32",
    "Pixel 3 NNAPI int8": "pixel-3/nnapi/tflite/int8",
}

LEAST_ROWS = 4
"""Rows of a target that counts in the experiment over all targets."""

REASONS = {
    "nnapi/tflite/fp32": "a guess: the driver takes longer for each depthwise kernel of 5x5 or "
    "more, which only one other family shows",
    "gpu/tflite/fp16": "a guess: 5x5 depthwise kernels cost the delegate more than 3x3 ones",
}


def _score(
    experiment: str, kind: str, pool: Pool, rows: np.ndarray, ratio: np.ndarray, seed: int
) -> Result:
    measured = pool.latency_ms[rows]
    names = [f"{pool.rows[i].target} {pool.rows[i].model}" for i in rows]
    return score(
        experiment,
        kind,
        measured * np.exp(ratio[rows]),
        measured,
        names,
        seed,
        groups=[str(pool.rows[i].target) for i in rows],
        intervals=_intervals(pool, rows, ratio),
        baselines=baselines(pool, rows),
        reasons=REASONS,
        worst=3,
    )


def _intervals(pool: Pool, rows: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """90 % intervals from the left-out errors of other families, scaled by target."""
    bounds = np.empty((len(rows), 2))
    families, target = pool.families, pool.target
    tested = np.isfinite(ratio)
    for family in sorted(set(families[rows])):
        others = tested & (families != family)
        deviation = np.maximum(np.abs(ratio[others]), 1e-3)
        width = widths_by_group(deviation, target[others], len(pool.targets))
        mine = families[rows] == family
        middle = pool.latency_ms[rows[mine]] * np.exp(ratio[rows[mine]])
        half = width[target[rows[mine]]]
        bounds[mine] = np.column_stack([middle * np.exp(-half), middle * np.exp(half)])
    return bounds


def baselines(pool: Pool, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Simple models from the target's other families; NaN where there is none."""
    macs = np.array([pool.tables[n]["macs"].sum() for n in pool.network])
    moved = np.array(
        [
            sum(
                pool.tables[n][c].sum()
                for c in ("input_elements", "weight_elements", "output_elements")
            )
            for n in pool.network
        ]
    )
    out = {name: np.full(len(rows), np.nan) for name in ("FLOPs", "linear", "nearest device")}
    for place, row in enumerate(rows):
        train = (pool.target == pool.target[row]) & (pool.families != pool.families[row])
        if not train.any():
            continue
        out["FLOPs"][place] = macs[row] * np.median(pool.latency_ms[train] / macs[train])
        out["linear"][place] = _linear(pool, macs, moved, train, row)
        out["nearest device"][place] = _nearest(pool, train, row)
    return out


def _linear(pool: Pool, macs: np.ndarray, moved: np.ndarray, train: np.ndarray, row: int) -> float:
    """Non-negative least squares of relative error on MACs, elements and a constant."""
    from scipy.optimize import nnls

    design = np.column_stack([macs, moved, np.ones(len(macs))])
    scale = design[train].max(axis=0)
    measured = pool.latency_ms[train]
    cost, _ = nnls(design[train] / scale / measured[:, None], np.ones(len(measured)))
    return float(design[row] / scale @ cost)


def _nearest(pool: Pool, train: np.ndarray, row: int) -> float:
    """Latency of the same network on another target, times the median ratio of the two."""
    mine = {pool.rows[i].model: pool.latency_ms[i] for i in np.flatnonzero(train)}
    best, least = np.nan, np.inf
    same = [
        i
        for i, r in enumerate(pool.rows)
        if r.model == pool.rows[row].model and pool.target[i] != pool.target[row]
    ]
    for i in same:
        common = [
            np.log(mine[pool.rows[j].model] / pool.latency_ms[j])
            for j in np.flatnonzero(pool.target == pool.target[i])
            if pool.rows[j].model in mine
        ]
        if len(common) < 2:
            continue
        middle = float(np.median(common))
        misfit = float(np.mean(np.abs(np.array(common) - middle))) + 1.0 / len(common)
        if misfit < least:
            best, least = pool.latency_ms[i] * np.exp(middle), misfit
    return float(best)


def leave_family_out(data: Path, seed: int) -> list[Result]:
    """Pixel 3 by unit and precision, then every target of each pool."""
    rows, _ = published_rows(data)
    rows += anchor_rows(data)
    results, overall = [], []
    for name in POOLS:
        pool = make_pool(name, rows, data)
        ratio = left_out_log_ratio(pool)
        tested = np.isfinite(ratio)
        strings = np.array([str(r.target) for r in pool.rows], dtype=object)
        for kind, target in PIXEL_3.items():
            mine = np.flatnonzero(tested & (strings == target))
            if len(mine):
                title = "TFLite Pixel 3, leave one family out"
                results.append(_score(title, kind, pool, mine, ratio, seed))
        counts = np.bincount(pool.target, minlength=len(pool.targets))
        every = np.flatnonzero(tested & (counts[pool.target] >= LEAST_ROWS))
        title = "published targets, leave one family out"
        overall.append(_score(title, f"{name}, all", pool, every, ratio, seed))
    return results + overall


EXPERIMENTS = {"published-families": leave_family_out}
