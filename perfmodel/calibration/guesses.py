"""Known targets as guesses at a new one: how well each explains the measurements, and what it says
after them.

Times of asked networks depend on a target's log costs and on its log times of known networks; both
depart from a known target in the directions in which near kin differ, and in scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.population import Population
from perfmodel.cost_models.likeness import descriptions, interpolation, likeness
from perfmodel.cost_models.work_predictor import work_matrix
from perfmodel.kernels.kernel import KernelTable

SCALE_SD = 2.0
"""Spread of a new target's overall speed around a known one's, log units: a factor of seven."""

DEGREES_OF_FREEDOM = 10.0
"""Of the Student law by which guesses are weighed; 1, 4 and 10 differ by less than 2 % in error."""

WIDE_SHARE = 0.2
"""Share of the spread of all targets' costs that is added to the spread between near kin.

Of 0, 0.05, 0.1 and 0.2 best for targets of ncnn_e2e.csv left out within the training devices."""

ROBUST_LIMIT = 2.5
"""A measurement farther than this many standard deviations from what the others say loses weight.

Of 1.5, 2, 2.5 and 4 none is better for targets of ncnn_e2e.csv left out by more than 0.5 %."""

STEPS = 6
WEIGHED = 40
"""Measurements that weigh the guesses; more are not needed to tell targets apart."""

STRANGE = 1e-3
"""Unexplained share of the variance from which on a measured network is one of its own."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """What is believed before any measurement: weights of the known targets, shape (targets,), and
    the mean log time over the population's networks with its standard deviation, where known."""

    weights: np.ndarray
    log_scale: float | None = None
    scale_sd: float = SCALE_SD


@dataclass(frozen=True, eq=False)
class Asked:
    """Networks as a population sees them.

    `described` (networks, features) as `likeness.described`; `work` (networks, features);
    `weights` (networks, known) their likeness to known networks; `unknown` (networks, networks) the
    covariance of what these do not tell, 0 for known ones. `whole` is 0 for a row that is a mean
    over known networks rather than a network, else 1.
    """

    described: np.ndarray
    work: np.ndarray
    weights: np.ndarray
    unknown: np.ndarray
    whole: np.ndarray

    @staticmethod
    def of(networks: Sequence[KernelTable], population: Population) -> Asked:
        """Several networks under a population."""
        precision = work_precision(population)
        features = population.features
        rows = [work_matrix(n, precision, features).sum(axis=0) for n in networks]
        described = descriptions(networks)
        weights, recognised = interpolation(described, population.anchors)
        across = likeness(described, population.anchors)
        unknown = likeness(described, described) - weights @ across.T
        known = 1.0 - recognised < STRANGE
        unknown[known, :] = unknown[:, known] = 0.0
        work = np.array(rows) if rows else np.zeros((0, features))
        return Asked(described, work, weights, unknown, np.ones(len(rows)))

    def with_mean(self) -> Asked:
        """One more row: the mean over the known networks, which is what a scale is about."""
        known = self.weights.shape[1]
        count = len(self.work)
        unknown = np.zeros((count + 1, count + 1))
        unknown[:count, :count] = self.unknown
        return Asked(
            np.vstack([self.described, np.zeros((1, self.described.shape[1]))]),
            np.vstack([self.work, np.ones((1, self.work.shape[1]))]),
            np.vstack([self.weights, np.full((1, known), 1.0 / max(known, 1))]),
            unknown,
            np.append(self.whole, 0.0),
        )


def work_precision(population: Population) -> str:
    """The precision that sets the bytes of a weight."""
    return "int8" if population.precision == "int8" else "fp32"


@dataclass(frozen=True, eq=False)
class Directions:
    """In which directions targets depart: a factor of the covariance, the scale as last column.

    `cost` (features, directions) and `time` (known networks, directions).
    """

    cost: np.ndarray
    time: np.ndarray

    @staticmethod
    def of(population: Population, tightness: float = 1.0) -> Directions:
        """From the population's spreads; `tightness` scales both."""
        features = population.features
        centre = np.median(population.log_cost, axis=0)
        slope = shares_of(population.work, centre)
        grown = np.vstack([np.eye(features), slope])
        total = population.spread + WIDE_SHARE * grown @ population.wide @ grown.T
        values, vectors = np.linalg.eigh(total * tightness)
        keep = values > 1e-7
        factor = vectors[:, keep] * np.sqrt(values[keep])
        factor = np.hstack([factor, np.full((len(factor), 1), SCALE_SD)])
        return Directions(factor[:features], factor[features:])


