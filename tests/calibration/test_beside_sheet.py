"""One measurement of a phone moves the targets that its chip's sheet gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.calibration.beside_sheet import measured_sheet, named_chip, targets_beside
from perfmodel.calibration.measured import TargetRows
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.devices.profile import TargetProfile
from perfmodel.devices.sheet_bounds import bounds_of, expect_bounded
from perfmodel.devices.sheet_data import shipped_sheets
from perfmodel.devices.spec_sheet import profile_of_chip
from perfmodel.errors import MeasurementError
from perfmodel.target import Target
from perfmodel.workload import workload
from perfmodel.zoo import build

CHIP = named_chip("Snapdragon 778G")
TARGET = Target("x", "cpu", "ncnn", "float", 4, "big")
KERNELS = workload(build("mobilenet_v2"), "ncnn").table
BEFORE = {t.target: t for t in profile_of_chip(CHIP, "x").targets}
EXPECTED_MS = float(BEFORE[TARGET].predictor.parts_ms(KERNELS).sum()) * float(
    np.exp(BEFORE[TARGET].predictor.network_terms([KERNELS]).log_factor[0])
)


def measured(times: float, target: Target = TARGET) -> TargetRows:
    """A run that took so many times as long as the sheet expects."""
    network = MeasuredNetwork("mobilenet_v2", KERNELS, times * EXPECTED_MS)
    return TargetRows(
        target=target,
        processor="",
        latency_kind="steady",
        measured=(network,),
        kernels=None,
        source="a table",
        build="",
        resolution_ms=0.0,
    )


def test_a_time_as_the_sheet_expects_is_its_speed() -> None:
    sheets = shipped_sheets()
    seen = measured_sheet(CHIP, measured(1.0), sheets)
    assert seen is not None
    expected = expect_bounded(sheets.model, bounds_of(sheets), [seen])
    assert seen.log_ms == pytest.approx(float(expected.log_ms[0]), abs=1e-3)
    twice = measured_sheet(CHIP, measured(2.0), sheets)
    assert twice is not None
    assert twice.log_ms - seen.log_ms == pytest.approx(np.log(2.0))


def test_more_networks_are_surer() -> None:
    one, sheets = measured(1.0), shipped_sheets()
    many = replace(one, measured=one.measured * 9)
    few_of, many_of = (measured_sheet(CHIP, g, sheets) for g in (one, many))
    assert few_of is not None
    assert many_of is not None
    assert many_of.variance < few_of.variance / 3


def mean_log_ms(target: TargetProfile) -> float:
    return target.model.shape.log_ms + target.model.log_factor  # type: ignore[union-attr]


def test_a_slow_phone_is_slow_in_all_its_targets_though_less_surely() -> None:
    found = {t.target: t for t in targets_beside(CHIP, "x", [measured(1.6)])}
    assert set(found) == set(BEFORE) - {TARGET}
    moved = {target: mean_log_ms(t) - mean_log_ms(BEFORE[target]) for target, t in found.items()}
    other_threads = moved[Target("x", "cpu", "ncnn", "float", 2, "big")]
    other_framework = moved[Target("x", "cpu", "tflite", "fp32", 4)]
    gpu = moved[Target("x", "gpu", "ncnn", "float")]
    assert np.log(1.6) > other_threads > other_framework > gpu > 0.0
    assert all("1 measurement of other targets" in t.provenance.note for t in found.values())
    near = Target("x", "cpu", "ncnn", "float", 2, "big")
    assert found[near].interval.high_log < BEFORE[near].interval.high_log


def test_what_tells_nothing_of_a_class_is_left_alone() -> None:
    strange = Target("x", "cpu", "tvm", "fp32", 4)
    assert measured_sheet(CHIP, measured(1.0, strange), shipped_sheets()) is None
    found = {t.target: t for t in targets_beside(CHIP, "x", [measured(1.6, strange)])}
    assert found.keys() == BEFORE.keys()
    assert found[TARGET].model == BEFORE[TARGET].model


def test_a_chip_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(MeasurementError, match="no chip") as caught:
        named_chip("Snapdragon 778Q")
    assert "Snapdragon 778G" in str(caught.value.hint)
