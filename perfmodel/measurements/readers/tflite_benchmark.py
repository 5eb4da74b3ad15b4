"""TFLite / LiteRT `benchmark_model`: summary lines, operator profiles, delegate notes.

Formats: tensorflow/lite/tools/benchmark and tensorflow/core/util/stats_calculator.cc. Times of
the summary are in us, of the operator profile in ms. Logs of the Android app carry a logcat
prefix, which is stripped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from perfmodel.errors import MeasurementError
from perfmodel.measurements.evidence import by_tool
from perfmodel.measurements.readers.command_line import MAX_COMMAND
from perfmodel.measurements.readers.results import (
    Reader,
    ReadResult,
    distinct_layers,
    left_out,
    log_result,
    op_name,
)
from perfmodel.measurements.readers.source_text import SourceText, number_in
from perfmodel.measurements.readers.tflite_run import SETTING, Run
from perfmodel.measurements.table import BadRow, bad_input

_SIGNATURES = (
    "nference timings in us:",
    "[node type]",
    "node type, start",
    "node type, first",
    "Timings (microseconds):",
)

_LEVEL = re.compile(r"^(?:INFO|VERBOSE|STARTUP): ")
_SUMMARY = re.compile(r"(?:Average inference|Inference) timings in us:(.*)$")
_MEMORY = re.compile(r"Peak memory footprint \(MB\):(.*)$")
_SECTIONS = ("Run Order", "Top by Computation Time", "Summary by node type")
SAME_AVERAGE = 0.01
"""Share by which a summary and the block that it sums up may differ; both have six digits."""
CUT_OFF = 5.0
"""How many times a figure at the very end of a file may lie below the warm-up before it is taken
for one whose last digits are missing."""


def read(source: SourceText) -> ReadResult:
    """Network rows (steady, and first where the log has it) and kernel rows of a log or profile.

    An operator profile without a summary line (a CSV file of `--profiling_output_csv_file`)
    gives kernel rows, and the network row from its line of timings if it has one.
    """
    log = _Log(source.path, len(source.lines), not source.text.endswith("\n"))
    for number, line in enumerate(source.lines, 1):
        log.feed(number, _LEVEL.sub("", line).rstrip())
    if log.faulty and not log.rows:
        raise log.faulty[0]
    if not log.rows and not log.kernels:
        reason = "the log ends without a line of timings"
        raise bad_input(source.path, len(source.lines), reason, "was the run cut off?")
    log.left_out += [left_out(error, source.path) for error in log.faulty]
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
    last_line: int
    unterminated: bool
    rows: list[dict[str, Any]] = field(default_factory=list)
    kernels: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[BadRow] = field(default_factory=list)
    faulty: list[MeasurementError] = field(default_factory=list)
    run: Run = field(default_factory=Run)
    command: str = ""
    section: str = ""
    header: list[str] = field(default_factory=list)
    initialising: bool = False

    def feed(self, number: int, line: str) -> None:
        """Take one line, its prefixes stripped."""
        if not line.strip():
            self.header = []
            return
        if self._command(line):
            return
        if "rofil" in line and ("nitialization" in line or "egular" in line):
            self.initialising = "nitialization" in line
        self._settings(line, number)
        if self._starts_section(line, number):
            return
        if line.startswith(("count=", "Timings (microseconds): count=")):
            self._block(line, number)
        elif self.header:
            if self.section == "Run Order" and not self.initialising:
                self._kernel(line, number)
        else:
            self.rows.extend(self._summary_rows(line, number))
            self._memory(line, number)

    def _command(self, line: str) -> bool:
        """Whether a line is (part of) a command line; a whole one starts a run."""
        goes_on = line.rstrip().endswith("\\") and ("benchmark" in line or "--" in line)
        if not (self.command or goes_on or "--graph=" in line):
            return False
        self.command = (self.command + " " + line.rstrip().rstrip("\\"))[:MAX_COMMAND]
        if not line.rstrip().endswith("\\"):
            if "--graph=" in self.command:
                self.run, self.initialising = Run.of_command(self.command), False
            self.command = ""
        return True

    def _settings(self, line: str, number: int) -> None:
        """Settings after a run's summary are those of the next run."""
        setting = SETTING.match(line)
        if line.strip() == "STARTING!" or (setting and self.run.done):
            options = None if self.run.done else self.run.options
            model, delegate = ("", None) if self.run.done else (self.run.model, self.run.delegate)
            self.run = Run(model=model, delegate=delegate, options=options)
            self.initialising = False
        self.run.note_line(line, number)

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
        block, self.header = _block_pairs(line, self.path, number), []
        if not line.startswith("Timings"):
            self.run.runs = block
            return
        average = block.get("avg")
        known = any(row["source_model"] == self.run.model for row in self.rows)
        if not self.initialising and average and not known:
            row = self.run.common() | {"line": number} | _statistics(average, block)
            self.rows.append(row)

    def _kernel(self, line: str, number: int) -> None:
        try:
            row = _kernel(line, self.header, self.path, number)
        except MeasurementError as error:
            self.faulty.append(error)
            return
        if row["latency_us"] == 0:
            reason = f"left out: {row['layer'][:60]!r} is printed as 0 ms"
            self.left_out.append(BadRow(self.path, number, reason))
        else:
            self.kernels.append(self.run.common() | row)

    def _memory(self, line: str, number: int) -> None:
        memory = _MEMORY.search(line)
        if memory and self.rows:
            megabytes = _block_pairs(memory.group(1), self.path, number).get("overall", -1)
            for row in self.rows[-2:]:
                if megabytes > 0 and row["source_model"] == self.run.model:
                    row["peak_memory_bytes"] = megabytes * 1e6

    def _summary_rows(self, line: str, number: int) -> list[dict[str, Any]]:
        summary = _SUMMARY.search(line)
        if not summary:
            return []
        us = _summary_pairs(summary.group(1), self.path, number)
        average = us.get("inference (avg)", us.get("inference", us.get("no stats")))
        if average is None:
            reason = "column Inference: the line of timings has no inference time"
            raise bad_input(self.path, number, reason, "was the log cut off?")
        self._check_average(average, us, number)
        self.run.done = True
        init_ms = us.get("init", float("nan")) / 1e3
        steady = self.run.common() | {"line": number, "load_ms": init_ms, "kind": by_tool("steady")}
        rows = [steady | _statistics(average, self.run.runs)]
        if "first inference" in us and init_ms == init_ms:
            first_ms = init_ms + us["first inference"] / 1e3
            rows.append(
                self.run.common()
                | {"line": number, "kind": by_tool("first"), "runs": 1.0, "latency_ms": first_ms}
                | {"statistic": "mean", "load_ms": init_ms}
            )
        return rows

    def _check_average(self, average: float, us: dict[str, float], number: int) -> None:
        """The last block of runs is the one summed up, or the warm-up where the log has no more."""
        warm_up = us.get("warmup (avg)", us.get("warmup"))
        block = self.run.runs.get("avg")
        summed = [value for value in (average, warm_up) if value is not None]
        if block and not any(abs(block - v) <= SAME_AVERAGE * abs(block) for v in summed):
            reason = f"{average:g} us on average, but the block of runs above it says {block:g}"
            raise bad_input(self.path, number, f"column Inference: {reason}", "was it cut off?")
        at_end = self.unterminated and number == self.last_line
        if not block and at_end and warm_up and average * CUT_OFF < warm_up:
            reason = f"{average:g} us after a warm-up of {warm_up:g}, and the file ends there"
            raise bad_input(self.path, number, f"column Inference: {reason}", "was it cut off?")


