"""Writing files so that a reader sees either the old or the new one, never half."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perfmodel.errors import OutputError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write beside and rename; text is written as UTF-8, missing folders are made.

    Raises `OutputError` where that cannot be done.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with _as_output_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def check_output(path: Path) -> None:
    """Raise `OutputError` for a file that could not be written, so that no work is in vain.

    Its folder need not be there yet: it is made with the file.
    """
    with _as_output_error(path):
        if path.is_dir():
            raise OutputError(f"{path}: is a folder, not a file", "name a file in it")
    check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Raise `OutputError` for a folder that files cannot be written into, made where missing."""
    with _as_output_error(folder):
        place = folder
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise OutputError(f"{folder}: {place} is a file, not a folder", "name another place")
        if not os.access(place, os.W_OK | os.X_OK):
            raise OutputError(f"{folder}: no permission to write in {place}", "name another place")


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
