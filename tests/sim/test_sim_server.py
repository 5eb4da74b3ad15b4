"""Cold starts and autoscaling."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.sim import simulate


def serve(server: dict[str, Any], workload: dict[str, Any], service: Any = 10.0) -> Any:
    task = {"policy": "cloud", "workload": workload, "on_server": {"compute_ms": service}}
    return simulate({"server": server, "task": task}, keep_records=True)


def test_an_idle_replica_goes_cold() -> None:
    times = {"kind": "trace", "times_s": [0.0, 1.0, 3.0, 3.5]}
    frame = serve({"cold_start_ms": 200.0, "keep_alive_s": 1.5}, times).records
    assert frame.load_ms.tolist() == [0.0, 0.0, 200.0, 0.0]
    assert frame.latency_ms.tolist() == pytest.approx([10.0, 10.0, 210.0, 10.0])


def test_a_server_may_start_cold() -> None:
    times = {"kind": "trace", "times_s": [0.0, 1.0]}
    frame = serve({"cold_start_ms": 200.0, "starts_cold": True}, times).records
    assert frame.load_ms.tolist() == [200.0, 0.0]


AUTOSCALE = {"max_replicas": 8, "interval_s": 5.0, "start_s": 2.0, "target_utilization": 0.5}


def test_autoscaling_reaches_the_demand_over_the_target() -> None:
    # 150 requests/s of 10 ms keep 1.5 replicas busy; at half load that takes 3
    workload = {"kind": "periodic", "period_ms": 1000 / 150, "duration_s": 120.0}
    result = serve({"autoscale": AUTOSCALE}, workload)
    assert result.counts["replicas_at_end"] == 3
    late = result.records[result.records.arrival_ms > 60_000]
    assert late.queue_ms.max() == pytest.approx(0.0, abs=1e-6)


def test_new_replicas_help_only_after_their_start_delay() -> None:
    workload = {"kind": "periodic", "period_ms": 1000 / 150, "duration_s": 6.9}
    frame = serve({"autoscale": AUTOSCALE}, workload).records.sort_values("arrival_ms")
    # one replica serves 100 of 150 per second until 5 + 2 s: the wait grows by 1/3 of the time
    last = frame.iloc[-1]
    seen = frame[frame.arrival_ms < 4000].iloc[-1]
    assert seen.queue_ms == pytest.approx(seen.arrival_ms / 2, rel=0.02)
    assert last.queue_ms < last.arrival_ms / 2  # relieved while it waited


def test_without_work_replicas_go_away() -> None:
    times = {"kind": "trace", "times_s": [0.0, 61.0]}
    result = serve({"replicas": 5, "autoscale": AUTOSCALE}, times)
    assert result.counts["replicas_at_end"] == 1
