"""The rows of an answer as a file, CSV or Parquet: by command, which of its data they hold."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.files import TABLE_SUFFIXES, need_pyarrow, replaced, write_atomically
from perfmodel.render.result import plain

_INTERVAL = {"low_ms": "interval_ms.0", "high_ms": "interval_ms.1"}
_LATENCY = ("mean", "p50", "p95", "p99", "max")


@dataclass(frozen=True)
class TableColumns:
    """Rows of a table file: the list under `key` of the data ("": the data are the list).

    `columns` are keys of a row. Where a column's figure lies deeper, `paths` says where, as in
    "interval_ms.0".
    """

    key: str
    columns: tuple[str, ...]
    paths: Mapping[str, str]

    def row(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The cells of one item of the list; what is not there is None."""
        return {c: _cell(_found(data, self.paths.get(c, c))) for c in self.columns}


def _of(key: str, *columns: str, **paths: str) -> TableColumns:
    return TableColumns(key, columns, paths)


TABLES: Mapping[str, TableColumns] = {
    "models": _of("", "name", "title", "family", "task", "input_shape", "macs", "params"),
    "devices": _of(
        *("", "target", "device", "title", "kind", "soc"),
        *("median_error", "experiment", "cases", "source"),
    ),
    "inspect": _of(
        *("ops", "name", "op", "output_shapes", "macs", "params"),
        *("input_bytes", "weight_bytes", "output_bytes"),
    ),
    "predict": _of(
        *("kernels", "name", "ops", "class", "macs", "bytes", "latency_ms", "bound"),
        *("title", "block"),
    ),
    "compare": _of(
        *("cells", "model", "target", "latency_ms", "low_ms", "high_ms", "ratio"),
        *("extrapolated", "problem", "precision_reason", "stands_for"),
        **_INTERVAL,
    ),
    "partition": _of(
        *("segments", "first_op", "last_op", "first_name", "last_name", "target", "latency_ms"),
        *("weights_bytes", "memory_bytes", "memory_limit_bytes"),
    ),
    "simulate": _of(
        *("cases", "group", "case", "policy", "requests"),
        *(f"latency_{name}_ms" for name in _LATENCY),
        *("wait_ms", "deadline_ms", "deadline_miss_rate", "energy_mj", "bottleneck"),
        **{f"latency_{name}_ms": f"latency_ms.{name}" for name in _LATENCY},
        wait_ms="wait_ms.mean",
        energy_mj="energy_mj.mean",
    ),
    "minspec": _of("rows", "device", "share", "verdict", "why", "phone", "chip", "chance", "price"),
    "select": _of(
        *("candidates", "model", "target", "precision", "metric", "accuracy"),
        *("latency_ms", "median_ms", "low_ms", "high_ms", "chance", "memory_mb", "energy_mj"),
        *("share", "extrapolated", "reason", "accuracy_source"),
        **_INTERVAL,
    ),
    "doctor": _of("checks", "topic", "name", "state", "found", "todo"),
    "validate": _of("cases", "model", "target", "predicted_ms", "low_ms", "high_ms", "measured_ms"),
}
"""By command. A name's columns are a contract: what is added comes last."""


def rows_of(command: str, data: Any) -> list[dict[str, Any]]:
    """The rows of a command's answer, in order; `data` are its JSON or what becomes its JSON."""
    table = TABLES[command]
    data = plain(data)
    return [table.row(item) for item in (data[table.key] if table.key else data)]


_IN_LISTS = {"models": b'"input_shape": ', "devices": b'"median_error": '}
"""What stands in the JSON of a command that answers with a list, which cannot say who made it."""


def table_mark(command: str, suffix: str) -> bytes:
    """What stands in every file of a command's rows with that ending; b"" where nothing does."""
    if suffix not in TABLE_SUFFIXES:
        return _IN_LISTS.get(command, b"") if suffix == ".json" else b""
    return mark_of(TABLES[command].columns, suffix)


def mark_of(columns: Sequence[str], suffix: str) -> bytes:
    """What stands in every table with these columns: a CSV's header, a name in Parquet's."""
    if suffix == ".parquet":
        return f'"field_name": "{columns[0]}"'.encode()
    return ",".join(columns).encode()


def write_rows(command: str, data: Any, path: Path) -> None:
    """Write the rows of an answer as .csv or .parquet, atomically.

    Raises `PerfmodelError` for Parquet without pyarrow. An empty CSV cell is what is not known.
    """
    write_table(TABLES[command].columns, rows_of(command, data), path)


def write_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows as `write_rows` does; a row has a cell for each column."""
    if path.suffix == ".parquet":
        need_pyarrow(path)
        import pandas as pd

        with replaced(path) as new:
            pd.DataFrame(rows, columns=list(columns)).to_parquet(new, index=False)
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def _found(data: Mapping[str, Any], path: str) -> Any:
    """What lies at a path of keys and positions; None where it ends early."""
    value: Any = data
    for step in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value = value[int(step)]
        else:
            return None
    return value


def flat_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """All of a row as cells: an interval is two columns, and so is each key of what has keys."""
    out: dict[str, Any] = {}
    for name, value in row.items():
        if name.startswith("interval_") and isinstance(value, list):
            out |= {f"low_{name[9:]}": value[0], f"high_{name[9:]}": value[1]}
        elif isinstance(value, Mapping):
            out |= {f"{name}_{key}": v for key, v in value.items()}
        else:
            out[name] = _cell(value)
    return out


def _cell(value: Any) -> Any:
    """A value as one cell: names are joined by +, sizes by x as in 1x224x224x3."""
    if not isinstance(value, list):
        return json.dumps(value) if isinstance(value, dict) else value
    sizes = bool(value) and all(isinstance(v, int) for v in value)
    return ("x" if sizes else "+").join(str(_cell(v)) for v in value)
