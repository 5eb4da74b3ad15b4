"""Batching against what is known of its limits."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from perfmodel.errors import ScenarioError
from perfmodel.sim import simulate
from perfmodel.sim.files import set_path
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


SPLIT: dict[str, Any] = {
    "server": {"batching": {"max_size": 4, "timeout_ms": 50.0}},
    "task": [
        {
            "name": "whole",
            "policy": "cloud",
            "workload": {"kind": "trace", "times_s": [0.0]},
            "on_server": {"batch_sizes": [1, 4], "batch_ms": [10.0, 16.0]},
        },
        {
            "name": "cut",
            "policy": "split",
            "split_after": "conv",
            "workload": {"kind": "trace", "times_s": [0.0, 0.0]},
            "split": {"after": "conv", "head_ms": 5.0, "tail_ms": 3.0, "upload_bytes": 0},
        },
    ],
}


def split(**changes: Any) -> Any:
    """The result of SPLIT with dotted paths set; `__` stands for the dot."""
    tables = copy.deepcopy(SPLIT)
    for path, value in changes.items():
        set_path(tables, path.replace("__", "."), value)
    return simulate(tables, keep_records=True)


def answers(**changes: Any) -> dict[str, list[float]]:
    """Latencies (ms) by task of SPLIT with changes; no tail shares a batch."""
    frame = split(**changes).records.sort_values("request")
    assert set(frame[frame.task == "cut"].batch_size) == {1}
    return {name: mine.latency_ms.tolist() for name, mine in frame.groupby("task")}


def test_tails_of_splits_are_served_one_by_one_while_a_batch_waits_for_company() -> None:
    # on the phone one head after the other: 5 and 10 ms; the batch waits until 50 ms and takes 10
    assert answers() == {"cut": [5.0 + 3.0, 10.0 + 3.0], "whole": [60.0]}


def test_tails_that_come_while_the_server_is_busy_take_their_turn_by_arrival() -> None:
    # four whole ones fill a batch at 0 (16 ms), four more come at 7; tails at 5 and 10 ms
    found = answers(task__whole__workload__times_s=[0.0] * 4 + [0.007] * 4)
    # 16 to 19 the first tail, then the batch that is full since 7 to 35, then the second tail
    assert found["cut"] == [19.0, 38.0]
    assert found["whole"] == [16.0] * 4 + [35.0 - 7.0] * 4


def test_tails_of_a_higher_priority_go_before_a_full_batch() -> None:
    changes = {
        "server__discipline": "priority",
        "task__whole__workload__times_s": [0.0] * 4 + [0.001] * 4,
    }
    assert answers(**changes, task__cut__priority=0)["cut"] == [19.0, 22.0]
    assert answers(**changes, task__cut__priority=2)["cut"] == [35.0, 38.0]


def test_tails_count_in_the_queue_limit() -> None:
    # the batch of four is served until 16 ms; of tails at 5 and 10 ms one waits, one is turned away
    full = {"server__queue_limit": 1, "task__whole__workload__times_s": [0.0] * 4}
    found = split(**full)
    assert found.cases[0].counts["rejected"] == 1
    assert found.records[found.records.task == "cut"].latency_ms.tolist() == [19.0]
