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

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.network_correction import LARGEST_LOG, array_of
from perfmodel.cost_models.npu_leaning import leanings, pulls, roots_of_shares
from perfmodel.cost_models.npu_terms import LATER, NPU_TERM_NAMES
from perfmodel.errors import ProfileError

NEARLY_SAME, LEAST_ALIKE = 0.025, 0.1
"""Hellinger distance (`likeness`) by which networks are alike, and the least likeness of what may
be one network at two resolutions: networks of the zoo at 192 to 512 pixels lie 0.001 to 0.03 from
themselves at 224, as pools and windows round in another way."""

KIN = 0.156
"""Hellinger distance up to which networks are kin: mobilenet_v2 1.4 times as wide lies 0.08 away,
MNASNet twice as wide 0.155, half of AI Hub's networks 0.19 and more from every other one."""

UNSCALED = [i for i, name in enumerate(NPU_TERM_NAMES) if name == "weights" or "starts" in name]
"""Terms that a network has alike at every resolution and batch."""

LARGEST_BEYOND = 10.0
"""Bound of what a network may take beyond its costs in log units, of a file."""

MOST_WORK = 1e9
"""Bound of an amount of work, in units of `npu_terms`: days of a fast NPU."""

FIELDS = ("known_work", "beyond", "ran_beyond", "lean")

ROUNDING = 1e-5
"""Share of a network's costs that files round away."""

