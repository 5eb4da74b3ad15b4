"""`perfmodel calibrate`: measurements in, a device's profile out; or what to measure next."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from perfmodel.calibration.from_table import (
    CalibratedTarget,
    Calibration,
    NextMeasurements,
    calibrate_device,
    next_measurements,
)
from perfmodel.cli.output import print_json
from perfmodel.devices.profile import KINDS, write_profile
from perfmodel.devices.registry import user_folder
from perfmodel.errors import MeasurementError, PerfmodelError, RunnerError
from perfmodel.measurements.table import BadRow, MeasurementTable, read_measurements
from perfmodel.render.text import percent

SHOWN_BAD_ROWS = 10

RUNNERS = {
    "host": "perfmodel.cli.calibrate_host:calibrate_host_command",
    "cuda": "perfmodel.cli.calibrate_cuda:calibrate_cuda_command",
    "adb": "perfmodel.cli.calibrate_adb:calibrate_adb_command",
    "ssh": "perfmodel.cli.calibrate_ssh:calibrate_ssh_command",
}
"""What `--from` may name beside files, and the command that measures it."""

ABSENT = {
    "cuda": "measure with `python -m validation.cuda` and give its table to --from",
    "adb": "run TFLite's benchmark_model on the phone and give its log to --from",
    "ssh": "run trtexec on the board and give its log to --from (docs/jetson.md)",
}


def calibrate_command(
    sources: Sequence[str],
    device: str,
    *,
    kind: str = "phone",
    like: str = "",
    skip_bad: bool = False,
    output: Path | None = None,
    suggest: int | None = None,
    on: str = "",
    budget: str = "10min",
    journal: Path | None = None,
    seed: int = 0,
    profiles: Sequence[Path] = (),
    as_json: bool = False,
) -> int:
    """Calibrate from files or from hardware, or suggest; returns the exit code."""
    if kind not in KINDS:
        raise PerfmodelError(f"--kind {kind!r} is none of {', '.join(KINDS)}")
    if suggest is not None:
        return _suggest(
            suggest,
            sources,
            device,
            on,
            like=like,
            skip_bad=skip_bad,
            profiles=profiles,
            as_json=as_json,
        )
    if not sources:
        raise PerfmodelError(
            "calibrate needs --from FILE, --from host, cuda, adb or ssh:HOST, or --suggest N",
            "for example: perfmodel calibrate --from examples/ten_rows.csv --device my-phone",
        )
    hardware = [s for s in sources if s.partition(":")[0] in RUNNERS and not Path(s).is_file()]
    if hardware:
        if len(sources) > 1:
            raise PerfmodelError(f"--from {hardware[0]} stands alone", "give files in another call")
        return _measure(hardware[0], budget, output, journal, device, seed, as_json)
    if not device:
        raise PerfmodelError("calibrate needs --device NAME", "such as --device my-phone")
    table, bad = _read(sources, device, skip_bad)
    result = calibrate_device(
        table, device=device, like=like, kind=kind, skip_bad=skip_bad, profiles=profiles
    )
    path = output or user_folder() / f"{device}.json"
    try:
        write_profile(result.device, path)
    except OSError as error:
        raise PerfmodelError(f"{path}: cannot be written: {error.strerror}") from None
    left = (*bad, *result.unused)
    if as_json:
        print_json(calibration_json(result, path, left))
    else:
        print(calibration_text(result, path, left, own=output is not None))
    return 0


def _read(
    sources: Sequence[str], device: str, skip_bad: bool
) -> tuple[MeasurementTable, tuple[BadRow, ...]]:
    """The rows of the files that belong to the device; a file of one other device is taken too."""
    paths = [Path(s) for s in sources]
    for path in paths:
        if not path.is_file():
            raise MeasurementError(f"{path}: no such file", "or --from host, cuda, adb, ssh:HOST")
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
    """Hand over to the runner that measures; `RunnerError` while it is not there."""
    name, _, address = source.partition(":")
    module, function = RUNNERS[name].split(":")
    if importlib.util.find_spec(module) is None:
        raise RunnerError(f"--from {name}: this build has no such runner", ABSENT.get(name, ""))
    command = getattr(importlib.import_module(module), function)
    options = {"budget": budget, "output": output, "journal": journal, "seed": seed}
    if address:
        options["address"] = address
    code: int = command(device=device, as_json=as_json, **options)
    return code


def calibration_json(result: Calibration, path: Path, left: Sequence[BadRow]) -> dict[str, object]:
    """What was fitted, what was borrowed and how good it is."""
    return {
        "device": result.device.device,
        "profile": str(path),
        "targets": [_target_json(t) for t in result.targets],
        "left_out_rows": [str(b) for b in left],
    }


def _target_json(made: CalibratedTarget) -> dict[str, object]:
    interval = made.profile.interval
    return {
        "target": str(made.profile.target),
        "kind": made.profile.latency_kind,
        "networks": made.networks,
        "kernels": made.kernels,
        "borrowed_from": made.borrowed_from,
        "reason": made.reason,
        "error": vars(made.profile.error),
        "interval_factor": interval.around(1.0),
        "interval_coverage": interval.coverage,
    }


def calibration_text(result: Calibration, path: Path, left: Sequence[BadRow], *, own: bool) -> str:
    """The profile's place, then each target: rows, what was borrowed and why, how good it is."""
    lines = [f"{result.device.device}: {len(result.targets)} targets, profile in {path}"]
    for made in result.targets:
        error, interval = made.profile.error, made.profile.interval
        low, high = interval.around(1.0)
        counts = [f"{made.networks} networks"] if made.networks else []
        counts += [f"{made.kernels} kernels"] if made.kernels else []
        lines += [
            f"{made.profile.target} ({made.profile.latency_kind}), from {' and '.join(counts)}",
            f"  borrowed from {made.borrowed_from}: {made.reason}",
            f"  median error {percent(error.median, 1)} ({error.experiment}, {error.cases} cases); "
            f"{percent(interval.coverage)} interval {low:.2f} to {high:.2f} times the prediction",
        ]
    if left:
        lines.append(f"{len(left)} rows were left out:")
        lines += [f"  {bad}" for bad in left[:SHOWN_BAD_ROWS]]
        if len(left) > SHOWN_BAD_ROWS:
            lines.append(f"  and {len(left) - SHOWN_BAD_ROWS} more")
    hint = f" --profile {path}" if own else ""
    best = result.targets[0].profile.target
    lines.append(f"next: perfmodel predict mobilenet_v2 --on {best.device}/{best.unit}{hint}")
    return "\n".join(lines)


def _suggest(
    count: int,
    sources: Sequence[str],
    device: str,
    on: str,
    *,
    like: str,
    skip_bad: bool,
    profiles: Sequence[Path],
    as_json: bool,
) -> int:
    """Print which networks to measure next and why."""
    target = on or f"{device or 'new-device'}/cpu"
    table = None
    if sources:
        table, _ = _read(sources, target.partition("/")[0], skip_bad)
    answer = next_measurements(count, target, like=like, table=table, profiles=profiles)
    if as_json:
        print_json(answer)
    else:
        print(suggestion_text(answer))
    return 0


def suggestion_text(answer: NextMeasurements) -> str:
    """One line a network: what it teaches and how uncertain the rest stays."""
    lines = [
        f"measure these next on {answer.target} "
        f"(before them, costs are those of {answer.borrowed_from}):"
    ]
    for number, one in enumerate(answer.suggestions, 1):
        lines.append(
            f"{number:3}. {one.name}: {one.reason}; other networks are then known to "
            f"{percent(one.remaining_sd)} (one standard deviation)"
        )
    lines.append("then: perfmodel calibrate --from YOUR_TABLE.csv --device NAME")
    return "\n".join(lines)
