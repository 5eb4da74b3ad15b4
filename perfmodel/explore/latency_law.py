"""From a prediction's interval to percentiles and chances.

Assumption: the true latency is log-normal around the predicted median, on each side with the
spread that puts the interval's bound at its own percentile. It covers the model's error for the
network, not the scatter between runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

ASSUMPTION = (
    "percentiles are those of a log-normal law through the bounds of the prediction interval, "
    "on each side of the median"
)
_NORMAL = NormalDist()


@dataclass(frozen=True)
class LatencyLaw:
    """A two-piece log-normal law: median (ms) and log spread below and above it."""

    median_ms: float
    log_spread_below: float
    log_spread_above: float

    @classmethod
    def of(
        cls, median_ms: float, low_ms: float, high_ms: float, coverage: float = 0.9
    ) -> LatencyLaw:
        """The law of a median and an interval that covers `coverage`."""
        if not 0 < low_ms <= median_ms <= high_ms or not 0 < coverage < 1:
            raise ValueError(f"not an interval: {low_ms}, {median_ms}, {high_ms}, {coverage}")
        z = _NORMAL.inv_cdf((1 + coverage) / 2)
        return cls(median_ms, math.log(median_ms / low_ms) / z, math.log(high_ms / median_ms) / z)

    def percentile_ms(self, percentile: float) -> float:
        """Latency that `percentile` (0 to 100, exclusive) of the cases stay under."""
        if not 0 < percentile < 100:
            raise ValueError(f"percentile {percentile} is not between 0 and 100")
        z = _NORMAL.inv_cdf(percentile / 100)
        spread = self.log_spread_below if z < 0 else self.log_spread_above
        return self.median_ms * math.exp(z * spread)

    def chance_within(self, limit_ms: float) -> float:
        """Probability of a latency of at most `limit_ms`."""
        if limit_ms <= 0:
            return 0.0
        log = math.log(limit_ms / self.median_ms)
        spread = self.log_spread_below if log < 0 else self.log_spread_above
        if spread == 0:
            return 1.0 if log >= 0 else 0.0
        return _NORMAL.cdf(log / spread)
