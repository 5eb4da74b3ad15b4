"""How unsure a data sheet leaves the time of a network, by the kinds of its kernels.

The miss of a kernel has two parts: one that all kernels of its kind share on a card, because the
sheet does not say how well the card runs them, and one of the kernel's own. In a sum of kernels the
own parts cancel in part, as a root of squares, and the shared parts do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.interval import conformal_quantile, share_to_hold
from perfmodel.cost_models.kernel_terms import Work
from perfmodel.errors import ProfileError

MOST_KINDS = 20
WIDEST_LOG = 15.0
"""Bound of a half width in log units, as of intervals."""

FEWEST_KERNELS = 20
"""Kernels of a kind on a target from which on their mean is that of the kind there."""


def kinds_of(work: Work) -> np.ndarray:
    """What kernels err alike, shape (kernels,): convolutions, fully connected layers, matrix
    products, and all that multiplies nothing."""
    return np.where(work.group == "product", work.cell, work.group)


@dataclass(frozen=True, kw_only=True)
class KernelWidths:
    """Half widths of 90 % intervals by kind of kernel, in log units.

    `alone` is that of a single kernel, `shared` the part of its square that all kernels of the kind
    on one card share, 0 to 1. A kind that is missing is as unsure as the most unsure, and shares
    all of it.
    """

    alone: Mapping[str, float]
    shared: Mapping[str, float]

    @classmethod
    def of(
        cls, misses: np.ndarray, kind: np.ndarray, target: np.ndarray, unit: np.ndarray
    ) -> KernelWidths:
        """From log errors of kernels on targets that were left out with their `unit`, all (n,)."""
        alone, shared = {}, {}
        for name in sorted(set(kind.tolist())):
            mine = kind == name
            log = misses[mine]
            alone[name] = round(conformal_quantile(np.abs(log), share_to_hold(log, unit[mine])), 4)
            shared[name] = round(_shared(log, target[mine]), 4)
        return cls(alone=alone, shared=shared)

    def each(self, kind: np.ndarray) -> np.ndarray:
        """The half width of every kernel alone, shape (kernels,)."""
        widest = max(self.alone.values())
        return np.array([self.alone.get(k, widest) for k in kind])

    def of_sums(
        self, kind: np.ndarray, shape: np.ndarray, times: np.ndarray, network: np.ndarray
    ) -> np.ndarray:
        """The half width of the time of every network, shape (networks,).

        Kernel i takes `times[i]` and belongs to network `network[i]`; `shape` numbers what kernels
        are alike: those of one shape miss alike, as one kernel would.
        """
        total = np.maximum(np.bincount(network, times), 1e-300)
        far = self.each(kind) * times / total[network]
        shared = np.sqrt([self.shared.get(k, 1.0) for k in kind])
        together = np.bincount(network, far * shared)
        alike, place = np.unique(np.column_stack([network, shape]), axis=0, return_inverse=True)
        own = np.bincount(place.ravel(), far * np.sqrt(1.0 - shared**2))
        apart = np.bincount(alike[:, 0], own**2)
        return np.asarray(np.hypot(together, np.sqrt(apart)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data: [alone, shared] by kind."""
        return {k: [self.alone[k], self.shared[k]] for k in self.alone}

    @classmethod
    def from_dict(cls, data: Any) -> KernelWidths:
        """Read and check plain data; raises `ProfileError` that names the field."""
        found = plain_data.rows(data, "widths", MOST_KINDS, 2, WIDEST_LOG)
        if not found:
            raise ProfileError("widths: must be of at least one kind")
        for name, (alone, shared) in found.items():
            plain_data.number(alone, f"widths.{name:.40}", 0.0, WIDEST_LOG)
            plain_data.number(shared, f"widths.{name:.40}", 0.0, 1.0)
        return cls(
            alone={k: v[0] for k, v in found.items()}, shared={k: v[1] for k, v in found.items()}
        )


def _shared(misses: np.ndarray, target: np.ndarray) -> float:
    """The part of the mean square that the means of targets hold.

    A target with few kernels does not show its mean; without one that does, all is shared.
    """
    _, place, count = np.unique(target, return_inverse=True, return_counts=True)
    enough = count[place] >= FEWEST_KERNELS
    square = float(misses[enough] @ misses[enough])
    if not square:
        return 1.0
    mean = np.bincount(place, misses) / count
    return min(float((mean[place[enough]] ** 2).sum()) / square, 1.0)
