"""Learning a population: the law behind made-up devices is found, kin are told from strangers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel.calibration import learn
from perfmodel.calibration.adapt import adapt
from perfmodel.calibration.families import family_of_model
from perfmodel.calibration.learn import kin_spread, learn_population
from perfmodel.calibration.measured import NetworkTables
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.population import from_dict, to_dict
from perfmodel.calibration.strange_networks import StrangeNetworks
from perfmodel.cost_models.work_features import features_of
from perfmodel.cost_models.work_predictor import work_matrix
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import MeasurementTable
from tests.calibration.made_up import network, population

NETWORKS = ("mobilenet_v1", "mobilenet_v2", "squeezenet_1_1", "resnet18", "alexnet", "vgg11")
TABLES = NetworkTables()


def table(path: Path, devices: int, noise: float = 0.0, unit: str = "cpu") -> MeasurementTable:
    """Devices that take 1 ms per 50 million MACs, each at its own speed."""
    rng = np.random.default_rng(3)
    lines = ["device,unit,framework,precision,threads,affinity,model,latency_ms"]
    for device in range(devices):
        speed = np.exp(rng.normal(0, 0.5))
        for name in NETWORKS:
            ms = speed * TABLES.get(name, 1, "ncnn")["macs"].sum() / 50e6
            ms *= np.exp(rng.normal(0, noise))
            setup = "4,big" if unit == "cpu" else ","
            lines.append(f"board-{device},{unit},ncnn,float,{setup},{name},{ms:.6g}")
    path.write_text("\n".join(lines) + "\n")
    return read_measurements([path])[0]


def test_a_held_out_device_is_predicted_by_the_law_of_the_others(tmp_path: Path) -> None:
    known = learn_population(
        table(tmp_path / "t.csv", 8, 0.02), framework="ncnn", unit="cpu", networks=TABLES
    )
    assert (len(known.names), len(known.networks)) == (8, len(NETWORKS))
    tables = [TABLES.get(n, 1, "ncnn") for n in NETWORKS]
    one = MeasuredNetwork("", tables[3], 7.0)
    adapted = adapt([one], known)
    for made in tables:
        expected = 7.0 * made["macs"].sum() / tables[3]["macs"].sum()
        assert adapted.latency_ms(made) == pytest.approx(expected, rel=0.1)


def test_what_was_measured_stands_in_the_population_as_measured(tmp_path: Path) -> None:
    rows = table(tmp_path / "t.csv", 6)
    known = learn_population(rows, framework="ncnn", unit="cpu", networks=TABLES)
    times = rows.where(device="board-2", model="resnet18").column("latency_ms")
    place = known.names.index("board-2/cpu/ncnn/float/t4@big")
    assert np.exp(known.log_ms[place, known.networks.index("resnet18")]) == pytest.approx(times[0])
    assert known.measured.all()


@pytest.mark.parametrize("unit", ["cpu", "gpu"])
def test_a_population_learns_what_its_unit_pays_for_and_survives_its_file(
    unit: str, tmp_path: Path
) -> None:
    rows = table(tmp_path / "t.csv", 6, unit=unit)
    known = learn_population(rows, framework="ncnn", unit=unit, networks=TABLES)
    assert known.features == len(features_of(unit))
    again = from_dict(json.loads(json.dumps(to_dict(known))))
    assert again.log_cost == pytest.approx(known.log_cost, abs=1e-5)
    one = adapt([MeasuredNetwork("", TABLES.get("resnet18", 1, "ncnn"), 7.0)], again)
    assert len(one.predictor.log_cost) == len(features_of(unit))


def test_units_differ_in_how_far_their_targets_may_lie_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    near = {"hardware_sd": 1e-3, "hardware_shared_sd": 1e-3}
    monkeypatch.setattr(learn, "SPREADS", {"gpu": near})
    apart = []
    for unit in ("cpu", "gpu"):
        rows = table(tmp_path / f"{unit}.csv", 5, noise=0.3, unit=unit)
        costs = learn_population(rows, framework="ncnn", unit=unit, networks=TABLES).log_cost
        apart.append((costs - costs.mean(axis=1, keepdims=True)).std(axis=0).max())
    assert apart[1] < 1e-3 < apart[0]


def test_cores_are_those_of_each_device(tmp_path: Path) -> None:
    known = learn_population(
        table(tmp_path / "t.csv", 6),
        framework="ncnn",
        unit="cpu",
        networks=TABLES,
        cores={"board-1": "4xCortex-A53@1.4"},
    )
    assert known.cores == ("", "4xCortex-A53@1.4", "", "", "", "")


def test_without_a_measurement_intervals_are_judged_from_spec_sheets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Targets that started from their sheets had 59 % of measurements in their 90 % intervals."""
    rows, asked, misses = table(tmp_path / "t.csv", 6, 0.05), [], learn._misses

    def recorded(*given: Any) -> list[float]:
        _, devices, target, _, _, count, sheet = given
        asked.append((str(devices[target]), count, sheet is not None))
        return misses(*given)

    def judged(cores: dict[str, str]) -> tuple[float, set[tuple[str, bool]], bool]:
        asked.clear()
        known = learn_population(rows, framework="ncnn", unit="cpu", networks=TABLES, cores=cores)
        first = {(device, sheet) for device, count, sheet in asked if not count}
        return known.width_factors[0], first, any(s for _, count, s in asked if count)

    monkeypatch.setattr(learn, "_misses", recorded)
    sheets = {"board-1": "4xCortex-A53@1.4", "board-2": "4xCortex-A72@1.5"}
    alone, first, _ = judged({"board-1": sheets["board-1"]})
    assert first == {(f"board-{i}", False) for i in range(6)}
    both, first, measured = judged(sheets)
    assert first == {("board-1", True), ("board-2", True)}
    assert not measured
    assert both != alone


