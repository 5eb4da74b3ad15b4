"""Files of plain JSON data: read within bounds and checked, written the same for the same data."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from perfmodel.errors import ProfileError
from perfmodel.files import write_atomically

Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """A kind of file: `what` it is in words, the mark and version it begins with, its size."""

    what: str
    format: str
    version: int
    most_bytes: int

    def read(self, path: Path, make: Callable[[dict[str, Any]], Made]) -> Made:
        """What `make` makes of a file's fields; every `ProfileError` names the file."""
        data = read_json(path, self.what, self.most_bytes)
        if not isinstance(data, dict) or data.get("format") != self.format:
            raise ProfileError(f"{path}: is not {self.what}: format must be {self.format}")
        if data.get("version") != self.version:
            raise ProfileError(f"{path}: version: this perfmodel reads version {self.version}")
        fields = {k: v for k, v in data.items() if k not in ("format", "version")}
        try:
            return make(fields)
        except ProfileError as error:
            raise ProfileError(f"{path}: {error.message}", error.hint) from None

    def write(self, path: Path, fields: Mapping[str, Any]) -> None:
        """Write atomically; missing folders are made."""
        write_json(path, {"format": self.format, "version": self.version, **fields})


def read_json(path: Path, what: str, most_bytes: int) -> Any:
    """The data of a JSON file without NaN or infinity; raises `ProfileError` that names the file.

    What is no ordinary file (a pipe would wait for ever) or larger than `most_bytes` is not read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ProfileError(f"{path}: no ordinary file", f"name the file of {what}")
        if status.st_size > most_bytes:
            raise ProfileError(f"{path}: {status.st_size} bytes is more than {what} may have")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProfileError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: cannot be read: {error!s:.200}") from None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ProfileError(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise ProfileError(f"{path}: not JSON: {error!s:.200}") from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number that a profile may hold")


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON file atomically, in one line."""
    write_atomically(path, json.dumps(data, separators=(",", ":")) + "\n")
