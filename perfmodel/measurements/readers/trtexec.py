"""TensorRT `trtexec`: the files of --exportTimes and --exportProfile; times in ms.

They say neither unit (GPU or DLA) nor precision nor batch.
"""

from __future__ import annotations

import re
from typing import Any

from perfmodel.measurements.evidence import by_tool
from perfmodel.measurements.readers.results import (
    Reader,
    ReadResult,
    distinct_layers,
    log_result,
)
from perfmodel.measurements.readers.source_text import (
    SourceText,
    json_lines,
    json_number,
)
from perfmodel.measurements.table import BadRow, bad_input

_REFORMAT = re.compile(r"reformat", re.I)


def _is_times(source: SourceText) -> bool:
    """Whether a JSON array is what --exportTimes writes."""
    first = next(iter(source.entries), None)
    return isinstance(first, dict) and "computeMs" in first


def _is_profile(source: SourceText) -> bool:
    """Whether a JSON array is what --exportProfile writes."""
    first = next(iter(source.entries), None)
    named = isinstance(first, dict) and {"name", "timeMs"} <= set(first)
    return named or (isinstance(first, dict) and set(first) == {"count"})


def common(source: SourceText) -> dict[str, Any]:
    """The columns of every row of the tool."""
    return {
        "framework": by_tool("tensorrt"),
        "source": f"trtexec {source.name}",
        "kind": by_tool("steady"),
    }


def read_times(source: SourceText) -> ReadResult:
    """One network row: the median of the GPU compute times of all runs."""
    import numpy as np

    lines = json_lines(source.text, '"computeMs"')
    times = []
    for i, entry in enumerate(source.json):
        line = lines[i] if i < len(lines) else 1
        if not isinstance(entry, dict) or "computeMs" not in entry:
            raise bad_input(source.path, line, f"column computeMs: missing in entry {i}")
        time_ms = json_number(entry["computeMs"], source.path, line, "computeMs")
        if time_ms <= 0:
            raise bad_input(
                source.path, line, f"column computeMs: must be above 0, got {time_ms:g}"
            )
        times.append(time_ms)
    row = common(source) | {
        "line": lines[0] if lines else 1,
        "runs": float(len(times)),
        "statistic": "median",
        "latency_ms": float(np.median(times)),
        "min_ms": min(times),
        "mean_ms": float(np.mean(times)),
        "max_ms": max(times),
        "p90_ms": float(np.percentile(times, 90)),
    }
    return log_result([row], source)


def read_profile(source: SourceText) -> ReadResult:
    """A kernel row for each layer: its median where given, else total time over count."""
    entries = source.json
    lines = json_lines(source.text, '"timeMs"')
    count, rows, left_out = 0.0, [], []
    named = 0
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise bad_input(source.path, 1, f"entry {i} is no object")
        if "name" not in entry:
            count = json_number(entry.get("count"), source.path, 1, "count")
            continue
        line = lines[named] if named < len(lines) else 1
        named += 1
        row = _layer(entry, count, source, line)
        if row["latency_us"] == 0:
            reason = f"left out: {row['layer'][:60]!r} takes 0 ms (fused away)"
            left_out.append(BadRow(source.path, line, reason))
        else:
            rows.append(row)
    if not rows:
        raise bad_input(source.path, 1, "a profile without layers")
    for row, name in zip(rows, distinct_layers([r["layer"] for r in rows]), strict=True):
        row["layer"] = name
    return log_result(rows, source, left_out=left_out)


def _layer(entry: dict[str, Any], count: float, source: SourceText, line: int) -> dict[str, Any]:
    name = entry["name"]
    if not isinstance(name, str) or not name:
        raise bad_input(source.path, line, "column name: not a name")
    statistic, time_ms = "mean", float("nan")
    if "medianMs" in entry:
        statistic = "median"
        time_ms = json_number(entry["medianMs"], source.path, line, "medianMs")
    elif "averageMs" in entry:
        time_ms = json_number(entry["averageMs"], source.path, line, "averageMs")
    elif count > 0:
        time_ms = json_number(entry.get("timeMs"), source.path, line, "timeMs") / count
    else:
        raise bad_input(source.path, line, "column timeMs: a total without a count of runs")
    return common(source) | {
        "line": line,
        "layer": name,
        "op": "reformat" if _REFORMAT.search(name) else "",
        "runs": count if count >= 1 else float("nan"),
        "statistic": statistic,
        "latency_us": time_ms * 1e3,
    }


TIMES = Reader("trtexec --exportTimes", _is_times, read_times)
PROFILE = Reader("trtexec --exportProfile", _is_profile, read_profile)
