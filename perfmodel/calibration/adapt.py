"""A new device from a handful of whole-network measurements, or from none.

The prior is what the known targets teach: the average cost of each kind of work and how targets
depart from it together. Measurements update it as in Kalman's filter, linearised around the current
estimate (Gauss-Newton), so that one measurement sets the scale, a few tell arithmetic from memory
and start costs, and there is no cliff between any two numbers of measurements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from perfmodel.cost_models.work_features import FEATURE_GROUPS, FEATURE_NAMES, FEATURE_PARTS
from perfmodel.cost_models.work_predictor import EfficiencyPredictor, Range, work_matrix
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable

MAX_STEPS = 30
ROBUST_LIMIT = 2.0
"""A measurement farther off than this many standard deviations loses weight (Huber)."""


@dataclass(frozen=True, eq=False)
class Prior:
    """What is believed of a target before it is measured, in log costs.

    `log_cost` (features,) and `covariance` (features, features) without the scale; `log_scale` and
    `scale_sd` of the overall speed; `noise_sd` of a measurement together with the model's misfit.
    `effects` holds, for networks that other targets have run, how much slower each is than its
    costs say (log units), `effect_covariance` how these misfits vary together between targets.
    A 90 % interval is `width_factor` standard deviations wide either way.
    """

    log_cost: np.ndarray
    covariance: np.ndarray
    log_scale: float
    scale_sd: float
    noise_sd: float
    precision: str = "fp32"
    ranges: Mapping[str, Range] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    effects: np.ndarray = field(default_factory=lambda: np.zeros(0))
    effect_covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    width_factor: float = 1.645

    @property
    def full_covariance(self) -> np.ndarray:
        """Covariance of log costs, the scale included."""
        return self.covariance + self.scale_sd**2

    def with_scale(self, log_scale: float, scale_sd: float) -> Prior:
        """The same prior with another belief about the overall speed (from a spec sheet)."""
        return replace(self, log_scale=log_scale, scale_sd=scale_sd)


@dataclass(frozen=True, eq=False)
class Measured:
    """One network measured on the new target; `name` links it to the prior's known networks.

    `work` is its total work by feature (`work_of`).
    """

    work: np.ndarray
    latency_ms: float
    name: str = ""


@dataclass(frozen=True, eq=False)
class Adaptation:
    """A target after its measurements: mean and covariance of log costs, and what it predicts.

    `surprise` is what the costs leave of the measurements, weighted by `precision_matrix`, the
    inverse of their covariance; `seen` the measured networks.
    """

    prior: Prior
    log_cost: np.ndarray
    covariance: np.ndarray
    surprise: np.ndarray
    precision_matrix: np.ndarray
    seen: tuple[str, ...]

    @property
    def predictor(self) -> EfficiencyPredictor:
        """The predictor to keep in a profile."""
        costs = tuple(float(v) for v in self.log_cost)
        return EfficiencyPredictor(
            log_cost=costs, precision=self.prior.precision, ranges=self.prior.ranges
        )

    def log_sd(self, work: np.ndarray, name: str = "") -> float:
        """Standard deviation of the log latency of a network with this work.

        A network that nobody has run may depart from its costs as much as the known ones do.
        """
        slope = _shares(work, self.log_cost)
        variance = slope @ self.covariance @ slope + self.prior.noise_sd**2
        return float(np.sqrt(variance + self._effect_variance(network_name(name))))

    def latency_ms(self, work: np.ndarray, name: str = "") -> float:
        """Latency of a network; a network that other targets have run carries their misfit."""
        log_ms = np.log(work @ np.exp(self.log_cost))
        return float(np.exp(log_ms + self._effect(network_name(name))))

    def interval_ms(self, work: np.ndarray, name: str = "") -> tuple[float, float]:
        """90 % interval of the latency, by the width that held on the known targets."""
        width = self.prior.width_factor * self.log_sd(work, name)
        middle = self.latency_ms(work, name)
        return middle * float(np.exp(-width)), middle * float(np.exp(width))

    def _linked(self, place: int) -> np.ndarray:
        """Covariance of one known network's misfit with those of the measured networks."""
        known, pairs = self.prior.known, self.prior.effect_covariance
        return np.array([pairs[place, known.index(s)] if s in known else 0.0 for s in self.seen])

    def _effect(self, name: str) -> float:
        if name not in self.prior.known:
            return 0.0
        place = self.prior.known.index(name)
        return float(self.prior.effects[place] + self._linked(place) @ self.surprise)

    def _effect_variance(self, name: str) -> float:
        pairs, effects = self.prior.effect_covariance, self.prior.effects
        if name in self.prior.known:
            place = self.prior.known.index(name)
            linked = self._linked(place)
            explained = linked @ self.precision_matrix @ linked if len(linked) else 0.0
            return float(max(pairs[place, place] - explained, 0.0))
        if not len(effects):
            return 0.0
        return float(np.mean(np.diag(pairs)) + np.mean(effects**2))


def network_name(model: str) -> str:
    """A model's name without folder and suffix, by which known networks are recognised."""
    return model.rsplit("/", 1)[-1].removesuffix(".param").lower()


def work_of(kernels: KernelTable, precision: str = "fp32") -> np.ndarray:
    """Total work of a network by feature, shape (features,)."""
    total: np.ndarray = work_matrix(kernels, precision).sum(axis=0)
    return total