def test_quantised_targets_are_learned_beside_the_same_hardware_in_float(tmp_path: Path) -> None:
    """Devices whose memory differs: three quantised networks of products do not show it, float
    networks of the same hardware do."""
    rng, lines = np.random.default_rng(5), []
    truth: dict[int, float] = {}
    few, asked = ("resnet18", "alexnet", "vgg11"), TABLES.get("mobilenet_v2", 1, "ncnn")

    def ms(made: KernelTable, macs_cost: float, memory_cost: float) -> float:
        moved = float((made["input_elements"] + made["output_elements"]).sum())
        return float(macs_cost * made["macs"].sum() + memory_cost * 12 * moved) / 50e6

    for device in range(6):
        memory = float(np.exp(rng.normal(0, 1.0)))
        for name in NETWORKS:
            made = TABLES.get(name, 1, "ncnn")
            time = ms(made, 1, memory)
            if device:  # nobody ran float networks on the first
                lines.append(f"board-{device},cpu,ncnn,float,4,big,{name},{time:.6g}")
            if name in few:
                time = ms(made, 0.5, memory)
                lines.append(f"board-{device},cpu,ncnn,int8,4,big,{name},{time:.6g}")
        truth[device] = ms(asked, 0.5, memory)
    head = "device,unit,framework,precision,threads,affinity,model,latency_ms"
    path = tmp_path / "t.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    rows = read_measurements([path])[0]
    off = []
    for given in (rows, rows.where(precision="int8")):
        known = learn_population(
            given, framework="ncnn", unit="cpu", precision="int8", networks=TABLES
        )
        assert {n.split("/")[3] for n in known.names} == {"int8"}
        assert len(known.names) == 6
        said = work_matrix(asked, "int8").sum(axis=0) @ np.exp(known.log_cost).T
        order = [int(n.split("/")[0].removeprefix("board-")) for n in known.names]
        both = [d > 0 for d in order]
        off.append(float(np.std(np.log(said / [truth[d] for d in order])[both])))
    # what is left is the same for all devices: no network shows it
    assert off[0] < 0.5 * off[1]


def test_misses_are_counted_in_the_widths_that_a_new_target_gets() -> None:
    """Widths that follow left-out measurements held 86 % where they were to hold 90."""
    tables = [network(seed) for seed in range(10)]
    known = replace(population(tables, 12), width_factors={0: 3.0, 100: 3.0})
    devices = np.array([n.split("/")[0] for n in known.names])
    found = learn._misses(known, devices, 4, tables, np.random.default_rng(7), 5, None)
    order = np.random.default_rng(7).permutation(10)
    times = np.exp(known.log_ms[4])
    drawn = [MeasuredNetwork(known.networks[n], tables[n], float(times[n])) for n in order[:5]]
    adapted = adapt(drawn, known.without(devices == "device-4"), blocks=range(5))
    off = [abs(np.log(adapted.latency_ms(tables[n]) / times[n])) for n in order[5:]]
    assert found == pytest.approx(3.0 * np.array(off) / adapted.half_width_log, abs=0.02)


