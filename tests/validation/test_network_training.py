"""Intervals by cross-conformal prediction, and how accuracy is counted."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.errors import MeasurementError
from perfmodel.target import Target
from validation.accuracy.common import rank_correlation, score, table
from validation.data.network_tables import NetworkRows, TargetKey, family_of
from validation.profiles.network_training import (
    LeftOut,
    cross_conformal,
)

TARGETS, NETWORKS = 20, 20


def rows_with_noise(seed: int) -> tuple[NetworkRows, LeftOut]:
    """Predictions that are off by log-normal noise, twice as much on odd targets."""
    rng = np.random.default_rng(seed)
    target = np.repeat(np.arange(TARGETS), NETWORKS)
    network = np.tile(np.arange(NETWORKS), TARGETS)
    keys = tuple(
        TargetKey(Target(f"d{t}", "cpu", "ncnn", "float", 4, "big")) for t in range(TARGETS)
    )
    names = tuple(f"n{n}" for n in range(NETWORKS))
    truth = np.full(len(target), 10.0)
    predicted = truth * np.exp(rng.normal(0, np.where(target % 2, 0.2, 0.1)))
    rows = NetworkRows(keys, names, names, (), np.zeros((NETWORKS, 1)), target, network, truth)
    return rows, LeftOut(predicted, np.zeros(len(target)))


def test_ninety_percent_intervals_cover_ninety_percent() -> None:
    covered = []
    for seed in range(5):
        rows, left_out = rows_with_noise(seed)
        bounds = cross_conformal(left_out, rows)
        inside = (bounds[:, 0] <= rows.latency_ms) & (rows.latency_ms <= bounds[:, 1])
        covered.append(inside.mean())
    assert 0.86 <= np.mean(covered) <= 0.94


def test_noisier_targets_get_wider_intervals() -> None:
    rows, left_out = rows_with_noise(1)
    width = np.log(cross_conformal(left_out, rows)[:, 1] / left_out.predicted_ms)
    odd = rows.target % 2 == 1
    assert np.median(width[odd]) > 1.3 * np.median(width[~odd])


@pytest.mark.parametrize(
    "name",
    ["ncnn_models/resnet50_int8.param", "resnet50", "resnet50@width=0.5,resolution=160"],
)
def test_variants_of_a_network_are_one_family(name: str) -> None:
    assert family_of(name) == "resnet50"


def test_score_counts_errors_as_shares_of_the_measured_time() -> None:
    result = score(
        "e",
        "cpu",
        np.array([1.04, 2.3, 9.0, 4.0]),
        np.array([1.0, 2.0, 10.0, 8.0]),
        ["a", "b", "c", "d"],
        0,
        intervals=np.array([[0.9, 1.1], [2.1, 2.5], [8, 11], [7, 9]]),
        baselines={"double": np.array([2.0, 4.0, 20.0, np.nan])},
    )
    # 4 %, 15 %, 10 %, 50 %
    assert result.median_error == pytest.approx(0.125)
    assert result.mean_error == pytest.approx(0.1975)
    assert (result.within_5, result.within_10, result.within_20) == (0.25, 0.5, 0.75)
    assert result.coverage == 0.75
    assert result.baselines["double"] == pytest.approx(1.0)
    assert result.worst[0].startswith("d: 4 ms predicted, 8 ms measured (-50 %)")
    assert "| e | cpu | 4 | 12.5 |" in table([result])


def test_a_missing_prediction_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="no prediction for b"):
        score("e", "cpu", np.array([1.0, np.nan]), np.ones(2), ["a", "b"], 0)


def test_rank_correlation_by_hand() -> None:
    # ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15) = 0.6
    assert rank_correlation(np.array([1, 2, 3, 4]), np.array([5, 4, 9, 8])) == pytest.approx(0.6)