SLACK = 0.03
"""Share of a known network's costs that another may lack, or do beyond, and still count as doing
all that it does, or no more: files of one network differ by a softmax at its end or a reshape."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TimedNetworks:
    """Work of known networks and the log factor that their kernels' costs take to give their time.

    `work` has shape (networks, len(NPU_TERM_NAMES)), in units of `npu_terms`; `beyond` (networks,).
    `ran_beyond` (networks,) is their factor over the costs of all that ran with them when they were
    measured, which others are told by (`beyond` where nothing else ran). `lean` is how far networks
    that nobody measured follow them (`npu_leaning`), from 0 to 1.
    """

    work: np.ndarray = field(default_factory=lambda: np.zeros((0, len(NPU_TERM_NAMES))))
    beyond: np.ndarray = field(default_factory=lambda: np.zeros(0))
    ran_beyond: np.ndarray | None = None
    lean: float = 0.0

    def at(self, log_cost: np.ndarray) -> KnownTimes:
        """Their times where a unit of each term costs exp(`log_cost`), shape (terms,)."""
        spent = self.work * np.exp(log_cost)
        return KnownTimes(
            spent=spent,
            beyond=self.beyond,
            ran_beyond=self.beyond if self.ran_beyond is None else self.ran_beyond,
            log_ms=log_total(spent) + self.beyond,
            either_way=_either_way(log_cost),
            lean=self.lean,
        )

    def same(self, work: np.ndarray, alike: np.ndarray) -> np.ndarray:
        """Whether asked networks are known ones at some resolution or batch, (asked, known).

        They are alike (`likeness` by `NEARLY_SAME`), and have the same weights and kernels.
        """
        own, known = work[:, None, UNSCALED], self.work[None, :, UNSCALED]
        equal = np.abs(own - known) <= SLACK * known.sum(axis=2, keepdims=True)
        return np.asarray((alike > LEAST_ALIKE) & equal.all(axis=2))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; nothing where no network is known."""
        if not len(self.beyond):
            return {}
        return {
            "known_work": [[float(f"{v:.6g}") or 0 for v in row] for row in self.work.tolist()],
            "beyond": [round(v, 5) for v in self.beyond.tolist()],
            **(
                {}
                if self.ran_beyond is None
                else {"ran_beyond": [round(v, 5) for v in self.ran_beyond.tolist()]}
            ),
            **({"lean": self.lean} if self.lean else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], count: int) -> TimedNetworks:
        """Read and check plain data of `count` networks; absent fields mean that none is known.

        Raises `ProfileError`.
        """
        if not any(name in data for name in FIELDS):
            return cls()
        shape = (count, len(NPU_TERM_NAMES))
        work = array_of(_with_later(data.get("known_work")), "known_work", MOST_WORK, shape)
        if (work < 0).any():
            raise ProfileError("known_work must not be negative")
        return cls(
            work=work,
            beyond=array_of(data.get("beyond"), "beyond", LARGEST_BEYOND, (count,)),
            ran_beyond=array_of(data["ran_beyond"], "ran_beyond", LARGEST_BEYOND, (count,))
            if "ran_beyond" in data
            else None,
            lean=plain_data.number(data.get("lean", 0.0), "lean", 0.0, 1.0),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownTimes:
    """Known networks on one target: ms of each term by costs, and log ms of all kernels.

    `spent` has shape (networks, terms), `beyond`, `ran_beyond` and `log_ms` (networks,).
    `either_way` (terms, terms) turns time by term into what networks are compared by.
    """

    spent: np.ndarray
    beyond: np.ndarray
    ran_beyond: np.ndarray
    log_ms: np.ndarray
    either_way: np.ndarray
    lean: float = 0.0

    def leaning(self, spent: np.ndarray) -> np.ndarray:
        """Log factors of networks that nobody measured, by those that spend their time alike.

        `spent` is theirs for one input, shape (asked, terms); the result (asked,).
        """
        if not self.lean:
            return np.zeros(len(spent))
        known, pulled = self._pulls
        return self.lean * leanings(roots_of_shares(spent), known, pulled)

    @cached_property
    def _pulls(self) -> tuple[np.ndarray, np.ndarray]:
        known = roots_of_shares(self.spent)
        return known, pulls(known, self.ran_beyond)

    def log_factors(
        self, spent: np.ndarray, between: np.ndarray, same: np.ndarray, kin: np.ndarray
    ) -> np.ndarray:
        """Log factors of the kernels of asked networks, shape (asked,).

        `spent` (asked, terms) is theirs by costs; `between` (asked,) are the factors of networks
        that are not known, and `same` (asked, known) tells which known network each is, at any
        resolution or batch: it has that one's factor. A network that does just the work of a known
        one takes its time. All others keep the order of their work: no less than known ones that
        do no more, and else no more than known ones that do no less. A known network that lies far
        from its costs tells of a compiler's path: a slow one bounds its `kin` alone (asked, known),
        a fast one nobody, as its kin would else take less than what does less and is no kin.
        """
        if not len(self.beyond):
            return between
        total, mine, asked = log_total(spent), self.spent @ self.either_way, spent @ self.either_way
        size = mine.sum(axis=1)[:, None]
        factor = np.where(same.any(axis=1), self.beyond[same.argmax(axis=1)], between)
        lacking, further = excess(mine, asked), excess(asked, mine).T
        more, less = (beyond <= SLACK * size for beyond in (lacking, further))
        near = np.abs(self.beyond) <= LARGEST_LOG
        held = total + factor
        # where known networks contradict each other those near their costs have the last word
        slow = self.beyond > LARGEST_LOG
        for bound in (kin.T & slow[:, None], np.broadcast_to(near[:, None], more.shape)):
            low = np.where(more & bound, self.log_ms[:, None], -np.inf).max(axis=0)
            high = np.where(less & bound, self.log_ms[:, None], np.inf).min(axis=0)
            held = np.maximum(np.minimum(held, high), low)
        itself = np.maximum(lacking, further) <= ROUNDING * size
        held = np.where(itself.any(axis=0), self.log_ms[itself.argmax(axis=0)], held)
        return np.asarray(held - total)


def _with_later(rows: Any) -> Any:
    """Work of a file with no work of terms that files of before lack: it counts as of others."""
    before = len(NPU_TERM_NAMES) - len(LATER)
    if isinstance(rows, list) and all(isinstance(r, list) and len(r) == before for r in rows):
        return [[*row, *(0 for _ in LATER)] for row in rows]
    return rows


def _either_way(log_cost: np.ndarray) -> np.ndarray:
    """Takes the time of later terms for that of the terms they were part of, shape (terms, terms).

    Files write a batch normalisation that nothing folds as one operator or as a product and a sum:
    which of them does more than the other is asked alike, whatever each costs.
    """
    found = np.eye(len(NPU_TERM_NAMES))
    for name, (of, units) in LATER.items():
        later, before = NPU_TERM_NAMES.index(name), NPU_TERM_NAMES.index(of)
        found[later, later] = 0.0
        found[later, before] = np.exp(log_cost[before] - log_cost[later]) / units
    return found


def excess(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What each row of `one` spends beyond each row of `other`, shape (one, other)."""
    return np.asarray(np.maximum(one[:, None, :] - other[None, :, :], 0.0).sum(axis=2))


def log_total(spent: np.ndarray) -> np.ndarray:
    """Log of the sum of each row, shape (rows,)."""
    return np.log(np.maximum(spent.sum(axis=1), 1e-300))
