"""Arrivals: rates, order, bursts, closed loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scenarios import offload

from perfmodel.sim import simulate
from perfmodel.sim.scenario import TaskWorkload
from perfmodel.sim.schema import read_table
from perfmodel.sim.workload import gaps_ms, mean_rate_per_s


def arrivals(spec: TaskWorkload, number: int) -> np.ndarray:
    gaps = gaps_ms(spec, np.random.default_rng(11), spec.times_s or ())
    return np.cumsum([next(gaps) for _ in range(number)])


@pytest.mark.parametrize(
    "workload",
    [
        {"kind": "poisson", "rate_per_s": 25.0},
        {"kind": "periodic", "period_ms": 40.0, "jitter_ms": {"kind": "exponential", "mean": 60}},
        {"kind": "renewal", "interval_ms": {"kind": "gamma", "mean": 40, "cv": 2.0}},
        {"kind": "bursty", "rate_per_s": 100.0, "on_s": 0.5, "off_s": 1.5},
    ],
)
def test_long_run_rate_is_the_stated_one(workload: dict[str, Any]) -> None:
    spec = read_table(TaskWorkload, {"requests": 1, **workload})
    times_ms = arrivals(spec, 100_000)
    assert 1000 * len(times_ms) / times_ms[-1] == pytest.approx(25.0, rel=0.03)
    assert mean_rate_per_s(spec) == pytest.approx(25.0)
    assert (np.diff(times_ms) >= 0).all()


def test_poisson_counts_have_the_variance_of_their_mean() -> None:
    times_ms = arrivals(TaskWorkload(kind="poisson", rate_per_s=25.0, requests=1), 100_000)
    counts = np.bincount((times_ms // 1000).astype(int))
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=0.07)


def test_bursts_are_burstier_than_poisson() -> None:
    spec = TaskWorkload(kind="bursty", rate_per_s=100.0, on_s=0.5, off_s=1.5, requests=1)
    counts = np.bincount((arrivals(spec, 100_000) // 1000).astype(int))
    assert counts.var() / counts.mean() > 10


def test_duration_ends_the_arrivals() -> None:
    workload = {"kind": "periodic", "period_ms": 100.0, "duration_s": 2.0}
    assert simulate(offload(task__workload=workload)).requests == 21  # 0, 100, ..., 2000 ms


def test_a_closed_loop_asks_again_after_the_answer() -> None:
    workload = {"kind": "closed", "requests": 3, "think_ms": 7.0}
    tables = offload(task__policy="device", task__workload=workload)
    frame = simulate(tables, keep_records=True).records
    assert frame.arrival_ms.tolist() == pytest.approx([0.0, 90.0, 180.0])


def test_arrivals_come_from_a_file(tmp_path: Any) -> None:
    (tmp_path / "times.csv").write_text("time_s\n0.5\n0.75\n2\n")
    tables = offload(task__workload={"kind": "trace", "file": "times.csv"})
    frame = simulate(tables, keep_records=True, folder=tmp_path).records
    assert frame.arrival_ms.tolist() == pytest.approx([500.0, 750.0, 2000.0])


def test_phones_with_random_phases_do_not_ask_in_step() -> None:
    workload = {"kind": "periodic", "period_ms": 100.0, "requests": 1, "random_phase": True}
    frame = simulate(offload(device__count=200, task__workload=workload), keep_records=True).records
    assert frame.arrival_ms.between(0, 100).all()
    assert frame.arrival_ms.std() == pytest.approx(100 / 12**0.5, rel=0.1)
