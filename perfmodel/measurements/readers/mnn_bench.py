"""MNN `benchmark.out`: settings, then one line a model in ms (order max, min, avg).

Since April 2021 a blank stands before "ms" and the settings are no longer starred; before May 2020
neither threads nor precision were printed, and could not be chosen: four threads, precision normal.
"""

from __future__ import annotations

import re
from typing import Any

from perfmodel.measurements.evidence import (
    by_default,
    by_own_input,
    by_tool,
    in_log,
    precision_of_name,
)
from perfmodel.measurements.readers.results import Reader, ReadResult, base_name, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.table import bad_input
from perfmodel.zoo.published_names import model_name

_ROW = re.compile(
    r"^\[\s*-\s*\]\s*(\S{1,200})\s{1,200}max =\s{0,20}([^\sm]{1,40})\s?ms\s{1,20}min ="
    r"\s{0,20}([^\sm]{1,40})\s?ms\s{1,20}avg =\s{0,20}([^\sm]{1,40})\s?ms\s*$"
)
_FORWARD = re.compile(r"Forward type: \**([A-Za-z0-9_ ]{1,30}?)\**(?:\s|$)")
_SETTING = re.compile(r"\b(thread|precision|sparsity)\s{0,3}=\s{0,3}(\d{1,6})")
_LOOP = re.compile(r"loop\s{0,3}=\s{0,3}(\d{1,9})")

_UNITS = {"cpu": "cpu", "nn": "npu"}
_GPU_BACKENDS = ("opencl", "vulkan", "metal", "opengl", "cuda", "tensorrt")
_PRECISIONS = {1: "fp32", 2: "float"}
"""MNN's BackendConfig: 1 is high; 2 is low, half precision where the back end offers it; 0 is
normal, MNN's own choice as well."""


def _is_mnn(source: SourceText) -> bool:
    """Whether the text is from MNN's benchmark."""
    text = source.log
    return (
        "Forward type: " in text
        or re.search(r"^\[ - \] \S{1,200} {1,200}max = ", text, re.M) is not None
    )


def read(source: SourceText) -> ReadResult:
    """A network row for each model; `latency_ms` is the average, the others stand beside it."""
    rows: list[dict[str, Any]] = []
    settings: dict[str, Any] = {}
    for number, line in enumerate(source.lines, 1):
        row = _ROW.match(line)
        loop = _LOOP.search(line)
        if row:
            rows.append(_network(row, settings, source, number))
        elif line.startswith("[ - ]"):
            reason = "column avg: a model's line needs max, min and avg, each in ms"
            raise bad_input(source.path, number, reason, "the file may be cut off")
        elif "Forward type:" in line:
            settings |= _settings(line, source.path, number)
        elif loop and "Benchmarking" in line:
            settings["runs"] = float(loop.group(1))
    if not rows:
        raise bad_input(source.path, len(source.lines), "no line of a model", "cut off?")
    return log_result(rows, source)


def _settings(line: str, path: str, number: int) -> dict[str, Any]:
    found = _FORWARD.search(line)
    name = found.group(1).strip().lower() if found else ""
    name = name.split(" thread")[0]
    unit = "gpu" if name in _GPU_BACKENDS else _UNITS.get(name)
    if unit is None:
        raise bad_input(path, number, f"column Forward type: unknown {name[:30]!r}")
    numbers = {key: int(value) for key, value in _SETTING.findall(line)}
    # Versions that could not be told either print neither of the two.
    fixed = "whose versions before May 2020 have no such setting"
    threads, precision = by_default(4.0, fixed), by_default("float", fixed)
    if "thread" in numbers:
        threads = in_log(float(numbers["thread"]), number)
    if "precision" in numbers:
        precision = in_log(_PRECISIONS.get(numbers["precision"], "float"), number)
    return {
        "unit": in_log(unit, number),
        "build": "" if unit == "cpu" else name,
        "threads": threads if unit == "cpu" else None,
        "precision": precision,
    }


def _network(
    row: re.Match[str], settings: dict[str, Any], source: SourceText, number: int
) -> dict[str, Any]:
    name = base_name(row.group(1))
    high, low, mean = (
        number_in(row.group(i), source.path, number, column)
        for i, column in ((2, "max"), (3, "min"), (4, "avg"))
    )
    return {
        "line": number,
        **settings,
        "precision": None if precision_of_name(name) else settings.get("precision"),
        "framework": by_tool("mnn"),
        "source": f"MNN benchmark {source.name}",
        "model": model_name(name, tool="mnn"),
        "source_model": name,
        "batch": by_own_input(),
        "kind": by_tool("steady"),
        "statistic": "mean",
        "latency_ms": mean,
        "min_ms": low,
        "mean_ms": mean,
        "max_ms": high,
    }


READER = Reader("MNN benchmark", _is_mnn, read)
