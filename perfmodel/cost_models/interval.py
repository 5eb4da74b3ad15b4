"""Intervals and errors of a fitted target, from cases that the fit did not see.

Every function takes `log_ratio`, log(measured / predicted) of cases left out of the fit. Quantiles
follow split conformal prediction: if the cases and a new one are exchangeable, the new one is
covered with at least the stated probability (Vovk, Gammerman and Shafer 2005, "Algorithmic
Learning in a Random World", chapter 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from perfmodel.errors import MeasurementError

COVERAGE = 0.9
"""Share of new cases that a prediction interval holds, unless something else is asked for."""

NORMAL_90 = 1.645
"""Standard deviations either way of the mean that hold 90 % of a normal distribution."""

MEDIAN_SD = 0.6745
"""Median |deviation| of a normal distribution, in standard deviations."""

POOLED_CASES = 10.0
"""Cases of a target's own from which on they count as much as what is assumed of it."""

LEAST_SPREAD = 0.01
"""Relative spread that a handful of cases cannot show to be smaller: repeated runs differ by it."""

NOVELTY_SLOPE = 0.5
"""Widening of a calibrated target's interval, in log units, for a network all of whose time is in
kernels e times larger or smaller than any fitted one. A stated choice, not a fit."""

WIDEST_LOG = 15.0
"""Bound of an interval in log units; profiles refuse 20."""


@dataclass(frozen=True)
class Interval:
    """Prediction interval on log latency, calibrated out of sample.

    The interval of a latency L is [L exp(-low_log - w), L exp(high_log + w)] with
    w = novelty_slope * novelty + log(1 + short_ms / L), novelty being how far outside the fitted
    range the network lies and `short_ms` what a time is unsure by however short it is.
    """

    coverage: float
    low_log: float
    high_log: float
    novelty_slope: float = 1.0
    short_ms: float = 0.0

    def around(self, latency_ms: float, novelty: float = 0.0) -> tuple[float, float]:
        """Lower and upper bound in ms."""
        extra = float(self.extra_log(np.array(latency_ms), np.array(novelty)))
        low = latency_ms * math.exp(-self.low_log - extra)
        return low, latency_ms * math.exp(self.high_log + extra)

    def extra_log(self, latency_ms: np.ndarray, novelty: np.ndarray) -> np.ndarray:
        """What novelty and shortness add to both sides, in log units, of any shape."""
        short: np.ndarray = np.log1p(self.short_ms / np.maximum(latency_ms, 1e-12))
        return self.novelty_slope * novelty + short

    def to_dict(self) -> dict[str, float]:
        """Plain data; `short_ms` only where there is one."""
        return {k: v for k, v in vars(self).items() if k != "short_ms" or v}


@dataclass(frozen=True)
class FitError:
    """Out-of-sample error of a target's cost model: relative, as a share of the measured time."""

    experiment: str
    cases: int
    median: float
    mean: float | None = None
    within_20: float | None = None


def fit_error(experiment: str, log_ratio: np.ndarray) -> FitError:
    """|predicted - measured| / measured over the left-out cases; raises if there are none."""
    _need_cases(log_ratio)
    error = np.abs(np.expm1(-np.asarray(log_ratio, dtype=float)))
    return FitError(
        experiment,
        len(error),
        round(float(np.median(error)), 4),
        round(float(error.mean()), 4),
        round(float((error <= 0.2).mean()), 4),
    )


def expected_error(experiment: str, width_log: float) -> FitError:
    """The median error of a normal distribution whose 90 % interval is `width_log` either way."""
    return FitError(
        experiment, 0, round(float(np.expm1(width_log / NORMAL_90 * MEDIAN_SD)), 4), None, None
    )


