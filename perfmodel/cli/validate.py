"""`perfmodel validate`: predict first, run the true workload, compare."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli.options import Journal, Json, duration_s, refuse_idle
from perfmodel.errors import PerfmodelError, RunnerError

if TYPE_CHECKING:
    from perfmodel.render.result import Result

RUNNERS: Mapping[str, str] = {"tflite": "host", "host": "host"}
"""`--runner` -> the experiment that it means where none is named."""
OWN_PROFILE = Path("host.json")
"""The profile of this machine where --profile names none."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked of an experiment; `output` ends in .html or .json, or is None."""

    profile: Path | None
    output: Path | None
    budget_s: float
    journal: Path | None
    models: tuple[str, ...]
    files: Path | None

    def beside(self, name: str, suffix: str) -> Path:
        """A file beside the output, named after it or after the experiment."""
        return (self.output or Path(name)).with_suffix(suffix)


def command(
    context: typer.Context,
    experiment: Annotated[
        str, typer.Argument(help="host, kinds, partition, cuda, adb or ssh.")
    ] = "",
    runner: Annotated[
        str, typer.Option(help="Where no experiment is named: its runner.")
    ] = "tflite",
    profile: Annotated[
        Path | None,
        typer.Option(help="The profile that predicts (of this machine: perfmodel calibrate)."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Report (.html) or raw answer (.json).")
    ] = None,
    budget: Annotated[str, typer.Option(help="Time to spend, for example 5min.")] = "5min",
    journal: Journal = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Only these networks; may be repeated.")
    ] = None,
    files: Annotated[
        Path | None, typer.Option(help="Folder of real model files to run as well.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Predict first, run the true workload on hardware, compare.

    Example: perfmodel validate host --profile host.json -o report.html
    """
    from perfmodel.cli.output import check_outputs, save, show

    name = experiment or RUNNERS.get(runner, runner)
    if name not in EXPERIMENTS:
        raise PerfmodelError(
            f"no experiment {name!r}", f"experiments: {', '.join(sorted(EXPERIMENTS))}"
        )
    if experiment:
        refuse_idle(context, "where an experiment is named", "runner")
    refuse_idle(context, f"in validate {name}", *IDLE[name])
    check_outputs(output, suffixes=(".html", ".json"))
    check_outputs(journal)
    asked = Request(
        profile=profile,
        output=output,
        budget_s=duration_s(budget),
        journal=journal,
        models=tuple(model or ()),
        files=files,
    )
    result = EXPERIMENTS[name](asked)
    if output is not None:
        save(result, output)
    show(result, as_json)
    return 0


def _own_profile(asked: Request) -> Path:
    path = asked.profile or OWN_PROFILE
    if not path.is_file():
        raise RunnerError(
            f"{path}: no profile of this machine",
            "make one first: perfmodel calibrate --from host --budget 3min -o host.json",
        )
    return path


def files_in(folder: Path | None, pattern: str) -> list[Path]:
    """The model files of a folder; none if no folder is given, an error if it holds none."""
    if folder is None:
        return []
    found = sorted(folder.glob(pattern))
    if not found:
        raise PerfmodelError(f"{folder}: holds no {pattern} file")
    return found


def _host(asked: Request) -> Result:
    """The zoo and real files on this machine's CPU."""
    from perfmodel.experiments.host import validate_host, validation_to_dict
    from perfmodel.render.validation import validation_result

    done = validate_host(
        _own_profile(asked),
        asked.journal or asked.beside("validate_host", ".journal.jsonl"),
        budget_s=asked.budget_s,
        models=asked.models or None,
        files=files_in(asked.files, "*.tflite"),
        predictions=asked.beside("validate_host", ".predictions.json"),
    )
    return validation_result(validation_to_dict(done))


def _kinds(asked: Request) -> Result:
    """First, steady, sustained and in-app latency of a few networks."""
    from perfmodel.experiments.latency_kinds import measure_kinds
    from perfmodel.render.validation import kinds_result

    models = asked.models or ("mobilenet_v2",)
    return kinds_result(measure_kinds(_own_profile(asked), asked.budget_s, models))


def _partition(asked: Request) -> Result:
    """Every cut of a few networks predicted, then run on this CPU.

    Without a profile, operators are timed first.
    """
    from perfmodel.experiments.partition import NETWORKS, run_partition
    from perfmodel.render.validation import validation_result

    done = run_partition(
        asked.journal or asked.beside("validate_partition", ".journal.jsonl"),
        profile=asked.profile or (OWN_PROFILE if OWN_PROFILE.is_file() else None),
        models=asked.models or NETWORKS,
        budget_s=asked.budget_s,
        predictions=asked.beside("validate_partition", ".predictions.json"),
    )
    return validation_result(done.to_json())


def _cuda(asked: Request) -> Result:
    """The profile's predictions, then the CUDA study's networks on this GPU."""
    from perfmodel.devices.profile import read_profile
    from perfmodel.experiments.cuda import profile_predictions, validate_on_gpu
    from perfmodel.render.validation import validation_result
    from perfmodel.runners.cuda.campaign_state import Settings
    from perfmodel.runners.cuda.device import import_pycuda

    import_pycuda()
    device = read_profile(asked.profile).device if asked.profile else "h200"
    settings = Settings(budget_s=asked.budget_s)
    predicted = profile_predictions(device, settings, [asked.profile] if asked.profile else [])
    folder = asked.beside("validate_cuda", ".raw")
    result, campaign = validate_on_gpu(folder, settings, predicted, _tell)
    return validation_result(result.to_json() | {"failures": list(campaign.failures)})


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


BENCHMARK_MODEL = "PERFMODEL_BENCHMARK_MODEL"
"""Environment variable with the path of a `benchmark_model` built for the phone."""
SERIAL = "ANDROID_SERIAL"
"""adb's own variable: the phone to use where several are attached."""
SSH_HOST = "PERFMODEL_SSH_HOST"
"""Environment variable with the host of a Jetson."""


def _adb(asked: Request) -> Result:
    """.tflite files on an attached phone against its profile."""
    from perfmodel.runners.adb import AdbRunner

    tool = os.environ.get(BENCHMARK_MODEL)
    runner = AdbRunner(Path(tool) if tool else None, serial=os.environ.get(SERIAL, ""))
    return _on_device(asked, runner, "adb", "*.tflite")


def _ssh(asked: Request) -> Result:
    """.onnx files with TensorRT on a Jetson against its profile."""
    from perfmodel.runners.ssh_trtexec import SshTrtexecRunner

    host = os.environ.get(SSH_HOST, "")
    if not host:
        raise RunnerError(
            "no Jetson is named", f"set {SSH_HOST} to a host that `ssh HOST true` reaches"
        )
    return _on_device(asked, SshTrtexecRunner(host), "ssh", "*.onnx")


def _on_device(asked: Request, runner: Any, experiment: str, pattern: str) -> Result:
    """Measure each file and set beside it what the profile's first target predicts."""
    from perfmodel.devices.profile import read_profile
    from perfmodel.prediction import predict
    from perfmodel.render.validation import validation_result
    from perfmodel.runners.remote import rows_of
    from perfmodel.runners.runner import Job

    if asked.files is None:
        raise PerfmodelError("name the folder of model files", "add --files FOLDER")
    files = files_in(asked.files, pattern)
    if asked.profile is None:
        raise PerfmodelError("name the profile of the device", "add --profile FILE")
    profile = read_profile(asked.profile)
    target = str(profile.targets[0].target)
    raw = asked.beside(f"validate_{experiment}", ".raw")
    cases: list[dict[str, Any]] = []
    for path in files:
        answer = predict(str(path), target, profiles=[asked.profile])
        log = runner.measure(Job(path.stem, path, threads=4))
        rows = rows_of([log], raw, profile.device).networks.frame
        cases.append(
            {
                "model": log.key,
                "target": target,
                "predicted_ms": answer.latency_ms,
                "low_ms": answer.interval_ms[0],
                "high_ms": answer.interval_ms[1],
                "measured_ms": float(rows["latency_ms"].median()),
                "warnings": list(log.warnings),
            }
        )
    errors = [abs(c["predicted_ms"] / c["measured_ms"] - 1) for c in cases]
    count = len(cases)
    return validation_result(
        {
            "experiment": experiment,
            "cases": cases,
            "mape": sum(errors) / count,
            "within_10": sum(e <= 0.10 for e in errors) / count,
            "within_20": sum(e <= 0.20 for e in errors) / count,
            "spearman": None,
            "coverage": sum(c["low_ms"] <= c["measured_ms"] <= c["high_ms"] for c in cases) / count,
            "machine": dict(runner.describe().facts),
        }
    )


EXPERIMENTS: Mapping[str, Callable[[Request], Result]] = {
    "host": _host,
    "kinds": _kinds,
    "partition": _partition,
    "cuda": _cuda,
    "adb": _adb,
    "ssh": _ssh,
}

IDLE: Mapping[str, tuple[str, ...]] = {
    "host": (),
    "kinds": ("journal", "files"),
    "partition": ("files",),
    "cuda": ("journal", "model", "files"),
    "adb": ("journal", "model", "budget"),
    "ssh": ("journal", "model", "budget"),
}
"""Options that do nothing in an experiment."""
