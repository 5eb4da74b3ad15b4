"""One run at a time writes a file: a second one on the same output is refused.

A run that writes `rows.csv` holds a lock of the operating system on `.rows.csv.lock` beside it,
which has the number of its process in it. The system drops the lock when the process ends, however
it ends; so a lock file that a killed run left is no obstacle, even where another process has the
same number by now.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from perfmodel.errors import OutputError
from perfmodel.files import as_output_error, is_null_device

LONGEST_NAME = 255
"""Bytes of a file's name on the common file systems."""

_LINK_REFUSED = getattr(os, "O_NOFOLLOW", 0)
_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
"""How a system says that another process holds a lock."""

_held: dict[Path, int] = {}
"""Locks that this process holds, by lock file: a run claims what a part of it claims again."""


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold the claim of this process on writing `path`.

    Missing folders are made, and removed where they are still empty at the end. A claim inside a
    claim of the same process is granted. Raises `OutputError` where another process holds it, or
    where nothing can be written there. On systems and file systems that know no locks every claim
    is granted.
    """
    if is_null_device(path):
        yield
        return
    lock = lock_file(path)
    if lock in _held:
        _held[lock] += 1
        try:
            yield
        finally:
            _held[lock] -= 1
        return
    made = _made_folders(path)
    try:
        handle = _locked(lock, path)
        _held[lock] = 1
        try:
            yield
        finally:
            del _held[lock]
            # removed before it is let go: whoever waits for it sees that it is gone and begins anew
            with suppress(OSError):
                os.unlink(lock)
            os.close(handle)
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def is_claimed(path: Path) -> bool:
    """Whether this process holds the claim on writing `path`."""
    return lock_file(path) in _held


def lock_file(path: Path) -> Path:
    """The lock file of an output; beside it, named after it."""
    folder = Path(os.path.realpath(path.parent))
    name = f".{path.name}.lock"
    if len(os.fsencode(name)) > LONGEST_NAME:
        import hashlib

        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()}.lock"
    return folder / name


def _made_folders(path: Path) -> list[Path]:
    """Make the folders of a file; returns those that were missing, the innermost first."""
    with as_output_error(path):
        missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
    return missing


def _locked(lock: Path, path: Path) -> int:
    """The descriptor of the lock file, locked and with this process's number in it."""
    with as_output_error(path):
        while True:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | _LINK_REFUSED, 0o644)
            if not _lock(handle):
                owner = _owner(handle)
                os.close(handle)
                raise OutputError(
                    f"{path}: another run{owner} is writing it",
                    "wait until it has ended, or name another file",
                )
            if _is_at(handle, lock):
                break
            # its last owner removed it while we opened it
            os.close(handle)
        try:
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        except BaseException:
            os.unlink(lock)
            os.close(handle)
            raise
    return handle


def _owner(handle: int) -> str:
    """The number of the process that wrote a lock file, in words; nothing where it is none."""
    with suppress(OSError):
        number = os.read(handle, 20).strip()
        if number.isdigit():
            return f" (process {number.decode()})"
    return ""


def _is_at(handle: int, lock: Path) -> bool:
    try:
        there = os.stat(lock, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), there)


def _lock(handle: int) -> bool:
    """Lock an open file without waiting; whether nobody else holds it."""
    try:
        import fcntl
    except ImportError:  # a system without such locks
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _TAKEN
    return True
