"""Targets learned from published latencies of whole networks, joined by kinds of processors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import perfmodel
from perfmodel.calibration import learn_networks
from perfmodel.calibration.families import Misses
from perfmodel.calibration.known_misfits import KNOWN_LOG, misfits_of
from perfmodel.calibration.learn_networks import errors_for, strange_times, times_to_hold
from perfmodel.calibration.network_pool import (
    POOL_PARAMETERS,
    Pool,
    PooledNetwork,
    base_framework,
    fitted,
    left_out,
    pool_of,
    pools,
)
from perfmodel.cost_models.likeness import descriptions
from perfmodel.cost_models.width_by_kind import KINDS_OF_WORK
from perfmodel.cost_models.work_features import ALL_FEATURES, FEATURES, Feature
from perfmodel.cost_models.work_model import JointEfficiencyModel
from perfmodel.cost_models.work_predictor import (
    EfficiencyPredictor,
    size_ranges,
    work_matrix,
)
from perfmodel.errors import MeasurementError
from perfmodel.kernels import KernelTable, fuse
from perfmodel.measurements.table import MeasurementTable, make_frame
from perfmodel.target import Target

BOARD = Target("board", "gpu", "tensorrt", "fp16")


def kernels(name: str) -> KernelTable:
    return KernelTable.from_kernels(fuse(perfmodel.load(name), "tensorrt"))


def row(name: str, ms: float, target: Target = BOARD, at_most: bool = False) -> PooledNetwork:
    return PooledNetwork(
        target=target, family=name, kernels=kernels(name), latency_ms=ms, at_most=at_most
    )


def table(rows: list[tuple[str, str, float]]) -> MeasurementTable:
    """Rows of (target, network, ms)."""
    parts = [t.split("/") for t, _, _ in rows]
    columns: dict[str, object] = {
        name: [p[place] for p in parts]
        for place, name in enumerate(("device", "unit", "framework", "precision"))
    }
    columns |= {"model": [n for _, n, _ in rows], "latency_ms": [ms for _, _, ms in rows]}
    columns |= {"batch": 1, "kind": "steady", "source": "s"}
    return MeasurementTable(make_frame(columns, "t.csv", range(2, len(rows) + 2)))


def test_builds_that_are_other_kernels_share_a_base() -> None:
    assert base_framework("torch7-cudnn-5.1") == "torch7-cudnn"
    assert base_framework("paddle-lite-armv7") == "paddle-lite"
    assert base_framework("tflite") == "tflite"


def test_processors_of_one_kind_share_a_pool() -> None:
    assert pool_of(Target("pixel-3", "gpu", "tflite", "fp16")) == "mobile-gpu"
    assert pool_of(Target("gtx-1080", "gpu", "torch7-nn", "fp32")) == "cuda"
    assert pool_of(Target("pixel-3", "nnapi", "tflite", "int8")) == "npu"
    # ncnn on an NVIDIA GPU tells of that GPU, not of phones' GPUs
    assert pool_of(Target("jetson-nano", "gpu", "ncnn", "float")) == "cuda"


def test_a_bound_that_the_fit_keeps_to_teaches_nothing() -> None:
    def second_ms(bound_ms: float) -> float:
        bound = row("mobilenet_v1", bound_ms, at_most=True)
        pool = Pool("cuda", (row("mobilenet_v1", 10.0), bound))
        pool.__dict__["work"] = pool.work * np.array([[1.0], [2.0]])
        model = fitted(pool, np.ones(2, dtype=bool))
        return float(model.predict(pool.inputs[1:])[0])

    assert second_ms(30.0) == pytest.approx(20.0, rel=0.01)
    assert second_ms(12.0) < 17.0


def test_a_target_of_bounds_alone_is_none() -> None:
    other = replace(BOARD, device="demo")
    (pool,) = pools([row("mobilenet_v1", 10.0), row("resnet18", 9.0, other, at_most=True)])
    assert pool.targets == (BOARD,)


def test_a_kind_of_kernel_is_learned_on_the_device_under_another_framework() -> None:
    """Depthwise convolutions are ten times as slow on one of two boards, whatever runs there; by
    TensorRT only the other board ran a network that has them."""
    nets = ("resnet18", "vgg11", "squeezenet_1_1", "mobilenet_v1", "mobilenet_v2")
    slow, usual = np.zeros((2, kernel_work("resnet18").size))
    depthwise = [i for i, n in enumerate(feature_names()) if n.startswith("depthwise")]
    slow[depthwise] = np.log(10.0)

    def ms(name: str, log_cost: np.ndarray, scale: float) -> float:
        return float(scale * kernel_work(name) @ np.exp(log_cost))

    rows = []
    for device, cost in (("a", slow), ("b", usual)):
        for framework, scale in (("tensorrt", 0.01), ("ncnn", 0.02)):
            target = Target(f"jetson-{device}", "gpu", framework, "fp16")
            for name in nets:
                if (device, framework) != ("a", "tensorrt") or not name.startswith("mobilenet"):
                    rows.append(row(name, ms(name, cost, scale), target))
    (pool,) = pools(rows)
    asked = pool.targets.index(Target("jetson-a", "gpu", "tensorrt", "fp16"))
    inputs = pool.inputs[pool.target == asked][:1].copy()
    inputs[:, 3:] = kernel_work("mobilenet_v2")
    alone = JointEfficiencyModel(**POOL_PARAMETERS["cuda"]).fit(pool.inputs, pool.latency_ms)
    joined = fitted(pool, np.ones(len(rows), dtype=bool))
    true, said = ms("mobilenet_v2", slow, 0.01), float(joined.predict(inputs)[0])
    assert 1.05 * float(alone.predict(inputs)[0]) < said < 1.1 * true


def kernel_work(name: str) -> np.ndarray:
    found: np.ndarray = work_matrix(kernels(name), "fp32").sum(axis=0)
    return found


def feature_names() -> tuple[str, ...]:
    from perfmodel.cost_models.work_features import FEATURE_NAMES

    return FEATURE_NAMES


def test_families_are_left_out_alone_or_in_parts() -> None:
    nets = ("mobilenet_v1", "resnet18", "vgg11")
    uneven = (1.0, 1.5, 0.8)
    rows = tuple(
        row(n, f * float(kernel_work(n).sum()) / 100) for n, f in zip(nets, uneven, strict=True)
    )
    pool = Pool("cuda", rows)
    alone, parts = left_out(pool).log_ratio, left_out(pool, 2).log_ratio
    assert np.isfinite(alone).all()
    # the first and the third are left out together
    assert parts[1] == pytest.approx(alone[1])
    assert parts[0] != pytest.approx(alone[0])
    # nothing is left of a target with one family
    nothing = left_out(Pool("cuda", rows[:1]))
    assert np.isnan(nothing.log_ratio).all()
    assert np.isnan(nothing.at_risk).all()


def test_a_left_out_network_is_at_risk_of_what_the_others_of_its_target_do_not_do() -> None:
    """Two networks of full convolutions say nothing of depthwise ones, and each all of itself."""
    rows = tuple(row(n, 2.0) for n in ("mobilenet_v1", "resnet18", "vgg11"))
    kinds = len(KINDS_OF_WORK)
    at_risk = left_out(Pool("cuda", rows)).at_risk
    assert at_risk[:, :kinds].sum(axis=1) == pytest.approx(1.0)
    depthwise = KINDS_OF_WORK.index("depthwise")
    assert at_risk[0, depthwise] == at_risk[0, kinds + depthwise] > 0.0
    assert at_risk[1, kinds + depthwise] == 0.0
    assert (at_risk[:, kinds:] <= at_risk[:, :kinds]).all()


def test_a_target_of_one_family_starts_from_its_data_sheet() -> None:
    """Data sheets: 0.472 TFLOP/s in fp16 and 25.6 GB/s, and 21.3 TFLOP/s of tf32 and 204.8 GB/s."""
    nano = Target("jetson-nano", "gpu", "tensorrt", "fp16")
    orin = Target("jetson-agx-orin", "gpu", "tensorrt", "fp32")
    nobody = Target("jetson-made-up", "gpu", "tensorrt", "fp16")
    rows = tuple(
        row(name, ms, target)
        for target, times in (
            (nano, {"resnet18": 11.4, "vgg11": 55.0, "mobilenet_v1": 6.0, "alexnet": 14.7}),
            (orin, {"resnet18": 1.0}),
            (nobody, {"resnet18": 5.0}),
        )
        for name, ms in times.items()
    )
    pool = Pool("cuda", rows)
    by_part = [
        {f.part: v for f, v in zip(FEATURES, pool.sheet_log[pool.targets.index(t)], strict=True)}
        for t in (nano, orin, nobody)
    ]
    assert by_part[0] == pytest.approx(
        {"compute": -np.log(0.472), "memory": -np.log(0.256), "overhead": 0.0}
    )
    assert by_part[1] == pytest.approx(
        {"compute": -np.log(21.3), "memory": -np.log(2.048), "overhead": 0.0}
    )
    assert set(by_part[2].values()) == {0.0}
    every = np.ones(len(rows), dtype=bool)
    plain, told = fitted(pool, every), fitted(pool, every, by_sheets=True)
    # its costs are per unit of plain work again
    assert told.predict(pool.inputs) == pytest.approx(pool.latency_ms, rel=0.15)
    place = {t: pool.targets.index(t) for t in (nano, orin)}
    feature = {f.name: i for i, f in enumerate(FEATURES)}

    def starts_per_product(model: JointEfficiencyModel, target: Target) -> float:
        cost = model.log_cost_[place[target]]
        return float(cost[feature["conv_starts"]] - cost[feature["direct_macs"]])

    apart = starts_per_product(told, orin) - starts_per_product(told, nano)
    assert apart > starts_per_product(plain, orin) - starts_per_product(plain, nano) + 1.0
    data = [(str(r.target), r.family, r.latency_ms) for r in rows]
    made = perfmodel.learn_networks(table(data)).profiles
    costs = {str(t.target): t.predictor.log_cost for p in made for t in p.targets}
    assert costs[str(orin)] == pytest.approx(told.log_cost_[place[orin]])
    assert costs[str(nano)] == pytest.approx(plain.log_cost_[place[nano]])


def test_errors_of_a_framework_speak_for_it_where_they_are_many() -> None:
    errors = np.array([0.1] * 30 + [0.5] * 30 + [np.nan])
    first = np.arange(61) < 30
    assert errors[errors_for(errors, first)].tolist() == [0.1] * 30
    assert errors_for(errors, np.arange(61) < 29).sum() == 60


def test_a_network_is_novel_by_what_its_framework_ran_of_other_families() -> None:
    other = replace(BOARD, framework="tensorrt-8.4")
    strange = replace(BOARD, framework="mnn", device="titan")
    rows = (
        row("resnet18", 2.0),
        row("vgg11", 9.0),
        row("vgg11", 8.0, other),
        row("alexnet", 3.0, other),
        row("alexnet", 3.0, strange),
    )
    pool = Pool("cuda", rows)
    model = fitted(pool, np.ones(5, dtype=bool))
    kin = np.array([base_framework(r.target.framework) for r in rows])
    found = learn_networks._novelty(pool, model, kin, 0)
    for i, others in enumerate(((1, 3), (0, 3), (0, 3), (0, 1))):
        ranges = size_ranges([rows[j].kernels for j in others])
        place = pool.targets.index(rows[i].target)
        costs = EfficiencyPredictor(log_cost=tuple(model.log_cost_[place]), ranges=ranges)
        spent = work_matrix(rows[i].kernels, "fp32") @ np.exp(model.log_cost_[place])
        assert found[i] == pytest.approx(costs.novelty(rows[i].kernels) @ spent / spent.sum())
    # nothing else ran under its framework
    assert found[4] == pytest.approx(1.0)
    assert found[1] > 0.2


def test_a_measured_network_is_known_on_its_target() -> None:
    """Two networks whose times the costs miss by a few percent, one of them at two batches."""
    tables = [kernels(n) for n in ("mobilenet_v1", "resnet18", "vgg11")]
    work = np.array([work_matrix(t, "fp32").sum(axis=0) for t in tables])
    described, cost = descriptions(tables), np.zeros(work.shape[1])
    twice = [0, 1, 1]
    known = misfits_of(described[twice], work[twice], np.log([1.1, 1.0, 0.94]))
    assert known.misfit == pytest.approx([np.log(1.1), np.log(0.94) / 2])
    correction = known.correction(cost, 0.5)
    factor, recognised = correction.of_described(described[:2])
    assert factor == pytest.approx(known.misfit, abs=0.01)
    assert recognised == pytest.approx([1.0, 1.0], abs=0.01)
    assert correction.terms([tables[2]]).extra_log == pytest.approx(0.5, abs=0.05)
    assert known.told(cost).unsure.sum() == pytest.approx(0.0, abs=0.01)


def test_what_laws_do_not_let_a_misfit_say_of_a_measured_network_widens_its_interval() -> None:
    """A network that takes a third of what costs say: half its logarithm is the most."""
    tables = [kernels(n) for n in ("mobilenet_v1", "resnet18")]
    work = np.array([work_matrix(t, "fp32").sum(axis=0) for t in tables])
    known = misfits_of(descriptions(tables), work, np.log([1 / 3, 1.02]))
    made = known.told(np.zeros(work.shape[1]))
    terms = made.terms(tables)
    beyond = np.log(3.0) + terms.log_factor[0]
    assert beyond > 0.5
    assert terms.extra_log == pytest.approx([beyond - KNOWN_LOG, 0.0], abs=1e-3)
    assert len(replace(known, misfit=np.zeros(2)).told(np.zeros(work.shape[1])).unsure) == 0


def misses(*values: float) -> Misses:
    """One of each family."""
    return Misses(np.array(values), np.arange(len(values)))


def test_errors_of_a_target_widen_its_interval_as_far_as_they_are_many() -> None:
    alike, none = misses(2.0, -2.0, 2.0), misses()
    assert strange_times(none, alike) == pytest.approx(1.5 * 2.0)
    # as many cases as the pool counts for: halfway, in logs
    assert strange_times(misses(*[-8.0] * 10), alike) == pytest.approx((8.0 * 2.0) ** 0.5)
    one = strange_times(misses(8.0), alike)
    assert one == pytest.approx(8.0 ** (1 / 11) * 2.0 ** (10 / 11))
    # a handful of errors of nothing does not make a target known
    assert strange_times(none, misses(1e-9)) == pytest.approx(1.5 * 0.3)


def test_networks_of_a_family_that_err_together_are_one_case() -> None:
    """Of forty errors in four families a tenth is large: all of one family's, or one in each."""
    errors = 0.1 + 0.001 * np.arange(40)
    together, spread = errors.copy(), errors.copy()
    together[:4] = spread[::10] = 1.0, 1.1, 1.2, 1.3
    family = np.repeat(np.arange(4), 10)
    # 4 of 40 beyond: a design effect of (3^2 + 3 x 1) / 3.6 = 3.3, 12 cases: 0.975 of them, the
    # 39th of 40
    assert times_to_hold(Misses(together, family)) == 1.2
    # each family has one: 40 cases, nine of ten with the finite sample's rank 37 of 40
    assert times_to_hold(Misses(spread, family)) == 1.0


