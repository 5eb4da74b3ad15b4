"""A new target from few measurements: no cliff, honest widths, useful suggestions."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from perfmodel.calibration.adapt import Measured, Prior, adapt, network_name, suggest
from perfmodel.calibration.population import Population, weighted_median
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.cost_models.work_model import loadings
from perfmodel.errors import MeasurementError, ProfileError

FEATURES = len(FEATURE_NAMES)
NETWORKS = 14


def work(seed: int = 0) -> np.ndarray:
    """Networks of different mixes of work, shape (networks, features)."""
    rng = np.random.default_rng(seed)
    amounts: np.ndarray = np.exp(rng.normal(0, 3.0, (NETWORKS, FEATURES)))
    return amounts


def prior() -> Prior:
    spread = loadings(0.3, 0.5)
    return Prior(np.full(FEATURES, -2.0), spread @ spread.T, 1.0, 1.0, 0.05)


def target(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    p = prior()
    shape = rng.multivariate_normal(p.log_cost, p.covariance, method="eigh")
    costs: np.ndarray = shape + p.log_scale + rng.normal(0, p.scale_sd)
    return costs


def measure(costs: np.ndarray, count: int, noise: float = 0.0) -> list[Measured]:
    rng = np.random.default_rng(9)
    return [
        Measured(w, float(w @ np.exp(costs) * np.exp(rng.normal(0, noise))), f"n{i}")
        for i, w in enumerate(work()[:count])
    ]


def test_no_measurement_gives_the_prior_itself() -> None:
    adapted = adapt([], prior())
    assert adapted.log_cost == pytest.approx(np.full(FEATURES, -1.0))
    assert adapted.log_sd(work()[0]) > 0.9  # the scale alone is unsure by 1.0


def test_one_measurement_sets_the_scale() -> None:
    costs = target(1)
    adapted = adapt(measure(costs, 1), prior())
    ratio = [np.log(adapted.latency_ms(w) / (w @ np.exp(costs))) for w in work()]
    assert abs(ratio[0]) < 0.05
    assert np.median(np.abs(ratio)) < 0.4
    assert adapted.log_sd(work()[0]) < 0.15


def test_more_measurements_help_and_narrow_the_interval_without_a_cliff() -> None:
    errors, widths = [], []
    for count in range(11):
        wrong, wide = [], []
        for seed in range(8):
            costs = target(seed)
            adapted = adapt(measure(costs, count, 0.03), prior())
            for w in work()[11:]:
                wrong.append(abs(np.log(adapted.latency_ms(w) / (w @ np.exp(costs)))))
                wide.append(adapted.log_sd(w))
        errors.append(np.mean(wrong))
        widths.append(np.mean(wide))
    assert errors[10] < 0.8 * errors[1] < 0.4 * errors[0]
    assert all(b <= a + 1e-9 for a, b in pairwise(widths))
    assert min(b / a for a, b in pairwise(widths[1:])) > 0.6


def test_the_stated_deviation_is_about_the_real_one() -> None:
    scaled = []
    for seed in range(30):
        costs = target(100 + seed)
        adapted = adapt(measure(costs, 5, 0.05), prior())
        for w in work()[8:]:
            scaled.append(np.log(adapted.latency_ms(w) / (w @ np.exp(costs))) / adapted.log_sd(w))
    assert 0.6 < np.std(scaled) < 1.4


def test_one_wild_measurement_does_not_carry_the_others_away() -> None:
    costs = target(3)
    good = measure(costs, 8)
    wild = [*good[:7], replace(good[7], latency_ms=good[7].latency_ms * 20)]
    ratio = [
        abs(np.log(adapt(wild, prior()).latency_ms(w) / (w @ np.exp(costs)))) for w in work()[8:]
    ]
    assert np.median(ratio) < 0.5


def test_times_must_be_positive() -> None:
    with pytest.raises(MeasurementError, match="> 0"):
        adapt([Measured(work()[0], 0.0)], prior())


def test_a_known_networks_misfit_is_carried_over() -> None:
    known = replace(
        prior(),
        known=("n0", "n1"),
        effects=np.array([0.0, 0.5]),
        effect_covariance=np.zeros((2, 2)),
    )
    adapted = adapt([], known)
    plain = adapted.latency_ms(work()[1])
    assert adapted.latency_ms(work()[1], "models/N1.param") == pytest.approx(plain * np.exp(0.5))


def test_suggestions_lower_the_uncertainty_more_than_a_fixed_order() -> None:
    candidates = {f"n{i}": w for i, w in enumerate(work())}
    found = suggest(candidates, prior(), 4)
    assert len({s.name for s in found}) == 4
    remaining = [s.remaining_sd for s in found]
    assert remaining == sorted(remaining, reverse=True)
    first_four = adapt([Measured(w, 1.0) for w in work()[:4]], prior())
    chosen = [candidates[s.name] for s in found]
    best_four = adapt([Measured(w, float(w @ np.exp(prior().log_cost))) for w in chosen], prior())
    every = list(candidates.values())
    assert np.mean([best_four.log_sd(w) for w in every]) < np.mean(
        [first_four.log_sd(w) for w in every]
    )
    assert "%" in found[0].reason


def test_measured_networks_are_not_suggested_again() -> None:
    candidates = {f"n{i}": w for i, w in enumerate(work())}
    first = suggest(candidates, prior(), 1)[0].name
    again = suggest(candidates, prior(), 3, [Measured(candidates[first], 2.0, first)])
    assert first not in {s.name for s in again}


def families(count: int = 12) -> Population:
    """Two families of targets: fast at products, or fast at moving data."""
    rng = np.random.default_rng(4)
    lean = loadings(0.0, 1.0)[:, -2]
    shapes = np.array(
        [(1 if t % 2 else -1) * lean + rng.normal(0, 0.03, FEATURES) - 2 for t in range(count)]
    )
    names = tuple(f"d{t}/cpu/ncnn/float/t4" for t in range(count))
    return Population(
        names,
        tuple(f"n{i}" for i in range(NETWORKS)),
        shapes,
        np.zeros(count),
        work(),
        np.zeros((count, NETWORKS)),
        np.cov(shapes.T) + 0.01 * np.eye(FEATURES),
        np.eye(NETWORKS) * 1e-4,
        0.03,
    )


def test_a_new_device_borrows_from_its_own_family() -> None:
    known = families()
    costs = known.shapes[1] + 2.0
    seen = measure(costs, 8)
    weights = known.nearness(seen)
    assert weights.sum() == pytest.approx(1)
    assert weights[1::2].sum() > 0.95
    assert known.nearness(seen[:1]) == pytest.approx(np.full(12, 1 / 12))


def test_like_borrows_from_the_named_target_only() -> None:
    known = families()
    assert known.like(known.names[3]).log_cost == pytest.approx(known.shapes[3])
    with pytest.raises(ProfileError, match="nobody"):
        known.like("nobody")


def test_width_factors_are_interpolated_between_counts() -> None:
    known = replace(families(), width_factors={0: 1.0, 10: 3.0})
    assert known.prior(measurements=0).width_factor == 1.0
    assert 1.0 < known.prior(measurements=3).width_factor < 3.0
    assert known.prior(measurements=50).width_factor == 3.0


def test_a_population_survives_its_file_form() -> None:
    known = replace(families(), width_factors={1: 2.0})
    again = Population.from_dict(known.to_dict())
    assert again.names == known.names
    assert again.log_ms() == pytest.approx(known.log_ms(), abs=1e-3)
    assert again.width_factors == {1: 2.0}
    damaged = known.to_dict()
    damaged["shapes"] = damaged["shapes"][:-1]
    with pytest.raises(ProfileError, match="shapes"):
        Population.from_dict(damaged)


def test_weighted_median_with_equal_weights_is_the_lower_median() -> None:
    values = np.array([[1.0], [9.0], [5.0], [3.0]])
    assert weighted_median(values, np.ones(4)) == pytest.approx([3.0])
    assert weighted_median(values, np.array([0, 1, 0, 0])) == pytest.approx([9.0])


def test_network_names_ignore_folder_suffix_and_case() -> None:
    assert network_name("ncnn_models/FastestDet.param") == "fastestdet"
