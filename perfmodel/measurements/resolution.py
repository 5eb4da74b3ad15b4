"""How sure a measured time is: how finely it was written down, and how its runs differed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from perfmodel.measurements.table import MeasurementTable

FINEST_DECIMALS = 4
"""Times written with more decimals than this are taken as exact."""

_SAME = ("origin_file", "source", "device", "unit", "framework")
"""Rows that agree in these come from one instrument, which writes all with the same digits."""


def decimals(value_ms: float) -> int:
    """Digits after the point of a time as it was written: 0 for 20.0, 2 for 3.25."""
    text = f"{value_ms:.{FINEST_DECIMALS}f}".rstrip("0").rstrip(".")
    return len(text.partition(".")[2])


def resolutions_ms(table: MeasurementTable) -> np.ndarray:
    """Step of each row's latency in ms, 0 where it is fine or there is none; shape (rows,).

    Of rows of one source the one with most digits tells: 12, 15 and 20 are whole milliseconds,
    12, 15.5 and 20 tenths.
    """
    frame = table.frame
    times = frame["latency_ms"].to_numpy(float)
    groups = list(zip(*(frame[c].tolist() for c in _SAME), strict=True))
    most: dict[tuple[object, ...], int] = {}
    for group, time in zip(groups, times, strict=True):
        if math.isfinite(time):
            most[group] = max(most.get(group, 0), decimals(time))
    steps = [_step(most.get(group)) for group in groups]
    return np.where(np.isfinite(times), steps, 0.0)


def _step(digits: int | None) -> float:
    return 0.0 if digits is None or digits >= FINEST_DECIMALS else 10.0**-digits


SPREAD_SHARE = 0.3
"""Uncertainty of a time as a share of its runs' log spread.

In ncnn_e2e.csv the median miss of predictions grows from 3.5 % where the mean of the runs is within
1 % of the fastest to 7.6 % where it is 10 to 30 % above it."""

WIDEST_SPREAD = 1.0
"""Log spread at which it is cut: the runs had nothing to do with one another."""


def spread_variance(row: Mapping[str, Any]) -> float:
    """Variance of log latency that the spread of its runs tells of, 0 where the row has none.

    The spread is that from the fastest run to the mean, or from the mean or median to the 90th
    percentile, in log units.
    """
    low, mean, high = (float(row[c]) for c in ("min_ms", "mean_ms", "p90_ms"))
    middle = mean if mean > 0 else float(row["latency_ms"])
    ratios = [math.log(b / a) for a, b in ((low, middle), (middle, high)) if a > 0 and b > a]
    return (SPREAD_SHARE * min(max(ratios, default=0.0), WIDEST_SPREAD)) ** 2


def rounding_variance(step_ms: float, latency_ms: float) -> float:
    """Variance of log latency that rounding to steps adds: step^2 / 12, a uniform law's.

    A time that was rounded to 0 or below its own step is known to a factor of about two.
    """
    relative = step_ms / max(latency_ms, step_ms / 2, 1e-12)
    return relative**2 / 12.0
