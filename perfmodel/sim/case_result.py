"""What is known of one case: figures of all its requests, intervals over its replications."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perfmodel.sim.records import PERCENTILES, Quantiles, Statistics
from perfmodel.sim.request import QUEUE, STEPS

BATCHES = 20
"""Of a single replication, for an interval by batch means: between the 10 and 30 that Schmeiser
(1982) found enough; more of them only make the batches shorter and alike."""

FEWEST_BLOCKS = 2 * BATCHES
COVERAGE = 0.95
MISSED = "deadline_miss_rate"
CURVE_PERCENTS = (0, 1, 2, 5, *range(10, 91, 5), 92, 94, 95, 96, 97, 98, 99, 99.5, 99.9, 100)
"""Percents of requests at which the distribution of latencies is told, dense where it has tails."""
POOLED = "requests of all replications after the warm-up"


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """One replication: statistics of its requests, and what happened to phones, link and server.

    `energy_mj` is by component, of all phones over the whole replication, and None when a power
    is not given. `backlog` is how many requests were unanswered when the last one came, at
    `last_arrival_ms`.
    """

    statistics: Statistics
    answered: int
    dropped: int
    rejected: int
    utilization: Mapping[str, float]
    energy_mj: Mapping[str, float] | None
    counts: Mapping[str, float]
    backlog: int
    last_arrival_ms: float
    makespan_ms: float


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """The answer for one case.

    Latency (mean, percentiles, largest), wait, steps and the share of deadlines missed are those
    of all requests after the warm-up, pooled over the replications; percentiles are off by
    `percentile_error` at most (a share, zero where they are exact). `latency_curve` is the
    distribution: (percent of requests, ms within which they are answered). `intervals` are 95 %
    confidence intervals over the replications. `by_replication` holds the same figures of each
    replication. Utilization, counts and energy are means over replications.
    """

    group: str
    name: str
    policy: str
    requests: int
    latency_ms: Mapping[str, float]
    latency_curve: tuple[tuple[float, float], ...] = field(repr=False)
    percentile_error: float
    wait_ms: Mapping[str, float]
    deadline_ms: float | None
    deadline_miss_rate: float | None
    energy_mj: Mapping[str, Any] | None
    utilization: Mapping[str, float]
    steps_ms: Mapping[str, float]
    plans: Mapping[str, float]
    counts: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    by_replication: Mapping[str, tuple[float, ...]] = field(repr=False)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The case's name, or its policy where it has none."""
        return self.name or self.policy

    @property
    def bottleneck(self) -> str:
        """The step that takes the most time."""
        return max(self.steps_ms, key=self.steps_ms.__getitem__)

    def to_json(self) -> dict[str, Any]:
        """Return plain data; energy and deadline are null where nothing is known of them."""
        return {
            "group": self.group,
            "case": self.name,
            "policy": self.policy,
            "requests": self.requests,
            "latency_ms": dict(self.latency_ms),
            "latency_of": POOLED,
            "latency_curve": [list(point) for point in self.latency_curve],
            "percentile_error": self.percentile_error,
            "wait_ms": dict(self.wait_ms),
            "deadline_ms": self.deadline_ms,
            "deadline_miss_rate": self.deadline_miss_rate,
            "energy_mj": dict(self.energy_mj) if self.energy_mj is not None else None,
            "utilization": dict(self.utilization),
            "steps_ms": dict(self.steps_ms),
            "bottleneck": self.bottleneck,
            "plans": dict(self.plans),
            "counts": dict(self.counts),
            "intervals": {key: list(value) for key, value in self.intervals.items()},
            "interval_coverage": COVERAGE,
            "intervals_of": "replications" if self.replications > 1 else "batches of one run",
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }

    @property
    def replications(self) -> int:
        """How often the case was simulated."""
        return len(self.by_replication["latency_mean_ms"])


