"""Energy of an inference on phones: hand arithmetic, two independent routes, and bounds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

import perfmodel
from perfmodel.cost_models.interval import COVERAGE
from perfmodel.devices.energy import (
    STUDY_PRECISIONS,
    EnergyRate,
    KernelWork,
    busy_cores_mw,
    energy_rate,
    kernel_rates,
    most_of_any_phone_mw,
)
from perfmodel.devices.market import Chip, chip, chips
from perfmodel.devices.registry import ProfileFolder
from perfmodel.workload import kernel_work, workload

WORK = KernelWork(kernels=10, macs=2e9, moved_bytes=3e8)


def soc(*clusters: tuple[int, float]) -> Chip:
    return replace(chips()["snapdragon-888"], core_mw=clusters)


class TestBusyCores:
    @pytest.mark.parametrize(
        ("threads", "little", "milliwatts"),
        [
            (1, False, 1000.0),  # the one fastest core
            (2, False, 1500.0),
            (4, False, 2500.0),
            (6, False, 2700.0),  # 1000 + 3 x 500 + 2 x 100
            (50, False, 2900.0),  # no more cores than there are
            (2, True, 200.0),
            (5, True, 900.0),
        ],
    )
    def test_threads_keep_the_fastest_cores_busy_first(
        self, threads: int, little: bool, milliwatts: float
    ) -> None:
        phone = soc((4, 100.0), (3, 500.0), (1, 1000.0))
        assert busy_cores_mw(phone, threads, little=little) == milliwatts

    def test_clusters_of_a_measured_processor(self) -> None:
        # kdrag0n/freqbench, Snapdragon 888: clusters from cores 0, 4 and 7 at full clock
        measured = chip("Snapdragon 888")
        assert measured is not None
        assert measured.core_mw == ((4, 147.1), (3, 907.6), (1, 1635.9))


class TestRates:
    def test_power_times_time(self) -> None:
        assert EnergyRate(active_mw=2000.0, source="").mj(30.0, WORK) == pytest.approx(60.0)

    def test_energy_of_work(self) -> None:
        rate = EnergyRate(pj_per_mac=50.0, pj_per_byte=100.0, pj_per_kernel=1e6, source="")
        # 2e9 x 50 pJ = 100 mJ, 3e8 x 100 pJ = 30 mJ, 10 x 1e6 pJ = 0.01 mJ
        assert rate.mj(1e9, WORK) == pytest.approx(130.01)
        assert rate.mean_mw(100.0, WORK) == pytest.approx(1300.1)

    def test_no_more_than_the_unit_can_draw(self) -> None:
        rate = EnergyRate(pj_per_mac=50.0, most_mw=5000.0, log_sd=1.0, source="")
        assert rate.mj(10.0, WORK) == pytest.approx(50.0)  # 100 mJ in 10 ms were 10 W
        found = rate.energy(10.0, (8.0, 12.0), WORK)
        assert found.interval_mj[1] == pytest.approx(60.0)
        assert found.interval_mj[0] == pytest.approx(40.0 / math.exp(1.6449), rel=1e-4)

    def test_the_interval_is_that_of_the_latency_and_of_the_rate(self) -> None:
        rate = EnergyRate(active_mw=1000.0, log_sd=0.5, source="cores")
        found = rate.energy(10.0, (8.0, 12.0), WORK)
        spread = math.exp(1.6449 * 0.5)
        assert found.mj == pytest.approx(10.0)
        assert found.interval_mj == pytest.approx((8 / spread, 12 * spread), rel=1e-4)
        assert found.source == "cores; 90 % within a factor of 2.3"


class TestShippedTargets:
    @pytest.fixture
    def folder(self) -> ProfileFolder:
        return ProfileFolder()

    def test_what_is_known_of_which_target(self, folder: ProfileFolder) -> None:
        def source(target: str) -> str:
            rate = energy_rate(folder.resolve(target))
            return "" if rate is None else rate.source

        assert source("snapdragon-888/cpu/ncnn").startswith("power of the busy cores")
        assert "unknown phone" in source("snapdragon-888/gpu/ncnn")
        assert source("jetson-nano/gpu/tensorrt") == ""  # no board's power was measured
        assert source("pixel-4/nnapi/tflite/int8") == ""  # nor that of int8 kernels or NPUs
        assert source("pixel-4/cpu/tflite/int8").startswith("power of the busy cores")

    def test_no_phone_draws_more_than_any_measured_one(self, folder: ProfileFolder) -> None:
        """A short network once took 97 mJ in 7.4 ms on a phone, 13 W."""
        assert 4000 < most_of_any_phone_mw() < 10_000
        asked = 0
        for target in ("snapdragon-888/cpu/ncnn", "snapdragon-888/gpu/ncnn", "pixel-4/gpu/tflite"):
            for spec in ("mobilenet_v2", "resnet50", "vgg16"):
                rate, answer, done = self.ask(folder, target, spec)
                power = rate.mean_mw(answer.latency_ms, done)
                assert 0 < power <= most_of_any_phone_mw() * (1 + 1e-9)
                asked += 1
        assert asked == 9

    @staticmethod
    def ask(folder: ProfileFolder, target: str, spec: str) -> tuple[EnergyRate, Any, KernelWork]:
        resolved = folder.resolve(target)
        rate = energy_rate(resolved)
        assert rate is not None
        place = resolved.target.target
        work = workload(perfmodel.load(spec), place.framework)
        return rate, perfmodel.predict(spec, target), kernel_work(work, place.precision).total()

    def test_two_independent_routes_agree_in_the_median(self, folder: ProfileFolder) -> None:
        """Power of busy cores times predicted time, against the energy of kernels in the study.

        Cores were measured by CoreMark on other phones than the one of the study; the frameworks
        differ by their speed. What is left is the scatter that the table's `log_sd` holds.
        """
        ratios = []
        for target in (
            *("xiaomi-mi-6/cpu/tnn", "oneplus5t/cpu/mnn", "pixel-2/cpu/tvm", "pixel-2/cpu/tflite"),
            *("pixel-3/cpu/tflite", "pixel-4/cpu/tflite", "snapdragon-660/cpu/ncnn"),
            *("snapdragon-888/cpu/ncnn", "snapdragon-855/cpu/mnn", "snapdragon-845/cpu/tnn"),
            *("xiaomi-mi-mix-2s/cpu/mace", "xiaomi-mi-8/cpu/paddle-lite"),
        ):
            for spec in ("mobilenet_v2", "resnet50", "squeezenet", "vgg16"):
                rate, answer, done = self.ask(folder, target, spec)
                assert rate.active_mw > 0
                assert folder.resolve(target).target.target.precision in STUDY_PRECISIONS
                by_kernels = kernel_rates()["cpu"].mj(answer.latency_ms, done)
                ratios.append(math.log(rate.mj(answer.latency_ms, done) / by_kernels))
        assert abs(np.median(ratios)) < 0.25
        assert np.std(ratios) < kernel_rates()["cpu"].log_sd + 0.1


def test_the_table_is_what_its_script_writes(data_dir: Path) -> None:
    from validation.profiles.energy_table import energy_rows

    for row in energy_rows(data_dir):
        rate = kernel_rates()[str(row["unit"])]
        assert rate.pj_per_mac == float(str(row["pj_per_mac"]))
        assert rate.pj_per_kernel == float(str(row["pj_per_kernel"]))
        assert rate.log_sd == float(str(row["log_sd"]))


def test_an_interval_holds_nine_of_ten_of_a_normal_distribution() -> None:
    rate = EnergyRate(active_mw=1.0, log_sd=1.0, source="made up")
    sides = NormalDist().inv_cdf((1 + COVERAGE) / 2)
    assert rate.spread == pytest.approx(math.exp(sides), rel=1e-12)
