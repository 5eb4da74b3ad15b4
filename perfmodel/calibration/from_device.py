"""`calibrate --from adb|cuda|ssh:HOST`: measure an attached device, read the logs, calibrate.

What is measured goes to a journal, the tools' outputs beside it: the same call goes on where it
was stopped, and anybody can read the raw values. The profile comes from `calibrate_device`, the
same function that takes a table or a log from anywhere else.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from perfmodel.calibration.from_table import Calibration, calibrate_device
from perfmodel.errors import RunnerError, printable
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import MeasurementTable, concatenate
from perfmodel.runners.adb import AdbRunner
from perfmodel.runners.device_options import DeviceOptions
from perfmodel.runners.journal import raw_folder
from perfmodel.runners.remote import (
    DeviceLog,
    DeviceRunner,
    measure_jobs,
    network_rows,
    safe_name,
)
from perfmodel.runners.runner import Job, MachineFacts
from perfmodel.target import check_device

MOST_NETWORKS = 12
"""Networks of the zoo that are measured where none is named: what `--suggest` puts first. After
about ten, the median error of a new phone falls little with each further one (README, accuracy)."""

GPU_DELEGATE_PRECISION = "fp16"
"""benchmark_model lets the GPU delegate compute in half precision unless told otherwise
(`--gpu_precision_loss_allowed`, on by default)."""


@dataclass(frozen=True, kw_only=True)
class DeviceRequest:
    """What is asked of `calibrate_device_over`; `models` are zoo specs or model files.

    `budget_s` are seconds of measuring, the journal's earlier ones included. `seed` draws the
    kernels that the cuda runner measures.
    """

    device: str
    journal: Path
    budget_s: float
    models: tuple[str, ...] = ()
    seed: int = 0
    options: DeviceOptions = field(default_factory=DeviceOptions)
    log: Callable[[str], None] = lambda line: print(printable(line), file=sys.stderr)


@dataclass(frozen=True, kw_only=True)
class DeviceRows:
    """Rows that a device gave; `failures` say in words what could not be measured, and why.

    `finished` is False where the budget ended first; `files` are what the tools printed.
    """

    table: MeasurementTable
    facts: Mapping[str, str]
    warnings: tuple[str, ...]
    failures: tuple[str, ...]
    finished: bool
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class DeviceCalibration:
    """A device's new profile, what it borrowed, and the measurements behind it."""

    calibration: Calibration
    measured: DeviceRows
    journal: Path


def calibrate_device_over(
    source: str,
    request: DeviceRequest,
    *,
    like: str = "",
    kind: str = "",
    profiles: Sequence[Path] = (),
) -> DeviceCalibration:
    """Measure a device over `source` ("adb", "cuda" or "ssh:HOST") and make its profile.

    Raises `RunnerError` where no device answers, saying in one line what to do, and
    `MeasurementError` where nothing that was measured can be used.
    """
    check_device(request.device)
    name, _, _ = source.partition(":")
    if name not in MEASURE:
        raise RunnerError(f"--from {source}: no such runner", f"runners: {', '.join(MEASURE)}")
    measure, usual_kind = MEASURE[name]
    rows = measure(source, request)
    made = calibrate_device(
        rows.table,
        device=request.device,
        like=like,
        kind=kind or usual_kind,
        title=rows.facts.get("title", ""),
        skip_bad=True,
        pick="median",
        trusted=True,
        profiles=profiles,
    )
    return DeviceCalibration(calibration=made, measured=rows, journal=request.journal)


def _over_adb(source: str, request: DeviceRequest) -> DeviceRows:
    """.tflite files on an attached phone; networks of the zoo are written with random weights."""
    o = request.options
    parts = []
    for delegate in o.delegates:
        runner = AdbRunner(
            o.benchmark_model, serial=o.serial, adb=o.adb, cores=o.cores, delegate=delegate
        )
        unit = {"": "cpu"}.get(delegate, delegate)
        models = request.models or _suggested(f"{request.device}/{unit}/tflite")
        settings = {"serial": runner.serial, "cores": o.cores, "delegate": delegate}
        journal = _journal_of(request.journal, delegate)
        share = 1 / len(o.delegates)
        with tempfile.TemporaryDirectory() as folder:
            jobs = {
                model: Job(
                    model,
                    _tflite_path(model, Path(folder)),
                    o.threads,
                    GPU_DELEGATE_PRECISION if delegate else "",
                )
                for model in models
            }
            writing = _Writing(runner)
            parts.append(_over_tool(writing, jobs, request, journal, settings, share))
    return _together(parts)


def _over_ssh(source: str, request: DeviceRequest) -> DeviceRows:
    """.onnx files with TensorRT on a board that answers ssh, in each precision."""
    from perfmodel.runners.ssh_trtexec import TRTEXEC, SshTrtexecRunner, parse_host

    o, host = request.options, parse_host(source)
    if not request.models:
        raise RunnerError(
            "trtexec runs .onnx files, and none is named",
            "add --files FOLDER with .onnx files of networks",
        )
    runner = SshTrtexecRunner(host, trtexec=o.trtexec or TRTEXEC, ssh=o.ssh, scp=o.scp, dla=o.dla)
    parts = []
    for precision in o.precisions:
        jobs = {
            model: Job(f"{model} {precision}", Path(model), 1, precision)
            for model in request.models
        }
        settings = {"host": host, "precision": precision, "dla": o.dla}
        journal = _journal_of(request.journal, precision)
        share = 1 / len(o.precisions)
        parts.append(_over_tool(runner, jobs, request, journal, settings, share))
    return _together(parts)


