"""What a host's profile says of its machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.calibration.host_profile import changed_scaling, doubted, unsteady_cores
from perfmodel.cost_models.interval import Interval
from perfmodel.devices.profile import Fact, profile_from_dict, profile_to_dict, read_profile
from perfmodel.devices.registry import Resolved, builtin_folder
from perfmodel.prediction import predict_workload
from perfmodel.runners.scaling import Scaling, scaling_facts
from perfmodel.workload import workload
from perfmodel.zoo import build

INTERVAL = Interval(0.9, 0.1, 0.2, 0.5, 0.01)


def always(scaling: float) -> Scaling:
    return Scaling(scaling, scaling)


@pytest.mark.parametrize(
    ("threads", "seen", "told"),
    [
        (2, always(1.094), "2 busy processes do 1.09 times the work of one on this machine: its "
         "threads share cores, and times on 2 threads"),
        (2, Scaling(1.05, 1.85), "2 busy processes do 1.05 to 1.85 times the work of one on this "
         "machine: its threads share cores at times, and"),
        (4, Scaling(3.0, 3.9), "4 busy processes do 3.00 to 3.90 times the work of one on this "
         "machine: its cores are not always free, and"),
        (2, Scaling(1.75, 2.0), ""),
    ],
)  # fmt: skip
def test_threads_that_share_cores_ever_are_told_and_others_are_not(
    threads: int, seen: Scaling, told: str
) -> None:
    assert unsteady_cores(threads, {threads: seen}).startswith(told)
    assert bool(unsteady_cores(threads, {threads: seen})) == bool(told)
    assert unsteady_cores(threads + 1, {threads: seen}) == ""


def test_where_cores_are_always_shared_the_interval_reaches_from_one_each_to_one_for_all() -> None:
    wide = doubted(INTERVAL, 2, {2: always(1.25)})
    # with a core each twice the work of one is done, not 1.25 times; with one core once
    assert wide.low_log == pytest.approx(0.1 + np.log(2 / 1.25))
    assert wide.high_log == pytest.approx(0.2 + np.log(1.25))
    assert (wide.novelty_slope, wide.short_ms) == (0.5, 0.01)
    assert doubted(INTERVAL, 2, {2: always(0.9)}).high_log == pytest.approx(0.2)
    assert doubted(INTERVAL, 2, {2: always(1.9)}) == INTERVAL
    assert doubted(INTERVAL, 1, {2: always(1.1)}) == INTERVAL


def test_where_cores_are_shared_at_times_the_interval_reaches_what_was_seen_at_others() -> None:
    # times may be of 1.05: with 1.85 they are shorter; or of 1.85: with one core longer
    wide = doubted(INTERVAL, 2, {2: Scaling(1.05, 1.85)})
    assert wide.low_log == pytest.approx(0.1 + np.log(1.85 / 1.05))
    assert wide.high_log == pytest.approx(0.2 + np.log(1.85))
    # four threads that never shared a core: no farther than what was seen
    wide = doubted(INTERVAL, 4, {4: Scaling(3.0, 4.2)})
    assert wide.low_log == pytest.approx(0.1 + np.log(4 / 3))
    assert wide.high_log == pytest.approx(0.2 + np.log(4 / 3))


def test_threads_that_scale_otherwise_than_at_the_calibration_are_warned_of() -> None:
    # a profile of before has one figure
    facts = {"scaling_t2": 1.9} | scaling_facts({4: Scaling(3.4, 3.8)})
    then = {name: Fact(value, "measured") for name, value in facts.items()}
    profile = replace(read_profile(builtin_folder() / "pixel-4.json"), hardware=then)
    told = changed_scaling(profile, {2: Scaling(1.1, 1.8), 4: Scaling(3.0, 4.3), 8: always(1.0)})
    assert told == (
        "2 busy processes do 1.10 to 1.80 times the work of one, 1.90 when the profile was made: "
        "times on 2 threads are off by as much; calibrate again"
    )
    for now in (Scaling(2.9, 3.8), Scaling(3.4, 4.4)):
        told = changed_scaling(profile, {4: now})
        assert told.startswith(f"4 busy processes do {now} times the work of one, 3.40 to 3.80")


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
