"""What `compare` answers: networks on targets, and AI-Benchmark's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.render.result import (
    STEADY,
    Data,
    Result,
    ResultFigure,
    ResultTable,
    bar_figure,
    plain,
)
from perfmodel.render.svg import Bar, heat_map
from perfmodel.units import format_ms, format_short

if TYPE_CHECKING:
    from perfmodel.explore.ai_benchmark import AiBenchmark
    from perfmodel.explore.compare import Comparison

MOST_COLUMNS = 4
"""With more targets than this, targets stand down and networks across."""
RELATIVE = "times as fast as the first target"
SUITE_SOURCE = (
    "networks and sizes: Ignatov et al. 2019, arXiv:1910.06663; a network's own note says where a "
    "size is ours (`perfmodel models --json`)"
)


def comparison_data(answer: Comparison, *, relative: bool) -> dict[str, Any]:
    """The JSON contract of `compare`."""
    data: dict[str, Any] = plain(answer)
    head = {"command": "compare", "answer": comparison_sentence(data), "relative": relative}
    return head | data


def grid(data: Data) -> list[Sequence[Data]]:
    """The cells of each network, by target: by place, since two files may have one name."""
    width = len(data["targets"])
    cells = data["cells"]
    return [cells[i * width : (i + 1) * width] for i in range(len(data["models"]))]


def comparison_sentence(data: Data) -> str:
    """The answer in words."""
    known = [c for c in data["cells"] if c["latency_ms"] is not None]
    if not known:
        return "none of these networks has a time on these targets"
    quick = min(known, key=lambda c: c["latency_ms"])
    took = format_ms(quick["latency_ms"])
    if len(data["targets"]) == 1:
        return f"{quick['model']} is the fastest on {quick['target']}: {took}"
    if len(data["models"]) == 1 and len(known) == 1:
        return f"of these only {quick['target']} has a known time for {quick['model']}: {took}"
    if len(data["models"]) == 1:
        slow = max(known, key=lambda c: c["latency_ms"])
        times = slow["latency_ms"] / quick["latency_ms"]
        return (
            f"{quick['target']} is the fastest for {quick['model']}: {took}, "
            f"{format_short(times)} times as fast as {slow['target']}"
        )
    rows = [[c for c in row if c["latency_ms"] is not None] for row in grid(data)]
    wins = [min(row, key=lambda c: c["latency_ms"])["target"] for row in rows if row]
    target = max(dict.fromkeys(wins), key=wins.count)
    return f"{target} is the fastest for {wins.count(target)} of {len(data['models'])} networks"


def comparison_result(data: Data, plot: Path | None = None) -> Result:
    """Describe a comparison: as text a table across, on a page a heat map and every cell.

    `plot` is where the heat map was written to.
    """
    relative, cells = bool(data.get("relative")), data["cells"]
    unit = RELATIVE if relative else "ms"
    far = sum(bool(c["extrapolated"]) for c in cells)
    problems = dict.fromkeys(f"{c['model']}: {c['problem']}" for c in cells if c.get("problem"))
    reasons = dict.fromkeys(
        f"{c['model']} on {c['target']}: {c['precision_reason']}"
        for c in cells
        if c.get("precision_reason")
    ) | dict.fromkeys(f"{c['target']}: {c['stands_for']}" for c in cells if c.get("stands_for"))
    return Result(
        title=f"{len(data['models'])} networks on {len(data['targets'])} targets",
        answer=comparison_sentence(data),
        data=data,
        facts=(
            f"latency in {unit}; * = extrapolated ({far} of {len(cells)})",
            *reasons,
            *(f"? {problem}" for problem in problems),
        ),
        parts=(
            _across(data, relative),
            ResultFigure(title=f"Heat map, {unit}", draw=lambda: comparison_map(data)),
            _cells(cells, unit, "ratio" if relative else "latency_ms"),
        ),
        assumptions=(STEADY,),
        closing=() if plot is None else (f"heat map: {plot}",),
    )


def _across(data: Data, relative: bool) -> ResultTable:
    key = "ratio" if relative else "latency_ms"
    shown = [[_shown(c, key) for c in row] for row in grid(data)]
    if len(data["targets"]) <= MOST_COLUMNS:
        rows = [[m, *row] for m, row in zip(data["models"], shown, strict=True)]
        return ResultTable(headers=["network", *data["targets"]], rows=rows, page_rows=0)
    rows = [[t, *(row[j] for row in shown)] for j, t in enumerate(data["targets"])]
    return ResultTable(headers=["target", *data["models"]], rows=rows, page_rows=0)


def _shown(cell: Data, key: str) -> str:
    value = cell[key]
    return "?" if value is None else format_short(value) + ("*" if cell["extrapolated"] else "")


def _cells(cells: Sequence[Data], unit: str, key: str) -> ResultTable:
    rows = [
        (
            c["model"],
            c["target"],
            "-" if c[key] is None else f"{c[key]:.4g}",
            _bounds(c["interval_ms"]),
            c.get("problem") or ("extrapolated" if c["extrapolated"] else ""),
        )
        for c in cells
    ]
    headers = ("network", "target", unit, "interval ms", "")
    return ResultTable(headers=headers, rows=rows, title="Numbers", text_rows=0)


def _bounds(interval_ms: Sequence[float] | None) -> str:
    return "-" if interval_ms is None else " to ".join(map(format_short, interval_ms))


def comparison_map(data: Data) -> str:
    """The heat map of a comparison: targets down, networks across."""
    relative = bool(data.get("relative"))
    key, unit = ("ratio", RELATIVE) if relative else ("latency_ms", "ms")
    rows = grid(data)
    values = [[row[j][key] for row in rows] for j in range(len(data["targets"]))]
    title = f"networks on targets, {unit}"
    return heat_map(data["targets"], data["models"], values, unit, title)


def suite_data(answer: AiBenchmark) -> dict[str, Any]:
    """AI-Benchmark's tables as plain data."""
    data: dict[str, Any] = plain(answer)
    head = {"command": "compare", "suite": "ai-benchmark", "answer": suite_sentence(data)}
    return head | data


