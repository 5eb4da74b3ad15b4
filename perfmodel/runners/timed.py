"""What runners of this machine's libraries share: sets of timed runs and random inputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from perfmodel.formats.sizes import Sizes, in_order
from perfmodel.runners.runner import Job, RawRuns


class TimedModel:
    """A loaded network that is timed as a whole, then operator by operator.

    A runtime says how many `threads` it runs on (0: none of them is the calling one), how one
    inference is timed (`_timed`) and what its operators take (`_operator_times_us`); it sets
    `load_ms` and `first_ms`, which are given with the first set only.
    """

    threads: int
    load_ms: float | None
    first_ms: float | None

    def run_set(self, runs: int, warmups: int) -> RawRuns:
        """Time `runs` inferences after `warmups`, then the operators of about as many."""
        started_s = time.time()
        warm = tuple(self._timed()[0] for _ in range(warmups))
        timed = tuple(self._timed() for _ in range(runs))
        result = RawRuns(
            warmup_ms=warm,
            runs_ms=tuple(wall for wall, _ in timed),
            started_s=started_s,
            load_ms=self.load_ms,
            first_ms=self.first_ms,
            per_op_us=self._operator_times_us(runs),
            # one thread is the calling one
            cpu_ms=tuple(cpu for _, cpu in timed) if self.threads == 1 else (),
        )
        self.load_ms = self.first_ms = None
        return result

    def _timed(self) -> tuple[float, float]:
        """(wall, processor) time of one inference in ms."""
        raise NotImplementedError

    def _operator_times_us(self, runs: int) -> Mapping[str, tuple[float, ...]]:
        """Times of each operator in us by "position name"; none where they are not asked for."""
        raise NotImplementedError


def times_of(run: Callable[[], object]) -> tuple[float, float]:
    """(wall, processor) time in ms of what the calling thread runs."""
    started, busy = time.perf_counter(), time.thread_time()
    run()
    cpu_s = time.thread_time() - busy
    return (time.perf_counter() - started) * 1e3, cpu_s * 1e3


def shapes_of(
    job: Job, declared: Mapping[str, Sequence[int]], *, last: bool = False
) -> dict[str, tuple[int, ...]]:
    """The shape of each input that a file declares, by name: sizes below 1 are open.

    What the job gives for an open one counts, else an open size is 1. Of pictures the axes are
    put in the file's order, channels `last` or behind the batch. Raises `ModelFileError` for a
    name that no input has.
    """
    named = {name: min(shape, default=1) < 1 for name, shape in declared.items()}
    given = Sizes.of(None, job.shapes).by_input(job.model, named)
    found = {}
    for name, shape in declared.items():
        sizes = tuple(max(1, size) for size in shape)
        if named[name] and name in given:
            channels = shape[-1 if last else 1] if len(shape) == 4 else 0
            sizes = in_order(given[name], channels if channels > 0 else None, last=last)
        found[name] = sizes
    return found


def random_values(
    generator: np.random.Generator, shape: Sequence[int], dtype: np.dtype
) -> np.ndarray:
    """Random values for an input: [-1, 1) for floats, small indices otherwise."""
    if dtype.kind == "f":
        return generator.uniform(-1, 1, shape).astype(dtype)
    return generator.integers(0, 2, shape).astype(dtype)
