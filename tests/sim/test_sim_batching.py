"""Batching against what is known of its limits."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.errors import ScenarioError
from perfmodel.sim import simulate
from perfmodel.sim.server import BatchService

SIZES, TIMES_MS = [1, 4, 8], [10.0, 16.0, 20.0]


def batched(times_s: list[float], max_size: int, timeout_ms: float, replicas: int = 1) -> Any:
    scenario = {
        "server": {
            "replicas": replicas,
            "batching": {"max_size": max_size, "timeout_ms": timeout_ms},
        },
        "task": {
            "policy": "cloud",
            "workload": {"kind": "trace", "times_s": times_s},
            "on_server": {"batch_sizes": SIZES, "batch_ms": TIMES_MS},
        },
    }
    return simulate(scenario, keep_records=True).records.sort_values("request")


def test_table_is_linear_between_its_sizes() -> None:
    table = BatchService(SIZES, TIMES_MS)
    assert [table.service_ms(n) for n in (1, 2, 4, 6, 8)] == [10.0, 12.0, 16.0, 18.0, 20.0]


def test_a_lone_request_waits_out_the_timeout() -> None:
    assert batched([0.0], 8, 30.0).latency_ms.tolist() == [30.0 + 10.0]


def test_a_full_batch_starts_at_once() -> None:
    frame = batched([0.0] * 8, 8, 1000.0)
    assert frame.latency_ms.tolist() == [20.0] * 8
    assert set(frame.batch_size) == {8}


def test_a_backlog_is_served_in_full_batches() -> None:
    frame = batched([0.0] * 40, 8, 0.0)
    # the first finds an idle server and no timeout to wait: 1 alone, then 8 four times, then 7
    assert sorted(frame.batch_size.tolist()) == [1] + [7] * 7 + [8] * 32
    assert frame.latency_ms.max() == 10.0 + 4 * 20.0 + 19.0


def test_requests_within_the_timeout_share_a_batch() -> None:
    # every 10 ms, timeout 25 ms: the one that opens the batch and those 10 and 20 ms later
    frame = batched([i * 0.010 for i in range(3)] + [0.5], 8, 25.0)
    assert frame.batch_size.tolist() == [3, 3, 3, 1]
    three_ms = 14.0  # between 10 for one and 16 for four
    assert frame.latency_ms.tolist() == pytest.approx(
        [25 + three_ms, 15 + three_ms, 5 + three_ms, 25 + 10.0]
    )


def test_batches_of_one_are_no_batching() -> None:
    times = [0.004 * i * (1 + i % 3) for i in range(200)]
    times.sort()
    one = batched(times, 1, 50.0)
    scenario = {
        "server": {},
        "task": {
            "policy": "cloud",
            "workload": {"kind": "trace", "times_s": times},
            "on_server": {"compute_ms": 10.0},
        },
    }
    plain = simulate(scenario, keep_records=True).records.sort_values("request")
    assert one.latency_ms.tolist() == plain.latency_ms.tolist()


def test_an_overloaded_server_reaches_batch_size_over_batch_time() -> None:
    frame = batched([i * 0.0005 for i in range(4000)], 8, 0.0, replicas=2)
    makespan_ms = (frame.arrival_ms + frame.latency_ms).max()
    assert 4000 / makespan_ms == pytest.approx(2 * 8 / 20.0, rel=0.01)


def test_batching_without_batch_times_is_refused() -> None:
    scenario = {
        "server": {"batching": {"max_size": 4}},
        "task": {
            "policy": "cloud",
            "workload": {"kind": "trace", "times_s": [0.0]},
            "on_server": {"compute_ms": 10.0},
        },
    }
    with pytest.raises(ScenarioError, match="batch_sizes"):
        simulate(scenario)
