"""Sensitivity and Pareto fronts against answers known by hand or by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.explore.pareto import pareto_front
from perfmodel.explore.sensitivity import sensitivity


def test_the_input_with_the_larger_slope_moves_the_answer_most() -> None:
    rng = np.random.default_rng(1)
    a, b, idle = rng.random((3, 4000))
    first, second, third = sensitivity({"a": a, "b": b, "idle": idle}, 3 * a - b)
    assert (first.path, second.path, third.path) == ("a", "b", "idle")
    # of the variance of 3a - b for equal uniform a and b, 9 parts in 10 are a's
    assert first.share == pytest.approx(0.9, abs=0.04)
    assert second.share == pytest.approx(0.1, abs=0.04)
    assert third.share == pytest.approx(0.0, abs=0.02)
    assert first.rank_correlation == pytest.approx(0.95, abs=0.03)
    assert (second.rank_correlation or 0.0) < -0.2


def test_words_have_a_share_but_no_direction() -> None:
    unit = np.array(["cpu", "gpu"] * 50, dtype=object)
    answer = np.where(unit == "cpu", 10.0, 5.0)
    (effect,) = sensitivity({"unit": unit}, answer)
    assert effect.share == pytest.approx(1.0)
    assert effect.rank_correlation is None
    assert (effect.low, effect.low_at, effect.high, effect.high_at) == (5.0, "gpu", 10.0, "cpu")


def test_a_full_grid_by_hand() -> None:
    # y = x + 10 z over x in {0, 1}, z in {0, 1}: ranks 1, 3, 2, 4; z explains 4 of 5
    x = np.array([0.0, 0.0, 1.0, 1.0])
    z = np.array([0.0, 1.0, 0.0, 1.0])
    first, second = sensitivity({"x": x, "z": z}, x + 10 * z)
    assert (first.path, second.path) == ("z", "x")
    # between 4, within (5 - 4) / (4 - 2): (4 - 0.5) / (5 + 0.5)
    assert first.share == pytest.approx(3.5 / 5.5)


def test_points_without_an_answer_are_left_out() -> None:
    x = np.arange(10.0)
    y = x.copy()
    y[3] = np.nan
    assert sensitivity({"x": x}, y)[0].rank_correlation == pytest.approx(1.0)
    assert sensitivity({"x": x}, np.full(10, np.nan)) == ()


@pytest.mark.parametrize("seed", range(5))
def test_the_front_equals_brute_force(seed: int) -> None:
    costs = np.random.default_rng(seed).integers(0, 6, (60, 3)).astype(float)
    better = [[bool((q <= p).all() and (q < p).any()) for q in costs] for p in costs]
    expected = {i for i in range(60) if not any(better[i])}
    assert set(pareto_front(costs).tolist()) == expected


def test_rows_with_an_unknown_figure_are_never_on_the_front() -> None:
    assert pareto_front(np.array([[1.0, np.nan], [2.0, 2.0]])).tolist() == [1]
