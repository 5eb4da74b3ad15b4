"""OpenVINO `benchmark_app` as text: the Python and the C++ tool, 2021 to 2025; times in ms.

Formats: tools/benchmark_tool (main.py) and samples/cpp/benchmark_app (main.cpp). The latency of
several requests at a time is that of a loaded device, so such runs are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from perfmodel.measurements.evidence import Said, in_command, in_log
from perfmodel.measurements.readers.command_line import command_of
from perfmodel.measurements.readers.figures import time_ms
from perfmodel.measurements.readers.openvino_run import OpenVinoRun, rows_of, unit_of_device
from perfmodel.measurements.readers.results import Reader, ReadResult, base_name, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.table import BadRow, bad_input

_LEVEL = re.compile(r"^\[ ?(?:INFO|WARNING) ?\]\s{0,8}")
_TIME = re.compile(
    r"^(Median|Average|AVG|Min|MIN|Max|MAX|(\d{1,3}) percentile|Latency|Duration):\s{1,40}"
    r"(\S{1,40}) (\w{1,3})$"
)
_COUNT = re.compile(r"^Count:\s{1,40}(\d{1,12}) iterations$")
_THROUGHPUT = re.compile(r"^Throughput:\s{1,40}(\S{1,40}) FPS$")
_DEVICE = re.compile(r"^Execution Devices: ?\[? ?(.{1,200}?) ?\]?$")
_BATCH = re.compile(r"^(?:Model|Network) batch size: (\d{1,7})$")
_THREADS = re.compile(r"^INFERENCE_NUM_THREADS ?: (\d{1,5})$")
_REQUESTS = re.compile(r"Start inference (?:(synchronously)|asynchronously, (\d{1,6}) infer)")
_TOOK = re.compile(
    r"^(Read model|Compile model|Load network|First inference) took (\S{1,40}) (\w{1,3})$"
)
_NAMES = {"Average": "mean", "AVG": "mean", "MIN": "min", "MAX": "max", "Latency": "median"}


@dataclass
class _State:
    run: OpenVinoRun = field(default_factory=OpenVinoRun)
    device_line: bool = False


def _is_text(source: SourceText) -> bool:
    log = source.log
    return "Throughput:" in log and "FPS" in log and "Count:" in log and "Duration:" in log


def read(source: SourceText) -> ReadResult:
    """A steady and a first row of each run."""
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    lines = [_LEVEL.sub("", line.strip()).strip() for line in source.lines]
    ends = [i for i, line in enumerate(lines) if _THROUGHPUT.match(line)]
    for start, end in zip([0, *(i + 1 for i in ends)], [*ends, len(lines)], strict=True):
        state = _State(_fresh(lines[start:end]))
        for number, line in enumerate(lines[start:end], start + 1):
            _note(line, number, state, source)
        if end == len(lines) and (state.run.times or not ends):
            reason = "the log ends without a line of throughput"
            raise bad_input(source.path, end, reason, "was the run cut off?")
        if end < len(lines):
            text = lines[end].split()[1]
            state.run.per_s = number_in(text, source.path, end + 1, "Throughput")
            new_rows, excluded = rows_of(state.run, source)
            rows, left_out = [*rows, *new_rows], [*left_out, *excluded]
    return log_result(rows, source, left_out=left_out)


def _fresh(lines: list[str]) -> OpenVinoRun:
    """A run of which the command line, if the log shows it, tells model, device and batch."""
    command = command_of(lines, "benchmark_app")
    run = OpenVinoRun()
    if command:
        run.model = base_name(command.get("m", command.get("path_to_model", "")))
        run.unit = unit_of_device(command.get("d", ""), in_command)
        batch, requests = command.get("b", ""), command.get("nireq", "")
        run.batch = in_command(float(batch[:7])) if batch.isdecimal() else None
        run.requests = float(requests[:6]) if requests.isdecimal() else run.requests
    return run


def _note(line: str, number: int, state: _State, source: SourceText) -> None:
    """Take what a line says of the run."""
    run = state.run
    if state.device_line and line:
        run.unit = run.unit or unit_of_device(line, lambda value: in_log(value, number))
        state.device_line = False
    state.device_line = state.device_line or line == "Device info:"
    if found := _TIME.match(line):
        name = "percentile" if found.group(2) else found.group(1)
        name = _NAMES.get(name, name.lower())
        value = time_ms(found.group(3), found.group(4), source.path, number, found.group(1))
        run.times.setdefault(name, value)
        run.percentile = float(found.group(2) or run.percentile)
        run.line = number if name != "duration" else run.line
    elif found := _COUNT.match(line):
        run.runs = float(found.group(1))
    elif found := _TOOK.match(line):
        took = time_ms(found.group(2), found.group(3), source.path, number, found.group(1))
        run.first_ms = took if found.group(1) == "First inference" else run.first_ms
        run.load_ms += 0.0 if found.group(1) == "First inference" else took
    _facets(line, number, run)


def _facets(line: str, number: int, run: OpenVinoRun) -> None:
    if found := _DEVICE.match(line):
        devices = found.group(1).replace("'", "")
        known: Said | None = unit_of_device(devices, lambda value: in_log(value, number))
        run.unit = known or run.unit
    elif found := _BATCH.match(line):
        run.batch = in_log(float(found.group(1)), number)
    elif found := _THREADS.match(line):
        run.threads = in_log(float(found.group(1)), number)
    elif found := _REQUESTS.search(line):
        run.requests = 1.0 if found.group(1) else float(found.group(2))


READER = Reader("OpenVINO benchmark_app", _is_text, read)
