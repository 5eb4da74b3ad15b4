"""What the runners of attached devices share: running a program, and a measurement as its log.

Tools on a device print statistics rather than every run, so what is kept is their whole output;
canonical rows are read from it by the same readers that take anybody's log.
"""

from __future__ import annotations

import re
import subprocess
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from perfmodel.errors import PerfmodelError, RunnerError
from perfmodel.files import write_atomically
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import MeasurementTable, concatenate
from perfmodel.runners.journal import Journal, raw_folder
from perfmodel.runners.runner import Job, MachineFacts

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


class DeviceRunner(Protocol):
    """A tool on an attached device that times model files one by one."""

    @property
    def name(self) -> str:
        """The word for it in `--from`."""

    def describe(self) -> MachineFacts:
        """The device and its state."""

    def measure(self, job: Job) -> DeviceLog:
        """Time one model; raises `RunnerError` where the tool gives no times."""


@dataclass(frozen=True, kw_only=True)
class DeviceRuns:
    """What a device measured: logs by the job's key in order, and what failed, by key.

    `finished` is False where the budget ended before the last job; `files` are the tools' outputs.
    """

    logs: Mapping[str, DeviceLog]
    failures: Mapping[str, str]
    finished: bool
    files: tuple[Path, ...]


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


def measure_jobs(
    runner: DeviceRunner,
    jobs: Sequence[Job],
    *,
    journal: Path,
    campaign: Mapping[str, Any],
    budget_s: float,
    log: Callable[[str], None],
) -> DeviceRuns:
    """Time the jobs one by one until the budget is spent; the same call goes on where it ended.

    The tools' outputs are kept as they came in `journal`'s folder of the same name with `.raw`.
    A job that fails is noted and tried again by the next call. Raises `RunnerError` if nothing
    could be measured.
    """
    folder = raw_folder(journal)
    logs: dict[str, DeviceLog] = {}
    failures: dict[str, str] = {}
    finished = True
    with Journal(journal, campaign) as book:
        began = time.monotonic() - sum(float(e["spent_s"]) for e in book.entries.values())
        for job in jobs:
            if job.key in book and (kept := kept_log(job.key, book.entries[job.key], folder)):
                logs[job.key] = kept
                continue
            if time.monotonic() - began >= budget_s:
                finished = False
                continue
            started = time.monotonic()
            try:
                done = runner.measure(job)
            except PerfmodelError as error:
                failures[job.key] = error.message
                log(f"{job.key}: {error.message}")
                continue
            save_log(done, folder)
            book.add(job.key, _entry(done, time.monotonic() - started))
            logs[job.key] = done
            log(f"{job.key}: measured on the device, {len(logs)} of {len(jobs)}")
        if not logs:
            # inside, so that the journal knows that it holds nothing
            first = next(iter(failures.values()), "the budget was spent before the first network")
            raise RunnerError(
                f"nothing was measured: {first}", "give a larger --budget or other models"
            )
    files = tuple(path for done in logs.values() for path in log_paths(done, folder))
    return DeviceRuns(logs=logs, failures=failures, finished=finished, files=files)


def _entry(log: DeviceLog, spent_s: float) -> dict[str, Any]:
    return {
        "files": list(log.files),
        "facts": dict(log.facts),
        "warnings": list(log.warnings),
        "defaults": dict(log.defaults),
        "spent_s": spent_s,
    }


def kept_log(key: str, entry: Mapping[str, Any], folder: Path) -> DeviceLog | None:
    """The measurement of a journal's entry; None where one of its raw files is gone."""
    bare = DeviceLog(
        key,
        dict.fromkeys(entry["files"], ""),
        entry["facts"],
        tuple(entry["warnings"]),
        entry["defaults"],
    )
    paths = log_paths(bare, folder)
    if not all(path.is_file() for path in paths):
        return None
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return DeviceLog(
        key, dict(zip(bare.files, texts, strict=True)), bare.facts, bare.warnings, bare.defaults
    )


def log_paths(log: DeviceLog, folder: Path) -> tuple[Path, ...]:
    """Where a measurement's files are kept; keys that differ have files that differ."""
    stem = safe_name(log.key)
    if stem != log.key:
        stem = f"{stem}-{zlib.crc32(log.key.encode()):08x}"
    return tuple(folder / f"{stem}.{safe_name(name)}" for name in log.files)


def save_log(log: DeviceLog, folder: Path) -> tuple[Path, ...]:
    """Keep a measurement's files as they came; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = log_paths(log, folder)
    for path, text in zip(paths, log.files.values(), strict=True):
        write_atomically(path, text)
    return paths


def rows_of(logs: Sequence[DeviceLog], folder: Path, device: str) -> MeasurementTable:
    """Canonical rows of some measurements, whose files are kept in `folder`."""
    tables = []
    for log in logs:
        for path in save_log(log, folder):
            table, _ = read_measurements([path], device=device, defaults=dict(log.defaults))
            tables.append(table)
    return concatenate(tables)


def network_rows(
    runs: DeviceRuns, models: Mapping[str, str], device: str, folder: Path
) -> MeasurementTable:
    """Steady times of whole networks on `device`; `models` names the network of each job's key.

    Logs name a network by the file that was pushed, which does not say which network it holds.
    """
    tables = []
    for key, log in runs.logs.items():
        steady = rows_of([log], folder, device).networks.where(kind="steady")
        tables.append(MeasurementTable(steady.frame.assign(model=models[key])))
    return concatenate(tables)
