"""`perfmodel validate` on devices that may not be there: a GPU, a phone, a Jetson.

Each says in one line what is missing and how to attach it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.cli.output import print_json
from perfmodel.errors import PerfmodelError, RunnerError
from perfmodel.render.text import percent, table

if TYPE_CHECKING:
    from perfmodel.cli.validate import Request
    from perfmodel.runners.remote import DeviceLog

BENCHMARK_MODEL = "PERFMODEL_BENCHMARK_MODEL"
"""Environment variable with the path of a `benchmark_model` built for the phone."""
SERIAL = "ANDROID_SERIAL"
"""adb's own variable: the phone to use where several are attached."""
SSH_HOST = "PERFMODEL_SSH_HOST"
"""Environment variable with the host of a Jetson."""


def run_cuda(request: Request) -> int:
    """`validate cuda`: the profile's predictions, then the CUDA study's networks on this GPU."""
    from perfmodel.experiments.cuda import profile_predictions, validate_on_gpu
    from perfmodel.runners.cuda.campaign_state import Settings
    from perfmodel.runners.cuda.device import import_pycuda

    import_pycuda()
    from perfmodel.devices.profile import read_profile

    device = read_profile(request.profile).device if request.profile else "h200"
    settings = Settings(budget_s=request.budget_s)
    profiles = [request.profile] if request.profile else []
    prediction = profile_predictions(device, settings, profiles)
    folder = (request.output or Path("validate_cuda.html")).with_suffix(".raw")
    result, campaign = validate_on_gpu(folder, settings, prediction, _quiet)
    data = result.to_json() | {"failures": list(campaign.failures)}
    return _answer(data, request)


def _quiet(line: str) -> None:
    import sys

    print(line, file=sys.stderr)


def run_adb(request: Request) -> int:
    """`validate --runner adb`: .tflite files on an attached phone against its profile."""
    from perfmodel.runners.adb import AdbRunner

    tool = os.environ.get(BENCHMARK_MODEL)
    runner = AdbRunner(Path(tool) if tool else None, serial=os.environ.get(SERIAL, ""))
    files = _files(request, "*.tflite")
    logs = [runner.measure(job) for job in _jobs(files)]
    return _compare(request, logs, "adb", runner.describe().facts, files)


def run_ssh(request: Request) -> int:
    """`validate --runner ssh`: .onnx files with TensorRT on a Jetson against its profile."""
    from perfmodel.runners.ssh_trtexec import SshTrtexecRunner

    host = os.environ.get(SSH_HOST, "")
    if not host:
        raise RunnerError(
            "no Jetson is named", f"set {SSH_HOST} to a host that `ssh HOST true` reaches"
        )
    runner = SshTrtexecRunner(host)
    files = _files(request, "*.onnx")
    logs = [runner.measure(job) for job in _jobs(files)]
    return _compare(request, logs, "ssh", runner.describe().facts, files)


def _jobs(files: Sequence[Path]) -> list[Any]:
    from perfmodel.runners.runner import Job

    return [Job(path.stem, path, threads=4) for path in files]


def _files(request: Request, pattern: str) -> list[Path]:
    if request.files is None:
        raise PerfmodelError("name the folder of model files", "add --files FOLDER")
    found = sorted(request.files.glob(pattern))
    if not found:
        raise PerfmodelError(f"{request.files}: holds no {pattern} file")
    if request.profile is None:
        raise PerfmodelError("name the profile of the device", "add --profile FILE")
    return found


def _compare(
    request: Request,
    logs: Sequence[DeviceLog],
    experiment: str,
    facts: Any,
    files: Sequence[Path],
) -> int:
    """Predict each file on the profile's first target and set it beside the device's time."""
    from perfmodel.devices.profile import read_profile
    from perfmodel.prediction import predict
    from perfmodel.runners.remote import rows_of

    assert request.profile is not None
    profile = read_profile(request.profile)
    raw = (request.output or Path(f"validate_{experiment}.json")).with_suffix(".raw")
    cases: list[dict[str, Any]] = []
    for log, path in zip(logs, files, strict=True):
        rows = rows_of([log], raw, profile.device).networks.frame
        target = str(profile.targets[0].target)
        answer = predict(str(path), target, profiles=[request.profile])
        low, high = answer.interval_ms
        cases.append(
            {
                "model": log.key,
                "target": target,
                "predicted_ms": answer.latency_ms,
                "low_ms": low,
                "high_ms": high,
                "measured_ms": float(rows["latency_ms"].median()),
                "warnings": list(log.warnings),
            }
        )
    errors = [abs(c["predicted_ms"] / c["measured_ms"] - 1) for c in cases]
    count = len(cases)
    data = {
        "experiment": experiment,
        "cases": cases,
        "mape": sum(errors) / count,
        "within_10": sum(e <= 0.10 for e in errors) / count,
        "within_20": sum(e <= 0.20 for e in errors) / count,
        "spearman": None,
        "coverage": sum(c["low_ms"] <= c["measured_ms"] <= c["high_ms"] for c in cases) / count,
        "machine": dict(facts),
    }
    return _answer(data, request)


def _answer(data: dict[str, Any], request: Request) -> int:
    from perfmodel.cli.calibrate_host import write_json

    if request.output is not None:
        write_json(data, request.output.with_suffix(".json"))
    if request.as_json:
        print_json(data)
        return 0
    print(
        f"{data['experiment']}: mean error {percent(data['mape'], 1)}, "
        f"{percent(data['within_10'])} within 10 %, {percent(data['coverage'])} covered"
    )
    rows = [
        (c["model"], c["target"], f"{c['predicted_ms']:.3g}", f"{c['measured_ms']:.3g}")
        for c in data["cases"]
    ]
    print(table(("network", "target", "predicted ms", "measured ms"), rows))
    for case in data["cases"]:
        for warning in case.get("warnings", ()):
            print(f"warning: {case['model']}: {warning}")
    return 0
