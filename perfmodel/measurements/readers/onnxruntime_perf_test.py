"""ONNX Runtime `onnxruntime_perf_test`: printed totals; session and percentiles in s, means in ms.

Format: onnxruntime/test/perftest (performance_runner), ONNX Runtime 1.2 to 1.23: "Average inference
time cost", in later versions "Average inference time cost total".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from perfmodel.measurements.evidence import Said, by_default, by_tool, in_command, in_log
from perfmodel.measurements.readers.command_line import command_of
from perfmodel.measurements.readers.figures import check_agrees, time_ms
from perfmodel.measurements.readers.onnxruntime_profile import unit_of_provider
from perfmodel.measurements.readers.results import Reader, ReadResult, base_name, log_result
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.table import BadRow, bad_input
from perfmodel.zoo.published_names import model_name

_TIME = re.compile(
    r"^(Session creation time cost|First inference time cost|Total inference time cost|"
    r"Average inference time cost(?: total)?|Total inference run time|"
    r"(?:Min|Max|P50|P90) Latency): ?(\S{1,40}) (\w{1,3})\b"
)
_COUNT = re.compile(r"^Total inference requests: ?(\d{1,12})$")
_PEAK = re.compile(r"^Peak working set size: ?(\d{1,18}) bytes")
_THREADS = re.compile(r"^Setting intra_op_num_threads to (\d{1,5})$")
_PROVIDER = re.compile(r"^using (\w{1,40}ExecutionProvider)\b")
_CALLS = ("onnxruntime_perf_test",)
_SHORT = {
    "cpu": "CPU", "cuda": "CUDA", "tensorrt": "Tensorrt", "rocm": "ROCM", "dml": "Dml",
    "nnapi": "Nnapi", "qnn": "QNN", "coreml": "CoreML", "xnnpack": "Xnnpack", "dnnl": "Dnnl",
    "acl": "ACL", "openvino": "OpenVINO",
}  # fmt: skip
"""The name of a provider behind `-e`, and the start of ONNX Runtime's own name for it."""


def _is_perf_test(source: SourceText) -> bool:
    return "Average inference time cost" in source.log and "Total inference requests" in source.log


def read(source: SourceText) -> ReadResult:
    """A steady and a first row of each run of the tool."""
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    lines = [line.strip() for line in source.lines]
    starts = [i for i, line in enumerate(lines) if line.startswith("Session creation time cost")]
    starts = starts or [0]
    before = 0
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        head = lines[before:start]
        found = _Found(source, head, lines[start:end], start + 1, before + 1)
        new_rows, excluded = found.rows()
        rows, left_out, before = [*rows, *new_rows], [*left_out, *excluded], start + 1
    return log_result(rows, source, left_out=left_out)


class _Found:
    """What the lines of one run say."""

    def __init__(
        self, source: SourceText, head: list[str], lines: list[str], first: int, head_first: int
    ) -> None:
        self.source, self.head, self.head_first = source, head, head_first
        self.ms: dict[str, float] = {}
        self.line, self.last = first, first + len(lines) - 1
        self.runs = self.peak = float("nan")
        for number, line in enumerate(lines, first):
            self._note(line, number)

    def _note(self, line: str, number: int) -> None:
        path = self.source.path
        if found := _TIME.match(line):
            name = found.group(1).removesuffix(" total")
            self.ms[name] = time_ms(found.group(2), found.group(3), path, number, name)
            self.line = number if name.startswith("Average") else self.line
        elif found := _COUNT.match(line):
            self.runs = float(found.group(1))
        elif found := _PEAK.match(line):
            self.peak = number_in(found.group(1), path, number, "Peak working set size")

    def rows(self) -> tuple[list[dict[str, Any]], list[BadRow]]:
        """The rows of the run; none for one of several requests at a time, which is left out."""
        ms, path = self.ms, self.source.path
        mean, total = ms.get("Average inference time cost"), ms.get("Total inference time cost")
        if mean is None or total is None or not self.runs > 0:
            reason = "the log lacks the average, the total or the number of inference requests"
            raise bad_input(path, self.last, reason, "was the run cut off?")
        of = "the total over the number of requests"
        check_agrees(
            mean, total / self.runs, share=0.01, path=path, line=self.line, column="Average", of=of
        )
        elapsed = ms.get("Total inference run time", total)
        if round(total / elapsed) > 1:
            reason = "left out: the latency of several requests at a time; run with -c 1"
            return [], [BadRow(path, self.line, reason)]
        median = ms.get("P50 Latency")
        common = self._common()
        load = {"load_ms": ms.get("Session creation time cost", float("nan"))}
        steady = {"kind": by_tool("steady"), "runs": self.runs, "peak_memory_bytes": self.peak}
        statistics = {
            "latency_ms": mean if median is None else median,
            "statistic": "mean" if median is None else "median",
            "mean_ms": mean,
            "min_ms": ms.get("Min Latency", float("nan")),
            "max_ms": ms.get("Max Latency", float("nan")),
            "p90_ms": ms.get("P90 Latency", float("nan")),
        }
        rows = [common | load | steady | statistics]
        first = ms.get("First inference time cost")
        if first is not None and load["load_ms"] == load["load_ms"]:
            kind = {"kind": by_tool("first"), "runs": 1.0, "statistic": "mean"}
            rows.append(common | load | kind | {"latency_ms": load["load_ms"] + first})
        return rows, []

    def _common(self) -> dict[str, Any]:
        command: Mapping[str, str] = command_of(self.head, _CALLS[0]) or {}
        words = command.get("", "").split()
        values = [*words, *command.values()]
        files = [w for value in values for w in value.split() if w.endswith((".onnx", ".ort"))]
        model = base_name(files[0]) if files else ""
        unit, provider = self._provider(command)
        on_cpu = unit is None or unit.value == "cpu"
        return {
            "line": self.line,
            "unit": unit,
            "framework": by_tool("onnxruntime"),
            "build": "" if on_cpu else provider,
            "threads": self._threads(command) if on_cpu else None,
            "source": f"onnxruntime_perf_test {self.source.name}",
            "model": model_name(model.removesuffix(".ort")) if model else "",
            "source_model": model,
            "batch": by_tool(1.0),
        }

    def _provider(self, command: Mapping[str, str]) -> tuple[Said | None, str]:
        for number, line in enumerate(self.head, self.head_first):
            if found := _PROVIDER.match(line):
                unit = unit_of_provider(found.group(1))
                return (in_log(unit, number) if unit else None), found.group(1)
        if command and "e" not in command and "plugin_eps" not in command:
            return by_default("cpu", "no -e"), "CPUExecutionProvider"
        short = command.get("e", "")
        name = f"{_SHORT.get(short.lower(), short)}ExecutionProvider"
        unit = unit_of_provider(name)
        return (in_command(unit) if unit else None), name

    def _threads(self, command: Mapping[str, str]) -> Said | None:
        for number, line in enumerate(self.head, self.head_first):
            if found := _THREADS.match(line):
                return in_log(float(found.group(1)), number)
        text = command.get("x", "")
        return in_command(float(text[:5])) if text.isdecimal() and int(text) else None


READER = Reader("onnxruntime_perf_test", _is_perf_test, read)
