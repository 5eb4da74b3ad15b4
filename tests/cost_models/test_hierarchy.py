"""The solver: ridge by hand, agreement with linear algebra, robust loss, gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from perfmodel.cost_models.hierarchy import (
    Level,
    Limit,
    Observations,
    _Problem,
    add_terms,
    balanced_weights,
    fit_levels,
    huber,
    log_times,
    within_limits,
)
from perfmodel.errors import MeasurementError


def single(log_time: list[float], noise: float = 0.1) -> Observations:
    """Measurements of one unit of one term at one place: log time is the log cost itself."""
    count = len(log_time)
    return Observations(
        place=np.zeros(count, dtype=int),
        terms=np.ones((count, 1)),
        log_time=np.array(log_time),
        noise=np.full(count, noise),
        weight=np.ones(count),
    )


def one_level(sd: float) -> list[Level]:
    return [Level(index=np.zeros(1, dtype=int), loadings=np.ones((1, 1)), sd=sd)]


def solved(seen: Observations, levels: list[Level], limit: float = 10.0) -> np.ndarray:
    return fit_levels(seen, levels, start=np.zeros(1), huber_limit=limit, max_iter=500).log_cost


def test_huber_is_square_inside_and_linear_outside() -> None:
    loss, slope = huber(np.array([0.5, -3.0]), 1.5)
    # 0.5^2 / 2 = 0.125; 1.5 * (3 - 0.75) = 3.375
    assert loss == pytest.approx([0.125, 3.375])
    assert slope == pytest.approx([0.5, -1.5])


def test_a_departure_is_shrunk_by_its_prior_against_the_noise() -> None:
    # two measurements of 0.3, noise 0.1, prior 0.2: 0.3 x (2 / 0.01) / (2 / 0.01 + 1 / 0.04)
    found = solved(single([0.3, 0.3]), one_level(0.2))[0, 0]
    assert found == pytest.approx(0.3 * 200 / 225, rel=1e-5)


def test_a_free_level_is_not_shrunk() -> None:
    assert solved(single([5.0, 5.2]), one_level(float("inf")))[0, 0] == pytest.approx(5.1)


def test_a_start_is_where_departures_are_counted_from() -> None:
    fitted = fit_levels(
        single([1.3]), one_level(0.1), start=np.array([1.0]), huber_limit=10.0, max_iter=100
    )
    # half of the 0.3 between start and measurement, as prior and noise are alike
    assert fitted.log_cost[0, 0] == pytest.approx(1.15, rel=1e-5)
    assert fitted.vectors[0][0, 0] == pytest.approx(0.15, rel=1e-4)


def test_an_outlier_pulls_with_a_bounded_force() -> None:
    # three zeros pull with 3 x / 0.1^2, the outlier with its limit 1.5 / 0.1: x = 0.05
    found = solved(single([0.0, 0.0, 0.0, 100.0]), one_level(float("inf")), limit=1.5)
    assert found[0, 0] == pytest.approx(0.05, abs=1e-5)


def test_a_measurement_of_weight_three_counts_as_three() -> None:
    once = single([0.4, 0.1])
    heavy = replace(once, weight=np.array([3.0, 1.0]))
    thrice = solved(single([0.4, 0.4, 0.4, 0.1]), one_level(0.2))
    assert solved(heavy, one_level(0.2)) == pytest.approx(thrice, rel=1e-5)


def test_a_sum_of_two_kernels_is_one_measurement() -> None:
    # two units and six units in one time of 16: each unit costs 2
    seen = Observations(
        place=np.zeros(2, dtype=int),
        terms=np.array([[2.0], [6.0]]),
        log_time=np.log([16.0]),
        noise=np.array([0.1]),
        weight=np.ones(1),
        member=np.zeros(2, dtype=int),
    )
    assert np.exp(solved(seen, one_level(float("inf"))))[0, 0] == pytest.approx(2.0)


def test_two_levels_agree_with_the_normal_equations() -> None:
    """With one term a row, log time is linear in the departures: an ordinary ridge."""
    rng = np.random.default_rng(0)
    place = rng.integers(0, 6, 40)
    log_time, noise = rng.normal(0, 0.3, 40), rng.uniform(0.05, 0.2, 40)
    seen = Observations(
        place=place, terms=np.ones((40, 1)), log_time=log_time, noise=noise, weight=np.ones(40)
    )
    shared, one = np.array([0, 0, 0, 1, 1, 1]), np.ones((1, 1))
    levels = [
        Level(index=shared, loadings=one, sd=0.5),
        Level(index=np.arange(6), loadings=one, sd=0.2),
    ]
    design = np.hstack([np.eye(2)[shared[place]], np.eye(6)[place]]) / noise[:, None]
    ridge = np.diag([1 / 0.25] * 2 + [1 / 0.04] * 6)
    by_hand = np.linalg.solve(design.T @ design + ridge, design.T @ (log_time / noise))
    expected = by_hand[:2][shared] + by_hand[2:]
    assert solved(seen, levels, limit=100.0)[:, 0] == pytest.approx(expected, abs=1e-4)


def test_the_gradient_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(1)
    rows, places, terms = 30, 4, 3

    def longest(spent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The 2-norm of a row's terms."""
        norm = np.sqrt((spent**2).sum(axis=1))
        return norm, spent / norm[:, None]

    seen = Observations(
        place=rng.integers(0, places, rows),
        terms=rng.uniform(0.1, 2, (rows, terms)),
        log_time=rng.normal(0.5, 1.0, 10),
        noise=rng.uniform(0.1, 0.5, 10),
        weight=rng.uniform(0.5, 2, 10),
        member=np.arange(rows) % 10,
    )
    levels = [
        Level(index=np.zeros(places, dtype=int), loadings=np.eye(terms), sd=0.7),
        Level(index=np.array([0, 0, 1, 1]), loadings=rng.normal(0, 1, (terms, 2)), sd=0.3),
        Level(index=np.arange(places), loadings=np.ones((terms, 1)), sd=float("inf")),
    ]
    limits = [Limit(term=1, base=0, least=0.99, most=1.01), Limit(term=2, base=0, least=5, most=9)]
    for combine, kept in ((add_terms, []), (longest, []), (add_terms, limits)):
        problem = _Problem(seen, levels, rng.normal(0, 0.2, (places, terms)), 1.5, combine, kept)
        point = rng.normal(0, 0.3, problem.size)
        _, gradient = problem.loss(point)
        for i in range(problem.size):
            step = np.zeros(problem.size)
            step[i] = 1e-6
            change = (problem.loss(point + step)[0] - problem.loss(point - step)[0]) / 2e-6
            assert gradient[i] == pytest.approx(change, rel=1e-4, abs=1e-5)


