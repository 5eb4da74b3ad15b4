"""From journal entries to samples: kernel times inside a network, its whole time, its first run.

All times are in units of the reference network of the same setup, times `usual_ms`: drift of the
machine between a set and the whole campaign cancels.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.graph.ir import Graph
from perfmodel.kernels.kernel import KernelTable
from perfmodel.kernels.loading import LoadWork, load_work
from perfmodel.runners.campaign import JobResult, SetResult, result_from_entry
from perfmodel.runners.host_bench import RunConfig
from perfmodel.runners.host_frameworks import FRAMEWORKS, HostFramework

SLOW = 1.25
"""A reference slower than this multiple of its usual time tells that the machine is shared: it
and a network need not suffer alike. In the committed campaign 0.5 % of the sets are as slow."""
UNDISTURBED = 1.15
"""Runs up to this multiple of their lower quartile count as undisturbed, by judgement: three times
the drift of the reference that a set may have."""
COUNTED_US = 2.0
"""What cutting to whole microseconds may add to the difference of two times."""
SHORTEST_US = 0.05
"""Kernels are never given less than this: the profiler counts whole us and may see none."""


@dataclass(frozen=True)
class FirstRun:
    """Making a network ready and running it once: ms, what was to be done, and whether the file
    was on disk.

    `load_ms` counts opening the file and preparing its operators, `inference_ms` the first
    inference; each is the least of `loads` cold ones.
    """

    load_ms: float
    inference_ms: float
    steady_ms: float
    work: LoadWork
    cold: bool
    loads: int = 1

    @property
    def first_ms(self) -> float:
        """The whole: from the file to the first result."""
        return self.load_ms + self.inference_ms


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One network measured in one setup; `kernel_us` has shape (kernels,).

    Microseconds are those of a machine on which the reference takes its usual time.

    `whole_ms` is the inference as a user sees it, `operators` what the runtime listed; `stable`
    is false where the reference stood still in no set.
    """

    key: str
    setup: RunConfig
    table: KernelTable
    kernel_us: np.ndarray
    whole_ms: float
    operators: int
    first: FirstRun
    stable: bool


def set_scale(one: SetResult, usual_ms: float) -> float:
    """What turns a time of this set into time at the reference's usual speed."""
    return usual_ms / one.reference_ms


def still_sets(result: JobResult, usual_ms: float) -> tuple[SetResult, ...]:
    """The sets whose reference stood still, and no slower than it usually is."""
    return tuple(s for s in result.sets if not s.moved and s.reference_ms <= SLOW * usual_ms)


def steady_sets(result: JobResult, usual_ms: float) -> tuple[SetResult, ...]:
    """The sets whose reference stood still; all of them where none did."""
    return still_sets(result, usual_ms) or result.sets


def whole_ms(result: JobResult, usual_ms: float) -> float:
    """Time of a whole inference in ms, were the reference at its usual speed: median of sets."""
    return statistics.median(s.ratio for s in steady_sets(result, usual_ms)) * usual_ms


def operator_us(result: JobResult, usual_ms: float) -> dict[str, tuple[float, ...]]:
    """Time of each listed operator in us, were the reference at its usual speed.

    One undisturbed mean a set, then their median. A runtime may list them in its first set only.
    """
    times: dict[str, list[float]] = {}
    steady = [s for s in steady_sets(result, usual_ms) if s.raw.per_op_us]
    for one in steady or result.sets:
        for name, values in one.raw.per_op_us.items():
            times.setdefault(name, []).append(undisturbed_mean(values) * set_scale(one, usual_ms))
    return {name: (statistics.median(values),) for name, values in times.items()}


def undisturbed_mean(values: Sequence[float]) -> float:
    """Mean of the runs that nothing interrupted: little longer than the lower quartile.

    Not a median: times are cut to whole microseconds and only their mean is right.
    """
    runs = np.asarray(values, dtype=float)
    limit = UNDISTURBED * np.quantile(runs, 0.25) + COUNTED_US
    return float(runs[runs <= limit].mean())


def sample(
    key: str,
    graph: Graph,
    setup: RunConfig,
    entry: Mapping[str, Any],
    usual_ms: float,
    framework: HostFramework = FRAMEWORKS["tflite"],
) -> Sample:
    """A journal entry of `graph` as a sample; raises `RunnerError` where its profile cannot be
    split into kernels."""
    result = result_from_entry(key, entry)
    per_op = operator_us(result, usual_ms)
    kernels = framework.fused(graph)
    pieces = entry.get("pieces", ())
    if per_op:
        times = framework.kernel_us(graph, setup.precision, per_op)
    elif len(pieces) == len(kernels):
        alone = [result_from_entry(key, piece) for piece in pieces]
        times = np.array([whole_ms(one, usual_ms) * 1e3 for one in alone])
    elif len(kernels) == 1:
        # a lone kernel is the whole: this is how kernels are timed without a profiler
        times = np.array([whole_ms(result, usual_ms) * 1e3])
    else:
        raise RunnerError(f"{key}: the runtime gave no times of operators")
    table = KernelTable.from_kernels(kernels)
    return Sample(
        key=key,
        setup=setup,
        table=table,
        kernel_us=np.maximum(times, SHORTEST_US),
        whole_ms=whole_ms(result, usual_ms),
        operators=len(per_op) or len(pieces),
        first=first_run(table, setup, result, entry, usual_ms),
        stable=bool(still_sets(result, usual_ms)),
    )


def first_run(
    table: KernelTable,
    setup: RunConfig,
    result: JobResult,
    entry: Mapping[str, Any],
    usual_ms: float,
) -> FirstRun:
    """Load and first inference of an entry with these kernels: the least of several cold ones.

    Of three in a row the longest load takes 1.26 times the shortest in the median network of the
    committed campaign, and 1.8 times in one of ten, as others use the disk and the core; the least
    is what repeats. The inference is at the reference's speed of the first set. Loading is not: it
    waits for the disk and runs on one thread, which the reference tells nothing of.
    """
    raw = result.sets[0].raw
    if raw.load_ms is None or raw.first_ms is None:
        raise RunnerError(f"{result.key}: the first set has no times of loading")
    loads = [(raw.load_ms, raw.first_ms), *entry.get("loads", ())]
    return FirstRun(
        min(load for load, _ in loads),
        min(first for _, first in loads) * set_scale(result.sets[0], usual_ms),
        whole_ms(result, usual_ms),
        load_work(table, setup.precision),
        bool(entry.get("cold", False)),
        len(loads),
    )
