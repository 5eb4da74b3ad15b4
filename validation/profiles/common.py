"""What the builders of shipped profiles share: a target with its device, intervals, errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from perfmodel.devices.profile import Fact, FitError, Interval, TargetProfile

COVERAGE = 0.9


@dataclass(frozen=True)
class DeviceInfo:
    """What is known of a device beside its targets; empty where the source does not say."""

    device: str
    title: str
    kind: str
    soc: str = ""
    year: int | None = None
    hardware: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True)
class BuiltTarget:
    """One fitted target and the device it belongs to; lower `rank` comes first in the profile."""

    info: DeviceInfo
    profile: TargetProfile
    rank: tuple[int, ...] = (0,)


def fit_error(experiment: str, log_ratio: np.ndarray) -> FitError:
    """Out-of-sample error from log(predicted / measured) of the left-out cases."""
    error = np.abs(np.expm1(log_ratio))
    return FitError(
        experiment,
        len(error),
        round(float(np.median(error)), 4),
        round(float(error.mean()), 4),
        round(float((error <= 0.2).mean()), 4),
    )


def conformal_interval(
    own: np.ndarray, pool: np.ndarray, *, weight: float = 10.0, novelty_slope: float = 1.0
) -> Interval:
    """Interval from left-out log(measured / predicted) of a target and of its like.

    The two-sided (1 - coverage) quantile of the pool is scaled by the target's own spread, shrunk
    to the pool's as if the pool counted `weight` cases of it.
    """
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(pool, [tail, 1 - tail])
    spread = np.median(np.abs(pool))
    mine = np.median(np.abs(own)) if len(own) else spread
    scale = (len(own) * mine + weight * spread) / ((len(own) + weight) * max(spread, 1e-9))
    return Interval(
        COVERAGE,
        round(float(max(-low, 0.01) * scale), 4),
        round(float(max(high, 0.01) * scale), 4),
        novelty_slope,
    )
