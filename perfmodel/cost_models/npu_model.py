"""One model of many NPU targets from whole-network latencies alone.

Costs are drawn together: what a unit of each term costs on NPUs in general, what a precision and a
runtime change, how a chip departs from that, and what is left for the target (see `hierarchy`).
Networks differ more than chips do (AI Hub: 74 networks repeat on 11 chips to within 3 to 7 %), so
what is general carries most of the weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models.hierarchy import Level, Observations, fit_levels
from perfmodel.cost_models.npu_predictor import COST_NAMES
from perfmodel.cost_models.npu_terms import NPU_GROUPS

GENERAL_SD = 0.6
"""Log spread of what a term costs on NPUs in general, around the equivalents of `npu_terms`."""

PRECISION_SD, RUNTIME_SD = 0.2, 0.1
"""Log spread of what a precision and a runtime change of each term."""

CHIP_SD, CHIP_GROUP_SD = 0.15, 0.3
"""Log spread of what a chip changes of each term, and of all terms of a group together."""

TARGET_SD = 0.08
"""Log spread of what is left for a target: a chip with a runtime and a precision."""

NOISE_SD = 0.06
"""Log spread of a measurement around the model. It is wider than repeated jobs (0.3 %), as what the
model leaves out differs from network to network."""

HUBER_LIMIT, MOST_STEPS = 1.5, 300


@dataclass(frozen=True, kw_only=True)
class NpuPlace:
    """What a target shares with others: its chip, runtime and precision."""

    chip: str
    runtime: str
    precision: str


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuTimes:
    """Measured milliseconds: of which target (index of a place) and the network's work.

    `work` has shape (rows, len(COST_NAMES)).
    """

    target: np.ndarray
    work: np.ndarray
    latency_ms: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuCosts:
    """Log costs by target, shape (targets, costs), and the levels they are sums of."""

    log_cost: np.ndarray
    general: np.ndarray


def group_loadings() -> np.ndarray:
    """Which terms move together, shape (costs, groups); a call goes with the starts."""
    groups = (*NPU_GROUPS, "start")
    names = sorted(set(groups))
    return np.array([[g == n for n in names] for g in groups], dtype=float)


def fit_npu_costs(places: Sequence[NpuPlace], seen: NpuTimes) -> NpuCosts:
    """Log costs of every place; each has a scale of its own that is not shrunk.

    A place without a measurement gets what its chip, runtime and precision share with others.
    """
    one = np.eye(len(COST_NAMES))
    count = len(places)
    chips, runtimes, precisions = (
        np.unique([getattr(p, name) for p in places], return_inverse=True)[1]
        for name in ("chip", "runtime", "precision")
    )
    free = Level(index=np.arange(count), loadings=np.ones((len(one), 1)), sd=float("inf"))
    everyone = np.zeros(count, dtype=np.int64)
    levels = [
        free,
        Level(index=everyone, loadings=one * GENERAL_SD),
        Level(index=chips, loadings=np.hstack([one * CHIP_SD, group_loadings() * CHIP_GROUP_SD])),
    ]
    for index, spread in ((precisions, PRECISION_SD), (runtimes, RUNTIME_SD)):
        if index.max() > 0:
            levels.append(Level(index=index, loadings=one * spread))
    levels.append(Level(index=np.arange(count), loadings=one * TARGET_SD))
    log_ms = np.log(seen.latency_ms)
    ratio = log_ms - np.log(seen.work.sum(axis=1))
    start = np.full(count, np.median(ratio))
    for place in np.unique(seen.target):
        start[place] = np.median(ratio[seen.target == place])
    fitted = fit_levels(
        Observations(
            place=seen.target,
            terms=seen.work,
            log_time=log_ms,
            noise=np.full(len(log_ms), NOISE_SD),
            weight=np.ones(len(log_ms)),
        ),
        levels,
        start=start[:, None],
        huber_limit=HUBER_LIMIT,
        max_iter=MOST_STEPS,
    )
    return NpuCosts(log_cost=fitted.log_cost, general=GENERAL_SD * fitted.vectors[1][0])
