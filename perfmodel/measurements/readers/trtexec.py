"""TensorRT `trtexec`: --exportTimes, --exportProfile and its printed summary; times in ms."""

from __future__ import annotations

import re
from typing import Any

from perfmodel.measurements.evidence import by_tool, in_command, in_log
from perfmodel.measurements.readers.results import (
    Reader,
    ReadResult,
    base_name,
    distinct_layers,
    log_result,
)
from perfmodel.measurements.readers.source_text import (
    SourceText,
    json_lines,
    json_number,
    number_in,
)
from perfmodel.measurements.table import BadRow, bad_input
from perfmodel.zoo.published_names import model_name

_COMPUTE = re.compile(r"GPU Compute Time: (.{1,400})$")
_FIELD = re.compile(r"(min|max|mean|median|percentile\(\d{1,2}%\)) = (\S+) (\w+)")
_OPTION = re.compile(
    r"--(onnx|deploy|loadEngine|saveEngine|fp16|int8|best|useDLACore|batch)(?:=(\S+))?"
)
_PRECISION_LINE = re.compile(r"\[I\] Precision: (\S+)")
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


def _is_text(source: SourceText) -> bool:
    """Whether the text is trtexec's own output."""
    return "GPU Compute Time:" in source.log or "&&&& RUNNING TensorRT.trtexec" in source.log


def _common(source: SourceText) -> dict[str, Any]:
    return {
        "unit": by_tool("gpu"),
        "framework": by_tool("tensorrt"),
        "source": f"trtexec {source.name}",
        "batch": by_tool(1.0),
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
    row = _common(source) | {
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
    return _common(source) | {
        "line": line,
        "layer": name,
        "op": "reformat" if _REFORMAT.search(name) else "",
        "runs": count if count >= 1 else float("nan"),
        "statistic": statistic,
        "latency_us": time_ms * 1e3,
    }


def read_text(source: SourceText) -> ReadResult:
    """A network row for each summary of GPU compute times in the printed output."""
    rows: list[dict[str, Any]] = []
    settings: dict[str, Any] = {}
    for number, line in enumerate(source.lines, 1):
        if "&&&& RUNNING" in line:
            settings = _settings(line)
        precision = _PRECISION_LINE.search(line)
        if precision and "precision" not in settings:
            settings["precision"] = in_log(_precision(precision.group(1)), number)
        compute = _COMPUTE.search(line)
        if compute:
            rows.append(_common(source) | settings | _summary(compute.group(1), source, number))
    if not rows:
        reason = "the log ends without a line 'GPU Compute Time: min = ...'"
        raise bad_input(source.path, len(source.lines), reason, "was the run cut off?")
    return log_result(rows, source)


def _settings(command: str) -> dict[str, Any]:
    options = dict(_OPTION.findall(command))
    file = base_name(
        options.get("onnx") or options.get("deploy") or options.get("loadEngine") or ""
    )
    flags = [name for name in ("fp16", "int8", "best") if name in options]
    settings: dict[str, Any] = {
        "precision": in_command(_precision("+".join(["FP32", *flags]).upper()))
    }
    if file:
        settings |= {"source_model": file, "model": model_name(file)}
    if "useDLACore" in options:
        settings["unit"] = in_command("dla")
    if options.get("batch", "").isdecimal():
        settings["batch"] = in_command(float(options["batch"][:9]))
    return settings


def _precision(words: str) -> str:
    """The table's precision of trtexec's `FP32+FP16`: the lowest that the builder may choose."""
    words = words.upper()
    if "INT8" in words or "BEST" in words:
        return "int8"
    return "fp16" if "FP16" in words else "fp32"


def _summary(text: str, source: SourceText, number: int) -> dict[str, Any]:
    values = {}
    for name, value, unit in _FIELD.findall(text):
        if unit != "ms":
            raise bad_input(source.path, number, f"column {name}: unit {unit[:20]!r}, expected ms")
        values[name] = number_in(value, source.path, number, name)
    median, mean = values.get("median"), values.get("mean")
    if median is None and mean is None:
        raise bad_input(source.path, number, "column median: neither median nor mean is given")
    return {
        "line": number,
        "statistic": "mean" if median is None else "median",
        "latency_ms": mean if median is None else median,
        "min_ms": values.get("min", float("nan")),
        "mean_ms": float("nan") if mean is None else mean,
        "max_ms": values.get("max", float("nan")),
        "p90_ms": values.get("percentile(90%)", float("nan")),
    }


TIMES = Reader("trtexec --exportTimes", _is_times, read_times)
PROFILE = Reader("trtexec --exportProfile", _is_profile, read_profile)
TEXT = Reader("trtexec", _is_text, read_text)
