"""`validate adb` and `validate ssh`: predict networks on a device, run them there, compare.

The predictions are on disk before the device is asked for anything. The device is measured by what
`calibrate --from` measures with, so that journals and raw logs are kept and a call can go on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.answer import Answer
from perfmodel.calibration.from_device import MEASURE, DeviceRequest, DeviceRows
from perfmodel.calibration.measured import target_of
from perfmodel.devices.profile import DeviceProfile, read_profile
from perfmodel.errors import MeasurementError, PerfmodelError, ProfileError
from perfmodel.experiments.scores import Case, scores
from perfmodel.files import write_atomically
from perfmodel.many_queries import predict_many
from perfmodel.runners.device_options import DeviceOptions
from perfmodel.target import Target

FRAMEWORKS: Mapping[str, str] = {"adb": "tflite", "ssh": "tensorrt"}
"""What runs the networks, by runner."""
DELEGATES: Mapping[str, str] = {"cpu": "", "gpu": "gpu", "nnapi": "nnapi"}
"""What `benchmark_model` is asked for, by unit of the target."""


@dataclass(frozen=True, kw_only=True)
class DeviceValidation(Answer, command="validate"):
    """Predictions against what a device took; `left_out` says why a network is not among them."""

    experiment: str
    cases: tuple[Case, ...]
    warnings: tuple[str, ...]
    left_out: Mapping[str, str]
    machine: Mapping[str, str]
    finished: bool

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the keys of `validate --json`."""
        return {
            "experiment": self.experiment,
            "cases": [c.to_dict() for c in self.cases],
            **scores(self.cases).summary(),
            "machine": dict(self.machine),
            "warnings": list(self.warnings),
            "left_out": dict(self.left_out),
            "finished": self.finished,
        }


def validate_device(
    source: str, request: DeviceRequest, *, profile: Path, predictions: Path | None = None
) -> DeviceValidation:
    """Predict `request.models`, write it to `predictions` (default: beside the journal), run them.

    `source` is "adb" or "ssh:HOST"; the device's name and what is run on it come from the profile.
    Raises `RunnerError` where no device answers, `ProfileError` for a profile without a target of
    the runner's framework, `MeasurementError` where nothing can be compared.
    """
    runner = source.partition(":")[0]
    if runner not in FRAMEWORKS:
        raise MeasurementError(f"no experiment {source!r}", f"one of {', '.join(FRAMEWORKS)}")
    if not request.models:
        raise MeasurementError("no network is named", "name some with --model or --files FOLDER")
    known = read_profile(profile)
    targets = [t.target for t in known.targets if t.target.framework == FRAMEWORKS[runner]]
    if not targets:
        raise ProfileError(
            f"{profile}: has no {FRAMEWORKS[runner]} target",
            f"make one with `perfmodel calibrate --from {source} --device {known.device}`",
        )
    predicted, refused = _predict(request.models, targets, profile)
    path = predictions or request.journal.with_suffix(".predictions.json")
    rows = [_without_measurement(c) for c in predicted.values()]
    write_atomically(path, json.dumps({"predictions": rows}, indent=1) + "\n")
    if not predicted:
        raise MeasurementError(f"no network can be predicted: {next(iter(refused.values()))}")
    asked = replace(
        request,
        device=known.device,
        models=tuple(dict.fromkeys(model for model, _ in predicted)),
        options=_options(request.options, runner, targets),
    )
    measured = MEASURE[runner][0](source, asked)
    cases = _compare(measured, predicted, known)
    if not cases:
        ran = ", ".join(sorted({str(target_of(r, known.device)) for r in _records(measured)}))
        raise MeasurementError(
            f"the device ran {ran}, and {profile} has no such target",
            f"calibrate again: perfmodel calibrate --from {source} --device {known.device}",
        )
    failed = {text.partition(": ")[0]: text.partition(": ")[2] for text in measured.failures}
    return DeviceValidation(
        experiment=runner,
        cases=cases,
        warnings=measured.warnings,
        left_out={**refused, **failed},
        machine=measured.facts,
        finished=measured.finished,
    )


def _without_measurement(case: Case) -> dict[str, Any]:
    return {key: value for key, value in case.to_dict().items() if key != "measured_ms"}


def _predict(
    models: Sequence[str], targets: Sequence[Target], profile: Path
) -> tuple[dict[tuple[str, Target], Case], dict[str, str]]:
    """A case without measurement for each model and target, and why others have none."""
    wanted = [(model, target) for model in models for target in targets]
    answers = predict_many([(m, str(t), None) for m, t in wanted], profiles=[profile])
    found: dict[tuple[str, Target], Case] = {}
    refused: dict[str, str] = {}
    for (model, target), answer in zip(wanted, answers, strict=True):
        if isinstance(answer, PerfmodelError):
            refused[model] = answer.message
            continue
        if isinstance(answer, Exception):
            raise answer
        low_ms, high_ms = answer.interval_ms
        found[model, target] = Case(
            model=model,
            target=str(target),
            predicted_ms=answer.latency_ms,
            low_ms=low_ms,
            high_ms=high_ms,
            measured_ms=float("nan"),
            group=str(target),
        )
    return found, refused


def _options(options: DeviceOptions, runner: str, targets: Sequence[Target]) -> DeviceOptions:
    """What the profile's targets ask of the device."""
    if runner == "ssh":
        return replace(options, precisions=tuple(dict.fromkeys(t.precision for t in targets)))
    threads = [t.threads for t in targets if t.unit == "cpu"]
    delegates = tuple(DELEGATES[u] for u in dict.fromkeys(t.unit for t in targets))
    return replace(options, threads=threads[0] if threads else 1, delegates=delegates)


def _compare(
    measured: DeviceRows, predicted: Mapping[tuple[str, Target], Case], profile: DeviceProfile
) -> tuple[Case, ...]:
    """The cases whose model was measured on their target; several runs count as their median."""
    seen: dict[tuple[str, Target], list[float]] = {}
    for row in _records(measured):
        target = _predicted_for(target_of(row, profile.device), predicted)
        seen.setdefault((str(row["model"]), target), []).append(float(str(row["latency_ms"])))
    return tuple(
        replace(predicted[key], measured_ms=float(np.median(times)))
        for key, times in seen.items()
        if key in predicted
    )


def _records(measured: DeviceRows) -> list[dict[str, Any]]:
    rows = measured.table.networks.frame.to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def _predicted_for(target: Target, predicted: Mapping[tuple[str, Target], Case]) -> Target:
    """The profile's own target, or the one that leaves the choice of precision to the framework."""
    own = replace(target, precision="float")
    targets = {t for _, t in predicted}
    return own if target not in targets and own in targets else target
