"""LiteRT 2.x `benchmark_model` ("BENCHMARK RESULTS") and `litert-benchmark`, text and JSON.

Formats: litert/tools/benchmark_litert_model.h (C++, LiteRT 2.0 to 2.2) and the Python tool's
printed block and `--result_json`. Times are in ms with two decimals; the C++ tool prints the same
runs before in us, which are taken where they agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.measurements.evidence import Said, by_default, in_command, in_log
from perfmodel.measurements.readers.command_line import command_at, is_on
from perfmodel.measurements.readers.figures import time_ms
from perfmodel.measurements.readers.litert_run import LiteRTRun, rows_of
from perfmodel.measurements.readers.results import Reader, ReadResult, base_name, log_result
from perfmodel.measurements.readers.source_text import (
    SourceText,
    json_lines,
    json_number,
    number_in,
)
from perfmodel.measurements.table import BadRow, bad_input

_TITLE = re.compile(r"^[^=]{0,200}=*\s?BENCHMARK RESULTS(?:\s=+)?$")
_FIELD = re.compile(
    r"(?<!\S)(Model initialization|(?:Warmup|Inference) \((?:first|avg|min|max|median)\)):"
    r"\s{0,40}(\S{1,40}) (\w{1,3})(?: \((\d{1,9}) runs\))?$"
)
_COUNT = re.compile(r"(?:^|: )count=\d")
_PAIR = re.compile(r"\b(count|min|max|avg|median)=(\S{1,40})")
_MODEL = re.compile(r"(?:Loading model from:|INFO benchmark_litert_model: Model:)\s{1,20}(\S.*)$")
_THREADS = re.compile(r"INFO benchmark_litert_model: Num threads:\s{1,20}(\d{1,4})$")
_ACCELERATORS = re.compile(
    r"INFO benchmark_litert_model: Accelerators:\s{1,20}(\w{1,20}(?: \| \w{1,20}){0,5})$"
)
_REPLACED = re.compile(
    r"Replacing (\d{1,7}) out of (\d{1,7}) node\(s\) with delegate \(([\w.-]{1,60})\)"
)
_PEAK = re.compile(r"(?<!\S)Peak memory:\s{1,40}(\S{1,40}) MB$")
_TOOLS = ("benchmark_model", "litert-benchmark", "benchmark_litert_model.py")
_DELEGATES = (("dispatch", "npu"), ("litert_", "gpu"), ("gpu", "gpu"), ("xnnpack", "cpu"))
"""Part of a delegate's name, lower case, and the unit it runs on; the first that runs decides."""


def _is_text(source: SourceText) -> bool:
    log = source.log
    return "BENCHMARK RESULTS" in log and "Inference (avg):" in log


def _is_json(source: SourceText) -> bool:
    value = source.value
    latency = value.get("latency") if isinstance(value, Mapping) else None
    return isinstance(latency, Mapping) and "avg_ms" in latency and "accelerators" in value


def read_text(source: SourceText) -> ReadResult:
    """A steady and a first row of each block of results."""
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    run, inside = LiteRTRun(), False
    lines = [line.rstrip() for line in source.lines]
    for number, line in enumerate(lines, 1):
        command = _command(lines, number - 1)
        if inside and (command or _COUNT.search(line) or "Loading model from:" in line):
            rows += rows_of(run, source)
            run, inside = LiteRTRun(), False
        if command is not None:
            _from_command(run, command)
        if _TITLE.match(line):
            rows += rows_of(run, source) if inside else []
            run.fields, inside = {}, True
        if "Run Order =" in line:
            reason = "left out: the profile of operators says no shapes"
            left_out.append(BadRow(source.path, number, reason))
        _note(line, number, run, source, inside)
    if not rows and not inside:
        raise bad_input(source.path, len(lines), "no block of results", "was the run cut off?")
    rows += rows_of(run, source) if inside else []
    return log_result(rows, source, left_out=left_out)


