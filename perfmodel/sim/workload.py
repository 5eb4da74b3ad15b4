"""When requests come: processes that call `submit()` at the right moments."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.sim.distributions import Draw, read_distribution

if TYPE_CHECKING:
    import numpy as np
    import simpy

    from perfmodel.sim.scenario import TaskWorkload

Submit = Callable[[], None]


def gaps_ms(
    spec: TaskWorkload, rng: np.random.Generator, times_s: Sequence[float] = ()
) -> Iterator[float]:
    """Yield the time (ms) from each arrival to the next, the first from the start of the run."""
    if spec.kind == "trace":
        return _trace_gaps(times_s)
    if spec.kind == "periodic":
        return _periodic_gaps(spec, rng)
    if spec.kind == "bursty":
        return _bursty_gaps(spec, rng)
    if spec.kind == "poisson":
        assert spec.rate_per_s is not None
        return _drawn(
            read_distribution({"kind": "exponential", "mean": 1000 / spec.rate_per_s}), rng
        )
    assert spec.interval_ms is not None
    return _drawn(spec.interval_ms, rng)


def _drawn(law: Any, rng: np.random.Generator) -> Iterator[float]:
    return iter(law.draws(rng), None)  # calls it for ever: a draw is never None


def _trace_gaps(times_s: Sequence[float]) -> Iterator[float]:
    before_s = 0.0
    for time_s in times_s:
        yield 1000.0 * (time_s - before_s)
        before_s = time_s


def _periodic_gaps(spec: TaskWorkload, rng: np.random.Generator) -> Iterator[float]:
    """Frame i is due at phase + i * period and comes up to its jitter later; order is kept."""
    assert spec.period_ms is not None
    draw = spec.jitter_ms.draws(rng)
    phase_ms = float(rng.random()) * spec.period_ms if spec.random_phase else 0.0
    number, before_ms = 0, 0.0
    while True:
        time_ms = max(before_ms, phase_ms + number * spec.period_ms + draw())
        yield time_ms - before_ms
        before_ms = time_ms
        number += 1


def _bursty_gaps(spec: TaskWorkload, rng: np.random.Generator) -> Iterator[float]:
    """Interrupted Poisson process: starts at the beginning of a burst."""
    assert spec.rate_per_s is not None
    assert spec.on_s is not None
    assert spec.off_s is not None
    left_ms = 1000.0 * float(rng.exponential(spec.on_s))
    while True:
        silence_ms = 0.0
        gap_ms = 1000.0 * float(rng.exponential(1 / spec.rate_per_s))
        while gap_ms > left_ms:
            # the exponential has no memory: draw anew in the next burst
            silence_ms += left_ms + 1000.0 * float(rng.exponential(spec.off_s))
            left_ms = 1000.0 * float(rng.exponential(spec.on_s))
            gap_ms = 1000.0 * float(rng.exponential(1 / spec.rate_per_s))
        left_ms -= gap_ms
        yield silence_ms + gap_ms


def open_arrivals(
    env: simpy.Environment,
    gaps: Iterator[float],
    spec: TaskWorkload,
    submit: Submit,
    over: Callable[[], None],
) -> Generator[Any, Any, None]:
    """Process: submit requests, answered or not the ones before; call `over()` at the end."""
    left = math.inf if spec.requests is None else spec.requests
    end_ms = math.inf if spec.duration_s is None else 1000.0 * spec.duration_s
    timeout, group_size = env.timeout, spec.group_size
    while left > 0:
        gap_ms = next(gaps, None)
        if gap_ms is None or env.now + gap_ms > end_ms:
            break
        yield timeout(gap_ms)
        for _ in range(int(min(group_size, left))):
            submit()
            left -= 1
    over()


def closed_arrivals(
    env: simpy.Environment,
    draw_think: Draw,
    spec: TaskWorkload,
    submit: Submit,
    over: Callable[[], None],
    answered: Callable[[], simpy.Event],
) -> Generator[Any, Any, None]:
    """Process: submit a group, wait until all of it is answered, think, and again."""
    left = math.inf if spec.requests is None else spec.requests
    end_ms = math.inf if spec.duration_s is None else 1000.0 * spec.duration_s
    while left > 0 and env.now < end_ms:
        size = int(min(spec.group_size, left))
        left -= size
        event = answered()
        for _ in range(size):
            submit()
        yield event
        if left > 0:
            yield env.timeout(draw_think())
    over()


def mean_rate_per_s(spec: TaskWorkload, times_s: Sequence[float] = ()) -> float | None:
    """Return the long-run requests per second of one phone; None for a closed workload."""
    if spec.kind == "closed":
        return None
    if spec.kind == "trace":
        return len(times_s) / times_s[-1] if times_s and times_s[-1] > 0 else None
    if spec.kind == "periodic":
        assert spec.period_ms is not None
        rate = 1000.0 / spec.period_ms
    elif spec.kind == "renewal":
        assert spec.interval_ms is not None
        rate = 1000.0 / spec.interval_ms.mean
    else:
        assert spec.rate_per_s is not None
        rate = spec.rate_per_s
        if spec.kind == "bursty":
            assert spec.on_s is not None
            assert spec.off_s is not None
            rate *= spec.on_s / (spec.on_s + spec.off_s)
    return rate * spec.group_size
