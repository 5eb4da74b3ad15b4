"""The studies of kernels, on phones and GPUs that are made up: their times follow laws we know."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import perfmodel
from perfmodel.errors import PerfmodelError
from perfmodel.measurements.table import MeasurementTable
from tests.calibration.test_learn_kernels import conv_rows, table
from validation.accuracy import gpus, phones, transformers
from validation.accuracy.kernels import (
    cross_conformal,
    network_cases,
    proportional,
    simple_columns,
)
from validation.data.kernel_rows import KernelTimes, read_eager_gpus, read_phones

SPEEDS = {"one": 2e4, "two": 1e4, "three": 5e3}
"""MACs per microsecond of three made-up phones."""


@pytest.fixture(scope="module")
def kernels() -> KernelTimes:
    """200 convolutions of four networks on each phone, the same on all."""
    rows = []
    for device, speed in SPEEDS.items():
        mine = conv_rows(200, speed, device)
        rows += [row | {"layer": f"layer {i}"} for i, row in enumerate(mine)]
    return KernelTimes(table(*rows))


def test_rows_know_their_target_family_and_size(kernels: KernelTimes) -> None:
    assert set(kernels.target) == {f"{d}/cpu/mnn/fp32/t1@big" for d in SPEEDS}
    gpu = table({"device": "d", "unit": "gpu", "framework": "mnn", "precision": "fp16"})
    assert KernelTimes(gpu).target.tolist() == ["d/gpu/mnn/fp16"]
    named = table({"model": "nasnet_large"}, {"model": "alexnet"})
    assert KernelTimes(named).family.tolist() == ["nasnet", "alexnet"]
    assert len(kernels.take(np.arange(5))) == len(kernels.only(device="one").take(np.arange(5)))
    assert set(kernels.only(device="two").device) == {"two"}


def test_elements_and_macs_by_hand() -> None:
    square = dict.fromkeys(("hin", "win", "hout", "wout"), 5)
    conv = {"op": "conv2d", "batch": 2, "cin": 4, "cout": 6, "kh": 3, "kw": 3, "groups": 2}
    rows = table(
        conv | square,
        {"op": "bmm", "batch": 3, "m": 2, "n": 5, "k": 7},
        {"op": "linear", "batch": 1, "m": 2, "n": 5, "k": 7},
        {"op": "relu", "elements": 10},
    )
    made = KernelTimes(rows)
    # 2 x 6 x 25 x 4/2 x 9; 3 x 2 x 5 x 7; 2 x 5 x 7; none
    assert made.macs.tolist() == [5400, 210, 70, 0]
    # 2 x (100 + 150) + 4/2 x 6 x 9; 3 x (14 + 10 + 35); 14 + 10 + 35; read and written
    assert made.elements.tolist() == [608, 177, 59, 20]


def test_sums_leave_out_networks_that_are_not_predicted(kernels: KernelTimes) -> None:
    said = kernels.latency_us * 2
    said[(kernels.device == "two") & (kernels.network == "net1")] = np.nan
    cases = network_cases(kernels, said, kernels.family)
    assert len(cases.names) == 11
    assert cases.names[0] == "one/cpu/mnn/fp32/t1@big net0"
    assert cases.predicted / cases.measured == pytest.approx(np.full(11, 2.0))
    first = (kernels.device == "one") & (kernels.network == "net0")
    assert cases.measured[0] == pytest.approx(kernels.latency_us[first].sum() / 1e3)
    assert cases.label[0] == "net0"
    assert cases.target[0] == "one/cpu/mnn/fp32/t1@big"


def test_an_interval_rests_on_the_errors_of_other_labels() -> None:
    measured = np.array([1.0] * 20 + [1.0] * 20)
    predicted = np.array([2.0] * 20 + [0.5] * 20)
    bounds = cross_conformal(predicted, measured, ["a"] * 20 + ["b"] * 20)
    # those of b were twice what was predicted, those of a half; one label tells no side
    assert bounds[0] == pytest.approx([1.0, 4.0])
    assert bounds[20] == pytest.approx([0.25, 1.0])
    # kinds that err unlike one another have bounds of their own; one of a single label that of all
    kind = np.array((["x"] * 10 + ["y"] * 10) * 2, dtype=object)
    unlike = np.where(kind == "y", 1.1, 1.0) * predicted
    by_kind = cross_conformal(predicted, unlike, ["a"] * 20 + ["b"] * 20, kind)
    assert by_kind[:10] == pytest.approx(np.column_stack([predicted[:10]] * 2))
    sides = np.array([1 / 1.1, 1.1])
    assert by_kind[10:20] == pytest.approx(predicted[10:20, None] * sides)
    kind[20:] = "z"
    mixed = cross_conformal(predicted, unlike, ["a"] * 20 + ["b"] * 20, kind)
    assert mixed[0] == pytest.approx(predicted[0] * sides)
    alone = cross_conformal(predicted[:20], measured[:20], ["a"] * 20)
    assert alone[0] == pytest.approx([1.0, 4.0])


def test_simple_models_recover_their_own_law(kernels: KernelTimes) -> None:
    columns = simple_columns(kernels)
    assert list(columns) == ["FLOPs", "roofline"]
    said = proportional(kernels, kernels.family, columns["roofline"])
    # the phones' law is MACs over a speed, bytes over another, and a constant
    assert said == pytest.approx(kernels.latency_us, rel=0.01)
    flops = proportional(kernels, kernels.family, columns["FLOPs"])
    assert np.mean(np.abs(flops / kernels.latency_us - 1)) > 0.05
    one_label = proportional(kernels, np.full(len(kernels), "x"), columns["FLOPs"])
    assert np.isnan(one_label).all()


def test_networks_left_out_of_known_phones(
    kernels: KernelTimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phones, "read_phones", lambda data: kernels)
    monkeypatch.setattr(phones, "SETS", (("mnn", "cpu"),))
    networks, single = phones.leave_network_out(Path(), 0)
    assert (networks.target_kind, networks.cases, single.cases) == ("mnn cpu", 12, 600)
    assert networks.experiment == "phones, leave one network out, whole networks"
    assert networks.median_error < 0.05
    assert single.median_error < 0.1
    assert networks.spearman == 1.0
    assert set(networks.baselines) == {"FLOPs", "roofline"}


def test_the_left_out_network_is_not_learned_from(
    kernels: KernelTimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfmodel.calibration.learn_kernels import learn_kernels

    seen = []

    def learn(rows: MeasurementTable, *, seed: int) -> object:
        seen.append((set(rows.column("model")), seed))
        return learn_kernels(rows, seed=seed)

    monkeypatch.setattr(perfmodel, "learn_kernels", learn, raising=False)
    few = kernels.take(np.isin(kernels.network, ["net0", "net1"]))
    phones.left_out_us(few, few.family, 3)
    assert seen == [({"net1"}, 3), ({"net0"}, 3)]


def test_a_phone_never_seen(kernels: KernelTimes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones, "read_phones", lambda data: kernels)
    monkeypatch.setattr(phones, "SETS", (("mnn", "cpu"),))
    monkeypatch.setattr(phones, "DRAWINGS", 2)
    (result,) = phones.new_phone(Path(), 0)
    assert (result.target_kind, result.cases) == ("mnn cpu, 30 kernels", 12 * phones.DRAWINGS)
    assert result.median_error < 0.05
    assert result.coverage is not None
    assert set(result.baselines) == {"nearest scaled"}


def test_the_kernels_to_measure_are_drawn_without_a_look_at_their_times(
    kernels: KernelTimes,
) -> None:
    mine, others = kernels.only(device="three"), kernels.take(kernels.device != "three")
    learned = perfmodel.learn_kernels(others.table)
    first = phones.choose(mine, others, learned, 0)
    slower = mine.table.frame.assign(latency_us=mine.latency_us[::-1])
    again = phones.choose(KernelTimes(MeasurementTable(slower)), others, learned, 0)
    assert first.tolist() == again.tolist()
    assert len(set(first.tolist())) == phones.KERNELS
    # the heavier the likelier
    assert mine.latency_us[first].mean() > mine.latency_us.mean()


def test_the_nearest_phone_is_the_one_whose_times_differ_most_evenly(
    kernels: KernelTimes,
) -> None:
    mine, others = kernels.only(device="three"), kernels.take(kernels.device != "three")
    found = phones.nearest_scaled(mine, np.arange(30), others)
    two = kernels.only(device="two")
    scale = np.median(mine.latency_us[:30] / two.latency_us[:30])
    net0 = two.latency_us[two.network == "net0"].sum()
    assert found["net0"] == pytest.approx(scale * net0)
    strange = KernelTimes(MeasurementTable(mine.table.frame.assign(layer="unknown")))
    assert phones.nearest_scaled(strange, np.arange(30), others) == {}


# -- the tables as published


PHONE_COLUMNS = [
    "source",
    "device",
    "soc",
    "unit",
    "framework",
    "precision",
    "threads",
    "core_cluster",
    "model",
    "layer",
    "op",
    "batch",
    "cin",
    "hin",
    "win",
    "cout",
    "hout",
    "wout",
    "kh",
    "kw",
    "sh",
    "sw",
    "groups",
    "latency_us",
]


def phone_line(device: str, framework: str, model: str, size: int) -> list[object]:
    shape = [8, size, size, 8, size, size, 3, 3, 1, 1, 1]
    head = ["s", device, "soc", "cpu", framework, "fp32", 1, "big", model, "a layer", "conv2d", 1]
    return [*head, *shape, 50.0]


def test_broken_runs_are_left_out_and_wrong_sizes_put_right(tmp_path: Path) -> None:
    import gzip

    with gzip.open(tmp_path / "layers_phones.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(PHONE_COLUMNS)
        writer.writerow(phone_line("huawei_mate_20", "mnn", "inception-v3", 28))
        writer.writerow(phone_line("huawei_mate_20", "mnn", "alexnet", 28))
        writer.writerow(phone_line("mi9", "acl", "pnasnet-mobile", 28))
        writer.writerow(phone_line("mi9", "mnn", "pnasnet-mobile", 28))
        for size in (224, 111, 112, 56, 14, 21, 7):
            writer.writerow(phone_line("mi9", "acl", "pnasnet-mobile", size))
    found = read_phones(tmp_path).table.frame
    assert found["model"].tolist() == ["alexnet", *["pnasnet_mobile"] * 9]
    # halves of 331, rounded up or down; 21 is no size of the smaller input
    sizes = [28, 42, 28, 331, 165, 166, 83, 21, 21, 11]
    assert found["hin"].tolist() == found["wout"].tolist() == sizes


def eager_rows(device: str, factor: float) -> list[dict[str, object]]:
    """Products and convolutions at a share of the card's peak, with 5 us of launch."""
    rng, rows = np.random.default_rng(0), []
    gflops = gpus.SHEETS[device].fp32_gflops
    for i in range(120):
        m, n, k = (int(rng.integers(64, 2048)) for _ in range(3))
        macs = m * n * k
        rows.append(
            {
                "device": device,
                "unit": "gpu",
                "framework": "pytorch",
                "precision": "fp32",
                "op": "linear" if i % 2 else "bmm",
                "m": m,
                "n": n,
                "k": k,
                "batch": 1,
                "kind": "steady",
                "latency_us": 2 * macs / (factor * gflops * 1e3) + 5,
            }
        )
    return rows


