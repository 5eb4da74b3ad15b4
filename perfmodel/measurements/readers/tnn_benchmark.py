"""TNN's benchmark: one line a model, "TNN Benchmark time cost", in ms.

Format: test/timer.cc and benchmark_models.sh of Tencent TNN 0.1 to 0.3. Before the times stand the
model's file and the device (ARM, OPENCL ...), where the script did not cut them away.
"""

from __future__ import annotations

import re
from typing import Any

from perfmodel.measurements.evidence import Said, by_tool, in_command, in_log
from perfmodel.measurements.readers.command_line import command_of
from perfmodel.measurements.readers.figures import time_ms
from perfmodel.measurements.readers.results import Reader, ReadResult, base_name, log_result
from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.table import BadRow, bad_input
from perfmodel.zoo.published_names import model_name

_MARK = "TNN Benchmark time cost"
_TIMES = re.compile(
    r"TNN Benchmark time cost: min = (\S{1,20})\s{1,12}(\w{1,3})\s{1,4}\|"
    r"\s{1,4}max = (\S{1,20})\s{1,12}(\w{1,3})\s{1,4}\|"
    r"\s{1,4}avg = (\S{1,20})\s{1,12}(\w{1,3})\b"
)
_HEADING = re.compile(r"^benchmark device: ?(\w{1,30})\s*$")
_NAMED = re.compile(r"(\S{1,200}?)(?:\.tnnproto|\.tnnmodel|\.param)?(?: - (\w{1,30}))?$")
_UNITS = {
    "ARM": "cpu", "X86": "cpu", "NAIVE": "cpu", "OPENCL": "gpu", "METAL": "gpu", "CUDA": "gpu",
    "HUAWEI_NPU": "npu", "RKNPU": "npu",
}  # fmt: skip


def _is_log(source: SourceText) -> bool:
    return _MARK in source.log


def read(source: SourceText) -> ReadResult:
    """A network row for each line of times."""
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    heading: Said | None = None
    command = command_of(source.lines, "TNNTest") or {}
    for number, line in enumerate(source.lines, 1):
        if found := _HEADING.match(line):
            unit = _UNITS.get(found.group(1).upper())
            heading = in_log(unit, number) if unit else None
        if _MARK not in line:
            continue
        times = _TIMES.search(line)
        if times is None and "failed" in line:
            left_out.append(BadRow(source.path, number, "left out: the run failed"))
        elif times is None:
            reason = "column avg: a line of times needs min, max and avg, each with its unit"
            raise bad_input(source.path, number, reason, "the file may be cut off")
        else:
            before = line[: times.start()].strip().rpartition("tnn: ")[2].strip()
            rows.append(_row(times, before, heading, dict(command), source, number))
    return log_result(rows, source, left_out=left_out)


def _row(
    times: re.Match[str],
    before: str,
    heading: Said | None,
    command: dict[str, str],
    source: SourceText,
    number: int,
) -> dict[str, Any]:
    low, high, mean = (
        time_ms(times.group(i), times.group(i + 1), source.path, number, column)
        for i, column in ((1, "min"), (3, "max"), (5, "avg"))
    )
    named = _NAMED.search(before) if before not in ("", "...") else None
    device = (named.group(2) or "").upper() if named else ""
    model = base_name(named.group(1) if named else command.get("mp", ""))
    model = re.sub(r"\.(tnnproto|tnnmodel|param)$", "", model)
    by_command = _UNITS.get(command.get("dt", "").upper())
    unit = in_log(_UNITS[device], number) if device in _UNITS else heading
    unit = unit or (in_command(by_command) if by_command else None)
    threads = command.get("th", "")
    on_cpu = unit is not None and unit.value == "cpu"
    return {
        "line": number,
        "unit": unit,
        "framework": by_tool("tnn"),
        "threads": in_command(float(threads[:4])) if on_cpu and threads.isdecimal() else None,
        "source": f"TNN benchmark {source.name}",
        "model": model_name(model) if model else "",
        "source_model": model,
        "batch": by_tool(1.0),
        "kind": by_tool("steady"),
        "statistic": "mean",
        "latency_ms": mean,
        "mean_ms": mean,
        "min_ms": low,
        "max_ms": high,
    }


READER = Reader("TNN benchmark", _is_log, read)
