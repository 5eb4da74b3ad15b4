"""A target from its spec sheet: cores, speed, and whom it takes after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.calibration.from_spec import sheets_from, sheets_of, start_from_sheet
from perfmodel.calibration.population import Population
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.devices.cpu_specs import CORES, GENERATIONS, cpu_sheet
from perfmodel.devices.sheet_data import MeasuredSheet, shipped_sheets
from perfmodel.errors import ProfileError
from perfmodel.target import Target

CHIP = "2xCortex-A76@2.4+4xCortex-A55@1.8"


def test_threads_fill_the_big_cores_first() -> None:
    sheet = cpu_sheet(CHIP, 3, "big")
    assert sheet.names == ("Cortex-A76", "Cortex-A76", "Cortex-A55")
    assert sheet.clocks_ghz == (2.4, 2.4, 1.8)
    big, little = CORES["Cortex-A76"].rate, CORES["Cortex-A55"].rate
    assert sheet.rates == pytest.approx((2.4 * big, 2.4 * big, 1.8 * little))


def test_every_generation_of_arm_has_its_place_among_the_others() -> None:
    assert {c.generation for c in CORES.values() if c.family == "arm"} == set(GENERATIONS)


def test_little_starts_with_the_last_cluster() -> None:
    assert cpu_sheet(CHIP, 1, "little").names == ("Cortex-A55",)


def test_more_threads_than_cores_share_them() -> None:
    sheet = cpu_sheet(CHIP, 16, "all")
    assert (len(sheet.names), sheet.asked) == (6, 16)


@pytest.mark.parametrize("cores", ["four A76", "4xCortex-A76", "4xCortex-Z99@2.0", ""])
def test_what_is_no_core_list_is_refused(cores: str) -> None:
    with pytest.raises(ProfileError, match="core"):
        cpu_sheet(cores, 1, "all")


def known(names: list[str], log_ms: np.ndarray) -> Population:
    """Targets that ran one network."""
    features = len(FEATURE_NAMES)
    return Population(
        framework="ncnn",
        unit="cpu",
        precision="float",
        names=tuple(names),
        networks=("n",),
        anchors=np.full((1, features), features**-0.5),
        work=np.ones((1, features)),
        log_cost=np.tile(log_ms[:, None] - np.log(features), (1, features)),
        log_ms=log_ms[:, None],
        measured=np.ones((len(names), 1), dtype=bool),
        spread=np.eye(features + 1) * 0.01,
        wide=np.eye(features) * 0.01,
        noise_sd=0.05,
        strange_sd=0.1,
        strange_width=0.2,
        cores=("",) * len(names),
    )


def asked(cores: str, threads: int = 4) -> MeasuredSheet:
    target = Target("new", "cpu", "ncnn", "float", threads, "big")
    return MeasuredSheet(target=target, chip="new", title="new", kind="board", cores=cores)


def named(chips: list[str], threads: int = 4) -> list[str]:
    return [f"chip-{i}/cpu/ncnn/float/t{threads}@big" for i in range(len(chips))]


def of_chips(chips: list[str], log_ms: np.ndarray) -> Population:
    return replace(known(named(chips), log_ms), cores=tuple(chips))


def test_a_chip_twice_as_fast_is_predicted_twice_as_fast() -> None:
    """Known targets whose time is exactly 1 / clock: the regression recovers the law."""
    clocks = np.array([1.2, 1.5, 1.8, 2.1, 2.4, 2.7, 3.0])
    chips = [f"4xCortex-A76@{clock}" for clock in clocks]
    population = of_chips(chips, 8.0 - np.log(clocks))
    slow = start_from_sheet(asked("4xCortex-A76@1.3"), population, {})
    fast = start_from_sheet(asked("4xCortex-A76@2.6"), population, {})
    assert slow.log_scale is not None
    assert fast.log_scale is not None
    # so slow that memory, which does not speed up with the clock, hardly counts
    assert slow.log_scale - fast.log_scale == pytest.approx(np.log(2), abs=0.08)
    assert fast.log_scale == pytest.approx(8.0 - np.log(2.6), abs=0.05)
    assert fast.scale_sd < 0.3


def test_targets_of_the_same_core_weigh_most() -> None:
    chips = ["4xCortex-A76@2.4", "4xCortex-A78@2.4", "4xZen2@4.2"]
    start = start_from_sheet(asked("4xCortex-A76@2.0"), of_chips(chips, np.zeros(3)), {})
    assert start.weights[0] > start.weights[1] > 10 * start.weights[2] > 0
    assert start.weights.sum() == pytest.approx(1.0)


def test_a_target_with_as_many_threads_weighs_more_in_the_shape() -> None:
    chips = ["4xCortex-A76@2.4"] * 2
    population = replace(
        of_chips(chips, np.zeros(2)),
        names=("a/cpu/ncnn/float/t1@big", "b/cpu/ncnn/float/t4@big"),
    )
    start = start_from_sheet(asked("4xCortex-A76@2.0"), population, {})
    assert start.weights[1] > 1.5 * start.weights[0]


def test_sheets_are_made_of_the_cores_that_a_target_occupies() -> None:
    population = replace(
        known(["a/cpu/ncnn/float/t3@big", "b/cpu/ncnn/float/t1"], np.array([1.0, 2.0])),
        cores=(CHIP, ""),
    )
    first, second = sheets_of(population, {})
    assert first is not None
    assert (first.cores, first.target.threads, first.log_ms) == (CHIP, 3, 1.0)
    assert second is None


def test_a_run_without_the_newest_networks_is_an_old_one() -> None:
    population = replace(
        of_chips([CHIP, CHIP], np.zeros(2)),
        networks=("ncnn_models/FastestDet.param",),
        measured=np.array([[True], [False]]),
    )
    new, old = sheets_of(population, {})
    assert new is not None
    assert old is not None
    assert (new.old, old.old) == (False, True)


def test_a_population_without_sheets_cannot_help() -> None:
    with pytest.raises(ProfileError, match="spec sheet"):
        start_from_sheet(asked("1xZen2@4"), known(["a/cpu/ncnn/float"], np.zeros(1)), {})


def test_intervals_of_what_ships_are_those_of_its_own_measured_targets() -> None:
    """Each class by its own chips as far as it has some, else by all of its unit."""
    shipped = shipped_sheets()
    spreads = {place: error.network_sd for place, error in shipped.errors.items()}
    again = sheets_from(shipped.known, shipped.shapes, spreads).errors
    for place, error in shipped.errors.items():
        assert again[place].factor == pytest.approx(error.factor, rel=0.02)
        assert again[place].cases == error.cases
    assert again["cpu/ncnn/int8"].factor > 1.1 * again["cpu/ncnn/float"].factor
