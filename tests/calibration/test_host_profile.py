"""What a host's profile says of its machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.calibration.host_profile import changed_scaling, doubted, shared_cores
from perfmodel.cost_models.interval import Interval
from perfmodel.devices.profile import Fact, profile_from_dict, profile_to_dict, read_profile
from perfmodel.devices.registry import Resolved, builtin_folder
from perfmodel.prediction import predict_workload
from perfmodel.workload import workload
from perfmodel.zoo import build


def test_threads_that_share_cores_are_told_and_others_are_not() -> None:
    told = shared_cores(2, {2: 1.094})
    assert told.startswith("2 busy processes do 1.09 times the work of one")
    assert "2 threads" in told
    assert (
        shared_cores(2, {2: 1.94}) == shared_cores(1, {2: 1.09}) == shared_cores(4, {2: 1.0}) == ""
    )


def test_where_cores_are_shared_the_interval_reaches_from_a_core_each_to_one_for_all() -> None:
    interval = Interval(0.9, 0.1, 0.2, 0.5, 0.01)
    wide = doubted(interval, 2, {2: 1.25})
    # with a core each twice the work of one is done, not 1.25 times; with one core once
    assert wide.low_log == pytest.approx(0.1 + np.log(2 / 1.25))
    assert wide.high_log == pytest.approx(0.2 + np.log(1.25))
    assert (wide.novelty_slope, wide.short_ms) == (0.5, 0.01)
    assert doubted(interval, 2, {2: 0.9}).high_log == pytest.approx(0.2)
    assert doubted(interval, 2, {2: 1.9}) == doubted(interval, 1, {2: 1.1}) == interval


def test_threads_that_scale_otherwise_than_at_the_calibration_are_warned_of() -> None:
    then = {"scaling_t2": Fact(1.9, "measured"), "scaling_t4": Fact(3.8, "measured")}
    profile = replace(read_profile(builtin_folder() / "pixel-4.json"), hardware=then)
    told = changed_scaling(profile, {2: 1.1, 4: 3.4, 8: 1.0})
    assert told.startswith("2 busy processes do 1.10 times the work of one, 1.90 when")
    assert "4 busy" not in told
    assert "8 busy" not in told
    assert changed_scaling(profile, {4: 4.5}).startswith("4 busy processes")


def test_what_a_target_assumes_and_short_times_doubt_come_back_from_its_file() -> None:
    profile = read_profile(builtin_folder() / "pixel-4.json")
    own = profile.targets[0]
    doubted = replace(own.interval, short_ms=0.5)
    changed = replace(
        own,
        provenance=replace(own.provenance, assumes="threads share cores"),
        interval=doubted,
    )
    data = profile_to_dict(replace(profile, targets=(changed,)))
    (back,) = profile_from_dict(data).targets
    assert back.provenance.assumes == "threads share cores"
    assert back.interval == doubted
    # files of before stay as they are
    plain = profile_to_dict(replace(profile, targets=(own,)))["targets"][0]
    assert "assumes" not in plain["provenance"]
    assert "short_ms" not in plain["interval"]
    work = workload(build("mobilenet_v1@width=0.25"), "tflite-cpu")
    sure, unsure = (predict_workload(work, Resolved(profile, t)) for t in (own, back))
    assert unsure.notes == (*sure.notes, "threads share cores")
    # 0.5 ms either way on top: log(1 + 0.5 / L) on both sides
    stretch = 1 + 0.5 / sure.latency_ms
    low, high = sure.interval_ms
    assert unsure.interval_ms == pytest.approx((low / stretch, high * stretch))
