"""What `devices` answers: every target, how good its model is and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perfmodel.render.result import Result, ResultTable, plain
from perfmodel.render.text import percent

if TYPE_CHECKING:
    from perfmodel.devices.registry import TargetLine

HEADERS = ("target", "kind", "median error", "cases", "measured how", "source")
SOURCE_WIDTH = 60


def devices_result(lines: Sequence[TargetLine]) -> Result:
    """Describe the targets; data are their lines."""
    rows = [
        (
            x.target,
            x.kind,
            percent(x.median_error, 1),
            x.cases,
            x.experiment,
            x.source[:SOURCE_WIDTH],
        )
        for x in lines
    ]
    return Result(
        title="Targets",
        answer=f"{len(lines)} targets on {len({line.device for line in lines})} devices",
        data=plain(lines),
        parts=(ResultTable(headers=HEADERS, rows=rows),),
    )
