"""Results on disk while a sweep runs: rows are appended, an interrupted sweep goes on from them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import OutputError, PerfmodelError
from perfmodel.explore.sweep_identity import SweepIdentity
from perfmodel.files import (
    TABLE_SUFFIXES,
    as_output_error,
    check_output,
    need_pyarrow,
    replaced,
    write_atomically,
)
from perfmodel.locks import claimed

if TYPE_CHECKING:
    import pandas as pd

POINT = "point"
FORMAT = "perfmodel-sweep"
VERSION = 2


class SweepJournal:
    """Rows of a sweep on disk, by the number of their point; a context that no other run shares.

    For `out.csv` rows are appended to the file itself, for `out.parquet` to `out.parquet.partial`,
    turned into Parquet at the end. Beside it `out....sweep.json` says which sweep it is. A file of
    another sweep is begun anew with `restart`, one that no sweep wrote with `force` only.
    """

    def __init__(
        self, path: Path, identity: SweepIdentity, *, restart: bool = False, force: bool = False
    ) -> None:
        if path.suffix not in TABLE_SUFFIXES:
            raise PerfmodelError(f"{path}: results are written as .csv or .parquet", "rename it")
        need_pyarrow(path)
        self.path = path
        self.rows_path = path if path.suffix == ".csv" else path.with_name(path.name + ".partial")
        self.note_path = path.with_name(path.name + ".sweep.json")
        self._identity = identity
        self._columns: list[str] = []
        self._claim = ExitStack()
        for place in (path, self.rows_path, self.note_path):
            check_output(place)
        self._claim.enter_context(claimed(path))
        try:
            with as_output_error(path):
                self._open(restart, force)
        except BaseException:
            self._claim.close()
            raise

    def __enter__(self) -> SweepJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self._claim.close()

    def _open(self, restart: bool, force: bool) -> None:
        self.done: set[int] = set()
        if not any(_holds_something(p) for p in (self.path, self.rows_path)):
            self._begin()
            return
        note = self._note()
        ours = note is not None and self._is_table()
        if not ours and not force:
            raise OutputError(
                f"{self.path}: is there already, and no sweep wrote it",
                "choose another -o, or write over it with --force",
            )
        if restart or not ours:
            self._begin()
            return
        why = self._identity.difference(note or {})
        if why:
            raise OutputError(
                f"{self.path} holds something else than this sweep: {why}",
                "choose another -o, or overwrite it with --restart",
            )
        self.done = self._read()

    def _begin(self) -> None:
        for old in (self.path, self.rows_path):
            old.unlink(missing_ok=True)
        note = {"format": FORMAT, "version": VERSION, **self._identity.to_dict()}
        write_atomically(self.note_path, json.dumps(note) + "\n")

    def _note(self) -> dict[str, Any] | None:
        """What is noted beside the rows; None where no sweep noted anything."""
        try:
            note = json.loads(self.note_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return note if isinstance(note, dict) and note.get("format") == FORMAT else None

    def _is_table(self) -> bool:
        """Whether what is there begins as rows of a sweep do."""
        place = self.rows_path if self.rows_path.exists() else self.path
        mark = b"PAR1" if place.suffix == ".parquet" else f"{POINT},".encode()
        with open(place, "rb") as file:
            start = file.read(len(mark))
        # of a run that was killed at once there may be less than the mark
        return bool(start) and mark.startswith(start)

    def _read(self) -> set[int]:
        """Points that are done; half a row at the end, of a killed run, is cut off."""
        if not self.rows_path.exists():
            return self._finished()
        text = self.rows_path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            with open(self.rows_path, "r+b") as file:
                file.truncate(len(whole))
        try:
            reader = csv.reader(io.StringIO(whole.decode("utf-8"), newline=""), strict=True)
            self._columns = next(reader, [])
            rows = list(reader)
        except (ValueError, csv.Error) as error:
            raise self._damaged(error) from None
        for number, row in enumerate(rows, 2):
            if len(row) != len(self._columns) or not (row[0].isascii() and row[0].isdigit()):
                raise self._damaged(f"row {number} is none of a sweep")
        return {int(row[0]) for row in rows}

    def _finished(self) -> set[int]:
        import pandas as pd

        try:
            return set(pd.read_parquet(self.path, columns=[POINT])[POINT].tolist())
        except (ValueError, KeyError, OSError) as error:  # pyarrow's own errors are ValueErrors
            raise self._damaged(error) from None

    def _damaged(self, why: object) -> OutputError:
        return OutputError(
            f"{self.rows_path}: its rows are damaged: {why}", "begin anew with --restart"
        )

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
        writer.writerows({k: _one_line(v) for k, v in row.items()} for row in rows)
        with (
            as_output_error(self.rows_path),
            open(self.rows_path, "a", encoding="utf-8", errors="backslashreplace", newline="") as f,
        ):
            f.write(text.getvalue())
        self.done.update(int(r[POINT]) for r in rows)

    def finish(self) -> pd.DataFrame:
        """Put the rows in order of their points, write the final file and return them."""
        import pandas as pd

        if not self.rows_path.exists():
            return pd.read_parquet(self.path)
        frame = read_rows(self.rows_path)
        with replaced(self.path) as new:
            if self.path.suffix == ".csv":
                frame.to_csv(new, index=False, lineterminator="\n")
            else:
                frame.to_parquet(new, index=False)
        if self.rows_path != self.path:
            self.rows_path.unlink()
        return frame


def _holds_something(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _one_line(value: Any) -> Any:
    """A cell without line ends: a row that was cut off is known by the end that it lacks."""
    return " ".join(value.splitlines()) if isinstance(value, str) else value


def read_rows(path: Path) -> pd.DataFrame:
    """The rows of a sweep's CSV, by point."""
    import pandas as pd

    frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    return frame.sort_values(POINT, kind="stable").reset_index(drop=True)


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows kept in memory as a table, by point."""
    import pandas as pd

    return pd.DataFrame(list(rows)).sort_values(POINT, kind="stable").reset_index(drop=True)
