"""What `partition` answers: the pieces, where they run, what lies between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.render.cut_curve import curve_svg, totals
from perfmodel.render.result import (
    STEADY,
    Data,
    Result,
    ResultFigure,
    ResultTable,
    bar_figure,
    plain,
)
from perfmodel.render.svg import Bar
from perfmodel.units import format_bytes, format_ms, format_short

if TYPE_CHECKING:
    from perfmodel.plans.plan import PartitionResult

SAME = 0.005
"""Times that differ by less than half a percent are equal: the answer prints three digits."""


def plan_data(result: PartitionResult) -> dict[str, Any]:
    """The JSON contract of `partition`."""
    data: dict[str, Any] = plain(result)
    data.pop("op_order")
    data["speedup"] = result.speedup
    if result.curve is not None:
        data["curve"]["total_ms"] = list(result.curve.total_ms)
    return data


def plan_sentence(data: Data) -> str:
    """The answer in words."""
    if data.get("unknown") or data.get("unpartitioned_unknown"):
        return _unsure_sentence(data)
    better = data["unpartitioned_ms"] / data["latency_ms"]
    if better > 1 + SAME:
        verdict = f"{better:.2f} times as fast as in one piece"
    elif better > 1 - SAME:
        verdict = "no faster than in one piece"
    else:
        verdict = f"{1 / better:.2f} times the time in one piece"
    return (
        f"{_pieces(data)} takes {format_ms(data['latency_ms'])}: {verdict} "
        f"({format_ms(data['unpartitioned_ms'])} on {data['unpartitioned_target']})"
    )


def _pieces(data: Data) -> str:
    pieces = "1 piece" if data["k"] == 1 else f"{data['k']} pieces"
    return f"{data['model']} in {pieces} ({data['criterion']})"


def _unsure_sentence(data: Data) -> str:
    """The answer in words where the time of the plan or that in one piece is no answer."""
    unknown, alone = data.get("unknown"), data.get("unpartitioned_unknown")
    target = data["unpartitioned_target"]
    if data["k"] == 1 and data["segments"][0]["target"] == target:
        return f"{_pieces(data)} on {target}: {alone}"
    time = f": {unknown}" if unknown else f" takes {format_ms(data['latency_ms'])}"
    whole = alone or format_ms(data["unpartitioned_ms"])
    return f"{_pieces(data)}{time}; in one piece on {target}: {whole}"


def plan_result(data: Data, plot: Path | None = None) -> Result:
    """Describe a plan; `plot` is where its curve was written to."""
    criterion, energy = data["criterion"], data.get("energy_mj")
    how = f"best among {data['exact_over']}" if criterion == "optimal" else f"pieces by {criterion}"
    energies = (
        () if energy is None or data.get("unknown") else (f"energy {format_short(energy)} mJ",)
    )
    settle = (data["settle"],) if data.get("settle") else ()
    return Result(
        title=f"{data['model']} in pieces",
        answer=plan_sentence(data),
        data=data,
        facts=(*settle, how, *energies, *map(str, data.get("notes", ()))),
        parts=(
            bar_figure("Where the time goes", lambda: _plot(data), "ms", "segments and boundaries"),
            _segments(data),
            _boundaries(data),
            *_curve(data),
        ),
        assumptions=(STEADY,),
        closing=[f"wrote {path}" for path in (*data.get("emitted", ()), *([plot] if plot else []))],
    )


def _plot(data: Data) -> list[Bar]:
    rows = [
        Bar(f"{s['first_op']} to {s['last_op']}: {s['target']}", s["latency_ms"])
        for s in data["segments"]
    ]
    rows += [Bar(f"moving after {b['after_op']}", b["latency_ms"]) for b in data["boundaries"]]
    return rows


def plan_curve(data: Data) -> ResultFigure:
    """Latency over the cut point of two pieces."""
    title = f"{data['model']}: latency over the cut point"
    return ResultFigure(title=title, draw=lambda: curve_svg(data["curve"], title))


def _curve(data: Data) -> list[ResultFigure]:
    curve = data.get("curve")
    known = curve is not None and any(whole is not None for whole in totals(curve))
    return [plan_curve(data)] if known else []


def _segments(data: Data) -> ResultTable:
    segments = data["segments"]
    longest = max(s["latency_ms"] for s in segments) or 1.0
    rows = [
        (
            f"{s['first_op']}-{s['last_op']}",
            f"{s['first_name'][:24]} .. {s['last_name'][:24]}",
            s["target"],
            format_bytes(s["weights_bytes"]),
            format_bytes(s["memory_bytes"]) if "memory_bytes" in s else "",
            f"{s['latency_ms']:.3f}",
        )
        for s in segments
    ]
    time = "ms (estimated)" if data.get("unknown") else "ms"
    headers = ("ops", "from .. to", "target", "weights", "memory", time)
    bar_shares = [s["latency_ms"] / longest for s in segments]
    return ResultTable(title="Pieces", headers=headers, rows=rows, bars=bar_shares)


def _boundaries(data: Data) -> ResultTable:
    rows = [
        (b["after_op"], b["tensors"], format_bytes(b["bytes"]), f"{b['latency_ms']:.3f}")
        for b in data["boundaries"]
    ]
    headers = ("cut after op", "tensors", "bytes", "moving ms")
    return ResultTable(title="Between them", headers=headers, rows=rows)
