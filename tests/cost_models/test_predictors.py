"""What every predictor promises: it says what it knows, adapts to kernels, and is plain data."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import TERMS, Machine, work_of
from perfmodel.cost_models.kinds import predictor_from_dict, predictor_to_dict
from perfmodel.cost_models.predictor import Predictor
from perfmodel.cost_models.roofline import RooflinePredictor
from perfmodel.cost_models.scaled_predictor import ScaledPredictor
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.cost_models.work_predictor import EfficiencyPredictor, work_matrix
from perfmodel.errors import MeasurementError, ProfileError
from perfmodel.kernel_times import at_batch
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.kernels import table_from_rows

MACHINE = Machine(winograd="none")


def convs(count: int = 30, kernel: int = 1, seed: int = 0) -> KernelTable:
    rng = np.random.default_rng(seed)
    size = rng.integers(4, 60, count)
    return table_from_rows(
        {
            "op": np.array(["conv2d"] * count, dtype=object),
            **dict.fromkeys(("hin", "win", "hout", "wout"), size),
            **dict.fromkeys(("kh", "kw"), np.full(count, kernel)),
            "cin": rng.integers(8, 512, count),
            "cout": rng.integers(8, 512, count),
        }
    )


def by_kernel(**more: Any) -> KernelPredictor:
    """The reference speeds, one known kind of kernel."""
    fields: dict[str, Any] = {
        "machine": MACHINE,
        "cells": {"conv1x1": (0.0,) * len(TERMS)},
        "families": {"product": (0.0,) * len(TERMS)},
        "default": (0.0,) * len(TERMS),
        "forests": {},
        "ranges": {},
    }
    return KernelPredictor(**{**fields, **more})


def by_work() -> EfficiencyPredictor:
    return EfficiencyPredictor(log_cost=(-3.0,) * len(FEATURE_NAMES))


def by_sheet() -> RooflinePredictor:
    return RooflinePredictor(
        multiprocessors=80.0,
        fp32_flops_per_s=14e12,
        matrix_flops_per_s=14e12,
        bandwidth_bytes_per_s=900e9,
        element_bytes=4.0,
        dense_share=0.8,
        plain_share=0.4,
        memory_share=0.8,
        winograd=2.0,
        kernel_s=5e-6,
        most_split=8.0,
        tensor=False,
        library=True,
    )


ALL = [by_kernel(), by_work(), by_sheet()]


def times_us(predictor: Predictor, table: KernelTable) -> np.ndarray:
    total: np.ndarray = predictor.parts_ms(table).sum(axis=1) * 1e3
    return total


@pytest.mark.parametrize("known", ALL, ids=lambda p: p.kind)
def test_a_predictor_adapts_to_kernels_that_are_all_three_times_slower(known: Predictor) -> None:
    few, asked = convs(), convs(seed=5)
    slower = known.adapted(few, 3 * times_us(known, few))
    assert times_us(slower, asked) == pytest.approx(3 * times_us(known, asked), rel=0.02)
    # the one that was asked is not changed
    assert times_us(known, few) == pytest.approx(times_us(known, few))


@pytest.mark.parametrize("known", ALL, ids=lambda p: p.kind)
def test_an_adapted_predictor_ignores_a_few_wrong_times(known: Predictor) -> None:
    few, asked = convs(), convs(seed=5)
    measured = 2 * times_us(known, few)
    measured[::10] *= 50
    ratio = times_us(known.adapted(few, measured), asked) / times_us(known, asked)
    assert np.median(ratio) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("known", ALL, ids=lambda p: p.kind)
@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_impossible_times_are_refused(known: Predictor, bad: float) -> None:
    with pytest.raises(MeasurementError, match="row 2"):
        known.adapted(convs(3), np.array([1.0, bad, 1.0]))


@pytest.mark.parametrize("known", ALL, ids=lambda p: p.kind)
def test_an_overhead_is_kept_beside_the_kernels(known: Predictor) -> None:
    table = convs(3)
    changed = known.with_overhead(2.5)
    assert changed.overhead_ms == 2.5
    assert np.array_equal(changed.parts_ms(table), known.parts_ms(table))
    again = predictor_from_dict(json.loads(json.dumps(predictor_to_dict(changed))), "here")
    assert again.overhead_ms == 2.5


@pytest.mark.parametrize("known", ALL, ids=lambda p: p.kind)
def test_a_predictor_comes_back_from_its_data(known: Predictor) -> None:
    again = predictor_from_dict(json.loads(json.dumps(predictor_to_dict(known))), "here")
    assert isinstance(again, Predictor)
    assert times_us(again, convs()) == pytest.approx(times_us(known, convs()))


def test_only_costs_of_kernels_stand_for_other_targets_kernels() -> None:
    assert [p.times_single_kernels for p in ALL] == [True, False, False]
    assert [p.work_costs is None for p in ALL] == [True, False, True]
    costs = by_work().work_costs
    assert (costs.log_cost, costs.precision) == (by_work().log_cost, "fp32")


@pytest.mark.parametrize("known", [by_work(), by_sheet()], ids=lambda p: p.kind)
def test_models_by_work_say_that_a_batch_takes_no_less_and_do_so(known: Predictor) -> None:
    assert known.grows_with_batch
    once, table = times_us(known, convs()), convs()
    for batch in (2, 7, 64):
        more = times_us(known, at_batch(table, 1, batch))
        assert (more >= once).all()
        once = more


def test_a_model_at_another_speed_names_the_one_that_it_is() -> None:
    base = by_work()
    scaled = ScaledPredictor(base=base, log_factor=math.log(3.0))
    assert scaled.as_scaled == (base, pytest.approx(3.0))
    assert [p.as_scaled for p in (base, by_kernel(), by_sheet())] == [None, None, None]


def test_a_slower_kind_of_kernel_is_told_from_a_slower_device() -> None:
    one, three = convs(60), convs(60, kernel=3, seed=1)
    known = by_kernel(cells=dict.fromkeys(("conv1x1", "conv3x3"), (0.0,) * 5))
    table = KernelTable(
        {c: np.concatenate([one.text[c], three.text[c]]) for c in one.text},
        {c: np.concatenate([one.number[c], three.number[c]]) for c in one.number},
    )
    measured = times_us(known, table) * np.repeat([1.0, 2.0], 60)
    made = known.adapted(table, measured)
    asked = convs(20, kernel=3, seed=7)
    assert times_us(made, asked) == pytest.approx(2 * times_us(known, asked), rel=0.1)
    assert times_us(made, one) == pytest.approx(times_us(known, one), rel=0.1)


def test_a_kind_that_was_not_measured_moves_with_its_family() -> None:
    known = by_kernel(
        cells={"conv1x1": (0.0,) * 5, "conv3x3": (0.5,) * 5},
        families={"product": (0.2,) * 5},
    )
    few = convs(60)
    made = known.adapted(few, 4 * times_us(known, few))
    asked = convs(20, kernel=3, seed=7)
    ratio = times_us(made, asked) / times_us(known, asked)
    # the device's speed and the family's share of it; the cell's own share stays behind
    assert 3.6 < ratio.min() <= ratio.max() < 4.05
    assert made.default[0] == pytest.approx(np.log(4), abs=0.15)


def test_what_was_measured_is_no_longer_new() -> None:
    few = convs()
    assert by_kernel().novelty(few).min() == 1.0
    assert by_kernel().adapted(few, np.ones(30)).novelty(few).max() == 0.0
    assert by_work().novelty(few).min() == 1.0
    assert by_work().adapted(few, np.ones(30)).novelty(few).max() == 0.0


def test_a_kind_of_kernel_without_costs_takes_its_familys_then_the_targets() -> None:
    known = by_kernel(cells={"conv1x1": (1.0,) * 5}, families={"product": (2.0,) * 5})
    assert known.log_costs("conv1x1")[0] == 1.0
    assert known.log_costs("conv3x3")[0] == 2.0
    assert known.log_costs("pool:max_pool2d")[0] == 0.0
    three = convs(4, kernel=3)
    by_terms = work_of(three, MACHINE).terms.sum(axis=1) * np.exp(2.0)
    assert times_us(known, three) == pytest.approx(by_terms)


def test_a_wait_multiplies_the_launch_alone() -> None:
    known, table = by_kernel(), convs(5)
    longer = known.waiting(3.0)
    # a launch of 10 us becomes one of 30
    assert times_us(longer, table) - times_us(known, table) == pytest.approx(20.0, rel=1e-4)


def test_work_is_milliseconds_per_million_mac_equivalents() -> None:
    table = convs(5)
    expected = work_matrix(table, "fp32").sum(axis=1) * np.exp(-3.0) * 1e3
    assert times_us(by_work(), table) == pytest.approx(expected)


def test_a_large_product_runs_at_the_data_sheets_rate() -> None:
    table = table_from_rows(
        {
            "op": np.array(["conv2d"], dtype=object),
            **{c: np.array([64.0]) for c in ("hin", "win", "hout", "wout")},
            **{c: np.array([1.0]) for c in ("kh", "kw")},
            "cin": np.array([4096.0]),
            "cout": np.array([2560.0]),
        }
    )
    # 4096 rows x 2560 columns in tiles of 128 x 64: 32 x 40 = 1280 = 16 waves of 80;
    # 2 x 4096 x 2560 x 4096 FLOPs at 80 % of 14 TFLOP/s, and 5 us to start
    flops = 2 * 4096 * 2560 * 4096
    assert times_us(by_sheet(), table)[0] == pytest.approx(flops / (0.8 * 14e12) * 1e6 + 5)


def test_one_tile_more_is_a_wave_more() -> None:
    def product(rows: int) -> KernelTable:
        return table_from_rows(
            {
                "op": np.array(["gemm"], dtype=object),
                "m": np.array([float(rows)]),
                "n": np.array([64.0]),
                "k": np.array([32.0]),
            }
        )

    full, more = (times_us(by_sheet(), product(m))[0] - 5 for m in (128 * 80, 128 * 80 + 1))
    # depth 32 is not split, so a tile takes 2 x 128 x 64 x 32 / (0.8 x 14e12 / 80) seconds
    wave_us = 2 * 128 * 64 * 32 / (0.8 * 14e12 / 80) * 1e6
    assert full == pytest.approx(max(wave_us, 4 * (128 * 80 * 96 + 2048) / 0.72e12 * 1e6), rel=1e-6)
    assert more == pytest.approx(2 * wave_us, rel=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"tensor": 1},
        {"kernel_s": 0},
        {"kernel_s": float("inf")},
        {"winograd": "2"},
        {"overhead_ms": -1},
        {"surprise": 1},
    ],
)
def test_a_damaged_roofline_names_its_field(change: dict[str, object]) -> None:
    (field,) = change
    with pytest.raises(ProfileError, match=field):
        RooflinePredictor.from_dict({**by_sheet().to_dict(), **change})


def test_a_roofline_without_a_rate_names_it() -> None:
    data = by_sheet().to_dict()
    del data["bandwidth_bytes_per_s"]
    with pytest.raises(ProfileError, match="bandwidth_bytes_per_s: is missing"):
        RooflinePredictor.from_dict(data)
