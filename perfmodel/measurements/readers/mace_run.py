"""MACE `mace_run` and `converter.py run`: one table of four times, in ms.

Format: tools/mace_run.cc of Xiaomi MACE 0.9 to 1.1 ("capability(CPU) init warmup run_avg"), which
says neither the model nor the device; both come from the command line or from an option.
"""

from __future__ import annotations

import re
from typing import Any

from perfmodel.measurements.evidence import Said, by_tool, in_command
from perfmodel.measurements.readers.command_line import command_of
from perfmodel.measurements.readers.figures import check_agrees
from perfmodel.measurements.readers.results import Reader, ReadResult, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.table import bad_input
from perfmodel.zoo.published_names import model_name

_HEADER = re.compile(r"^\s{0,12}capability\(CPU\)\s{1,20}init\s{1,20}warmup\s{1,20}run_avg\s*$")
_TIMES = re.compile(
    r"^time\s{1,20}(\S{1,20})\s{1,20}(\S{1,20})\s{1,20}(\S{1,20})\s{1,20}(\d{1,12}\.\d{3})$"
)
_AVERAGE = re.compile(r"Average latency(?: \(w/o \d{1,9} outliers\))?: (\S{1,20}) ms\b")


def _is_table(source: SourceText) -> bool:
    return "capability(CPU)" in source.log and "run_avg" in source.log


def read(source: SourceText) -> ReadResult:
    """A network row of each table."""
    rows: list[dict[str, Any]] = []
    header = False
    average: float | None = None
    for number, raw in enumerate(source.lines, 1):
        line = raw.rstrip()
        if found := _AVERAGE.search(line):
            average = number_in(found.group(1), source.path, number, "Average latency")
        header = header or _HEADER.match(line) is not None
        if header and line.startswith("time"):
            rows.append(_row(line, number, average, source))
            header, average = False, None
    if header or not rows:
        reason = "the table ends before its line of times"
        raise bad_input(source.path, len(source.lines), reason, "was the run cut off?")
    return log_result(rows, source)


def _row(line: str, number: int, average: float | None, source: SourceText) -> dict[str, Any]:
    times = _TIMES.match(line)
    if times is None:
        reason = "column run_avg: the line needs four times of three decimals"
        raise bad_input(source.path, number, reason, "the file may be cut off")
    names = ("init", "warmup", "run_avg")
    init_ms, _, run_ms = (
        number_in(times.group(i), source.path, number, name) for i, name in enumerate(names, 2)
    )
    if average is not None:
        of = "the average latency above"
        check_agrees(
            run_ms, average, share=0.01, path=source.path, line=number, column="run_avg", of=of
        )
    command = (
        command_of(source.lines, "mace_run") or command_of(source.lines, "mace_run_static") or {}
    )
    unit = {"CPU": "cpu", "GPU": "gpu", "HEXAGON": "dsp", "HTA": "npu", "APU": "npu"}.get(
        command.get("runtime", command.get("device", "")).upper()
    )
    said: Said | None = in_command(unit) if unit else None
    threads = command.get("num_threads", command.get("omp_num_threads", ""))
    model = command.get("model_name", "")
    on_cpu = unit == "cpu" and threads.isdecimal() and int(threads) > 0
    return {
        "line": number,
        "unit": said,
        "framework": by_tool("mace"),
        "threads": in_command(float(threads[:4])) if on_cpu else None,
        "source": f"MACE mace_run {source.name}",
        "model": model_name(model) if model else "",
        "source_model": model,
        "batch": by_tool(1.0),
        "kind": by_tool("steady"),
        "statistic": "mean",
        "latency_ms": run_ms,
        "mean_ms": run_ms,
        "load_ms": init_ms,
    }


READER = Reader("MACE mace_run", _is_table, read)
