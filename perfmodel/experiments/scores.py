"""How good predictions are: one case, one set of scores, for every experiment and study.

Errors are relative, (predicted - measured) / measured. Rank correlation is Spearman's (1904),
ties by mean rank; cases of different groups are never ranked against each other.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from perfmodel.errors import MeasurementError

FEWEST_TO_RANK = 3
"""Two cases are always in one order or the other: a rank correlation of them says nothing."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One prediction and its measurement, in ms; [low_ms, high_ms] is the 90 % interval.

    Both ends are None where the prediction came without an interval. Cases are ranked among those
    of their `group` ("" is a group too).
    """

    model: str
    target: str
    predicted_ms: float
    measured_ms: float
    low_ms: float | None = None
    high_ms: float | None = None
    group: str = ""

    @property
    def error(self) -> float:
        """Relative error of the prediction, as a share of the measurement."""
        return (self.predicted_ms - self.measured_ms) / self.measured_ms

    @property
    def covered(self) -> bool | None:
        """Whether the measurement lies in the interval; None without one."""
        if self.low_ms is None or self.high_ms is None:
            return None
        return self.low_ms <= self.measured_ms <= self.high_ms

    def to_dict(self) -> dict[str, Any]:
        """Plain data with the keys of a case in every `validate --json`."""
        keys = ("model", "target", "predicted_ms", "low_ms", "high_ms", "measured_ms")
        return {key: getattr(self, key) for key in keys}


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Summary of cases; shares from 0 to 1, `mape` the mean and `median` the median |error|.

    `bias` is the median of the signed errors. `spearman` is the mean over groups, None where no
    group can be ranked; `coverage` the share inside their interval, None where none has one.
    """

    cases: int
    mape: float
    median: float
    bias: float
    within_5: float
    within_10: float
    within_15: float
    within_20: float
    coverage: float | None
    spearman: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def summary(self) -> dict[str, Any]:
        """The keys that every `validate --json` has."""
        keys = ("mape", "within_5", "within_10", "within_20", "spearman", "coverage")
        return {key: getattr(self, key) for key in keys}


def scores(cases: Sequence[Case]) -> Scores:
    """Scores of at least one case; raises `MeasurementError` for none."""
    with_interval = [c.covered for c in cases if c.covered is not None]
    return scores_of(
        [c.predicted_ms for c in cases],
        [c.measured_ms for c in cases],
        groups=[c.group for c in cases],
        coverage=float(np.mean(with_interval)) if with_interval else None,
    )


def scores_of(
    predicted: ArrayLike,
    measured: ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
    intervals: np.ndarray | None = None,
    coverage: float | None = None,
) -> Scores:
    """Scores of arrays of one length and unit; `intervals` has shape (cases, 2).

    `groups` labels the cases that are ranked together (default: all). Raises `MeasurementError`
    for no case, a prediction that is missing (no case is dropped silently), and a measurement that
    is no positive number.
    """
    seen = np.asarray(measured, float)
    error = relative_errors(predicted, seen)
    off = np.abs(error)
    if intervals is not None:
        inside = (intervals[:, 0] <= seen) & (seen <= intervals[:, 1])
        coverage = float(inside.mean())
    return Scores(
        cases=len(error),
        mape=float(off.mean()),
        median=float(np.median(off)),
        bias=float(np.median(error)),
        within_5=float((off <= 0.05).mean()),
        within_10=float((off <= 0.10).mean()),
        within_15=float((off <= 0.15).mean()),
        within_20=float((off <= 0.20).mean()),
        coverage=coverage,
        spearman=grouped_rank_correlation(
            predicted, seen, groups if groups is not None else [0] * len(error)
        ),
    )


def relative_errors(predicted: ArrayLike, measured: ArrayLike) -> np.ndarray:
    """(predicted - measured) / measured of each case; raises as `scores_of` does."""
    said, seen = np.asarray(predicted, float), np.asarray(measured, float)
    if not len(seen):
        raise MeasurementError("nothing was measured", "give a larger --budget")
    if not (np.isfinite(seen) & (seen > 0)).all():
        place = int(np.argmin(np.isfinite(seen) & (seen > 0)))
        raise MeasurementError(f"case {place + 1}: measured {seen[place]:g} is no positive time")
    if not np.isfinite(said).all():
        raise MeasurementError(f"case {int(np.argmin(np.isfinite(said))) + 1} has no prediction")
    found: np.ndarray = (said - seen) / seen
    return found


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float | None:
    """Spearman's rank correlation; None for fewer than three values or all of one rank."""
    from scipy.stats import rankdata

    if np.size(a) < FEWEST_TO_RANK:
        return None
    ranks = np.array([rankdata(a), rankdata(b)])
    if (ranks.std(axis=1) == 0).any():
        return None
    return float(np.corrcoef(ranks)[0, 1])


def grouped_rank_correlation(
    predicted: ArrayLike, measured: ArrayLike, groups: Sequence[Hashable]
) -> float | None:
    """Mean of Spearman's correlation over groups of cases; None where no group can be ranked."""
    said, seen = np.asarray(predicted, float), np.asarray(measured, float)
    members: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    found = [rank_correlation(said[rows], seen[rows]) for rows in members.values()]
    ranked = [value for value in found if value is not None]
    return float(np.mean(ranked)) if ranked else None


def median_error(predicted: ArrayLike, measured: ArrayLike) -> float | None:
    """Median |relative error| of a simple model on the cases that it can answer.

    It may answer NaN, for a case that it does not know; None where it knows no case.
    """
    said, seen = np.asarray(predicted, float), np.asarray(measured, float)
    known = np.isfinite(said)
    return (
        float(np.median(np.abs(relative_errors(said[known], seen[known])))) if any(known) else None
    )


def worst_first(cases: Sequence[Case], count: int) -> tuple[Case, ...]:
    """The `count` cases of the largest |error|, the largest first."""
    return tuple(sorted(cases, key=lambda c: -abs(c.error))[:count])


def case_text(case: Case, reasons: Mapping[str, str] | None = None) -> str:
    """A case in words, with the reason whose key is part of its name, where one is known."""
    text = (
        f"{case.model}: {case.predicted_ms:.3g} ms predicted, {case.measured_ms:.3g} ms measured "
        f"({100 * case.error:+.0f} %)"
    )
    why = next((told for key, told in (reasons or {}).items() if key in case.model), "")
    return f"{text}; {why}" if why else text


def ranking(correlation: float | None) -> str:
    """A rank correlation in words, "-" where there is none."""
    return "-" if correlation is None else f"{correlation:.3f}"
