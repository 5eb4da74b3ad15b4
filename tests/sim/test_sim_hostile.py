"""Scenarios and traces with hostile values anywhere are answered, or refused in few words."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel.errors import PerfmodelError
from perfmodel.sim import rates, replication, simulate
from perfmodel.sim.traces import read_arrivals, read_trace

FULL: dict[str, Any] = {
    "seed": 3,
    "replications": 1,
    "warmup_requests": 2,
    "compare": ["device", "cloud", "adaptive", "deadline", "hedged"],
    "device": {
        "count": 2,
        "base_mw": 900,
        "battery_mwh": 1000,
        "cpu": {"slots": 2, "active_mw": 1000, "slice_ms": 1.0},
        "gpu": {"active_mw": 900, "memory_mb": 500},
        "ui": {"render_ms": {"kind": "gamma", "mean": 3, "cv": 0.2}, "refresh_hz": 60},
        "heat": {
            "resistance_c_per_w": 10,
            "capacity_j_per_c": 5,
            "throttle_from_c": 35,
            "throttle_full_c": 60,
            "slowest_speed": 0.4,
        },
        "memory": {
            "capacity_mb": 100,
            "background_every_s": 10,
            "kill_probability": 0.5,
            "heap_mb": 20,
            "gc_pause_ms": 4,
        },
    },
    "link": {
        "uplink": {"kind": "markov", "states_mbps": [1, 10], "dwell_s": [1, 2]},
        "downlink": {"kind": "lognormal", "mbps": 20, "step_s": 0.5, "cv": 0.5, "correlation": 0.7},
        "rtt_ms": 30,
        "jitter_ms": {"kind": "exponential", "mean": 3},
        "loss": 0.01,
        "handshake_round_trips": 1,
        "sharing": "cell",
        "radio": {
            "base_mw": 1000,
            "uplink_mw_per_mbps": 100,
            "downlink_mw_per_mbps": 50,
            "tail_mw": 800,
            "tail_s": 2,
            "promotion_ms": 200,
            "promotion_mw": 900,
        },
    },
    "server": {
        "replicas": 2,
        "discipline": "priority",
        "queue_limit": 50,
        "batching": {"max_size": 4, "timeout_ms": 5},
        "cold_start_ms": {"kind": "lognormal", "median": 100, "sigma": 0.5},
        "keep_alive_s": 3,
        "starts_cold": True,
        "autoscale": {"max_replicas": 5, "target_utilization": 0.6, "interval_s": 2, "start_s": 1},
    },
    "task": {
        "deadline_ms": 120,
        "priority": 2,
        "fallback_after_ms": 60,
        "hedge_after_ms": 20,
        "probe_every_s": 3,
        "workload": {"kind": "poisson", "rate_per_s": 20, "requests": 12, "max_in_flight": 5},
        "on_device": {
            "unit": "gpu",
            "compute_ms": {"kind": "uniform", "low": 5, "high": 40},
            "preprocess_ms": 2,
            "load_ms": 50,
            "weights_mb": 30,
            "memory_mb": 60,
            "allocates_mb": 3,
            "resident": False,
        },
        "on_server": {
            "batch_sizes": [1, 2, 4],
            "batch_ms": [4, 6, 9],
            "upload_bytes": {"kind": "normal", "mean": 20000, "sd": 1000},
            "download_bytes": {"kind": "values", "values": [100, 200, 400]},
        },
        "split": {
            "after": "conv",
            "head_ms": 5,
            "tail_ms": {"kind": "replay", "values": [3, 4]},
            "upload_bytes": 4000,
        },
    },
}

HOSTILE: tuple[Any, ...] = (
    *(0, -1, 1, 2, 0.5, 1e-300, 5e-324, 1e-9, 1e-3, 1e3, 1e6, 1e9, 1e12, 1e15, 1e300, 1.7e308),
    *(math.inf, -math.inf, math.nan, 10**400, -(10**400), 2**63, True, False, None),
    *(
        "",
        "cpu",
        "x" * 3000,
        "\x1b[31m",
        "\u202e",
        "nan",
        [],
        {},
        [[]],
        [{}],
        [1, "a"],
        [0],
        [3, 1],
    ),
    *({"kind": "lognormal", "mean": 0, "cv": 1}, {"kind": "gamma", "mean": 5, "cv": 1e-200}),
    *({"kind": "values", "values": ["a"]}, {"kind": "uniform", "low": 1e308, "high": 1.7e308}),
    *({"kind": "exponential", "mean": 1e12}, {"kind": ["x"]}, {"kind": "trace", "times_s": [0]}),
    *({"kind": "closed", "duration_s": 1e9}, {"kind": "bursty", "rate_per_s": 1e-9, "on_s": 1e-9}),
)


def places(table: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path of nested tables and lists, inner ones included."""
    inner = table.items() if isinstance(table, dict) else enumerate(table)
    found = []
    for key, value in inner:
        found.append((*path, key))
        if isinstance(value, (dict, list)):
            found += places(value, (*path, key))
    return found


