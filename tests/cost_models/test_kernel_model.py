"""Kernel cost models: what they must recover, borrow, keep and refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from perfmodel.calibration.kernel_settings import phone_model, small_model
from perfmodel.cost_models.efficiencies import Efficiencies, no_slower
from perfmodel.cost_models.kernel_model import KernelModel, KernelRows
from perfmodel.cost_models.kernel_population import TargetTraits
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import (
    BY_BYTES,
    TERMS,
    Machine,
    combine,
    family_of,
    work_of,
)
from perfmodel.cost_models.predictor import Predictor
from perfmodel.devices.gpu_specs import GPU_SPECS, GpuSpec, gpu_family
from perfmodel.errors import MeasurementError, ProfileError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.winograd import winograd_work
from perfmodel.measurements.kernels import table_from_rows
from validation.data.kernel_rows import lookup_drift_us
from validation.data.kernel_tables import phone_set, read_phone_rows

MACHINE = {
    "lanes": 1.0,
    "cache_bytes": 0.0,
    "precision": "fp32",
    "winograd": "best",
    "overlap": "none",
}
"""A machine as a profile holds it."""


def _convs(count: int, kernel: int = 1, seed: int = 0, cin: int | None = None) -> KernelTable:
    rng = np.random.default_rng(seed)
    size = rng.integers(4, 60, count)
    channels = rng.integers(8, 512, count) if cin is None else np.full(count, cin)
    ones = np.ones(count)
    return table_from_rows(
        {
            "op": np.array(["conv2d"] * count, dtype=object),
            "cin": channels,
            "hin": size,
            "win": size,
            "cout": rng.integers(8, 512, count),
            "hout": size,
            "wout": size,
            "kh": ones * kernel,
            "kw": ones * kernel,
        }
    )


def _join(a: KernelTable, b: KernelTable) -> KernelTable:
    return KernelTable(
        {c: np.concatenate([a.text[c], b.text[c]]) for c in a.text},
        {c: np.concatenate([a.number[c], b.number[c]]) for c in a.number},
    )


def _rows(table: KernelTable, target: np.ndarray, names: str) -> KernelRows:
    return KernelRows(
        table=table, target=target, targets=tuple(TargetTraits(n) for n in names.split())
    )


def _true_us(table: KernelTable, macs_per_us: float, launch_us: float = 20.0) -> np.ndarray:
    """A machine that computes at one speed and moves 4 bytes an element at 8 GB/s."""
    moved = 4 * (table["input_elements"] + table["output_elements"] + table["weight_elements"])
    return table["macs"] / macs_per_us + moved / 8e3 + launch_us


def test_half_precision_on_the_same_units_costs_no_more() -> None:
    """One class was measured slower in fp16: other classes and other cards learn nothing of it."""
    table = _join(_convs(60), _convs(30, 5, seed=1))
    both = _join(table, table)
    single, half = _true_us(table, 1e4), _true_us(table, 1e4)
    half[60:] *= 3.0
    sheets = [TargetTraits("c/fp32"), TargetTraits("c/fp16", Machine(precision="fp16"))]

    assert BY_BYTES.tolist() == [float(t not in ("compute", "launch")) for t in TERMS]

    def fit(names: tuple[str, str]) -> np.ndarray:
        traits = tuple(replace(t, name=n) for t, n in zip(sheets, names, strict=True))
        target = np.repeat([0, 1], len(table))
        rows = KernelRows(table=both, target=target, targets=traits)
        model = small_model().fit(rows, np.concatenate([single, half]))
        seen = model._describe(model.efficiencies_, traits)
        # the trees take both for one card: what they learned of one corrects the other
        assert (seen[0] == seen[1]).all() == names[1].endswith("/fp16")
        return model.efficiencies_.theta()

    wide, narrow = fit(("c/fp32", "c/fp16"))
    allowed = np.log(2) * BY_BYTES
    assert (narrow <= wide + allowed + 1e-9).all()
    wide, narrow = fit(("c/fp32", "c/fp16_tc"))
    assert (narrow > wide + allowed + 0.1).any()


def test_only_what_costs_more_than_allowed_is_cut() -> None:
    shape = {"term": 5, "family": (1, 5), "cell": (2, 5)}
    own = {"target_term": (2, 5), "target_family": (2, 1, 5), "target_cell": (2, 2, 5)}
    rng = np.random.default_rng(0)
    made = Efficiencies(
        cells=("conv1x1", "conv3x3"),
        families=(family_of("conv1x1"),),
        scale=np.array([0.3, -0.2]),
        **{name: rng.normal(size=s) for name, s in {**shape, **own}.items()},
    )
    allowed = np.linspace(-1, 1, 5)
    cut = no_slower(made, 1, 0, allowed)
    before, after = made.theta(), cut.theta()
    assert after[0] == pytest.approx(before[0])
    assert after[1] == pytest.approx(np.minimum(before[1], before[0] + allowed))
    known = np.minimum(made.of_family(1), made.of_family(0) + allowed)
    assert cut.of_family(1) == pytest.approx(known)
    assert cut.of_target(1) == pytest.approx(
        np.minimum(made.of_target(1), made.of_target(0) + allowed)
    )


def test_winograd_products_of_a_14_by_14_layer() -> None:
    # tiles of 6 x 6 outputs, 8 x 8 transformed: ceil(14 / 6)^2 = 9 tiles x 64 x 32 x 48 products;
    # MNN's rule prefers 4 x 4 outputs there: ceil(14 / 4)^2 = 16 tiles x 36 x 32 x 48
    table = table_from_rows(
        {
            "op": np.array(["conv2d"], dtype=object),
            **{c: np.array([14.0]) for c in ("hin", "win", "hout", "wout")},
            **{c: np.array([3.0]) for c in ("kh", "kw")},
            "cin": np.array([32.0]),
            "cout": np.array([48.0]),
        }
    )
    unit, products, _ = winograd_work(table)
    assert (unit[0], products[0]) == (4.0, 16 * 36 * 32 * 48)
    unit, products, _ = winograd_work(table, "acl")
    assert (unit[0], products[0]) == (4.0, 16 * 36 * 32 * 48)


def test_arm_library_runs_1x7_as_a_one_dimensional_winograd() -> None:
    # F(2, 7): 8 products for 2 outputs, so 17 columns take 9 tiles: 9 x 8 x 17 rows x 160 x 192
    table = table_from_rows(
        {
            "op": np.array(["conv2d"], dtype=object),
            **{c: np.array([17.0]) for c in ("hin", "win", "hout", "wout")},
            "kh": np.array([1.0]),
            "kw": np.array([7.0]),
            "cin": np.array([160.0]),
            "cout": np.array([192.0]),
        }
    )
    assert winograd_work(table, "acl")[1][0] == 9 * 8 * 17 * 160 * 192
    assert winograd_work(table, "best")[0][0] == 0


@pytest.mark.parametrize("overlap", ["none", "launch", "memory"])
def test_the_derivative_of_combined_terms_is_that_of_finite_differences(overlap: str) -> None:
    spent = np.abs(np.random.default_rng(0).normal(3, 1, (6, 5))) + 0.1
    _, slope = combine(spent, overlap)
    for j in range(5):
        step = np.zeros(5)
        step[j] = 1e-6
        change = (combine(spent + step, overlap)[0] - combine(spent - step, overlap)[0]) / 2e-6
        np.testing.assert_allclose(slope[:, j], change, rtol=1e-5)


def test_a_roofline_takes_the_longer_of_arithmetic_and_memory() -> None:
    # 4-norm of 100 and 10: 100 x (1 + 1e-4)^(1/4) = 100.0025, plus a launch of 5
    total, _ = combine(np.array([[100.0, 10.0, 0.0, 0.0, 5.0]]), "memory")
    assert total[0] == pytest.approx(105.0025, abs=1e-3)


def test_a_known_machine_is_recovered_on_unseen_shapes() -> None:
    table, asked = _convs(400), _convs(100, seed=9)
    model = small_model().fit(_rows(table, np.zeros(400, int), "a"), _true_us(table, 2e4))
    predicted = model.predict(_rows(asked, np.zeros(100, int), "a"))
    assert np.abs(predicted / _true_us(asked, 2e4) - 1).mean() < 0.04


def test_an_unmeasured_kind_of_kernel_is_borrowed_from_another_device() -> None:
    # device b is three times slower and never measured 3x3 stride-1 kernels, which a ran
    # twice as fast per product as its 1x1 kernels
    one, three = _convs(300), _convs(300, kernel=3, seed=1)

    def times(table: KernelTable, slow: float, gain: float) -> np.ndarray:
        work = work_of(table, Machine()).terms
        return slow * (work[:, 0] / gain + 0.3 * work[:, 1] + work[:, 4])

    table = _join(_join(one, three), one)
    target = np.repeat([0, 0, 1], 300)
    y = np.concatenate([times(one, 1, 1), times(three, 1, 2), times(one, 3, 1)])
    model = phone_model().fit(_rows(table, target, "a b"), y)
    asked = _convs(60, kernel=3, seed=5)
    predicted = model.predict(_rows(asked, np.ones(60, int), "a b"))
    # shrinkage keeps back a part of an effect seen on few rows
    assert abs(np.median(predicted / times(asked, 3, 2)) - 1) < 0.15


def test_ten_whole_network_times_set_the_scale_of_a_new_device() -> None:
    table = _convs(500)
    rows = _rows(table, np.repeat([0, 1], 250), "a b")
    y = _true_us(table, 2e4) * np.where(rows.target == 0, 1.0, 2.0)
    model = phone_model().fit(rows, y)
    new, member = _convs(100, seed=3), np.repeat(np.arange(10), 10)
    truth = 5.0 * _true_us(new, 2e4)
    made = model.population().calibrated(new, TargetTraits("c"), np.bincount(member, truth), member)
    asked = _convs(50, seed=4)
    total = made.parts_ms(asked).sum() * 1e3
    assert total == pytest.approx(5.0 * _true_us(asked, 2e4).sum(), rel=0.06)


def test_the_estimator_clones_and_is_deterministic() -> None:
    table = _convs(200)
    rows, y = _rows(table, np.zeros(200, int), "a"), _true_us(table, 1e4)
    model = phone_model()
    first = clone(model).fit(rows, y).predict(rows)
    assert clone(model).get_params() == model.get_params()
    assert np.array_equal(first, clone(model).fit(rows, y).predict(rows))


def test_a_predictor_is_plain_data_and_answers_the_same_after_reading() -> None:
    table = _convs(300)
    model = phone_model().fit(_rows(table, np.zeros(300, int), "a"), _true_us(table, 1e4))
    made = model.predictor(0)
    read = KernelPredictor.from_dict(json.loads(json.dumps(made.to_dict())))
    assert isinstance(read, Predictor)
    np.testing.assert_array_equal(read.parts_ms(table), made.parts_ms(table))
    np.testing.assert_array_equal(read.novelty(table), made.novelty(table))
    blocks = replace(made, machine=replace(made.machine, columns=32, channels=16))
    read = KernelPredictor.from_dict(json.loads(json.dumps(blocks.to_dict())))
    assert read.machine == blocks.machine


@pytest.mark.parametrize(
    "change",
    [
        {"limit": -1},
        {"limit": float("nan")},
        {"cells": {"conv1x1": [1, 2]}},
        {"cells": {"conv1x1": [1e9] * 5}},
        {"default": None},
        {"machine": {}},
        {"machine": {**MACHINE, "columns": 0}},
        {"inputs": ["no such feature"]},
        {"ranges": {"conv1x1": [[0, 0], [1, 1]]}},
        {"forests": {"conv": {"roots": []}}},
        {"surprise": 1},
    ],
)
def test_damaged_predictors_are_errors(change: dict[str, object]) -> None:
    table = _convs(100)
    model = phone_model().fit(_rows(table, np.zeros(100, int), "a"), _true_us(table, 1e4))
    with pytest.raises(ProfileError):
        KernelPredictor.from_dict({**model.predictor(0).to_dict(), **change})


def test_novelty_is_zero_inside_the_range_and_grows_beyond_it() -> None:
    table = _convs(300)
    model = phone_model().fit(_rows(table, np.zeros(300, int), "a"), _true_us(table, 1e4))
    made, wide = model.predictor(0), _convs(1, cin=512 * 1000)
    assert made.novelty(table).max() == 0
    assert made.novelty(wide)[0] > np.log(100)
    assert made.novelty(_convs(3, kernel=3)).min() >= 1  # never measured


def test_far_outside_the_data_time_follows_the_work() -> None:
    table = _convs(300)
    model = phone_model().fit(_rows(table, np.zeros(300, int), "a"), _true_us(table, 1e4))
    small, large = (_convs(1, cin=c, seed=2) for c in (100_000, 1_000_000))
    ratio = model.predictor(0).parts_ms(large).sum() / model.predictor(0).parts_ms(small).sum()
    assert ratio == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_impossible_times_are_refused_with_their_row(bad: float) -> None:
    table = _convs(50)
    y = _true_us(table, 1e4)
    y[7] = bad
    with pytest.raises(MeasurementError, match="row 8"):
        KernelModel().fit(_rows(table, np.zeros(50, int), "a"), y)


def test_growing_host_time_is_found_in_a_series() -> None:
    rng = np.random.default_rng(0)
    kernel = 60 + rng.exponential(300, 4000)
    drift = 250.0 * np.arange(4000) / 4000
    found = lookup_drift_us(kernel + drift, np.zeros(4000))
    assert np.abs(found - drift).max() < 40


def test_a_low_power_card_cannot_hold_its_peak() -> None:
    # 70 W / 18 pJ = 3.9 TFLOP/s of 8.1; 250 W / 18 pJ = 13.9 of 14.0
    assert GPU_SPECS["Tesla T4"].sustained_gflops() == pytest.approx(3889, rel=0.01)
    assert GPU_SPECS["Tesla V100-PCIE-32GB"].sustained_gflops() == pytest.approx(13300, rel=0.05)
    bare = GpuSpec(
        name="x",
        vendor="NVIDIA",
        fp32_gflops=100,
        bandwidth_gb_per_s=10,
        multiprocessors=1,
        l2_mb=1,
    )
    assert bare.sustained_gflops() == 100


def test_boards_of_one_die_are_one_family() -> None:
    assert gpu_family("NVIDIA A100 80GB PCIe") == gpu_family("NVIDIA A100-SXM4-40GB")
    assert gpu_family("Tesla V100") == gpu_family("Tesla V100-PCIE-32GB")


def test_pnasnet_mobile_of_the_arm_library_is_read_at_331(data_dir: Path) -> None:
    kernels = phone_set(read_phone_rows(data_dir), "acl", "cpu")
    mine = kernels.network == "pnasnet-mobile"
    assert kernels.rows.table["hin"][mine].max() == 331
    assert not set(kernels.rows.table["hin"][mine]) & {224.0, 112.0, 56.0, 28.0, 14.0}