CARDS = ("tesla-v100", "tesla-t4", "tesla-p100", "nvidia-a100-pcie-40gb")


@pytest.fixture(scope="module")
def cards() -> KernelTimes:
    return KernelTimes(table(*(row for card in CARDS for row in eager_rows(card, 0.6))))


def test_a_gpu_never_seen_is_learned_from_other_families(
    cards: KernelTimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "device": "Tesla T4",
        "model": "bert_large",
        "mode": "inference",
        "seq_len": 128,
        "batch": 1,
        "layers": 2,
        "hidden": 256,
        "heads": 4,
        "ffn": 1024,
        "vocab": 1000,
        "latency_ms": 3.0,
    }
    train = row | {"mode": "train", "latency_ms": 9.0}
    monkeypatch.setattr(gpus, "read_kernels", lambda data: cards)
    monkeypatch.setattr(gpus, "read_networks", lambda data: [row, train])
    results = gpus.unseen_gpus(Path(), 0)
    by_kind = {r.target_kind: r for r in results}
    assert [r.cases for r in results] == [480, 240, 240, 1, 1]
    assert by_kind["bmm"].median_error < 0.15
    forward, training = results[-2:]
    assert forward.experiment == "unseen GPU from its data sheet, whole networks"
    # a training step is three passes, of which this one took exactly three
    assert training.median_error == pytest.approx(forward.median_error)
    # a single family has no other to learn the inefficiency from
    assert forward.baselines == {}


