"""`perfmodel validate`: predict first, run the true workload, compare."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perfmodel.cli.options import (
    OF_ADB,
    OF_SSH,
    BenchmarkModel,
    Cores,
    Files,
    Force,
    InputShapes,
    Journal,
    Json,
    OnlyModels,
    Output,
    Serial,
    Trtexec,
    duration_s,
    files_in,
    input_shapes,
    refuse_idle,
)
from perfmodel.errors import PerfmodelError, RunnerError, printable

if TYPE_CHECKING:
    from perfmodel.render.result import Result
    from perfmodel.runners.device_options import DeviceOptions

RUNNERS: Mapping[str, str] = {"tflite": "host", "host": "host"}
"""`--runner` -> the experiment that it means where none is named."""
PREDICTIONS_MARK = b'{\n "predictions": ['
"""How every file of predictions begins."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked of an experiment; `output` is the answer's file, or None."""

    profile: Path | None
    output: Path | None
    budget_s: float
    journal: Path | None
    force: bool
    models: tuple[str, ...]
    files: Path | None
    host: str
    retry: bool
    framework: str
    input_shape: Mapping[str, tuple[int, ...]]
    options: DeviceOptions

    def beside(self, name: str, suffix: str) -> Path:
        """A file beside the output, named after it or after the experiment."""
        return (self.output or Path(name)).with_suffix(suffix)

    def kept(self, name: str) -> tuple[Path, Path]:
        """Journal and predictions of an experiment; `OutputError` where they must not be written.

        Predictions are written before anything is measured, the journal while it is.
        """
        from perfmodel.cli.output import check_journal, check_outputs

        journal = self.journal or self.beside(name, ".journal.jsonl")
        predictions = self.beside(name, ".predictions.json")
        if self.journal is None:
            check_journal(journal, force=self.force)
        check_outputs(predictions, mark=PREDICTIONS_MARK, force=self.force)
        return journal, predictions


def command(
    context: typer.Context,
    experiment: Annotated[
        str, typer.Argument(help="host, kinds, partition, cuda, adb or ssh:HOST.")
    ] = "",
    runner: Annotated[
        str, typer.Option(help="Where no experiment is named: its runner.")
    ] = "tflite",
    profile: Annotated[
        Path | None,
        typer.Option(help="The profile that predicts (of this machine: perfmodel calibrate)."),
    ] = None,
    output: Output = None,
    budget: Annotated[str, typer.Option(help="Time to spend, for example 5min.")] = "5min",
    journal: Journal = None,
    force: Force = False,
    model: OnlyModels = None,
    files: Files = None,
    framework: Annotated[
        str, typer.Option(help="Of host: what runs the networks, tflite if not given.")
    ] = "",
    retry: Annotated[
        bool, typer.Option(help="Run again what the journal says the runtime refused or died of.")
    ] = False,
    input_shape: InputShapes = None,
    benchmark_model: BenchmarkModel = None,
    serial: Serial = "",
    cores: Cores = "",
    trtexec: Trtexec = "",
    as_json: Json = False,
) -> int:
    """Predict first, run the true workload on hardware, compare.

    Example: perfmodel validate host --profile host.json -o report.html
    """
    from perfmodel.cli.output import answer, check_answer, check_journal
    from perfmodel.runners.device_options import DeviceOptions

    name, _, host = (experiment or RUNNERS.get(runner, runner)).partition(":")
    if name not in EXPERIMENTS:
        raise PerfmodelError(
            f"no experiment {name!r}", f"experiments: {', '.join(sorted(EXPERIMENTS))}"
        )
    if host and name != "ssh":
        raise PerfmodelError(f"{experiment}: only ssh is told a host", "such as ssh:jetson.local")
    if experiment:
        refuse_idle(context, "where an experiment is named", "runner")
    refuse_idle(context, f"in validate {name}", *IDLE[name])
    if files is None:
        refuse_idle(context, "without --files: networks by name have their sizes", "input_shape")
    check_answer("validate", output, force=force, others=[Path()])
    if journal is not None:
        check_journal(journal, force=force)
    asked = Request(
        profile=profile,
        output=output,
        budget_s=duration_s(budget),
        journal=journal,
        force=force,
        models=tuple(model or ()),
        files=files,
        host=host,
        retry=retry,
        framework=framework,
        input_shape=input_shapes(input_shape),
        options=DeviceOptions(
            benchmark_model=benchmark_model, serial=serial, cores=cores, trtexec=trtexec
        ),
    )
    result = EXPERIMENTS[name](asked)
    answer(result, "validate", output, as_json)
    return 0


