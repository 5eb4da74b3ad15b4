"""Every example runs (made small here), and the answers that its head promises hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfmodel.sim import simulate

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL: dict[str, dict[str, Any]] = {
    "camera_30fps.toml": {"task.workload.duration_s": 5},
    "guo2018.toml": {},
    "guo_today.toml": {},
    "metro_ride.toml": {"task.workload.duration_s": 200},
    "million_requests.toml": {"task.workload.requests": 5000},
    "mm1.toml": {"task.workload.requests": 20_000},
    "phones_10000.toml": {"device.count": 300, "task.workload.requests": 20},
    "several_objects.toml": {"task.workload.requests": 80},
}


def run(name: str) -> Any:
    return simulate(EXAMPLES / name, replications=2, overrides=SMALL[name])


def test_every_scenario_example_is_listed_here() -> None:
    texts = {file.name: file.read_text() for file in EXAMPLES.glob("*.toml")}
    scenarios = {name for name, text in texts.items() if "[task" in text}
    assert scenarios == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_an_example_runs_and_is_stable(name: str) -> None:
    result = run(name)
    for case in result.cases:
        assert case.requests > 0
        assert case.latency_ms["p50"] <= case.latency_ms["p95"] <= case.latency_ms["p99"]
        assert not any("growth" in text for text in case.warnings)


def test_guo_then_the_cloud_beats_a_cold_phone_in_all_nine_cases() -> None:
    cases = {(case.group, case.name): case.latency_ms["mean"] for case in run("guo2018.toml").cases}
    groups = {group for group, _ in cases}
    assert len(groups) == 9
    for group in groups:
        assert cases[group, "phone CPU"] > 7 * cases[group, "cloud"]
        assert cases[group, "phone GPU, first start"] > 2 * cases[group, "cloud"]


def test_guo_then_load_and_compute_are_the_bottleneck_on_the_phone() -> None:
    for case in run("guo2018.toml").cases:
        if case.name in ("phone CPU", "phone GPU, first start"):
            share = (case.steps_ms["load"] + case.steps_ms["compute"]) / case.latency_ms["mean"]
            assert share > 0.9


def test_guo_today_the_answer_flips() -> None:
    winners = simulate(EXAMPLES / "guo_today.toml").winners()
    assert len(winners) == 9
    assert all(case is not None and case.name == "phone, warm" for case in winners.values())


def test_adaptive_beats_fixed_policies_on_the_metro_with_a_slow_phone() -> None:
    cases = {
        case.name: case.latency_ms["mean"]
        for case in simulate(EXAMPLES / "metro_ride.toml").cases
        if case.group == "a phone ten times slower"
    }
    assert cases["adaptive"] < min(cases["device"], cases["cloud"])
