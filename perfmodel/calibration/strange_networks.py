"""How unsure a network is whose family no known target ran, beyond what its target is unsure of.

Families are left out of the fit of all targets, a third at a time, and asked for as a profile would
be asked: by costs, by the misfits of known networks that are like them, and with what an interval
is widened by anyway where kernels lie outside the sizes that were fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models.interval import NOVELTY_SLOPE, conformal_quantile
from perfmodel.cost_models.likeness import descriptions, interpolation
from perfmodel.cost_models.network_correction import LARGEST_LOG
from perfmodel.cost_models.work_predictor import novelty_by_time, size_ranges, work_matrix
from perfmodel.kernels.kernel import KernelTable

FOLDS = 3
"""Parts of the network families, each left out of a fit to see how strange networks fare."""

LEAST_STRANGE = 0.01
"""Log units by which the interval of a strange network is wider at least."""

TYPICAL_MISS, UNTESTED_WIDTH = 0.2, 0.3
"""Log error of a strange network, and what nine of ten need beyond their target's own width, where
no family could be left out. A stated choice, not a fit."""

MOSTLY_STRANGE = 0.5
"""A network that known ones explain by more than this is no case of a strange one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StrangeNetworks:
    """Left-out networks on targets, arrays of shape (targets, networks), NaN where not measured.

    `by_costs` is |log error| by costs alone, `missed` that of the whole answer; `novelty` how far
    outside the known sizes a network lies there; `strange` (networks,) the share of each that no
    known network explains.
    """

    by_costs: np.ndarray
    missed: np.ndarray
    novelty: np.ndarray
    strange: np.ndarray

    @property
    def typical(self) -> float:
        """The median error by costs alone."""
        seen = self.by_costs[np.isfinite(self.by_costs)]
        return float(np.median(seen)) if len(seen) else TYPICAL_MISS

    def beyond(self, target: int, own_log: float) -> np.ndarray:
        """What each network on a target needs added, as the root of a sum of squares, to the
        target's `own_log` half width, shape (asked,)."""
        asked = np.isfinite(self.missed[target]) & (self.strange > MOSTLY_STRANGE)
        anyway = own_log + NOVELTY_SLOPE * self.novelty[target, asked]
        more = np.maximum(self.missed[target, asked] - anyway, 0.0) / self.strange[asked]
        # the root of (own + more)^2 - own^2, which rounding may not make less than nothing
        return np.asarray(np.sqrt(more * (more + 2.0 * own_log)))


def strange_width(beyond: Sequence[np.ndarray]) -> float:
    """What holds 90 % of strange networks, from what those of some targets needed."""
    found = np.concatenate(beyond) if len(beyond) else np.zeros(0)
    needed = conformal_quantile(found) if len(found) else UNTESTED_WIDTH
    return max(needed, LEAST_STRANGE)


def strange_networks(
    log_ms: np.ndarray,
    families: Sequence[str],
    tables: Sequence[KernelTable],
    precision: str,
    costs_without: Callable[[Sequence[str]], np.ndarray],
) -> StrangeNetworks:
    """Every network of `tables`, its family left out of all targets.

    `log_ms` has shape (targets, networks), NaN where not measured; `precision` sets the bytes of a
    weight; `costs_without` gives log costs (targets, features) that never saw some families.
    """
    kinds = sorted(set(families))
    by_costs, missed, novelty = (np.full(log_ms.shape, np.nan) for _ in range(3))
    strange = np.ones(len(tables))
    for first in range(min(FOLDS, len(kinds))):
        left = kinds[first::FOLDS]
        held = np.isin(families, left)
        if held.all():
            continue
        costs = costs_without(left)
        paid = costs.shape[1]
        work = np.array([work_matrix(t, precision, paid).sum(axis=0) for t in tables])
        fitted = np.log(np.exp(costs) @ work.T)
        gap = fitted - log_ms
        by_costs[:, held] = np.abs(gap[:, held])
        others = [t for t, h in zip(tables, held, strict=True) if not h]
        mine = [t for t, h in zip(tables, held, strict=True) if h]
        weights, recognised = interpolation(descriptions(mine), descriptions(others))
        factor = np.clip(_misfits(-gap[:, ~held]) @ weights.T, -LARGEST_LOG, LARGEST_LOG)
        missed[:, held] = np.abs(gap[:, held] + factor)
        novelty[:, held] = _novelty(others, mine, precision, costs)
        strange[held] = 1.0 - recognised
    return StrangeNetworks(by_costs=by_costs, missed=missed, novelty=novelty, strange=strange)


def _misfits(misfit: np.ndarray) -> np.ndarray:
    """Misfits of known networks; where a target did not run one, the other targets' median."""
    known = np.isfinite(misfit).any(axis=0)
    typical = np.zeros(misfit.shape[1])
    typical[known] = np.nanmedian(misfit[:, known], axis=0)
    return np.where(np.isfinite(misfit), misfit, typical)


def _novelty(
    known: Sequence[KernelTable], asked: Sequence[KernelTable], precision: str, costs: np.ndarray
) -> np.ndarray:
    """How far outside the sizes of known networks each asked one lies on each target, by time."""
    ranges = size_ranges(known)
    rows = [
        novelty_by_time(
            ranges, table, work_matrix(table, precision, costs.shape[1]) @ np.exp(costs).T
        )
        for table in asked
    ]
    return np.array(rows).T