def test_costs_beyond_a_limit_move_to_it_and_the_others_stay() -> None:
    limits = [Limit(term=1, base=0, least=0.5, most=4.0)]
    costs = np.log([[2.0, 16.0, 1.0], [2.0, 0.5, 1.0], [2.0, 3.0, 1.0]])
    expected = np.log([[2.0, 8.0, 1.0], [2.0, 1.0, 1.0], [2.0, 3.0, 1.0]])
    assert within_limits(costs, limits) == pytest.approx(expected)


def test_a_limited_fit_explains_by_the_base_what_the_limited_term_may_not() -> None:
    # one row of each term: 1 and 100 ms; the second may cost four times the first at most
    seen = Observations(
        place=np.zeros(2, dtype=int),
        terms=np.eye(2),
        log_time=np.log([1.0, 100.0]),
        noise=np.full(2, 0.1),
        weight=np.ones(2),
    )
    levels = [Level(index=np.zeros(1, dtype=int), loadings=np.eye(2), sd=float("inf"))]
    options: dict[str, Any] = {"start": np.zeros(1), "huber_limit": 1e3, "max_iter": 500}
    limits = [Limit(term=1, base=0, least=0.5, most=4.0)]
    free = fit_levels(seen, levels, **options).log_cost[0]
    kept = fit_levels(seen, levels, limits=limits, **options).log_cost[0]
    assert free == pytest.approx(np.log([1.0, 100.0]), abs=1e-3)
    assert kept[1] - kept[0] == pytest.approx(np.log(4.0))
    assert 1.0 < np.exp(kept[0]) < 25.0


def test_a_place_without_measurements_takes_what_is_shared() -> None:
    seen = replace(single([0.3] * 50), place=np.zeros(50, dtype=int))
    levels = [
        Level(index=np.zeros(2, dtype=int), loadings=np.ones((1, 1)), sd=1.0),
        Level(index=np.arange(2), loadings=np.ones((1, 1)), sd=0.1),
    ]
    costs = solved(seen, levels)
    # the shared level explains a hundred times as much of a departure as the own one
    assert costs[1, 0] == pytest.approx(0.3 * 1.0 / 1.01, abs=0.002)
    assert costs[0, 0] > costs[1, 0]


def test_balanced_weights_count_a_target_as_at_most_its_strength() -> None:
    weights = balanced_weights(np.array([0, 0, 0, 0, 1]), np.array([1.0, 1, 1, 5, 7]), 2.0)
    # four rows count as two, in the ratio 1 to 5; the only row of the other as one
    assert weights == pytest.approx([0.25, 0.25, 0.25, 1.25, 1.0])


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_times_are_named_by_row(bad: float) -> None:
    assert log_times(np.array([1.0, np.e])) == pytest.approx([0.0, 1.0])
    with pytest.raises(MeasurementError, match="row 2"):
        log_times(np.array([1.0, bad]))