def damaged(generator: np.random.Generator) -> dict[str, Any]:
    """FULL with one to three values replaced by hostile ones, taken out, or put elsewhere."""
    table = copy.deepcopy(FULL)
    for _ in range(int(generator.integers(1, 4))):
        paths = places(table)
        path = paths[int(generator.integers(len(paths)))]
        inner: Any = table
        for key in path[:-1]:
            inner = inner[key]
        act = generator.random()
        if act < 0.1:
            del inner[path[-1]]
        elif act < 0.2 and isinstance(inner, dict):
            inner[str(generator.choice(["x", "kind", "mean", "compute_ms", "values", "unit"]))] = 1
        else:
            inner[path[-1]] = copy.deepcopy(HOSTILE[int(generator.integers(len(HOSTILE)))])
    return table


def figures(value: Any) -> list[float]:
    """Every number of an answer."""
    if isinstance(value, dict):
        return [n for inner in value.values() for n in figures(inner)]
    if isinstance(value, (list, tuple)):
        return [n for inner in value for n in figures(inner)]
    return [float(value)] if isinstance(value, (int, float)) else []


def answered(table: dict[str, Any]) -> bool:
    """Whether a scenario is answered, with figures that can be, or else refused in few words."""
    refused = ""
    try:
        result = simulate(table)
    except PerfmodelError as error:
        refused = str(error)
    if refused:
        assert len(refused) < 1200
        return False
    for case in result.cases:
        numbers = figures([case.latency_ms, case.wait_ms, case.energy_mj, case.utilization])
        assert all(math.isfinite(n) and n >= 0 for n in numbers), case
    return True


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on for long is refused soon."""
    monkeypatch.setattr(replication, "MOST_EVENTS", 4000)
    monkeypatch.setattr(rates, "MOST_SEGMENTS", 3000)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("seed", range(4))
def test_scenarios_with_hostile_values_are_answered_or_refused(seed: int) -> None:
    hostile(seed, 60)


@pytest.mark.slow
@pytest.mark.usefixtures("_short")
def test_ten_thousand_scenarios_with_hostile_values() -> None:
    hostile(100, 10_000)


def hostile(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    answers = 0
    for number in range(count):
        table = damaged(generator)
        try:
            answers += answered(table)
        except Exception as error:
            raise AssertionError(f"seed {seed}, case {number}: {error!r} of {table}") from error
    assert 0 < answers < count


LINES = (
    *("0 1", "1 2", "0,1", "1e308 1", "0 1e308", "-1 2", "nan 1", "inf 2", "a b", "time_s,mbps"),
    *(
        "time_s,downlink_mbps",
        "time_s",
        "0",
        "5",
        "99999999999999",
        "1" * 5000,
        "\u00b2",
        "",
        " ",
        '"',
    ),
    *("0 0", "1 0", "100 1", "\x00", "1 1 1", '"a\nb",3', "1e-320 1", "0 1e-320", "x" * 200_000),
)


@pytest.mark.parametrize("seed", range(6))
def test_traces_of_hostile_lines_are_read_or_refused(seed: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(seed)
    file = tmp_path / "t.txt"
    read = 0
    for _ in range(150):
        chosen = generator.choice(len(LINES), int(generator.integers(0, 5)))
        file.write_text("\n".join(LINES[i] for i in chosen), encoding="utf-8")
        for reader in (read_trace, read_arrivals):
            refused = ""
            try:
                found = reader(file)
            except PerfmodelError as error:
                refused = str(error)
            if refused:
                assert "t.txt" in refused
                assert len(refused) < 400
                continue
            read += 1
            times = getattr(found, "times_s", found)
            assert all(math.isfinite(t) and t >= 0 for t in times)
            assert all(0 <= m < math.inf for m in getattr(found, "mbps", ()))
    assert read


def test_a_run_without_an_end_is_refused_after_so_many_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = {
        "policy": "device",
        "workload": {"kind": "trace", "times_s": [0.0]},
        "on_device": {"compute_ms": 1.0},
    }
    # ten slices of 0.1 ms, an arrival, an answer: some dozen events
    endless = {"device": {"cpu": {"slice_ms": 0.1}}, "task": task}
    monkeypatch.setattr(replication, "MOST_EVENTS", 100)
    assert simulate(endless).cases[0].latency_ms["mean"] == pytest.approx(1.0)
    monkeypatch.setattr(replication, "MOST_EVENTS", 9)
    with pytest.raises(PerfmodelError, match="has not ended after 9 events"):
        simulate(endless)


def test_a_transfer_that_sees_too_many_rates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_SEGMENTS", 50)

    def sent(bits: float) -> float:
        return rates.ChangingRate(iter(lambda: (1.0, 0.001), None)).finish_ms(0.0, bits)

    assert sent(50.0) == pytest.approx(50.0)  # a bit a segment
    with pytest.raises(PerfmodelError, match="not over after 50 changes"):
        sent(52.5)