def test_the_same_shape_on_the_nearest_card_is_scaled_by_the_peaks(cards: KernelTimes) -> None:
    said = gpus.scaled_neighbour(cards)
    # all cards follow one law but for the launch, which is scaled too
    assert np.median(np.abs(said / cards.latency_us - 1)) < 0.2
    alone = cards.only(device=CARDS[0])
    assert np.isnan(gpus.scaled_neighbour(alone)).all()


def test_flops_take_the_inefficiency_of_other_families() -> None:
    devices = ["tesla-t4", "tesla-v100"]
    peak = [gpus.SHEETS[d].fp32_gflops * 1e6 for d in devices]
    flops = np.array([1e12, 1e12])
    measured = np.array([2 * 1e12 / peak[0], 4 * 1e12 / peak[1]])
    said = gpus.flops_baseline(flops, devices, measured, np.array(["a", "b"], dtype=object))
    assert said == pytest.approx([4 * 1e12 / peak[0], 2 * 1e12 / peak[1]])


def test_a_network_that_cannot_be_predicted_is_an_error() -> None:
    with pytest.raises(PerfmodelError, match="no_such_network"):
        gpus.predicted([("no_such_network", "tesla-t4", 1)], ())


def test_transformers_are_networks_of_the_zoo_at_the_sizes_of_their_rows() -> None:
    row = {
        "model": "gpt3_27",
        "mode": "train",
        "seq_len": 64,
        "layers": 2,
        "hidden": 128,
        "heads": 4,
        "ffn": 256,
        "vocab": 500,
    }
    assert transformers.spec(row) == (
        "gpt3_2_7b@sequence=64,layers=2,hidden=128,heads=4,ffn=256,vocabulary=500"
    )
    assert transformers.passes(row) == 3.0
    assert transformers.passes(row | {"mode": "inference"}) == 1.0
    for name in transformers.NAMES:
        perfmodel.load(transformers.spec(row | {"model": name}))