def suite_sentence(data: Data) -> str:
    """The answer in words: the phone asked for against the fastest desktop GPU."""
    mine = [r for r in data["rates"] if r["device"] in data["devices"]]
    rivals = [
        r for r in data["rates"] if r["kind"] == "desktop" and r["target"].split("/")[1] == "gpu"
    ]
    if not mine:
        return "no target answers Inception V3"
    rate = mine[0]["per_second"]
    text = f"{mine[0]['device']} recognises {format_short(rate)} images/s with Inception V3"
    if not rivals:
        return text + "; no desktop GPU has a target to compare it with"
    share = rate / rivals[0]["per_second"]
    return f"{text}, {100 * share:.3g} % of the desktop GPU {rivals[0]['device']}"


def suite_result(data: Data) -> Result:
    """The twelve tests, then mobile against desktop, then generations of processors."""
    rates = [Bar(f"{r['device']} ({r['kind']})", r["per_second"]) for r in data["rates"]]
    rates += [Bar(f"{name} (published)", rate) for name, rate in data["published_rates"]]
    rates.sort(key=lambda r: -r.value)
    speed = "Inception V3, images per second"
    return Result(
        title="AI-Benchmark's tests, predicted",
        answer=suite_sentence(data),
        data=data,
        parts=(
            *(_tests(data, device) for device in data["devices"]),
            bar_figure(speed, lambda: rates, "/s", "images per second"),
            _rates(data, speed),
            _generations(data),
        ),
        assumptions=(STEADY, str(data.get("note", ""))),
        sources=(SUITE_SOURCE,),
    )


def _tests(data: Data, device: str) -> ResultTable:
    """The tests on one device, a configuration a column."""
    mine = [t for t in data["tests"] if t["device"] == device]
    configurations = list(dict.fromkeys(t["configuration"] for t in mine))
    rows = []
    for start in range(0, len(mine), len(configurations)):
        few = mine[start : start + len(configurations)]
        times = [
            _time(t["latency_ms"]) + ("*" if t["extrapolated"] and t["latency_ms"] else "")
            for t in few
        ]
        rates = [t["per_second"] for t in few if t["per_second"] is not None]
        best = f"{max(rates):.3g}" if rates else "-"
        rows.append([few[0]["test"], few[0]["model"], *times, best])
    return ResultTable(
        title=f"{device}: ms per inference, steady (* = extrapolated)",
        headers=["test", "network", *configurations, "best/s"],
        rows=rows,
    )


def _time(latency_ms: float | None) -> str:
    return "no target" if latency_ms is None else format_short(latency_ms)


def _rates(data: Data, title: str) -> ResultTable:
    rows: list[tuple[str, ...]] = [
        (
            r["device"],
            r["kind"],
            "/".join(r["target"].split("/")[1:]),
            format_short(r["latency_ms"]),
            format_short(r["per_second"]),
        )
        for r in data["rates"]
    ]
    rows += [(name, "published", "-", "-", f"{rate:g}") for name, rate in data["published_rates"]]
    headers = ("device", "kind", "target", "ms", "images/s")
    return ResultTable(title=title, headers=headers, rows=rows)


def _generations(data: Data) -> ResultTable:
    rows = [
        (
            g["soc"],
            g["year"],
            f"{g['published_ms']:g}",
            _time(g["latency_ms"]),
            _bounds(g["interval_ms"]),
            g["target"] or "-",
        )
        for g in data["generations"]
    ]
    headers = ("processor", "phone of", "published ms", "ours ms", "interval", "target")
    title = "Inception V3 over generations of phone processors"
    return ResultTable(title=title, headers=headers, rows=rows)
