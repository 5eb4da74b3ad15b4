"""How good predictions are: error, share within limits, rank correlation, interval coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.errors import MeasurementError


@dataclass(frozen=True)
class Case:
    """One prediction and its measurement, in ms; [low_ms, high_ms] is the 90 % interval."""

    model: str
    target: str
    predicted_ms: float
    low_ms: float
    high_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """Relative error of the prediction, as a share of the measurement."""
        return self.predicted_ms / self.measured_ms - 1

    @property
    def covered(self) -> bool:
        """Whether the measurement lies in the interval."""
        return self.low_ms <= self.measured_ms <= self.high_ms


@dataclass(frozen=True)
class Scores:
    """Summary of cases; shares from 0 to 1, `bias` the median error, `spearman` None below 3."""

    cases: int
    mape: float
    median: float
    bias: float
    within_5: float
    within_10: float
    within_15: float
    within_20: float
    coverage: float
    spearman: float | None


def scores(cases: Sequence[Case]) -> Scores:
    """Scores of at least one case; raises `MeasurementError` for none."""
    if not cases:
        raise MeasurementError("nothing was measured", "give a larger --budget")
    error = np.array([c.error for c in cases])
    off = np.abs(error)
    return Scores(
        len(cases),
        float(off.mean()),
        float(np.median(off)),
        float(np.median(error)),
        float((off <= 0.05).mean()),
        float((off <= 0.10).mean()),
        float((off <= 0.15).mean()),
        float((off <= 0.20).mean()),
        float(np.mean([c.covered for c in cases])),
        _spearman([c.predicted_ms for c in cases], [c.measured_ms for c in cases]),
    )


def _spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    from scipy.stats import spearmanr

    if len(a) < 3 or len(set(a)) < 2 or len(set(b)) < 2:
        return None
    return float(spearmanr(a, b).statistic)