def test_a_table_becomes_a_profile_of_each_device() -> None:
    rows = [
        (f"{device}/gpu/tensorrt/fp16", name, scale * float(kernel_work(name).sum()) / 100)
        for device, scale in (("a", 1.0), ("b", 3.0))
        for name in ("mobilenet_v1", "resnet18", "vgg11", "squeezenet_1_1")
    ]
    made = perfmodel.learn_networks(table([*rows, ("c/gpu/tensorrt/fp16", "no_such_network", 1.0)]))
    assert [p.device for p in made.profiles] == ["a", "b"]
    for profile, scale in zip(made.profiles, (1.0, 3.0), strict=True):
        (target,) = profile.targets
        assert (target.error.cases, target.provenance.measurements) == (4, 4)
        said = perfmodel.predict("resnet18", profile.device, profiles=(profile,))
        true = scale * float(kernel_work("resnet18").sum()) / 100
        assert said.latency_ms == pytest.approx(true, rel=0.05)
        strange = perfmodel.predict("resnet50", profile.device, profiles=(profile,))
        known = said.interval_ms[1] / said.interval_ms[0]
        assert strange.interval_ms[1] / strange.interval_ms[0] >= known
    with pytest.raises(MeasurementError, match="no network of the table is known"):
        perfmodel.learn_networks(table([("c/gpu/tensorrt/fp16", "no_such_network", 1.0)]))


@pytest.mark.parametrize(
    ("target", "paid"),
    [("phone/gpu/tflite/fp16", ALL_FEATURES), ("jetson/gpu/tensorrt/fp16", FEATURES)],
)
def test_phones_gpus_pay_for_the_length_of_sums(target: str, paid: tuple[Feature, ...]) -> None:
    nets = ("mobilenet_v1", "resnet18", "vgg11", "squeezenet_1_1")
    rows = [(target, name, float(kernel_work(name).sum()) / 100) for name in nets]
    (profile,) = perfmodel.learn_networks(table(rows)).profiles
    model = profile.targets[0].predictor
    assert isinstance(model, EfficiencyPredictor)
    assert len(model.log_cost) == len(paid)
    said = perfmodel.predict("resnet18", target, profiles=(profile,))
    assert said.latency_ms == pytest.approx(rows[1][2], rel=0.1)
