"""Results on disk while a sweep runs: rows are appended, an interrupted sweep goes on from them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import PerfmodelError
from perfmodel.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")
POINT = "point"
VERSION = 1


def fingerprint(*parts: Any) -> str:
    """A short hash of what defines a sweep."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class SweepJournal:
    """Rows of a sweep on disk, by the number of their point.

    For `out.csv` rows are appended to the file itself, for `out.parquet` to `out.parquet.partial`,
    turned into Parquet at the end. Beside it `out....sweep.json` says which sweep it is.
    """

    def __init__(self, path: Path, identity: str, *, restart: bool = False) -> None:
        if path.suffix not in SUFFIXES:
            raise PerfmodelError(f"{path}: results are written as .csv or .parquet", "rename it")
        if path.suffix == ".parquet":
            _need_pyarrow(path)
        self.path = path
        self.rows_path = path if path.suffix == ".csv" else path.with_name(path.name + ".partial")
        self.note_path = path.with_name(path.name + ".sweep.json")
        self._identity = identity
        self._columns: list[str] = []
        if restart or not (self.rows_path.exists() or path.exists()):
            self._begin()
        self._check()
        self.done = self._read()

    def _begin(self) -> None:
        for old in (self.path, self.rows_path):
            old.unlink(missing_ok=True)
        note = {"format": "perfmodel-sweep", "version": VERSION, "sweep": self._identity}
        write_atomically(self.note_path, json.dumps(note) + "\n")

    def _check(self) -> None:
        try:
            note = json.loads(self.note_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            note = {}
        if not isinstance(note, dict) or note.get("sweep") != self._identity:
            raise PerfmodelError(
                f"{self.path} holds something else than this sweep",
                "choose another -o, or overwrite it with --restart",
            )

    def _read(self) -> set[int]:
        """Points that are done; half a row at the end, of a killed run, is cut off."""
        if not self.rows_path.exists():
            return set() if not self.path.exists() else self._finished()
        text = self.rows_path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            with open(self.rows_path, "r+b") as file:
                file.truncate(len(whole))
        reader = csv.DictReader(io.StringIO(whole.decode("utf-8"), newline=""))
        self._columns = list(reader.fieldnames or ())
        return {int(row[POINT]) for row in reader}

    def _finished(self) -> set[int]:
        import pandas as pd

        return set(pd.read_parquet(self.path, columns=[POINT])[POINT].tolist())

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows in one write, so that a killed run leaves whole chunks."""
        if not rows:
            return
        text = io.StringIO()
        first = not self._columns
        if first:
            self._columns = list(rows[0])
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        if first:
            writer.writeheader()
        writer.writerows(rows)
        with open(self.rows_path, "a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
        self.done.update(int(r[POINT]) for r in rows)

    def finish(self) -> pd.DataFrame:
        """Put the rows in order of their points, write the final file and return them."""
        import pandas as pd

        if not self.rows_path.exists():
            return pd.read_parquet(self.path)
        frame = read_rows(self.rows_path)
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        os.close(handle)
        os.chmod(temporary, 0o644)
        if self.path.suffix == ".csv":
            frame.to_csv(temporary, index=False, lineterminator="\n")
        else:
            frame.to_parquet(temporary, index=False)
        os.replace(temporary, self.path)
        if self.rows_path != self.path:
            self.rows_path.unlink()
        return frame


def read_rows(path: Path) -> pd.DataFrame:
    """The rows of a sweep's CSV, by point."""
    import pandas as pd

    frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    return frame.sort_values(POINT, kind="stable").reset_index(drop=True)


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows kept in memory as a table, by point."""
    import pandas as pd

    return pd.DataFrame(list(rows)).sort_values(POINT, kind="stable").reset_index(drop=True)


def _need_pyarrow(path: Path) -> None:
    import importlib.util

    if importlib.util.find_spec("pyarrow") is None:
        raise PerfmodelError(
            f"{path}: writing Parquet needs pyarrow, which is not installed",
            "pip install pyarrow, or name the file .csv",
        )
