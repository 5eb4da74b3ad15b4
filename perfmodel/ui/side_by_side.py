"""A comparison's best targets by unit and arithmetic: CPU, GPU and NPU, float and int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from perfmodel.render.result import Result, ResultTable
from perfmodel.target import QUANTISED, UNITS
from perfmodel.units import format_ms

ARITHMETIC = ("float", "int8")


def best_of_each(compared: Result, device: str) -> Result:
    """The comparison of one network on all targets of a device, the table of its best ones first.

    A cell is the least latency of all runtimes and precisions of a unit and an arithmetic, with its
    interval and the target; a dash where the device has none or none can run the network.
    """
    best: dict[tuple[str, str], Mapping[str, Any]] = {}
    for cell in compared.data["cells"]:
        if cell["latency_ms"] is None:
            continue
        _, unit, _, precision, *_ = cell["target"].split("/")
        place = unit, ARITHMETIC[precision in QUANTISED]
        if place not in best or cell["latency_ms"] < best[place]["latency_ms"]:
            best[place] = cell
    units = [u for u in UNITS if any(u == unit for unit, _ in best)]
    rows = [[u.upper(), *(_shown(best.get((u, a))) for a in ARITHMETIC)] for u in units]
    table = ResultTable(
        title=f"{device}: the fastest of each unit",
        headers=("unit", *ARITHMETIC),
        rows=rows,
    )
    first, *reasons = compared.facts
    return replace(
        compared,
        title=f"{device} side by side",
        facts=(first,),
        parts=(table, *compared.parts),
        assumptions=(*compared.assumptions, *reasons),  # a line for each target: below the figures
    )


def _shown(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "-"
    runtime = "/".join(cell["target"].split("/")[2:])
    low, high = cell["interval_ms"]
    mark = ", extrapolated" if cell["extrapolated"] else ""
    span = f"{format_ms(low)} to {format_ms(high)}"
    return f"{format_ms(cell['latency_ms'])} ({span}; {runtime}{mark})"