def _command(lines: Sequence[str], index: int) -> Mapping[str, str] | None:
    found = (command_at(lines, index, tool) for tool in _TOOLS)
    return next((options for options in found if options is not None), None)


def _from_command(run: LiteRTRun, command: Mapping[str, str]) -> None:
    """Unit, threads and model by the options; the CPU is the tool's own choice without any."""
    run.model = base_name(command.get("graph", command.get("model", "")))
    unit = next((u for u in ("npu", "gpu", "cpu") if is_on(command, f"use_{u}")), None)
    run.unit = in_command(unit) if unit else by_default("cpu", "no --use_gpu and no --use_npu")
    if command.get("num_threads", "").isdecimal():
        run.threads = in_command(float(command["num_threads"][:6]))


def _note(line: str, number: int, run: LiteRTRun, source: SourceText, inside: bool) -> None:
    found = _FIELD.search(line) if inside else None
    if found:
        name, text, unit, runs = found.groups()
        run.fields[name] = time_ms(text, unit, source.path, number, name)
        if name == "Inference (avg)" and runs:
            run.runs, run.line = float(runs), number
    elif _COUNT.search(line) and not inside:
        pairs = _PAIR.findall(line)
        run.microseconds = {n: number_in(v, source.path, number, n) for n, v in pairs}
    elif model := _MODEL.search(line):
        run.model = base_name(model.group(1))
    elif threads := _THREADS.search(line):
        run.threads = in_log(float(threads.group(1)), number)
    elif accelerators := _ACCELERATORS.search(line):
        run.unit = _unit_of_names(accelerators.group(1).split(" | "), number)
    elif replaced := _REPLACED.search(line):
        _note_delegate(replaced, number, run)
    elif line.startswith("Fully accelerated:"):
        run.partial = line.split(":", 1)[1].strip() == "False"
    elif peak := _PEAK.search(line):
        run.peak_bytes = number_in(peak.group(1), source.path, number, "Peak memory") * 2**20


def _note_delegate(replaced: re.Match[str], number: int, run: LiteRTRun) -> None:
    done, total, name = int(replaced.group(1)), int(replaced.group(2)), replaced.group(3).lower()
    unit = next((unit for part, unit in _DELEGATES if part in name), None)
    if unit is not None and done:
        share = "" if done >= total else f"delegate=partial;delegated_ops={done}/{total}"
        run.replaced.setdefault(unit, (share, number))


def _unit_of_names(names: Sequence[Any], line: int) -> Said | None:
    """The unit of the accelerators that are asked for; the CPU does what the others cannot."""
    known = [unit for unit in ("npu", "gpu", "cpu") if unit.upper() in names]
    return in_log(known[0], line) if known else None


def read_json(source: SourceText) -> ReadResult:
    """The rows of the file that `litert-benchmark --result_json` writes."""
    value = source.json
    line = (json_lines(source.text, '"avg_ms"') or [1])[0]
    run = LiteRTRun(line=line)
    model = value.get("model")
    run.model = base_name(model) if isinstance(model, str) else ""
    for name, key in (
        ("Model initialization", "init_ms"),
        ("Warmup (first)", "warmup_first_ms"),
        *((f"Inference ({n})", f"{n}_ms") for n in ("avg", "min", "max", "median")),
    ):
        if value["latency"].get(key) is not None:
            run.fields[name] = json_number(value["latency"][key], source.path, line, key)
    run.runs = json_number(value["latency"].get("num_runs"), source.path, line, "num_runs")
    accelerators = value["accelerators"] if isinstance(value["accelerators"], list) else []
    run.unit = _unit_of_names(accelerators, line)
    run.partial = value.get("fully_accelerated") is False
    if value.get("num_threads") is not None:
        threads = json_number(value["num_threads"], source.path, line, "num_threads")
        run.threads = in_log(threads, line)
    return log_result(rows_of(run, source), source)


TEXT = Reader("LiteRT benchmark_model", _is_text, read_text)
JSON = Reader("LiteRT benchmark result (JSON)", _is_json, read_json)
