"""TFLite `benchmark_model_performance_options`: one summary line an option, times in us.

Format: tensorflow/lite/tools/benchmark/benchmark_performance_options.cc, TensorFlow 1.15 to 2.x
and LiteRT.
"""

from __future__ import annotations

import re
from typing import Any

from perfmodel.measurements.evidence import Said, by_tool, in_log
from perfmodel.measurements.readers.results import Reader, ReadResult, base_name, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.table import BadRow, bad_input
from perfmodel.zoo.published_names import model_name

_TITLE = "Summary of All Runs w/ Different"
_LEVEL = re.compile(r"^(?:INFO|ERROR|VERBOSE): ?")
_GRAPH = re.compile(r"Graph: \[(.{1,400})\]")
_OPTION = re.compile(
    r"^\s{0,40}(?:(?P<cpu>cpu) w/ (?P<threads>\d{1,4}) threads"
    r"(?: \((?P<xnnpack>xnnpack[\w-]{0,12})\))?"
    r"|(?P<nnapi>nnapi)(?:\((?P<accelerator>[^()]{1,60}|w/o accel name)\))?"
    r"|(?P<gpu>gpu)(?:\((?P<old>fp16|fp32)\)|-(?P<new>fp16|default))?(?:-default)?"
    r"|(?P<dsp>dsp) w/ hexagon|(?P<coreml>coreml)): (?P<rest>.*)$"
)
_PAIR = re.compile(r"\b(count|min|max|avg|std|p5|median|p95)=(\S{1,40})")


def _is_summary(source: SourceText) -> bool:
    return _TITLE in source.log


def read(source: SourceText) -> ReadResult:
    """A network row for each option that ran; those that failed are left out."""
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    model, summary = "", False
    for number, raw in enumerate(source.lines, 1):
        line = _LEVEL.sub("", raw).rstrip()
        graph = _GRAPH.search(line)
        model = base_name(graph.group(1)) if graph else model
        if _TITLE in line:
            summary = True
        option = _OPTION.match(line) if summary else None
        if option and option["rest"].strip() == "failed!":
            reason = f"left out: {line.split(':')[0].strip()[:60]} failed"
            left_out.append(BadRow(source.path, number, reason))
        elif option:
            rows.append(_row(option, model, source, number))
        elif summary and "count=" in line and " w/ " in line:
            raise bad_input(source.path, number, f"unknown option {line.strip()[:40]!r}")
    if not rows:
        reason = "the summary of all runs has no run"
        raise bad_input(source.path, len(source.lines), reason, "was the run cut off?")
    return log_result(rows, source, left_out=left_out)


def _row(option: re.Match[str], model: str, source: SourceText, number: int) -> dict[str, Any]:
    us = {n: number_in(v, source.path, number, n) for n, v in _PAIR.findall(option["rest"])}
    # Versions since 2.16 print percentiles behind the others, the 95th last.
    needed = ("count", "min", "max", "avg", "std", *(("median", "p95") if "p5" in us else ()))
    missing = [name for name in needed if name not in us]
    if missing:
        reason = f"column {missing[0]}: not in the line of the option"
        raise bad_input(source.path, number, reason, "was the run cut off?")
    median = us.get("median")
    return {
        "line": number,
        **_facets(option, number),
        "framework": by_tool("tflite"),
        "source": f"TFLite performance options {source.name}",
        "model": model_name(model) if model else "",
        "source_model": model,
        "batch": by_tool(1.0),
        "kind": by_tool("steady"),
        "runs": us["count"],
        "latency_ms": (us["avg"] if median is None else median) / 1e3,
        "statistic": "mean" if median is None else "median",
        "mean_ms": us["avg"] / 1e3,
        "min_ms": us["min"] / 1e3,
        "max_ms": us["max"] / 1e3,
    }


def _facets(option: re.Match[str], number: int) -> dict[str, Any]:
    """Unit, threads and precision by the option's name; Core ML chooses the unit itself."""
    unit = next((name for name in ("cpu", "gpu", "nnapi", "dsp") if option[name]), None)
    precision: Said | None = None
    variant = ""
    if option["xnnpack"]:
        variant = "delegate=xnnpack"
        precision = in_log("fp16", number) if option["xnnpack"] == "xnnpack-fp16" else None
    elif option["old"] or option["new"] == "fp16":
        precision = in_log(option["old"] or option["new"], number)
    elif option["gpu"]:
        variant = "delegate=gpu-default"
    elif option["nnapi"] and option["accelerator"] not in (None, "w/o accel name"):
        variant = f"accelerator={option['accelerator']}"
    elif option["coreml"]:
        variant = "delegate=coreml"
    return {
        "unit": in_log(unit, number) if unit else None,
        "threads": in_log(float(option["threads"]), number) if option["threads"] else None,
        "precision": precision,
        "variant": variant,
    }


READER = Reader("TFLite performance options", _is_summary, read)
