"""`perfmodel calibrate`: measurements in, a device's profile out; or what to measure next."""

from __future__ import annotations

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

HARDWARE = ("host", "adb", "ssh", "cuda")
"""What `--from` may name beside files."""
OF_LEARNING = ("kind", "like", "profile")
OF_MEASURING = ("budget", "journal")
IDLE = {
    "host": (*OF_LEARNING, "skip_bad", "model", "files", *OF_ADB, *OF_SSH),
    "adb": ("skip_bad", "seed", *OF_SSH),
    "ssh": ("skip_bad", "seed", "model", *OF_ADB),
    "cuda": ("skip_bad", "files", *OF_ADB, *OF_SSH),
    "FILE": (*OF_MEASURING, "seed", "model", "files", *OF_ADB, *OF_SSH),
}
"""What `--from` names and the options that do nothing with it."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked; `sources` are files, or one piece of hardware."""

    sources: tuple[str, ...]
    device: str
    kind: str
    like: str
    skip_bad: bool
    output: Path | None
    budget: str
    journal: Path | None
    force: bool
    seed: int
    models: tuple[str, ...]
    files: Path | None
    options: DeviceOptions
    profiles: tuple[Path, ...]


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
    force: Force = False,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """Learn a device from measurements, or say what to measure next.

    Example: perfmodel calibrate --from examples/ten_rows.csv --device my-phone
    """
    from perfmodel.cli.output import show
    from perfmodel.devices.profile import KINDS
    from perfmodel.runners.device_options import DeviceOptions

    if kind and kind not in KINDS:
        raise PerfmodelError(f"--kind {kind!r} is none of {', '.join(KINDS)}")
    asked = Request(
        sources=tuple(source or ()),
        device=device,
        kind=kind,
        like=like,
        skip_bad=skip_bad,
        output=output,
        budget=budget,
        journal=journal,
        force=force,
        seed=seed,
        models=tuple(model or ()),
        files=files,
        options=DeviceOptions(
            benchmark_model=benchmark_model, serial=serial, cores=cores, trtexec=trtexec
        ),
        profiles=tuple(profile or ()),
    )
    if suggest is None:
        refuse_idle(context, "without --suggest", "on")
        made = _calibrated(context, asked)
    else:
        refuse_idle(context, "with --suggest", "output", "force", "kind", *IDLE["FILE"])
        made = _suggestions(suggest, on or f"{device or 'new-device'}/cpu", asked)
    show(made, as_json)
    return 0


def _calibrated(context: typer.Context, asked: Request) -> Result:
    """A profile from what `--from` names."""
    from perfmodel.target import check_device

    sources = asked.sources
    if asked.device:
        # before its name is part of a file's and before anything is measured
        check_device(asked.device)
    if not sources:
        raise PerfmodelError(
            "calibrate needs --from FILE, --from host, cuda, adb or ssh:HOST, or --suggest N",
            "for example: perfmodel calibrate --from examples/ten_rows.csv --device my-phone",
        )
    measured = [s for s in sources if s.partition(":")[0] in HARDWARE and not Path(s).is_file()]
    if not measured:
        refuse_idle(context, "with --from FILE: nothing is measured", *IDLE["FILE"])
        return _of_tables(asked)
    if len(sources) > 1:
        raise PerfmodelError(f"--from {measured[0]} stands alone", "give files in another call")
    name = measured[0].partition(":")[0]
    refuse_idle(context, f"with --from {name}", *IDLE[name])
    return _of_host(asked) if name == "host" else _of_device(measured[0], asked)


def _of_tables(asked: Request) -> Result:
    """A device's profile, from files of measurements."""
    from perfmodel.calibration.from_table import calibrate_device
    from perfmodel.devices.profile import write_profile
    from perfmodel.render.calibration import calibration_data, calibration_result

    path = _profile_path(asked)
    _check(asked, path)
    table, bad = _read(asked, asked.device)
    made = calibrate_device(
        table,
        device=asked.device,
        like=asked.like,
        kind=asked.kind or "phone",
        skip_bad=asked.skip_bad,
        profiles=asked.profiles,
    )
    write_profile(made.device, path)
    data = calibration_data(made, path, (*bad, *made.unused))
    return calibration_result(data, named=asked.output is not None)


