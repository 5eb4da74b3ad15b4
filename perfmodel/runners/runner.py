"""What every runner has in common: jobs, raw results and the small interface between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Job:
    """One thing to time: a model file on some threads; `key` names it in journals and tables.

    `shapes` are those of inputs whose size the file leaves open, by name; "" is the only one.
    """

    key: str
    model: Path
    threads: int = 1
    precision: str = "fp32"
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class RawRuns:
    """Every raw value of one set of timed runs, warm-ups apart.

    Times in ms, in order; `started_s` is the wall-clock time (seconds since the epoch) at which
    the set began; `per_op_us` are times of single operators where the runtime gives them, one list
    of runs an operator, by position and name. `cpu_ms` is the processor time of the runs where
    one thread does all the work: less than `runs_ms` where other processes had the core meanwhile.
    """

    warmup_ms: tuple[float, ...]
    runs_ms: tuple[float, ...]
    started_s: float
    load_ms: float | None = None
    first_ms: float | None = None
    per_op_us: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    cpu_ms: tuple[float, ...] = ()


@dataclass(frozen=True)
class MachineFacts:
    """Description of what was measured; `facts` are name -> text, units in the names."""

    runner: str
    facts: Mapping[str, str]


class Prepared(Protocol):
    """A job that is loaded and ready to run again and again."""

    def run_set(self, runs: int, warmups: int) -> RawRuns:
        """Time `runs` inferences after `warmups` that are kept apart."""

    def close(self) -> None:
        """Free what the job holds."""


class Runner(Protocol):
    """Measures jobs on one device; raises `RunnerError` where the device is not there."""

    name: str

    def describe(self) -> MachineFacts:
        """The machine, its state and the runtime's build."""

    def prepare(self, job: Job) -> Prepared:
        """Load a job."""


def raw_from_dict(data: Mapping[str, Any]) -> RawRuns:
    """The set that `dataclasses.asdict` turned into plain data; a journal's may lack `cpu_ms`."""
    return RawRuns(
        warmup_ms=tuple(data["warmup_ms"]),
        runs_ms=tuple(data["runs_ms"]),
        started_s=data["started_s"],
        load_ms=data["load_ms"],
        first_ms=data["first_ms"],
        per_op_us={k: tuple(v) for k, v in data["per_op_us"].items()},
        cpu_ms=tuple(data.get("cpu_ms", ())),
    )


def machine_to_dict(machine: MachineFacts) -> dict[str, Any]:
    """Plain data of a machine description."""
    return {"runner": machine.runner, "facts": dict(machine.facts)}
