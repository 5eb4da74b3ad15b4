"""CSV text to typed columns, in blocks, with the line of every cell that cannot be read.

Cells stand between commas, or between semicolons as spreadsheets write them where the comma is the
decimal mark.
"""

from __future__ import annotations

import contextlib
import csv
import io
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.table import BadRow, bad_input

if TYPE_CHECKING:
    import numpy as np

MAX_ROWS = 5_000_000
MAX_COLUMNS = 1_000
BLOCK_ROWS = 50_000


@dataclass(frozen=True)
class CsvColumns:
    """Columns of a CSV file by name: text as object arrays of str ("" if empty), numbers as
    float64 (NaN if empty); `lines` is the line of each row. Rows with a cell that cannot be read
    are in `bad` instead."""

    columns: dict[str, np.ndarray]
    lines: np.ndarray
    bad: tuple[BadRow, ...]

    def __len__(self) -> int:
        return len(self.lines)


def header_of(source: SourceText) -> list[str]:
    """The column names of the first line, stripped; [] where it is no CSV header."""
    first = _first_line(source)
    separator = _separator(first)
    if len(first) > 100_000 or separator not in first:
        return []
    try:
        names = next(csv.reader([first], delimiter=separator, strict=True))
    except (csv.Error, StopIteration):
        return []
    return [name.strip() for name in names]


def _first_line(source: SourceText) -> str:
    return source.text.lstrip("\r\n").split("\n", 1)[0].rstrip("\r")


def _separator(header: str) -> str:
    """What stands between the cells under a header: no column's name holds either mark."""
    return ";" if header.count(";") > header.count(",") else ","


def read_csv_columns(source: SourceText, text_columns: Collection[str]) -> CsvColumns:
    """All columns of a CSV file with one header line; those not in `text_columns` are numbers.

    Between semicolons the decimal mark is a comma or a point: a file that has both raises
    MeasurementError, since one of them then groups digits.
    """
    import numpy as np

    separator = _separator(_first_line(source))
    marks = _DecimalMarks(source.path) if separator == ";" else None
    reader = csv.reader(io.StringIO(source.text, newline=""), delimiter=separator, strict=True)
    names = _header(reader, source.path)
    parts: list[dict[str, np.ndarray]] = []
    lines: list[np.ndarray] = []
    bad: list[BadRow] = []
    total = 0
    for rows, row_lines in _blocks(reader, source.path, len(names), bad):
        total += len(rows)
        if total > MAX_ROWS:
            raise bad_input(source.path, row_lines[-1], f"more than {MAX_ROWS} rows", "split it")
        part, keep = _typed(
            rows, row_lines, names, text_columns, path=source.path, bad=bad, marks=marks
        )
        parts.append(part)
        lines.append(np.asarray(row_lines, dtype=np.int64)[keep])
    if not parts:
        reason = bad[0].reason if bad else "no row under the header"
        raise bad_input(source.path, bad[0].line if bad else 1, reason)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return CsvColumns(columns, np.concatenate(lines), tuple(bad))


@dataclass
class _DecimalMarks:
    """The decimal marks of a file's numbers, and the first line that has each."""

    path: str
    lines: dict[str, int] = field(default_factory=dict)

    def with_points(self, cells: tuple[str, ...], lines: Sequence[int]) -> tuple[str, ...]:
        """The cells with points for decimal commas; what is no number stays as it is."""
        return tuple(self._with_point(cell, line) for cell, line in zip(cells, lines, strict=True))

    def _with_point(self, cell: str, line: int) -> str:
        mark = "," if "," in cell else "."
        with_point = cell.replace(",", ".")
        if "." not in with_point or not _is_number(with_point):
            return cell
        self.lines.setdefault(mark, line)
        if len(self.lines) > 1:
            other = self.lines["." if mark == "," else ","]
            reason = f"{cell.strip()[:40]!r} has another decimal mark than line {other}"
            raise bad_input(self.path, line, reason, "write all numbers with one decimal mark")
        return with_point


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _header(reader: Any, path: str) -> list[str]:
    for cells in _guarded(reader, path):
        names = [cell.strip() for cell in cells]
        if not any(names):
            continue
        if len(names) > MAX_COLUMNS:
            raise bad_input(path, 1, f"{len(names)} columns; is a line break missing?")
        for name in names:
            if not name or names.count(name) > 1:
                what = f"names column {name[:40]!r} twice" if name else "has a column without name"
                raise bad_input(path, reader.line_num, f"the header {what}")
        return names
    raise bad_input(path, 1, "no header line")


def _guarded(reader: Any, path: str) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise bad_input(path, max(reader.line_num, 1), f"not CSV: {error}") from error


def _blocks(
    reader: Any, path: str, width: int, bad: list[BadRow]
) -> Iterator[tuple[list[list[str]], list[int]]]:
    """Rows of the right width with their lines, in blocks; the others go to `bad`."""
    numbered = ((cells, reader.line_num) for cells in _guarded(reader, path) if cells)
    while block := list(islice(numbered, BLOCK_ROWS)):
        fitting = [(cells, line) for cells, line in block if len(cells) == width]
        if len(fitting) < len(block):
            bad.extend(
                BadRow(path, line, f"{len(cells)} cells where the header has {width}")
                for cells, line in block
                if len(cells) != width
            )
        if fitting:
            yield [cells for cells, _ in fitting], [line for _, line in fitting]


def _typed(
    rows: list[list[str]],
    lines: list[int],
    names: list[str],
    text_columns: Collection[str],
    path: str,
    bad: list[BadRow],
    marks: _DecimalMarks | None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    import numpy as np

    keep = np.ones(len(rows), dtype=bool)
    part: dict[str, np.ndarray] = {}
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        if name in text_columns:
            column = np.empty(len(cells), dtype=object)
            column[:] = [sys.intern(cell.strip()) for cell in cells]
            part[name] = column
            continue
        part[name], faulty = _numbers(marks.with_points(cells, lines) if marks else cells)
        for i in faulty:
            if keep[i]:
                reason = f"column {name}: not a number: {cells[i].strip()[:40]!r}"
                bad.append(BadRow(path, lines[i], reason))
            keep[i] = False
    return {name: column[keep] for name, column in part.items()}, keep


def _numbers(cells: tuple[str, ...]) -> tuple[np.ndarray, list[int]]:
    """The cells as float64 (NaN if empty), and the positions of those that are no number."""
    import numpy as np

    empty = cells.count("")
    if empty == len(cells):
        return np.full(len(cells), np.nan), []
    if not any("_" in cell for cell in cells):
        try:
            values = np.array([cell or "nan" for cell in cells] if empty else cells, dtype=float)
        except ValueError:
            pass
        else:
            if int(np.isnan(values).sum()) == empty:
                return values, []
    values = np.full(len(cells), np.nan)
    faulty = []
    for i, cell in enumerate(cells):
        stripped = cell.strip()
        if stripped:
            with contextlib.suppress(ValueError):
                values[i] = float(stripped) if "_" not in stripped else np.nan
            if np.isnan(values[i]):
                faulty.append(i)
    return values, faulty


def mapped(values: np.ndarray, function: Callable[[Any], Any]) -> np.ndarray:
    """`function` of every value, called once per distinct value."""
    import numpy as np
    import pandas as pd

    codes, distinct = pd.factorize(values, use_na_sentinel=False)
    results = np.empty(len(distinct), dtype=object)
    results[:] = [function(value) for value in distinct]
    found: np.ndarray = results[codes]
    return found
