"""What a target of published rows knows of the networks that were measured on it.

Its costs are fitted to all of them together and leave each a misfit. A network that was measured is
predicted with its misfit and a narrow interval, one that is like none of them by costs alone and
with a wide one (`NetworkCorrection`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models.interval import COVERAGE, NORMAL_90, Interval
from perfmodel.cost_models.likeness import SAME_NETWORK, distances
from perfmodel.cost_models.network_correction import LARGEST_LOG, NetworkCorrection, lawful
from validation.data.published_networks import Pool

BETWEEN_SOURCES = 0.06
"""Spread of one network on one target between sources, in log units: 32 rows of 16 networks lie up
to 5.5 % from their median (networks that two tables give on one target)."""

KNOWN_LOG = NORMAL_90 * BETWEEN_SOURCES
"""Half width of the interval of a network that was measured on the target."""


@dataclass(frozen=True, eq=False)
class NetworkMisfits:
    """Networks of a target: how each is described, its work, and log(measured / by costs)."""

    described: np.ndarray
    work: np.ndarray
    misfit: np.ndarray

    def correction(self, log_cost: np.ndarray, strange_log: float = 0.0) -> NetworkCorrection:
        """Misfits that leave more work slower; `strange_log` widens strange networks' interval."""
        misfits = np.clip(self.misfit, -LARGEST_LOG, LARGEST_LOG)
        made = NetworkCorrection(
            anchors=np.round(self.described, 5), misfits=misfits, strange_log=strange_log
        )
        return lawful(made, self.work, log_cost)

    def left(self, log_cost: np.ndarray) -> np.ndarray:
        """What the correction leaves of each network's misfit."""
        factor, _ = self.correction(log_cost).of_described(self.described)
        return self.misfit - factor


def known_networks(pool: Pool, rows: np.ndarray, log_ms: np.ndarray) -> NetworkMisfits:
    """The networks of some rows of one target (indices), `log_ms` being the rows' times by costs.

    One network at several sizes or batches, or from several sources, is one: the median counts.
    """
    described = pool.described(rows)
    misfit = np.log(pool.latency_ms[rows]) - log_ms
    first = (distances(described, described) < SAME_NETWORK).argmax(axis=1)
    kept = np.unique(first)
    median = np.array([np.median(misfit[first == k]) for k in kept])
    return NetworkMisfits(described[kept], pool.work[pool.network[rows[kept]]], median)


def split_interval(whole: Interval, left: np.ndarray) -> tuple[Interval, float]:
    """The interval of a measured network, and what is added to it for a strange one.

    `whole` is what strange networks need, `left` what the correction leaves of measured ones. The
    sum is as wide in all as `whole`, and shares its skew only as far as the addition, which is the
    same on both sides, lets it.
    """
    known = max(KNOWN_LOG, float(np.quantile(np.abs(left), COVERAGE)))
    strange = max((whole.low_log + whole.high_log) / 2 - known, 0.0)
    skew = min((whole.high_log - whole.low_log) / 2, known - KNOWN_LOG / 2)
    skew = max(skew, KNOWN_LOG / 2 - known)
    made = Interval(COVERAGE, round(known - skew, 4), round(known + skew, 4), whole.novelty_slope)
    return made, strange