def _host(asked: Request) -> Result:
    """The zoo and real files on this machine's CPU."""
    from perfmodel.experiments.validate import host_profile, validate
    from perfmodel.render.answers import described
    from perfmodel.runners.host_frameworks import DEFAULT, host_framework

    by = host_framework(asked.framework or DEFAULT)
    profile = host_profile(asked.profile, by.name)
    journal, predictions = asked.kept("validate_host")
    done = validate(
        "host",
        profile=profile,
        journal=journal,
        budget_s=asked.budget_s,
        models=asked.models,
        files=files_in(asked.files, f"*{by.reads}"),
        predictions=predictions,
        retry=asked.retry,
        framework=by.name,
        input_shape=asked.input_shape,
    )
    return described(done)


def _kinds(asked: Request) -> Result:
    """First, steady, sustained and in-app latency of a few networks."""
    from perfmodel.experiments.latency_kinds import measure_kinds
    from perfmodel.experiments.validate import host_profile
    from perfmodel.render.validation import kinds_result

    models = asked.models or ("mobilenet_v2",)
    return kinds_result(
        measure_kinds(host_profile(asked.profile, asked.framework), asked.budget_s, models)
    )


def _partition(asked: Request) -> Result:
    """Every cut of a few networks predicted, then run on this CPU.

    Without a profile, operators are timed first.
    """
    from perfmodel.experiments.validate import validate
    from perfmodel.render.answers import described

    journal, predictions = asked.kept("validate_partition")
    done = validate(
        "partition",
        profile=asked.profile,
        journal=journal,
        models=asked.models,
        budget_s=asked.budget_s,
        predictions=predictions,
    )
    return described(done)


def _cuda(asked: Request) -> Result:
    """The profile's predictions, then the CUDA study's networks on this GPU."""
    from perfmodel.devices.profile import read_profile
    from perfmodel.experiments.cuda import profile_predictions, validate_on_gpu
    from perfmodel.files import check_folder
    from perfmodel.render.validation import validation_result
    from perfmodel.runners.cuda.campaign_state import Settings
    from perfmodel.runners.cuda.device import import_pycuda

    import_pycuda()
    device = read_profile(asked.profile).device if asked.profile else "h200"
    settings = Settings(budget_s=asked.budget_s)
    predicted = profile_predictions(device, settings, [asked.profile] if asked.profile else [])
    folder = asked.beside("validate_cuda", ".raw")
    check_folder(folder)
    result, campaign = validate_on_gpu(folder, settings, predicted, _tell)
    return validation_result(result.to_json() | {"failures": list(campaign.failures)})


def _tell(line: str) -> None:
    print(printable(line), file=sys.stderr)


def _adb(asked: Request) -> Result:
    """Networks and .tflite files on an attached phone against its profile."""
    return _on_device(asked, "adb", "*.tflite")


def _ssh(asked: Request) -> Result:
    """.onnx files with TensorRT on a Jetson against its profile."""
    from perfmodel.runners.device_options import SSH_HOST

    host = asked.host or os.environ.get(SSH_HOST, "")
    if not host:
        raise RunnerError(
            "no Jetson is named",
            f"validate ssh:HOST, or set {SSH_HOST} to a host that `ssh HOST true` reaches",
        )
    return _on_device(asked, f"ssh:{host}", "*.onnx")


def _on_device(asked: Request, source: str, pattern: str) -> Result:
    from perfmodel.experiments.validate import validate
    from perfmodel.render.answers import described

    if asked.profile is None:
        raise PerfmodelError("name the profile of the device", "add --profile FILE")
    journal, predictions = asked.kept(f"validate_{source.partition(':')[0]}")
    done = validate(
        source,
        profile=asked.profile,
        journal=journal,
        budget_s=asked.budget_s,
        models=asked.models,
        files=files_in(asked.files, pattern),
        options=asked.options,
        predictions=predictions,
    )
    return described(done)


EXPERIMENTS: Mapping[str, Callable[[Request], Result]] = {
    "host": _host,
    "kinds": _kinds,
    "partition": _partition,
    "cuda": _cuda,
    "adb": _adb,
    "ssh": _ssh,
}

IDLE: Mapping[str, tuple[str, ...]] = {
    "host": (*OF_ADB, *OF_SSH),
    "kinds": ("framework", "journal", "files", "retry", "input_shape", *OF_ADB, *OF_SSH),
    "partition": ("framework", "files", "retry", "input_shape", *OF_ADB, *OF_SSH),
    "cuda": (
        *("framework", "journal", "model", "files", "retry", "input_shape"),
        *(*OF_ADB, *OF_SSH),
    ),
    "adb": ("framework", "retry", "input_shape", *OF_SSH),
    "ssh": ("framework", "model", "retry", "input_shape", *OF_ADB),
}
"""Options that do nothing in an experiment."""
