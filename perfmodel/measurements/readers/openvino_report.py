"""OpenVINO `benchmark_app -report_type no_counters`: benchmark_report.csv and .json.

Formats: statistics_report of the Python and the C++ tool, 2021 to 2025: three sections of
`name;value` lines, or the JSON of the C++ tool. Times in ms, throughput in frames a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmodel.measurements.evidence import in_log
from perfmodel.measurements.readers.openvino_run import NAN, OpenVinoRun, rows_of, unit_of_device
from perfmodel.measurements.readers.results import Reader, ReadResult, base_name, log_result
from perfmodel.measurements.readers.source_text import SourceText, json_number
from perfmodel.measurements.table import bad_input

_COLUMNS = {
    # Name in the CSV of either tool, lower case, or key of the JSON -> ours.
    "topology": "topology",
    "target device": "device",
    "target_device": "device",
    "api": "api",
    "batch size": "batch",
    "batch_size": "batch",
    "number of parallel infer requests": "requests",
    "nireq": "requests",
    "total execution time (ms)": "duration",
    "execution_time": "duration",
    "total number of iterations": "runs",
    "iterations_num": "runs",
    "latency (ms)": "median",
    "median latency (ms)": "median",
    "latency_median": "median",
    "average latency (ms)": "mean",
    "avg latency": "mean",
    "latency_avg": "mean",
    "min latency (ms)": "min",
    "min latency": "min",
    "latency_min": "min",
    "max latency (ms)": "max",
    "max latency": "max",
    "latency_max": "max",
    "percentile boundary": "boundary",
    "percentile_boundary": "boundary",
    "throughput": "per_s",
    "first inference time (ms)": "first",
    "first_inference_time": "first",
    "read model time (ms)": "load_read",
    "read_model_time": "load_read",
    "compile model time (ms)": "load_compile",
    "compile_model_time": "load_compile",
    "load network time (ms)": "load_compile",
    "load_model_time": "load_compile",
}


def _is_csv(source: SourceText) -> bool:
    log = source.log
    return "Execution results\n" in log and "throughput;" in log and ";" in log


def _is_json(source: SourceText) -> bool:
    value = source.value
    results = value.get("execution_results") if isinstance(value, Mapping) else None
    return isinstance(results, Mapping) and "throughput" in results


def read_csv(source: SourceText) -> ReadResult:
    """The rows of a benchmark_report.csv."""
    found: dict[str, tuple[Any, int]] = {}
    section, model = "", ""
    for number, line in enumerate(source.lines, 1):
        name, separator, value = line.strip().partition(";")
        if not separator:
            section = name or section
        elif section == "Command line parameters":
            model = value if name in ("m", "path_to_model") else model
        elif name.strip().lower() in _COLUMNS and section != "Group Latencies":
            found.setdefault(_COLUMNS[name.strip().lower()], (value.strip(), number))
    if not source.text.endswith("\n"):
        reason = "the last line of the report has no end"
        raise bad_input(source.path, len(source.lines), reason, "the file may be cut off")
    return _result(found, model, source)


def read_json(source: SourceText) -> ReadResult:
    """The rows of a benchmark_report.json."""
    value = source.json
    found: dict[str, tuple[Any, int]] = {}
    for section in ("execution_results", "configuration_setup"):
        entries = value.get(section)
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            if name in _COLUMNS:
                found.setdefault(_COLUMNS[name], (entry, 1))
    options = value.get("cmd_options")
    model = options.get("m", "") if isinstance(options, Mapping) else ""
    return _result(found, model if isinstance(model, str) else "", source)


def _result(found: Mapping[str, tuple[Any, int]], model: str, source: SourceText) -> ReadResult:
    def number(name: str) -> float:
        value, line = found.get(name, (NAN, 1))
        return NAN if value != value else json_number(value, source.path, line, name)

    for name in ("duration", "runs", "per_s"):
        if name not in found:
            reason = f"column {name}: not in the report"
            raise bad_input(source.path, len(source.lines), reason, "was the run cut off?")
    run = OpenVinoRun(model=base_name(model or str(found.get("topology", ("", 1))[0])))
    device, line = found.get("device", ("", 1))
    run.unit = unit_of_device(str(device)[:100], lambda unit: in_log(unit, line))
    batch = number("batch")
    run.batch = in_log(batch, found["batch"][1]) if batch == batch else None
    run.requests = number("requests")
    run.runs, run.per_s, run.first_ms = number("runs"), number("per_s"), number("first")
    boundary = number("boundary")
    run.percentile = boundary if boundary == boundary else 50.0
    names = ("median", "mean", "min", "max", "duration")
    run.times = {name: number(name) for name in names if name in found}
    if run.percentile != 50.0 and "median" in run.times:
        run.times["percentile"] = run.times.pop("median")
    run.load_ms = sum(number(name) for name in ("load_read", "load_compile") if name in found)
    run.line = found.get("median", found["per_s"])[1]
    rows, left_out = rows_of(run, source)
    return log_result(rows, source, left_out=left_out)


CSV = Reader("OpenVINO benchmark_app report (CSV)", _is_csv, read_csv)
JSON = Reader("OpenVINO benchmark_app report (JSON)", _is_json, read_json)