def conformal_quantile(misses: np.ndarray, coverage: float = COVERAGE) -> float:
    """The miss that a new exchangeable case stays below with probability >= `coverage`.

    It has rank ceil((n + 1) coverage) among the n misses, so it is larger than the plain quantile;
    with too few cases for the coverage it is the largest. Raises `MeasurementError` without any.
    """
    _need_cases(misses)
    ordered = np.sort(misses)
    # coverages are decimal fractions: (39 + 1) x 0.95 is 38, not a little more
    rank = math.ceil(round((len(ordered) + 1) * coverage, 9))
    return float(ordered[min(max(rank, 1), len(ordered)) - 1])


def conformal_bounds(log_ratio: np.ndarray, coverage: float = COVERAGE) -> tuple[float, float]:
    """(low, high) of log(measured / predicted) with (1 - coverage) / 2 beyond each side."""
    side = (1 + coverage) / 2
    below = conformal_quantile(-np.asarray(log_ratio, dtype=float), side)
    return -below, conformal_quantile(log_ratio, side)


def conformal_interval(
    log_ratio: np.ndarray, *, least: float = 0.0, novelty_slope: float = 1.0
) -> Interval:
    """Each side as far as the left-out cases go to that side, at least `least`."""
    low, high = conformal_bounds(log_ratio)
    return Interval(COVERAGE, max(-low, least), max(high, least), novelty_slope)


def spread_of(log_ratio: np.ndarray) -> float:
    """Typical size of a miss: the median |log_ratio|, which outliers do not move."""
    return float(np.median(np.abs(log_ratio)))


def shrunk_spread(own: np.ndarray, assumed: float, cases: float = POOLED_CASES) -> float:
    """Spread of a target's own cases, shrunk towards the `assumed` one (geometric mean).

    n own cases weigh n against `cases`; without any it is the assumed spread.
    """
    if not len(own):
        return assumed
    share = len(own) / (len(own) + cases)
    seen = max(spread_of(own), LEAST_SPREAD * MEDIAN_SD / NORMAL_90)
    return float(np.exp(share * np.log(seen) + (1 - share) * np.log(assumed)))


def spreads_by_group(log_ratio: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Spread of each of `groups` groups, shrunk towards that of all cases, shape (groups,)."""
    pooled = spread_of(log_ratio)
    return np.array([shrunk_spread(log_ratio[group == g], pooled) for g in range(groups)])


def widths_by_group(
    log_ratio: np.ndarray, group: np.ndarray, groups: int, coverage: float = COVERAGE
) -> np.ndarray:
    """Symmetric half width of the interval of each group, shape (groups,).

    A multiple of the group's spread, the same for all, that covers the cases of all groups.
    """
    spread = spreads_by_group(log_ratio, group, groups)
    return conformal_quantile(np.abs(log_ratio) / spread[group], coverage) * spread


def expected_interval(
    log_ratio: np.ndarray, expected_log: float, novelty_slope: float = 1.0
) -> Interval:
    """Symmetric interval where few cases were left out: an expected half width, and theirs.

    `expected_log` is the half width that the model expects before any case; the more cases, the
    more their own spread counts, as that of a normal distribution.
    """
    assumed = expected_log * MEDIAN_SD / NORMAL_90
    width = shrunk_spread(log_ratio, assumed) * NORMAL_90 / MEDIAN_SD
    width = round(min(width, WIDEST_LOG), 4)
    return Interval(COVERAGE, width, width, novelty_slope)


def borrowed_interval(
    own: np.ndarray, pool: np.ndarray, *, cases: float = POOLED_CASES, novelty_slope: float = 1.0
) -> Interval:
    """The shape of the pool's misses by side, at the size of the target's own misses."""
    low, high = conformal_bounds(pool)
    pooled = max(spread_of(pool), LEAST_SPREAD * MEDIAN_SD / NORMAL_90)
    scale = shrunk_spread(own, pooled, cases) / pooled
    return Interval(
        COVERAGE,
        round(max(-low, LEAST_SPREAD) * scale, 4),
        round(max(high, LEAST_SPREAD) * scale, 4),
        novelty_slope,
    )


def _need_cases(values: np.ndarray) -> None:
    if not len(values):
        raise MeasurementError(
            "no case was left out of the fit, so its error is not known",
            "measure more networks or kernels",
        )
