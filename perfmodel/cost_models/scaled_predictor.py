"""A known target's cost model at another speed: its shape, everything times one factor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.predictor import NetworkTerms, Predictor, WorkCosts
from perfmodel.errors import ProfileError
from perfmodel.kernels.kernel import KernelTable

LARGEST_LOG = 12.0
"""Bound of a factor in log units: e^12 lies between any two processors that run networks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScaledPredictor:
    """Time = that of `base` x exp(`log_factor`); many targets may share one `base`."""

    kind: ClassVar[str] = "scaled"

    base: Predictor
    log_factor: float

    @property
    def factor(self) -> float:
        """Times as long as on the base."""
        return math.exp(self.log_factor)

    @property
    def overhead_ms(self) -> float:
        """The base's, scaled."""
        return self.base.overhead_ms * self.factor

    @property
    def needs_whole_network(self) -> bool:
        """As the base."""
        return self.base.needs_whole_network

    @property
    def times_single_kernels(self) -> bool:
        """Never: no kernel of this target was timed."""
        return False

    @property
    def work_costs(self) -> WorkCosts | None:
        """The base's, all dearer by the factor."""
        costs = self.base.work_costs
        if costs is None:
            return None
        return replace(costs, log_cost=tuple(c + self.log_factor for c in costs.log_cost))

    @property
    def as_scaled(self) -> tuple[Predictor, float]:
        """The base and the factor."""
        return self.base, self.factor

    def with_overhead(self, overhead_ms: float) -> ScaledPredictor:
        """The same model with another fixed cost of an inference."""
        return replace(self, base=self.base.with_overhead(overhead_ms / self.factor))

    def adapted(self, kernels: KernelTable, latency_us: np.ndarray) -> ScaledPredictor:
        """The base adapted to the times as they would be on it."""
        scaled = np.asarray(latency_us, dtype=float) / self.factor
        return replace(self, base=self.base.adapted(kernels, scaled))

    @property
    def grows_with_batch(self) -> bool:
        """As the base."""
        return self.base.grows_with_batch

    def parts_ms(self, kernels: KernelTable) -> np.ndarray:
        """Milliseconds of each kernel by part, shape (kernels, 3)."""
        parts: np.ndarray = self.base.parts_ms(kernels) * self.factor
        return parts

    def novelty(self, kernels: KernelTable) -> np.ndarray:
        """As on the base."""
        return self.base.novelty(kernels)

    def network_terms(self, networks: Sequence[KernelTable]) -> NetworkTerms:
        """As on the base."""
        return self.base.network_terms(networks)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the tag."""
        from perfmodel.cost_models.kinds import predictor_to_dict

        return {"base": predictor_to_dict(self.base), "log_factor": round(self.log_factor, 5)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScaledPredictor:
        """Read and check plain data; raises `ProfileError` that names the field."""
        from perfmodel.cost_models.kinds import predictor_from_dict

        plain_data.only(data, ("base", "log_factor"), ("base", "log_factor"))
        if isinstance(data["base"], Mapping) and data["base"].get("kind") == cls.kind:
            raise ProfileError("base: must not be scaled itself")
        return cls(
            base=predictor_from_dict(data["base"], "base"),
            log_factor=plain_data.number(
                data["log_factor"], "log_factor", -LARGEST_LOG, LARGEST_LOG
            ),
        )