def _over_tool(
    runner: DeviceRunner,
    jobs: Mapping[str, Job],
    request: DeviceRequest,
    journal: Path,
    settings: Mapping[str, object],
    share: float,
) -> DeviceRows:
    """The networks `jobs` (model -> job) through a tool, in a share of the budget."""
    campaign = {"calibrate": runner.name, "device": request.device, **settings}
    runs = measure_jobs(
        runner,
        tuple(jobs.values()),
        journal=journal,
        campaign=campaign,
        budget_s=request.budget_s * share,
        log=request.log,
    )
    models = {job.key: model for model, job in jobs.items()}
    facts = runner.describe().facts
    title = facts.get("phone") or facts.get("board") or ""
    return DeviceRows(
        table=network_rows(runs, models, request.device, raw_folder(journal)),
        facts={**facts, "title": title},
        warnings=tuple(f"{k}: {w}" for k, done in runs.logs.items() for w in done.warnings),
        failures=tuple(f"{key}: {why}" for key, why in runs.failures.items()),
        finished=runs.finished,
        files=runs.files,
    )


def _journal_of(journal: Path, part: str) -> Path:
    """A journal of its own for each delegate or precision: they are different campaigns."""
    return journal.with_name(f"{part}-{journal.name}") if part else journal


def _together(parts: Sequence[DeviceRows]) -> DeviceRows:
    return DeviceRows(
        table=concatenate(p.table for p in parts),
        facts=parts[0].facts,
        warnings=tuple(w for p in parts for w in p.warnings),
        failures=tuple(f for p in parts for f in p.failures),
        finished=all(p.finished for p in parts),
        files=tuple(f for p in parts for f in p.files),
    )


def _suggested(target: str) -> tuple[str, ...]:
    """The networks of the zoo that teach most about a target that nothing is known of."""
    from perfmodel.calibration.suggest import next_measurements

    return tuple(s.name for s in next_measurements(MOST_NETWORKS, target).suggestions)


def _tflite_path(model: str, folder: Path) -> Path:
    """The file itself, or where the zoo's network will be written."""
    return Path(model) if Path(model).suffix == ".tflite" else folder / f"{safe_name(model)}.tflite"


@dataclass(frozen=True)
class _Writing:
    """A phone's runner that writes a network of the zoo, with random weights, just before its turn.

    A dozen networks at once would fill the disk. A file keeps its own precision.
    """

    runner: AdbRunner

    @property
    def name(self) -> str:
        """As the runner's."""
        return self.runner.name

    def describe(self) -> MachineFacts:
        """As the runner's."""
        return self.runner.describe()

    def measure(self, job: Job) -> DeviceLog:
        """Write the file where the job is a network of the zoo, and time it."""
        from perfmodel.formats.load import load
        from perfmodel.formats.tflite.writer import write_tflite
        from perfmodel.kernels.precisions import stored_precision

        graph = load(job.key)
        precision = job.precision or stored_precision(graph)
        own = job.model == Path(job.key)
        if not own:
            write_tflite(graph, job.model)
        try:
            return self.runner.measure(replace(job, precision=precision))
        finally:
            if not own:
                job.model.unlink(missing_ok=True)


def _over_cuda(source: str, request: DeviceRequest) -> DeviceRows:
    """Kernels and networks on this machine's GPU, one campaign a mode; finished modes are kept."""
    from perfmodel.runners.cuda.backends import MODES
    from perfmodel.runners.cuda.campaign_state import OWN_STAGES, STUDY, Settings
    from perfmodel.runners.cuda.mode_campaigns import campaigns_by_mode

    o = request.options
    settings = Settings(
        networks=request.models or STUDY,
        batches=o.batches,
        modes=o.modes or tuple(MODES),
        stages=OWN_STAGES,
        sweep_scale=o.sweep_scale,
        seed=request.seed,
        budget_s=request.budget_s,
        device_index=o.device_index,
        device_name=request.device,
    )
    results = campaigns_by_mode(request.journal, settings, request.log)
    failures = tuple(f for result in results for f in result.failures)
    files = tuple(r.files[k] for r in results for k in ("kernels", "networks") if k in r.files)
    if not files:
        raise RunnerError(
            f"nothing was measured: {next(iter(failures), 'the budget was spent')}",
            "give a larger --budget, or other networks by --model",
        )
    table, _ = read_measurements(files, device=request.device, skip_bad=True)
    # the same network is timed on a stream as well, and that is not how it is run
    graphs = table.frame["variant"].str.contains("launch=graph") | table.frame["latency_ms"].isna()
    return DeviceRows(
        table=MeasurementTable(table.frame[graphs].reset_index(drop=True)),
        facts={},
        warnings=(),
        failures=failures,
        finished=all(r.finished for r in results),
        files=files,
    )


MEASURE: Mapping[str, tuple[Callable[[str, DeviceRequest], DeviceRows], str]] = {
    "adb": (_over_adb, "phone"),
    "ssh": (_over_ssh, "jetson"),
    "cuda": (_over_cuda, "server"),
}
"""What `--from` may name: how it is measured, and the kind of device it usually is."""

__all__ = [
    "DeviceCalibration",
    "DeviceRequest",
    "DeviceRows",
    "calibrate_device_over",
]
