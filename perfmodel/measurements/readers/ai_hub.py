"""Qualcomm AI Hub `download_profile()`: JSON with an execution summary and detail, in us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmodel.measurements.evidence import Said, by_own_input, by_tool, in_log
from perfmodel.measurements.readers.results import (
    Reader,
    ReadResult,
    distinct_layers,
    log_result,
    op_name,
)
from perfmodel.measurements.readers.source_text import SourceText, json_lines, json_number
from perfmodel.measurements.table import BadRow, bad_input

_DETAIL = "log, the unit with most time of execution_detail"
_UNITS = {"npu": "npu", "cpu": "cpu", "gpu": "gpu", "dsp": "dsp", "htp": "npu"}


def _is_profile(source: SourceText) -> bool:
    """Whether a JSON object is a profile of AI Hub."""
    return isinstance(source.value, Mapping) and "execution_summary" in source.value


def read(source: SourceText) -> ReadResult:
    """A network row from all runs, a first row from loading, and a kernel row per operator.

    `estimated_inference_time` is the fastest run, not the typical one, so it is never used; a
    profile without `all_inference_times` is refused.
    """
    import numpy as np

    summary = source.json["execution_summary"]
    line = (json_lines(source.text, '"all_inference_times"') or [1])[0]
    times = summary.get("all_inference_times") if isinstance(summary, Mapping) else None
    if not isinstance(times, list) or not times:
        reason = "column all_inference_times: missing; estimated_inference_time is the fastest run"
        raise bad_input(source.path, line, reason, "download the profile again, with all runs")
    runs = np.array([json_number(t, source.path, line, "all_inference_times") for t in times])
    if not (runs > 0).all():
        raise bad_input(source.path, line, "column all_inference_times: a time of 0 or less")
    detail, left_out = _kernels(source)
    units = {row["unit"].value for row in detail}
    row = _base(source) | {
        "line": line,
        "unit": Said(_main_unit(detail), _DETAIL) if units else None,
        "variant": "mixed_units" if len(units) > 1 else "",
        "runs": float(len(runs)),
        "statistic": "median",
        "latency_ms": float(np.median(runs)) / 1e3,
        "min_ms": float(runs.min()) / 1e3,
        "mean_ms": float(runs.mean()) / 1e3,
        "max_ms": float(runs.max()) / 1e3,
        "p90_ms": float(np.percentile(runs, 90)) / 1e3,
    }
    row |= _optional(summary, source, "first_load_time", "load_ms", 1e-3)
    row |= _optional(summary, source, "estimated_inference_peak_memory", "peak_memory_bytes", 1)
    return log_result([row, *detail], source, left_out=left_out)


def _base(source: SourceText) -> dict[str, Any]:
    return {
        "source": f"AI Hub profile {source.name}",
        "batch": by_own_input(),
        "kind": by_tool("steady"),
    }


def _optional(
    summary: Mapping[str, Any], source: SourceText, name: str, column: str, scale: float
) -> dict[str, float]:
    if summary.get(name) is None:
        return {}
    line = (json_lines(source.text, f'"{name}"') or [1])[0]
    value = json_number(summary[name], source.path, line, name)
    return {column: value * scale} if value > 0 else {}


def _main_unit(detail: list[dict[str, Any]]) -> str:
    """The unit with most of the time."""
    time_us: dict[str, float] = {}
    for row in detail:
        unit = row["unit"].value
        time_us[unit] = time_us.get(unit, 0.0) + row["latency_us"]
    return max(time_us, key=lambda unit: time_us[unit])


def _kernels(source: SourceText) -> tuple[list[dict[str, Any]], list[BadRow]]:
    detail = source.json.get("execution_detail") or []
    if not isinstance(detail, list):
        raise bad_input(source.path, 1, "column execution_detail: not an array")
    lines = json_lines(source.text, '"compute_unit"')
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    for i, entry in enumerate(detail):
        line = lines[i] if i < len(lines) else 1
        if not isinstance(entry, Mapping):
            raise bad_input(source.path, line, f"column execution_detail: entry {i} is no object")
        unit = str(entry.get("compute_unit", "")).lower()
        if unit not in _UNITS:
            raise bad_input(source.path, line, f"column compute_unit: unknown {unit[:20]!r}")
        name, kind = entry.get("name"), entry.get("type")
        layer = name if isinstance(name, str) and name else str(kind)[:80]
        if entry.get("execution_time") is None or entry["execution_time"] == 0:
            left_out.append(BadRow(source.path, line, f"left out: {layer[:60]!r} has no time"))
            continue
        time_us = json_number(entry["execution_time"], source.path, line, "execution_time")
        row = _base(source) | {"line": line, "unit": in_log(_UNITS[unit], line), "layer": layer}
        rows.append(
            row | {"op": op_name(str(kind)[:80]), "latency_us": time_us, "statistic": "mean"}
        )
    for row, name in zip(rows, distinct_layers([r["layer"] for r in rows]), strict=True):
        row["layer"] = name
    return rows, left_out


READER = Reader("Qualcomm AI Hub profile", _is_profile, read)
