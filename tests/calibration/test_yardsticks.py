"""Yardsticks: chosen over the range of times, found again in a profile, and what they tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perfmodel.calibration.yardsticks import COUNT, DRAWING_FACT, chosen, drifts, yardsticks_of
from perfmodel.devices.profile import DeviceProfile, Fact
from perfmodel.runners.host_bench import RunConfig
from perfmodel.runners.random_nets import DRAWING
from tests.calibration.test_host_fit import SETUP, samples


def entry(ms: float, reference_ms: float) -> dict[str, Any]:
    raw = {
        "warmup_ms": [],
        "runs_ms": [ms] * 3,
        "started_s": 0.0,
        "load_ms": 1.0,
        "first_ms": 1.0,
        "per_op_us": {},
    }
    one = {"reference_before_ms": [reference_ms], "reference_after_ms": [reference_ms]}
    return {"sets": [{"raw": raw, **one}]}


def profile() -> DeviceProfile:
    facts = {name: Fact(value, "test") for name, value in chosen(samples(40)).items()}
    return DeviceProfile("host", "Host", "host", (), hardware=facts)


def test_yardsticks_cover_the_range_of_times_and_survive_in_a_profile() -> None:
    many = samples(40)
    found = yardsticks_of(profile())
    assert len(found) == COUNT
    assert {y.setup for y in found} == {SETUP}
    times = {s.key.rpartition("/")[2]: s.whole_ms for s in many}
    assert all(times[y.name] == y.then_ms for y in found)
    inside = sorted(t for t in times.values() if 1.0 <= t <= 30.0)
    assert min(y.then_ms for y in found) < inside[len(inside) // 4]
    assert max(y.then_ms for y in found) > inside[3 * len(inside) // 4]
    assert all(y.graph.name == y.name for y in found)


def test_a_yardstick_of_any_kind_is_the_network_that_was_measured() -> None:
    names = ["random_3", "random_image_3", "random_recurrent_3"]
    many = [
        replace(s, key=f"{SETUP}/{n}", whole_ms=5.0) for s, n in zip(samples(3), names, strict=True)
    ]
    facts = {k: Fact(v, "test") for k, v in chosen(many).items()}
    facts["yardstick_fp32_t1_resnet50_3_ms"] = Fact(1.0, "test")
    found = yardsticks_of(DeviceProfile("host", "Host", "host", (), hardware=facts))
    assert sorted(y.graph.name for y in found) == sorted(names)


def test_a_profile_whose_names_meant_other_networks_has_no_yardsticks() -> None:
    made = profile()
    assert made.hardware[DRAWING_FACT].value == DRAWING
    before = {**made.hardware, DRAWING_FACT: Fact(DRAWING - 1.0, "test")}
    assert yardsticks_of(replace(made, hardware=before)) == ()
    del before[DRAWING_FACT]
    assert yardsticks_of(replace(made, hardware=before)) == ()


def test_a_change_beyond_the_references_is_the_drift() -> None:
    found = yardsticks_of(profile())
    # the cores are a tenth slower, the memory makes networks slower by 4 % beyond that
    entries = {y.key: entry(1.1 * 1.04 * y.then_ms, 1.1) for y in found}
    usual = {SETUP: 1.0, RunConfig("int8", 1): 1.0}
    assert drifts(found, entries, usual)[SETUP] == pytest.approx(1.04)
    assert drifts(found, entries, usual)[RunConfig("int8", 1)] == 1.0
    few = dict(list(entries.items())[:2])
    assert drifts(found, few, usual)[SETUP] == 1.0
