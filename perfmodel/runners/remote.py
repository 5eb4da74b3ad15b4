"""What the runners of attached devices share: running a program, and a measurement as its log.

Tools on a device print statistics rather than every run, so what is kept is their whole output;
canonical rows are read from it by the same readers that take anybody's log.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perfmodel.errors import RunnerError
from perfmodel.measurements.table import MeasurementTable, read_measurements

MAX_OUTPUT_CHARACTERS = 20_000_000


@dataclass(frozen=True)
class DeviceLog:
    """One measurement on a device: the tool's output by file name, state before and after.

    `warnings` say in words what makes the figures doubtful (heat, a partly delegated graph).
    """

    key: str
    files: Mapping[str, str]
    facts: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    defaults: Mapping[str, str | float] = field(default_factory=dict)


def run_program(arguments: Sequence[str], *, timeout_s: float = 600, check: bool = True) -> str:
    """Run a program (no shell on this machine) and return what it printed, both streams.

    Raises `RunnerError` if it is missing, fails (with its last line) or takes too long.
    """
    name = Path(arguments[0]).name
    try:
        done = subprocess.run(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError:
        raise RunnerError(
            f"{name} is not installed or not on the PATH", f"install {name}, or name its path"
        ) from None
    except PermissionError as error:
        raise RunnerError(f"{name} cannot be run: {error}") from None
    except subprocess.TimeoutExpired:
        raise RunnerError(
            f"{name} did not finish within {timeout_s:.0f} s", "is the device still attached?"
        ) from None
    text = done.stdout[:MAX_OUTPUT_CHARACTERS].decode("utf-8", errors="replace")
    if check and done.returncode != 0:
        last = next((x.strip() for x in reversed(text.splitlines()) if x.strip()), "no output")
        raise RunnerError(f"{name} failed with exit code {done.returncode}: {last[:300]}")
    return text


def safe_name(text: str) -> str:
    """A file name for a device made from any text: letters, digits, dot, dash, underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[-120:] or "model"


def save_log(log: DeviceLog, folder: Path) -> tuple[Path, ...]:
    """Keep a measurement's files as they came; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in log.files.items():
        path = folder / f"{safe_name(log.key)}.{safe_name(name)}"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return tuple(paths)


def rows_of(logs: Sequence[DeviceLog], folder: Path, device: str) -> MeasurementTable:
    """Canonical rows of some measurements, whose files are kept in `folder`."""
    from perfmodel.measurements.table import concatenate

    tables = []
    for log in logs:
        for path in save_log(log, folder):
            table, _ = read_measurements([path], device=device, defaults=dict(log.defaults))
            tables.append(table)
    return concatenate(tables)
