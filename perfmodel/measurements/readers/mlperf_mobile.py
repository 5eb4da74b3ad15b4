"""MLPerf Mobile result.json and SingleStream summary: a latency only where the file says so.

The app's `score` is a rate (queries per second) for single-stream benchmarks in some versions
and a latency in others, and the key does not say which; it is never turned into a latency.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from perfmodel.measurements.evidence import by_tool, in_log
from perfmodel.measurements.readers.mlperf_results import FOR_ACCURACY, benchmarks_of
from perfmodel.measurements.readers.results import Reader, ReadResult, log_result
from perfmodel.measurements.readers.source_text import (
    SourceText,
    json_number,
    number_in,
)
from perfmodel.measurements.table import BadRow, bad_input
from perfmodel.zoo.published_names import model_name

_LATENCY_KEYS = {
    # key -> column, scale to ms, statistic
    "latency_ms": (1.0, "mean"),
    "mean_latency_ns": (1e-6, "mean"),
    "latency_mean_ns": (1e-6, "mean"),
    "median_latency_ns": (1e-6, "median"),
    "latency_p90_ns": (1e-6, "p90"),
    "percentile_90_latency_ns": (1e-6, "p90"),
}
_SUMMARY_LINES = {
    "90th percentile latency (ns)": ("p90_ms", 1e-6),
    "90.00 percentile latency (ns)": ("p90_ms", 1e-6),
    "Mean latency (ns)": ("mean_ms", 1e-6),
    "Min latency (ns)": ("min_ms", 1e-6),
    "Max latency (ns)": ("max_ms", 1e-6),
    "50.00 percentile latency (ns)": ("median_ms", 1e-6),
}


def _is_result(source: SourceText) -> bool:
    """Whether a JSON array is a result.json of the app."""
    first = next(iter(source.entries), None)
    return isinstance(first, Mapping) and "benchmark_id" in first


def _is_summary(source: SourceText) -> bool:
    """Whether the text is LoadGen's mlperf_log_summary.txt."""
    return "MLPerf Results Summary" in source.log


def read_result(source: SourceText) -> ReadResult:
    """Network rows of the entries that state a latency; accuracy runs are left out.

    An entry with nothing but a score raises MeasurementError: score, latency and rate cannot be
    told apart.
    """
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    bad: list[BadRow] = []
    for line, entry in benchmarks_of(source, source.json):
        if "accuracy" in str(entry.get("mode", "")).lower():
            left_out.append(BadRow(source.path, line, FOR_ACCURACY))
            continue
        stated = [key for key in _LATENCY_KEYS if entry.get(key) is not None]
        if not stated:
            reason = "column score: does not say whether it is a latency or a rate"
            bad.append(BadRow(source.path, line, reason))
            continue
        rows.append(_entry(entry, stated[0], source, line))
    return log_result(rows, source, bad=bad, left_out=left_out)


def _base(source: SourceText, name: str) -> dict[str, Any]:
    return {
        "source": f"MLPerf Mobile {source.name}",
        "model": model_name(name) if name else "",
        "source_model": name,
        "batch": by_tool(1.0),
        "kind": by_tool("steady"),
    }


def _entry(entry: Mapping[str, Any], key: str, source: SourceText, line: int) -> dict[str, Any]:
    scale, statistic = _LATENCY_KEYS[key]
    configuration = entry.get("configuration")
    runtime = configuration.get("runtime") if isinstance(configuration, Mapping) else None
    row = _base(source, entry["benchmark_id"]) | {
        "line": line,
        "framework": in_log(runtime.lower()[:80], line) if isinstance(runtime, str) else None,
        "statistic": statistic,
        "latency_ms": json_number(entry[key], source.path, line, key) * scale,
    }
    if entry.get("num_samples") is not None:
        row["runs"] = json_number(entry["num_samples"], source.path, line, "num_samples")
    return row


def read_summary(source: SourceText) -> ReadResult:
    """The network row of a SingleStream log; other scenarios report rates and are refused."""
    found: dict[str, float] = {}
    first_line = 1
    for number, line in enumerate(source.lines, 1):
        name, separator, value = line.partition(":")
        name = re.sub(r"\s+", " ", name.strip())
        if name == "Scenario" and value.strip() != "SingleStream":
            reason = f"column Scenario: {value.strip()[:30]!r} reports a rate, not a latency"
            raise bad_input(source.path, number, reason)
        if separator and name in _SUMMARY_LINES:
            column, scale = _SUMMARY_LINES[name]
            found[column] = number_in(value, source.path, number, name) * scale
            first_line = number
    statistic = next((s for s in ("median", "mean", "p90") if f"{s}_ms" in found), None)
    if statistic is None:
        reason = "the summary gives no latency in ns"
        raise bad_input(source.path, len(source.lines), reason, "was the run cut off?")
    latency_ms = found[f"{statistic}_ms"]
    found.pop("median_ms", None)
    row = _base(source, "") | {"line": first_line, "statistic": statistic}
    return log_result([row | found | {"latency_ms": latency_ms}], source)


RESULT = Reader("MLPerf Mobile result.json", _is_result, read_result)
SUMMARY = Reader("MLPerf LoadGen summary", _is_summary, read_summary)