def interval_about(whole: float, parts: Sequence[float]) -> tuple[float, float] | None:
    """Return the confidence interval (COVERAGE) about a figure of all, from those of equal parts.

    The method of sectioning (Asmussen and Glynn, Stochastic Simulation, 2007, III.5a): Student's t
    times the scatter of the parts' figures about the figure of the whole. For a mean it is the
    usual interval; for a percentile it is centred at that of the pooled observations, which a mean
    of percentiles misses. None for a single part.
    """
    from scipy import special  # scipy.stats would take a second to import

    if len(parts) < 2:
        return None
    variance = math.fsum((part - whole) ** 2 for part in parts) / (len(parts) - 1)
    quantile = float(special.stdtrit(len(parts) - 1, (1 + COVERAGE) / 2))
    half = quantile * math.sqrt(variance / len(parts))
    return whole - half, whole + half


def batch_means(blocks: Sequence[float]) -> list[float]:
    """Return BATCHES means of consecutive blocks; empty when the run is too short for that."""
    if len(blocks) < FEWEST_BLOCKS:
        return []
    size = len(blocks) // BATCHES
    return [math.fsum(blocks[i * size : (i + 1) * size]) / size for i in range(BATCHES)]


def mean_of(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over replications of every key."""
    keys = dict.fromkeys(key for table in tables for key in table)
    return {key: math.fsum(t.get(key, 0.0) for t in tables) / len(tables) for key in keys}


def pooled_latency(
    statistics: Sequence[Statistics],
) -> tuple[dict[str, float], tuple[tuple[float, float], ...], float]:
    """Return mean, percentiles and largest latency (ms) of all requests; their distribution as
    (percent, ms); the percentiles' error."""
    latencies = Quantiles.pooled([s.latencies for s in statistics])
    table = {"mean": _per_request(statistics, [s.latency_mean_ms for s in statistics])}
    table.update({f"p{percent}": latencies.percentile(percent) for percent in PERCENTILES})
    table["max"] = max(s.latency_max_ms for s in statistics)
    curve = tuple(zip(CURVE_PERCENTS, latencies.percentiles(CURVE_PERCENTS), strict=True))
    return table, curve, latencies.error


def pooled_steps(statistics: Sequence[Statistics]) -> dict[str, float]:
    """Return the mean time (ms) of every step over all requests."""
    columns = zip(*(s.steps_ms for s in statistics), strict=True)
    return {
        step: _per_request(statistics, column) for step, column in zip(STEPS, columns, strict=True)
    }


def _per_request(statistics: Sequence[Statistics], means: Sequence[float]) -> float:
    """The mean over all requests from the means of the replications."""
    requests = [s.requests for s in statistics]
    return math.fsum(n * m for n, m in zip(requests, means, strict=True)) / sum(requests)


def figures_by_replication(statistics: Sequence[Statistics]) -> dict[str, tuple[float, ...]]:
    """Return the figures that have intervals, of each replication by itself."""
    figures = {
        "latency_mean_ms": tuple(s.latency_mean_ms for s in statistics),
        "wait_mean_ms": tuple(s.steps_ms[QUEUE] for s in statistics),
        MISSED: tuple(s.missed / s.requests for s in statistics),
    }
    for percent in PERCENTILES:
        percentiles = tuple(s.latencies.percentile(percent) for s in statistics)
        figures[f"latency_p{percent}_ms"] = percentiles
    return figures


def intervals_of(
    whole: Mapping[str, float], statistics: Sequence[Statistics]
) -> dict[str, tuple[float, float]]:
    """Return the intervals of the figures in `whole` that the data allow.

    They are over replications; of a single one there are those of means, over batches of it.
    """
    parts: Mapping[str, Sequence[float]] = figures_by_replication(statistics)
    if len(statistics) == 1:
        parts = {
            "latency_mean_ms": batch_means(statistics[0].block_latency_ms),
            "wait_mean_ms": batch_means(statistics[0].block_wait_ms),
        }
    found = {key: interval_about(whole[key], parts[key]) for key in parts if key in whole}
    return {key: interval for key, interval in found.items() if interval is not None}
