"""`perfmodel calibrate`: measurements in, a device's profile out; or what to measure next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perfmodel.cli.options import Journal, Json, Profiles, Seed, duration_s, refuse_idle
from perfmodel.errors import MeasurementError, PerfmodelError, RunnerError

if TYPE_CHECKING:
    from perfmodel.measurements.table import BadRow, MeasurementTable

HARDWARE = ("host", "cuda", "adb", "ssh")
"""What `--from` may name beside files."""

ABSENT = {
    "cuda": "measure with `python -m validation.cuda` and give its table to --from",
    "adb": "run TFLite's benchmark_model on the phone and give its log to --from",
    "ssh": "run trtexec on the board and give its log to --from (docs/jetson.md)",
}
OF_FILES = ("kind", "like", "skip_bad", "profile")
OF_HARDWARE = ("budget", "journal", "seed")


def command(
    context: typer.Context,
    source: Annotated[
        list[str] | None,
        typer.Option("--from", help="A table or tool log; or host: measure this machine."),
    ] = None,
    device: Annotated[str, typer.Option(help="Name of the device, such as my-phone.")] = "",
    kind: Annotated[
        str, typer.Option(help="phone, jetson, board, laptop, desktop, server or host.")
    ] = "phone",
    like: Annotated[str, typer.Option(help="A known device to borrow from.")] = "",
    skip_bad: Annotated[bool, typer.Option(help="Leave bad rows out and list them.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The profile; default: your profile folder."),
    ] = None,
    suggest: Annotated[
        int | None,
        typer.Option(min=1, max=50, help="Which N networks to measure next, and why."),
    ] = None,
    on: Annotated[str, typer.Option("--on", help="The target that --suggest is about.")] = "",
    budget: Annotated[str, typer.Option(help="Time for measuring, such as 10min.")] = "10min",
    journal: Journal = None,
    seed: Seed = 0,
    profile: Profiles = None,
    as_json: Json = False,
) -> int:
    """Learn a device from measurements, or say what to measure next.

    Example: perfmodel calibrate --from examples/ten_rows.csv --device my-phone
    """
    from perfmodel.cli.output import check_outputs
    from perfmodel.devices.profile import KINDS

    if kind not in KINDS:
        raise PerfmodelError(f"--kind {kind!r} is none of {', '.join(KINDS)}")
    sources, profiles = source or [], profile or []
    if suggest is not None:
        refuse_idle(context, "with --suggest", "output", "kind", *OF_HARDWARE)
        return _suggest(suggest, sources, device, on, like, skip_bad, profiles, as_json)
    refuse_idle(context, "without --suggest", "on")
    if not sources:
        raise PerfmodelError(
            "calibrate needs --from FILE, --from host, or --suggest N",
            "for example: perfmodel calibrate --from examples/ten_rows.csv --device my-phone",
        )
    check_outputs(output, journal)
    hardware = [s for s in sources if s.partition(":")[0] in HARDWARE and not Path(s).is_file()]
    if hardware:
        if len(sources) > 1:
            raise PerfmodelError(f"--from {hardware[0]} stands alone", "give files in another call")
        refuse_idle(context, f"with --from {hardware[0]}", *OF_FILES)
        return _measure(hardware[0], budget, output, journal, device, seed, as_json)
    refuse_idle(context, "with --from FILE: nothing is measured", *OF_HARDWARE)
    return _learn(sources, device, kind, like, skip_bad, profiles, output, as_json)


def _learn(
    sources: Sequence[str],
    device: str,
    kind: str,
    like: str,
    skip_bad: bool,
    profiles: Sequence[Path],
    output: Path | None,
    as_json: bool,
) -> int:
    """A profile from files of measurements."""
    from perfmodel.calibration.from_table import calibrate_device
    from perfmodel.cli.output import check_outputs, show
    from perfmodel.devices.profile import write_profile
    from perfmodel.devices.registry import user_folder
    from perfmodel.render.calibration import calibration_data, calibration_result

    if not device:
        raise PerfmodelError("calibrate needs --device NAME", "such as --device my-phone")
    path = output or user_folder() / f"{device}.json"
    check_outputs(path)
    table, bad = _read(sources, device, skip_bad)
    made = calibrate_device(
        table, device=device, like=like, kind=kind, skip_bad=skip_bad, profiles=profiles
    )
    write_profile(made.device, path)
    data = calibration_data(made, path, (*bad, *made.unused))
    show(calibration_result(data, named=output is not None), as_json)
    return 0


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


def _measure(
    source: str,
    budget: str,
    output: Path | None,
    journal: Path | None,
    device: str,
    seed: int,
    as_json: bool,
) -> int:
    """Measure hardware and learn it."""
    from perfmodel.calibration.from_host import calibrate_host, calibration_to_dict
    from perfmodel.cli.output import show
    from perfmodel.devices.profile import write_profile
    from perfmodel.render.calibration import host_calibration_result

    name = source.partition(":")[0]
    if name != "host":
        raise RunnerError(f"--from {name}: this build has no such runner", ABSENT[name])
    seconds = duration_s(budget)
    path = output or Path(f"{device or 'host'}.json")
    book = journal or path.with_suffix(".journal.jsonl")
    done = calibrate_host(seconds, book, seed=seed, device=device or "host")
    write_profile(done.profile, path)
    data = {**calibration_to_dict(done), "profile": str(path), "journal": str(book)}
    show(host_calibration_result(data), as_json)
    return 0


def _suggest(
    count: int,
    sources: Sequence[str],
    device: str,
    on: str,
    like: str,
    skip_bad: bool,
    profiles: Sequence[Path],
    as_json: bool,
) -> int:
    """Which networks to measure next and why."""
    from perfmodel.calibration.from_table import next_measurements
    from perfmodel.cli.output import show
    from perfmodel.render.calibration import suggestions_result

    target = on or f"{device or 'new-device'}/cpu"
    table = _read(sources, target.partition("/")[0], skip_bad)[0] if sources else None
    answer = next_measurements(count, target, like=like, table=table, profiles=profiles)
    show(suggestions_result(answer), as_json)
    return 0
