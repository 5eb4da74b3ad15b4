"""The canonical measurement table: network rows (latency_ms) and kernel rows (latency_us).

`perfmodel.measurements.read` makes one of files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfmodel.errors import MeasurementError
from perfmodel.measurements import columns as schema
from perfmodel.measurements.evidence import FACETS, Evidence, Said

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class BadRow:
    """A row that is not in the table: where it stands and why it was refused or left out."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: line {self.line}: {self.reason}"


def bad_input(file: object, line: int, reason: str, hint: str = "") -> MeasurementError:
    """The error of every unreadable measurement file: file, line and reason."""
    return MeasurementError(f"{file}: line {line}: {reason}", hint)


@dataclass(frozen=True, eq=False)
class MeasurementTable:
    """Measurements, one a row, in the columns of `perfmodel.measurements.columns`.

    `frame` always has every column: text is a str ("" where the source does not say), numbers are
    float64 (NaN where the source does not say). A row has one of `latency_ms` (a network),
    `latency_us` (a kernel) and `tokens_per_s` (a rate, which is no latency). Treat the frame as
    read-only; every method returns a new table.
    """

    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def networks(self) -> MeasurementTable:
        """The rows of whole networks."""
        return MeasurementTable(_renumbered(self.frame[self.frame["latency_ms"].notna()]))

    @property
    def kernels(self) -> MeasurementTable:
        """The rows of single kernels."""
        return MeasurementTable(_renumbered(self.frame[self.frame["latency_us"].notna()]))

    @property
    def rates(self) -> MeasurementTable:
        """The rows of tokens per second, which no latency can be made of."""
        return MeasurementTable(_renumbered(self.frame[self.frame["tokens_per_s"].notna()]))

    def column(self, name: str) -> np.ndarray:
        """One column as an array of shape (rows,)."""
        values: np.ndarray = self.frame[name].to_numpy()
        return values

    def where(self, **wanted: Any) -> MeasurementTable:
        """The rows whose columns equal the given values: `where(device="pixel-3", unit="cpu")`."""
        frame = self.frame
        for name, value in wanted.items():
            frame = frame[frame[name] == value]
        return MeasurementTable(_renumbered(frame))

    def values(self, name: str) -> tuple[Any, ...]:
        """The distinct values of a column, sorted; those not stated are left out."""
        stated = {v for v in self.frame[name].tolist() if v == v and v != ""}
        return tuple(sorted(stated))

    def single(self, name: str) -> Any:
        """The one value of a column where rows must not be mixed (such as `precision`).

        Raises MeasurementError naming the values, and a row of each, where there are several
        or none.
        """
        distinct = self.frame.drop_duplicates(name)
        if len(distinct) == 1:
            return distinct[name].iloc[0]
        if not len(distinct):
            raise MeasurementError(f"no row, so no {name}")
        rows = (
            f"{row[name] if row[name] != '' else 'not stated'} "
            f"({row['origin_file']}: line {row['origin_line']})"
            for _, row in distinct.head(4).iterrows()
        )
        raise MeasurementError(
            f"rows of different {name} are mixed: {', '.join(rows)}",
            f"keep one {name}, or state it in every row",
        )


def _renumbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index(drop=True)


def make_frame(
    columns: Mapping[str, Any], file: str, lines: Any, evidence: Sequence[Evidence] | None = None
) -> pd.DataFrame:
    """A frame with every column of the schema from some of them (arrays, lists or one value).

    `lines` gives the line of each row in `file`, `evidence` what its facets rest on; a table,
    whose columns are its evidence, gives none. Columns that are not given are "" or NaN;
    unknown column names are a mistake of the caller.
    """
    import numpy as np
    import pandas as pd

    unknown = set(columns) - set(schema.NAMES)
    assert not unknown, f"not in the schema: {sorted(unknown)}"
    line_numbers = np.asarray(lines, dtype=np.int64)
    data: dict[str, Any] = {}
    for name in schema.NAMES:
        data[name] = _as_column(columns.get(name), name, len(line_numbers))
    data["origin_file"] = np.full(len(line_numbers), file, dtype=object)
    data["origin_line"] = line_numbers
    data["origin_evidence"] = as_objects(evidence, len(line_numbers))
    # Series of a given type: pandas 3 would make its own string type of object arrays.
    return pd.DataFrame({n: pd.Series(v, dtype=v.dtype, copy=False) for n, v in data.items()})


def _as_column(values: Any, name: str, count: int) -> np.ndarray:
    import numpy as np

    dtype: Any = object if schema.COLUMN[name].dtype == "text" else np.float64
    if values is None:
        values = "" if dtype is object else np.nan
    if isinstance(values, str | int | float):
        return np.full(count, values, dtype=dtype)
    array = np.empty(count, dtype=dtype)
    array[:] = values
    return array


def as_objects(evidence: Sequence[Evidence] | None, count: int) -> np.ndarray:
    """The evidence of each row as an array of shape (count,), of objects."""
    import numpy as np

    array = np.empty(count, dtype=object)
    for i in range(count):
        array[i] = () if evidence is None else evidence[i]
    return array


def rows_frame(rows: Sequence[Mapping[str, Any]], file: str) -> pd.DataFrame:
    """A frame from few rows given as mappings, each with its `line`.

    Facets (unit, precision ...) may be given as `Said`, with their evidence.
    """
    names = {name for row in rows for name in row} - {"line"}
    columns = {}
    for name in names:
        missing: Any = "" if schema.COLUMN[name].dtype == "text" else float("nan")
        columns[name] = [_bare(row.get(name), missing) for row in rows]
    evidence = [_evidence(row) for row in rows]
    return make_frame(columns, file, [row["line"] for row in rows], evidence)


def _bare(value: Any, missing: Any) -> Any:
    if value is None:
        return missing
    return value.value if isinstance(value, Said) else value


def _evidence(row: Mapping[str, Any]) -> Evidence:
    said = ((facet, row.get(facet)) for facet in FACETS)
    return tuple((facet, value.where) for facet, value in said if isinstance(value, Said))


def concatenate(tables: Iterable[MeasurementTable]) -> MeasurementTable:
    """One table of the rows of several."""
    import pandas as pd

    frames = [table.frame for table in tables if len(table)]
    if not frames:
        return MeasurementTable(make_frame({}, "", []))
    return MeasurementTable(pd.concat(frames, ignore_index=True))
