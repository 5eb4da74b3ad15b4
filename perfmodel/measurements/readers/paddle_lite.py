"""Paddle Lite `benchmark_bin`: sections of settings, then "Perf Info" in ms.

Format: lite/api/tools/benchmark, Paddle Lite 2.9 to 2.14.
"""

from __future__ import annotations

import re
from typing import Any

from perfmodel.measurements.evidence import by_tool, in_log
from perfmodel.measurements.readers.figures import time_ms
from perfmodel.measurements.readers.results import Reader, ReadResult, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.table import bad_input
from perfmodel.zoo.published_names import model_name

_TITLE = "======= Perf Info ======="
_UNIT = re.compile(r"^Time\(unit: (\w{1,3})\):$")
_VALUE = re.compile(r"^(init|first|min|max|avg)\s{0,8}= (\S{1,30})$")
_SETTING = re.compile(r"^([a-z_ ]{3,40}): ?(.{0,400})$")
_GPU = ("opencl", "metal", "x86_opencl")

Settings = dict[str, tuple[str, int]]
"""Of a run, by name: what the log says and on which line."""


def _is_log(source: SourceText) -> bool:
    return _TITLE in source.log and "Time(unit: " in source.log


def read(source: SourceText) -> ReadResult:
    """A steady and a first row of each run."""
    rows: list[dict[str, Any]] = []
    settings: Settings = {}
    times: dict[str, float] = {}
    unit = ""
    for number, raw in enumerate(source.lines, 1):
        line = raw.strip()
        if line == "======= Opt Info =======":
            settings = {}
        if line == _TITLE:
            times, unit = {}, "none"
        elif unit and (found := _UNIT.match(line)):
            unit = found.group(1)
        elif unit and (found := _VALUE.match(line)):
            times[found.group(1)] = time_ms(
                found.group(2), unit, source.path, number, found.group(1)
            )
            if found.group(1) == "avg":
                rows += _rows(times, settings, source, number, raw)
                unit = ""
        elif not unit and (found := _SETTING.match(line)):
            settings[found.group(1)] = (found.group(2).strip(), number)
    if unit or not rows:
        reason = "the times end before the average"
        raise bad_input(source.path, len(source.lines), reason, "was the run cut off?")
    return log_result(rows, source)


def _rows(
    times: dict[str, float],
    settings: Settings,
    source: SourceText,
    number: int,
    raw: str,
) -> list[dict[str, Any]]:
    missing = [name for name in ("min", "max") if name not in times]
    if missing:
        raise bad_input(source.path, number, f"column {missing[0]}: not in Perf Info", "cut off?")
    at_end = number == len(source.lines) and not source.text.endswith("\n")
    if at_end and not raw.endswith(" "):
        # The tool pads the value with blanks to 12 columns; a paste without them may be whole.
        _check_decimals(raw, source, number)
    common = {
        "line": number,
        **_unit(settings, source),
        "source": f"Paddle Lite benchmark_bin {source.name}",
        **_network(settings),
    }
    repeats, _ = _said(settings, "repeats")
    runs = float(repeats) if repeats.isdecimal() else float("nan")
    steady = {
        "kind": by_tool("steady"),
        "runs": runs,
        "statistic": "mean",
        "latency_ms": times["avg"],
        "mean_ms": times["avg"],
        "min_ms": times["min"],
        "max_ms": times["max"],
        "load_ms": times.get("init", float("nan")),
    }
    rows = [common | steady]
    if "init" in times and "first" in times:
        first = {"kind": by_tool("first"), "runs": 1.0, "statistic": "mean"}
        first_ms = times["init"] + times["first"]
        rows.append(common | first | {"load_ms": times["init"], "latency_ms": first_ms})
    return rows


def _said(settings: Settings, name: str) -> tuple[str, int]:
    return settings.get(name, ("", 0))


def _unit(settings: Settings, source: SourceText) -> dict[str, Any]:
    """Columns that say on what a run ran; what the log leaves open is None."""
    backend, line = _said(settings, "backend")
    on_gpu = backend.split(",")[0] in _GPU
    known = on_gpu or backend in ("arm", "x86")
    precision, where = _said(settings, "gpu precision" if on_gpu else "cpu precision")
    threads, at = _said(settings, "threads")
    counted = bool(threads) and not on_gpu
    named = known and precision in ("fp32", "fp16", "int8")
    return {
        "unit": in_log("gpu" if on_gpu else "cpu", line) if known else None,
        "framework": by_tool("paddle-lite"),
        "build": backend if on_gpu else "",
        "precision": in_log(precision, where) if named else None,
        "threads": in_log(number_in(threads, source.path, at, "threads"), at) if counted else None,
    }


def _network(settings: Settings) -> dict[str, Any]:
    """Columns that say which network ran, by the name of its file, and its batch."""
    path, _ = _said(settings, "optimized_model_file")
    parts = [part for part in re.split(r"[\\/]", path) if part not in ("", "opt.nb", ".nb")]
    model = parts[-1].removesuffix(".nb") if parts else ""
    shape, line = _said(settings, "input_shape")
    batch = shape.split(",")[0]
    return {
        "model": model_name(model) if model else "",
        "source_model": model,
        "batch": in_log(float(batch), line) if batch.isdecimal() else by_tool(1.0),
    }


def _check_decimals(raw: str, source: SourceText, number: int) -> None:
    """The tool prints three decimals; fewer at the end of a file are a number cut off."""
    if len(raw.strip().rpartition(".")[2]) != 3 or "." not in raw:
        raise bad_input(source.path, number, "column avg: the number is cut off")


READER = Reader("Paddle Lite benchmark_bin", _is_log, read)
