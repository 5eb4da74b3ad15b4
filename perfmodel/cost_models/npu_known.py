"""Networks whose time on an NPU is known: their answer, and a bound for those that do more or less.

Costs by kind of work miss a network by a fifth, single ones by twenty times where a compiler takes
another path. A known network is answered by its own time, whatever that is. Then a network that
does at least as much of every kind of work takes no less than it, and one that does no more takes
no longer, so that more work is never faster however far a known network lies from its costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from perfmodel.cost_models.network_correction import array_of
from perfmodel.cost_models.npu_terms import NPU_TERM_NAMES
from perfmodel.errors import ProfileError

ROUNDING = 1e-5
"""Relative difference of amounts of work that files round away."""

NEARLY_SAME = 0.025
"""Hellinger distance (`likeness`) at which a network has exp(-1/2) of what a known one takes beyond
its costs. Networks of the zoo at 192 to 512 pixels lie 0.001 to 0.03 from themselves at 224, as
pools and windows round in another way; mobilenet_v2 a tenth wider lies 0.025 away."""

LARGEST_BEYOND = 10.0
"""Bound of what a network may take beyond its costs in log units, of a file."""

MOST_WORK = 1e9
"""Bound of an amount of work, in units of `npu_terms`: days of a fast NPU."""

FIELDS = ("known_work", "beyond")


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownNetworks:
    """Work of known networks and the log factor that their kernels' costs take to give their time.

    `work` has shape (networks, len(NPU_TERM_NAMES)), in units of `npu_terms`; `beyond` (networks,).
    """

    work: np.ndarray = field(default_factory=lambda: np.zeros((0, len(NPU_TERM_NAMES))))
    beyond: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @cached_property
    def _order(self) -> np.ndarray:
        """Whether each known network does all that each other one does, shape (known, known)."""
        return does_all_of(self.work, self.work)

    def log_factors(
        self, work: np.ndarray, log_cost: np.ndarray, between: np.ndarray, alike: np.ndarray
    ) -> np.ndarray:
        """Log factors of the kernels of asked networks, shape (asked,).

        `work` (asked, terms) is theirs and `log_cost` (terms,) what it costs; `between` (asked,)
        are the factors of networks that are not known, and `alike` (asked, known) tells how nearly
        each is a known network at some resolution or batch, from 0 to 1: it has so much of that
        one's factor. A network that does just the work of a known one takes its time. All others
        keep the order of their work: where known networks do not keep it themselves, the one that
        does more is taken for as long as the longest of those that do no more.
        """
        if not len(self.beyond):
            return between
        spent, costs = log_ms(work, log_cost), log_ms(self.work, log_cost)
        known = costs + self.beyond
        share = alike.max(axis=1)
        factor = (1.0 - share) * between + share * self.beyond[alike.argmax(axis=1)]
        more, less = does_all_of(work, self.work), does_all_of(self.work, work).T
        longest = np.where(self._order, known, -np.inf).max(axis=1)
        shortest_of_more = np.where(less, longest, np.inf).min(axis=1)
        longest_of_less = np.where(more, known, -np.inf).max(axis=1)
        held = np.minimum(np.maximum(spent + factor, longest_of_less), shortest_of_more)
        itself = more & less
        held = np.where(itself.any(axis=1), known[itself.argmax(axis=1)], held)
        return np.asarray(held - spent)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; nothing where no network is known."""
        if not len(self.beyond):
            return {}
        return {
            "known_work": [[float(f"{v:.6g}") or 0 for v in row] for row in self.work.tolist()],
            "beyond": [round(v, 5) for v in self.beyond.tolist()],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], count: int) -> KnownNetworks:
        """Read and check plain data of `count` networks; absent fields mean that none is known.

        Raises `ProfileError`.
        """
        if not any(name in data for name in FIELDS):
            return cls()
        shape = (count, len(NPU_TERM_NAMES))
        work = array_of(data.get("known_work"), "known_work", MOST_WORK, shape)
        if (work < 0).any():
            raise ProfileError("known_work must not be negative")
        return cls(
            work=work, beyond=array_of(data.get("beyond"), "beyond", LARGEST_BEYOND, (count,))
        )


def does_all_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether each row of `one` is at least each row of `other` everywhere, (one, other)."""
    return np.asarray((one[:, None, :] >= other[None, :, :] * (1.0 - ROUNDING)).all(axis=2))


def log_ms(work: np.ndarray, log_cost: np.ndarray) -> np.ndarray:
    """Log milliseconds of the kernels of networks by costs alone, shape (networks,)."""
    return np.log(np.maximum(work @ np.exp(log_cost), 1e-300))
