"""A progress bar with the time left, on stderr: one line that is rewritten, or plain lines."""

from __future__ import annotations

import sys
import time
from typing import IO

from perfmodel.errors import printable


def clock(seconds: float) -> str:
    """Seconds as 4:05 or 1:02:03."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


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
        self._rewrites = bool(getattr(self.stream, "isatty", lambda: False)())
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
            self.stream.write(f"\r{text[:110]:110s}")
            self.stream.flush()
        elif time.monotonic() - self._logged >= self.log_every_s:
            self._logged = time.monotonic()
            print(text, file=self.stream, flush=True)
