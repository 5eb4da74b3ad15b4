"""`perfmodel calibrate`: measurements in, a device's profile out; or what to measure next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli.calibrate_request import CalibrateRequest, check, profile_path
from perfmodel.cli.options import (
    OF_ADB,
    OF_SSH,
    BenchmarkModel,
    Cores,
    Files,
    Force,
    Journal,
    Json,
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

HARDWARE = ("host", "adb", "ssh", "cuda")
"""What `--from` may name beside files."""
OF_LEARNING = ("kind", "like", "profile")
OF_MEASURING = ("budget", "journal")
STATED = ("unit", "framework", "precision", "threads", "batch_size")
"""What a file may leave open, and the user states."""
OF_FILES = (*STATED, "skip_bad", "pick", "dry_run", "chip")
HOST_SETUP = ("framework", "precision", "threads")
"""What of the stated columns also says how this machine runs networks."""
IDLE = {
    "host": (
        *OF_LEARNING,
        *(n for n in OF_FILES if n not in HOST_SETUP),
        "model",
        "files",
        *OF_ADB,
        *OF_SSH,
    ),
    "adb": (*OF_FILES, "seed", *OF_SSH),
    "ssh": (*OF_FILES, "seed", "model", *OF_ADB),
    "cuda": (*OF_FILES, "files", *OF_ADB, *OF_SSH),
    "FILE": (*OF_MEASURING, "seed", "files", *OF_ADB, *OF_SSH),
}
"""What `--from` names and the options that do nothing with it."""


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
    unit: Annotated[
        str, typer.Option(help="What executed, where a log does not say: cpu, gpu, npu ...")
    ] = "",
    framework: Annotated[
        str,
        typer.Option(
            help="Its runtime, where a log does not say: tflite, qnn ...; of host: what runs here."
        ),
    ] = "",
    precision: Annotated[
        str,
        typer.Option(
            help="Its precision, where a log does not say: fp32, fp16, int8 ...; of host: only it."
        ),
    ] = "",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=999, help="Its CPU threads, where a log does not say; of host: only so many."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, max=65536, help="Inputs of a run, where a log does not say."),
    ] = None,
    skip_bad: Annotated[bool, typer.Option(help="Leave bad rows out and list them.")] = False,
    pick: Annotated[
        str,
        typer.Option(help="Of measurements that disagree: min, median or newest (the last given)."),
    ] = "",
    chip: Annotated[
        str,
        typer.Option(
            help="The phone's chip (Snapdragon 778G, SM7325): its other targets by its spec sheet."
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option(help="Only print the rows that would be used, and what they rest on.")
    ] = False,
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
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these networks; of a log NAME=ZOO_OR_FILE, what it calls NAME. Repeatable."
        ),
    ] = None,
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
    from perfmodel.calibration.agreement import PICKS
    from perfmodel.cli.output import show
    from perfmodel.devices.profile import KINDS
    from perfmodel.runners.device_options import DeviceOptions

    if kind and kind not in KINDS:
        raise PerfmodelError(f"--kind {kind!r} is none of {', '.join(KINDS)}")
    if pick and pick not in PICKS:
        raise PerfmodelError(f"--pick {pick!r} is none of {', '.join(PICKS)}")
    asked = CalibrateRequest(
        sources=tuple(source or ()),
        device=device,
        kind=kind,
        like=like,
        stated=_stated(unit, framework, precision, threads, batch_size),
        skip_bad=skip_bad,
        pick=pick,
        dry_run=dry_run,
        chip=chip,
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
        as_json=as_json,
    )
    if suggest is None:
        refuse_idle(context, "without --suggest", "on")
        made = _calibrated(context, asked)
    else:
        if not source:
            refuse_idle(context, "with --suggest without --from", *STATED, "skip_bad", "model")
        idle = ("output", "force", "kind", "pick", "dry_run", "chip", *IDLE["FILE"])
        refuse_idle(context, "with --suggest", *idle)
        made = _suggestions(suggest, on or f"{device or 'new-device'}/cpu", asked)
    show(made, as_json)
    return 0


def _stated(
    unit: str, framework: str, precision: str, threads: int | None, batch_size: int | None
) -> dict[str, str | float]:
    """The columns that the options state; `PerfmodelError` for a word that is none of a column."""
    from perfmodel.measurements.facets import check_word

    words = {"unit": unit, "framework": framework, "precision": precision}
    stated: dict[str, str | float] = {name: word for name, word in words.items() if word}
    for name in stated:
        check_word(name, words[name])
    numbers = {"threads": threads, "batch": batch_size}
    return stated | {name: float(value) for name, value in numbers.items() if value is not None}


def _networks(asked: CalibrateRequest) -> dict[str, str]:
    """`--model NAME=ZOO_OR_FILE` by name; `PerfmodelError` for anything else."""
    pairs = [text.partition("=")[::2] for text in asked.models]
    for text, (name, network) in zip(asked.models, pairs, strict=True):
        if not name or not network:
            raise PerfmodelError(
                f"--model {text!r} is not NAME=ZOO_OR_FILE",
                "such as --model blazeface=blazeface.tflite for what a log calls blazeface",
            )
    return dict(pairs)


def _calibrated(context: typer.Context, asked: CalibrateRequest) -> Result:
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


def _of_tables(asked: CalibrateRequest) -> Result:
    """A device's profile, from files of measurements."""
    from perfmodel.calibration.from_table import calibrate_device, used_rows
    from perfmodel.devices.profile import write_profile
    from perfmodel.render.calibration import (
        calibration_data,
        calibration_result,
        dry_run_data,
        dry_run_result,
    )
    from perfmodel.runners.progress import StatusLine

    path = profile_path(asked)
    check(asked, path)
    with StatusLine(quiet=asked.as_json) as doing:
        table, bad = _read(asked, asked.device, doing)
        taken: dict[str, Any] = {
            "device": asked.device,
            "kind": asked.kind or "phone",
            "skip_bad": asked.skip_bad,
            "pick": asked.pick,
            "doing": doing,
        }
        if asked.dry_run:
            return dry_run_result(dry_run_data(used_rows(table, **taken), bad))
        made = calibrate_device(
            table, like=asked.like, profiles=asked.profiles, chip=asked.chip, **taken
        )
    write_profile(made.device, path)
    data = calibration_data(made, path, (*bad, *made.unused))
    return calibration_result(data, named=asked.output is not None)