def _block_pairs(line: str, path: str, number: int) -> dict[str, float]:
    """`count=50 first=157000 avg=156000` as numbers by name."""
    words = (word.partition("=") for word in line.split() if "=" in word)
    return {name.lower(): number_in(value, path, number, name) for name, _, value in words}


def _summary_pairs(text: str, path: str, number: int) -> dict[str, float]:
    """`Init: 855, First inference: 49060` as numbers by name."""
    parts = (part.partition(":") for part in re.split(r",(?:\s|$)", text) if ":" in part)
    return {
        name.strip().lower(): number_in(value, path, number, name.strip())
        for name, _, value in parts
    }


def _statistics(average_us: float, block: dict[str, float]) -> dict[str, Any]:
    """The latency and its spread; the median where the tool prints one (newer versions do).

    `block` is the last count= line; it belongs to the summary only if its average agrees.
    """
    if not block or abs(block.get("avg", -1) - average_us) > SAME_AVERAGE * average_us:
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
    names = re.findall(r"\[([^\[\]]{0,60})\]", line) if "[" in line else line.split(",")
    header = [re.sub(r"[ _]+", " ", name.strip().lower()) for name in names]
    if _column(header, "avg ms") is None:
        raise bad_input(path, number, "column avg ms: not in the header of the profile")
    return header


def _column(header: list[str], name: str) -> int | None:
    return header.index(name) if name in header else None


def _cells(line: str, header: list[str]) -> list[str]:
    """The cells of a profile's line; the name comes last and may hold any character.

    Pasted tabs may have become blanks: the numbers then tell where the type ends.
    """
    text, count = line.strip(), len(header) - 1
    if "\t" in text or "," in text.split(" ")[0]:
        return [cell.strip() for cell in text.split("\t" if "\t" in text else ",", count)]
    words = text.split()
    numbers = count - (header[-1] == "name")
    for i in range(1, len(words) - numbers + 1):
        if all(_is_number(word) for word in words[i : i + numbers]):
            rest = words[i + numbers :]
            middle = words[i : i + numbers]
            return [" ".join(words[:i]), *middle, *([" ".join(rest)] if rest else [])]
    return words


def _is_number(word: str) -> bool:
    return word.rstrip("%").replace(".", "", 1).isdecimal()


def _kernel(line: str, header: list[str], path: str, number: int) -> dict[str, Any]:
    """One row of an operator profile."""
    cells = _cells(line, header)
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
