"""The joint whole-network model: recovers known costs, borrows, and never answers below zero."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from perfmodel.cost_models.hierarchy import Level
from perfmodel.cost_models.predictor import Predictor, network_ms
from perfmodel.cost_models.work_features import ALL_FEATURES, FEATURE_NAMES
from perfmodel.cost_models.work_model import (
    CODES,
    JointEfficiencyModel,
    NetworkTimes,
    fit_costs,
    loadings,
    relative_noise,
)
from perfmodel.cost_models.work_predictor import EfficiencyPredictor, size_ranges, work_matrix
from perfmodel.errors import MeasurementError, ProfileError
from perfmodel.graph import Graph, GraphBuilder
from perfmodel.kernels import KernelTable, fuse

FEATURES = len(FEATURE_NAMES)


def network(name: str, width: int, depth: int) -> Graph:
    b = GraphBuilder(name)
    y = b.conv(b.input((1, 32, 32, 3)), width, 3, 2, activation="relu")
    for _ in range(depth):
        y = b.conv(b.depthwise(y, 3, activation="relu"), width, 1, activation="relu")
    return b.build(b.fc(b.global_avg_pool(y), 10))


def tables() -> list[KernelTable]:
    return [
        KernelTable.from_kernels(fuse(network(f"n{w}x{d}", w, d), "ncnn"))
        for w, d in [(8, 2), (16, 3), (32, 2), (64, 4), (24, 8), (48, 1), (128, 2), (16, 12)]
    ]


def synthetic(targets: int = 6, seed: int = 0, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of targets whose costs depart from a common one; latencies by the model's own rule."""
    rng = np.random.default_rng(seed)
    work = np.array([work_matrix(t, "fp32").sum(axis=0) for t in tables()])
    common = rng.normal(0, 0.2, FEATURES)
    rows, latencies = [], []
    for t in range(targets):
        costs = common + rng.normal(0, 0.3, FEATURES) + rng.normal(0, 1.0)
        for amounts in work:
            rows.append([10 + t, t, 0, *amounts])
            latencies.append(amounts @ np.exp(costs) * np.exp(rng.normal(0, noise)))
    return np.array(rows), np.array(latencies)


def test_one_target_with_one_kind_of_work_is_solved_by_hand() -> None:
    # 2 ms for 4 units and 4 ms for 8 units: half a millisecond a unit
    work = np.zeros((2, FEATURES))
    work[:, 0] = [4.0, 8.0]
    seen = NetworkTimes(
        target=np.array([0, 0]), network=np.array([0, 1]), log_ms=np.log([2.0, 4.0])
    )
    levels = [Level(index=np.zeros(1, dtype=int), loadings=loadings(0.1, 0.0))]
    fitted = fit_costs(work, seen, levels, noise=np.ones(1) * 0.1, huber_limit=1.5, max_iter=100)
    assert np.exp(fitted.log_cost[0, 0]) == pytest.approx(0.5, rel=1e-6)


def test_the_gradient_is_that_of_the_objective() -> None:
    """At the optimum the shrunk mean of departures is zero: d/d(cost) balances the prior."""
    rows, latencies = synthetic(noise=0.05)
    loose = JointEfficiencyModel(max_iter=3000).fit(rows, latencies)
    tight = JointEfficiencyModel(max_iter=6000).fit(rows, latencies)
    assert loose.predict(rows) == pytest.approx(tight.predict(rows), rel=1e-2)


def test_exact_data_are_reproduced() -> None:
    rows, latencies = synthetic()
    model = JointEfficiencyModel(max_iter=1000, noise_sd=0.01).fit(rows, latencies)
    assert model.predict(rows) == pytest.approx(latencies, rel=0.03)
    assert model.log_cost_.shape == (6, FEATURES)


