"""Runtimes write to stderr by themselves; a progress line between their notes cannot be read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_native_notes() -> Iterator[None]:
    """What native code of this process writes to stderr meanwhile is dropped.

    Only around code that raises on failure: nothing else tells of it.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:
        # there is no stderr, so nothing to drop
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
