"""Shares of variance against analyses of variance by hand, known indices and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from perfmodel.explore.design import make_design
from perfmodel.explore.pareto import pareto_front
from perfmodel.explore.sensitivity import levels, sensitivity
from perfmodel.explore.varied import Law, parse_sample


def grid(*sizes: int) -> list[np.ndarray]:
    """Columns of the full grid whose inputs take the values 0, 1, ... up to their sizes."""
    points = np.array(list(itertools.product(*(range(size) for size in sizes))), dtype=float)
    return list(points.T)


def test_a_full_grid_by_hand() -> None:
    x, z = grid(2, 2)
    answer = np.array([1.0, 3.0, 5.0, 11.0])
    found = sensitivity({"x": x, "z": z}, answer)
    # mean 5, variance (16 + 4 + 0 + 36) / 4 = 14; means over x: 2 and 8, so 9 of the 14 are x's;
    # over z: 3 and 7, so 4 are; one is left for what they do together
    assert found.exact
    assert {e.path: e.share for e in found.effects} == pytest.approx({"x": 9 / 14, "z": 4 / 14})
    assert found.together == pytest.approx(1 / 14)
    first = found.effects[0]
    assert (first.path, first.low, first.low_at, first.high, first.high_at) == ("x", 2, 0, 8, 1)


def test_the_published_case_of_width_and_resolution() -> None:
    """Latencies (ms) of a network in eight sizes, the analysis of variance done by hand."""
    width, place = grid(2, 4)
    latency_ms = np.array([2.0, 3.0, 4.0, 5.0, 4.0, 6.0, 8.0, 10.0])
    found = sensitivity({"width": width, "resolution": 128 + 32 * place}, latency_ms)
    # mean 5.25; widths 3.5 and 7: 1.75**2; resolutions 3, 4.5, 6, 7.5: (2.25**2 + 0.75**2) / 2;
    # variance = (3.25**2 + 2.25**2 + 1.25**2 + 0.25**2 + 1.25**2 + 0.75**2 + 2.75**2 + 4.75**2) / 8
    variance = (10.5625 + 5.0625 + 1.5625 + 0.0625 + 1.5625 + 0.5625 + 7.5625 + 22.5625) / 8
    shares = {e.path: e.share for e in found.effects}
    assert shares["width"] == pytest.approx(3.0625 / variance)
    assert shares["resolution"] == pytest.approx(2.8125 / variance)
    assert found.together == pytest.approx((variance - 3.0625 - 2.8125) / variance)


@pytest.mark.parametrize("seed", range(20))
def test_shares_of_any_function_on_a_full_grid_add_up_and_equal_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 26, rng.integers(2, 4)) if seed % 2 else rng.integers(2, 6, 4)
    columns = grid(*sizes)
    names = [f"x{i}" for i in range(len(columns))]
    answer = rng.lognormal(0, 2, len(columns[0]))
    order = rng.permutation(len(answer))  # the order of the points does not matter
    shuffled = {name: column[order] for name, column in zip(names, columns, strict=True)}
    found = sensitivity(shuffled, answer[order])
    assert found.together is not None
    shares = {effect.path: effect.share for effect in found.effects}
    assert math.fsum(shares.values()) + found.together == pytest.approx(1.0)
    table = answer.reshape(sizes)
    for axis, name in enumerate(names):
        means = table.mean(axis=tuple(i for i in range(len(sizes)) if i != axis))
        assert shares[name] == pytest.approx(means.var() / table.var())


@pytest.mark.parametrize("seed", range(5))
def test_inputs_that_only_add_up_do_nothing_together(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = grid(3, 4, 2)
    parts = [rng.normal(size=n) for n in (3, 4, 2)]
    answer = parts[0][a.astype(int)] + parts[1][b.astype(int)] + parts[2][c.astype(int)]
    found = sensitivity({"a": a, "b": b, "c": c}, answer)
    assert found.together == pytest.approx(0.0, abs=1e-12)


def test_exclusive_or_is_all_together() -> None:
    a, b = grid(2, 2)
    found = sensitivity({"a": a, "b": b}, np.array([0.0, 1.0, 1.0, 0.0]))
    assert [effect.share for effect in found.effects] == [0.0, 0.0]
    assert found.together == pytest.approx(1.0)


def test_a_grid_of_many_values_is_not_cut_into_classes() -> None:
    """More than twenty values of an input stay apart on a grid: nothing is cut into classes."""
    x, z = grid(50, 2)
    odd = np.where(x % 2 == 0, -1.0, 1.0)
    found = sensitivity({"x": x, "z": z}, odd)
    assert {e.path: e.share for e in found.effects} == pytest.approx({"x": 1.0, "z": 0.0})


def ishigami(points: dict[str, np.ndarray]) -> np.ndarray:
    a, b, c = (points[name].astype(float) for name in "abc")
    return np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)


def test_sampled_shares_are_the_sobol_indices_of_ishigamis_function() -> None:
    """Ishigami and Homma 1990, a = 7, b = 0.1: 0.314, 0.442 and 0; the rest is a with c."""
    laws = [Law(name, "uniform", (-math.pi, math.pi)) for name in "abc"]
    design = make_design([], laws, 4000, seed=3)
    found = sensitivity(design.columns, ishigami(design.columns), design.sampled)
    assert not found.exact
    assert found.together is None
    shares = {effect.path: effect.share for effect in found.effects}
    assert shares["a"] == pytest.approx(0.3139, abs=0.03)
    assert shares["b"] == pytest.approx(0.4424, abs=0.03)
    assert shares["c"] == pytest.approx(0.0, abs=0.015)


def test_the_input_with_the_larger_slope_moves_the_answer_most() -> None:
    rng = np.random.default_rng(1)
    a, b, idle = rng.random((3, 4000))
    found = sensitivity({"a": a, "b": b, "idle": idle}, 3 * a - b, ("a", "b", "idle"))
    first, second, third = found.effects
    assert (first.path, second.path, third.path) == ("a", "b", "idle")
    # of the variance of 3a - b for equal uniform a and b, 9 parts in 10 are a's
    assert first.share == pytest.approx(0.9, abs=0.02)
    assert second.share == pytest.approx(0.1, abs=0.02)
    assert third.share == pytest.approx(0.0, abs=0.01)
    assert first.rank_correlation == pytest.approx(0.95, abs=0.03)
    assert (second.rank_correlation or 0.0) < -0.2


@pytest.mark.parametrize("seed", range(10))
def test_chance_gives_an_idle_input_a_share_of_zero_on_average(seed: int) -> None:
    """Five lines through 100 points explain 9 parts in 99 by chance alone; that is taken away."""
    rng = np.random.default_rng(seed)
    shares = [
        sensitivity({"x": rng.random(100)}, rng.random(100), ("x",)).effects[0].share
        for _ in range(50)
    ]
    # what is below zero is cut there, so half of the scatter (sd 0.04) stays: its mean is 0.017
    assert 0.005 < np.mean(shares) < 0.05


def test_a_column_drawn_from_a_law_is_never_a_grid() -> None:
    x = np.random.default_rng(2).random(200)
    noise = np.random.default_rng(3).random(200)
    assert sensitivity({"x": x}, noise, ("x",)).effects[0].share < 0.3
    assert sensitivity({"x": x}, noise).exact


@pytest.mark.parametrize("points", [10, 50, 100, 400])
@pytest.mark.parametrize("law", ["uniform(1, 2)", "lognormal(1, 0.3)", "normal(1, 0.2, 0.5, 2)"])
def test_an_input_that_alone_decides_has_all_of_the_variance(points: int, law: str) -> None:
    x = make_design([], [parse_sample(f"x={law}")], points, seed=1).columns["x"]
    assert sensitivity({"x": x}, 3 * x, ("x",)).effects[0].share == pytest.approx(1.0)
    bent = sensitivity({"x": x}, 1 / x, ("x",)).effects[0].share
    assert bent > (0.95 if points >= 50 else 0.7)


def test_values_that_are_chosen_again_and_again_stay_apart() -> None:
    x = np.tile([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 4)
    effect = sensitivity({"x": x}, np.where(x == 4, 9.0, 1.0), ("x",)).effects[0]
    assert (effect.share, effect.high, effect.high_at) == (pytest.approx(1.0), 9.0, 4.0)


def test_a_grid_with_holes_is_estimated() -> None:
    x, z = grid(6, 5)
    answer = x + z
    answer[7] = np.nan
    found = sensitivity({"x": x, "z": z}, answer)
    assert not found.exact
    # of the variance of x + z, 35/12 is x's and 2 is z's
    assert found.effects[0].share == pytest.approx(35 / 59, abs=0.03)
    assert found.effects[1].share == pytest.approx(24 / 59, abs=0.03)


def test_a_grid_of_samples_has_the_exact_share_of_what_is_set() -> None:
    """Each value that is set meets the same samples, so chance does not blur its share."""
    u = np.tile(np.random.default_rng(5).random(40), 3)
    x = np.repeat([0.0, 1.0, 2.0], 40)
    found = sensitivity({"x": x, "u": u}, 2 * x + u, ("u",))
    assert not found.exact
    share = {effect.path: effect.share for effect in found.effects}
    assert share["x"] == pytest.approx(4 * (2 / 3) / (4 * (2 / 3) + u.var()))


def test_words_have_a_share_but_no_direction() -> None:
    unit = np.array(["cpu", "gpu"] * 50, dtype=object)
    answer = np.where(unit == "cpu", 10.0, 5.0)
    (effect,) = sensitivity({"unit": unit}, answer).effects
    assert effect.share == pytest.approx(1.0)
    assert effect.rank_correlation is None
    assert (effect.low, effect.low_at, effect.high, effect.high_at) == (5.0, "gpu", 10.0, "cpu")


def test_an_answer_that_never_varies_has_no_shares() -> None:
    x, z = grid(3, 2)
    found = sensitivity({"x": x, "z": z}, np.full(6, 0.1) * 3)
    assert [effect.share for effect in found.effects] == [0.0, 0.0]
    assert found.together == 0.0


def test_points_without_an_answer_are_left_out() -> None:
    x = np.arange(10.0)
    y = x.copy()
    y[3] = np.nan
    assert sensitivity({"x": x}, y).effects[0].rank_correlation == pytest.approx(1.0)
    assert sensitivity({"x": x}, np.full(10, np.nan)).effects == ()


def test_two_points_of_a_grid_or_three_samples_are_the_fewest_that_say_anything() -> None:
    x = np.arange(3.0)
    assert sensitivity({"x": x[:2]}, x[:2]).effects[0].share == pytest.approx(1.0)
    assert sensitivity({"x": x[:1]}, x[:1]).effects == ()
    assert sensitivity({"x": x[:2]}, x[:2], ("x",)).effects == ()
    assert len(sensitivity({"x": x}, x, ("x",)).effects) == 1


def test_twenty_values_are_levels_of_their_own_and_more_become_classes_of_equal_size() -> None:
    few, labels = levels(np.repeat(np.arange(20.0), 3), 20)
    assert labels == list(range(20))
    assert np.bincount(few).tolist() == [3] * 20
    many, middles = levels(np.random.default_rng(0).permutation(np.arange(2000.0)), 20)
    assert np.bincount(many).tolist() == pytest.approx([100] * 20, abs=1)
    assert middles == pytest.approx([49.5 + 100 * k for k in range(20)], abs=1)


@pytest.mark.parametrize("seed", range(5))
def test_the_front_equals_brute_force(seed: int) -> None:
    costs = np.random.default_rng(seed).integers(0, 6, (60, 3)).astype(float)
    better = [[bool((q <= p).all() and (q < p).any()) for q in costs] for p in costs]
    expected = {i for i in range(60) if not any(better[i])}
    assert set(pareto_front(costs).tolist()) == expected


def test_rows_with_an_unknown_figure_are_never_on_the_front() -> None:
    assert pareto_front(np.array([[1.0, np.nan], [2.0, 2.0]])).tolist() == [1]
