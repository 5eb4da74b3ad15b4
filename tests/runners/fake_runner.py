"""A runner whose times are given: for tests of what surrounds a measurement."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from perfmodel.runners.runner import Job, MachineFacts, RawRuns


class FakePrepared:
    def __init__(self, job: Job, time_ms: Callable[[str], float]) -> None:
        self.job, self.time_ms, self.closed = job, time_ms, False

    def run_set(self, runs: int, warmups: int) -> RawRuns:
        times = tuple(self.time_ms(self.job.key) for _ in range(warmups + runs))
        return RawRuns(times[:warmups], times[warmups:], 0.0, 1.0, 2.0)

    def close(self) -> None:
        self.closed = True


class FakeRunner:
    name = "fake"

    def __init__(self, time_ms: Callable[[str], float]) -> None:
        self.time_ms = time_ms
        self.prepared: list[str] = []

    def describe(self) -> MachineFacts:
        return MachineFacts("fake", {"runtime": "fake 1"})

    def prepare(self, job: Job) -> FakePrepared:
        self.prepared.append(job.key)
        return FakePrepared(job, self.time_ms)


def job(key: str) -> Job:
    return Job(key, Path(key))
