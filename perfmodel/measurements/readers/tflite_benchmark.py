"""TFLite / LiteRT `benchmark_model`: summary lines, operator profiles, delegate notes.

Formats: tensorflow/lite/tools/benchmark and tensorflow/core/util/stats_calculator.cc. Times of
the summary are in us, of the operator profile in ms. Logs of the Android app carry a logcat
prefix, which is stripped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from perfmodel.measurements.evidence import LOG, Said, by_tool, in_log
from perfmodel.measurements.readers.results import (
    Reader,
    ReadResult,
    base_name,
    distinct_layers,
    log_result,
    op_name,
)
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.table import BadRow, bad_input
from perfmodel.zoo.published_names import model_name

_SIGNATURES = (
    "nference timings in us:",
    "[node type]",
    "node type, start",
    "node type, first",
    "Timings (microseconds):",
)

_LEVEL = re.compile(r"^(?:INFO|VERBOSE|STARTUP): ")
_SUMMARY = re.compile(r"(Average inference|Inference) timings in us:\s*(.*)$")
_MEMORY = re.compile(r"Peak memory footprint \(MB\):\s*(.*)$")
_DELEGATE = re.compile(
    r"Explicitly applied (\S{1,40}) delegate, and the model graph will be"
    r" (completely|partially) executed"
)
_SPLIT = re.compile(
    r"\b(\d{1,9}) operations will run on the \S{1,20}, and the remaining (\d{1,9}) operations"
)
_GRAPH = re.compile(r"^Graph: \[(.+)\]\s*$")
_THREADS = re.compile(r"^(?:#threads used for CPU inference|Num threads): \[(\d+)\]")
_PAIR = re.compile(r"(?<![A-Za-z0-9])([A-Za-z0-9][A-Za-z0-9 ()]{0,40}?)\s{0,9}[:=]\s{0,9}([^,\s]+)")

_SECTIONS = ("Run Order", "Top by Computation Time", "Summary by node type")
_DELEGATE_UNITS = {
    "gpu": "gpu",
    "nnapi": "nnapi",
    "hexagon": "dsp",
    "edgetpu": "npu",
    "qnn": "npu",
    "xnnpack": "cpu",
}


@dataclass
class _Run:
    """What is known of the model being benchmarked, as the log goes on."""

    model: str = ""
    threads: Said | None = None
    delegate: Said | None = None
    settings: bool = False
    variant: str = ""
    runs: dict[str, float] = field(default_factory=dict)

    @property
    def unit(self) -> Said | None:
        """The delegate's unit; the CPU where the settings are printed and name no delegate."""
        no_delegate = Said("cpu", f"{LOG}, whose settings name no delegate")
        return self.delegate or (no_delegate if self.settings else None)

    def common(self) -> dict[str, Any]:
        return {
            "unit": self.unit,
            "framework": by_tool("tflite"),
            "threads": self.threads if self.unit is None or self.unit.value == "cpu" else None,
            "model": model_name(self.model) if self.model else "",
            "source_model": self.model,
            "batch": by_tool(1.0),
            "variant": self.variant,
        }


def read(source: SourceText) -> ReadResult:
    """Network rows (steady, and first where the log has it) and kernel rows of a log or profile.

    An operator profile without a summary line (a CSV file of `--profiling_output_csv_file`)
    gives kernel rows, and the network row from its line of timings if it has one.
    """
    log = _Log(source.path)
    for number, line in enumerate(source.lines, 1):
        log.feed(number, _LEVEL.sub("", line).rstrip())
    if not log.rows and not log.kernels:
        reason = "the log ends without a line of timings"
        raise bad_input(source.path, len(source.lines), reason, "was the run cut off?")
    names = [f"{kernel['model']}\n{kernel['layer']}" for kernel in log.kernels]
    for kernel, name in zip(log.kernels, distinct_layers(names), strict=True):
        kernel["layer"] = name.split("\n", 1)[1]
    for row in (*log.rows, *log.kernels):
        row["source"] = f"benchmark_model {source.name}"
        row.setdefault("kind", by_tool("steady"))
    return log_result([*log.rows, *log.kernels], source, left_out=log.left_out)


@dataclass
class _Log:
    """The state of reading: what was found, and in which part of which run the log is."""

    path: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    kernels: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[BadRow] = field(default_factory=list)
    run: _Run = field(default_factory=_Run)
    section: str = ""
    header: list[str] = field(default_factory=list)
    initialising: bool = False

    def feed(self, number: int, line: str) -> None:
        """Take one line, its prefixes stripped."""
        if not line.strip():
            self.header = []
            return
        graph = _GRAPH.match(line)
        if graph:
            self.run, self.initialising = (
                _Run(model=base_name(graph.group(1)), settings=True),
                False,
            )
        if "rofil" in line and ("nitialization" in line or "egular" in line):
            self.initialising = "nitialization" in line
        _note_settings(line, number, self.run)
        if self._starts_section(line, number):
            return
        if line.startswith(("count=", "Timings (microseconds): count=")):
            self._block(line, number)
        elif self.header:
            if self.section == "Run Order" and not self.initialising:
                self._kernel(line, number)
        else:
            self.rows.extend(_summary_rows(line, number, self.run, self.path))
            self._memory(line, number)

    def _starts_section(self, line: str, number: int) -> bool:
        if line.startswith("===") or line.strip() in _SECTIONS:
            self.section = line.strip("= \t") or self.section
            self.header = []
        elif "node type" in line.lower() and ("%" in line or "avg" in line):
            self.header = _profile_header(line, self.path, number)
            if "name" not in self.header:
                self.section = "Summary by node type"
        else:
            return False
        return True

    def _block(self, line: str, number: int) -> None:
        """A line over a block of runs; that of a profile is a network row if nothing else is."""
        self.run.runs, self.header = _pairs(line, self.path, number), []
        average = self.run.runs.get("avg")
        known = any(row["source_model"] == self.run.model for row in self.rows)
        if line.startswith("Timings") and not self.initialising and average and not known:
            row = self.run.common() | {"line": number} | _statistics(average, self.run.runs)
            self.rows.append(row)

    def _kernel(self, line: str, number: int) -> None:
        row = _kernel(line, self.header, self.path, number)
        if row["latency_us"] == 0:
            reason = f"left out: {row['layer'][:60]!r} is printed as 0 ms"
            self.left_out.append(BadRow(self.path, number, reason))
        else:
            self.kernels.append(row | self.run.common())

    def _memory(self, line: str, number: int) -> None:
        memory = _MEMORY.search(line)
        if memory and self.rows:
            megabytes = _pairs(memory.group(1), self.path, number).get("overall", -1)
            for row in self.rows[-2:]:
                if megabytes > 0 and row["source_model"] == self.run.model:
                    row["peak_memory_bytes"] = megabytes * 1e6


