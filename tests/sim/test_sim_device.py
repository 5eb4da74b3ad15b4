"""The phone: turns on a unit, drawing at vsync, memory, garbage collection, heat, energy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import simpy
from scenarios import offload

from perfmodel.sim import Scenario, simulate
from perfmodel.sim.link import RadioPower
from perfmodel.sim.memory import Heap, ModelMemory
from perfmodel.sim.records import Sink
from perfmodel.sim.replication import EnergyMeter, Replication
from perfmodel.sim.resolve import named_link
from perfmodel.sim.schema import read_table
from perfmodel.sim.stations import Builder
from perfmodel.sim.tables import HeatSpec, UnitSpec
from perfmodel.sim.unit import PhoneUnit, Thermometer, UnitWork


def run_works(spec: UnitSpec, works: list[tuple[float, float, int]]) -> list[tuple[str, float]]:
    """Run (start, work, priority) on a unit; return (label, end) in order of ending."""
    env = simpy.Environment()
    unit = PhoneUnit(env, "gpu", spec, EnergyMeter())
    ends: list[tuple[str, float]] = []

    def submit(label: str, start: float, work_ms: float, priority: int) -> Any:
        yield env.timeout(start)
        unit.submit(
            UnitWork(work_ms, priority, lambda w: ends.append((w.label, env.now)), label, 0)
        )

    for label, (start, work_ms, priority) in zip("abc", works, strict=False):
        env.process(submit(label, start, work_ms, priority))
    env.run()
    return ends


def test_without_slices_a_job_runs_to_its_end() -> None:
    assert run_works(UnitSpec(), [(0, 10, 1), (1, 2, 0)]) == [("a", 10), ("b", 12)]


def test_a_more_urgent_job_gets_in_between_slices() -> None:
    ends = run_works(UnitSpec(slice_ms=4.0), [(0, 10, 1), (1, 2, 0)])
    assert ends == [("b", 6), ("a", 12)]  # a: 0-4, b: 4-6, a: 6-12


def test_equal_jobs_take_turns() -> None:
    ends = run_works(UnitSpec(slice_ms=1.0), [(0, 3, 1), (0, 3, 1)])
    assert ends == [("a", 5), ("b", 6)]  # a b a b a b


def test_slots_run_side_by_side() -> None:
    assert run_works(UnitSpec(slots=2), [(0, 5, 1), (0, 5, 1), (0, 1, 1)]) == [
        ("a", 5),
        ("b", 5),
        ("c", 6),
    ]


def gpu_app(**changes: Any) -> dict[str, Any]:
    return offload(
        task__policy="device",
        task__on_device={"unit": "gpu", "compute_ms": 40.0},
        task__workload={"kind": "trace", "times_s": [0.1 * i + 0.007 for i in range(50)]},
        device__ui={"render_ms": 6.0, "refresh_hz": 50.0},
        **changes,
    )


def test_drawing_takes_its_share_of_the_gpu_and_slows_inference() -> None:
    # every 20 ms the screen takes 6; from 7 ms after a vsync: 13 work, 6, 14, 6, 13 = 52 ms
    result = simulate(gpu_app(device__gpu={"slice_ms": 1.0}))
    assert result.latency_ms["mean"] == pytest.approx(52.0)
    assert result.counts["late_frames"] == 0


def test_long_gpu_kernels_make_frames_late() -> None:
    result = simulate(gpu_app())
    # an inference from 7 to 47 ms keeps the frame of 20 ms from being drawn until 53: 40 is late
    assert result.counts["late_frames"] / result.counts["frames"] == pytest.approx(1 / 5, abs=0.01)


def test_least_recently_used_model_is_evicted() -> None:
    memory = ModelMemory(100.0)
    memory.put("a", 40)
    memory.put("b", 40)
    assert memory.holds("a")
    memory.put("c", 40)
    assert [memory.holds(name) for name in "abc"] == [True, False, True]
    assert (memory.evictions, memory.kills, memory.loads) == (1, 0, 0)
    memory.kill()
    assert [memory.holds(name) for name in "abc"] == [False, False, False]
    assert (memory.evictions, memory.kills) == (1, 1)


def test_two_models_that_do_not_fit_together_are_loaded_every_time() -> None:
    def task(name: str, phase_ms: float) -> dict[str, Any]:
        return {
            "name": name,
            "workload": {"kind": "trace", "times_s": [phase_ms / 1000 + i for i in range(10)]},
            "on_device": {"compute_ms": 10.0, "load_ms": 100.0, "weights_mb": 60.0},
        }

    scenario = {
        "device": {"memory": {"capacity_mb": 100.0}},
        "task": [task("a", 0.0), task("b", 500.0)],
    }
    result = simulate(scenario, keep_records=True)
    assert result.counts["loads"] == 20  # both resident at the start is already one too many
    assert result.records.load_ms.tolist() == [100.0] * 20


def test_a_cold_model_is_loaded_once_and_early_requests_wait_for_it() -> None:
    tables = offload(
        task__policy="device",
        task__on_device={"compute_ms": 10.0, "load_ms": 500.0, "resident": False},
        task__workload={"kind": "periodic", "period_ms": 200.0, "requests": 5},
    )
    frame = simulate(tables, keep_records=True).records.sort_values("request")
    assert frame.load_ms.tolist() == [500.0, 300.0, 100.0, 0.0, 0.0]


def test_background_kills_come_at_their_rate() -> None:
    tables = offload(
        task__policy="device",
        task__on_device={"compute_ms": 1.0, "load_ms": 5.0},
        task__workload={"kind": "periodic", "period_ms": 10.0, "requests": 100_000},
        device__memory={"background_every_s": 2.0, "kill_probability": 0.5},
    )
    kills = simulate(tables).counts["background_kills"]
    assert kills == pytest.approx(1000 / 2 * 0.5, rel=4 / math.sqrt(250))


def test_garbage_is_collected_after_every_heap_of_it() -> None:
    heap = Heap(83.0)
    assert [heap.allocate(30.0) for _ in range(6)] == [False, False, True, False, False, True]


def test_garbage_collection_pauses_the_inference() -> None:
    """The pause published for NIN under CNNDroid: 50.117 ms for 83 MB freed (guo2018.csv)."""
    tables = offload(
        task__policy="device",
        task__on_device={"compute_ms": 10.0, "allocates_mb": 41.5},
        task__workload={"kind": "closed", "requests": 4},
        device__memory={"heap_mb": 83.0, "gc_pause_ms": 50.117},
    )
    frame = simulate(tables, keep_records=True).records.sort_values("request")
    assert frame.latency_ms.tolist() == pytest.approx([10.0, 60.117, 10.0, 60.117])


HEAT = HeatSpec(
    resistance_c_per_w=10.0,
    capacity_j_per_c=3.0,
    throttle_from_c=40.0,
    throttle_full_c=50.0,
    slowest_speed=0.4,
)


def test_temperature_relaxes_to_power_times_resistance() -> None:
    meter = Thermometer(HEAT)
    meter.add_power(0.0, 2000.0)
    meter.speed(30_000.0)  # one time constant: 10 C/W * 3 J/C
    assert meter.temperature_c == pytest.approx(25 + 20 * (1 - math.exp(-1)))


def test_speed_falls_linearly_between_the_two_temperatures() -> None:
    meter = Thermometer(HEAT)
    for temperature, speed in [(30, 1.0), (40, 1.0), (45, 0.7), (50, 0.4), (70, 0.4)]:
        meter.temperature_c = float(temperature)
        assert meter.speed(0.0) == pytest.approx(speed)


def test_sustained_speed_is_the_fixed_point_of_heat_and_speed() -> None:
    """Busy for ever at 3 W: T = 25 + 30 s^2 and s = 1 - 0.06 (T - 40), solved by bisection."""
    tables = offload(
        task__policy="device",
        task__on_device={"compute_ms": 100.0},
        task__workload={"kind": "closed", "duration_s": 600.0},
        device__cpu={"slice_ms": 10.0, "active_mw": 3000.0},
        device__heat=HEAT,
    )
    frame = simulate(tables, keep_records=True).records
    low, high = 0.4, 1.0
    for _ in range(60):
        speed = (low + high) / 2
        steady = 1 - 0.06 * (25 + 30 * speed**2 - 40)
        low, high = (speed, high) if steady > speed else (low, speed)
    assert frame.latency_ms.iloc[0] == 100.0
    assert frame.latency_ms.iloc[-1] == pytest.approx(100.0 / speed, rel=1e-3)


ENERGY = {
    "device__base_mw": 1000.0,
    "device__cpu": {"active_mw": 2000.0},
    "device__gpu": {"active_mw": 3000.0},
    "link__radio": {
        "base_mw": 500.0,
        "uplink_mw_per_mbps": 100.0,
        "downlink_mw_per_mbps": 10.0,
        "tail_mw": 800.0,
        "tail_s": 0.5,
        "promotion_ms": 50.0,
        "promotion_mw": 600.0,
    },
}


def test_energy_of_one_cloud_request_is_hand_arithmetic() -> None:
    energy = simulate(offload(**ENERGY)).energy_mj
    assert energy is not None
    parts = energy["by_component"]
    latency_s = (5 + 50 + 20 + 15 + 12 + 0.4 + 15) / 1000
    assert parts["cpu"] == pytest.approx(0.005 * 2000)
    # upload 20 ms at 500 mW + 0.2 Mbit * 100; download 0.4 ms at 500 + 0.008 Mbit * 10; promotion
    radio_mj = 0.020 * 500 + 0.2 * 100 + 0.0004 * 500 + 0.008 * 10 + 0.050 * 600
    assert parts["radio"] == pytest.approx(radio_mj)
    # tail: 15 + 12 ms from the last bit up to the first bit down, then its full length
    assert parts["radio_tail"] == pytest.approx(800 * (0.027 + 0.5))
    assert parts["base"] == pytest.approx(1000 * latency_s)
    assert energy["mean"] == pytest.approx(sum(parts.values()))


@pytest.mark.parametrize("sharing", ["own", "cell", "unlimited"])
@pytest.mark.parametrize("policy", ["device", "cloud", "adaptive"])
def test_energy_is_conserved(policy: str, sharing: str) -> None:
    """What the records add up to, plus tails and drawing, is what the components add up to."""
    tables = offload(
        **ENERGY,
        task__policy=policy,
        task__workload={"kind": "poisson", "rate_per_s": 12.0, "requests": 300},
        device__count=3,
        device__ui={"render_ms": 3.0, "unit": "gpu"},
        link__sharing=sharing,
    )
    scenario = read_table(Scenario, tables)
    from pathlib import Path

    from perfmodel.sim.resolve import resolve

    sink = Sink([1e15], keep=True)
    run = Replication(resolve(scenario, Path()), 0, sink)
    builder = Builder(run)
    run.until_over()
    statistics = sink.statistics()
    assert statistics is not None
    parts = builder.outcome(statistics).energy_mj
    assert parts is not None
    kept = sink.kept()
    assert kept is not None
    of_requests = kept[:, -1].sum()
    assert of_requests + parts["radio_tail"] + parts["ui"] == pytest.approx(
        sum(parts.values()), rel=1e-9
    )


def test_one_isolated_lte_packet_costs_what_was_published() -> None:
    """12.76 J in 2012, promotion and tail included (Huang et al., energy_params.csv)."""
    radio = named_link("lte-2012").radio
    assert radio is not None
    meter = EnergyMeter()
    power = RadioPower(radio, meter)
    power.transfer(0.0, 1500 * 8 / 6e3, 1500 * 8, radio.uplink_mw_per_mbps)
    power.finish()
    assert sum(meter.mj.values()) / 1000 == pytest.approx(12.76, rel=0.02)


def test_overlapping_requests_share_the_base_power() -> None:
    tables = offload(
        task__policy="device",
        task__on_device={"compute_ms": 100.0},
        task__workload={"kind": "trace", "times_s": [0.0, 0.05]},
        device__base_mw=1000.0,
        device__cpu={"active_mw": 0.0, "slots": 2},
    )
    frame = simulate(tables, keep_records=True).records.sort_values("request")
    # 50 ms alone and 50 ms shared by two, each
    assert frame.energy_mj.tolist() == pytest.approx([50 + 25, 50 + 25])


def test_energy_is_unknown_without_powers_and_says_which() -> None:
    result = simulate(offload())
    assert result.energy_mj is None
    assert "device.cpu.active_mw" in result.notes[0]
    assert np.isfinite(result.latency_ms["mean"])


class TestPowerOfPredictedNetworks:
    @pytest.fixture
    def tables(self) -> dict[str, Any]:
        return {
            "task": [
                {
                    "name": "look",
                    "policy": "device",
                    "workload": {"kind": "periodic", "period_ms": 1000.0, "requests": 40},
                    "on_device": {"model": "squeezenet", "target": "snapdragon-888/cpu/ncnn"},
                }
            ],
        }

    def test_energy_is_that_of_predict(self, tables: dict[str, Any]) -> None:
        from perfmodel import predict

        answer = predict("squeezenet", "snapdragon-888/cpu/ncnn")
        assert answer.energy is not None
        found = simulate(tables)
        assert found.energy_mj is not None
        assert found.energy_mj["mean"] == pytest.approx(answer.energy.mj, rel=1e-9)
        assert "device.base_mw is not given" in found.notes[0]

    def test_a_power_that_is_given_counts(self, tables: dict[str, Any]) -> None:
        tables["device"] = {"cpu": {"active_mw": 1234.0}, "base_mw": 0.0}
        found = simulate(tables)
        assert found.energy_mj is not None
        from perfmodel import predict

        ms = predict("squeezenet", "snapdragon-888/cpu/ncnn").latency_ms
        assert found.energy_mj["mean"] == pytest.approx(1.234 * ms, rel=1e-9)
        assert not found.notes

    def test_networks_that_draw_differently_leave_it_open(self, tables: dict[str, Any]) -> None:
        first = tables["task"][0]
        first["on_device"] = {
            "unit": "gpu",
            "model": "squeezenet",
            "target": "snapdragon-888/gpu/ncnn",
        }
        second = {**first, "name": "other", "on_device": {**first["on_device"], "model": "alexnet"}}
        tables["task"].append(second)
        found = simulate(tables)
        assert found.energy_mj is None
        assert "device.gpu.active_mw" in found.notes[0]
