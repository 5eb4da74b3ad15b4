"""Scores by hand."""

from __future__ import annotations

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.experiments.scores import Case, scores


def case(predicted: float, measured: float, half_width: float = 0.1) -> Case:
    low, high = predicted * (1 - half_width), predicted * (1 + half_width)
    return Case("m", "t", predicted, low, high, measured)


def test_scores_of_four_cases_by_hand() -> None:
    # errors: +4 %, -8 %, +12.5 %, -25 %
    found = scores([case(104, 100), case(92, 100), case(9, 8), case(3, 4)])
    assert found.mape == pytest.approx((0.04 + 0.08 + 0.125 + 0.25) / 4)
    assert found.median == pytest.approx((0.08 + 0.125) / 2)
    assert (found.within_5, found.within_10, found.within_20) == (0.25, 0.5, 0.75)
    # 92 +- 10 % reaches 101.2, 9 - 10 % is 8.1 > 8, 3 + 10 % is 3.3 < 4
    assert found.coverage == 0.5
    # ranks predicted 4, 3, 2, 1 against 3.5, 3.5, 2, 1: 1 - small
    assert found.spearman == pytest.approx(0.9487, abs=1e-4)


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="nothing was measured"):
        scores([])
