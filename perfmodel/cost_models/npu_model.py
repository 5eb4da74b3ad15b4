"""One model of many NPU targets from whole-network latencies alone.

Costs are drawn together: what a unit of each term costs on NPUs in general, what a precision and a
runtime change, how a chip departs from that, and what is left for the target (see `hierarchy`).
Networks differ more than chips do (AI Hub: 74 networks repeat on 11 chips to within 3 to 7 %), so
what is general carries most of the weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.cost_models.hierarchy import Fitted, Level, Observations, fit_levels
from perfmodel.cost_models.npu_predictor import COST_NAMES, NO_COST, PLAIN
from perfmodel.cost_models.npu_terms import NPU_GROUPS

GENERAL_SD = 0.4
"""Log spread of what a term costs on NPUs in general, around the equivalents of `npu_terms`."""

PRECISION_SD, RUNTIME_SD = 0.2, 0.1
"""Log spread of what a precision and a runtime change of each term."""

CHIP_SD, CHIP_GROUP_SD = 0.15, 0.3
"""Log spread of what a chip changes of each term, and of all terms of a group together."""

TARGET_SD = 0.08
"""Log spread of what is left for a target: a chip with a runtime and a precision."""

NETWORK_SD = {"fp16": 0.25, "w8a8": 0.12, "w8a16": 0.4}
"""Log spread of a network around its costs, the same on all targets of a precision: all of its
measurements together count so much. Of 0.12, 0.25 and 0.4 the best for families left out of AI Hub
(aihub.csv.gz); in w8a16 what a compiler does with a network differs most."""

NOISE_SD = 0.06
"""Log spread of a measurement around its target's costs and its network's misfit."""

HUBER_LIMIT, MOST_STEPS = 1.5, 300

BY_KIND = np.array([name not in PLAIN for name in COST_NAMES])
"""Which costs are drawn here: those that tell kinds of work apart."""


@dataclass(frozen=True, kw_only=True)
class NpuPlace:
    """What a target shares with others: its chip, runtime and precision."""

    chip: str
    runtime: str
    precision: str


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuTimes:
    """Measured milliseconds: of which target (index of a place) and network, and its work.

    `work` has shape (rows, len(COST_NAMES)).
    """

    target: np.ndarray
    network: np.ndarray
    work: np.ndarray
    latency_ms: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuCosts:
    """Log costs by target, shape (targets, costs), and what is general of those `BY_KIND`."""

    log_cost: np.ndarray
    general: np.ndarray


def group_loadings() -> np.ndarray:
    """Which costs `BY_KIND` move together, shape (costs, groups); a call goes with the starts."""
    every = (*NPU_GROUPS, "start")
    groups = [g for g, mine in zip(every, BY_KIND, strict=True) if mine]
    names = sorted(set(groups))
    return np.array([[g == n for n in names] for g in groups], dtype=float)


def fit_npu_costs(places: Sequence[NpuPlace], seen: NpuTimes) -> NpuCosts:
    """Log costs of every place; each has a scale of its own that is not shrunk.

    What a network takes beyond its work it takes on every chip, so that its measurements with a
    precision count as one where costs in general are learned; what tells chips apart is learned
    from how the same networks differ between them. A place without a measurement gets what its
    chip, runtime and precision share with others.
    """
    chips, runtimes, precisions = (
        np.unique([getattr(p, name) for p in places], return_inverse=True)[1]
        for name in ("chip", "runtime", "precision")
    )
    seen = replace(seen, work=seen.work[:, BY_KIND])
    one, count = np.eye(int(BY_KIND.sum())), len(places)
    free = Level(index=np.arange(count), loadings=np.ones((len(one), 1)), sd=float("inf"))
    shared = [free, Level(index=np.zeros(count, dtype=np.int64), loadings=one * GENERAL_SD)]
    for index, spread in ((precisions, PRECISION_SD), (runtimes, RUNTIME_SD)):
        if index.max() > 0:
            shared.append(Level(index=index, loadings=one * spread))
    by_chip = np.hstack([one * CHIP_SD, group_loadings() * CHIP_GROUP_SD])
    own = [
        free,
        Level(index=chips, loadings=by_chip),
        Level(index=np.arange(count), loadings=one * TARGET_SD),
    ]
    log_ms = np.log(seen.latency_ms)
    _, label, runs = np.unique(
        seen.network * count + precisions[seen.target], return_inverse=True, return_counts=True
    )
    spread = np.array([NETWORK_SD[p.precision] for p in places])[seen.target]
    general = _fitted(seen, log_ms, shared, _scales(seen, log_ms, count), spread, 1 / runs[label])
    rest = log_ms - np.log((seen.work * np.exp(general.log_cost[seen.target])).sum(axis=1))
    misfit = np.array([np.median(rest[label == i]) for i in range(len(runs))])
    alike = np.full(len(log_ms), NOISE_SD)
    departed = _fitted(
        seen, log_ms - misfit[label], own, general.log_cost, alike, np.ones(len(log_ms))
    )
    log_cost = np.full((count, len(COST_NAMES)), NO_COST)
    log_cost[:, BY_KIND] = departed.log_cost
    return NpuCosts(log_cost=log_cost, general=GENERAL_SD * general.vectors[1][0])


def _scales(seen: NpuTimes, log_ms: np.ndarray, count: int) -> np.ndarray:
    """Log cost of a unit of any work at each place, shape (count, 1)."""
    ratio = log_ms - np.log(seen.work.sum(axis=1))
    start = np.full(count, np.median(ratio))
    for place in np.unique(seen.target):
        start[place] = np.median(ratio[seen.target == place])
    return start[:, None]


def _fitted(
    seen: NpuTimes,
    log_ms: np.ndarray,
    levels: Sequence[Level],
    start: np.ndarray,
    noise: np.ndarray,
    weight: np.ndarray,
) -> Fitted:
    return fit_levels(
        Observations(
            place=seen.target,
            terms=seen.work,
            log_time=log_ms,
            noise=noise,
            weight=weight,
        ),
        levels,
        start=start,
        huber_limit=HUBER_LIMIT,
        max_iter=MOST_STEPS,
    )