def _read(
    asked: CalibrateRequest, device: str, doing: Callable[[str], None]
) -> tuple[MeasurementTable, tuple[BadRow, ...]]:
    """The rows of the files that belong to the device; a file of one other device is taken too."""
    from perfmodel.measurements.read import read_measurements

    paths = [Path(s) for s in asked.sources]
    for path in paths:
        if not path.is_file():
            raise MeasurementError(f"{path}: no such file", "name a table or a log, or --from host")
    return read_measurements(
        paths,
        device=device,
        defaults=asked.stated,
        models=_networks(asked),
        skip_bad=asked.skip_bad,
        doing=doing,
    )


def _of_host(asked: CalibrateRequest) -> Result:
    """This machine's profile, from random networks that run on it."""
    from perfmodel.calibration.from_host import calibrate_host, calibration_to_dict
    from perfmodel.devices.profile import write_profile
    from perfmodel.render.calibration import host_calibration_result
    from perfmodel.runners.host_frameworks import DEFAULT, own_profile

    device = asked.device or "host"
    stated = asked.stated
    framework = str(stated.get("framework", DEFAULT))
    path = asked.output or own_profile(framework, device)
    book = asked.journal or path.with_suffix(".journal.jsonl")
    check(asked, path, book)
    done = calibrate_host(
        duration_s(asked.budget),
        book,
        seed=asked.seed,
        framework=framework,
        precisions=[str(stated["precision"])] if "precision" in stated else None,
        threads=[int(stated["threads"])] if "threads" in stated else None,
        device=device,
    )
    write_profile(done.profile, path)
    return host_calibration_result(
        {**calibration_to_dict(done), "profile": str(path), "journal": str(book)}
    )


def _of_device(source: str, asked: CalibrateRequest) -> Result:
    """The profile of an attached device, from networks that run on it."""
    from perfmodel.calibration.from_device import DeviceRequest, calibrate_device_over
    from perfmodel.devices.profile import write_profile
    from perfmodel.files import check_folder
    from perfmodel.render.calibration import device_calibration_result
    from perfmodel.runners.journal import raw_folder

    path = profile_path(asked)
    book = asked.journal or Path(f"{asked.device}.journal.jsonl")
    check(asked, path, book)
    check_folder(raw_folder(book))
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


def _suggestions(count: int, target: str, asked: CalibrateRequest) -> Result:
    """Which networks to measure next and why."""
    from perfmodel.calibration.suggest import next_measurements
    from perfmodel.render.calibration import suggestions_result
    from perfmodel.runners.progress import StatusLine

    like, profiles = asked.like, asked.profiles
    with StatusLine(quiet=asked.as_json) as doing:
        table = _read(asked, target.partition("/")[0], doing)[0] if asked.sources else None
        doing(f"choosing {count} networks")
        answer = next_measurements(count, target, like=like, table=table, profiles=profiles)
    return suggestions_result(answer)
