"""What is being done, on stderr: a bar with the time left, or a line of words."""

from __future__ import annotations

import sys
import threading
import time
from typing import IO

from perfmodel.errors import printable

QUIET_S = 1.0
"""What takes less says nothing of its progress."""


def clock(seconds: float) -> str:
    """Seconds as 4:05 or 1:02:03."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def _is_terminal(stream: IO[str]) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())


def _rewrite(stream: IO[str], text: str) -> None:
    stream.write(f"\r{text[:110]:110s}")
    stream.flush()


class StatusLine:
    """Says on a terminal what is being done once it has taken `QUIET_S`, and clears its line.

    Use it as a context manager and call it with each step as it begins. How long the whole takes is
    not known, so there is no bar. It says nothing where it is `quiet` or stderr is no terminal.
    """

    def __init__(self, *, quiet: bool = False, stream: IO[str] | None = None) -> None:
        self.stream = stream or sys.stderr
        self._step = ""
        self._told = False
        self._lock = threading.Lock()
        # the step that runs when the time is over may be the longest: no later call would tell it
        self._timer = threading.Timer(QUIET_S, self._tell)
        self._timer.daemon = True
        self._quiet = quiet or not _is_terminal(self.stream)

    def __enter__(self) -> StatusLine:
        if not self._quiet:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._quiet = True
            if self._told:
                _rewrite(self.stream, "")
                self.stream.write("\r")
                self.stream.flush()

    def __call__(self, step: str) -> None:
        """`step` begins: "reading run.log (2 of 3)"."""
        with self._lock:
            self._step = printable(step)
            if self._told:
                _rewrite(self.stream, self._step)

    def _tell(self) -> None:
        with self._lock:
            if not self._quiet:
                self._told = True
                _rewrite(self.stream, self._step)


class ProgressBar:
    """Shows what is being done and how long it will take; use it as a context manager.

    On a terminal the line is rewritten; in a log one line is written every `log_every_s`.
    """

    def __init__(
        self, title: str, total_s: float, *, stream: IO[str] | None = None, log_every_s: float = 30
    ) -> None:
        self.title = title
        self.total_s = max(total_s, 1e-9)
        self.stream = stream or sys.stderr
        self.log_every_s = log_every_s
        self._rewrites = _is_terminal(self.stream)
        self._logged = -float("inf")

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rewrites:
            self.stream.write("\n")
            self.stream.flush()

    def show(self, spent_s: float, what: str) -> None:
        """`spent_s` of the total has passed, and `what` is being done now."""
        share = min(1.0, spent_s / self.total_s)
        text = (
            f"{self.title} [{'#' * round(20 * share):20s}] {share:4.0%}, "
            f"{clock(self.total_s - spent_s)} left: {printable(what)}"
        )
        if self._rewrites:
            _rewrite(self.stream, text)
        elif time.monotonic() - self._logged >= self.log_every_s:
            self._logged = time.monotonic()
            print(text, file=self.stream, flush=True)
