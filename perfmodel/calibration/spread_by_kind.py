"""How far costs miss each kind of work, learned from networks that were left out."""

from __future__ import annotations

import numpy as np

from perfmodel.cost_models.width_by_kind import WidthByKind
from perfmodel.errors import MeasurementError

LEAST_LOG = 0.05
"""Standard deviation in log units of whatever a network does: two runs of one differ by as much."""

PRIOR_CASES = 3.0
"""Networks of one kind of work alone that the typical miss of all kinds counts as.

Widths learned without a family hold 89, 91, 87 and 89 % of its networks in the order of the pools
(CPU, mobile GPU, NPU, NVIDIA's), where one width for all held 88, 91, 85 and 87 %, and their half
is a factor of 1.53, 1.54, 2.04 and 1.45 beside 1.54, 1.70, 2.14 and 1.52; on TensorRT 1.6 beside
2.6, with 89 % beside 86. By shares of kinds alone it is 1.9 there, with 87 %."""

LARGEST_SD = 3.0
"""Of a kind that a few rows miss entirely."""

STEPS = 60
"""Multiplicative updates; the spreads settle to a percent within thirty."""


def spread_by_kind(at_risk: np.ndarray, misses: np.ndarray) -> WidthByKind:
    """The standard deviation of misses by kind of work, by maximum likelihood.

    `at_risk` are the networks' `risks` and `misses` (networks,) in log units; each is taken
    as normal with the variance of `WidthByKind.whole`. Raises `MeasurementError` without any.
    """
    if not len(misses):
        raise MeasurementError(
            "every target has networks of one family, so no error is known",
            "measure networks of another family",
        )
    squares, seen = np.square(at_risk), np.square(misses)
    typical = max(float(seen.mean()), LEAST_LOG**2)
    variance = np.full(squares.shape[1], typical)
    for _ in range(STEPS):
        whole = squares @ variance + LEAST_LOG**2
        # where the likelihood's slope in a kind's variance is nothing, these two are equal
        more = (squares / whole[:, None] ** 2).T @ seen + PRIOR_CASES * typical / variance**2
        less = (squares / whole[:, None]).sum(axis=0) + PRIOR_CASES / variance
        variance = np.clip(variance * np.sqrt(more / less), 1e-6, LARGEST_SD**2)
    return WidthByKind(log_by_risk=tuple(np.sqrt(variance).tolist()), least_log=LEAST_LOG)
