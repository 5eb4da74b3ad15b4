"""The published splits, predicted: Exynos 2200, Jetson AGX Xavier, transfers of phones."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from validation.partition.__main__ import RESULTS, results, rounded
from validation.partition.exynos import fit_study, plan_ms, read_rows, study_cuts, vgg16_layers
from validation.partition.exynos import gpu_unit as exynos_gpu
from validation.partition.jetson import every_other, predict_splits
from validation.partition.phones import co_execution
from validation.partition.transfers import fit_line, fit_transfers
from validation.profiles.jetson import build_jetson, jetson_traits
from validation.profiles.partition import build_partition, partition_traits


def test_the_exynos_rows_are_predicted_from_the_other_three(data_dir: Path) -> None:
    study = fit_study(data_dir, on_all=False)
    assert sum(study.fitted) == 3
    assert study.error_of_fitted < 1e-3
    assert study.error_of_predicted <= 0.15
    assert study.spearman >= 0.9
    assert study.best == "layer_type K=2"


def test_the_exynos_table_is_fitted_as_a_whole(data_dir: Path) -> None:
    study = fit_study(data_dir, on_all=True)
    assert study.error <= 0.08
    assert study.spearman >= 0.9
    assert study.best == "layer_type K=2"


def test_without_slow_storage_the_exynos_table_cannot_be_told(data_dir: Path) -> None:
    """A delegate without the effect makes every cut a loss, but the phone gained 1.87 times."""
    from dataclasses import replace

    layers, roofline = vgg16_layers()
    rows = read_rows(data_dir)
    places = [study_cuts(layers, row) for row in rows]
    from perfmodel.plans.units import Transfer

    p = replace(fit_study(data_dir, on_all=True).parameters, slowdown=1.0)
    move = Transfer(1.0, 1.4e6)
    times = plan_ms(layers, exynos_gpu(layers, roofline, p, [move, move]), places)
    whole = times[[row.criterion for row in rows].index("none")]
    assert (times >= whole).all()


def test_the_command_reproduces_the_study(data_dir: Path, tmp_path: Path) -> None:
    """What ships as a profile gives the fitted table through the front door."""
    from perfmodel.devices.profile import write_profile
    from perfmodel.plans.plan import partition
    from validation.profiles.__main__ import join_profiles

    [profile] = join_profiles([build_partition(data_dir)], partition_traits(data_dir))
    path = tmp_path / "exynos-2200.json"
    write_profile(profile, path)
    study, rows = fit_study(data_dir, on_all=True), read_rows(data_dir)
    ours = {"layer_length": "layer-count", "parameter_count": "param-count"}
    for row, expected in zip(rows, study.predicted_ms, strict=True):
        if row.criterion in ours:
            found = partition(
                "vgg16", "exynos-2200/gpu", by=ours[row.criterion], k=row.k, profiles=[path]
            )
            assert found.latency_ms == pytest.approx(expected, rel=1e-3)
            assert found.unpartitioned_ms == pytest.approx(study.predicted_ms[0], rel=1e-3)


def test_jetson_splits(data_dir: Path) -> None:
    for learn in (None, every_other(9)):
        errors = [abs(s.error) for s in predict_splits(data_dir, learn)]
        assert len(errors) == 9
        assert np.mean(errors) <= 0.08


def test_a_jetson_split_is_not_predicted_from_its_own_rows(data_dir: Path, tmp_path: Path) -> None:
    """Ten times the block and conversion of inception_4c change the others, not that split."""
    before = {s.split_layer: s.predicted_ms for s in predict_splits(data_dir)}
    shutil.copy(data_dir / "splits_jetson.csv", tmp_path)
    with open(data_dir / "layers_jetson.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        if row["layer"].startswith("{inception_4c"):
            row["latency_us"] = str(10 * float(row["latency_us"]))
    with open(tmp_path / "layers_jetson.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    after = {s.split_layer: s.predicted_ms for s in predict_splits(tmp_path)}
    assert after["inception_4c/1x1"] == pytest.approx(before["inception_4c/1x1"])
    assert after["inception_4b/1x1"] != pytest.approx(before["inception_4b/1x1"], rel=0.01)


def test_the_dla_ships_with_the_error_of_left_out_blocks(data_dir: Path) -> None:
    [built] = build_jetson(data_dir)
    assert str(built.profile.target) == "jetson-agx-xavier/dla/tensorrt/fp16"
    assert built.profile.error.cases == 10
    assert built.profile.error.mean is not None
    assert built.profile.error.mean <= 0.08
    [traits] = jetson_traits(data_dir).values()
    assert traits.transfer("gpu", "dla") is not None


def test_a_known_line_is_recovered_from_noisy_transfers() -> None:
    generator = np.random.default_rng(3)
    size = generator.uniform(1e3, 1e7, 400)
    time = (0.4 + size / 2e6) * np.exp(generator.normal(0, 0.2, 400))
    time[:20] *= 8  # a few disturbed runs
    fixed, rate = fit_line(size, time)
    assert fixed == pytest.approx(0.4, rel=0.15)
    assert rate == pytest.approx(2e6, rel=0.1)


def test_two_points_give_the_line_through_them() -> None:
    # 1 ms + 1 MB a ms: 2 ms for 1 MB, 5 ms for 4 MB
    fixed, rate = fit_line(np.array([1e6, 4e6]), np.array([2.0, 5.0]))
    assert (fixed, rate) == pytest.approx((1.0, 1e6), rel=1e-4)


def test_transfers_measured_in_one_direction_only_are_left_out(data_dir: Path) -> None:
    fits = fit_transfers(data_dir)
    assert len(fits) == 14
    # 174 rows, 25 of them with equal columns
    assert {f.fact.measurements for f in fits if f.device == "huawei-p40"} == {149}
    assert all(0.05 < f.fact.fixed_ms < 4 and f.fact.median_error < 0.4 for f in fits)


def test_the_committed_results_are_those_of_the_data(data_dir: Path) -> None:
    committed = json.loads(RESULTS.read_text(encoding="utf-8"))
    for path, value in figures(results(data_dir)):
        found = committed
        for step in path:
            found = found[step]
        assert found == (pytest.approx(value, rel=1e-3) if isinstance(value, float) else value), (
            path
        )


def figures(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every leaf of plain data with the keys and positions that lead to it."""
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from figures(value, (*path, key))
    else:
        yield path, data


def test_figures_of_results_have_six_digits() -> None:
    found = rounded({"a": (1.23456789, 2), "b": [{"c": 1234567.8}], "d": "text", "e": None})
    assert found == {"a": [1.23457, 2], "b": [{"c": 1234570.0}], "d": "text", "e": None}


def test_operators_leave_a_gpu_only_where_that_pays(data_dir: Path) -> None:
    for one in co_execution(data_dir):
        assert one.plan.latency_ms <= min(one.cpu_ms, one.gpu_ms) + 1e-9
        assert one.plan.latency_ms >= one.free_ms - 1e-9
