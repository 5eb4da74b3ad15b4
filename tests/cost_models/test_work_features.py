"""Features of kernels: one rate for all windows, extras that bounds hold, what streams."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.cost_models.hierarchy import beyond_limits
from perfmodel.cost_models.predictor import network_ms
from perfmodel.cost_models.work_amounts import MACS_PER_STEP
from perfmodel.cost_models.work_features import (
    ALL_FEATURES,
    FEATURE_NAMES,
    LIMITS,
    UNIT_FEATURES,
    feature_matrix,
    features_of,
)
from perfmodel.cost_models.work_features import (
    FEATURES as EVERY_UNIT,
)
from perfmodel.cost_models.work_predictor import WORK_UNIT, EfficiencyPredictor
from perfmodel.errors import ProfileError
from perfmodel.graph import GraphBuilder
from perfmodel.kernels import KernelTable, fuse

FEATURES = len(FEATURE_NAMES)


def conv(channels: int, size: int, kernel: int, stride: int, cout: int = 0) -> KernelTable:
    """The kernel of one convolution."""
    b = GraphBuilder("conv")
    y = b.conv(b.input((1, size, size, channels)), cout or channels, kernel, stride)
    return KernelTable.from_kernels(fuse(b.build(y), "ncnn"))


def depthwise(kernel: int) -> KernelTable:
    b = GraphBuilder("depthwise")
    return KernelTable.from_kernels(
        fuse(b.build(b.depthwise(b.input((1, 28, 28, 64)), kernel)), "ncnn")
    )


def macs_per_ms(table: KernelTable, log_cost: np.ndarray | None = None) -> float:
    costs = tuple(np.zeros(FEATURES) if log_cost is None else log_cost)
    return float(table["macs"].sum() / network_ms(EfficiencyPredictor(log_cost=costs), table))


@pytest.mark.parametrize(
    ("channels", "size", "measured"),
    # ncnn on one x86 core: MMAC/ms of 1x1, 3x3 stride 1, 3x3 stride 2 (LEADS of the data folder)
    [(128, 56, (46, 148, 51)), (256, 28, (53, 164, 55)), (512, 14, (55, 113, 50))],
)
def test_windows_of_stride_2_run_at_the_rate_of_1x1_and_winograd_faster(
    channels: int, size: int, measured: tuple[int, int, int]
) -> None:
    """What no measurement has told of a target: its costs are all alike."""
    shapes = [conv(channels, size, 1, 1), conv(channels, size, 3, 1), conv(channels, size, 3, 2)]
    point, square, strided = (macs_per_ms(s) for s in shapes)
    assert strided / point == pytest.approx(measured[2] / measured[0], rel=0.3)
    assert square / point == pytest.approx(measured[1] / measured[0], rel=0.45)


def test_no_window_beats_1x1_but_by_winograd_whatever_was_fitted() -> None:
    rng = np.random.default_rng(0)
    point, others = conv(256, 28, 1, 1), [(3, 2), (5, 1), (5, 2), (7, 1)]
    for _ in range(50):
        costs = rng.normal(0, 1.5, FEATURES)
        products = np.where(products_only(), costs, -30.0)
        rate = macs_per_ms(point, products)
        assert all(macs_per_ms(conv(256, 28, *o), products) <= rate for o in others)


def products_only() -> np.ndarray:
    """Features that count products."""
    return np.array(
        [n.endswith(("_macs", "_extra", "_products", "_padding")) for n in FEATURE_NAMES]
    )


def test_costs_within_the_bounds_keep_every_convolution_near_its_kin() -> None:
    """Uneven channels cost eight times as much at most, a 3x3 window as without Winograd."""
    rng = np.random.default_rng(1)
    direct = FEATURE_NAMES.index("direct_macs")
    for _ in range(50):
        costs = np.full(FEATURES, -30.0)
        costs[direct] = 0.0
        for limit in LIMITS:
            costs[limit.term] = np.log(rng.choice([limit.least, limit.most]))
        assert (beyond_limits(costs[None], LIMITS) == 0).all()
        even, uneven = (
            macs_per_ms(conv(256, 28, 1, 1), costs),
            macs_per_ms(conv(254, 28, 1, 1), costs),
        )
        assert even / 9 < uneven <= even * 1.001
        square, strided = (
            macs_per_ms(conv(256, 28, 3, 1), costs),
            macs_per_ms(conv(256, 28, 3, 2), costs),
        )
        assert even / 1.001 <= square <= 8 * even * 1.001
        assert even / 2 < strided <= even


def test_a_function_reads_and_writes_as_an_addition_does() -> None:
    b = GraphBuilder("function")
    x = b.input((1, 28, 28, 64))
    tables = [
        KernelTable.from_kernels(fuse(b.build(b.op(op, x)), "ncnn")) for op in ("relu", "sigmoid")
    ]
    light, function = (feature_matrix(t)[0] for t in tables)
    streamed = FEATURE_NAMES.index("elementwise")
    assert light[streamed] == function[streamed] > 0
    assert function.sum() > light.sum()


def test_depthwise_windows_beyond_5x5_cost_twice_a_product() -> None:
    place = FEATURE_NAMES.index("depthwise_macs")
    amounts = {k: feature_matrix(depthwise(k))[0, place] / k**2 for k in (3, 5, 7)}
    assert amounts[5] == pytest.approx(amounts[3])
    assert amounts[7] == pytest.approx(2 * amounts[3])


def test_what_only_some_units_pay_for_follows_what_all_do() -> None:
    assert features_of("cpu") == EVERY_UNIT == ALL_FEATURES[: len(EVERY_UNIT)]
    assert features_of("gpu") == ALL_FEATURES
    assert all(f.units for f in UNIT_FEATURES)
    assert not any(f.units for f in EVERY_UNIT)


def test_a_gpu_pays_for_the_length_of_sums_however_few_they_are() -> None:
    """A 3x3 window over 64 channels sums 576 products, over 128 channels 1,152, depthwise 9."""

    def steps(table: KernelTable) -> float:
        return float(feature_matrix(table, "fp32", UNIT_FEATURES)[0, 0]) / MACS_PER_STEP

    assert steps(conv(64, 28, 3, 1)) == steps(conv(64, 7, 3, 2)) == 576
    assert (steps(conv(128, 28, 3, 1)), steps(depthwise(3))) == (1152, 9)
    b = GraphBuilder("dense")
    flat = b.fc(b.input((1, 512)), 10)
    assert steps(KernelTable.from_kernels(fuse(b.build(flat), "ncnn"))) == 512


@pytest.mark.parametrize("unit", ["cpu", "gpu"])
def test_costs_of_a_unit_survive_their_file(unit: str) -> None:
    table, count = conv(64, 28, 3, 1), len(features_of(unit))
    costs = tuple(round(v, 5) for v in np.random.default_rng(2).normal(-3, 0.5, count))
    model = EfficiencyPredictor(log_cost=costs)
    data = model.to_dict()
    assert list(data["log_cost"]) == [f.name for f in features_of(unit)]
    again = EfficiencyPredictor.from_dict(data)
    assert again.log_cost == costs
    assert again.parts_ms(table) == pytest.approx(model.parts_ms(table))
    del data["log_cost"]["window_output"]
    with pytest.raises(ProfileError, match="log_cost"):
        EfficiencyPredictor.from_dict(data)


def test_the_length_of_sums_is_arithmetic_and_adds_to_the_rest() -> None:
    table, costs = conv(64, 28, 3, 1), (-3.0,) * len(ALL_FEATURES)
    plain, gpu = (
        EfficiencyPredictor(log_cost=costs[:n]).parts_ms(table)[0]
        for n in (len(EVERY_UNIT), len(ALL_FEATURES))
    )
    longer = 576 * MACS_PER_STEP / WORK_UNIT * np.exp(-3.0)
    assert gpu - plain == pytest.approx([longer, 0.0, 0.0])


@pytest.mark.parametrize("unit", ["cpu", "gpu"])
def test_two_vectors_never_take_less_than_one_on_any_unit(unit: str) -> None:
    """Where only single vectors were fitted, several meet the same weights and sums as one does."""
    names = [f.name for f in features_of(unit)]
    costs = np.full(len(names), -30.0)
    costs[[i for i, n in enumerate(names) if n in ("matrix_vector", "sum_lengths")]] = -3.0
    b, c = GraphBuilder("one"), GraphBuilder("two")
    kernels = [
        KernelTable.from_kernels(fuse(g.build(g.fc(g.input((rows, 512)), 10)), "ncnn"))
        for g, rows in ((b, 1), (c, 2))
    ]
    model = EfficiencyPredictor(log_cost=tuple(costs))
    one, two = (network_ms(model, k) for k in kernels)
    assert two == pytest.approx(one, rel=1e-6)
    assert two > 0
