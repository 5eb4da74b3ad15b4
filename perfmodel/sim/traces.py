"""Bandwidth traces from files: CSV, space-separated pairs, and mahimahi packet-delivery files."""

from __future__ import annotations

import csv
import math
import reprlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from perfmodel.errors import ScenarioError, nearest_hint
from perfmodel.files import read_text_file
from perfmodel.sim.distributions import LARGEST

MAHIMAHI_PACKET_BITS = 8 * 1500  # one line of a mahimahi file lets one 1500-byte packet pass
MAHIMAHI_BIN_MS = 100  # at 1 Mbit/s eight packets fall into such a bin, so its rate means something
LONGEST_MAHIMAHI_MS = 24 * 3600 * 1000  # of a file: each bin up to its last line takes memory
MAX_TRACE_BYTES = 32_000_000
MAX_ROWS = 1_000_000  # a day at ten rows a second
MAX_DIGITS = 40  # of a whole number, before Python would take long or refuse to read it
LONGEST_STEP = 15.0  # times the median step; the widest in the published traces we read is 9.8


@dataclass(frozen=True)
class Trace:
    """A bandwidth over time: `mbps[i]` holds from `times_s[i]` to the next; times start at zero."""

    times_s: tuple[float, ...]
    mbps: tuple[float, ...]

    @property
    def mean_mbps(self) -> float:
        """Time-weighted mean (Mbit/s), the last value held for the median step."""
        steps = [b - a for a, b in pairwise(self.times_s)]
        steps.append(sorted(steps)[len(steps) // 2] if steps else 1.0)
        bits = math.fsum(m * s for m, s in zip(self.mbps, steps, strict=True))
        return bits / math.fsum(steps)


def read_trace(path: str | Path, column: str | None = None) -> Trace:
    """Read a bandwidth trace; the format is told from its first line.

    CSV with a header (`time_s` and the named column in Mbit/s, by default `downlink_mbps`); CSV or
    space-separated pairs of time (s) and Mbit/s; mahimahi files, one delivery time (ms) per line,
    binned to 100 ms. Rows of the same time are averaged. Raises ScenarioError with the line for
    times that go back, gaps of more than 15 median steps, and values that are no rates.
    """
    path = Path(path)
    lines = _lines(path, "this trace")
    first = next((line.strip() for line in lines if line.strip()), "")
    if not first:
        raise ScenarioError(f"{path}: the trace is empty")
    if _is_whole(first):
        return _mahimahi(path, lines)
    return _checked(
        path, _header_rows(path, lines, column) if _is_header(first) else _pairs(path, lines)
    )


def read_arrivals(path: str | Path) -> tuple[float, ...]:
    """Read arrival times (s): the column `time_s` of a CSV file, or one number per line."""
    path = Path(path)
    lines = _lines(path, "these arrival times")
    numbered = [(i, line.split(",")[0]) for i, line in enumerate(lines, 1) if line.strip()]
    if numbered and _is_header(numbered[0][1]):
        if numbered[0][1].strip() != "time_s":
            raise ScenarioError(f"{path}:1: the first column must be time_s")
        numbered = numbered[1:]
    times: list[float] = []
    for line, value in numbered:
        time_s = _number(path, line, value)
        if times and time_s < times[-1]:
            raise ScenarioError(f"{path}:{line}: time goes back from {times[-1]} to {time_s}")
        times.append(time_s)
    if not times:
        raise ScenarioError(f"{path}: no arrival times")
    return tuple(times)


def _lines(path: Path, what: str) -> list[str]:
    """The lines of a file; ScenarioError for more than anybody would have recorded."""
    text = read_text_file(path, what, most_bytes=MAX_TRACE_BYTES, error=ScenarioError)
    lines = text.splitlines()
    if len(lines) > MAX_ROWS:
        raise ScenarioError(f"{path}: {len(lines)} lines, at most {MAX_ROWS} are read", "split it")
    return lines


Row = tuple[int, float, float]  # line, time in s, Mbit/s


def _is_header(line: str) -> bool:
    return any(character.isalpha() for character in line.replace("e", "").replace("E", ""))


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _number(path: Path, line: int, text: str) -> float:
    shown = reprlib.repr(text.strip())
    try:
        value = float(text)
    except ValueError:
        raise ScenarioError(f"{path}:{line}: {shown} is not a number") from None
    if not (math.isfinite(value) and value >= 0):
        raise ScenarioError(f"{path}:{line}: must be a finite number >= 0, got {shown}")
    if value > LARGEST:
        raise ScenarioError(f"{path}:{line}: must be <= {LARGEST:g}, got {shown}")
    return value


def _header_rows(path: Path, lines: list[str], column: str | None) -> list[Row]:
    reader = csv.DictReader(lines)
    try:
        names = list(reader.fieldnames or [])
        wanted = column or "downlink_mbps"
        for name in ("time_s", wanted):
            if name not in names:
                raise ScenarioError(f"{path}:1: no column {name!r}", nearest_hint(name, names))
        return [
            (
                reader.line_num,
                _number(path, reader.line_num, row["time_s"] or ""),
                _number(path, reader.line_num, row[wanted] or ""),
            )
            for row in reader
        ]
    except csv.Error as error:
        raise ScenarioError(f"{path}:{reader.line_num}: not a table: {error}") from None


def _pairs(path: Path, lines: list[str]) -> list[Row]:
    rows = []
    for number, line in enumerate(lines, 1):
        cells = line.replace(",", " ").split()
        if not cells:
            continue
        if len(cells) != 2:
            raise ScenarioError(
                f"{path}:{number}: expected time (s) and Mbit/s, got {reprlib.repr(line)}"
            )
        rows.append((number, _number(path, number, cells[0]), _number(path, number, cells[1])))
    return rows


def _mahimahi(path: Path, lines: list[str]) -> Trace:
    """Count delivery opportunities per bin; the file repeats after its last time stamp."""
    counts: list[int] = []
    before = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if not _is_whole(line.strip()):
            raise ScenarioError(f"{path}:{number}: a mahimahi line is a whole number of ms")
        if len(line) > MAX_DIGITS or int(line) > LONGEST_MAHIMAHI_MS:
            raise ScenarioError(
                f"{path}:{number}: {reprlib.repr(line)} ms are more than the {LONGEST_MAHIMAHI_MS} "
                "of a day",
                "cut the trace there",
            )
        time_ms = int(line)
        if time_ms < before:
            raise ScenarioError(f"{path}:{number}: time goes back from {before} to {time_ms} ms")
        before = time_ms
        slot = time_ms // MAHIMAHI_BIN_MS
        counts.extend([0] * (slot + 1 - len(counts)))
        counts[slot] += 1
    mbps = tuple(n * MAHIMAHI_PACKET_BITS / MAHIMAHI_BIN_MS / 1000.0 for n in counts)
    return Trace(tuple(i * MAHIMAHI_BIN_MS / 1000.0 for i in range(len(counts))), mbps)


def _checked(path: Path, rows: list[Row]) -> Trace:
    if not rows:
        raise ScenarioError(f"{path}: the trace has a header and nothing else")
    times: list[float] = []
    rates: list[list[float]] = []
    lines: list[int] = []
    for line, time_s, mbps in rows:
        if times and time_s < times[-1]:
            raise ScenarioError(f"{path}:{line}: time goes back from {times[-1]} to {time_s} s")
        if times and time_s == times[-1]:
            rates[-1].append(mbps)
            continue
        times.append(time_s)
        rates.append([mbps])
        lines.append(line)
    steps = [later - sooner for sooner, later in pairwise(times)]
    if steps:
        usual = sorted(steps)[len(steps) // 2]
        widest = max(range(len(steps)), key=steps.__getitem__)
        if steps[widest] > LONGEST_STEP * usual:
            raise ScenarioError(
                f"{path}:{lines[widest + 1]}: a gap of {steps[widest]:g} s from {times[widest]:g} "
                f"s on, where the usual step is {usual:g} s",
                "cut the trace there, or fill the gap with the rates that held",
            )
    mbps_means = tuple(math.fsum(group) / len(group) for group in rates)
    if not max(mbps_means) > 0:
        raise ScenarioError(f"{path}: the rate is zero throughout, nothing would ever arrive")
    return Trace(tuple(time - times[0] for time in times), mbps_means)
