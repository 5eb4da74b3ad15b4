"""Learning kernels of many devices, and new devices from few kernels or a data sheet."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from perfmodel import (
    calibrate,
    gpu_profile,
    kernel_bounds,
    learn_kernels,
    predict,
    predict_kernels,
)
from perfmodel.calibration import learn_kernels as module
from perfmodel.calibration.from_kernels import _shipped_alike
from perfmodel.calibration.from_table import calibrate_device
from perfmodel.calibration.learn_kernels import LearnedKernels, target_traits
from perfmodel.cost_models.kernel_model import KernelModel, KernelRows
from perfmodel.cost_models.kernel_population import KernelPopulation
from perfmodel.devices.gpu_sheets import sheet_traits, sheets_by_device
from perfmodel.devices.kernel_populations import (
    population_name,
    read_population,
    shipped_population,
    write_population,
)
from perfmodel.errors import MeasurementError, ProfileError
from perfmodel.graph import GraphBuilder
from perfmodel.measurements import columns
from perfmodel.measurements.table import MeasurementTable
from perfmodel.target import Target


def conv_rows(
    count: int, macs_per_us: float, device: str, seed: int = 0, **more: Any
) -> list[dict[str, Any]]:
    """1x1 convolutions on a machine of one speed, 8 GB/s and a launch of 20 us."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(count):
        size, cin, cout = (int(rng.integers(*r)) for r in ((4, 60), (8, 512), (8, 512)))
        macs = size * size * cin * cout
        moved = 4 * (size * size * (cin + cout) + cin * cout)
        rows.append(
            {
                "device": device,
                "unit": "cpu",
                "framework": "mnn",
                "precision": "fp32",
                "threads": 1.0,
                "affinity": "big",
                "model": f"net{i % 4}",
                "op": "conv2d",
                "cin": cin,
                "cout": cout,
                "kh": 1,
                "kw": 1,
                "sh": 1,
                "sw": 1,
                "groups": 1,
                **dict.fromkeys(("hin", "win", "hout", "wout"), size),
                "batch": 1,
                "kind": "steady",
                "latency_us": macs / macs_per_us + moved / 8e3 + 20,
                **more,
            }
        )
    return rows


def table(*rows: dict[str, Any]) -> MeasurementTable:
    import pandas as pd

    frame = pd.DataFrame(list(rows))
    for column in columns.COLUMNS:
        if column.name not in frame:
            frame[column.name] = "" if column.dtype == "text" else np.nan
    origins = ("made.csv", np.arange(len(frame)) + 2, [()] * len(frame))
    for name, values in zip(columns.ORIGIN, origins, strict=True):
        frame[name] = values
    return MeasurementTable(frame)


@pytest.fixture(scope="module")
def two_phones() -> LearnedKernels:
    one = conv_rows(300, 2e4, "one")
    return learn_kernels(table(*one, *conv_rows(300, 1e4, "two", seed=1)))


def test_each_device_is_recovered_on_unseen_shapes(two_phones: LearnedKernels) -> None:
    asked = table(*conv_rows(80, 2e4, "one", seed=7), *conv_rows(80, 1e4, "two", seed=8))
    predicted = two_phones.predict_us(asked)
    assert np.abs(predicted / asked.column("latency_us") - 1).mean() < 0.04
    unknown = two_phones.predict_us(table(*conv_rows(2, 1e4, "three")))
    assert np.isnan(unknown).all()


def test_thirty_kernels_make_a_new_phone(two_phones: LearnedKernels) -> None:
    few = table(*conv_rows(30, 4e3, "three", seed=5))
    profile = calibrate(few, device="three", kernels=two_phones.population)
    (target,) = profile.targets
    assert str(target.target) == "three/cpu/mnn/fp32/t1@big"
    asked = table(*conv_rows(80, 4e3, "three", seed=6))
    predicted, measured = predict_kernels(asked, profile), asked.column("latency_us")
    assert predicted.sum() == pytest.approx(measured.sum(), rel=0.05)
    assert np.median(np.abs(predicted / measured - 1)) < 0.06
    # four networks' kernels, each left out: the sums are off by little
    assert target.error.cases == 4
    assert target.error.median < 0.06


