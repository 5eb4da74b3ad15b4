"""The server against queueing theory, and request by request against recursions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import queueing_theory as theory
from scipy import stats

from perfmodel.sim import Scenario, simulate
from perfmodel.sim.records import Sink
from perfmodel.sim.replication import Replication
from perfmodel.sim.schema import read_table
from perfmodel.sim.stations import Builder

LOADS = (0.6, *(pytest.param(load, marks=pytest.mark.slow) for load in (0.3, 0.8, 0.95)))
SERVICE_MS = 10.0
LAWS: dict[str, Any] = {
    "M/M/1": ({"kind": "exponential", "mean": SERVICE_MS}, 1.0),
    "M/D/1": (SERVICE_MS, 0.0),
    "M/G/1 gamma": ({"kind": "gamma", "mean": SERVICE_MS, "cv": 0.5}, 0.5),
    "M/G/1 lognormal": ({"kind": "lognormal", "mean": SERVICE_MS, "cv": 1.5}, 1.5),
}


def queue(load: float, service: Any, servers: int = 1, **extra: Any) -> dict[str, Any]:
    requests = {0.3: 10000, 0.6: 10000, 0.8: 15000, 0.95: 40000}.get(load, 10000)
    return {
        "seed": 20180414,
        "replications": 10,
        "warmup_requests": requests // 5,
        "server": {"replicas": servers},
        "task": {
            "policy": "cloud",
            "workload": {
                "kind": "poisson",
                "rate_per_s": 1000 * servers * load / SERVICE_MS,
                "requests": requests,
            },
            "on_server": {"compute_ms": service},
        },
        **extra,
    }


def waits_by_replication(scenario: dict[str, Any]) -> list[float]:
    frame = simulate(scenario, keep_records=True).records
    frame = frame[frame.request >= scenario["warmup_requests"]]
    return frame.groupby("replication").queue_ms.mean().tolist()


def interval_99(values: list[float]) -> tuple[float, float]:
    half = stats.t.ppf(0.995, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return np.mean(values) - half, np.mean(values) + half


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("name", LAWS)
def test_mean_wait_of_one_server_is_pollaczek_khinchine(name: str, load: float) -> None:
    service, cv = LAWS[name]
    low, high = interval_99(waits_by_replication(queue(load, service)))
    expected = theory.mg1_wait(load / SERVICE_MS, SERVICE_MS, cv)
    assert low <= expected <= high
    assert high - low < expected  # an interval in which anything fits proves nothing


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("servers", [2, 5])
def test_mean_wait_of_several_servers_is_erlang_c(servers: int, load: float) -> None:
    service = {"kind": "exponential", "mean": SERVICE_MS}
    low, high = interval_99(waits_by_replication(queue(load, service, servers)))
    assert low <= theory.mmc_wait(servers * load / SERVICE_MS, SERVICE_MS, servers) <= high


def test_erlang_c_of_one_server_is_its_load() -> None:
    assert theory.erlang_c(1, 0.8) == pytest.approx(0.8)
    assert theory.mmc_wait(0.08, 10, 1) == pytest.approx(theory.mm1_wait(0.08, 10))


@pytest.mark.parametrize("servers", [1, 3])
@pytest.mark.parametrize("name", LAWS)
def test_every_single_wait_equals_the_recursion(name: str, servers: int) -> None:
    scenario = queue(0.9, LAWS[name][0], servers, replications=1)
    frame = simulate(scenario, keep_records=True).records.sort_values("request")
    expected = theory.kiefer_wolfowitz(frame.arrival_ms, frame.compute_ms, servers)
    assert np.abs(frame.queue_ms - expected).max() < 1e-9 * frame.arrival_ms.max()
    assert np.abs(frame.queue_ms - expected).max() < 1e-7


def test_waits_equal_the_recursion_to_1e_9_ms_where_the_clock_is_exact() -> None:
    # arrivals and services are whole multiples of 1/8 ms: no rounding anywhere
    arrivals_s = [0.0, 0.001, 0.002, 0.002, 0.025, 0.026]
    services_ms = [4.0, 0.5, 2.25, 1.125, 3.0, 1.0]
    scenario = {
        "server": {},
        "task": {
            "policy": "cloud",
            "workload": {"kind": "trace", "times_s": arrivals_s},
            "on_server": {"compute_ms": {"kind": "replay", "values": services_ms}},
        },
    }
    frame = simulate(scenario, keep_records=True).records.sort_values("request")
    expected = theory.kiefer_wolfowitz([1000 * t for t in arrivals_s], services_ms, 1)
    assert expected == pytest.approx([0.0, 3.0, 2.5, 4.75, 0.0, 2.0], abs=1e-12)
    assert frame.queue_ms.tolist() == pytest.approx(expected, abs=1e-9)


def test_littles_law_holds_between_a_watched_queue_and_the_records() -> None:
    """Mean number waiting, seen by a process that looks every 2 ms, is arrival rate x mean wait."""
    tables = queue(0.8, {"kind": "exponential", "mean": SERVICE_MS}, replications=1)
    tables["warmup_requests"] = 0
    scenario = read_table(Scenario, tables)
    sink = Sink([1e15], keep=True)
    run = Replication(scenario, 0, sink)
    server = Builder(run)._server
    assert server is not None
    seen: list[int] = []

    def watch() -> Any:
        while True:
            yield run.env.timeout(2.0)
            seen.append(server.waiting)

    run.env.process(watch())
    run.until_over()
    statistics = sink.statistics()
    assert statistics is not None
    arrivals_per_ms = statistics.requests / run.env.now
    assert np.mean(seen) == pytest.approx(arrivals_per_ms * statistics.steps_ms[4], rel=0.01)


def test_utilization_is_the_offered_load() -> None:
    result = simulate(queue(0.6, SERVICE_MS, 2))
    assert result.utilization["server"] == pytest.approx(0.6, rel=0.02)


def test_priority_serves_the_urgent_first_and_conserves_the_mean() -> None:
    """Two equal classes at M/M/1: waits are W0/(1-rho1) and W0/((1-rho1)(1-rho)) (Cobham 1954)."""

    def task(name: str, priority: int) -> dict[str, Any]:
        return {
            "name": name,
            "policy": "cloud",
            "priority": priority,
            "workload": {"kind": "poisson", "rate_per_s": 40, "requests": 60000},
            "on_server": {"compute_ms": {"kind": "exponential", "mean": 10}},
        }

    scenario = {
        "seed": 3,
        "server": {"discipline": "priority"},
        "task": [task("urgent", 1), task("patient", 2)],
    }
    frame = simulate(scenario, keep_records=True).records
    waits = frame.groupby("task").queue_ms.mean()
    residual = 0.08 * 10**2  # lambda E[S^2] / 2 = 0.08 * 200 / 2
    assert waits["urgent"] == pytest.approx(residual / (1 - 0.4), rel=0.03)
    assert waits["patient"] == pytest.approx(residual / ((1 - 0.4) * (1 - 0.8)), rel=0.06)
