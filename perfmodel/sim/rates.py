"""Bandwidth over time: piecewise constant, asked how long a transfer takes."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import cycle, pairwise
from typing import TYPE_CHECKING, Protocol

from perfmodel.errors import ScenarioError

if TYPE_CHECKING:
    import numpy as np

BITS_PER_MS_PER_MBPS = 1000.0
KEPT_SEGMENTS = 512  # of the past, before those that are over are forgotten: a few kB a phone
MOST_SEGMENTS = 10**7  # that one transfer sees: more would fill the memory
Segment = tuple[float, float]  # duration in ms, rate in Mbit/s


class Bandwidth(Protocol):
    """A bandwidth that can say when a transfer ends."""

    def finish_ms(self, start_ms: float, bits: float) -> float:
        """Return when `bits` that start to flow at `start_ms` have flowed."""

    def bits_between(self, start_ms: float, end_ms: float) -> float:
        """Return how many bits can flow between two times."""

    def mbps_at(self, time_ms: float) -> float:
        """Return the rate at a time."""

    def forget_before(self, time_ms: float) -> None:
        """Promise that no earlier time will be asked for, so that memory does not grow."""


class ConstantRate:
    """A bandwidth that never changes."""

    __slots__ = (
        "_bits_per_ms",
        "mbps",
    )

    def __init__(self, mbps: float) -> None:
        self.mbps = mbps
        self._bits_per_ms = mbps * BITS_PER_MS_PER_MBPS

    def finish_ms(self, start_ms: float, bits: float) -> float:
        return start_ms + bits / self._bits_per_ms

    def bits_between(self, start_ms: float, end_ms: float) -> float:
        return (end_ms - start_ms) * self._bits_per_ms

    def mbps_at(self, time_ms: float) -> float:
        return self.mbps

    def forget_before(self, time_ms: float) -> None:
        pass


class ChangingRate:
    """A bandwidth made of segments that come one after the other without end."""

    def __init__(self, segments: Iterator[Segment]) -> None:
        self._segments = segments
        self._ends_ms: list[float] = []
        self._mbps: list[float] = []
        self._last_ms = 0.0

    def _reach(self, time_ms: float) -> int:
        """Fetch segments until `time_ms` lies in one; return its index."""
        while self._last_ms <= time_ms:
            self._fetch()
        return bisect_right(self._ends_ms, time_ms)

    def _fetch(self) -> None:
        duration_ms, mbps = next(self._segments)
        self._last_ms += duration_ms
        self._ends_ms.append(self._last_ms)
        self._mbps.append(mbps)

    def finish_ms(self, start_ms: float, bits: float) -> float:
        index, now = self._reach(start_ms), start_ms
        first = index
        while True:
            if index - first > MOST_SEGMENTS:
                raise ScenarioError(
                    f"a transfer of {bits:g} bits is not over after {MOST_SEGMENTS} changes of rate"
                )
            if index == len(self._ends_ms):
                self._fetch()
            bits_per_ms = self._mbps[index] * BITS_PER_MS_PER_MBPS
            room = (self._ends_ms[index] - now) * bits_per_ms
            if bits <= room and bits_per_ms > 0:
                return now + bits / bits_per_ms
            bits -= room
            now = self._ends_ms[index]
            index += 1

    def bits_between(self, start_ms: float, end_ms: float) -> float:
        index, now, bits = self._reach(start_ms), start_ms, 0.0
        self._reach(end_ms)
        while now < end_ms:
            until = min(end_ms, self._ends_ms[index])
            bits += (until - now) * self._mbps[index] * BITS_PER_MS_PER_MBPS
            now = until
            index += 1
        return bits

    def mbps_at(self, time_ms: float) -> float:
        return self._mbps[self._reach(time_ms)]

    def forget_before(self, time_ms: float) -> None:
        if len(self._ends_ms) > KEPT_SEGMENTS and self._ends_ms[KEPT_SEGMENTS // 2] < time_ms:
            passed = bisect_right(self._ends_ms, time_ms)
            del self._ends_ms[:passed], self._mbps[:passed]


def trace_segments(times_s: Sequence[float], mbps: Sequence[float]) -> Iterator[Segment]:
    """Repeat a trace for ever: each value holds until the next time, the last for a median step."""
    steps = [later - sooner for sooner, later in pairwise(times_s)]
    last = sorted(steps)[len(steps) // 2] if steps else 1.0
    durations = [1000.0 * step for step in [*steps, last]]
    return cycle(list(zip(durations, mbps, strict=True)))


def markov_segments(
    states_mbps: Sequence[float], dwell_s: Sequence[float], rng: np.random.Generator
) -> Iterator[Segment]:
    """Stay in a state for an exponential time of mean `dwell_s`, then go to any other, evenly.

    The first state is drawn in proportion to the dwell times, so the process starts stationary.
    """
    cumulative = [sum(dwell_s[: i + 1]) for i in range(len(dwell_s))]
    draw = rng.random() * cumulative[-1]
    state = next(i for i, edge in enumerate(cumulative) if draw <= edge)
    while True:
        yield 1000.0 * float(rng.exponential(dwell_s[state])), states_mbps[state]
        step = int(rng.integers(1, len(states_mbps)))
        state = (state + step) % len(states_mbps)


def lognormal_segments(
    mean_mbps: float, cv: float, correlation: float, step_s: float, rng: np.random.Generator
) -> Iterator[Segment]:
    """Change every `step_s` to exp(AR(1)) with this mean, coefficient of variation, correlation."""
    sigma = math.sqrt(math.log1p(cv**2))
    centre = math.log(mean_mbps) - sigma**2 / 2
    deviation = float(rng.standard_normal())
    while True:
        yield 1000.0 * step_s, math.exp(centre + sigma * deviation)
        fresh = float(rng.standard_normal())
        deviation = correlation * deviation + math.sqrt(1 - correlation**2) * fresh
