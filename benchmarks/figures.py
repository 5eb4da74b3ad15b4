"""One measured figure, what is asked of it, and how several measure."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

TARGETS = Path(__file__).resolve().parent / "targets.json"
"""By figure ("room: name") the most or the least that it may be, in the figure's unit."""


@dataclass(frozen=True)
class Figure:
    """A figure of the benchmarks."""

    room: str
    name: str
    value: float
    unit: str

    @property
    def key(self) -> str:
        """What the figure is called in the files of targets and of kept results."""
        return f"{self.room}: {self.name}"


@dataclass(frozen=True)
class Target:
    """What is asked of a figure: at most `most`, at least `least`; None where nothing is."""

    most: float | None = None
    least: float | None = None

    def met_by(self, value: float) -> bool:
        """Whether a value is good; true where nothing is asked."""
        return (self.most is None or value <= self.most) and (
            self.least is None or value >= self.least
        )

    def __str__(self) -> str:
        if self.most is not None:
            return f"at most {self.most:g}"
        return "-" if self.least is None else f"at least {self.least:g}"


def read_targets(path: Path = TARGETS) -> Mapping[str, Target]:
    """Targets by the figure's key."""
    return {k: Target(**v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}


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