def _read(asked: Request, device: str) -> tuple[MeasurementTable, tuple[BadRow, ...]]:
    """The rows of the files that belong to the device; a file of one other device is taken too."""
    from perfmodel.measurements.read import read_measurements

    paths = [Path(s) for s in asked.sources]
    for path in paths:
        if not path.is_file():
            raise MeasurementError(f"{path}: no such file", "name a table or a log, or --from host")
    return read_measurements(paths, device=device, skip_bad=asked.skip_bad)


def _of_host(asked: Request) -> Result:
    """This machine's profile, from random networks that run on it."""
    from perfmodel.calibration.from_host import calibrate_host, calibration_to_dict
    from perfmodel.devices.profile import write_profile
    from perfmodel.render.calibration import host_calibration_result

    device = asked.device or "host"
    path = asked.output or Path(f"{device}.json")
    book = asked.journal or path.with_suffix(".journal.jsonl")
    _check(asked, path, book)
    done = calibrate_host(duration_s(asked.budget), book, seed=asked.seed, device=device)
    write_profile(done.profile, path)
    return host_calibration_result(
        {**calibration_to_dict(done), "profile": str(path), "journal": str(book)}
    )


def _of_device(source: str, asked: Request) -> Result:
    """The profile of an attached device, from networks that run on it."""
    from perfmodel.calibration.from_device import DeviceRequest, calibrate_device_over
    from perfmodel.devices.profile import write_profile
    from perfmodel.render.calibration import device_calibration_result

    path = _profile_path(asked)
    book = asked.journal or Path(f"{asked.device}.journal.jsonl")
    _check(asked, path, book)
    pattern = "*.onnx" if source.startswith("ssh") else "*.tflite"
    request = DeviceRequest(
        device=asked.device,
        journal=book,
        budget_s=duration_s(asked.budget),
        models=(*asked.models, *map(str, files_in(asked.files, pattern))),
        seed=asked.seed,
        options=asked.options,
    )
    made = calibrate_device_over(
        source, request, like=asked.like, kind=asked.kind, profiles=asked.profiles
    )
    write_profile(made.calibration.device, path)
    return device_calibration_result(made, path, named=asked.output is not None)


def _profile_path(asked: Request) -> Path:
    """Where a device's profile goes; `PerfmodelError` without a name for the device."""
    from perfmodel.devices.user_profiles import user_folder

    if not asked.device:
        raise PerfmodelError("calibrate needs --device NAME", "such as --device my-phone")
    if asked.output is not None:
        return asked.output
    folder = user_folder()
    if folder is None:
        raise PerfmodelError(
            "there is no home folder to keep the profile in",
            "name a file with -o, or a folder in PERFMODEL_PROFILES",
        )
    return folder / f"{asked.device}.json"


def _check(asked: Request, profile: Path, *journals: Path) -> None:
    """Refuse outputs that could not or must not be written, before anything is measured."""
    from perfmodel.cli.output import check_journal, check_outputs
    from perfmodel.devices.profile import PROFILE_MARK

    check_outputs(profile, mark=PROFILE_MARK, force=asked.force)
    for journal in journals:
        check_journal(journal, force=asked.force)


def _suggestions(count: int, target: str, asked: Request) -> Result:
    """Which networks to measure next and why."""
    from perfmodel.calibration.suggest import next_measurements
    from perfmodel.render.calibration import suggestions_result

    table = _read(asked, target.partition("/")[0])[0] if asked.sources else None
    answer = next_measurements(count, target, like=asked.like, table=table, profiles=asked.profiles)
    return suggestions_result(answer)
