"""`perfmodel calibrate --from host`: measure this machine and write its profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from perfmodel.cli.output import plain, print_json
from perfmodel.errors import PerfmodelError
from perfmodel.render.text import percent, table
from perfmodel.units import parse_duration_s


def duration_s(budget: str) -> float:
    """Seconds of a --budget such as 10min; raises `PerfmodelError` for anything else."""
    try:
        return parse_duration_s(budget)
    except ValueError as error:
        raise PerfmodelError(f"--budget: {error}", "for example --budget 10min") from None


def calibrate_host_command(
    *,
    budget: str,
    output: Path | None,
    journal: Path | None,
    device: str,
    seed: int,
    as_json: bool,
) -> int:
    """Calibrate, write the profile, print what came of it; returns the exit code."""
    from perfmodel.calibration.from_host import calibrate_host, calibration_to_dict
    from perfmodel.devices.profile import write_profile

    seconds = duration_s(budget)
    path = output or Path(f"{device or 'host'}.json")
    book = journal or path.with_suffix(".journal.jsonl")
    done = calibrate_host(seconds, book, seed=seed, device=device or "host")
    write_profile(done.profile, path)
    data = {**calibration_to_dict(done), "profile": str(path), "journal": str(book)}
    if as_json:
        print_json(data)
    else:
        print(calibration_text(data))
    return 0


def calibration_text(data: dict[str, Any]) -> str:
    """A calibration for people."""
    rows = [
        (
            t["target"],
            t["networks"],
            percent(t["error_median"], 1),
            percent(t["error_mean"], 1),
            percent(t["within_10"]),
        )
        for t in data["targets"]
    ]
    headers = ("target", "networks", "median error", "mean error", "within 10 %")
    lines = [
        f"{data['samples']} networks with {data['kernels']} kernels measured in "
        f"{data['measuring_s']:.0f} s; errors are those of networks left out of the fit",
        "",
        table(headers, rows),
        "",
        f"profile: {data['profile']}",
        f"raw values: {data['journal']} (the same command with a larger --budget goes on from it)",
    ]
    lines += [f"not used: {count} ({reason})" for reason, count in data["lost"].items()]
    if data["warning"]:
        lines.append(f"warning: {data['warning']}")
    return "\n".join(lines)


def write_json(data: Any, path: Path) -> None:
    """Write a result as JSON."""
    from perfmodel.files import write_atomically

    write_atomically(path, json.dumps(plain(data), allow_nan=False) + "\n")
