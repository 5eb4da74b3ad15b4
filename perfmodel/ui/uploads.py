"""Files that were dropped: in a private folder that is removed when the page ends, bounded."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from perfmodel.errors import PerfmodelError
from perfmodel.files import folder_prefix
from perfmodel.formats.load import READERS
from perfmodel.units import format_bytes

MAX_FILE_BYTES = 512 * 2**20
"""Of one file; larger ones are for the command line, which reads them where they lie."""

MAX_DROPS = 16
"""Drops that are kept; the oldest goes when there are more."""

MAX_FILES = 4
"""Of one drop: a network and what belongs to it."""

COMPANIONS = (".bin", ".caffemodel", ".data")
"""Endings of files that lie beside a network's: weights of ncnn, Caffe and ONNX."""

_NAME = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")


class Uploads:
    """The drops of all pages of one server, each in a folder under an unguessable name."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix=folder_prefix())
        self._drops: dict[str, Path] = {}
        self._nothing = Path(self._home.name) / "nothing"
        self._nothing.mkdir(mode=0o700)

    def folder(self, drop: str) -> Path:
        """Where a drop's files lie; for "" a folder that is empty, so that a name means no file.

        Raises `PerfmodelError` for a drop that is not, or no longer.
        """
        if not drop:
            return self._nothing
        if drop not in self._drops:
            raise PerfmodelError("this file is not here any more", "drop it again")
        return self._drops[drop]

    async def keep(self, drop: str, name: str, content: AsyncIterator[bytes]) -> str:
        """Keep a file of a drop ("" begins one); returns the drop.

        Raises `PerfmodelError` for a name that no reader takes and for too large a file, of which
        nothing stays.
        """
        check_name(name)
        folder = self.folder(drop) if drop else self._begin()
        if len(list(folder.iterdir())) >= MAX_FILES:
            raise PerfmodelError(
                f"{name}: one network has at most {MAX_FILES} files", "drop one network at a time"
            )
        path = folder / name
        size = 0
        try:
            with open(path, "xb") as file:
                async for chunk in content:
                    size += len(chunk)
                    if size > MAX_FILE_BYTES:
                        raise too_large(name)
                    file.write(chunk)
        except FileExistsError:
            raise PerfmodelError(f"{name}: was dropped twice", "drop it once") from None
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return folder.name

    def _begin(self) -> Path:
        while len(self._drops) >= MAX_DROPS:
            shutil.rmtree(self._drops.pop(next(iter(self._drops))), ignore_errors=True)
        drop = secrets.token_urlsafe(16)
        folder = Path(self._home.name) / drop
        folder.mkdir(mode=0o700)
        self._drops[drop] = folder
        return folder

    def close(self) -> None:
        """Remove everything."""
        self._home.cleanup()


def too_large(name: str) -> PerfmodelError:
    """The error for a file beyond the limit."""
    return PerfmodelError(
        f"{name}: larger than {format_bytes(MAX_FILE_BYTES)}, the page's limit",
        "ask the command line, which reads it where it lies: perfmodel predict FILE --on TARGET",
    )


def check_name(name: str) -> None:
    """Raise `PerfmodelError` for what is no file's name, or the name of no network's file."""
    if not _NAME.fullmatch(name) or name.startswith(".") or len(name.encode()) > 200:
        raise PerfmodelError(f"{name[:200]!r} is no name of a file", "rename it")
    ending = Path(name).suffix.lower()
    if ending not in READERS and ending not in COMPANIONS:
        kinds = ", ".join(k for k in READERS if k != ".gz")
        raise PerfmodelError(
            f"{name}: no network is read from a file of this ending",
            f"drop one of {kinds} (with its .bin)",
        )
