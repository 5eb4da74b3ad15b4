"""ExecuTorch's Inspector: its table as TSV, Markdown or a grid, as printed or saved.

Format: devtools/inspector (`print_data_tabular`, `save_data_to_tsv`), ExecuTorch 0.3 to 1.0. The
unit of time stands in the names of the columns ("p50 (ms)"); a table without it is refused. The
network's time is that of the event `Method::execute`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.measurements.evidence import by_tool
from perfmodel.measurements.readers.figures import time_ms
from perfmodel.measurements.readers.results import Reader, ReadResult, log_result
from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.readers.text_tables import has_header, table_rows
from perfmodel.measurements.table import BadRow, bad_input

_HEADER = frozenset({"event_block_name", "event_name"})
_TIMED = re.compile(r"(p10|p50|p90|avg|min|max) \((ns|us|ms|s|cycles)\)")
_STATISTICS = ("p10", "p50", "p90", "avg", "min", "max")
_METHOD = "Method::execute"
_LOAD = "Program::load_method"


def _is_table(source: SourceText) -> bool:
    return has_header(source, _HEADER)


def read(source: SourceText) -> ReadResult:
    """The network row of each execution, its load time beside it; other events are left out."""
    events = list(table_rows(source, _HEADER, lambda cells, line: _check(cells, source, line)))
    executed = [(e, n) for e, n in events if e["event_name"] == _METHOD]
    if not executed:
        reason = f"no event {_METHOD}, so no time of the network"
        raise bad_input(source.path, len(source.lines), reason, "was the file cut off?")
    loads = [(e, n) for e, n in events if e["event_name"] == _LOAD]
    load_ms = _time(*loads[0], "avg", source) if loads else float("nan")
    backends = {e.get("delegate_backend_name", "") for e, _ in events} - {"", "None", "nan"}
    build = "+".join(sorted(backends))[:80]
    rows = [_row(event, number, build, load_ms, source) for event, number in executed]
    inside = sum(e["event_block_name"] == "Execute" for e, _ in events) - len(executed)
    left_out = []
    if inside:
        reason = f"left out: {inside} events inside the network; they say no shapes"
        left_out.append(BadRow(source.path, executed[0][1], reason))
    return log_result(rows, source, left_out=left_out)


def _check(header: Sequence[str], source: SourceText, number: int) -> None:
    """MeasurementError where the columns of times do not name one unit of time."""
    timed = [match for match in map(_TIMED.fullmatch, header) if match]
    units = {match.group(2) for match in timed}
    if len(units) != 1 or not {"avg", "p50"} & {match.group(1) for match in timed}:
        reason = "the columns of times name no unit"
        raise bad_input(source.path, number, reason, "print the table with include_units=True")
    if units == {"cycles"}:
        raise bad_input(source.path, number, "times in cycles, which are no time")


def _time(event: Mapping[str, str], number: int, statistic: str, source: SourceText) -> float:
    for column, cell in event.items():
        match = _TIMED.fullmatch(column)
        if match and match.group(1) == statistic:
            return time_ms(cell, match.group(2), source.path, number, column)
    return float("nan")


def _row(
    event: Mapping[str, str],
    number: int,
    build: str,
    load_ms: float,
    source: SourceText,
) -> dict[str, Any]:
    times = {name: _time(event, number, name, source) for name in _STATISTICS}
    median, mean = times["p50"], times["avg"]
    return {
        "line": number,
        "framework": by_tool("executorch"),
        "build": build,
        "source": f"ExecuTorch Inspector {source.name}",
        "batch": by_tool(1.0),
        "kind": by_tool("steady"),
        "statistic": "median" if median == median else "mean",
        "latency_ms": median if median == median else mean,
        "mean_ms": mean,
        "min_ms": times["min"],
        "max_ms": times["max"],
        "p90_ms": times["p90"],
        "load_ms": load_ms,
    }


READER = Reader("ExecuTorch Inspector table", _is_table, read)
