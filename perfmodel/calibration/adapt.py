"""A new target from a handful of whole-network measurements, a spec sheet, or neither.

Every known target of a population is a guess at the new one: its costs and times, up to a scale and
to departures as they are found between near kin. The guesses are weighed by how well they explain
the measurements (a Student law, so that one throttled run does not decide) and each is updated by
them as in Kalman's filter, linearised around the estimate (Gauss-Newton). The new target is the
weighted median of the updated guesses. One measurement sets the scale, a few tell which targets are
alike, and there is no cliff between any two numbers of measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.calibration.guesses import (
    STRANGE,
    WEIGHED,
    Asked,
    Directions,
    Evidence,
    Guess,
    Scales,
    Start,
    evidence_of,
    log_times,
    shares_of,
    slopes,
    update,
    weigh,
    weighted_median,
    work_precision,
)
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.population import Population
from perfmodel.cost_models.hierarchy import within_limits
from perfmodel.cost_models.interval import times_as_far
from perfmodel.cost_models.likeness import JITTER, likeness
from perfmodel.cost_models.network_correction import LARGEST_LOG, NetworkCorrection, lawful
from perfmodel.cost_models.predictor import network_ms
from perfmodel.cost_models.work_features import LIMITS
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable

GUESSES = 24
GUESS_BUDGET = 2400
"""Guesses updated, and their number times that of measurements: the time is bounded."""

OWN_ANCHORS = 100
"""Networks of its own that a target's correction remembers."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Adaptation:
    """A target after its measurements: costs, misfits of known networks, and how sure they are.

    `left_out` holds log(measured / predicted) of the measurements had they not been made, block by
    block, and `left_out_sd` how large the others let expect it to be; both are empty without
    blocks. `weights` (targets,) tell whom it resembles; `sd` is the standard
    deviation of the log times of the population's networks (of its own where the population has
    none), measurement included.
    """

    population: Population
    log_cost: np.ndarray
    correction: NetworkCorrection
    weights: np.ndarray
    sd: float
    measurements: int
    left_out: np.ndarray
    left_out_sd: np.ndarray

    @property
    def strayed(self) -> float:
        """How many times as far as expected the measurements strayed that were left out.

        Each counts by what was expected of it: one that is unlike the others is foretold badly,
        which says nothing of the networks that are like them. Few say little: 1 without any.
        """
        return times_as_far(self.left_out / self.left_out_sd)

    @property
    def half_width_log(self) -> float:
        """Half width of the 90 % interval of log latency of a known network."""
        return self.population.width_factor(self.measurements) * self.strayed * self.sd

    @property
    def strange_log(self) -> float:
        """What is added to the half width for a network that is like none of the known ones."""
        width = self.half_width_log
        return float(np.hypot(width, self.strayed * self.population.strange_width) - width)

    @property
    def predictor(self) -> EfficiencyPredictor:
        """The predictor to keep in a profile."""
        return EfficiencyPredictor(
            log_cost=tuple(float(v) for v in self.log_cost),
            precision=work_precision(self.population),
            ranges=self.population.ranges,
            correction=replace(self.correction, strange_log=self.strange_log),
        )

    def latency_ms(self, network: KernelTable) -> float:
        """Latency of a network."""
        return network_ms(self.predictor, network)

    @property
    def nearest(self) -> tuple[str, float]:
        """The known target that it resembles most, and its weight."""
        best = int(np.argmax(self.weights))
        return self.population.names[best], float(self.weights[best])


