"""The canonical table as a file: CSV (plain or gzip) and Parquet, read and written."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import MeasurementError
from perfmodel.files import write_atomically
from perfmodel.measurements import columns as schema
from perfmodel.measurements.readers.csv_cells import MAX_ROWS, header_of, read_csv_columns
from perfmodel.measurements.readers.results import Reader, ReadResult
from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.table import MeasurementTable, bad_input, make_frame

if TYPE_CHECKING:
    import pandas as pd

_FIGURES = tuple(required[-1] for required in schema.REQUIRED_IN_FILE.values())


def _is_canonical(source: SourceText) -> bool:
    """Whether a header is that of the canonical table, whatever it lacks or has too much."""
    have = set(header_of(source))
    return bool({"model", "op"} & have) and bool(have.intersection(_FIGURES))


def _absent(names: list[str], path: str) -> tuple[str, ...]:
    """The required columns that are not there; refuses unknown ones by name."""
    unknown = [name for name in names if name not in schema.COLUMN]
    if unknown:
        raise bad_input(
            path,
            1,
            f"column {unknown[0][:60]}: not a column of the measurement table",
            "docs/formats.md lists the columns; latencies are latency_ms or latency_us",
        )
    kinds = [kind for kind, required in schema.REQUIRED_IN_FILE.items() if required[-1] in names]
    if not kinds:
        raise bad_input(path, 1, "column latency_ms: missing, and latency_us too")
    required = ("device", *schema.REQUIRED_IN_FILE[kinds[0]])
    return tuple(name for name in required if name not in names)


def read_csv(source: SourceText) -> ReadResult:
    """A canonical CSV file; absent optional columns take their defaults, empty cells do not."""
    absent = _absent(header_of(source), source.path)
    cells = read_csv_columns(source, schema.TEXT)
    names = list(cells.columns)
    frame = make_frame(cells.columns, source.path, cells.lines)
    return ReadResult(frame, cells.bad, absent=absent, defaults=_defaults(names))


def _defaults(names: Iterable[str]) -> dict[str, str | float]:
    return {name: value for name, value in schema.DEFAULTS.items() if name not in names}


def read_parquet(path: Path, data: bytes) -> ReadResult:
    """A canonical Parquet file (needs pyarrow)."""
    import numpy as np
    import pandas as pd

    names, frame = _parquet_frame(path, data)
    absent = _absent(names, str(path))
    columns: dict[str, Any] = {}
    for name in names:
        if schema.COLUMN[name].dtype == "text":
            text = frame[name].astype(object)
            columns[name] = text.where(text.notna(), "").map(str).to_numpy(dtype=object)
            continue
        values = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        lost = np.flatnonzero(np.isnan(values) & frame[name].notna().to_numpy())
        if len(lost):
            raise bad_input(path, int(lost[0]) + 1, f"column {name}: not a number")
        columns[name] = values
    made = make_frame(columns, str(path), np.arange(1, len(frame) + 1))
    return ReadResult(made, absent=absent, defaults=_defaults(names))


def _parquet_frame(path: Path, data: bytes) -> tuple[list[str], pd.DataFrame]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MeasurementError(
            f"{path}: Parquet needs pyarrow", "pip install pyarrow, or convert the file to CSV"
        ) from error
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        if file.metadata.num_rows > MAX_ROWS or file.metadata.num_columns > 1000:
            raise bad_input(path, 1, f"more than {MAX_ROWS} rows or 1000 columns", "split it")
        frame = file.read().to_pandas()
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise bad_input(path, 1, f"damaged Parquet: {str(error)[:120]}") from error
    return [str(name) for name in frame.columns], frame.set_axis(
        [str(name) for name in frame.columns], axis=1
    )


def write_measurements(table: MeasurementTable, path: str | Path) -> Path:
    """Write a table as `.csv`, `.csv.gz` or `.parquet` (by its name), replacing it atomically.

    Columns without a value in any row are not written, except those a file must have. Figures
    are written so that reading gives the same float64. Returns the path.
    """
    target = Path(path)
    frame = _written_columns(table.frame)
    if target.name.endswith(".parquet"):
        data = _parquet_bytes(frame, target)
    elif target.name.endswith((".csv", ".csv.gz")):
        text = frame.to_csv(index=False, lineterminator="\n").encode()
        data = gzip.compress(text, mtime=0) if target.name.endswith(".gz") else text
    else:
        raise MeasurementError(f"{target}: unknown ending", "use .csv, .csv.gz or .parquet")
    write_atomically(target, data)
    return target


def _written_columns(frame: pd.DataFrame) -> pd.DataFrame:
    kinds = [
        k
        for k, name in (("network", "latency_ms"), ("kernel", "latency_us"))
        if any(frame[name].notna())
    ]
    keep = {"device", *schema.DEFAULTS, *(n for k in kinds for n in schema.REQUIRED_IN_FILE[k])}
    names = []
    for column in schema.COLUMNS:
        values = frame[column.name]
        stated = (values != "").any() if column.dtype == "text" else values.notna().any()
        if column.name in keep or stated:
            names.append(column.name)
    written = frame[names].copy()
    for name in set(names) & set(schema.INTEGERS):
        written[name] = written[name].astype("Int64")
    return written


def _parquet_bytes(frame: pd.DataFrame, target: Path) -> bytes:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MeasurementError(f"{target}: Parquet needs pyarrow", "pip install pyarrow") from error
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


READER = Reader("the canonical table (CSV, Parquet)", _is_canonical, read_csv)
