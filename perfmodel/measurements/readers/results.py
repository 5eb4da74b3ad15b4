"""What a reader returns, and the few things that all of them do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from perfmodel.errors import MeasurementError
from perfmodel.measurements.evidence import FACETS, Said
from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.table import BadRow, rows_frame

if TYPE_CHECKING:
    import pandas as pd

_OPS = {
    # Operator names of TFLite, ONNX, TensorRT's text and AI Hub -> the table's own.
    "conv": "conv2d",
    "conv_2d": "conv2d",
    "convolution": "conv2d",
    "fusedconv": "conv2d",
    "qlinearconv": "conv2d",
    "convinteger": "conv2d",
    "qgemm": "fully_connected",
    "qlinearmatmul": "matmul",
    "matmulinteger": "matmul",
    "depthwise_conv_2d": "depthwise_conv2d",
    "gemm": "fully_connected",
    "matmul": "matmul",
    "batch_matmul": "matmul",
    "maxpool": "max_pool",
    "max_pool_2d": "max_pool",
    "averagepool": "avg_pool",
    "average_pool_2d": "avg_pool",
    "globalaveragepool": "avg_pool",
    "concatenation": "concat",
    "batchnormalization": "batch_norm",
    "mean": "reduce_mean",
    "reducemean": "reduce_mean",
}


@dataclass(frozen=True)
class ReadResult:
    """Rows as a frame of the whole schema; rows that could not be read; rows left out by rule.

    `is_log`: the file is a tool's log, whose repetitions are numbered by file.
    `defaults`: values of columns that a table has not, where nothing else states them.
    `absent`: columns that a table must have, that this one lacks and the caller may fill in.
    `outliers`: what to do with times that do not fit the others: refuse the row; leave it out
    and say so (a published table, which its reader cannot mend); or keep it (tables in which
    networks of one shape legitimately differ a thousandfold).
    """

    frame: pd.DataFrame
    bad: tuple[BadRow, ...] = ()
    left_out: tuple[BadRow, ...] = ()
    is_log: bool = False
    absent: tuple[str, ...] = ()
    defaults: Mapping[str, str | float] = field(default_factory=dict)
    outliers: Literal["refuse", "leave_out", "keep"] = "refuse"


@dataclass(frozen=True)
class Reader:
    """One format: its name in words, whether a text is of it, and how it is read."""

    name: str
    recognise: Callable[[SourceText], bool]
    read: Callable[[SourceText], ReadResult]


def log_result(
    rows: Sequence[Mapping[str, Any]],
    source: SourceText,
    bad: Sequence[BadRow] = (),
    left_out: Sequence[BadRow] = (),
) -> ReadResult:
    """The result of a log reader from its rows (mappings with a `line`).

    Facets are given as `Said`, with their evidence; a bare value would be one that the reader
    made up, which is a mistake of the caller.
    """
    for row in rows:
        for facet in FACETS:
            value = row.get(facet)
            assert value is None or isinstance(value, Said), f"{facet}={value!r} without evidence"
    frame = rows_frame(rows, source.path)
    return ReadResult(frame, tuple(bad), tuple(left_out), is_log=True)


def left_out(error: MeasurementError, path: str) -> BadRow:
    """The row that an error is about, as one left out of a file that has others."""
    place = re.search(r": line (\d{1,9}): ", error.message)
    reason = error.message[place.end() :] if place else error.message
    return BadRow(path, int(place.group(1)) if place else 1, f"left out: {reason}")


def op_name(tool_name: str) -> str:
    """The table's name of an operator that a tool calls `CONV_2D`, `Conv` or `MaxPool`."""
    key = re.sub(r"[^a-z0-9_]+", "_", tool_name.strip().lower()).strip("_")
    return _OPS.get(key, key)


def distinct_layers(names: Sequence[str]) -> list[str]:
    """The names with a number behind those that came before: conv, conv (2), conv (3)."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result


def base_name(path_in_log: str) -> str:
    """File name of a path printed in a log, whichever way its slashes lean."""
    return re.split(r"[\\/]", path_in_log.strip())[-1]