def test_a_phone_that_is_a_known_one_at_another_speed_is_that_one_scaled() -> None:
    """A phone whose GPU waits long for each kernel was predicted as the mean of all."""
    waits = [r | {"latency_us": r["latency_us"] + 400} for r in conv_rows(300, 1e4, "slow", seed=1)]
    learned = learn_kernels(table(*conv_rows(300, 2e4, "one"), *waits))

    def thirds(seed: int, count: int) -> list[dict[str, Any]]:
        rows = conv_rows(count, 1e4, "three", seed=seed)
        return [r | {"latency_us": (r["latency_us"] + 400) / 3} for r in rows]

    few, asked = table(*thirds(5, 30)), table(*thirds(6, 80))
    (made,) = calibrate_device(few, device="three", kernels=learned).targets
    assert made.borrowed_from == "slow/cpu/mnn/fp32/t1@big"
    off = []
    for known in (learned, learned.population):
        profile = calibrate(few, device="three", kernels=known)
        off.append(abs(np.log(predict_kernels(asked, profile) / asked.column("latency_us"))))
    assert np.median(off[0]) < 0.5 * np.median(off[1])
    # what is known of the device itself is no evidence
    itself = replace(learned, targets={made.profile.target: next(iter(learned.targets.values()))})
    (alone,) = calibrate_device(few, device="three", kernels=itself).targets
    assert alone.borrowed_from == "the known targets of mnn on a cpu"


def test_a_phone_that_is_a_known_one_at_another_speed_has_its_kernels_as_they_were_timed() -> None:
    """What each kernel took on the known phone beyond any model is what it takes on the new one."""
    quirks = np.exp(np.random.default_rng(9).normal(0, 0.5, 300))

    def odd(device: str, factor: float) -> list[dict[str, Any]]:
        rows = conv_rows(300, 2e4, device)
        return [
            r | {"latency_us": r["latency_us"] * q * factor}
            for r, q in zip(rows, quirks, strict=True)
        ]

    learned = learn_kernels(table(*odd("one", 1.0), *conv_rows(300, 1e4, "two", seed=1)))
    new = odd("three", 3.0)
    few, asked = table(*new[:30]), table(*new[30:])
    off = []
    forgetful = replace(learned.population, known=None)
    for known in (learned, learned.population, forgetful):
        profile = calibrate(few, device="three", kernels=known)
        off.append(abs(np.log(predict_kernels(asked, profile) / asked.column("latency_us"))))
    assert np.median(off[0]) < 0.02
    assert np.median(off[1]) < 0.02
    assert np.median(off[2]) > 0.1


def test_phones_that_ship_are_known_by_framework_unit_and_precision() -> None:
    known = dict(_shipped_alike(Target("three", "gpu", "mnn", "fp16")))
    assert "oneplus5t" in {t.device for t in known}
    assert {(t.framework, t.unit, t.precision) for t in known} == {("mnn", "gpu", "fp16")}
    assert all(p.times_single_kernels for p in known.values())
    # many cards are known by their data sheets alone, which tell nothing of another
    cards = {t.device for t, _ in _shipped_alike(Target("card", "gpu", "pytorch", "fp32"))}
    assert "tesla-v100" in cards
    assert "amd-instinct-mi250" not in cards


def test_a_kind_of_kernel_that_no_known_phone_ran_starts_from_its_family(
    two_phones: LearnedKernels,
) -> None:
    known = conv_rows(30, 4e3, "three", seed=5)
    # 3x3 kernels with stride 2 (no Winograd) of a quarter of the speed by MACs
    new = [
        row | {"kh": 3, "kw": 3, "sh": 2, "sw": 2, "latency_us": 9 * 4 * row["latency_us"]}
        for row in conv_rows(20, 4e3, "three", seed=9)
    ]
    profile = calibrate(table(*known, *new), device="three", kernels=two_phones.population)
    predicted = predict_kernels(table(*new), profile)
    measured = np.array([row["latency_us"] for row in new])
    assert abs(np.median(np.log(predicted / measured))) < 0.3


