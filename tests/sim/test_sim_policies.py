"""Where requests run: fixed, adaptive, deadline with fall-back, hedged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenarios import offload

from perfmodel.sim import Scenario, simulate
from perfmodel.sim.plan import plans_of
from perfmodel.sim.records import Sink
from perfmodel.sim.replication import Replication
from perfmodel.sim.request import QUEUE, Attempt, Stage
from perfmodel.sim.resolve import resolve
from perfmodel.sim.schema import read_table
from perfmodel.sim.task_on_phone import TaskOnPhone

MANY = {"kind": "periodic", "period_ms": 500.0, "requests": 60}
# uplink 16 s fast (cloud 66 ms), 14 s slow (25 kB take 400 ms); on the phone 83 ms
CHANGING = {"kind": "trace", "times_s": [0.0, 16.0, 16.1], "trace_mbps": [10.0, 0.5, 0.5]}


def records(policy: str, **changes: Any) -> Any:
    return simulate(offload(task__policy=policy, **changes), keep_records=True).records


def changing(**changes: Any) -> dict[str, Any]:
    tables = {"link": {"uplink": CHANGING, "downlink_mbps": 20.0, "rtt_ms": 30.0}}
    return {**tables, "task__workload": MANY, **changes}


def test_arrivals_and_work_are_the_same_under_every_policy() -> None:
    law = {"kind": "gamma", "mean": 80.0, "cv": 0.5}
    changes = {
        "task__workload": {"kind": "poisson", "rate_per_s": 2.0, "requests": 50},
        "task__on_device__compute_ms": law,
    }
    device, cloud = records("device", **changes), records("cloud", **changes)
    assert sorted(device.arrival_ms) == sorted(cloud.arrival_ms)


def test_adaptive_goes_to_the_cloud_on_a_fast_link_and_stays_on_a_slow_one() -> None:
    fast = records("adaptive", task__workload=MANY)
    assert set(fast.plan) == {"cloud"}
    slow = records("adaptive", task__workload=MANY, link__uplink_mbps=0.5)
    assert (slow.plan == "device").mean() > 0.8


def test_adaptive_follows_a_changing_link_and_beats_both_fixed_policies() -> None:
    mean = {
        policy: records(
            policy, **changing(task__probe_every_s=5.0, task__on_device__compute_ms=160.0)
        ).latency_ms.mean()
        for policy in ("device", "cloud", "adaptive")
    }
    assert mean["adaptive"] < min(mean["device"], mean["cloud"])


def test_adaptive_tries_the_cloud_again_after_a_while() -> None:
    frame = records("adaptive", **changing(task__probe_every_s=3.0)).sort_values("arrival_ms")
    slow = frame[frame.arrival_ms > 17_000]
    tried = slow[slow.plan == "cloud"].arrival_ms
    assert np.diff(tried).min() >= 3000.0 - 1e-6
    assert len(tried) >= 3


def test_adaptive_picks_the_split_where_it_is_best() -> None:
    cut = {"after": "pool5", "head_ms": 10.0, "tail_ms": 5.0, "upload_bytes": 2000}
    frame = records("adaptive", task__workload=MANY, task__split=[cut])
    # split: 10 + 1.6 + 15 + 5 + 15 = 46.6 ms; cloud: 67.4 ms; phone: 83 ms
    assert set(frame.plan) == {"split:pool5"}
    assert frame.latency_ms.tolist() == pytest.approx([46.6] * 60)


def test_deadline_falls_back_in_time() -> None:
    frame = records("deadline", **changing(task__deadline_ms=200.0))
    assert frame.latency_ms.max() <= 200.0 + 1e-6
    fell_back = frame[frame.plan == "device"]
    assert len(fell_back) > 10
    # waits 200 - 83 ms for the cloud, then computes here
    assert fell_back.abandoned_ms.tolist() == pytest.approx([117.0] * len(fell_back))
    assert set(frame.plan) == {"cloud", "device"}


def test_hedged_takes_the_first_answer() -> None:
    device, cloud, hedged = (
        records(policy, **changing()).sort_values("request").latency_ms.to_numpy()
        for policy in ("device", "cloud", "hedged")
    )
    # both paths preprocess on the same CPU: the phone's own answer comes up to 5 ms later
    first = np.minimum(device, cloud)
    assert (hedged >= first - 1e-6).all()
    assert (hedged <= first + 5.0 + 1e-6).all()


def test_hedging_later_spares_the_phone() -> None:
    def cpu_share(after_ms: float) -> float:
        tables = offload(task__policy="hedged", **changing(task__hedge_after_ms=after_ms))
        return simulate(tables).utilization["cpu"]

    assert cpu_share(100.0) < 0.7 * cpu_share(0.0)


def test_a_full_server_turns_requests_away_and_the_phone_answers_in_time() -> None:
    crowd = {"kind": "trace", "times_s": [0.0] * 4}
    changes: dict[str, Any] = {
        "task__workload": crowd,
        "server__queue_limit": 0,
        "link__sharing": "unlimited",
        "task__on_server__preprocess_ms": 0.0,
        "task__deadline_ms": 900.0,
        "task__fallback_after_ms": 800.0,
    }
    lost = simulate(offload(task__policy="cloud", **changes))
    assert lost.requests == 1
    assert lost.counts["rejected"] == 3
    saved = records("deadline", **changes)
    assert sorted(saved.plan) == ["cloud", "device", "device", "device"]


def test_a_camera_drops_frames_while_it_is_busy() -> None:
    camera = {"kind": "periodic", "period_ms": 33.0, "requests": 100, "max_in_flight": 1}
    result = simulate(offload(task__policy="device", task__workload=camera))
    # 83 ms of work: frames 0, 3, 6, ... are taken
    assert result.requests == 34
    assert result.counts["dropped"] == 66
    assert result.latency_ms["max"] == pytest.approx(83.0)


def test_several_objects_at_once_take_turns_on_the_unit() -> None:
    objects = {"kind": "periodic", "period_ms": 1000.0, "requests": 8, "group_size": 4}
    tables = offload(
        task__policy="device",
        task__workload=objects,
        task__on_device={"compute_ms": 10.0},
        device__cpu={"slice_ms": 0.01},
    )
    frame = simulate(tables, keep_records=True).records
    # four networks share the processor: all end at about 40 ms
    assert frame.latency_ms.tolist() == pytest.approx([40.0] * 8, abs=0.05)


class NeverUploaded:
    """A link on which nothing was uploaded yet."""

    observed = False
    last_upload_ms = -math.inf

    def seen_uplink_mbps(self) -> float | None:
        return None


def test_adaptive_expects_the_running_mean_of_the_server_waits_it_has_seen() -> None:
    scenario = resolve(read_table(Scenario, offload(task__policy="adaptive")), Path())
    plans = {plan.name: plan for plan in plans_of(scenario.task[0], scenario)}
    stages: dict[str, tuple[Stage, ...]] = dict.fromkeys(plans, ())
    run = Replication(scenario, 0, Sink([1e9]))
    run.open_source()
    link = NeverUploaded()
    task = TaskOnPhone(
        run, scenario, place=(0, 0), plans=plans, stages=stages, link=link, base=None
    )
    assert link.observed
    alone_ms = 5 + 20 + 15 + 12 + 0.4 + 15
    mean_ms = 0.0
    for wait_ms in (100.0, 0.0, 40.0):
        attempt = Attempt(run.new_request(task), 1, ())
        attempt.steps[QUEUE] = wait_ms
        attempt.batch_size = 1
        task.answer(attempt)
        mean_ms = 0.7 * mean_ms + 0.3 * wait_ms
        assert task.expected_ms("cloud") == pytest.approx(alone_ms + mean_ms)
        assert task.expected_ms("device") == pytest.approx(83.0)
    local = Attempt(run.new_request(task), 0, ())
    local.steps[QUEUE] = 1000.0  # a wait on the phone says nothing about the server
    task.answer(local)
    assert task.expected_ms("cloud") == pytest.approx(alone_ms + mean_ms)


def test_a_rejected_request_falls_back_once() -> None:
    """The phone answers at once; when the patience is over nothing starts a second time."""
    tables = offload(
        task__policy="deadline",
        task__workload={"kind": "trace", "times_s": [0.0] * 2},
        task__deadline_ms=900.0,
        task__fallback_after_ms=100.0,
        task__on_server__preprocess_ms=0.0,
        link__sharing="unlimited",
        server__queue_limit=0,
        task__on_device={"compute_ms": 400.0},
    )
    result = simulate(tables, keep_records=True)
    # one is served in the cloud; the other comes back from there after 35 ms and takes 400 here
    assert sorted(result.records.latency_ms) == pytest.approx([62.4, 435.0])
    assert result.utilization["cpu"] == pytest.approx(400 / 435)
