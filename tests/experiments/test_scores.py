"""Scores by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perfmodel.errors import MeasurementError
from perfmodel.experiments.scores import (
    Case,
    case_text,
    grouped_rank_correlation,
    median_error,
    rank_correlation,
    relative_errors,
    scores,
    scores_of,
    worst_first,
)


def case(predicted: float, measured: float, half_width: float = 0.1, group: str = "") -> Case:
    low, high = predicted * (1 - half_width), predicted * (1 + half_width)
    return Case(
        model="m",
        target="t",
        predicted_ms=predicted,
        low_ms=low,
        high_ms=high,
        measured_ms=measured,
        group=group,
    )


def bare(predicted: float, measured: float, model: str = "m") -> Case:
    return Case(model=model, target="t", predicted_ms=predicted, measured_ms=measured)


def test_scores_of_four_cases_by_hand() -> None:
    # errors: +4 %, -8 %, +12.5 %, -25 %
    found = scores([case(104, 100), case(92, 100), case(9, 8), case(3, 4)])
    assert found.cases == 4
    assert found.mape == pytest.approx((0.04 + 0.08 + 0.125 + 0.25) / 4)
    assert found.median == pytest.approx((0.08 + 0.125) / 2)
    assert found.bias == pytest.approx((0.04 - 0.08) / 2)
    assert (found.within_5, found.within_10, found.within_20) == (0.25, 0.5, 0.75)
    assert found.within_15 == 0.75
    # 92 +- 10 % reaches 101.2, 9 - 10 % is 8.1 > 8, 3 + 10 % is 3.3 < 4
    assert found.coverage == 0.5
    # ranks predicted 4, 3, 2, 1 against 3.5, 3.5, 2, 1: deviations from 2.5 give the
    # covariance 1.5 + 0.5 + 0.25 + 2.25 = 4.5 over sqrt(5 * 4.5)
    assert found.spearman == pytest.approx(4.5 / math.sqrt(5 * 4.5))


@pytest.mark.parametrize(
    ("limit", "share"), [("within_5", 0.05), ("within_10", 0.1), ("within_20", 0.2)]
)
def test_the_limit_itself_is_within_and_a_little_more_is_not(limit: str, share: float) -> None:
    at, beyond = bare(1000 * (1 - share), 1000), bare(1000 * (1 + share) + 0.1, 1000)
    assert getattr(scores([at]), limit) == 1
    assert getattr(scores([beyond]), limit) == 0


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="nothing was measured"):
        scores([])


@pytest.mark.parametrize("measured", [0.0, -1.0, math.nan, math.inf])
def test_a_measurement_that_is_no_time_is_an_error_that_names_the_case(measured: float) -> None:
    with pytest.raises(MeasurementError, match="case 2: measured"):
        scores_of([1.0, 2.0, 3.0], [1.0, measured, 3.0])


def test_a_missing_prediction_is_an_error_and_not_dropped() -> None:
    with pytest.raises(MeasurementError, match="case 3 has no prediction"):
        relative_errors([1.0, 2.0, math.nan], [1.0, 2.0, 3.0])


def test_an_interval_holds_its_ends() -> None:
    found = Case(
        model="m", target="t", predicted_ms=2, measured_ms=1, low_ms=1, high_ms=3, group=""
    )
    assert found.covered
    assert Case(**{**vars(found), "measured_ms": 3}).covered
    assert not Case(**{**vars(found), "measured_ms": 3.01}).covered


def test_coverage_counts_only_cases_with_an_interval() -> None:
    assert scores([bare(1, 1)]).coverage is None
    assert scores([bare(1, 1), case(1, 1), case(1, 2)]).coverage == 0.5


def test_arrays_and_cases_have_the_same_scores() -> None:
    rng = np.random.default_rng(0)
    measured = rng.uniform(1, 9, 20)
    predicted = measured * rng.uniform(0.8, 1.3, 20)
    intervals = np.column_stack([0.9 * predicted, 1.1 * predicted])
    labels = ["a", "b"] * 10
    by_case = scores([case(*p, group=g) for *p, g in zip(predicted, measured, labels, strict=True)])
    by_array = scores_of(predicted, measured, intervals=intervals, groups=labels)
    assert by_array.to_dict() == pytest.approx(by_case.to_dict())


def test_cases_of_two_groups_are_not_ranked_against_each_other() -> None:
    # each device ranks its networks exactly the wrong way round, though one is slower throughout
    predicted, measured = [3, 2, 1, 30, 20, 10], [1, 2, 3, 10, 20, 30]
    assert grouped_rank_correlation(predicted, measured, list("aaabbb")) == pytest.approx(-1)
    whole = rank_correlation(predicted, measured)
    assert whole is not None
    assert whole > 0.5


def test_a_group_too_small_or_of_one_value_is_not_ranked() -> None:
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([1, 2, 3], [4, 4, 4]) is None
    # a: three in order; b: two cannot be ranked and say nothing
    assert grouped_rank_correlation([1, 2, 3, 9, 1], [1, 2, 3, 1, 9], list("aaabb")) == 1
    assert grouped_rank_correlation([1, 2], [1, 2], ["a", "b"]) is None


def test_a_baseline_is_scored_on_the_cases_it_knows() -> None:
    # errors +10 %, unknown, -30 %
    assert median_error([11, math.nan, 7], [10, 10, 10]) == pytest.approx(0.2)
    assert median_error([math.nan], [10]) is None


def test_worst_cases_come_first_and_say_why_where_it_is_known() -> None:
    cases = [bare(11, 10, "near"), bare(4, 10, "lstm_text"), bare(13, 10, "wide")]
    first, second = worst_first(cases, 2)
    assert (first.model, second.model) == ("lstm_text", "wide")
    assert case_text(first, {"lstm": "runs step by step"}) == (
        "lstm_text: 4 ms predicted, 10 ms measured (-60 %); runs step by step"
    )
    assert case_text(second) == "wide: 13 ms predicted, 10 ms measured (+30 %)"


def test_a_case_as_plain_data_has_the_keys_of_the_contract() -> None:
    assert list(case(2, 1).to_dict()) == [
        *("model", "target", "predicted_ms", "low_ms", "high_ms", "measured_ms")
    ]
