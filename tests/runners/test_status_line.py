"""A line on a terminal says what is being done, once that has taken a second."""

from __future__ import annotations

import io
import threading

import pytest

from perfmodel.runners.progress import QUIET_S, StatusLine

WIDTH = 110


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def line(text: str) -> str:
    return "\r" + text.ljust(WIDTH)


CLEARED = line("") + "\r"


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch) -> list[threading.Timer]:
    """The timers that were started, none of which runs: tests let their time be over."""
    started: list[threading.Timer] = []
    monkeypatch.setattr(threading.Timer, "start", lambda timer: started.append(timer))
    return started


def test_the_step_that_runs_after_a_second_is_told_and_the_line_cleared(
    timer: list[threading.Timer],
) -> None:
    shown = Terminal()
    with StatusLine(stream=shown) as doing:
        doing("reading a.log")
        doing("reading b.log")
        assert (shown.getvalue(), timer[0].interval) == ("", QUIET_S)
        assert timer[0].daemon
        timer[0].function()
        assert shown.getvalue() == line("reading b.log")
        doing("fitting\x1b[2J")
    assert shown.getvalue() == line("reading b.log") + line("fitting\\x1b[2J") + CLEARED


def test_what_ends_within_a_second_leaves_no_trace(timer: list[threading.Timer]) -> None:
    shown = Terminal()
    with StatusLine(stream=shown) as doing:
        doing("reading a.log")
    timer[0].function()  # as if the time were over just at the end
    assert shown.getvalue() == ""
    assert timer[0].finished.is_set()


@pytest.mark.parametrize(("stream", "quiet"), [(io.StringIO(), False), (Terminal(), True)])
def test_nothing_is_said_in_a_log_or_where_quiet(
    timer: list[threading.Timer], stream: io.StringIO, quiet: bool
) -> None:
    with StatusLine(stream=stream, quiet=quiet) as doing:
        doing("reading a.log")
    assert (timer, stream.getvalue()) == ([], "")


def test_an_error_clears_the_line(timer: list[threading.Timer]) -> None:
    shown = Terminal()

    def fail() -> None:
        with StatusLine(stream=shown) as doing:
            timer[0].function()
            doing("reading a.log")
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        fail()
    assert shown.getvalue().endswith(line("reading a.log") + CLEARED)
