"""What `validate host` found: cases, errors by kernel class, worst cases, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perfmodel.answer import Answer
from perfmodel.experiments.scores import Case, Scores, scores
from perfmodel.runners.runner import MachineFacts, machine_to_dict


@dataclass(frozen=True)
class KernelError:
    """One kernel of one network: predicted and measured in us."""

    model: str
    target: str
    kernel: str
    kernel_class: str
    predicted_us: float
    measured_us: float


@dataclass(frozen=True, kw_only=True)
class HostValidation(Answer, command="validate"):
    """Everything the comparison found; `repeat` is the median disagreement of second runs.

    `drift` is how the yardsticks of a setup changed since the calibration, as a factor that the
    measured times were divided by; `scaling` by threads the least and most that as many busy
    processes were seen to do, in the work of one.
    """

    cases: tuple[Case, ...]
    files: frozenset[str]
    first: tuple[Case, ...]
    kernels: tuple[KernelError, ...]
    repeat: float | None
    repeats: int
    left_out: Mapping[str, str]
    machine: MachineFacts
    warning: str
    spent_s: float
    drift: Mapping[str, float]
    scaling: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the keys of `validate --json`."""
        return validation_to_dict(self)


@dataclass(frozen=True)
class ClassError:
    """Kernels of one class on one target: share of the measured time and errors."""

    target: str
    kernel_class: str
    kernels: int
    time_share: float
    weighted_error: float
    bias: float


def class_errors(kernels: Sequence[KernelError]) -> tuple[ClassError, ...]:
    """Errors by kernel class, weighted by time, largest share first within a target."""
    found = []
    for target in dict.fromkeys(k.target for k in kernels):
        mine = [k for k in kernels if k.target == target]
        total = sum(k.measured_us for k in mine)
        for name in dict.fromkeys(k.kernel_class for k in mine):
            rows = [k for k in mine if k.kernel_class == name]
            measured = sum(k.measured_us for k in rows)
            off = sum(abs(k.predicted_us - k.measured_us) for k in rows)
            bias = sum(k.predicted_us for k in rows) / max(measured, 1e-9) - 1
            found.append(
                ClassError(
                    target, name, len(rows), measured / total, off / max(measured, 1e-9), bias
                )
            )
    return tuple(sorted(found, key=lambda c: (c.target, -c.time_share)))


def worst(done: HostValidation, count: int = 10) -> list[dict[str, Any]]:
    """The cases with the largest errors, with the kernels that explain most of each."""
    rows = []
    for case in sorted(done.cases, key=lambda c: -abs(np.log(c.predicted_ms / c.measured_ms))):
        mine = [k for k in done.kernels if (k.model, k.target) == (case.model, case.target)]
        mine.sort(key=lambda k: -abs(k.predicted_us - k.measured_us))
        rows.append(
            {
                "model": case.model,
                "target": case.target,
                "error": case.error,
                "kernels": [
                    {
                        "kernel": k.kernel,
                        "class": k.kernel_class,
                        "predicted_us": k.predicted_us,
                        "measured_us": k.measured_us,
                    }
                    for k in mine[:3]
                ],
            }
        )
    return rows[:count]


def by_target(done: HostValidation) -> dict[str, Scores]:
    """Scores of zoo networks by target, of real files and of first runs."""
    groups: dict[str, list[Case]] = {}
    for case in done.cases:
        groups.setdefault(
            f"files: {case.target}" if case.model in done.files else case.target, []
        ).append(case)
    if done.files and any(c.model in done.files for c in done.cases):
        groups["files: all"] = [c for c in done.cases if c.model in done.files]
    for case in done.first:
        groups.setdefault(f"first run: {case.target}", []).append(case)
    return {name: scores(cases) for name, cases in groups.items()}


def validation_to_dict(done: HostValidation) -> dict[str, Any]:
    """The machine-readable result (keys of every `validate --json`)."""
    total = scores(done.cases)
    return {
        "experiment": "host",
        "cases": [c.to_dict() for c in done.cases],
        **total.summary(),
        "machine": machine_to_dict(done.machine),
        "groups": {name: s.to_dict() for name, s in by_target(done).items()},
        "first": [c.to_dict() for c in done.first],
        "kernel_classes": [vars(c) for c in class_errors(done.kernels)],
        "worst": worst(done),
        "repeat_median": done.repeat,
        "repeats": done.repeats,
        "left_out": dict(done.left_out),
        "warning": done.warning,
        "spent_s": done.spent_s,
        "drift": dict(done.drift),
        "scaling": dict(done.scaling),
    }
