"""Several measurements of one network on one target: one time of them, where they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perfmodel.errors import MeasurementError

PICKS = ("min", "median", "newest")
"""Who decides where measurements of one network disagree; newest is the last one given."""

MOST_APART = 1.3
"""Ratio from which two measurements of a network are no repetitions of one another, if their own
spreads do not explain it. Of 429 networks that ncnn_e2e.csv has several times for one target, by
builds that are years apart, 76 % stay within it."""

Row = Mapping[str, Any]


def one_time(rows: Sequence[Row], pick: str, name: str, target: str) -> float:
    """The time in ms of a network's rows, which name where they were read.

    Without a `pick` it is their median, and MeasurementError where they disagree.
    """
    times = [float(row["latency_ms"]) for row in rows]
    if pick == "min":
        return min(times)
    if pick == "newest":
        return times[-1]
    if not pick:
        refuse_disagreement(rows, name, target)
    return float(np.median(times))


def refuse_disagreement(rows: Sequence[Row], name: str, target: str) -> None:
    """Raise MeasurementError with both places where rows lie further apart than they may."""
    fast = min(rows, key=lambda row: float(row["latency_ms"]))
    slow = max(rows, key=lambda row: float(row["latency_ms"]))
    low, high = float(fast["latency_ms"]), float(slow["latency_ms"])
    if high <= MOST_APART * low or _spread(slow)[0] <= _spread(fast)[1]:
        return
    raise MeasurementError(
        f"{name} on {target} takes {low:g} ms in {_place(fast)} and {high:g} ms in "
        f"{_place(slow)}, {high / low:.3g} times as much",
        "leave the wrong one out, or decide with --pick min, median or newest",
    )


def _spread(row: Row) -> tuple[float, float]:
    """The fastest and the slowest run of a row; its time where it does not tell."""
    time = float(row["latency_ms"])
    stated = [float(row[name]) for name in ("min_ms", "mean_ms", "p90_ms", "max_ms")]
    known = [time, *(value for value in stated if value > 0)]
    return min(known), max(known)


def _place(row: Row) -> str:
    return f"{row['origin_file']}: line {row['origin_line']}"
