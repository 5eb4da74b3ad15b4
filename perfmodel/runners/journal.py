"""A journal: an append-only file of finished measurements, so that nothing is lost or done twice.

One JSON object a line; the first line says what campaign it belongs to. A line is flushed to disk
before it counts as done; a torn last line (the process was killed while writing) is dropped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from perfmodel.errors import MeasurementError

FORMAT = "perfmodel-journal"
VERSION = 1
MAX_JOURNAL_BYTES = 500_000_000


class Journal:
    """Entries by key; opened on an existing file it continues it if the campaign is the same."""

    def __init__(self, path: Path, campaign: Mapping[str, Any]) -> None:
        self.path = path
        self.header = {"format": FORMAT, "version": VERSION, "campaign": dict(campaign)}
        self.entries: dict[str, dict[str, Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > 0:
            kept = self._load()
            # cut a torn tail off before anything is appended behind it
            with open(path, "r+b") as file:
                file.truncate(kept)
        # stays open for the journal's life; __exit__ closes it
        self._file: IO[str] = open(path, "a", encoding="utf-8")  # noqa: SIM115
        if not path.stat().st_size:
            self._write(self.header)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is not None and not self.entries:
            # nothing was measured: no empty journal is left behind
            self.path.unlink(missing_ok=True)
        elif kind is not None and issubclass(kind, KeyboardInterrupt):
            kept = f"{len(self.entries)} measurements are kept in {self.path}"
            print(f"\n{kept}: the same command goes on from there", file=sys.stderr)

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def add(self, key: str, entry: Mapping[str, Any]) -> None:
        """Append one finished entry; it is on disk when this returns."""
        data = dict(entry)
        self._write({"key": key, **data})
        self.entries[key] = data

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _load(self) -> int:
        """Read the entries; returns the length in bytes of the whole lines."""
        kept = 0
        for number, (line, end) in enumerate(_whole_lines(self.path), 1):
            data = self._parse(line, number)
            if number == 1:
                if data != self.header:
                    raise MeasurementError(
                        f"{self.path}: line 1: the journal of another campaign",
                        "remove it, or name another journal file",
                    )
            else:
                key = data.pop("key", None)
                if not isinstance(key, str):
                    raise MeasurementError(f"{self.path}: line {number}: an entry without key")
                self.entries[key] = data
            kept = end
        return kept

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MeasurementError(f"{self.path}: line {number}: no JSON: {error}") from None
        if not isinstance(data, dict):
            raise MeasurementError(f"{self.path}: line {number}: not an object")
        return data


def raw_folder(journal: Path) -> Path:
    """Where the raw outputs of a journal's measurements are kept."""
    return journal.with_suffix(".raw")


def _whole_lines(path: Path) -> Iterator[tuple[bytes, int]]:
    if path.stat().st_size > MAX_JOURNAL_BYTES:
        raise MeasurementError(f"{path}: larger than a journal may be")
    end = 0
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield line, end
