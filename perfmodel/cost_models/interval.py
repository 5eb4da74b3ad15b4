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

TAIL_CASES = POOLED_CASES / (1 - COVERAGE)
"""Cases of a target's own from which on their own tails count as much as the pool's: `POOLED_CASES`
of them lie beyond the 90 %."""

FEWEST_OF_SIDES = 19
"""Cases of which the largest stays below one new case in twenty: one side of an interval."""

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


def ratio_bounds(
    first: np.ndarray, first_bounds: np.ndarray, second: np.ndarray, second_bounds: np.ndarray
) -> np.ndarray:
    """Bounds of `first / second`, latencies of shape (n,) with bounds (n, 2), shape (n, 2).

    Errors that the two share cancel in a ratio; what each has alone adds as a root of squares. It
    is taken that they share none, which errs on the wide side for one network on two units.
    """
    below = np.hypot(np.log(first / first_bounds[:, 0]), np.log(second_bounds[:, 1] / second))
    above = np.hypot(np.log(first_bounds[:, 1] / first), np.log(second / second_bounds[:, 0]))
    return (first / second)[:, None] * np.exp(np.column_stack([-below, above]))


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


def independent_cases(log_ratio: np.ndarray, unit: np.ndarray, coverage: float = COVERAGE) -> float:
    """How many independent cases the misses of units that err together are worth.

    `unit` labels what is left out together (a family, a card), shape (cases,). The number of cases
    over the design effect of the share that lies beyond `coverage` of them: the variance of its sum
    between units over that of as many independent cases (Kish 1965, "Survey Sampling", section
    5.4). Units in which all cases err alike are worth one case each.
    """
    _need_cases(log_ratio)
    misses, count = np.abs(log_ratio), len(log_ratio)
    beyond = misses > np.quantile(misses, coverage)
    share = float(beyond.mean())
    units, place = np.unique(unit, return_inverse=True)
    if len(units) == 1 or not share:
        return float(len(units))
    more = np.bincount(place, beyond) - share * np.bincount(place)
    effect = float(more @ more) / (count * share * (1 - share))
    return count / max(effect, 1.0)


def share_to_hold(log_ratio: np.ndarray, unit: np.ndarray, coverage: float = COVERAGE) -> float:
    """The coverage to ask of `conformal_quantile` where the units that misses are of err together.

    `coverage` for as many independent cases, more for what is worth fewer (`independent_cases`), at
    most 1. Raises `MeasurementError` without any miss.
    """
    worth = max(independent_cases(log_ratio, unit, coverage), 1.0)
    return min(coverage * (1 + 1 / worth) / (1 + 1 / len(log_ratio)), 1.0)


def beyond_novelty(
    log_ratio: np.ndarray, novelty: np.ndarray, slope: float = NOVELTY_SLOPE
) -> np.ndarray:
    """The part of misses that is left for an interval to hold, which novelty widens anyway."""
    left = np.maximum(np.abs(log_ratio) - slope * novelty, 0.0)
    return np.asarray(np.copysign(left, log_ratio))


def bounds_of_units(log_ratio: np.ndarray, unit: np.ndarray) -> tuple[float, float]:
    """(low, high) of log(measured / predicted) of cases whose `unit`s err together, each (n,).

    Fewer units than `FEWEST_OF_SIDES` do not tell to which side the next one errs: bounds are then
    as far to one side as to the other.
    """
    held = share_to_hold(log_ratio, unit)
    if len(np.unique(unit)) < FEWEST_OF_SIDES:
        far = conformal_quantile(np.abs(log_ratio), held)
        return -far, far
    return conformal_bounds(log_ratio, held)


def bounds_by_kind(
    log_ratio: np.ndarray, kind: np.ndarray, unit: np.ndarray
) -> dict[str, tuple[float, float]]:
    """`bounds_of_units` of each kind of case, by the kind's name."""
    return {
        str(name): bounds_of_units(log_ratio[kind == name], unit[kind == name])
        for name in dict.fromkeys(kind.tolist())
    }


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


def times_as_far(deviations: np.ndarray, cases: float = POOLED_CASES) -> float:
    """How many times as far cases stray as was expected of each, shrunk towards 1.

    `deviations` are misses in the standard deviations that were expected. A normal distribution's
    median and 90 % of it are compared with theirs, in the (geometric) middle: one tells of most,
    the other of the tails. n own cases weigh n against `cases`; without any it is 1.
    """
    if not len(deviations):
        return 1.0
    least = LEAST_SPREAD / NORMAL_90
    typical = max(spread_of(deviations) / MEDIAN_SD, least)
    far = max(conformal_quantile(np.abs(deviations)) / NORMAL_90, least)
    return float((typical * far) ** (0.5 * len(deviations) / (len(deviations) + cases)))


def spreads_by_group(log_ratio: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Spread of each of `groups` groups, shrunk towards that of all cases, shape (groups,)."""
    pooled = max(spread_of(log_ratio), LEAST_SPREAD * MEDIAN_SD / NORMAL_90)
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
    own: np.ndarray,
    pool: np.ndarray,
    *,
    held: tuple[float, float] = (COVERAGE, COVERAGE),
    novelty_slope: float = 1.0,
) -> Interval:
    """The shape of the pool's misses by side, at the size of the target's own misses.

    Of many own cases their own tails count too (`TAIL_CASES`): a target may stray as often as the
    pool and not as far. `held` are the shares of the own and of the pool's misses to hold, larger
    where they are worth fewer cases than they are (`share_to_hold`).
    """
    low, high = conformal_bounds(pool, held[1])
    pooled = max(spread_of(pool), LEAST_SPREAD * MEDIAN_SD / NORMAL_90)
    scale = shrunk_spread(own, pooled) / pooled
    sides = np.maximum([-low, high], LEAST_SPREAD) * scale
    many = max(len(own) - FEWEST_OF_SIDES, 0)
    if many:
        mine = np.array([-1.0, 1.0]) * conformal_bounds(own, held[0])
        share = many / (many + TAIL_CASES)
        sides = sides ** (1 - share) * np.maximum(mine, LEAST_SPREAD) ** share
    below, above = (round(float(side), 4) for side in sides)
    return Interval(COVERAGE, below, above, novelty_slope)


def _need_cases(values: np.ndarray) -> None:
    if not len(values):
        raise MeasurementError(
            "no case was left out of the fit, so its error is not known",
            "measure more networks or kernels",
        )
