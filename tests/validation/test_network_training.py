"""Intervals by cross-conformal prediction, and how accuracy is counted."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.target import Target
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
