"""How long work takes on a GPU: every raw value, warm-ups apart, statistics on demand.

One value is the mean over enough back-to-back replays to fill `SAMPLE_MS`, between two events: the
start of a graph, which Python delays, then does not count. The number of a network is the median
over values, replayed as a CUDA graph.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.runners.cuda.device import Work

SAMPLE_MS = 2.0
"""Length of a sample: thousands of ticks of the events' clock (0.5 us)."""
MOST_REPLAYS = 50
"""Replays between two events at most, whatever the length."""
UNSTABLE = 1.10
"""A 90th percentile this far above the median is worth a warning, by judgement."""


@dataclass(frozen=True)
class Timing:
    """Times of one run in microseconds; `graph` says whether it was replayed as a CUDA graph."""

    values_us: tuple[float, ...]
    warmup_us: tuple[float, ...]
    graph: bool

    @property
    def median_us(self) -> float:
        """The figure that is reported."""
        return statistics.median(self.values_us)

    @property
    def minimum_us(self) -> float:
        """The best value."""
        return min(self.values_us)

    @property
    def p90_us(self) -> float:
        """The value that 90 % do not exceed (nearest rank)."""
        ordered = sorted(self.values_us)
        return ordered[math.ceil(0.9 * len(ordered)) - 1]

    @property
    def stable(self) -> bool:
        """Whether the 90th percentile lies close to the median."""
        return self.p90_us <= UNSTABLE * self.median_us


def time_work(
    device: Any, work: Work, samples: int = 15, runs_inside: int = 1, as_graph: bool = True
) -> Timing:
    """Time `work`, which itself does `runs_inside` runs, on a `CudaDevice`.

    `as_graph` False launches it on the plain stream each time, as a framework without graphs does.
    """
    work()
    device.synchronize()
    if not as_graph:
        return _sample(device, work, samples, runs_inside, False)
    with device.replayable(work) as (replay, graph):
        return _sample(device, replay, samples, runs_inside, graph)


def _sample(device: Any, replay: Work, samples: int, runs_inside: int, graph: bool) -> Timing:
    warmups = [device.elapsed_ms(replay) for _ in range(3)]
    replays = max(1, min(MOST_REPLAYS, math.ceil(SAMPLE_MS / max(min(warmups), 1e-3))))

    def many() -> None:
        for _ in range(replays):
            replay()

    scale = 1e3 / (replays * runs_inside)
    values = tuple(device.elapsed_ms(many) * scale for _ in range(samples))
    return Timing(values, tuple(w * 1e3 / runs_inside for w in warmups), graph)


def layers_that_add_up(passes: Sequence[Sequence[float]], whole: float) -> list[float]:
    """Median time of each layer, the marks' own cost taken off so that the sum is `whole`.

    `passes` are times between marks, per pass and layer; `whole` the time of a pass without marks,
    in the same unit. Each mark is taken to cost the same; a layer keeps at least a tenth of its
    time between the marks.
    """
    medians = [statistics.median(column) for column in zip(*passes, strict=True)]
    mark = max(0.0, (sum(medians) - whole) / len(medians))
    times = [max(0.1 * m, m - mark) for m in medians]
    scale = whole / sum(times)
    return [t * scale for t in times]
