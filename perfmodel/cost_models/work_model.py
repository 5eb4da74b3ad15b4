"""One model of many targets from whole-network latencies alone.

A network takes the sum over features of work x cost. Every target has its own cost for every
feature, but costs are drawn together: what a unit of each work costs in general, what a precision
changes, how a piece of hardware with its threads departs from that, and what is left for the
target. Each departure is shrunk towards zero (a hierarchical ridge), the loss is Huber's on log
latency, and costs are exponentials, so no time can be negative. With whole networks only, this
borrowing is what tells the cost of a convolution from that of a pooling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from perfmodel.cost_models.departures import loadings
from perfmodel.cost_models.hierarchy import Fitted, Level, Observations, fit_levels
from perfmodel.cost_models.work_features import ALL_FEATURES, FEATURES, LIMITS
from perfmodel.errors import MeasurementError

CODES = ("target", "hardware", "precision")
"""First columns of the model's input: integers that say which rows share a departure."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkTimes:
    """Measured log latencies: of which target, of which network; arrays of one length."""

    target: np.ndarray
    network: np.ndarray
    log_ms: np.ndarray


def fit_costs(
    work: np.ndarray,
    seen: NetworkTimes,
    levels: Sequence[Level],
    *,
    noise: np.ndarray,
    huber_limit: float,
    max_iter: int,
) -> Fitted:
    """Log costs of every target; besides the levels each has a scale of its own, not shrunk.

    `work` has shape (networks, features); `noise` is the standard deviation of log latency by
    target.
    """
    targets = len(noise)
    own_scale = Level(
        index=np.arange(targets), loadings=np.ones((work.shape[1], 1)), sd=float("inf")
    )
    return fit_levels(
        Observations(
            place=seen.target,
            terms=work[seen.network],
            log_time=seen.log_ms,
            noise=noise[seen.target],
            weight=np.ones(len(seen.log_ms)),
        ),
        [own_scale, *levels],
        start=_start_scales(work, seen, targets)[:, None],
        huber_limit=huber_limit,
        max_iter=max_iter,
        limits=LIMITS,
    )


def relative_noise(log_cost: np.ndarray, work: np.ndarray, seen: NetworkTimes) -> np.ndarray:
    """How noisy each target is against the typical one, by its residuals, halfway shrunk to it.

    A throttled phone or a run under load must not teach the others as much as a steady board.
    """
    fitted = np.log(np.exp(log_cost) @ work.T)[seen.target, seen.network]
    squares = np.minimum(np.abs(fitted - seen.log_ms), 0.5) ** 2
    count = np.bincount(seen.target, minlength=len(log_cost))
    spread = np.sqrt(np.bincount(seen.target, squares, len(log_cost)) / np.maximum(count, 1))
    noise: np.ndarray = np.sqrt(np.maximum(spread, 0.01))
    return noise / np.median(noise)


def _start_scales(work: np.ndarray, seen: NetworkTimes, targets: int) -> np.ndarray:
    """Median of log latency over log of all work, by target."""
    ratio = seen.log_ms - np.log(work.sum(axis=1))[seen.network]
    return np.array([np.median(ratio[seen.target == t]) for t in range(targets)])


