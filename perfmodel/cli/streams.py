"""What a command prints to: streams that are closed, full, or cannot show every character."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from perfmodel.errors import OutputError

UNKNOWN_CHARACTERS = "perfmodel-unknown"
"""Name under which the way of writing what a terminal does not know is registered."""

_IN_ASCII = {"█": "#", "≤": "<=", "≥": ">=", "–": "-", "…": "...", "ᵀ": "T"}
"""What perfmodel itself prints beyond ASCII, and what stands for it."""


def prepare() -> None:
    """Make the streams of this process safe to print to, once, before anything is printed.

    A stream that was closed when the process started is opened on the null device, or else the next
    file that is opened would take its number and get what is printed. `sys.stdout` stays None then:
    `closed` says so.
    """
    with suppress(OSError):
        while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(handle, True)
        os.close(handle)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    codecs.register_error(UNKNOWN_CHARACTERS, in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=UNKNOWN_CHARACTERS)


def in_ascii(error: UnicodeError) -> tuple[str, int]:
    """ASCII for characters that a stream's encoding lacks: a likeness, or their number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    known = (_IN_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in unknown)
    return "".join(known), error.end


def closed() -> bool:
    """Whether there is no stdout that an answer could go to."""
    return sys.stdout is None


def name_if_broken() -> str:
    """`stdout: cannot be written: ` where what was printed cannot be seen through, else nothing."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        return "stdout: cannot be written: "
    return ""


def give_up(stream: IO[Any] | None) -> None:
    """Send what is still to be written to the null device: the stream's reader or disk is gone.

    Python writes what is buffered when it ends, and would complain then.
    """
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # type: ignore[union-attr]
        os.close(null)


class ReaderGone(Exception):
    """Whoever read our output went away. Not an `OSError`: typer would end with code 1 for that."""


class StdoutError(OutputError):
    """An answer that could not be printed, since stdout is full or no place to write to."""


def say(text: str) -> None:
    """Print a text and see it through; raises `StdoutError`, or `ReaderGone`.

    A reader that went away (`head`, `less`) has what it wanted, and is no error of ours.
    """
    with _as_stdout_error():
        print(text, flush=True)


def flush() -> None:
    """See through what was printed; raises as `say` does."""
    with _as_stdout_error():
        sys.stdout.flush()


@contextmanager
def _as_stdout_error() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        raise StdoutError(f"stdout: cannot be written: {error.strerror or error}") from None
