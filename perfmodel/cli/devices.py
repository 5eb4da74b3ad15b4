"""`perfmodel devices`: every target, how good its model is and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfmodel.cli.output import print_json
from perfmodel.devices.profile import KINDS
from perfmodel.devices.registry import list_targets
from perfmodel.errors import PerfmodelError
from perfmodel.render.text import percent, table


def devices_command(*, kind: str, match: str, profiles: Sequence[Path], as_json: bool) -> int:
    """Print the targets; returns the exit code."""
    if kind and kind not in KINDS:
        raise PerfmodelError(f"--kind {kind!r} is none of {', '.join(KINDS)}")
    lines = [
        line
        for line in list_targets(profiles)
        if (not kind or line.kind == kind) and match.lower() in line.target
    ]
    if as_json:
        print_json(lines)
        return 0
    count = len({line.device for line in lines})
    print(f"{len(lines)} targets on {count} devices")
    rows = [
        (x.target, x.kind, percent(x.median_error, 1), x.cases, x.experiment, x.source[:60])
        for x in lines
    ]
    headers = ("target", "kind", "median error", "cases", "measured how", "source")
    print(table(headers, rows))
    return 0