def shares_of(work: np.ndarray, log_cost: np.ndarray) -> np.ndarray:
    """Share of each feature in the time: the slope of log latency in log costs."""
    spent = work * np.exp(log_cost)
    total = np.maximum(spent.sum(axis=-1, keepdims=True), 1e-300)
    shares: np.ndarray = spent / total
    return shares


def log_times(
    asked: Asked, population: Population, log_cost: np.ndarray, log_ms: np.ndarray
) -> np.ndarray:
    """Log ms of asked networks on a target with these costs and times, shape (networks,)."""
    own = np.log(asked.work @ np.exp(log_cost))
    theirs = np.log(population.work @ np.exp(log_cost)) if len(population.work) else np.zeros(0)
    found: np.ndarray = asked.whole * (own - asked.weights @ theirs) + asked.weights @ log_ms
    return found


def slopes(
    asked: Asked, population: Population, log_cost: np.ndarray, directions: Directions
) -> np.ndarray:
    """Slopes of `log_times` in the directions, shape (networks, directions)."""
    own = shares_of(asked.work, log_cost) - asked.weights @ shares_of(population.work, log_cost)
    slope: np.ndarray = (asked.whole[:, None] * own) @ directions.cost
    return slope + asked.weights @ directions.time


@dataclass(frozen=True, eq=False)
class Evidence:
    """Measurements as the update takes them: rows, log times, variances of the times."""

    asked: Asked
    log_ms: np.ndarray
    variance: np.ndarray

    def first(self, count: int) -> Evidence:
        """Some of them, spread over the times so that small and large networks are among them."""
        if len(self.log_ms) <= count:
            return self
        order = np.argsort(self.log_ms)
        kept = np.sort(order[np.linspace(0, len(order) - 1, count).astype(int)])
        a = self.asked
        asked = Asked(
            a.described[kept],
            a.work[kept],
            a.weights[kept],
            a.unknown[np.ix_(kept, kept)],
            a.whole[kept],
        )
        return Evidence(asked, self.log_ms[kept], self.variance[kept])

    def noise(self, population: Population) -> np.ndarray:
        """Covariance of the measurements around a target's own times."""
        strange: np.ndarray = population.strange_sd**2 * self.asked.unknown
        return strange + np.diag(self.variance)


