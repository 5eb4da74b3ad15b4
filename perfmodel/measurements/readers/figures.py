"""Times with the unit that a log prints behind them, and figures that must agree."""

from __future__ import annotations

from perfmodel.measurements.readers.source_text import number_in
from perfmodel.measurements.table import bad_input

TIME_MS = {
    "ns": 1e-6,
    "us": 1e-3,
    "\N{MICRO SIGN}s": 1e-3,
    "\N{GREEK SMALL LETTER MU}s": 1e-3,
    "ms": 1.0,
    "s": 1e3,
    "sec": 1e3,
}
"""Milliseconds of the units of time that tools print."""


def time_ms(text: str, unit: str, path: str, line: int, column: str) -> float:
    """A printed time in ms; MeasurementError where the unit is none of time or there is none."""
    scale = TIME_MS.get(unit)
    if scale is None:
        reason = f"column {column}: {unit[:20]!r} is no unit of time"
        raise bad_input(path, line, reason, f"one of {', '.join(sorted(TIME_MS))}")
    return number_in(text, path, line, column) * scale


def check_agrees(
    stated: float, expected: float, *, share: float, path: str, line: int, column: str, of: str
) -> None:
    """MeasurementError where two figures for one thing differ by more than a share of the larger.

    `of` says in words where the expected figure comes from.
    """
    if abs(stated - expected) > share * max(abs(stated), abs(expected)):
        reason = f"column {column}: {stated:g} contradicts {of}, {expected:g}"
        raise bad_input(path, line, reason, "the file may be damaged, or of two runs")