def test_an_unseen_network_is_predicted_better_with_other_targets_than_alone() -> None:
    rows, latencies = synthetic(targets=12, noise=0.03)
    networks = np.arange(len(rows)) % 8
    left_out = networks == 6
    joint = JointEfficiencyModel().fit(rows[~left_out], latencies[~left_out])
    together = np.abs(np.log(joint.predict(rows[left_out]) / latencies[left_out]))
    alone = []
    for t in range(12):
        mine = rows[:, 0] == 10 + t
        single = JointEfficiencyModel().fit(rows[mine & ~left_out], latencies[mine & ~left_out])
        rest = mine & left_out
        alone.append(abs(np.log(single.predict(rows[rest])[0] / latencies[rest][0])))
    assert np.mean(together) < np.mean(alone)


def test_an_outlier_moves_a_robust_fit_little() -> None:
    rows, latencies = synthetic(noise=0.01)
    spoiled = latencies.copy()
    spoiled[3] *= 10
    clean = JointEfficiencyModel().fit(rows, latencies).predict(rows)
    robust = JointEfficiencyModel().fit(rows, spoiled).predict(rows)
    others = np.arange(len(rows)) != 3
    assert np.median(np.abs(np.log(robust / clean))[others]) < 0.05


def test_a_noisy_target_is_known_by_its_residuals() -> None:
    rng = np.random.default_rng(5)
    work = np.array([work_matrix(t, "fp32").sum(axis=0) for t in tables()])
    costs = np.zeros((3, FEATURES))
    exact = np.log(work.sum(axis=1))
    seen = NetworkTimes(
        target=np.repeat([0, 1, 2], 8),
        network=np.tile(np.arange(8), 3),
        log_ms=np.concatenate([exact + rng.normal(0, sd, 8) for sd in (0.02, 0.02, 0.3)]),
    )
    noise = relative_noise(costs, work, seen)
    assert noise[2] > 2 * noise[0]
    assert np.median(noise) == pytest.approx(1)


def test_the_same_data_give_the_same_costs() -> None:
    rows, latencies = synthetic(noise=0.05)
    a = JointEfficiencyModel().fit(rows, latencies)
    b = JointEfficiencyModel().fit(rows, latencies)
    assert np.array_equal(a.log_cost_, b.log_cost_)


def test_the_estimator_can_be_cloned_and_set() -> None:
    model = JointEfficiencyModel(noise_sd=0.2)
    copy = clone(model).set_params(target_sd=0.5)
    assert (copy.noise_sd, copy.target_sd) == (0.2, 0.5)
    assert not hasattr(copy, "log_cost_")


def test_the_estimator_is_searched_and_scored_in_a_pipeline() -> None:
    rows, latencies = synthetic(targets=1, noise=0.05)
    steps = make_pipeline(JointEfficiencyModel())
    tried = {"jointefficiencymodel__max_iter": [1, 60]}
    search = GridSearchCV(steps, tried, cv=2, scoring="r2").fit(rows, latencies)
    assert search.best_params_ == {"jointefficiencymodel__max_iter": 60}
    assert search.predict(rows[:3]) == pytest.approx(latencies[:3], rel=0.3)


def test_bad_input_is_refused() -> None:
    rows, latencies = synthetic(targets=1)
    with pytest.raises(MeasurementError, match="> 0"):
        JointEfficiencyModel().fit(rows, latencies * 0)
    with pytest.raises(MeasurementError, match="columns"):
        JointEfficiencyModel().fit(rows[:, :5], latencies)
    model = JointEfficiencyModel().fit(rows, latencies)
    rows[0, 0] = 99
    with pytest.raises(MeasurementError, match="99"):
        model.predict(rows)


def test_groups_of_features_move_together() -> None:
    spread = loadings(0.2, 0.5)
    assert spread.shape[0] == FEATURES
    covariance = spread @ spread.T
    a, b = FEATURE_NAMES.index("direct_macs"), FEATURE_NAMES.index("dense_macs")
    assert covariance[a, b] == pytest.approx(0.25)
    assert covariance[a, a] == pytest.approx(0.29)
    assert covariance[a, FEATURE_NAMES.index("softmax")] == 0


