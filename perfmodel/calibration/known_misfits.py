"""What a target of few measured networks knows of those networks.

Its costs are fitted to all of them together and leave each a misfit. A network that was measured is
predicted with its misfit and a narrow interval, one that is like none of them by costs alone and
with a wide one (`NetworkCorrection`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perfmodel.cost_models.interval import NORMAL_90
from perfmodel.cost_models.likeness import SAME_NETWORK, distances
from perfmodel.cost_models.network_correction import LARGEST_LOG, NetworkCorrection, lawful

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

    def told(self, log_cost: np.ndarray) -> NetworkCorrection:
        """The correction with a width of each network that holds what it leaves of its misfit."""
        made = self.correction(log_cost)
        factor, _ = made.of_described(self.described)
        beyond = np.maximum(np.abs(self.misfit - factor) - KNOWN_LOG, 0.0)
        return replace(made, unsure=beyond if (beyond > 0).any() else np.zeros(0))


def misfits_of(described: np.ndarray, work: np.ndarray, misfit: np.ndarray) -> NetworkMisfits:
    """The networks of some rows of one target: descriptions, work and misfit of each row.

    One network at several sizes or batches, or from several sources, is one: the median counts.
    """
    first = (distances(described, described) < SAME_NETWORK).argmax(axis=1)
    kept = np.unique(first)
    median = np.array([np.median(misfit[first == k]) for k in kept])
    return NetworkMisfits(described[kept], work[kept], median)
