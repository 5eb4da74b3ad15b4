"""Statistics of all requests against records made by hand, and against queueing theory."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from scenarios import offload

from perfmodel.sim import simulate
from perfmodel.sim.case_result import (
    BATCHES,
    batch_means,
    figures_by_replication,
    interval_about,
    intervals_of,
    pooled_latency,
    pooled_steps,
)
from perfmodel.sim.records import (
    BINNED_ERROR,
    COLUMNS,
    EXACT_UP_TO,
    LEAST_MS,
    Quantiles,
    Sink,
    Statistics,
)
from perfmodel.sim.request import QUEUE, STEPS


def statistics_of(latencies_ms: list[float], warmup: int = 0, deadline: float = 1e9) -> Statistics:
    """Statistics of a replication with these latencies, a tenth of each spent in the queue."""
    sink = Sink([deadline], warmup)
    for number, latency_ms in enumerate(latencies_ms):
        steps = [0.0] * len(STEPS)
        steps[QUEUE] = latency_ms / 10
        sink.add((number, 0, 0, 0, 0.0, latency_ms, *steps, 0, 0.0))
    found = sink.statistics()
    assert found is not None
    return found


def test_a_record_has_a_column_for_every_entry() -> None:
    assert len(COLUMNS) == 6 + len(STEPS) + 2


def test_percentiles_are_those_of_all_requests_and_not_means_of_percentiles() -> None:
    """Replications of one request each: every percentile of one of them is that request."""
    parts = [statistics_of([latency]) for latency in (1.0, 2.0, 3.0, 4.0, 100.0)]
    table, curve, error = pooled_latency(parts)
    # linear between the five: the median is the third, p95 is 0.8 of the way from 4 to 100
    assert table == pytest.approx(
        {"mean": 22.0, "p50": 3.0, "p95": 4 + 0.8 * 96, "p99": 4 + 0.96 * 96, "max": 100.0}
    )
    assert error == 0.0
    shown = dict(curve)
    assert (shown[0], shown[50], shown[95], shown[100]) == pytest.approx((1.0, 3.0, 80.8, 100.0))
    assert list(shown) == sorted(shown)


def test_several_percentiles_are_those_asked_for_one_by_one() -> None:
    values = np.random.default_rng(0).exponential(10, 1000)
    for exact_up_to in (10, 10_000):
        held = Quantiles(exact_up_to)
        held.add(values)
        percents = (0, 12.5, 50, 99.9, 100)
        assert held.percentiles(percents) == [held.percentile(p) for p in percents]


def test_every_request_weighs_the_same_whatever_its_replication() -> None:
    parts = [statistics_of([10.0]), statistics_of([20.0, 20.0, 20.0], deadline=15.0)]
    table, _, _ = pooled_latency(parts)
    assert table["mean"] == pytest.approx((10 + 3 * 20) / 4)
    assert pooled_steps(parts)["queue"] == pytest.approx(1.75)
    assert figures_by_replication(parts)["deadline_miss_rate"] == (0.0, 1.0)


def test_the_first_answers_of_each_replication_are_left_out() -> None:
    parts = [statistics_of([500.0, 1.0, 3.0], warmup=1), statistics_of([700.0, 5.0], warmup=1)]
    assert [part.requests for part in parts] == [2, 1]
    table, _, _ = pooled_latency(parts)
    assert (table["mean"], table["p50"], table["max"]) == (3.0, 3.0, 5.0)


def test_the_interval_about_a_figure_by_hand() -> None:
    # deviations from 3 are -2, 0 and 5: variance 29 / 2; t(2, 97.5 %) = 4.3027
    half = 4.302653 * math.sqrt(29 / 2 / 3)
    assert interval_about(3.0, [1.0, 3.0, 8.0]) == pytest.approx((3 - half, 3 + half))
    assert interval_about(3.0, [3.0]) is None


def test_intervals_are_centred_at_the_figures_that_are_printed() -> None:
    rng = np.random.default_rng(0)
    parts = [statistics_of(rng.exponential(10, 30).tolist()) for _ in range(20)]
    table, _, _ = pooled_latency(parts)
    whole = {f"latency_{key}_ms": value for key, value in table.items()}
    found = intervals_of(whole, parts)
    assert set(found) == {"latency_mean_ms", *(f"latency_p{p}_ms" for p in (50, 95, 99))}
    for key, (low, high) in found.items():
        assert (low + high) / 2 == pytest.approx(whole[key])


def test_intervals_hold_the_true_percentile_as_often_as_they_say() -> None:
    """95 % intervals about p50 and p95 of an exponential, 300 times over ten replications."""
    rng = np.random.default_rng(1)
    inside = {"p50": 0, "p95": 0}
    for _ in range(300):
        sample = rng.exponential(1.0, (10, 100))
        for name, percent in (("p50", 50), ("p95", 95)):
            whole = float(np.percentile(sample, percent))
            parts = np.percentile(sample, percent, axis=1).tolist()
            low, high = interval_about(whole, parts) or (0.0, 0.0)
            inside[name] += low <= -math.log(1 - percent / 100) <= high
    # 285 of 300 expected with a standard deviation of 3.8; three of them either way
    assert all(270 <= count <= 300 for count in inside.values())


def test_a_single_run_has_intervals_of_means_over_batches_of_it() -> None:
    blocks = [float(i % 7) for i in range(2 * BATCHES + 5)]
    means = batch_means(blocks)
    assert len(means) == BATCHES
    assert means[0] == pytest.approx((blocks[0] + blocks[1]) / 2)
    assert means[-1] == pytest.approx((blocks[38] + blocks[39]) / 2)
    assert batch_means(blocks[: 2 * BATCHES - 1]) == []


@pytest.mark.parametrize("law", ["lognormal", "gamma", "two far values"])
def test_percentiles_of_a_long_stream_stay_within_the_stated_error(law: str) -> None:
    rng = np.random.default_rng(2)
    number = 2 * EXACT_UP_TO + 1
    values = {
        "lognormal": rng.lognormal(3.0, 1.0, number),
        "gamma": rng.gamma(0.5, 10.0, number),
        "two far values": np.where(np.arange(number) < 0.95 * (number - 1), 1.0, 1000.0),
    }[law]
    quantiles = Quantiles()
    for chunk in np.array_split(rng.permutation(values), 100):
        quantiles.add(chunk)
    assert quantiles.error == BINNED_ERROR
    for percent in (0, 1, 50, 95, 99, 99.99, 100):
        expected = np.percentile(values, percent)
        assert quantiles.percentile(percent) == pytest.approx(
            expected, rel=1.01 * BINNED_ERROR, abs=2 * LEAST_MS
        )


def test_pooling_equals_one_stream_of_everything() -> None:
    rng = np.random.default_rng(3)
    parts, everything = [], []
    for size in (10, EXACT_UP_TO, EXACT_UP_TO + 1, 5):
        values = rng.exponential(size, size)
        part = Quantiles()
        part.add(values)
        parts.append(pickle.loads(pickle.dumps(part)))  # as it comes from another process
        everything.append(values)
    pooled = Quantiles.pooled(parts)
    for percent in (0, 50, 99, 100):
        expected = np.percentile(np.concatenate(everything), percent)
        assert pooled.percentile(percent) == pytest.approx(expected, rel=1.01 * BINNED_ERROR)
    few = Quantiles.pooled([parts[0], parts[3]])
    assert few.error == 0.0
    small = np.concatenate([everything[0], everything[3]])
    assert few.percentile(95) == pytest.approx(np.percentile(small, 95), rel=1e-12)


def test_percentiles_are_exact_where_the_records_are_kept() -> None:
    sink = Sink([1e9], keep=True)
    steps = [0.0] * len(STEPS)
    latencies = np.random.default_rng(4).lognormal(0, 1, EXACT_UP_TO + 10)
    for number, latency_ms in enumerate(latencies.tolist()):
        sink.add((number, 0, 0, 0, 0.0, latency_ms, *steps, 0, 0.0))
    found = sink.statistics()
    assert found is not None
    assert found.latencies.error == 0.0
    assert found.latencies.percentile(99) == pytest.approx(np.percentile(latencies, 99), rel=1e-12)


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no numbers"):
        Quantiles().percentile(50)


def test_the_figures_of_a_simulation_are_those_of_its_records() -> None:
    tables = offload(
        replications=7,
        warmup_requests=3,
        task__deadline_ms=70.0,
        task__workload={"kind": "poisson", "rate_per_s": 20.0, "requests": 40},
        task__on_server__compute_ms={"kind": "exponential", "mean": 12.0},
    )
    result = simulate(tables, keep_records=True)
    frame = result.records.groupby("replication").apply(
        lambda rows: rows.iloc[3:], include_groups=False
    )
    assert result.requests == len(frame) == 7 * 37
    assert result.latency_ms["mean"] == pytest.approx(frame.latency_ms.mean())
    for percent in (50, 95, 99):
        expected = np.percentile(frame.latency_ms, percent)
        assert result.latency_ms[f"p{percent}"] == pytest.approx(expected)
    assert result.latency_ms["max"] == frame.latency_ms.max()
    assert result.wait_ms["mean"] == pytest.approx(frame.queue_ms.mean())
    assert result.deadline_miss_rate == pytest.approx((frame.latency_ms > 70).mean())
    low, high = result.intervals["deadline_miss_rate"]
    assert low < result.deadline_miss_rate < high


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_percentiles_of_a_queue_are_those_of_theory(load: float) -> None:
    """The time in an M/M/1 system is exponential with rate mu - lambda."""
    service_ms = 10.0
    scenario: dict[str, Any] = {
        "seed": 11,
        "replications": 10,
        "warmup_requests": 2000,
        "server": {},
        "task": {
            "policy": "cloud",
            "workload": {
                "kind": "poisson",
                "rate_per_s": 1000 * load / service_ms,
                "requests": 12_000,
            },
            "on_server": {"compute_ms": {"kind": "exponential", "mean": service_ms}},
        },
    }
    result = simulate(scenario)
    assert result.percentile_error == BINNED_ERROR  # 100,000 requests
    for percent in (50, 95, 99):
        theory = -math.log(1 - percent / 100) * service_ms / (1 - load)
        low, high = result.intervals[f"latency_p{percent}_ms"]
        # a 99 % interval, of which six hold: t(9, 99.5 %) / t(9, 97.5 %) = 1.44 times as wide
        assert abs(result.latency_ms[f"p{percent}"] - theory) < 1.44 * (high - low) / 2
        assert high - low < 0.3 * theory  # an interval in which anything fits proves nothing
