"""The solver of all cost models: log costs as sums of shrunken departures, robust to outliers.

A time is a sum of terms, each an amount of work times exp(log cost). The log costs at one place (a
target, or a kind of kernel on a target) are a given start plus departures. Places that have
something in common share a departure, and every departure is shrunk towards zero by its prior: a
hierarchical ridge (Gelman and Hill 2007, "Data Analysis Using Regression and Multilevel Models",
chapter 12). So a place with few measurements borrows from those that resemble it. The loss is
Huber's on log time (Huber 1964), so that single bad measurements hardly count.

Families of models differ in what their terms and places are: `work_model` for whole networks,
`efficiencies` for single kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.errors import MeasurementError

Combine = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From the time of each term, shape (rows, terms), to that of the row, shape (rows,), and its
derivative by each term."""

REMEMBERED_STEPS = 20
"""Steps of which L-BFGS keeps the curvature; double scipy's default, as costs are correlated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Level:
    """One layer of departures: places with the same `index` share a vector.

    `index` has shape (places,), `loadings` shape (terms, size): the departure of log costs is
    `loadings @ vector`. Every entry of the vector has a normal prior of mean 0 and standard
    deviation `sd`; infinite: it is free.
    """

    index: np.ndarray
    loadings: np.ndarray
    sd: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Observations:
    """What a fit learns from: measured log times of rows of work, or of sums of rows.

    Row i does the work `terms[i]` at the log costs of place `place[i]`. It belongs to measurement
    `member[i]`, or is measurement i itself where `member` is None. A measurement has `log_time`,
    `noise` (standard deviation of log time) and `weight` (how many independent ones it counts as).
    """

    place: np.ndarray
    terms: np.ndarray
    log_time: np.ndarray
    noise: np.ndarray
    weight: np.ndarray
    member: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A bound that physics sets: what a term costs, as a multiple of what `base` costs."""

    term: int
    base: int
    least: float
    most: float


LIMIT_SD = 0.1
"""How softly a fit keeps within limits, in log units: a quadratic cost beyond them."""


def beyond_limits(log_cost: np.ndarray, limits: Sequence[Limit]) -> np.ndarray:
    """How far each limited term lies beyond its limits, shape (places, limits); 0 within them."""
    ratio = log_cost[:, [v.term for v in limits]] - log_cost[:, [v.base for v in limits]]
    least, most = (np.log([getattr(v, side) for v in limits]) for side in ("least", "most"))
    return np.asarray(ratio - np.clip(ratio, least, most))


def within_limits(log_cost: np.ndarray, limits: Sequence[Limit]) -> np.ndarray:
    """Log costs, shape (places, terms), with limited terms moved to the nearest lawful cost."""
    kept = log_cost.copy()
    kept[:, [v.term for v in limits]] -= beyond_limits(log_cost, limits)
    return kept


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """Log costs by place, shape (places, terms), the vectors of each level (groups, size)."""

    log_cost: np.ndarray
    vectors: tuple[np.ndarray, ...]
    iterations: int


def log_times(measured: np.ndarray) -> np.ndarray:
    """Logarithms of measured times; raises `MeasurementError` with the first impossible row."""
    times = np.asarray(measured, dtype=float)
    possible = np.isfinite(times) & (times > 0)
    if not possible.all():
        row = int(np.argmin(possible)) + 1
        raise MeasurementError(f"measured times: row {row}: time must be > 0 and finite")
    return np.log(times)


