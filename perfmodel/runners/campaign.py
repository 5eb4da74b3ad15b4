"""A measuring campaign: sets of runs interleaved with a reference kernel, so that drift cancels.

Shared machines drift by tens of percent within minutes, and the drift is slow: whole sets move.
Each set of a job is therefore timed between two sets of one fixed reference kernel, and what is
reported is the ratio; `usual_ms` (the reference's median over the campaign) turns it back into
milliseconds. Every raw value is kept in a journal, and a campaign that is interrupted resumes.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perfmodel.runners.journal import Journal
from perfmodel.runners.machine import load_1min
from perfmodel.runners.runner import (
    Job,
    Prepared,
    RawRuns,
    Runner,
    machine_to_dict,
    raw_from_dict,
)

REFERENCE_DRIFT = 0.05
"""A set whose reference moved by more than this share between before and after is unstable.

In the committed campaign (validation/results/host/calibration_raw.json.gz, 942 jobs) it moves by
1.1 % in half of the sets and by more than 5 % in 11 % of them."""

CALM = 1.35
"""Up to this multiple of its best time so far the reference may be slow because of the clock, which
slows down everything alike; beyond it somebody else has a core. In the committed campaign 99 % of
the reference's times are within 1.2 times their median; 1.35 leaves room for a lower clock."""

REFERENCE_SET_MS = 5.0
"""A set of the reference lasts at least this long, longer than a time slice of Linux's scheduler
(about 3 ms): some of its runs are undisturbed."""

PATIENCE, PAUSE_S = 5, 0.2
"""How often, and how far apart, the reference is tried again before a set while it is slow: one
second in all, by judgement, the time that most bursts of other work on an idle machine last."""

INTERRUPTED = 0.04
"""A set of one thread counts by its processor time where its runs waited longer than this share of
it. In the committed campaign 1 % of the sets of one thread did; half waited for 0.07 %."""


@dataclass(frozen=True)
class Discipline:
    """How often things are run: `sets` of at least `runs` inferences or `set_ms` milliseconds,
    each after `warmups`; a set never takes more than `max_runs` inferences."""

    sets: int = 5
    runs: int = 5
    max_runs: int = 200
    set_ms: float = 60.0
    warmups: int = 2
    reference_runs: int = 7


class Reference:
    """The loaded reference kernel: how fast the machine is now, and how fast it has been."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self.best_ms = math.inf

    def times_ms(self, runs: int, warmups: int = 1) -> tuple[float, ...]:
        """Times of at least `runs` runs."""
        enough = 0 if math.isinf(self.best_ms) else int(REFERENCE_SET_MS / self.best_ms)
        times = self._prepared.run_set(max(runs, enough), warmups).runs_ms
        self.best_ms = min(self.best_ms, *times)
        return times

    def calm(self, times_ms: Sequence[float]) -> bool:
        """Whether these are times of a machine that has nothing else to do."""
        return min(times_ms) <= CALM * self.best_ms

    def settled_ms(self, runs: int) -> tuple[float, ...]:
        """Times once the machine is calm, or the last ones where it will not be."""
        times = self.times_ms(runs)
        for _ in range(PATIENCE):
            if self.calm(times):
                break
            time.sleep(PAUSE_S)
            times = self.times_ms(runs)
        return times

    def close(self) -> None:
        """Free the kernel."""
        self._prepared.close()


@dataclass(frozen=True)
class SetResult:
    """One set between two reference sets; `ratio` is the job's median over the reference."""

    raw: RawRuns
    reference_before_ms: tuple[float, ...]
    reference_after_ms: tuple[float, ...]

    @property
    def reference_ms(self) -> float:
        """Least time of the reference before the set and after it, their mean.

        Its runs are short and few: one that is interrupted says nothing of the machine's speed, and
        between two campaigns the least repeats itself about twice as well as the median does.
        """
        return statistics.mean([min(self.reference_before_ms), min(self.reference_after_ms)])

    @property
    def median_ms(self) -> float:
        """Median time of the job in this set; its processor time where it was interrupted."""
        wall = statistics.median(self.raw.runs_ms)
        return statistics.median(self.raw.cpu_ms) if self.interrupted else wall

    @property
    def interrupted(self) -> bool:
        """Whether other processes had the core for a good part of the typical run."""
        if not self.raw.cpu_ms:
            return False
        cpu_ms = statistics.median(self.raw.cpu_ms)
        return statistics.median(self.raw.runs_ms) > (1 + INTERRUPTED) * cpu_ms

    @property
    def ratio(self) -> float:
        """Time of the job in units of the reference kernel's."""
        return self.median_ms / self.reference_ms

    @property
    def drift(self) -> float:
        """How far the reference moved while the set ran, as a share."""
        return abs(min(self.reference_after_ms) / min(self.reference_before_ms) - 1)

    @property
    def moved(self) -> bool:
        """Whether the reference moved too far for this set to be trusted."""
        return self.drift > REFERENCE_DRIFT