@dataclass(frozen=True, eq=False)
class Guess:
    """A known target after the measurements; `at_seen` its log times of what was measured.

    `inverse` is that of the covariance of the measurements around the guess before them, `solved`
    its product with what they left of it; `trusted` are the variances of the measurements in it.
    """

    log_cost: np.ndarray
    log_ms: np.ndarray
    at_seen: np.ndarray
    inverse: np.ndarray
    solved: np.ndarray
    trusted: np.ndarray

    def left_out(self, block: np.ndarray) -> np.ndarray:
        """log(measured / predicted) of some measurements, had they not been made.

        Exact for a Gaussian process (Rasmussen and Williams 2006, section 5.4.2).
        """
        some = np.ix_(block, block)
        return np.asarray(np.linalg.solve(self.inverse[some], self.solved[block]))

    def left_out_variance(self, block: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Variance of `left_out` as the others foretell it, where measurements have `variance`.

        One that the others contradict is trusted less (`trusted`), but not foretold worse.
        """
        around = np.diag(np.linalg.inv(self.inverse[np.ix_(block, block)]))
        return np.asarray(np.maximum(around - self.trusted[block], 0.0) + variance[block])


@dataclass(frozen=True, eq=False)
class Scales:
    """How every known target, as it stands, explains the measurements that weigh the guesses.

    Mahalanobis' squares `square` (targets,) of what it leaves, with the `inverse` of their
    covariance, (targets, n, n), and its product `solved` (targets, n) with what is left.
    """

    square: np.ndarray
    inverse: np.ndarray
    solved: np.ndarray
    power: float
    log_prior: np.ndarray

    def weights(self, without: np.ndarray | None = None) -> np.ndarray:
        """Weight of every target by Student's law, of all measurements but some."""
        square = self.square
        if without is not None and len(without):
            part = self.solved[:, without]
            block = self.inverse[:, without[:, None], without[None, :]]
            found = np.linalg.solve(block, part[:, :, None])[:, :, 0]
            square = np.maximum(square - (part * found).sum(axis=1), 0.0)
        log_weight = self.log_prior - self.power * np.log1p(square / DEGREES_OF_FREEDOM)
        weights = np.exp(log_weight - log_weight.max())
        return np.asarray(weights / weights.sum())


def weigh(
    some: Evidence, population: Population, directions: Directions, prior: np.ndarray
) -> Scales:
    count, targets = len(some.log_ms), len(population.names)
    log_prior = np.log(np.maximum(prior / prior.sum(), 1e-300))
    if not count:
        empty = np.zeros((targets, 0))
        return Scales(np.zeros(targets), np.zeros((targets, 0, 0)), empty, 0.0, log_prior)
    asked = some.asked
    spent = asked.work * np.exp(population.log_cost)[:, None, :]
    own = np.log(spent.sum(axis=2))
    shares = spent / spent.sum(axis=2, keepdims=True)
    times, known = _known_shares(population)
    slope = (asked.whole[:, None] * (shares - asked.weights @ known)) @ directions.cost
    slope = slope + asked.weights @ directions.time
    guess = asked.whole * (own - times @ asked.weights.T) + population.log_ms @ asked.weights.T
    gap = some.log_ms - guess
    inverse = np.linalg.inv(slope @ slope.transpose(0, 2, 1) + some.noise(population))
    solved = (inverse @ gap[:, :, None])[:, :, 0]
    power = 0.5 * (DEGREES_OF_FREEDOM + count) * min(1.0, population.evidence / count)
    return Scales((gap * solved).sum(axis=1), inverse, solved, power, log_prior)


def _known_shares(population: Population) -> tuple[np.ndarray, np.ndarray]:
    """Log times that costs give the known networks, (targets, known), and shares by feature."""
    spent = population.work * np.exp(population.log_cost)[:, None, :]
    total = np.maximum(spent.sum(axis=2), 1e-300)
    return np.log(total), spent / total[:, :, None]


def update(seen: Evidence, population: Population, place: int, directions: Directions) -> Guess:
    """The maximum of a guess's posterior, by Gauss-Newton with robust variances."""
    start_cost, start_ms = population.log_cost[place], population.log_ms[place]
    count = len(seen.log_ms)
    strange = population.strange_sd**2 * seen.asked.unknown
    point, own = np.zeros(directions.cost.shape[1]), seen.variance
    solved, inverse = np.zeros(count), np.zeros((count, count))
    for step in range(STEPS if count else 0):
        cost, times = start_cost + directions.cost @ point, start_ms + directions.time @ point
        slope = slopes(seen.asked, population, cost, directions)
        gap = seen.log_ms - log_times(seen.asked, population, cost, times) + slope @ point
        inverse = np.linalg.inv(slope @ slope.T + strange + np.diag(own))
        solved = inverse @ gap
        # the first step takes the scale whole; later ones are damped, for sums of exponentials
        share = 1.0 if step == 0 else 0.7
        point = share * (slope.T @ solved) + (1.0 - share) * point
        own = trusted(seen.variance, own, inverse, solved)
    cost, times = start_cost + directions.cost @ point, start_ms + directions.time @ point
    at_seen = log_times(seen.asked, population, cost, times) + strange @ solved
    return Guess(cost, times, at_seen, inverse, solved, own)


def evidence_of(
    measured: Sequence[MeasuredNetwork], population: Population, start: Start
) -> Evidence:
    asked = Asked.of([m.kernels for m in measured], population)
    log_ms = np.log([m.latency_ms for m in measured]) if measured else np.zeros(0)
    variance = np.array([population.noise_sd**2 + m.variance for m in measured])
    if start.log_scale is None or not len(population.networks):
        return Evidence(asked, log_ms, variance)
    return Evidence(
        asked.with_mean(),
        np.append(log_ms, start.log_scale),
        np.append(variance, start.scale_sd**2),
    )


def trusted(
    variance: np.ndarray, own: np.ndarray, inverse: np.ndarray, solved: np.ndarray
) -> np.ndarray:
    """Variances of measurements, larger where the others contradict one.

    A measurement is as uncertain as it takes to lie within `ROBUST_LIMIT` standard deviations of
    what the others say of it.
    """
    others = 1.0 / np.diag(inverse) - own
    miss = solved / np.diag(inverse)
    return np.maximum(variance, (miss / ROBUST_LIMIT) ** 2 - others)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median along the first axis where each row, or each value, counts by its weight."""
    order = np.argsort(values, axis=0, kind="stable")
    if weights.ndim < values.ndim:
        share = np.cumsum(weights[order], axis=0)
    else:
        share = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    place = np.argmax(share >= 0.5 * share[-1], axis=0)
    picked = np.take_along_axis(order, place[None], axis=0)
    found: np.ndarray = np.take_along_axis(values, picked, axis=0)[0]
    return found