class JointEfficiencyModel(RegressorMixin, BaseEstimator):
    """Latency of networks on many targets, fitted at once.

    Parameters are standard deviations of log costs: `population_sd` and `population_shared_sd` of
    what each feature costs in general (own of the feature, shared by its group), `precision_sd` of
    what a precision changes, `hardware_sd` and `hardware_shared_sd` of a piece of hardware with its
    threads and framework, `device_sd` and `device_shared_sd` of a device whatever runs on it (only
    where `fit` is told the devices), `target_sd` of what is left; `noise_sd` of a measurement.
    `huber_limit` is in units of `noise_sd`. `noise_rounds` times the fit is repeated with each
    target weighted by its own residuals. Fixed costs depart `starts` times as far as others.
    `max_iter` bounds L-BFGS; stopping early shrinks as well.

    Input columns: `CODES` (integers), then work by feature in the order of `FEATURES` or of
    `ALL_FEATURES` (`work_predictor.work_matrix`, summed over the kernels). Output: ms.

    Attributes: `targets_` the target codes, `log_cost_` (targets, features), `population_`
    (features,) log costs of the average target, `covariance_` (features, features) of a target's
    departure from it, `scales_` (targets,).
    """

    def __init__(
        self,
        population_sd: float = 0.2,
        population_shared_sd: float = 0.0,
        precision_sd: float = 0.2,
        hardware_sd: float = 0.4,
        hardware_shared_sd: float = 1.0,
        target_sd: float = 0.2,
        device_sd: float = 0.2,
        device_shared_sd: float = 0.2,
        noise_sd: float = 0.1,
        huber_limit: float = 1.5,
        max_iter: int = 150,
        noise_rounds: int = 1,
        starts: float = 1.0,
    ) -> None:
        self.population_sd = population_sd
        self.population_shared_sd = population_shared_sd
        self.precision_sd = precision_sd
        self.hardware_sd = hardware_sd
        self.hardware_shared_sd = hardware_shared_sd
        self.target_sd = target_sd
        self.device_sd = device_sd
        self.device_shared_sd = device_shared_sd
        self.noise_sd = noise_sd
        self.huber_limit = huber_limit
        self.max_iter = max_iter
        self.noise_rounds = noise_rounds
        self.starts = starts

    def fit(
        self, X: np.ndarray, y: np.ndarray, device: np.ndarray | None = None
    ) -> JointEfficiencyModel:
        """Learn costs from rows of (codes, work) and latencies in ms, all > 0.

        `device` numbers the device of each row, so that its targets share a departure, whatever
        runs on it.
        """
        X = check_array(X, dtype=float)
        y = check_array(y, dtype=float, ensure_2d=False)
        check_consistent_length(X, y)
        self._check_width(X)
        if (y <= 0).any():
            raise MeasurementError("latencies must be > 0 ms")
        codes = X[:, : len(CODES)].astype(int)
        self.targets_, first, target = np.unique(
            codes[:, 0], return_index=True, return_inverse=True
        )
        work, network = np.unique(X[:, len(CODES) :], axis=0, return_inverse=True)
        device = None if device is None else device[first]
        levels = self._levels(codes[first], device, work.shape[1])
        seen = NetworkTimes(target=target, network=network.ravel(), log_ms=np.log(y))
        noise = np.full(len(self.targets_), self.noise_sd)
        options: dict[str, Any] = {"huber_limit": self.huber_limit, "max_iter": self.max_iter}
        fitted = fit_costs(work, seen, levels, noise=noise, **options)
        for _ in range(self.noise_rounds):
            noise = self.noise_sd * relative_noise(fitted.log_cost, work, seen)
            fitted = fit_costs(work, seen, levels, noise=noise, **options)
        self._keep(fitted, levels)
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Latencies in ms of rows whose target codes were fitted."""
        check_is_fitted(self)
        X = check_array(X, dtype=float)
        self._check_width(X)
        codes = X[:, 0].astype(int)
        place = np.searchsorted(self.targets_, codes)
        known = place < len(self.targets_)
        known[known] = self.targets_[place[known]] == codes[known]
        if not known.all():
            raise MeasurementError(f"target code {codes[np.argmin(known)]} was not fitted")
        latency: np.ndarray = (X[:, len(CODES) :] * np.exp(self.log_cost_[place])).sum(axis=1)
        return latency

    def _levels(self, codes: np.ndarray, device: np.ndarray | None, features: int) -> list[Level]:
        spread = partial(loadings, features=features, starts=self.starts)
        hardware = np.unique(codes[:, 1], return_inverse=True)[1]
        _, precision = np.unique(codes[:, 2], return_inverse=True)
        everything = np.zeros(len(codes), dtype=int)
        levels = [
            Level(index=everything, loadings=spread(self.population_sd, self.population_shared_sd)),
            Level(index=hardware, loadings=spread(self.hardware_sd, self.hardware_shared_sd)),
        ]
        if device is not None and len(np.unique(device)) < len(np.unique(hardware)):
            levels.append(
                Level(
                    index=np.unique(device, return_inverse=True)[1],
                    loadings=spread(self.device_sd, self.device_shared_sd),
                )
            )
        if precision.max() > 0:
            levels.append(
                Level(index=precision, loadings=spread(self.precision_sd, self.precision_sd))
            )
        if len(np.unique(hardware)) < len(hardware):
            levels.append(Level(index=np.arange(len(codes)), loadings=spread(self.target_sd, 0.0)))
        return levels

    def _keep(self, fitted: Fitted, levels: Sequence[Level]) -> None:
        self.log_cost_ = fitted.log_cost
        self.n_iter_ = fitted.iterations
        general = levels[0].loadings @ fitted.vectors[1][0]
        departure = fitted.log_cost - general
        self.scales_ = np.median(departure, axis=1)
        self.population_ = general
        spread = departure - self.scales_[:, None]
        prior = sum(level.loadings @ level.loadings.T for level in levels[1:])
        found = np.cov(spread.T) if len(spread) > 1 else prior
        self.covariance_ = 0.5 * (found + prior)

    @staticmethod
    def _check_width(X: np.ndarray) -> None:
        wanted = [len(CODES) + len(features) for features in (FEATURES, ALL_FEATURES)]
        if X.shape[1] not in wanted:
            raise MeasurementError(
                f"rows must have {' or '.join(map(str, wanted))} columns, got {X.shape[1]}"
            )