def predictor() -> EfficiencyPredictor:
    rng = np.random.default_rng(1)
    costs = tuple(float(v) for v in rng.normal(-1, 0.5, FEATURES))
    return EfficiencyPredictor(log_cost=costs, ranges=size_ranges(tables()))


def test_parts_add_up_to_the_network_and_are_never_negative() -> None:
    table = tables()[3]
    made = predictor()
    parts = made.parts_ms(table)
    assert isinstance(made, Predictor)
    assert parts.shape == (len(table), 3)
    assert (parts >= 0).all()
    total = work_matrix(table, "fp32").sum(axis=0) @ np.exp(made.log_cost)
    assert parts.sum() == pytest.approx(total)
    assert network_ms(made, table) == pytest.approx(total)


def test_novelty_is_zero_inside_the_fitted_range_and_grows_outside() -> None:
    made = predictor()
    assert made.novelty(tables()[2]).max() == 0
    wide = KernelTable.from_kernels(fuse(network("wide", 1280, 2), "ncnn"))
    beyond = made.novelty(wide)
    assert beyond.max() > np.log(5)
    b = GraphBuilder("other")
    graph = b.build(b.op("softmax", b.input((1, 10))))
    assert made.novelty(KernelTable.from_kernels(fuse(graph, "ncnn"))) == pytest.approx([1.0])


def test_plain_data_come_back_equal() -> None:
    made = predictor()
    again = EfficiencyPredictor.from_dict(made.to_dict())
    table = tables()[1]
    assert again.parts_ms(table) == pytest.approx(made.parts_ms(table), rel=1e-4)
    assert again.ranges == made.ranges


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"precision": "fp7"}, "precision"),
        ({"log_cost": {"direct_macs": 1.0}}, "log_cost"),
        ({"overhead_ms": -1.0}, "overhead_ms"),
        ({"overhead_ms": float("nan")}, "overhead_ms"),
        ({"ranges": {"conv1x1": [[1, 2], [3]]}}, "ranges"),
        ({"code": "import os"}, "code"),
    ],
)
def test_a_strangers_predictor_is_checked_field_by_field(
    change: dict[str, object], field: str
) -> None:
    with pytest.raises(ProfileError, match=field):
        EfficiencyPredictor.from_dict({**predictor().to_dict(), **change})


def test_input_columns_are_codes_then_features() -> None:
    rows, _ = synthetic(targets=1)
    assert rows.shape[1] == len(CODES) + FEATURES


def test_fixed_costs_depart_as_many_times_as_far_as_they_are_told_to() -> None:
    count = len(ALL_FEATURES)
    starts = np.array([f.group == "start" for f in ALL_FEATURES])
    spread = np.diag(loadings(0.3, 0.0, count, starts=2.0))
    assert spread[starts] == pytest.approx(0.6)
    assert spread[~starts] == pytest.approx(0.3)
    assert starts.any()
    assert np.diag(loadings(0.3, 0.0, count)) == pytest.approx(0.3)


def test_a_wider_spread_of_starts_lets_targets_differ_in_them() -> None:
    """Two targets that are alike but for what a kernel's start costs."""
    works = [work_matrix(t, "fp32", len(ALL_FEATURES)).sum(axis=0) for t in tables()]
    starts = np.array([f.unit == "kernel" for f in ALL_FEATURES])
    rows, times = [], []
    for target, dear in enumerate((1.0, 30.0, 1.0, 1.0)):
        for work in works:
            rows.append([target, target, 0, *work])
            times.append(work @ np.where(starts, dear, 1.0))
    gaps = []
    for factor in (0.2, 3.0):
        model = JointEfficiencyModel(hardware_sd=0.3, hardware_shared_sd=0.0, starts=factor)
        costs = model.fit(np.array(rows), np.array(times)).log_cost_
        gap = costs[1] - costs[0]
        gaps.append(gap[starts].mean() - gap[~starts].mean())
    assert gaps[1] > gaps[0] + 0.3
