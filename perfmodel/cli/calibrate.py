"""`perfmodel calibrate`: measurements in, a device's profile out; or what to measure next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perfmodel.cli.options import (
    OF_ADB,
    OF_SSH,
    BenchmarkModel,
    Cores,
    Files,
    Journal,
    Json,
    OnlyModels,
    Profiles,
    Seed,
    Serial,
    Trtexec,
    duration_s,
    files_in,
    refuse_idle,
)
from perfmodel.errors import MeasurementError, PerfmodelError

if TYPE_CHECKING:
    from perfmodel.measurements.table import BadRow, MeasurementTable
    from perfmodel.render.result import Result
    from perfmodel.runners.device_options import DeviceOptions

OF_LEARNING = ("kind", "like", "profile")
OF_MEASURING = ("budget", "journal")
IDLE = {
    "host": (*OF_LEARNING, "skip_bad", "model", "files", *OF_ADB, *OF_SSH),
    "adb": ("skip_bad", "seed", *OF_SSH),
    "ssh": ("skip_bad", "seed", "model", *OF_ADB),
    "cuda": ("skip_bad", "files", *OF_ADB, *OF_SSH),
    "FILE": (*OF_MEASURING, "seed", "model", "files", *OF_ADB, *OF_SSH),
}
"""What `--from` names (beside files, hardware) and the options that do nothing with it."""


def command(
    context: typer.Context,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="A table or tool log; or what is measured: host (this machine), cuda (its GPU), "
            "adb (a phone), ssh:HOST (a Jetson).",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Name of the device, such as my-phone.")] = "",
    kind: Annotated[
        str,
        typer.Option(
            help="phone, jetson, board, laptop, desktop, server or host; of a table: phone."
        ),
    ] = "",
    like: Annotated[str, typer.Option(help="A known device to borrow from.")] = "",
    skip_bad: Annotated[bool, typer.Option(help="Leave bad rows out and list them.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The profile; else in your profile folder, of host: here."
        ),
    ] = None,
    suggest: Annotated[
        int | None,
        typer.Option(min=1, max=50, help="Which N networks to measure next, and why."),
    ] = None,
    on: Annotated[str, typer.Option("--on", help="The target that --suggest is about.")] = "",
    budget: Annotated[str, typer.Option(help="Time for measuring, such as 10min.")] = "10min",
    journal: Journal = None,
    seed: Seed = 0,
    model: OnlyModels = None,
    files: Files = None,
    benchmark_model: BenchmarkModel = None,
    serial: Serial = "",
    cores: Cores = "",
    trtexec: Trtexec = "",
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """Learn a device from measurements, or say what to measure next.

    Example: perfmodel calibrate --from examples/ten_rows.csv --device my-phone
    """
    from perfmodel.cli.output import check_outputs, show
    from perfmodel.devices.profile import KINDS
    from perfmodel.runners.device_options import DeviceOptions

    if kind and kind not in KINDS:
        raise PerfmodelError(f"--kind {kind!r} is none of {', '.join(KINDS)}")
    sources, profiles = source or [], profile or []
    if suggest is not None:
        refuse_idle(context, "with --suggest", "output", "kind", *IDLE["FILE"])
        target = on or f"{device or 'new-device'}/cpu"
        show(_suggestions(suggest, target, sources, like, skip_bad, profiles), as_json)
        return 0
    refuse_idle(context, "without --suggest", "on")
    if not sources:
        raise PerfmodelError(
            "calibrate needs --from FILE, --from host, cuda, adb or ssh:HOST, or --suggest N",
            "for example: perfmodel calibrate --from examples/ten_rows.csv --device my-phone",
        )
    check_outputs(output, journal)
    measured = [s for s in sources if s.partition(":")[0] in IDLE and not Path(s).is_file()]
    if not measured:
        refuse_idle(context, "with --from FILE: nothing is measured", *IDLE["FILE"])
        made = _of_tables(
            sources,
            device,
            kind=kind or "phone",
            like=like,
            skip_bad=skip_bad,
            profiles=profiles,
            output=output,
        )
        show(made, as_json)
        return 0
    if len(sources) > 1:
        raise PerfmodelError(f"--from {measured[0]} stands alone", "give files in another call")
    name = measured[0].partition(":")[0]
    refuse_idle(context, f"with --from {name}", *IDLE[name])
    seconds = duration_s(budget)
    if name == "host":
        show(_of_host(seconds, output, journal, device, seed), as_json)
        return 0
    options = DeviceOptions(
        benchmark_model=benchmark_model, serial=serial, cores=cores, trtexec=trtexec
    )
    pattern = "*.onnx" if name == "ssh" else "*.tflite"
    models = (*(model or ()), *map(str, files_in(files, pattern)))
    made = _of_device(
        measured[0],
        device,
        budget_s=seconds,
        output=output,
        journal=journal,
        seed=seed,
        models=models,
        options=options,
        like=like,
        kind=kind,
        profiles=profiles,
    )
    show(made, as_json)
    return 0


def _of_tables(
    sources: Sequence[str],
    device: str,
    *,
    kind: str,
    like: str,
    skip_bad: bool,
    profiles: Sequence[Path],
    output: Path | None,
) -> Result:
    """A device's profile, from files of measurements."""
    from perfmodel.calibration.from_table import calibrate_device
    from perfmodel.devices.profile import write_profile
    from perfmodel.render.calibration import calibration_data, calibration_result

    path = _profile_path(device, output)
    table, bad = _read(sources, device, skip_bad)
    made = calibrate_device(
        table, device=device, like=like, kind=kind, skip_bad=skip_bad, profiles=profiles
    )
    write_profile(made.device, path)
    data = calibration_data(made, path, (*bad, *made.unused))
    return calibration_result(data, named=output is not None)


