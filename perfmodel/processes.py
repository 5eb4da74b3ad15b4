"""Worker processes that end with the process that started them, and how one ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing import parent_process

_PR_SET_PDEATHSIG = 1
"""Linux, prctl(2): the signal that a process gets when the thread that started it ends."""


def end_with_parent() -> None:
    """Make this worker process end as soon as its parent has ended, after `kill -9` too.

    A worker calls it once, when it starts (the `initializer` of a pool). A worker that waits for
    work would else wait for ever: it holds both ends of the queue that it reads. It does nothing in
    a process that `multiprocessing` did not start.
    """
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), name="parent", daemon=True).start()


def _end_after(parent: threading.Thread) -> None:
    # the parent holds the other end of a pipe that the system closes when it ends, however it ends
    parent.join()
    os._exit(1)


def killed_with_parent(parent: int) -> None:
    """Let the system kill this process when `parent`, the number of the one that started it, ends.

    For a process that is busy with native code, in which no thread of ours may have a turn. Only
    Linux does it; elsewhere such a process has to notice the end of its requests.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # it ended before the system was asked
        os._exit(1)


SIGNAL_WORDS: Mapping[str, str] = {
    "SIGSEGV": "it touched memory that is not its own",
    "SIGBUS": "it touched memory that is not there",
    "SIGABRT": "it found an error of its own and gave up",
    "SIGILL": "it holds instructions that this processor does not have",
    "SIGFPE": "it divided by zero",
}
"""What it means that a signal ended a program, for those who do not write them."""


def signal_name(status: int) -> str:
    """Name of the signal that ended a process of that exit status ("SIGSEGV"), "" if none did."""
    if status >= 0:
        return ""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
