"""A new NPU target from a few networks measured on it, and what known targets took of them.

It is a mixture of the known targets of its precision, each scaled to the measurements and weighed
by how evenly it then explains them: chips of one family differ little but in speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.calibration.guesses import weighted_median
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.npu import PRECISIONS, NpuPopulation, recognised
from perfmodel.cost_models.hierarchy import log_times
from perfmodel.cost_models.likeness import descriptions, interpolation
from perfmodel.cost_models.network_correction import LARGEST_LOG
from perfmodel.cost_models.npu_predictor import network_work
from perfmodel.errors import MeasurementError

EVEN_SD, EVEN_CASES = 0.08, 3.0
"""How evenly a known target of another chip explains a new one's times, in log units, and how many
measurements that is worth: the median target left out of AI Hub's (aihub.csv.gz)."""

EVIDENCE = 0.5
"""Share of a measurement's evidence that counts: what networks take on two chips goes together.
Chips of AI Hub left out are answered as well from 0.3 to 1."""

FEW = 3
"""Measurements from which on the mean of the known targets is the better answer, by chips of AI Hub
left out; before, their median is, which a target of another generation does not move."""

SPEED_SD, SPEED_SD_OF_FEW = 0.25, 0.4
"""How much faster or slower known targets may be before they count less, in log units: a chip of
about the same speed is most often one of the same generation. A few networks tell the speed itself
less well."""

FILLED_WEIGHT = 0.05
"""What a time counts that is filled in where a known target was not measured."""