def test_rows_of_two_frameworks_are_not_learned_as_one() -> None:
    rows = conv_rows(3, 1e4, "a") + conv_rows(3, 1e4, "b", framework="acl")
    with pytest.raises(MeasurementError, match="acl on cpu, mnn on cpu"):
        learn_kernels(table(*rows))


def test_a_table_without_kernels_teaches_nothing() -> None:
    row = conv_rows(1, 1e4, "a")[0] | {"latency_us": np.nan, "latency_ms": 1.0}
    with pytest.raises(MeasurementError, match="no kernel times"):
        learn_kernels(table(row))


def test_a_population_is_plain_data_and_makes_the_same_targets_after_reading(
    two_phones: LearnedKernels, tmp_path: Path
) -> None:
    path = tmp_path / "populations" / "kernels-mnn-cpu.json"
    write_population(two_phones.population, path)
    again = read_population(path)
    few = table(*conv_rows(30, 4e3, "three", seed=5))
    first = calibrate(few, device="three", kernels=two_phones.population)
    second = calibrate(few, device="three", kernels=again)
    one, two = (predict_kernels(few, profile) for profile in (first, second))
    assert two == pytest.approx(one, rel=1e-3)
    before = path.read_bytes()
    write_population(again, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"version": 2}, "version"),
        ({"format": "other"}, "format|is no"),
        ({"limit": -1}, "limit"),
        ({"traits": 2.5e9}, "traits"),
        ({"described": 1}, "described"),
        ({"shrinkage": {}}, "is missing"),
        ({"cells": {}}, "families"),
        ({"families": {}}, "families"),
        ({"term": [0.0]}, "term"),
        ({"terms": ["x"]}, "terms"),
        ({"forests": {"conv": {"roots": []}}}, "trees"),
        ({"inputs": ["no such feature"]}, "inputs"),
        ({"known": {"shapes": []}}, "log_us"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_damaged_populations_are_errors(
    two_phones: LearnedKernels, tmp_path: Path, change: dict[str, object], field: str
) -> None:
    path = tmp_path / "p.json"
    write_population(two_phones.population, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ProfileError, match=field):
        read_population(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_what_is_no_population_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(ProfileError):
        read_population(path)


def test_a_phones_threads_and_cluster_are_known_before_it_is_measured() -> None:
    little = target_traits(Target("x", "cpu", "acl", "float", 4, "little"))
    assert little.traits == (4.0, 1.0)
    assert (little.machine.precision, little.machine.winograd) == ("fp32", "acl")
    gpu = target_traits(Target("x", "gpu", "mnn", "fp16", 0, ""))
    assert gpu.traits == (1.0, 0.0)
    assert (gpu.machine.overlap, gpu.machine.winograd) == ("launch", "best")


def test_tensor_cores_are_told_from_the_data_sheet() -> None:
    v100 = sheets_by_device()["tesla-v100"]
    half = sheet_traits(v100, Target("v", "gpu", "pytorch", "fp16"))
    # NVIDIA, tensor cores: 112 TFLOP/s of fp16 are eight times the 14 of fp32
    assert (half.traits, half.machine.precision) == ((0.0, 1.0), "fp16_tc")
    # NVIDIA L4: 121 of fp16 are less than four times its 31 of fp32, and tensor cores give them
    l4 = sheet_traits(sheets_by_device()["nvidia-l4"], Target("l", "gpu", "pytorch", "fp16"))
    assert l4.traits == (0.0, 1.0)
    # cards that were timed by whole networks at batches that fill them
    amp = sheet_traits(v100, Target("v", "gpu", "pytorch-amp-nhwc", "fp16"))
    assert (amp.traits, amp.known_log) == ((), half.known_log)
    assert (amp.machine.overlap, amp.machine.winograd) == ("launch", "none")
    p100 = sheets_by_device()["tesla-p100"]
    half = sheet_traits(p100, Target("p", "gpu", "pytorch", "fp16"))
    assert (half.traits, half.machine.precision) == ((0.0, 0.0), "fp16")
    assert sheet_traits(p100, Target("p", "gpu", "pytorch", "fp32")).traits == (0.0,)


def test_populations_are_found_by_framework_unit_and_precision() -> None:
    def name(framework: str, precision: str) -> str:
        return population_name(Target("x", "gpu", framework, precision))

    assert name("pytorch", "fp32") == "kernels-pytorch-gpu"
    assert name("pytorch", "fp16") == name("miopen", "fp32") == "kernels-libraries-gpu"
    assert population_name(Target("x", "cpu", "acl", "fp32", 1)) == "kernels-acl-cpu"
    assert shipped_population(Target("x", "npu", "nothing", "int8")) is None


def test_a_card_of_twice_the_peak_and_bandwidth_is_nearly_twice_as_fast_on_large_kernels() -> None:
    sheet = replace(sheets_by_device()["tesla-v100"], fp32_gflops=20000, tdp_w=0)
    large = {"hin": 56, "win": 56, "hout": 56, "wout": 56, "cin": 512, "cout": 512, "batch": 32}
    rows = conv_rows(1, 1e6, "made", unit="gpu", framework="pytorch", threads=np.nan, **large)
    times = []
    for factor in (1, 2):
        faster = replace(sheet, fp32_gflops=20000 * factor, bandwidth_gb_per_s=1000 * factor)
        profile = gpu_profile("made", faster)
        assert profile.targets[0].provenance.measurements == 0
        times.append(predict_kernels(table(*rows), profile)[0])
    assert 1.6 < times[0] / times[1] < 2.2
    # 2 x 32 x 56^2 x 512^2 FLOPs at 20 TFLOP/s take 2.6 ms
    assert 2600 * 0.9 < times[0] < 2600 * 3


CARDS = {"tesla-v100": 1.0, "tesla-t4": 0.8, "nvidia-l4": 1.3}
"""Cards and how many times as long as their sheets promise their kernels take."""


@pytest.fixture(scope="module")
def cards() -> KernelPopulation:
    """What they share, each kernel off by up to a tenth beside its card."""
    quick = module.spec_model(0).set_params(trees=5)
    rng, rows = np.random.default_rng(3), []
    for seed, (name, factor) in enumerate(CARDS.items()):
        sheet = sheets_by_device()[name]
        speed = sheet.sustained_gflops() * 1e3 / 2
        more = {"unit": "gpu", "framework": "pytorch", "threads": np.nan, "affinity": ""}
        for row in conv_rows(60, speed, name, seed=seed, **more):
            own = factor * rng.uniform(0.9, 1.1)
            rows.append(row | {"latency_us": own * row["latency_us"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "spec_model", lambda seed: clone(quick))
        patch.setattr(module, "QUICK", {})
        return learn_kernels(table(*rows), shared_only=True).population


def test_cards_left_out_tell_how_unsure_a_data_sheet_is(cards: KernelPopulation) -> None:
    left_out = cards.left_out
    assert left_out is not None
    assert left_out.widths is not None
    assert left_out.error.cases == 180
    # 0.8 and 1.3 times what two others' mean says, and all read at 8 GB/s whatever sheets say
    assert 0.3 < left_out.widths.alone["conv"] < 2
    # a card's kernels err together, but for a tenth of their own
    assert left_out.widths.shared["conv"] > 0.6
    assert (left_out.interval.low_log, left_out.interval.high_log) == (0.0, 0.0)
    again = KernelPopulation.from_dict(json.loads(json.dumps(cards.to_dict())))
    assert again.left_out == left_out
    alone = learn_kernels(
        table(*conv_rows(50, 1e6, "tesla-t4", unit="gpu", framework="pytorch", threads=np.nan)),
        shared_only=True,
    )
    assert alone.population.left_out is None


def test_no_card_is_among_those_that_its_sheet_is_judged_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    class Noted(KernelModel):
        def fit(
            self, X: KernelRows, y: np.ndarray, weight: np.ndarray | None = None
        ) -> KernelModel:
            seen.append({X.targets[t].name.split("/")[0] for t in X.target})
            return super().fit(X, y, weight)

    settings = {**module.spec_model(0).get_params(), "trees": 1}
    monkeypatch.setattr(module, "spec_model", lambda seed: Noted(**settings))
    monkeypatch.setattr(module, "QUICK", {})
    more = {"unit": "gpu", "framework": "pytorch", "threads": np.nan}
    rows = [row for name in CARDS for row in conv_rows(12, 1e6, name, **more)]
    # whatever novelty explains is no width
    monkeypatch.setattr(module, "beyond_novelty", lambda log, novelty, slope: 0.5 * slope + 0 * log)
    left_out = learn_kernels(table(*rows), shared_only=True).population.left_out
    assert left_out is not None
    assert left_out.widths is not None
    assert left_out.widths.alone == {"conv": 0.5}
    assert seen[0] == set(CARDS)
    assert sorted(seen[1:], key=sorted) == sorted((set(CARDS) - {c} for c in CARDS), key=sorted)


def test_a_kernel_and_a_network_of_it_alone_are_told_with_one_interval(
    cards: KernelPopulation,
) -> None:
    profile = gpu_profile("tesla-p100", population=cards)
    (row,) = conv_rows(1, 1.0, "tesla-p100", unit="gpu", framework="pytorch", threads=np.nan)
    b = GraphBuilder("one")
    x = b.input((1, int(row["hin"]), int(row["win"]), int(row["cin"])))
    graph = b.build(b.conv(x, int(row["cout"]), 1, bias=False))
    said = predict(graph, "tesla-p100/gpu/pytorch/fp32", profiles=[profile])
    (bounds,) = kernel_bounds(table(row), profile) / 1e3
    (time,) = predict_kernels(table(row), profile) / 1e3
    assert said.latency_ms == pytest.approx(time)
    assert said.interval_ms == pytest.approx(bounds)
    assert cards.left_out is not None
    assert cards.left_out.widths is not None
    width = cards.left_out.widths.alone["conv"]
    # nothing of the card is measured, so that what is novel widens fully
    assert np.log(bounds[1] / time) == pytest.approx(width + said.novelty)
    assert np.log(time / bounds[0]) == pytest.approx(width + said.novelty)
    unknown = row | {"device": "other"}
    assert np.isnan(kernel_bounds(table(unknown), profile)).all()


def test_a_gpu_without_a_data_sheet_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="no data sheet of 'nothing'"):
        gpu_profile("nothing")


@pytest.mark.parametrize(
    ("device", "framework", "models"),
    [
        ("tesla-t4", "pytorch", ["spec", "gpu"]),
        ("tesla-t4", "cudnn", ["spec", "library"]),
        ("no-sheet-of-it", "pytorch", ["phone"]),
    ],
)
def test_cards_with_a_data_sheet_share_what_sheets_leave_open(
    monkeypatch: pytest.MonkeyPatch, device: str, framework: str, models: list[str]
) -> None:
    used: list[str] = []

    def recorded(name: str) -> Callable[[int], KernelModel]:
        def make(seed: int) -> KernelModel:
            used.append(name)
            return KernelModel(trees=2, min_rows=5, pool=name != "gpu", spec_only=name == "spec")

        return make

    for name in ("spec", "gpu", "library", "phone"):
        monkeypatch.setattr(module, f"{name}_model", recorded(name))
    rows = conv_rows(30, 1e6, device, unit="gpu", framework=framework, threads=np.nan)
    learned = learn_kernels(table(*rows))
    assert sorted(used) == sorted(models)
    assert [t.device for t in learned.targets] == [device]
    # a card's own effects are no part of what sheets leave open
    assert learned.population.described == (models == ["phone"])
