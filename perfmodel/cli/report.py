"""`perfmodel report`: a result as one HTML page."""

from __future__ import annotations

from pathlib import Path

from perfmodel.cli.output import print_json
from perfmodel.render.report import report
from perfmodel.units import format_bytes


def report_command(result: Path, output: Path | None, *, as_json: bool) -> int:
    """Write the page; returns the exit code."""
    written = report(result, output)
    if as_json:
        print_json(written)
    else:
        print(f"{written.answer}\nwrote {written.output} ({format_bytes(written.size_bytes)})")
    return 0
