"""One request that meets nobody takes the plan's own sum; steps always add up to the latency."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scenarios import offload

import perfmodel
from perfmodel.sim import Scenario, simulate
from perfmodel.sim.plan import plans_of, uncontended_ms
from perfmodel.sim.request import STEPS
from perfmodel.sim.resolve import resolve
from perfmodel.sim.schema import read_table

SPLIT = {
    "after": "pool5",
    "head_ms": 20.0,
    "tail_ms": 4.0,
    "upload_bytes": 9216,
    "download_bytes": 500,
}


def test_one_cloud_request_is_hand_arithmetic() -> None:
    # 5 preprocess + 25000 * 8 / 10e3 = 20 upload + 15 there + 12 compute + 0.4 download + 15 back
    assert simulate(offload()).latency_ms["mean"] == pytest.approx(5 + 20 + 15 + 12 + 0.4 + 15)


def test_one_device_request_is_hand_arithmetic() -> None:
    assert simulate(offload(task__policy="device")).latency_ms["mean"] == pytest.approx(3 + 80)


@pytest.mark.parametrize(
    ("policy", "plan"), [("device", "device"), ("cloud", "cloud"), ("split", "split:pool5")]
)
@pytest.mark.parametrize("handshakes", [0.0, 2.0])
def test_one_uncontended_request_equals_the_plans_sum(
    policy: str, plan: str, handshakes: float
) -> None:
    tables = offload(
        task__policy=policy,
        task__split=[SPLIT],
        task__split_after="pool5",
        link__handshake_round_trips=handshakes,
        link__jitter_ms=1.7,
    )
    scenario = resolve(read_table(Scenario, tables), Path())
    own = next(p for p in plans_of(scenario.task[0], scenario) if p.name == plan)
    simulated = simulate(tables).latency_ms["mean"]
    assert simulated == pytest.approx(uncontended_ms(own, scenario), abs=1e-9)


TARGETS = [
    ("vgg16", "exynos-2200/gpu"),  # slower in one piece: its storage costs a segment
    ("mobilenet_v2", "snapdragon-855-plus/gpu"),
    ("squeezenet_1_1", "pixel-4/cpu"),
    ("alexnet", "rtx-3090/gpu"),
    ("vgg16", "snapdragon-8-elite-gen-5-qrd/npu"),
    ("mobilenet_v1", "titan-v/gpu"),
]


@pytest.mark.parametrize(("model", "target"), TARGETS)
def test_one_request_alone_takes_the_time_that_predict_says(model: str, target: str) -> None:
    predicted_ms = perfmodel.predict(model, target).latency_ms
    here = simulate(
        offload(task__policy="device", task__on_device={"model": model, "target": target})
    )
    assert here.latency_ms["mean"] == pytest.approx(predicted_ms, rel=1e-9)
    plan = {"model": model, "target": target, "upload_bytes": 25_000, "download_bytes": 1000}
    there = simulate(offload(task__policy="cloud", task__on_server=plan))
    # 20 ms up, 15 there, 0.4 down, 15 back: the rest is the server
    assert there.latency_ms["mean"] == pytest.approx(50.4 + predicted_ms, rel=1e-9)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize(("model", "target"), TARGETS[:2])
def test_one_batch_alone_takes_the_time_that_predict_says(
    model: str, target: str, size: int
) -> None:
    predicted_ms = perfmodel.predict(model, target, batch_size=size).latency_ms
    tables = offload(
        task__workload={"kind": "trace", "times_s": [0.0] * size},
        task__on_server={"model": model, "target": target},
        server__batching={"max_size": size, "timeout_ms": 50.0},
        link__rtt_ms=0.0,
    )
    assert simulate(tables).latency_ms["max"] == pytest.approx(predicted_ms, rel=1e-9)


@pytest.mark.parametrize("policy", ["device", "cloud", "split", "adaptive", "deadline", "hedged"])
def test_steps_add_up_to_the_latency_of_every_request(policy: str) -> None:
    tables = offload(
        task__policy=policy,
        task__split=[SPLIT],
        task__split_after="pool5",
        task__deadline_ms=130.0,
        task__hedge_after_ms=20.0,
        task__workload={"kind": "poisson", "rate_per_s": 9.0, "requests": 500},
        task__on_device__load_ms=300.0,
        task__on_device__resident=False,
        task__on_device__allocates_mb=10.0,
        device__memory={"heap_mb": 83.0, "gc_pause_ms": 50.117, "background_every_s": 5.0},
        device__cpu={"slice_ms": 7.0},
        device__heat={
            "resistance_c_per_w": 10.0,
            "capacity_j_per_c": 2.0,
            "throttle_from_c": 30.0,
            "throttle_full_c": 40.0,
            "slowest_speed": 0.5,
        },
        device__cpu__active_mw=2500.0,
        link__loss=0.01,
        link__jitter_ms={"kind": "gamma", "mean": 3.0, "cv": 1.0},
        server__cold_start_ms=40.0,
        server__keep_alive_s=0.1,
    )
    frame = simulate(tables, keep_records=True).records
    total = sum(frame[f"{step}_ms"] for step in STEPS)
    assert len(frame) == 500
    assert np.abs(total - frame.latency_ms).max() < 1e-7
    assert (frame[[f"{step}_ms" for step in STEPS]] >= -1e-9).all().all()