def _shares(work: np.ndarray, log_cost: np.ndarray) -> np.ndarray:
    """Share of each feature in the time: the slope of log latency in log costs."""
    spent = work * np.exp(log_cost)
    return spent / spent.sum(axis=-1, keepdims=True)


def adapt(measured: Sequence[Measured], prior: Prior) -> Adaptation:
    """Update the prior by measurements (none is fine); raises `MeasurementError` on times <= 0."""
    if any(not m.latency_ms > 0 for m in measured):
        raise MeasurementError("latencies must be > 0 ms")
    start = prior.log_cost + prior.log_scale
    if not measured:
        return Adaptation(prior, start, prior.full_covariance, np.zeros(0), np.zeros((0, 0)), ())
    work = np.array([m.work for m in measured])
    names = tuple(network_name(m.name) for m in measured)
    target = np.log([m.latency_ms for m in measured]) - _known_effects(names, prior)
    noise = _misfit(names, prior)
    spread = prior.full_covariance
    cost, weight = start, np.ones(len(measured))
    for _ in range(MAX_STEPS):
        slope = _shares(work, cost)
        inflated = noise / np.sqrt(np.outer(weight, weight))
        total = slope @ spread @ slope.T + inflated
        gap = target - np.log(work @ np.exp(cost)) + slope @ (cost - start)
        solved = np.linalg.solve(total, gap)
        new = start + 0.7 * (spread @ slope.T @ solved) + 0.3 * (cost - start)
        left = target - np.log(work @ np.exp(new))
        weight = np.minimum(
            1.0, ROBUST_LIMIT * np.sqrt(np.diag(noise)) / np.maximum(abs(left), 1e-9)
        )
        if np.abs(new - cost).max() < 1e-5:
            cost = new
            break
        cost = new
    slope = _shares(work, cost)
    inflated = noise / np.sqrt(np.outer(weight, weight))
    total = slope @ spread @ slope.T + inflated
    gain = np.linalg.solve(total, slope @ spread).T
    left = target - np.log(work @ np.exp(cost))
    precision = np.linalg.inv(inflated)
    return Adaptation(
        prior, cost, spread - gain @ slope @ spread, precision @ left, precision, names
    )


def _known_effects(names: Sequence[str], prior: Prior) -> np.ndarray:
    return np.array([prior.effects[prior.known.index(n)] if n in prior.known else 0 for n in names])


def _misfit(names: Sequence[str], prior: Prior) -> np.ndarray:
    """Covariance of measurements around the costs: noise, and misfits that go together."""
    places = [prior.known.index(n) if n in prior.known else -1 for n in names]
    total = np.eye(len(names)) * prior.noise_sd**2
    for i, a in enumerate(places):
        for j, b in enumerate(places):
            if a >= 0 and b >= 0:
                total[i, j] += prior.effect_covariance[a, b]
    return total


@dataclass(frozen=True)
class Suggestion:
    """A network worth measuring next: what is left to learn falls to `remaining_sd`, and why."""

    name: str
    remaining_sd: float
    reason: str


def suggest(
    candidates: Mapping[str, np.ndarray],
    prior: Prior,
    count: int,
    measured: Sequence[Measured] = (),
) -> tuple[Suggestion, ...]:
    """The `count` networks whose measurement most lowers the mean variance over all candidates.

    `candidates` gives the work of each network by name. Greedy Bayesian design (I-optimal): the
    choice depends on the networks' work and on how the known targets differ, not on the latencies
    that will be found.
    """
    adapted = adapt(measured, prior)
    names = list(candidates)
    slopes = np.array([_shares(candidates[n], adapted.log_cost) for n in names])
    spread = adapted.covariance
    left = [n for n in names if network_name(n) not in adapted.seen]
    chosen: list[Suggestion] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda n: _gain(slopes, spread, names.index(n), prior.noise_sd))
        slope = slopes[names.index(best)]
        reason = _reason(slope, spread)
        direction = spread @ slope
        spread = spread - np.outer(direction, direction) / (slope @ direction + prior.noise_sd**2)
        remaining = float(np.sqrt(np.mean(np.einsum("ij,jk,ik->i", slopes, spread, slopes))))
        chosen.append(Suggestion(best, remaining, reason))
        left.remove(best)
    return tuple(chosen)


def _gain(slopes: np.ndarray, spread: np.ndarray, place: int, noise_sd: float) -> float:
    """Fall of the mean variance over the candidates if this one is measured."""
    shared = slopes @ spread @ slopes[place]
    return float(np.mean(shared**2) / (shared[place] + noise_sd**2))


_GROUP_WORDS = {
    "product": "matrix products",
    "weights": "streaming weights",
    "start": "starting kernels",
    "compute": "other arithmetic",
    "memory": "moving activations",
    "overhead": "fixed costs",
}


def _reason(slope: np.ndarray, spread: np.ndarray) -> str:
    """What the network spends its time on, and which of it is least known so far."""
    labels = [g or p for g, p in zip(FEATURE_GROUPS, FEATURE_PARTS, strict=True)]
    shares = {w: float(slope[[x == w for x in labels]].sum()) for w in dict.fromkeys(labels)}
    top = max(shares, key=lambda w: shares[w])
    unknown = slope * np.sqrt(np.diag(spread))
    feature = FEATURE_NAMES[int(np.argmax(unknown))].replace("_", " ")
    return (
        f"{100 * shares[top]:.0f} % of its time goes to {_GROUP_WORDS[top]}; "
        f"it tells most about {feature}"
    )