def add_terms(spent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The time of a row whose terms follow one another, and its derivative by each."""
    return spent.sum(axis=1), np.ones_like(spent)


def huber(residual: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Huber's loss and its slope: squares up to `limit` standard deviations, linear beyond."""
    size = np.abs(residual)
    inside = size <= limit
    loss = np.where(inside, 0.5 * residual**2, limit * (size - 0.5 * limit))
    return loss, np.where(inside, residual, limit * np.sign(residual))


def fit_levels(
    seen: Observations,
    levels: Sequence[Level],
    *,
    start: np.ndarray,
    huber_limit: float,
    max_iter: int,
    combine: Combine = add_terms,
    limits: Sequence[Limit] = (),
) -> Fitted:
    """Log costs that maximise the posterior, by L-BFGS with analytic gradients.

    `start` holds the log costs without any departure, shape (places, terms) or one that
    broadcasts to it. `huber_limit` is in units of the noise. Terms keep within `limits`; their
    bases are not limited themselves.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    problem = _Problem(seen, levels, start, huber_limit, combine, limits)
    options = {"maxiter": max_iter, "maxcor": REMEMBERED_STEPS}
    # matrices are small: threads of the linear algebra would only wait for one another
    with threadpool_limits(limits=1):
        best = minimize(
            problem.loss, np.zeros(problem.size), jac=True, method="L-BFGS-B", options=options
        )
    vectors = problem.vectors(best.x)
    return Fitted(
        log_cost=within_limits(problem.log_costs(vectors), limits),
        vectors=tuple(vectors),
        iterations=int(best.nit),
    )


class _Problem:
    """The negative log posterior of all departures as one vector, and its gradient."""

    def __init__(
        self,
        seen: Observations,
        levels: Sequence[Level],
        start: np.ndarray,
        huber_limit: float,
        combine: Combine,
        limits: Sequence[Limit],
    ) -> None:
        self.seen, self.levels = seen, levels
        self.huber_limit, self.combine, self.limits = huber_limit, combine, limits
        places = len(levels[0].index)
        self.start = np.broadcast_to(start, (places, seen.terms.shape[1]))
        self.shapes = [(int(v.index.max()) + 1, v.loadings.shape[1]) for v in levels]
        self.ends = np.cumsum([0, *(a * b for a, b in self.shapes)])
        self.size = int(self.ends[-1])
        self.precision = [1.0 / v.sd**2 for v in levels]
        self.by_place = _adder(seen.place, places)
        self.by_group = [_adder(v.index, n) for v, (n, _) in zip(levels, self.shapes, strict=True)]
        self.by_member = None if seen.member is None else _adder(seen.member, len(seen.log_time))

    def vectors(self, point: np.ndarray) -> list[np.ndarray]:
        return [
            point[low:high].reshape(shape)
            for low, high, shape in zip(self.ends[:-1], self.ends[1:], self.shapes, strict=True)
        ]

    def log_costs(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        total = self.start.copy()
        for level, vector in zip(self.levels, vectors, strict=True):
            total += (vector @ level.loadings.T)[level.index]
        return total

    def loss(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        seen, vectors = self.seen, self.vectors(point)
        log_cost = self.log_costs(vectors)
        spent = np.exp(log_cost)[seen.place] * seen.terms
        row, by_term = self.combine(spent)
        total = row if self.by_member is None else self.by_member @ row
        value, slope = huber((np.log(total) - seen.log_time) / seen.noise, self.huber_limit)
        slope = seen.weight * slope / seen.noise / total
        per_row = slope if seen.member is None else slope[seen.member]
        by_place = self.by_place @ (per_row[:, None] * by_term * spent)
        loss, gradient = float((seen.weight * value).sum()), []
        if self.limits:
            beyond = beyond_limits(log_cost, self.limits) / LIMIT_SD
            loss += 0.5 * float((beyond**2).sum())
            for limit, slope in zip(self.limits, beyond.T / LIMIT_SD, strict=True):
                by_place[:, limit.term] += slope
                by_place[:, limit.base] -= slope
        for level, vector, add, precision in zip(
            self.levels, vectors, self.by_group, self.precision, strict=True
        ):
            loss += 0.5 * precision * float((vector**2).sum())
            gradient.append((add @ (by_place @ level.loadings) + precision * vector).ravel())
        return loss, np.concatenate(gradient)


def _adder(index: np.ndarray, count: int) -> Any:
    """The matrix that adds rows with the same index, shape (count, len(index))."""
    from scipy.sparse import csr_matrix

    rows = len(index)
    return csr_matrix((np.ones(rows), (index, np.arange(rows))), shape=(count, rows))


def balanced_weights(target: np.ndarray, raw: np.ndarray, strength: float) -> np.ndarray:
    """Weights proportional to `raw` that count each target as at most `strength` rows."""
    total = np.bincount(target, raw)
    rows = np.bincount(target)
    scale = np.minimum(rows, strength) / np.maximum(total, 1e-300)
    weights: np.ndarray = raw * scale[target]
    return weights
