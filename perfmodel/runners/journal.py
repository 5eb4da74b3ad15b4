"""A journal: an append-only file of finished measurements, so that nothing is lost or done twice.

One JSON object a line; the first line says what campaign it belongs to. A line is flushed to disk
before it counts as done; a torn last line (the process was killed while writing) is dropped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from perfmodel.errors import MeasurementError, OutputError, printable
from perfmodel.files import as_output_error, check_output
from perfmodel.locks import claimed

FORMAT = "perfmodel-journal"
VERSION = 1
MAX_JOURNAL_BYTES = 500_000_000
JOURNAL_MARK = f'{{"format":"{FORMAT}",'.encode()
"""How every journal begins."""


class Journal:
    """Entries by key; opened on an existing file it continues it if the campaign is the same.

    While it is open no other run can open it. A file that is no journal is never touched. Raises
    `OutputError` where it cannot be written, `MeasurementError` for what stands in it.
    """

    def __init__(self, path: Path, campaign: Mapping[str, Any]) -> None:
        self.path = path
        self.header = {"format": FORMAT, "version": VERSION, "campaign": dict(campaign)}
        self.entries: dict[str, dict[str, Any]] = {}
        check_output(path)
        self._claim = ExitStack()
        self._claim.enter_context(claimed(path))
        try:
            with as_output_error(path):
                self._file = self._opened()
        except BaseException:
            self._claim.close()
            raise

    def _opened(self) -> IO[str]:
        """The file, to append to it; closed by `__exit__`."""
        if self.path.exists() and self.path.stat().st_size > 0:
            kept = self._load()
            # cut a torn tail off before anything is appended behind it
            with open(self.path, "r+b") as file:
                file.truncate(kept)
        opened = open(self.path, "a", encoding="utf-8")  # noqa: SIM115
        try:
            if not self.path.stat().st_size:
                _write(opened, self.header)
        except BaseException:
            opened.close()
            raise
        return opened

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._claim, as_output_error(self.path):
            self._file.close()
            if kind is not None and not self.entries:
                # nothing was measured: no empty journal is left behind
                self.path.unlink(missing_ok=True)
        if self.entries and kind is not None and issubclass(kind, KeyboardInterrupt):
            kept = f"{len(self.entries)} measurements are kept in {printable(str(self.path))}"
            print(f"\n{kept}: the same command goes on from there", file=sys.stderr)

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def add(self, key: str, entry: Mapping[str, Any]) -> None:
        """Append one finished entry; it is on disk when this returns."""
        data = dict(entry)
        with as_output_error(self.path):
            _write(self._file, {"key": key, **data})
        self.entries[key] = data

    def _load(self) -> int:
        """Read the entries; returns the length in bytes of the whole lines."""
        _refuse_foreign(self.path)
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


def _write(file: IO[str], line: Mapping[str, Any]) -> None:
    file.write(json.dumps(line, separators=(",", ":")) + "\n")
    file.flush()
    os.fsync(file.fileno())


def _refuse_foreign(path: Path) -> None:
    """Raise `OutputError` for a file that does not begin as journals do."""
    with open(path, "rb") as file:
        start = file.read(len(JOURNAL_MARK))
    # of a journal that was killed at once there may be less than the mark
    if not JOURNAL_MARK.startswith(start):
        raise OutputError(
            f"{path}: is there already, and is no journal of perfmodel",
            "name another journal file, or write over it with --force",
        )


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
