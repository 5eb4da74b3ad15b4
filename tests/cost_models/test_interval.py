"""Intervals and errors: hand arithmetic, and coverage of simulated exchangeable cases."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.cost_models.interval import (
    FitError,
    Interval,
    beyond_novelty,
    borrowed_interval,
    bounds_by_kind,
    bounds_of_units,
    conformal_bounds,
    conformal_interval,
    conformal_quantile,
    expected_error,
    expected_interval,
    fit_error,
    independent_cases,
    ratio_bounds,
    share_to_hold,
    shrunk_spread,
    spreads_by_group,
    times_as_far,
    widths_by_group,
)
from perfmodel.errors import MeasurementError


def test_an_interval_is_a_factor_either_way_and_wider_where_the_network_is_new() -> None:
    interval = Interval(0.9, np.log(2), np.log(3), novelty_slope=0.5)
    assert interval.around(10.0) == pytest.approx((5.0, 30.0))
    # novelty 2 widens both sides by 0.5 x 2 = 1 log unit
    assert interval.around(10.0, 2.0) == pytest.approx((5.0 / np.e, 30.0 * np.e))


@pytest.mark.parametrize(
    ("cases", "coverage", "rank"),
    [
        (9, 0.9, 9),  # ceil(10 x 0.9) = 9
        (19, 0.9, 18),  # ceil(20 x 0.9) = 18
        (20, 0.9, 19),  # ceil(21 x 0.9) = ceil(18.9) = 19
        (5, 0.9, 5),  # ceil(6 x 0.9) = 6: there are only five
        (39, 0.95, 38),  # ceil(40 x 0.95) = 38, though 40 x 0.95 is not exact in binary
        (19, 0.95, 19),
        (199, 0.95, 190),
    ],
)
def test_the_conformal_quantile_has_the_finite_sample_rank(
    cases: int, coverage: float, rank: int
) -> None:
    misses = np.random.default_rng(0).permutation(np.arange(1.0, cases + 1))
    assert conformal_quantile(misses, coverage) == rank


def test_bounds_leave_one_of_twenty_out_on_each_side_of_39_cases() -> None:
    # ranks floor(40 x 0.05) = 2 from either end of -19, ..., 19
    assert conformal_bounds(np.arange(-19.0, 20.0)) == (-18.0, 18.0)
    low, high = conformal_bounds(np.arange(0.0, 39.0))
    assert (low, high) == (1.0, 37.0)


def test_a_side_that_no_case_reached_has_the_least_width() -> None:
    interval = conformal_interval(np.arange(1.0, 40.0) / 10, least=0.05, novelty_slope=0.25)
    # every case took longer than predicted: 0.2 at rank 2 is above zero, 3.8 at rank 38
    assert (interval.low_log, interval.high_log) == (0.05, 3.8)
    assert (interval.coverage, interval.novelty_slope) == (0.9, 0.25)


@pytest.mark.parametrize("count", [19, 39, 100])
def test_new_exchangeable_cases_are_covered_at_the_stated_rate(count: int) -> None:
    rng = np.random.default_rng(count)
    one_sided, two_sided = [], []
    for _ in range(4000):
        seen, new = rng.standard_t(3, count), rng.standard_t(3)
        one_sided.append(abs(new) <= conformal_quantile(np.abs(seen)))
        low, high = conformal_bounds(seen)
        two_sided.append(low <= new <= high)
    # the exact rates are rank / (n + 1), at least 0.9 and at most 1 / (n + 1) more on each side
    for covered in (one_sided, two_sided):
        assert 0.9 - 0.015 <= np.mean(covered) <= 0.9 + 2 / (count + 1) + 0.015


def test_a_few_cases_move_the_assumed_spread_by_their_share() -> None:
    # ten cases of size 0.4 weigh as much as the assumed 0.1: the geometric mean is 0.2
    assert shrunk_spread(np.array([0.4, -0.4] * 5), 0.1) == pytest.approx(0.2)
    # five of them a third: 0.1 x 4^(1/3)
    assert shrunk_spread(np.full(5, 0.4), 0.1) == pytest.approx(0.1 * 4 ** (1 / 3))
    assert shrunk_spread(np.zeros(0), 0.1) == 0.1
    # cases that agree exactly show no spread below a hundredth at 90 %: 0.01 x 0.6745 / 1.645
    assert shrunk_spread(np.zeros(10), 0.0041) == pytest.approx(0.0041, abs=1e-5)


def test_cases_stray_as_far_as_their_middle_and_their_tails_say() -> None:
    normal = np.random.default_rng(1).normal(0, 1, 100_000)
    assert times_as_far(normal) == pytest.approx(1.0, abs=0.01)
    assert times_as_far(-3 * normal) == pytest.approx(3.0, abs=0.03)
    # ten cases against ten: of 0.6745 as the middle and 4 x 1.645 as the tail the root's root
    assert times_as_far(np.array([0.6745] * 9 + [-4 * 1.645])) == pytest.approx(4**0.25)
    assert times_as_far(np.zeros(0)) == 1.0
    # cases that agree exactly are as sure as can be shown
    assert times_as_far(np.zeros(10)) == pytest.approx((0.01 / 1.645) ** 0.5)


def test_a_group_with_few_cases_takes_the_spread_of_all() -> None:
    deviation = np.concatenate([np.full(100, 0.1), [0.4]])
    group = np.concatenate([np.zeros(100, dtype=int), [1]])
    spreads = spreads_by_group(deviation, group, 3)
    assert spreads[[0, 2]] == pytest.approx(0.1)
    # one case of eleven: 0.1 x 4^(1/11)
    assert spreads[1] == pytest.approx(0.1 * 4 ** (1 / 11))


def test_noisy_groups_are_wider_and_all_are_covered() -> None:
    rng, covered = np.random.default_rng(3), []
    group = np.repeat(np.arange(20), 40)
    sd = np.where(np.arange(20) % 2, 0.2, 0.1)
    for _ in range(40):
        widths = widths_by_group(rng.normal(0, sd[group]), group, 20)
        covered.append(np.abs(rng.normal(0, sd[group])) <= widths[group])
        assert widths[1::2].mean() > 1.3 * widths[::2].mean()
    # the spreads come from the same cases, which costs a little coverage
    assert np.mean(covered) == pytest.approx(0.895, abs=0.01)


def test_without_cases_the_interval_is_the_expected_one() -> None:
    assert expected_interval(np.zeros(0), 0.7, 0.5) == Interval(0.9, 0.7, 0.7, 0.5)
    assert expected_interval(np.zeros(0), 99.0).high_log == 15.0


def test_many_cases_make_the_interval_their_own_90_percent() -> None:
    cases = np.random.default_rng(0).normal(0, 0.1, 100_000)
    interval = expected_interval(cases, 0.7)
    # 1.645 standard deviations of 0.1
    assert interval.low_log == interval.high_log == pytest.approx(0.1645, rel=0.02)
    # ten cases: halfway in log units between 0.7 and 1.645 x 0.1 / 0.6745
    ten = expected_interval(np.full(10, 0.1), 0.7)
    assert ten.high_log == pytest.approx(np.sqrt(0.7 * 0.1645 / 0.6745), abs=1e-4)


def test_a_borrowed_interval_keeps_the_pools_skew_at_the_targets_size() -> None:
    pool = np.concatenate([np.linspace(-0.1, 0, 20), np.linspace(0.01, 0.4, 19)])
    low, high = conformal_bounds(pool)
    alone = borrowed_interval(np.zeros(0), pool, novelty_slope=0.5)
    assert (alone.low_log, alone.high_log) == (round(-low, 4), round(high, 4))
    assert alone.novelty_slope == 0.5
    # a target whose ten misses are four times the pool's typical one is twice as wide
    wide = borrowed_interval(np.full(10, 4 * np.median(np.abs(pool))), pool)
    assert wide.high_log == pytest.approx(2 * high, abs=1e-3)
    assert wide.low_log == pytest.approx(-2 * low, abs=1e-3)


def test_of_many_own_cases_the_own_tails_count_as_much_as_the_pools() -> None:
    """A pool one in five of whose cases strays far, a target that none does."""
    pool = np.concatenate([np.linspace(-0.1, 0.1, 80), np.linspace(-2, 2, 20)])
    own = np.linspace(-0.1, 0.1, 119)
    low, high = conformal_bounds(pool)
    mine = conformal_bounds(own)[1]
    scale = np.median(np.abs(own)) / np.median(np.abs(pool))
    made = borrowed_interval(own, pool)
    # 119 of its own against ten assumed for the size, and 100 of them against 100 for the tails
    sized = scale ** (119 / 129)
    assert made.high_log == pytest.approx(np.sqrt(high * sized * mine), rel=1e-3)
    assert made.low_log == pytest.approx(np.sqrt(-low * sized * mine), rel=1e-3)
    assert mine < made.high_log < high


def test_of_cases_that_are_worth_few_a_larger_share_is_held() -> None:
    unit = np.repeat(np.arange(20), 10)
    together = np.where(unit < 2, 1.0, 0.1) + 1e-6 * np.arange(200)
    # twenty units: 0.9 x 21 / 20, of which the rank of 200 cases has 201 / 200 already
    assert independent_cases(together, unit) == pytest.approx(20)
    assert share_to_hold(together, unit) == pytest.approx(0.945 / 1.005)
    apart = np.where(np.arange(200) % 10 == 0, 1.0, 0.1) + 1e-6 * np.arange(200)
    assert share_to_hold(apart, unit) == pytest.approx(0.9)
    assert share_to_hold(together, np.zeros(200)) == 1.0
    with pytest.raises(MeasurementError, match="no case"):
        share_to_hold(np.zeros(0), np.zeros(0))


def test_cases_that_err_together_are_worth_as_many_as_there_are_units() -> None:
    unit = np.repeat(np.arange(10), 20)
    together = np.where(unit == 3, 1.0, 0.1) + 1e-6 * np.arange(200)
    # one unit of ten lies beyond: 18 more than its share, the others 2 fewer each,
    # 18^2 + 9 x 2^2 = 360 is 20 times 200 x 0.1 x 0.9
    assert independent_cases(together, unit) == pytest.approx(10)
    spread = np.where(np.arange(200) % 10 == 0, -1.0, 0.1) + 1e-6 * np.arange(200)
    assert independent_cases(spread, unit) == 200
    # where no case lies beyond the others nothing tells that they are more than their units
    assert independent_cases(np.full(200, 0.1), unit) == 10
    with pytest.raises(MeasurementError, match="no case"):
        independent_cases(np.zeros(0), np.zeros(0))


def test_new_units_are_covered_where_the_cases_of_a_unit_err_alike() -> None:
    rng, covered = np.random.default_rng(0), []
    for _ in range(300):
        seen = np.repeat(rng.normal(0, 1, 15), 30) + rng.normal(0, 0.1, 450)
        held = share_to_hold(seen, np.repeat(np.arange(15), 30))
        width = conformal_quantile(np.abs(seen), held)
        covered.append(np.abs(rng.normal(0, 1) + rng.normal(0, 0.1, 30)) <= width)
    # as of fifteen exchangeable cases: at least 0.9, at most a sixteenth more
    assert 0.89 < np.mean(covered) < 0.9 + 1 / 16 + 0.01


def test_what_novelty_widens_is_not_left_for_the_interval_to_hold() -> None:
    misses, novelty = np.array([0.5, -0.5, 0.1, np.nan]), np.array([0.2, 0.4, 1.0, 0.0])
    left = beyond_novelty(misses, novelty, 0.5)
    assert left == pytest.approx([0.4, -0.3, 0.0, np.nan], nan_ok=True)
    assert beyond_novelty(misses[:1], novelty[:1]) == pytest.approx(0.5 - 0.5 * 0.2)


def test_a_ratio_is_as_unsure_as_both_its_times_are() -> None:
    """0.3 below and 0.4 above make 0.5 below; 0.1 above and 0 below make 0.1, in log units."""
    bounds = ratio_bounds(
        np.array([6.0]),
        6.0 * np.exp([[-0.3, 0.1]]),
        np.array([2.0]),
        2.0 * np.exp([[0.0, 0.4]]),
    )
    assert bounds[0] == pytest.approx([3 * np.exp(-0.5), 3 * np.exp(0.1)])


def test_each_kind_of_case_has_bounds_of_its_own() -> None:
    kind = np.repeat(["a", "b"], 39)
    misses = np.concatenate([np.arange(-19.0, 20.0), np.arange(-190.0, 200.0, 10)])
    unit = np.tile(np.arange(39), 2)
    # 39 cases of as many units: the second from either end (`conformal_bounds`)
    assert bounds_by_kind(misses, kind, unit) == {"a": (-18.0, 18.0), "b": (-180.0, 180.0)}
    # of three units in one of which all large ones lie all are held
    few = bounds_by_kind(misses, kind, np.tile(np.abs(np.arange(39) - 19) // 7, 2))
    assert few == {"a": (-19.0, 19.0), "b": (-190.0, 190.0)}


def test_few_units_do_not_tell_to_which_side_the_next_one_errs() -> None:
    """Of two families of MNN's networks one takes up to 4 times less and one as much more."""
    misses = np.append(np.linspace(0.0, 1.0, 190), -0.01 * np.ones(10))
    of_few, of_many = np.arange(200) % 18, np.arange(200) % 19
    low, high = bounds_of_units(misses, of_few)
    assert low == -high
    assert bounds_of_units(misses, of_many)[0] == pytest.approx(-0.01)


def test_errors_are_shares_of_the_measured_time() -> None:
    # measured / predicted of 1/1.1, 1/0.8, 2: off by +10 %, -20 %, -50 %
    error = fit_error("by hand", np.log([1 / 1.1, 1 / 0.8, 2.0]))
    assert error == FitError("by hand", 3, 0.2, round((0.1 + 0.2 + 0.5) / 3, 4), 0.6667)


def test_an_expected_error_is_the_median_of_the_interval_that_is_expected() -> None:
    # 90 % within 0.7 log units: half within 0.7 x 0.6745 / 1.645 = 0.2870, e^0.28702 - 1 = 0.3325
    assert expected_error("none", 0.7) == FitError("none", 0, 0.3325)


@pytest.mark.parametrize("make", [conformal_quantile, conformal_bounds, conformal_interval])
def test_no_case_is_an_error_and_no_width(make: object) -> None:
    with pytest.raises(MeasurementError, match="no case"):
        make(np.zeros(0))  # type: ignore[operator]
    with pytest.raises(MeasurementError, match="no case"):
        fit_error("none", np.zeros(0))