def adapt(
    measured: Sequence[MeasuredNetwork],
    population: Population,
    start: Start | None = None,
    blocks: Sequence[object] = (),
) -> Adaptation:
    """The new target after its measurements (none is fine).

    `blocks` labels what is left out together for `Adaptation.left_out`, one label a measurement.
    Raises `MeasurementError` on times that are not > 0.
    """
    if any(not m.latency_ms > 0 for m in measured):
        raise MeasurementError("latencies must be > 0 ms")
    start = start or Start(weights=np.ones(len(population.names)))
    directions = Directions.of(population)
    seen = evidence_of(measured, population, start)
    scales = weigh(seen.first(WEIGHED), population, directions, start.weights)
    weights = scales.weights()
    count = int(np.clip(GUESS_BUDGET // max(len(measured), 1), 1, GUESSES))
    if not len(seen.log_ms):
        count = len(weights)
    chosen = np.argsort(-weights, kind="stable")[:count]
    chosen = chosen[weights[chosen] > 1e-4 * weights[chosen[0]]]
    guesses = [update(seen, population, int(i), directions) for i in chosen]
    left, left_sd = _left_out(seen, scales, guesses, chosen, blocks)
    made = _collapsed(seen, population, directions, guesses, chosen, weights, len(measured))
    return replace(made, left_out=left, left_out_sd=left_sd)


def _left_out(
    seen: Evidence,
    scales: Scales,
    guesses: Sequence[Guess],
    chosen: np.ndarray,
    blocks: Sequence[object],
) -> tuple[np.ndarray, np.ndarray]:
    """Misses of the measurements left out block by block, and the deviations expected of them."""
    out, variance = np.zeros(len(blocks)), np.ones(len(blocks))
    labels = list(dict.fromkeys(blocks))
    for label in labels:
        block = np.array([i for i, b in enumerate(blocks) if b == label])
        weighed = len(blocks) <= WEIGHED
        share = scales.weights(block if weighed else None)[chosen]
        missed = np.array([g.left_out(block) for g in guesses])
        out[block] = weighted_median(missed, share)
        within = [g.left_out_variance(block, seen.variance) for g in guesses]
        variance[block] = np.average(within, axis=0, weights=share) + _between(missed, share)
    return out, np.sqrt(variance)


def _between(said: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Variance between guesses (first axis) that count by their shares."""
    middle = np.average(said, axis=0, weights=share)
    return np.asarray(np.average((said - middle) ** 2, axis=0, weights=share))


def _collapsed(
    seen: Evidence,
    population: Population,
    directions: Directions,
    guesses: Sequence[Guess],
    chosen: np.ndarray,
    weights: np.ndarray,
    measurements: int,
) -> Adaptation:
    """One target from weighted guesses: the weighted median of costs and of times."""
    share = weights[chosen]
    log_cost = weighted_median(np.array([g.log_cost for g in guesses]), share)
    log_cost = within_limits(log_cost[None], LIMITS)[0]
    known_ms = weighted_median(np.array([g.log_ms for g in guesses]), share)
    misfits = known_ms - np.log(np.maximum(population.work @ np.exp(log_cost), 1e-300))
    own = _own_anchors(seen.asked)
    at_own = weighted_median(np.array([g.at_seen for g in guesses]), share)[own]
    own_misfits = at_own - np.log(seen.asked.work[own] @ np.exp(log_cost))
    described = seen.asked.described[own]
    correction = NetworkCorrection(
        anchors=np.vstack([population.anchors, described]),
        misfits=np.clip(np.append(misfits, own_misfits), -LARGEST_LOG, LARGEST_LOG),
    )
    correction = lawful(correction, np.vstack([population.work, seen.asked.work[own]]), log_cost)
    asked = _judged(seen, population)
    between = np.array([log_times(asked, population, g.log_cost, g.log_ms) for g in guesses])
    return Adaptation(
        population=population,
        log_cost=log_cost,
        correction=correction,
        weights=weights,
        sd=_expected_sd(seen, population, directions, log_cost, asked, between, share),
        measurements=measurements,
        left_out=np.zeros(0),
        left_out_sd=np.zeros(0),
    )


def _judged(seen: Evidence, population: Population) -> Asked:
    """The networks whose expected spread sets the interval: the population's, else its own."""
    known = len(population.networks)
    if not known:
        return seen.asked
    return Asked(
        population.anchors,
        population.work,
        np.eye(known),
        np.zeros((known, known)),
        np.ones(known),
    )


def _expected_sd(
    seen: Evidence,
    population: Population,
    directions: Directions,
    log_cost: np.ndarray,
    asked: Asked,
    between: np.ndarray,
    share: np.ndarray,
) -> float:
    """Root mean variance of log times: of a guess, between guesses and of a measurement."""
    if not len(asked.work):
        # no network to judge by: as unsure as the known targets' overall speeds differ
        return max(float(np.std(np.median(population.log_cost, axis=1))), population.strange_sd)
    slope = slopes(seen.asked, population, log_cost, directions)
    certain = np.eye(slope.shape[1])
    if len(slope):
        certain = certain + slope.T @ np.linalg.solve(seen.noise(population), slope)
    far = slopes(asked, population, log_cost, directions)
    within = np.einsum("ij,ij->i", far, np.linalg.solve(certain, far.T).T)
    spread = _between(between, share)
    return float(np.sqrt(np.mean(within + spread) + population.noise_sd**2))


@dataclass(frozen=True, kw_only=True, eq=False)
class Belief:
    """What is expected of networks before they are timed: `covariance` of their log times
    (networks, networks), `shares` of their time by feature (networks, features), which of them
    were `measured` (networks,), and the standard deviation of log costs (features,)."""

    covariance: np.ndarray
    shares: np.ndarray
    measured: np.ndarray
    cost_sd: np.ndarray


def expected_covariance(
    networks: Sequence[KernelTable],
    population: Population,
    measured: Sequence[MeasuredNetwork] = (),
) -> Belief:
    """How sure the times of networks on a new target are, and how they depend on one another."""
    fitted = adapt(measured, population)
    directions = Directions.of(population)
    seen = evidence_of(measured, population, Start(weights=np.ones(len(population.names))))
    asked = Asked.of(networks, population)
    slope = slopes(asked, population, fitted.log_cost, directions)
    covariance = slope @ slope.T + population.strange_sd**2 * asked.unknown
    cost = directions.cost @ directions.cost.T
    if len(seen.log_ms):
        own = slopes(seen.asked, population, fitted.log_cost, directions)
        gain = np.linalg.solve(own @ own.T + seen.noise(population), own)
        covariance = covariance - slope @ own.T @ gain @ slope.T
        cost = cost - directions.cost @ own.T @ gain @ directions.cost.T
    # one network at two resolutions has one description but two amounts of work
    alike = likeness(asked.described, seen.asked.described) > 1.0 - STRANGE
    sizes = asked.work.sum(axis=1)[:, None] / np.maximum(seen.asked.work.sum(axis=1), 1e-300)
    measured_before: np.ndarray = np.any(alike & (np.abs(sizes - 1.0) < STRANGE), axis=1)
    return Belief(
        covariance=covariance,
        shares=shares_of(asked.work, fitted.log_cost),
        measured=measured_before,
        cost_sd=np.sqrt(np.maximum(np.diag(cost), 0.0)),
    )


def _own_anchors(asked: Asked) -> np.ndarray:
    """Measured networks that the population does not know; of too many, those far apart."""
    strange = np.diag(asked.unknown)
    own = np.flatnonzero(strange > STRANGE)
    if len(own) <= OWN_ANCHORS:
        return own
    left = strange.copy()
    kept: list[int] = []
    for _ in range(OWN_ANCHORS):
        best = int(np.argmax(left))
        kept.append(best)
        row = asked.unknown[best]
        left = np.minimum(left, strange - row**2 / max(strange[best], JITTER))
        left[kept] = -1.0
    return np.sort(np.array(kept))