@dataclass(frozen=True)
class JobResult:
    """All sets of one job."""

    key: str
    sets: tuple[SetResult, ...]

    @property
    def ratio(self) -> float:
        """Median over sets of the ratio to the reference kernel."""
        return statistics.median(s.ratio for s in self.sets)

    @property
    def spread(self) -> float:
        """Largest deviation of a set's ratio from the median, as a share."""
        return max(abs(s.ratio / self.ratio - 1) for s in self.sets)

    @property
    def unstable(self) -> bool:
        """Whether most sets saw the reference move by more than `REFERENCE_DRIFT`."""
        return 2 * sum(s.moved for s in self.sets) > len(self.sets)


@dataclass(frozen=True)
class Progress:
    """Where a campaign stands; `left_s` is an estimate from the pace so far."""

    done: int
    total: int
    key: str
    elapsed_s: float
    left_s: float


def run_campaign(
    runner: Runner,
    jobs: Sequence[Job],
    reference: Job,
    journal_path: Path,
    *,
    discipline: Discipline | None = None,
    budget_s: float | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[JobResult, ...]:
    """Measure `jobs` in order; what the journal already holds is not measured again.

    Stops before the next job when `budget_s` is spent; the results are those measured so far.
    """
    discipline = discipline or Discipline()
    campaign = {
        "runner": runner.name,
        "reference": reference.key,
        "discipline": asdict(discipline),
        "build": machine_to_dict(runner.describe())["facts"].get("runtime", ""),
    }
    started = time.monotonic()
    with Journal(journal_path, campaign) as journal:
        todo = [job for job in jobs if job.key not in journal]
        loaded_reference = Reference(runner.prepare(reference))
        for number, job in enumerate(todo):
            elapsed = time.monotonic() - started
            if budget_s is not None and elapsed > budget_s:
                break
            if on_progress:
                left = elapsed / number * (len(todo) - number) if number else 0.0
                if budget_s is not None:
                    left = min(left, budget_s - elapsed) if number else budget_s
                on_progress(
                    Progress(len(jobs) - len(todo) + number, len(jobs), job.key, elapsed, left)
                )
            journal.add(job.key, measure_job(runner, job, loaded_reference, discipline))
        loaded_reference.close()
        entries = dict(journal.entries)
    return tuple(result_from_entry(job.key, entries[job.key]) for job in jobs if job.key in entries)


def measure_job(
    runner: Runner, job: Job, loaded_reference: Reference, discipline: Discipline
) -> dict[str, Any]:
    """Load a job, time its sets between sets of the loaded reference; the entry of a journal."""
    prepared = runner.prepare(job)
    try:
        sets = [asdict(s) for s in _sets(prepared, loaded_reference, discipline)]
    finally:
        prepared.close()
    return {"sets": sets, "load_1min": load_1min()}


def _sets(
    prepared: Prepared, loaded_reference: Reference, discipline: Discipline
) -> Iterator[SetResult]:
    runs = discipline.runs
    before = loaded_reference.settled_ms(discipline.reference_runs)
    for number in range(discipline.sets):
        raw = prepared.run_set(runs, discipline.warmups)
        after = loaded_reference.times_ms(discipline.reference_runs)
        yield SetResult(raw, before, after)
        calm = loaded_reference.calm(after) or number + 1 == discipline.sets
        before = after if calm else loaded_reference.settled_ms(discipline.reference_runs)
        if number == 0:
            # short kernels are run more often, so that a set always lasts about `set_ms`
            wanted = int(discipline.set_ms / max(statistics.median(raw.runs_ms), 1e-3))
            runs = max(discipline.runs, min(discipline.max_runs, wanted))


def result_from_entry(key: str, entry: Mapping[str, Any]) -> JobResult:
    """A journal entry as a result."""
    return JobResult(key, tuple(_set_from_dict(s) for s in entry["sets"]))


def _set_from_dict(data: Mapping[str, Any]) -> SetResult:
    return SetResult(
        raw_from_dict(data["raw"]),
        tuple(data["reference_before_ms"]),
        tuple(data["reference_after_ms"]),
    )


def usual_reference_ms(results: Sequence[JobResult]) -> float:
    """Median time of the reference kernel over a campaign, in ms."""
    return statistics.median(s.reference_ms for r in results for s in r.sets)


def instability_warning(results: Sequence[JobResult]) -> str:
    """A warning in words with what to do next, or an empty text."""
    moved = [r.key for r in results if r.unstable]
    if not moved:
        return ""
    shown = ", ".join(moved[:3]) + (" ..." if len(moved) > 3 else "")
    return (
        f"unstable: the reference kernel moved by more than {REFERENCE_DRIFT:.0%} within most sets "
        f"of {len(moved)} of {len(results)} jobs ({shown}); stop what else runs on this machine "
        "and run the same command with a new journal"
    )
