"""One measured figure, and how several measure."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A figure of the benchmarks: `target` is the most it may be (the least, if `more`)."""

    floor: str
    name: str
    value: float
    unit: str
    target: float | None = None
    more: bool = False

    @property
    def good(self) -> bool:
        """Whether the target is met; true where there is none."""
        if self.target is None:
            return True
        return self.value >= self.target if self.more else self.value <= self.target


def best_s(work: Callable[[], object], repeats: int = 5) -> float:
    """The least wall time of some runs: what the machine can do when it is let alone."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def process_s(*arguments: str, repeats: int = 5) -> float:
    """The least wall time of a whole Python process."""
    command = [sys.executable, *arguments]
    return best_s(lambda: subprocess.run(command, check=True, capture_output=True), repeats)