def test_rows_of_several_gpus_and_of_fused_runs_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "e2e_gpu.csv").write_text(
        "device,model,parallel,fused\nA,x,none,0\nB,x,none,1\nC,x,tensor,0\n"
    )
    assert [r["device"] for r in transformers.read_networks(tmp_path)] == ["A"]


def test_the_hosts_growing_time_is_taken_off_convolutions(tmp_path: Path) -> None:
    head = "source,device,unit,framework,precision,op,batch,cin,hin,win,cout,hout,wout,kh,kw,sh,sw"
    head += ",groups,m,n,k,elements,latency_us"
    lines = [
        f"neusight,Tesla T4,gpu,pytorch-2,fp32,conv2d,1,{i + 1},8,8,8,8,8,3,3,1,1,1,,,,,"
        f"{1000 + 10 * i}"
        for i in range(100)
    ]
    lines.append("neusight,Tesla T4,gpu,pytorch-2,fp32,bmm,1" + "," * 11 + ",8,8,8,,70")
    (tmp_path / "layers_gpu.csv").write_text("\n".join([head, *lines]) + "\n")
    found = read_eager_gpus(tmp_path, {"tesla-t4": (8000.0, 300.0)})
    assert found.latency_us[:100] == pytest.approx(np.full(100, 1000.0), rel=0.01)
    assert found.latency_us[100] == 70
