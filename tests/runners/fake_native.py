"""A worker whose runtime dies in every way that a job's key or file name may ask for.

`DyingWorker` starts this file's `serve_dying`; its runner "tflite" is the true one for files whose
name asks for nothing.
"""

from __future__ import annotations

import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.runners import worker_side
from perfmodel.runners.runner import Job, MachineFacts, RawRuns
from perfmodel.runners.worker import Worker

SIGNALS = ("SIGABRT", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGKILL")


class DyingWorker(Worker):
    program = "from fake_native import serve_dying; serve_dying()"


class FakePrepared:
    load_ms, first_ms = 1.5, 2.5

    def __init__(self, key: str) -> None:
        self.key = key

    def run_set(self, runs: int, warmups: int) -> RawRuns:
        obey(self.key)
        per_op = {"0 CONV": tuple(float(r) for r in range(runs))}
        return RawRuns((0.1,) * warmups, (0.3,) * runs, 7.0, 1.5, 2.5, per_op, (0.2,) * runs)

    def close(self) -> None:
        if self.key == "SIGABRT in close":
            obey("SIGABRT")


class FakeRunner:
    def __init__(self, **options: Any) -> None:
        self.options = options

    def describe(self) -> MachineFacts:
        limits = (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE)
        facts = {
            "runtime": f"fake {self.options}",
            "temporary": tempfile.gettempdir(),
            "limits": str([resource.getrlimit(kind)[0] for kind in limits]),
        }
        return MachineFacts("fake", facts)

    def prepare(self, job: Job) -> Any:
        if job.key.startswith("load "):
            obey(job.key.removeprefix("load "))
        return FakePrepared(job.key)


class PoisonedTflite:
    """The true runtime; a file named SIGSEGV_... dies of it, one named poison_... lets the next."""

    poisoned = False

    def __init__(self, **options: Any) -> None:
        from perfmodel.runners.tflite_host import TfliteRunner

        self._true = TfliteRunner(**options)

    def describe(self) -> MachineFacts:
        return self._true.describe()

    def prepare(self, job: Job) -> Any:
        asked = job.model.stem.partition("_")[0]
        if PoisonedTflite.poisoned:
            obey("SIGABRT")
        obey(asked)
        PoisonedTflite.poisoned = asked == "poison"
        return self._true.prepare(job)


def obey(asked: str) -> None:
    """Die, or do nothing where no way to die is named."""
    if asked in SIGNALS:
        os.write(2, b"some note\n\x1b[31mmalloc(): \xffcorrupted\n\n")
        os.kill(os.getpid(), getattr(signal, asked))
    elif asked == "hang":
        time.sleep(1e6)
    elif asked == "exit":
        os._exit(3)
    elif asked == "raise":
        raise ValueError("a class of its own")
    elif asked == "print":
        os.write(1, b'{"ok": "rubbish"}\n' * 1000)
        print("rubbish")
    elif asked == "nonsense":
        os.write(_answers(), b"\x1b[0mno answer\n")
    elif asked == "endless":
        for _ in range(70):
            os.write(_answers(), b"x" * 1_000_000)
    elif asked == "hog":
        bytearray(1 << 40)


def _answers() -> int:
    """The pipe that answers go through: the only one that is open for writing."""
    return next(fd for fd in range(3, 64) if _is_pipe(fd) and _writable(fd))


def _is_pipe(fd: int) -> bool:
    return Path(f"/proc/self/fd/{fd}").exists() and "pipe:" in os.readlink(f"/proc/self/fd/{fd}")


def _writable(fd: int) -> bool:
    return "1" in Path(f"/proc/self/fdinfo/{fd}").read_text().split()[3]


@dataclass(frozen=True)
class Campaign:
    folder: str
    files: dict[str, str]
    rows: dict[str, int]
    failures: tuple[str, ...]
    finished: bool


def campaign(folder: str, settings: dict[str, Any], note: Callable[[str], None]) -> Campaign:
    """One that writes a table and then does what the name of its first network says."""
    note(f"measuring {settings['modes']}")
    Path(folder).mkdir(parents=True, exist_ok=True)
    table = Path(folder) / f"{settings['device_name']}_networks.csv"
    table.write_text("x")
    obey(settings["networks"][0])
    return Campaign(folder, {"networks": str(table)}, {"networks": 1}, ("one",), True)


def serve_dying() -> None:
    worker_side.RUNNERS = {
        "fake": "fake_native:FakeRunner",
        "tflite": "fake_native:PoisonedTflite",
    }
    worker_side.FUNCTIONS = {"cuda-campaign": "fake_native:campaign"}
    worker_side.serve()