def _read(
    sources: Sequence[str], device: str, skip_bad: bool
) -> tuple[MeasurementTable, tuple[BadRow, ...]]:
    """The rows of the files that belong to the device; a file of one other device is taken too."""
    from perfmodel.measurements.table import read_measurements

    paths = [Path(s) for s in sources]
    for path in paths:
        if not path.is_file():
            raise MeasurementError(f"{path}: no such file", "name a table or a log, or --from host")
    return read_measurements(paths, device=device, skip_bad=skip_bad)


def _of_host(
    budget_s: float, output: Path | None, journal: Path | None, device: str, seed: int
) -> Result:
    """This machine's profile, from random networks that run on it."""
    from perfmodel.calibration.from_host import calibrate_host, calibration_to_dict
    from perfmodel.devices.profile import write_profile
    from perfmodel.render.calibration import host_calibration_result

    path = output or Path(f"{device or 'host'}.json")
    book = journal or path.with_suffix(".journal.jsonl")
    done = calibrate_host(budget_s, book, seed=seed, device=device or "host")
    write_profile(done.profile, path)
    return host_calibration_result(
        {**calibration_to_dict(done), "profile": str(path), "journal": str(book)}
    )


def _of_device(
    source: str,
    device: str,
    *,
    budget_s: float,
    output: Path | None,
    journal: Path | None,
    seed: int,
    models: tuple[str, ...],
    options: DeviceOptions,
    like: str,
    kind: str,
    profiles: Sequence[Path],
) -> Result:
    """The profile of an attached device, from networks that run on it."""
    from perfmodel.calibration.from_device import DeviceRequest, calibrate_device_over
    from perfmodel.devices.profile import write_profile
    from perfmodel.render.calibration import device_calibration_result

    path = _profile_path(device, output)
    request = DeviceRequest(
        device=device,
        journal=journal or Path(f"{device}.journal.jsonl"),
        budget_s=budget_s,
        models=models,
        seed=seed,
        options=options,
    )
    made = calibrate_device_over(source, request, like=like, kind=kind, profiles=profiles)
    write_profile(made.calibration.device, path)
    return device_calibration_result(made, path, named=output is not None)


def _profile_path(device: str, output: Path | None) -> Path:
    """Where a device's profile goes; `PerfmodelError` without a name for the device."""
    from perfmodel.cli.output import check_outputs
    from perfmodel.devices.registry import user_folder

    if not device:
        raise PerfmodelError("calibrate needs --device NAME", "such as --device my-phone")
    path = output or user_folder() / f"{device}.json"
    check_outputs(path)
    return path


def _suggestions(
    count: int,
    target: str,
    sources: Sequence[str],
    like: str,
    skip_bad: bool,
    profiles: Sequence[Path],
) -> Result:
    """Which networks to measure next and why."""
    from perfmodel.calibration.from_table import next_measurements
    from perfmodel.render.calibration import suggestions_result

    table = _read(sources, target.partition("/")[0], skip_bad)[0] if sources else None
    answer = next_measurements(count, target, like=like, table=table, profiles=profiles)
    return suggestions_result(answer)