REST_SD, OWN_SD, REST_SHARE, LARGEST_REST = 0.06, 0.02, 0.6, 0.4
"""What the measurements miss by is passed on to networks that differ between known targets as the
measured ones do: log spread of a single miss and of a network by itself, share that is passed on,
and the largest miss. 10 measured networks then miss by 4.9 % where they did by 5.2 (AI Hub)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuAdaptation:
    """A new target: its costs and times of the population's networks, and whom it is like.

    `left_out` holds log(measured / predicted) of each measurement had it not been made.
    """

    log_cost: np.ndarray
    log_ms: np.ndarray
    weights: np.ndarray
    left_out: np.ndarray


def adapt_npu(
    population: NpuPopulation,
    measured: Sequence[MeasuredNetwork],
    precision: str,
    runtime: str = "",
) -> NpuAdaptation:
    """A new target of `precision` from measurements of it; raises `MeasurementError`.

    Targets of the same runtime count where there are any. At least one measurement is needed.
    """
    if not measured:
        raise MeasurementError("no network was measured", "measure one, or give the chip's sheet")
    own = log_times(np.array([m.latency_ms for m in measured]))
    chosen = comparable(population, precision, runtime)
    known = _known_times(population, measured, chosen, precision)
    count = len(population.networks)
    told = count + np.arange(len(own))
    offset, weights = _weighed(own - known.log_ms[:, told])
    log_ms = _answers(known, own, told)[:count]
    for time, network in zip(own, measured, strict=True):
        log_ms[recognised(population, precision, network)] = time
    left = np.zeros(len(own))
    for i in range(len(own) if len(own) > 1 else 0):
        answer = _answers(known, np.delete(own, i), np.delete(told, i))
        left[i] = own[i] - answer[told[i]]
    everyone = np.zeros(len(population.names))
    everyone[chosen] = weights
    return NpuAdaptation(
        log_cost=np.average(population.log_cost[chosen] + offset[:, None], axis=0, weights=weights),
        log_ms=log_ms,
        weights=everyone,
        left_out=left,
    )


def comparable(population: NpuPopulation, precision: str, runtime: str) -> np.ndarray:
    """Known targets to compare with: of the precision, and of the runtime if there are any."""
    same = np.array([p.precision == precision for p in population.places])
    if not same.any():
        raise MeasurementError(
            f"no known NPU target of precision {precision}", f"known: {', '.join(PRECISIONS)}"
        )
    also = same & np.array([p.runtime == runtime for p in population.places])
    return np.flatnonzero(also if also.any() else same)


@dataclass(frozen=True, kw_only=True, eq=False)
class _KnownTimes:
    """Log times on known targets, shape (targets, networks + measured), and which are measured.

    The networks are those of the population, then those that were measured on the new target.
    """

    log_ms: np.ndarray
    firm: np.ndarray


def _known_times(
    population: NpuPopulation,
    measured: Sequence[MeasuredNetwork],
    chosen: np.ndarray,
    precision: str,
) -> _KnownTimes:
    weights, _ = interpolation(descriptions([m.kernels for m in measured]), population.anchors)
    work = np.array([network_work(m.kernels, precision) for m in measured])
    costs = np.exp(population.log_cost[chosen])
    misfit = population.log_ms[chosen] - np.log(costs @ population.work_ran[precision].T)
    times = np.log(costs @ work.T) + np.clip(misfit @ weights.T, -LARGEST_LOG, LARGEST_LOG)
    firm = np.zeros(times.shape, dtype=bool)
    for i, network in enumerate(measured):
        same = recognised(population, precision, network)
        if same.any():
            times[:, i] = population.log_ms[chosen, same.argmax()]
            firm[:, i] = population.measured[chosen, same.argmax()]
    return _KnownTimes(
        log_ms=np.hstack([population.log_ms[chosen], times]),
        firm=np.hstack([population.measured[chosen], firm]),
    )


def answers_of(
    log_ms: np.ndarray, firm: np.ndarray, own: np.ndarray, told: np.ndarray
) -> np.ndarray:
    """Log times of a new target by `own`, those of the networks in the columns `told` of `log_ms`.

    `log_ms` (targets, networks) are those of known targets, `firm` tells which were measured.
    """
    return _answers(_KnownTimes(log_ms=log_ms, firm=firm), own, told)


def _answers(known: _KnownTimes, own: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Log times of a new target by `own`, those of the networks in the columns `told`.

    Every known target answers as it is scaled to the measurements; what these still miss by is
    passed on to networks that go with them from target to target (Gaussian process, whose
    covariance is that of the known targets).
    """
    offset, weights = _weighed(own - known.log_ms[:, told])
    said = known.log_ms + offset[:, None]
    counts = weights[:, None] * np.where(known.firm, 1.0, FILLED_WEIGHT)
    if len(own) < FEW:
        answer = weighted_median(said, counts)
    else:
        answer = (counts * said).sum(axis=0) / counts.sum(axis=0)
    if len(own) < 2:
        return answer
    apart = known.log_ms - np.median(known.log_ms, axis=0)
    apart = np.clip(apart - np.median(apart, axis=1, keepdims=True), -LARGEST_LOG, LARGEST_LOG)
    together = apart.T @ apart / len(apart) + OWN_SD**2 * np.eye(apart.shape[1])
    rest = np.clip(own - answer[told], -LARGEST_REST, LARGEST_REST)
    among = together[np.ix_(told, told)] + REST_SD**2 * np.eye(len(own))
    passed_on = together[:, told] @ np.linalg.solve(among, rest - np.median(rest))
    return np.asarray(answer + REST_SHARE * passed_on)


def _weighed(gap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale of each known target (log) and its weight, from log gaps (targets, measured)."""
    offset = np.median(gap, axis=1)
    rest = np.minimum(np.abs(gap - offset[:, None]), 5 * EVEN_SD) ** 2
    cases = EVIDENCE * (gap.shape[1] - 1 + EVEN_CASES)
    spread = rest.sum(axis=1) + EVEN_CASES * EVEN_SD**2
    speed = SPEED_SD_OF_FEW if gap.shape[1] < FEW else SPEED_SD
    log_weight = -0.5 * cases * np.log(spread) - 0.5 * (offset / speed) ** 2
    weights = np.exp(log_weight - log_weight.max())
    return offset, weights / weights.sum()
