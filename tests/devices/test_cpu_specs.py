"""A target from its spec sheet: cores, peak, and whom it takes after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.calibration.from_spec import kinship, sheets_of, start_from_sheet
from perfmodel.calibration.population import Population
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.devices.cpu_specs import cpu_sheet
from perfmodel.errors import ProfileError

CHIP = "2xCortex-A76@2.4+4xCortex-A55@1.8"


def test_threads_fill_the_big_cores_first() -> None:
    sheet = cpu_sheet(CHIP, 3, "big")
    assert sheet.names == ("Cortex-A76", "Cortex-A76", "Cortex-A55")
    # 2 * 32 * 2.4 + 16 * 1.8 = 182.4
    assert sheet.peak_gflops == pytest.approx(182.4)


def test_little_starts_with_the_last_cluster() -> None:
    assert cpu_sheet(CHIP, 1, "little").names == ("Cortex-A55",)


def test_more_threads_than_cores_share_them() -> None:
    assert len(cpu_sheet(CHIP, 16, "all").names) == 6


@pytest.mark.parametrize("cores", ["four A76", "4xCortex-A76", "4xCortex-Z99@2.0", ""])
def test_what_is_no_core_list_is_refused(cores: str) -> None:
    with pytest.raises(ProfileError, match="core"):
        cpu_sheet(cores, 1, "all")


def test_kin_are_same_cores_then_same_family() -> None:
    one = cpu_sheet("4xCortex-A76@2.4", 4, "big")
    same = cpu_sheet("4xCortex-A76@2.0", 4, "big")
    cousin = cpu_sheet("4xCortex-A78@2.0", 4, "big")
    stranger = cpu_sheet("4xZen2@4.2", 4, "big")
    assert kinship(one, same) > kinship(one, cousin) > kinship(one, stranger) == 0


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


def test_a_chip_twice_as_fast_is_predicted_twice_as_fast() -> None:
    """Known targets whose time is exactly 1 / peak: the regression recovers the law."""
    chips = [f"{n}xCortex-A76@{clock}" for n in (1, 2, 4) for clock in (1.2, 1.8, 2.4, 3.0)]
    sheets = [cpu_sheet(chip, 8, "all") for chip in chips]
    population = known(chips, np.array([-np.log(s.peak_gflops) for s in sheets]))
    slow = start_from_sheet(cpu_sheet("2xCortex-A76@1.5", 8, "all"), population, sheets)
    fast = start_from_sheet(cpu_sheet("4xCortex-A76@1.5", 8, "all"), population, sheets)
    assert slow.log_scale is not None
    assert fast.log_scale is not None
    assert slow.log_scale - fast.log_scale == pytest.approx(np.log(2), abs=0.1)
    assert fast.scale_sd < 0.2
    # the law is scale = -log(peak); 4 cores at 1.5 GHz and 32 FLOPs a cycle: 192 GFLOP/s
    assert fast.log_scale == pytest.approx(-np.log(192.0), abs=0.1)


def test_targets_of_the_same_core_weigh_most() -> None:
    chips = ["4xCortex-A76@2.4", "4xCortex-A78@2.4", "4xZen2@4.2"]
    sheets = [cpu_sheet(chip, 4, "big") for chip in chips]
    start = start_from_sheet(
        cpu_sheet("4xCortex-A76@2.0", 4, "big"), known(chips, np.zeros(3)), sheets
    )
    assert start.weights[0] > start.weights[1] > 10 * start.weights[2] > 0
    assert start.weights.sum() == pytest.approx(1.0)


def test_sheets_are_made_of_the_cores_that_a_target_occupies() -> None:
    population = replace(
        known(["a/cpu/ncnn/float/t3@big", "b/cpu/ncnn/float/t1"], np.zeros(2)), cores=(CHIP, "")
    )
    first, second = sheets_of(population)
    assert first is not None
    assert first.names == ("Cortex-A76", "Cortex-A76", "Cortex-A55")
    assert second is None


def test_a_population_without_sheets_cannot_help() -> None:
    with pytest.raises(ProfileError, match="spec sheet"):
        start_from_sheet(cpu_sheet("1xZen2@4", 1, "all"), known(["a"], np.zeros(1)), [None])
