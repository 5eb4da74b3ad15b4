"""What a fitted NPU target leaves in a profile: a cost per unit of each term; numpy only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.hierarchy import Level, Observations, fit_levels, log_times
from perfmodel.cost_models.likeness import descriptions, distances, likeness
from perfmodel.cost_models.network_correction import FIELDS as CORRECTION_FIELDS
from perfmodel.cost_models.network_correction import LARGEST_LOG, NetworkCorrection
from perfmodel.cost_models.npu_known import FIELDS as KNOWN_FIELDS
from perfmodel.cost_models.npu_known import (
    KIN,
    NEARLY_SAME,
    UNSCALED,
    KnownTimes,
    TimedNetworks,
)
from perfmodel.cost_models.npu_terms import (
    LATER,
    MACS_PER_INFERENCE,
    NPU_PARTS,
    NPU_TERM_NAMES,
    NPU_WORK_UNIT,
    WEIGHT_BYTES,
    npu_work,
)
from perfmodel.cost_models.plain_data import Range
from perfmodel.cost_models.predictor import PARTS, ByKernel, NetworkTerms
from perfmodel.cost_models.work_predictor import (
    costs_from_dict,
    novelty_beyond,
    ranges_from_dict,
    ranges_to_dict,
)
from perfmodel.kernels.kernel import KernelTable

CALL = "call"
"""The cost that an inference pays once, beside those of `NPU_TERMS`."""

COST_NAMES: tuple[str, ...] = (*NPU_TERM_NAMES, CALL)

PLAIN = ("macs", "moved")
"""Terms that count all kernels alike: files of before lack them."""

NO_COST = -20.0
"""Log cost of a term that takes no time."""

DEPARTURE_SD, KERNEL_NOISE_SD = 0.3, 0.3
"""How far single kernels move each term's cost in log units, and how far they stray from costs
that were fitted to whole networks: rounded from how targets of one chip differ (`npu_model`)."""

_PART_MATRIX = np.array([[part == p for p in PARTS] for part in NPU_PARTS], dtype=float)

_GROWS = np.array([i not in UNSCALED for i in range(len(NPU_TERM_NAMES))], dtype=float)
"""1.0 for terms that grow with the batch."""


@dataclass(frozen=True, kw_only=True)
class NpuPredictor(ByKernel):
    """Time of a kernel = sum over its terms of work x cost; a network also pays one call.

    `log_cost` holds the logarithm of milliseconds per `NPU_WORK_UNIT` in the order of
    `COST_NAMES`; `precision` is that of the target; `ranges` the sizes of kernels that were
    fitted, by class; `correction` what networks like known ones take beyond, and `known` the known
    ones themselves, in the order of its anchors.
    """

    kind: ClassVar[str] = "npu"

    log_cost: tuple[float, ...]
    precision: str
    ranges: Mapping[str, Range] = field(default_factory=dict)
    correction: NetworkCorrection = field(default_factory=NetworkCorrection)
    known: TimedNetworks = field(default_factory=TimedNetworks)

    @property
    def overhead_ms(self) -> float:
        """Milliseconds of calling the NPU."""
        return float(np.exp(self.log_cost[-1])) * MACS_PER_INFERENCE / NPU_WORK_UNIT

    def with_overhead(self, overhead_ms: float) -> NpuPredictor:
        """The same model with another fixed cost of an inference."""
        call = max(overhead_ms, 1e-9) * NPU_WORK_UNIT / MACS_PER_INFERENCE
        return replace(self, log_cost=(*self.log_cost[:-1], float(np.log(call))))

    def scaled(self, log_factor: float) -> NpuPredictor:
        """The same model with every time multiplied by exp(`log_factor`)."""
        return replace(self, log_cost=tuple(c + log_factor for c in self.log_cost))

    def adapted(self, kernels: KernelTable, latency_us: np.ndarray) -> NpuPredictor:
        """The predictor with its costs moved towards what kernels took: all by one factor, and
        each term by its own, as far as single kernels tell of sums (`DEPARTURE_SD`)."""
        terms = len(NPU_TERM_NAMES)
        place, alone = np.zeros(len(kernels), dtype=np.int64), np.zeros(1, dtype=np.int64)
        fitted = fit_levels(
            Observations(
                place=place,
                terms=npu_work(kernels, self.precision),
                log_time=log_times(np.asarray(latency_us) / 1e3),
                noise=np.full(len(kernels), KERNEL_NOISE_SD),
                weight=np.ones(len(kernels)),
            ),
            [
                Level(index=alone, loadings=np.ones((terms, 1)), sd=float("inf")),
                Level(index=alone, loadings=np.eye(terms) * DEPARTURE_SD),
            ],
            start=np.array([self.log_cost[:-1]]),
            huber_limit=1.5,
            max_iter=200,
        )
        costs = tuple(float(v) for v in fitted.log_cost[0])
        return replace(self, log_cost=(*costs, self.log_cost[-1]))

    def parts_ms(self, kernels: KernelTable) -> np.ndarray:
        """Milliseconds of each kernel by part, shape (kernels, 3), columns `PARTS`."""
        spent = npu_work(kernels, self.precision) * np.exp(self.log_cost[:-1])
        parts: np.ndarray = spent @ _PART_MATRIX
        return parts

    def novelty(self, kernels: KernelTable) -> np.ndarray:
        """How far outside the fitted range each kernel lies: 0 inside, in log units beyond it."""
        return novelty_beyond(self.ranges, kernels)

    def network_terms(self, networks: Sequence[KernelTable]) -> NetworkTerms:
        """Misfits of the networks that the correction knows, extra width for strange ones."""
        terms = self.correction.terms(networks)
        if not len(self.known.beyond) or not networks:
            return terms
        work = np.array([kernels_work(t, self.precision) for t in networks])
        described, anchors = descriptions(networks), self.correction.anchors
        alike = likeness(described, anchors, NEARLY_SAME)
        spent = work * np.exp(self.log_cost[:-1])
        leaning = self._known_times.leaning(spent / _for_one(networks)[:, None] ** _GROWS)
        between = np.clip(terms.log_factor + leaning, -LARGEST_LOG, LARGEST_LOG)
        factors = self._known_times.log_factors(
            spent,
            between,
            self.known.same(work, alike),
            distances(described, anchors) <= KIN,
        )
        return replace(terms, log_factor=factors)

    @cached_property
    def _known_times(self) -> KnownTimes:
        return self.known.at(np.array(self.log_cost[:-1]))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the tag."""
        costs = zip(COST_NAMES, self.log_cost, strict=True)
        return {
            "precision": self.precision,
            "log_cost": {n: round(float(v), 4) for n, v in costs},
            "ranges": ranges_to_dict(self.ranges),
            **self.correction.to_dict(),
            **self.known.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NpuPredictor:
        """Read and check plain data; raises `ProfileError` that names the field."""
        own = ("precision", "log_cost", "ranges")
        plain_data.only(data, (*own, *CORRECTION_FIELDS, *KNOWN_FIELDS))
        precision = plain_data.choice(data.get("precision"), "precision", WEIGHT_BYTES)
        correction = NetworkCorrection.from_dict(data)
        return cls(
            log_cost=costs_from_dict(_with_later(data.get("log_cost")), COST_NAMES, "term"),
            precision=precision,
            ranges=ranges_from_dict(data.get("ranges")),
            correction=correction,
            known=TimedNetworks.from_dict(data, len(correction.anchors)),
        )


def _with_later(costs: Any) -> Any:
    """Costs of a file with those of terms that files of before lack."""
    if not isinstance(costs, dict):
        return costs
    had = {
        name: costs[of] - math.log(units)
        for name, (of, units) in LATER.items()
        if isinstance(costs.get(of), (int, float))
    }
    return {**dict.fromkeys(PLAIN, NO_COST), **had, **costs}


def _for_one(networks: Sequence[KernelTable]) -> np.ndarray:
    """Inputs of each network's batch, shape (networks,)."""
    return np.array([max(float(t["batch"].max(initial=1.0)), 1.0) for t in networks])


def kernels_work(kernels: KernelTable, precision: str) -> np.ndarray:
    """Work of all kernels of a network, shape (len(NPU_TERM_NAMES),)."""
    return kernels.once(
        ("kernels_work", precision), lambda: npu_work(kernels, precision).sum(axis=0)
    )


def network_work(kernels: KernelTable, precision: str) -> np.ndarray:
    """Work of a whole network and its call, shape (len(COST_NAMES),)."""
    return np.append(kernels_work(kernels, precision), MACS_PER_INFERENCE / NPU_WORK_UNIT)
