"""Worker processes that end with the process that started them."""

from __future__ import annotations

import os
import threading
from multiprocessing import parent_process


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
