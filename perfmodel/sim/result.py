"""What a simulation answers: statistics over replications with intervals, as a frozen result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfmodel.sim.records import PERCENTILES, Statistics
from perfmodel.sim.request import QUEUE, STEPS

if TYPE_CHECKING:
    import pandas as pd

BATCHES = 20  # of a single replication, for an interval by the method of batch means
FEWEST_BLOCKS = 2 * BATCHES
COVERAGE = 0.95


@dataclass(frozen=True)
class Outcome:
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


@dataclass(frozen=True)
class CaseResult:
    """The answer for one case; `intervals` are 95 % confidence intervals of the means named.

    Means are over replications; percentiles are means of the replications' percentiles.
    """

    group: str
    name: str
    policy: str
    requests: int
    latency_ms: Mapping[str, float]
    wait_ms: Mapping[str, float]
    deadline_ms: float | None
    deadline_miss_rate: float | None
    energy_mj: Mapping[str, Any] | None
    utilization: Mapping[str, float]
    steps_ms: Mapping[str, float]
    plans: Mapping[str, float]
    counts: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

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
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class SimulationResult:
    """The answers of a scenario's cases; attributes of the best case are at hand on the result."""

    scenario: str
    cases: tuple[CaseResult, ...]
    seed: int
    replications: int
    elapsed_s: float
    records: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    @property
    def best(self) -> CaseResult:
        """The winner of the first group."""
        return self.winners()[self.cases[0].group]

    def winners(self) -> dict[str, CaseResult]:
        """Return the best case of each group: fewest deadline misses, then least p95 latency."""
        best: dict[str, CaseResult] = {}
        for case in self.cases:
            if case.group not in best or _order(case) < _order(best[case.group]):
                best[case.group] = case
        return best

    def __getattr__(self, name: str) -> Any:
        if name in CaseResult.__dataclass_fields__:
            return getattr(self.best, name)
        raise AttributeError(name)

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the best case at the top, every case under `cases`."""
        return {
            "scenario": self.scenario,
            **self.best.to_json(),
            "replications": self.replications,
            "seed": self.seed,
            "elapsed_s": self.elapsed_s,
            "winners": {group: case.name for group, case in self.winners().items()},
            "cases": [case.to_json() for case in self.cases],
        }


def _order(case: CaseResult) -> tuple[float, float]:
    return (case.deadline_miss_rate or 0.0, case.latency_ms["p95"])


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the Student-t interval (COVERAGE) of the mean of independent values; None for one."""
    from scipy import special  # scipy.stats would take a second to import

    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = float(special.stdtrit(len(values) - 1, (1 + COVERAGE) / 2)) * math.sqrt(
        variance / len(values)
    )
    return mean - half, mean + half


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


def latency_table(statistics: Statistics) -> dict[str, float]:
    """Return mean, percentiles and largest latency (ms) of one replication."""
    names = [f"p{percent}" for percent in PERCENTILES]
    table = {"mean": statistics.latency_mean_ms}
    table.update(zip(names, statistics.percentiles_ms, strict=True))
    table["max"] = statistics.latency_max_ms
    return table


def intervals_of(outcomes: Sequence[Outcome]) -> dict[str, tuple[float, float]]:
    """Return the intervals of mean latency, mean wait and percentiles that the data allow."""
    if len(outcomes) == 1:
        statistics = outcomes[0].statistics
        named = {
            "latency_mean_ms": batch_means(statistics.block_latency_ms),
            "wait_mean_ms": batch_means(statistics.block_wait_ms),
        }
    else:
        tables = [latency_table(outcome.statistics) for outcome in outcomes]
        named = {f"latency_{key}_ms": [table[key] for table in tables] for key in tables[0]}
        named["wait_mean_ms"] = [outcome.statistics.steps_ms[QUEUE] for outcome in outcomes]
    found = {key: mean_interval(values) for key, values in named.items()}
    return {key: interval for key, interval in found.items() if interval is not None}


def steps_table(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Return the mean time (ms) of every step."""
    return mean_of([dict(zip(STEPS, o.statistics.steps_ms, strict=True)) for o in outcomes])
