"""Native runtimes run in a process of their own, which may die without taking a campaign along.

A `Worker` is that process: it is started when it is first asked, serves one request after another
until it dies, and is started again by the next one. Requests and answers are lines of JSON through
pipes that no runtime writes to; what a runtime prints goes to a file, of which only the last words
before a death are shown. Every runner of this machine is reached the same way (`runner`), so that a
new one needs a line in `worker_side.RUNNERS` and nothing else.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from perfmodel.errors import RunnerError, printable
from perfmodel.files import folder_prefix
from perfmodel.processes import SIGNAL_WORDS, signal_name
from perfmodel.runners.litert_profiler import ProfilerError
from perfmodel.runners.runner import Job, MachineFacts, RawRuns, raw_from_dict

START_S = 120.0
"""A worker that has imported nothing by then hangs: it takes half a second here, and a loaded
machine with a cold disk may be a hundred times slower."""
ANSWER_S = 120.0
"""Longest wait for a file to be loaded and run once, or for a set beyond what its first run lets
expect. In the committed campaigns a whole network, all its sets and loads, takes 14 s at most."""
RUNS_SLOWER = 10.0
"""Runs of a set may be so much slower than the first one; in the committed campaigns the slowest of
all was 5 times slower."""
MOST_ANSWER_BYTES = 64_000_000
"""A set of 200 runs of 3,000 operators has 12 MB."""
LAST_WORDS = 200
"""Characters of what a runtime wrote last."""

_ERRORS: Mapping[str, type[RunnerError]] = {"ProfilerError": ProfilerError}


class WorkerDied(RunnerError):
    """A native runtime took its process down, or did not answer as one that works.

    `signal` is the name of what killed it ("SIGSEGV"), "" where nothing did: it went, hung or
    answered nonsense.
    """

    def __init__(self, message: str, hint: str = "", signal: str = "") -> None:
        super().__init__(message, hint)
        self.signal = signal

    @property
    def faulty(self) -> bool:
        """Whether the memory of the process may have been damaged by what ran in it before."""
        return self.signal not in ("", "SIGKILL", "SIGTERM")


class Worker:
    """A process that runs native code; use it as a context manager.

    `generation` counts its starts: what was loaded in an earlier one is gone. `answer_s` is the
    longest wait for an answer; it only needs another value where hanging is tested.
    """

    program = "from perfmodel.runners.worker_side import serve; serve()"

    def __init__(self, *, answer_s: float = ANSWER_S) -> None:
        self.answer_s = answer_s
        self.generation = 0
        self._folder = tempfile.TemporaryDirectory(prefix=folder_prefix())
        self._words = Path(self._folder.name) / "output.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self._read = b""
        self._fresh = False

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Number of the process, None while there is none."""
        return self._process.pid if self._process is not None else None

    def runner(self, name: str, **options: Any) -> WorkerRunner:
        """A runner of this machine by its name in `worker_side.RUNNERS`, run by this worker."""
        return WorkerRunner(self, name, options)

    def call(
        self,
        function: str,
        *,
        note: Callable[[str], None] | None = None,
        more_s: float = 0.0,
        **arguments: Any,
    ) -> Any:
        """The fields of what a function in `worker_side.FUNCTIONS` returns.

        `note` is told what the function says meanwhile, if it says anything.
        """
        request = {"do": "call", "function": function, "arguments": arguments}
        return self.ask({**request, "notes": note is not None}, more_s=more_s, note=note)

    def ask(
        self,
        request: Mapping[str, Any],
        more_s: float = 0.0,
        note: Callable[[str], None] | None = None,
    ) -> Any:
        """The answer to a request; raises what the worker raised, or `WorkerDied`.

        It may take `more_s` seconds longer than other answers, and the first of a process twice as
        long, for it imports the runtime; `note` gets what is said before it.
        """
        self.start()
        limit_s = (2 if self._fresh else 1) * self.answer_s + more_s
        self._fresh = False
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._died() from None
        answer = self._answer(limit_s)
        while "note" in answer:
            if note is not None:
                note(str(answer["note"]))
            answer = self._answer(limit_s)
        if "error" in answer:
            error = answer["error"]
            raise _ERRORS.get(error["kind"], RunnerError)(error["message"], error["hint"])
        return answer["ok"]

    def start(self) -> None:
        """Start the process if none lives."""
        if self._process is not None and self._process.poll() is None:
            return
        self._let_go()
        self.generation += 1
        self._fresh = True
        paths = os.pathsep.join(p or os.getcwd() for p in sys.path)
        environment = {**os.environ, "PYTHONPATH": paths, "TMPDIR": self._folder.name}
        with open(self._words, "wb") as words:
            self._process = subprocess.Popen(
                [sys.executable, "-c", self.program, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                env=environment,
            )
        assert self._process.stdout is not None
        self._waits = selectors.DefaultSelector()
        self._waits.register(self._process.stdout, selectors.EVENT_READ)
        self._answer(START_S)

    def stop(self) -> None:
        """End the process, whatever it is doing; the next request starts another."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self._let_go()

    def close(self) -> None:
        """End the process, whatever it is doing, and remove what it wrote."""
        self.stop()
        self._folder.cleanup()

    def _let_go(self) -> None:
        if self._process is None:
            return
        self._process.wait()
        self._waits.close()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                # a request that the dead process never read
                continue
        self._process, self._read = None, b""

    def _answer(self, limit_s: float) -> dict[str, Any]:
        line = self._line(limit_s)
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or not answer.keys() & {"ok", "error", "note"}:
            raise self._stopped(f"answered what is no answer ({_plain(line)})")
        return answer

    def _line(self, limit_s: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        until, parts, size = time.monotonic() + limit_s, [self._read], len(self._read)
        while b"\n" not in parts[-1]:
            left_s = until - time.monotonic()
            if left_s <= 0 or not self._waits.select(left_s):
                raise self._stopped(f"gave no answer within {limit_s:.0f} s and was stopped")
            parts.append(os.read(self._process.stdout.fileno(), 1 << 20))
            if not parts[-1]:
                raise self._died()
            size += len(parts[-1])
            if size > MOST_ANSWER_BYTES:
                raise self._stopped("answered without end and was stopped")
        line, _, self._read = b"".join(parts).partition(b"\n")
        return line

    def _stopped(self, what: str) -> WorkerDied:
        """End a process that lives but is of no use; the error that says why."""
        assert self._process is not None
        self._process.kill()
        self._let_go()
        return WorkerDied(f"the runtime {what}{self._said()}")

    def _died(self) -> WorkerDied:
        """The error of a process that is gone."""
        assert self._process is not None
        try:
            status = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return self._stopped("closed its output and was stopped")
        self._let_go()
        name = signal_name(status)
        if name == "SIGKILL":
            what = "was killed (SIGKILL), as the system does where memory is short"
        elif name:
            meaning = SIGNAL_WORDS.get(name, "")
            what = f"died of {name}" + (f": {meaning}" if meaning else "")
        else:
            what = f"ended by itself with exit status {status}"
        return WorkerDied(f"the runtime {what}{self._said()}", signal=name)

    def _said(self) -> str:
        """What a runtime wrote last, as the end of a sentence."""
        size = self._words.stat().st_size
        with open(self._words, "rb") as file:
            file.seek(max(0, size - 4 * LAST_WORDS))
            lines = [_plain(line) for line in file.read().splitlines()]
        last = next((line for line in reversed(lines) if line), "")
        return f"; its last words: {last[-LAST_WORDS:]}" if last else ""


def _plain(text: bytes) -> str:
    """Printable text of at most `LAST_WORDS` characters of what anything may have written."""
    return printable(text[: 4 * LAST_WORDS].decode("utf-8", "replace").strip())[:LAST_WORDS]


class WorkerRunner:
    """A runner whose jobs are loaded and run in a worker."""

    def __init__(self, worker: Worker, name: str, options: Mapping[str, Any]) -> None:
        self.worker, self.name, self.options = worker, name, dict(options)

    def describe(self) -> MachineFacts:
        """This machine and the runtime's build."""
        return MachineFacts(**self.worker.ask({"do": "describe", **self._which()}))

    def prepare(self, job: Job) -> WorkerPrepared:
        """Load a job in the worker."""
        told = {**asdict(job), "model": str(job.model)}
        answer = self.worker.ask({"do": "prepare", "job": told, **self._which()})
        return WorkerPrepared(self.worker, **answer)

    def _which(self) -> dict[str, Any]:
        return {"runner": self.name, "options": self.options}


class WorkerPrepared:
    """A job that is loaded in a worker; `load_ms` and `first_ms` as its runner gives them."""

    def __init__(
        self, worker: Worker, handle: int, load_ms: float | None, first_ms: float | None
    ) -> None:
        self._worker, self._handle, self._of = worker, handle, worker.generation
        self._first_ms = first_ms or 0.0
        self.load_ms, self.first_ms = load_ms, first_ms

    @property
    def alive(self) -> bool:
        """Whether the worker that holds it lives."""
        return self._of == self._worker.generation and self._worker.pid is not None

    def run_set(self, runs: int, warmups: int) -> RawRuns:
        """Time `runs` inferences after `warmups`; a second time as many where operators are."""
        if not self.alive:
            raise WorkerDied("the runtime that held this network is gone", "load it again")
        expected_s = 2 * (runs + warmups) * self._first_ms / 1e3
        request = {"do": "run_set", "handle": self._handle, "runs": runs, "warmups": warmups}
        return raw_from_dict(self._worker.ask(request, more_s=RUNS_SLOWER * expected_s))

    def close(self) -> None:
        """Free it; nothing where its worker is gone."""
        if self.alive:
            self._worker.ask({"do": "close", "handle": self._handle})