def _note_settings(line: str, number: int, run: _Run) -> None:
    threads = _THREADS.match(line)
    if threads:
        run.threads = in_log(float(threads.group(1)[:6]), number)
    delegate = _DELEGATE.search(line)
    if delegate:
        unit = _DELEGATE_UNITS.get(delegate.group(1).lower())
        run.delegate = in_log(unit, number) if unit else run.delegate
        if delegate.group(2) == "partially" and not run.variant:
            run.variant = "delegate=partial"
    split = _SPLIT.search(line)
    if split and int(split.group(2)):
        delegated = int(split.group(1))
        total = delegated + int(split.group(2))
        run.variant = f"delegate=partial;delegated_ops={delegated}/{total}"


def _pairs(text: str, path: str, line: int) -> dict[str, float]:
    """`min=32641 max=34005` or `Init: 855, First inference: 49060` as numbers by name."""
    body = text.split(":", 1)[1] if text.startswith("Timings") else text
    return {
        name.strip().lower(): number_in(value, path, line, name.strip())
        for name, value in _PAIR.findall(body)
    }


def _summary_rows(line: str, number: int, run: _Run, path: str) -> list[dict[str, Any]]:
    summary = _SUMMARY.search(line)
    if not summary:
        return []
    us = _pairs(summary.group(2), path, number)
    average = us.get("inference (avg)", us.get("inference", us.get("no stats")))
    if average is None:
        raise bad_input(path, number, "column Inference: the line of timings has no inference time")
    init_ms = us.get("init", float("nan")) / 1e3
    steady = run.common() | {"line": number, "load_ms": init_ms, "kind": by_tool("steady")}
    steady |= _statistics(average, run.runs)
    rows = [steady]
    if "first inference" in us and init_ms == init_ms:
        first_ms = init_ms + us["first inference"] / 1e3
        rows.append(
            run.common()
            | {"line": number, "kind": by_tool("first"), "runs": 1.0, "latency_ms": first_ms}
            | {"statistic": "mean", "load_ms": init_ms}
        )
    run.runs = {}
    return rows


def _statistics(average_us: float, block: dict[str, float]) -> dict[str, Any]:
    """The latency and its spread; the median where the tool prints one (newer versions do).

    `block` is the last count= line; it belongs to the summary only if its average agrees.
    """
    if not block or abs(block.get("avg", -1) - average_us) > 0.01 * average_us:
        return {"latency_ms": average_us / 1e3, "statistic": "mean"}
    median = block.get("median")
    return {
        "latency_ms": (average_us if median is None else median) / 1e3,
        "statistic": "mean" if median is None else "median",
        "mean_ms": average_us / 1e3,
        "min_ms": block.get("min", float("nan")) / 1e3,
        "max_ms": block.get("max", float("nan")) / 1e3,
        "runs": block.get("count", float("nan")),
    }


def _profile_header(line: str, path: str, number: int) -> list[str]:
    if "cycles" in line.lower():
        raise bad_input(path, number, "a profile in cycles, not in ms", "a Hexagon profile?")
    # a name holds no bracket of either kind, so that a line of brackets is walked through once
    names = re.findall(r"\[([^\[\]]*)\]", line) if "[" in line else line.split(",")
    header = [re.sub(r"[ _]+", " ", name.strip().lower()) for name in names]
    if _column(header, "avg ms") is None:
        raise bad_input(path, number, "column avg ms: not in the header of the profile")
    return header


def _column(header: list[str], name: str) -> int | None:
    return header.index(name) if name in header else None


def _kernel(line: str, header: list[str], path: str, number: int) -> dict[str, Any]:
    """One row of an operator profile; the name comes last and may hold any character."""
    separator = "\t" if "\t" in line.strip() else ","
    cells = [cell.strip() for cell in line.strip().split(separator, len(header) - 1)]
    if len(cells) != len(header):
        reason = f"{len(cells)} cells where the profile's header has {len(header)}"
        raise bad_input(path, number, reason, "the file may be cut off")
    average_column = header.index("avg ms")
    for name, cell in zip(header, cells, strict=True):
        if name not in ("node type", "name"):
            number_in(cell.rstrip("%"), path, number, name)
    average_ms = number_in(cells[average_column], path, number, "avg ms")
    layer = cells[-1] if header[-1] == "name" else cells[0]
    return {
        "line": number,
        "layer": layer,
        "op": op_name(cells[0]),
        "latency_us": average_ms * 1e3,
        "statistic": "mean",
    }


def _is_log(source: SourceText) -> bool:
    return any(mark in source.log for mark in _SIGNATURES)


READER = Reader("TFLite benchmark_model", _is_log, read)