def test_a_strange_network_is_as_unsure_as_it_was_missed_beyond_what_the_target_misses() -> None:
    tables = [network(seed) for seed in range(10)]
    known = replace(population(tables, 12), width_factors={0: 2.0, 100: 2.0})
    campaign = learn.Campaign((), known.networks, known.networks, tuple(tables), known.log_ms)
    devices = np.array([n.split("/")[0] for n in known.names])
    missed = np.full(known.log_ms.shape, np.nan)
    missed[3] = 0.5
    times = np.exp(known.log_ms[3])
    measured = [
        MeasuredNetwork(n, t, float(ms))
        for n, t, ms in zip(known.networks, tables, times, strict=True)
    ]
    adapted = adapt(measured, known.without(devices == "device-3"), blocks=range(10))
    left = StrangeNetworks(
        by_costs=missed, missed=missed, novelty=0.0 * missed, strange=np.ones(10)
    )
    found = learn._strange_width(known, campaign, left, 0)
    whole = np.hypot(found * adapted.strayed, adapted.half_width_log)
    assert whole == pytest.approx(0.5)
    # where the target's own width holds all there is next to nothing to add
    within = replace(left, missed=0.0 * missed)
    assert learn._strange_width(known, campaign, within, 0) == 0.01


def test_too_few_targets_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="4 targets"):
        learn_population(
            table(tmp_path / "t.csv", 4), framework="ncnn", unit="cpu", networks=TABLES
        )
    with pytest.raises(MeasurementError, match="0 targets"):
        learn_population(
            table(tmp_path / "t.csv", 6), framework="ncnn", unit="gpu", networks=TABLES
        )


def test_the_spread_between_kin_is_that_of_pairs_not_of_all() -> None:
    """Two kinds of device that differ by 2 in one network's time, and by 0.1 among themselves."""
    rng = np.random.default_rng(0)
    kind = np.repeat([0.0, 2.0], 40)
    times = rng.normal(0, 0.1, (80, 12)) + np.outer(kind, np.eye(12)[0])
    names = np.array([f"d{i}" for i in range(80)])
    spread = kin_spread(np.zeros((80, 3)), times, np.ones((80, 12), dtype=bool), names)
    # the difference of two independent draws of sd 0.1, nearest ones chosen: below 2 x 0.01
    assert 0.005 < spread[3, 3] < 0.025
    assert np.linalg.eigvalsh(spread).min() > -1e-12


def test_the_speed_of_a_device_is_no_departure() -> None:
    """Devices that differ in speed alone: neither their costs nor their times depart."""
    speed = np.random.default_rng(4).normal(0, 0.4, 20)[:, None]
    names = np.array([f"d{i}" for i in range(20)])
    spread = kin_spread(
        np.zeros((20, 3)) + speed, np.zeros((20, 12)) + speed, np.ones((20, 12), dtype=bool), names
    )
    assert np.abs(spread).max() < 1e-12


def test_a_pair_that_was_not_measured_says_nothing() -> None:
    rng = np.random.default_rng(1)
    times = rng.normal(0, 0.1, (30, 12))
    measured = np.ones((30, 12), dtype=bool)
    measured[:, 5] = False
    times[:, 5] = 1e3
    names = np.array([f"d{i}" for i in range(30)])
    spread = kin_spread(np.zeros((30, 2)), times, measured, names)
    assert spread[7, 7] == pytest.approx(0.0, abs=1e-9)
    assert spread[2, 2] > 0.001


def test_a_device_is_no_kin_of_itself() -> None:
    """Its other thread counts would make devices look more alike than they are."""
    rng = np.random.default_rng(2)
    times = np.repeat(rng.normal(0, 0.3, (10, 12)), 2, axis=0)
    measured = np.ones((20, 12), dtype=bool)
    alone = kin_spread(np.zeros((20, 2)), times, measured, np.array([f"d{i}" for i in range(20)]))
    apart = kin_spread(
        np.zeros((20, 2)), times, measured, np.array([f"d{i // 2}" for i in range(20)])
    )
    assert np.trace(apart) > 1.1 * np.trace(alone)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("resnet50", "resnet_bottleneck"),
        ("resnet50@width=0.5", "resnet_bottleneck"),
        ("/a/b/resnet50_int8.param", "resnet50"),
        ("ncnn_models/vgg16.param", "vgg16"),
    ],
)
def test_variants_are_of_one_family(model: str, family: str) -> None:
    assert family_of_model(model) == family
