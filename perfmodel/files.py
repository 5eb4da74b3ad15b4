"""Writing files so that a reader sees the old or the new one, never half; reading within bounds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perfmodel.errors import OutputError, PerfmodelError


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


def read_text_file(path: Path, what: str, *, most_bytes: int, error: type[PerfmodelError]) -> str:
    """The text of a file in UTF-8, of which no more than `most_bytes` are read into memory.

    Raises `error`, which names the file and calls it `what`, for one that is larger, cannot be read
    or is no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"{path}: cannot read {what}: {reason}") from None
    if len(data) > most_bytes:
        raise error(f"{path}: larger than {what} may be ({most_bytes} bytes)", "split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: cannot read {what}: byte {problem.start} is not UTF-8") from None
