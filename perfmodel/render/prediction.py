"""What `predict` answers: the time, how sure it is, where it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.kernels.titles import CLASS_TITLES
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
from perfmodel.render.text import percent
from perfmodel.units import format_bytes, format_count, format_ms, format_short

if TYPE_CHECKING:
    from perfmodel.prediction import Prediction

HEAVIEST = 5
PLOTTED = 30
NAMED = 32
"""Letters of a layer's name that are shown: the last ones tell layers apart."""
ASSUMED: Mapping[str, tuple[str, ...]] = {
    "steady": (STEADY,),
    "first": (
        "first run of a network that has the unit to itself: its file is opened, its kernels are "
        "prepared, and one inference is run",
    ),
}
"""What an answer of a kind of latency takes for granted."""
HEADERS = ("kernel", "layer", "class", "MACs", "bytes", "ms", "share", "bound")
MAY_GO = ("class", "bound", "bytes", "layer")
"""Columns of kernels that go first where a terminal is narrow."""


def prediction_data(answer: Prediction, *, fps: bool = False) -> dict[str, Any]:
    """The JSON contract of `predict --per-layer`; with `fps` frames per second too."""
    data: dict[str, Any] = plain(answer)
    data["kernels"] = [
        {("class" if k == "kernel_class" else k): v for k, v in row.items()}
        for row in data["kernels"]
    ]
    data["by_class"] = _sums(data["kernels"], "class")
    data["by_block"] = _sums(data["kernels"], "block")
    if fps and not data["unknown"]:
        low, high = data["interval_ms"]
        data["frames_per_second"] = plain(_rate(data, data["latency_ms"]))
        data["frames_per_second_interval"] = plain([_rate(data, high), _rate(data, low)])
    return data


def _sums(kernels: Sequence[Data], part: str) -> list[dict[str, Any]]:
    """Time of the kernels of each class or block: blocks in their order, longest classes first.

    Nothing where a kernel's part is not known.
    """
    if not all(k.get(part) for k in kernels):
        return []
    total = sum(k["latency_ms"] for k in kernels) or 1.0
    found: dict[str, list[float]] = {}
    for k in kernels:
        found.setdefault(k[part], []).append(k["latency_ms"])
    rows = [
        {part: name, "kernels": len(ms), **plain({"latency_ms": sum(ms), "share": sum(ms) / total})}
        for name, ms in found.items()
    ]
    return rows if part == "block" else sorted(rows, key=lambda r: -r["latency_ms"])


def _rate(data: Data, latency_ms: float) -> float:
    """Frames per second where each batch begins when the last one is done."""
    return 1000.0 * float(data["batch_size"]) / latency_ms


def prediction_result(data: Data, *, per_layer: bool = True, written: Sequence[str] = ()) -> Result:
    """Describe a prediction; without `per_layer` only its heaviest kernels, in text alone.

    `written` are files that hold its kernels.
    """
    shown = data if per_layer else {k: v for k, v in data.items() if k != "kernels"}
    return Result(
        title=f"{data['model']} on {data['target']}",
        answer=prediction_sentence(data),
        data=shown,
        facts=(
            *([data["settle"]] if data.get("settle") else []),
            *_frames(data),
            _network(data),
            *_energy(data),
            *_sure(data),
        ),
        parts=_parts(data, per_layer),
        assumptions=(*ASSUMED.get(data["kind"], ()), *data.get("notes", ())),
        sources=_provenance(data),
        closing=[f"wrote {path}" for path in written],
    )


def prediction_sentence(data: Data) -> str:
    """The answer in words, with why this precision; an interval too wide is no answer."""
    reasons = (data.get("precision_reason"), data.get("stands_for"))
    kind = "; ".join([f"{data['kind']}, batch {data['batch_size']}", *filter(None, reasons)])
    if data.get("unknown"):
        return f"{data['model']} on {data['target']}: {data['unknown']} ({kind})"
    low, high = data["interval_ms"]
    return (
        f"{data['model']} takes {format_ms(data['latency_ms'])} on {data['target']} "
        f"({percent(data['interval_coverage'])} interval {format_ms(low)} to {format_ms(high)}; "
        f"{kind})"
    )


def _network(data: Data) -> str:
    return (
        f"{format_count(data['macs'])}MAC, {format_count(data['params'])} parameters, "
        f"weights {format_bytes(data['weights_bytes'])}, "
        f"activations at peak {format_bytes(data['peak_activation_bytes'])}"
    )


def _frames(data: Data) -> tuple[str, ...]:
    """Frames per second, where they were asked for."""
    if "frames_per_second" not in data:
        return ()
    low, high = data["frames_per_second_interval"]
    rate = f"{format_short(data['frames_per_second'])} frames per second"
    rate += f" ({format_short(low)} to {format_short(high)})"
    return (f"{rate}, one {'after the other' if data['batch_size'] == 1 else 'batch at a time'}",)


def _energy(data: Data) -> tuple[str, ...]:
    """Energy above idle with its interval and source, where it is known and the latency too."""
    energy = data.get("energy")
    if not energy or data.get("unknown"):
        return ()
    low, high = energy["interval_mj"]
    interval = f"({format_short(low)} to {format_short(high)})"
    return (f"energy {format_short(energy['mj'])} mJ {interval} by {energy['source']}",)


def _sure(data: Data) -> tuple[str, ...]:
    error = data["error"]
    lines = [
        f"target's median error {percent(error['median'], 1)} "
        f"({error['experiment']}, {error['cases']} cases)"
    ]
    if data["extrapolated"]:
        named = ", ".join(data.get("novel_kernels", ())[:4]) or "its size"
        lines.append(f"extrapolated: outside what the target was calibrated on ({named})")
    if data["uncovered_ops"]:
        lines.append(f"NOT in this time (uncovered): {', '.join(data['uncovered_ops'])}")
    return tuple(lines)


def _provenance(data: Data) -> tuple[str, ...]:
    origin = data["provenance"]
    build = f"; {origin['build']}" if origin.get("build") else ""
    return (f"calibrated on {origin['measurements']} measurements: {origin['source']}{build}",)


def _parts(data: Data, per_layer: bool) -> tuple[ResultTable | ResultFigure, ...]:
    kernels = data.get("kernels", ())
    classes = data.get("by_class") or _sums(kernels, "class")
    blocks = data.get("by_block") or _sums(kernels, "block")
    every = _every_kernel(kernels) if per_layer else _heaviest(kernels)
    return (
        *_figures(classes, "class", "Time by class of kernel"),
        _summed(classes, "class", "time by class of kernel"),
        *_figures(blocks, "block", "Time by part of the network"),
        _summed(blocks, "block", "time by part of the network", None if per_layer else 0),
        *every,
    )


def _called(row: Data, part: str) -> str:
    name = str(row[part])
    return CLASS_TITLES.get(name, name) if part == "class" else name


def _figures(sums: Sequence[Data], part: str, title: str) -> tuple[ResultFigure, ...]:
    """Bars of the times, under a caption that names the longest."""
    if not sums:
        return ()
    most = max(sums, key=lambda r: r["latency_ms"])
    named = f"{title}; most of it: {_called(most, part)}, {percent(most['share'])}"
    rows = [
        Bar(
            _called(r, part),
            r["latency_ms"],
            note=f"{percent(r['share'], 1)}, {r['kernels']} kernels",
        )
        for r in sums
    ]
    return (bar_figure(named, lambda: rows, "ms", f"by {part}"),)


def _summed(
    sums: Sequence[Data], part: str, title: str, text_rows: int | None = None
) -> ResultTable:
    longest = max((r["latency_ms"] for r in sums), default=0.0) or 1.0
    rows = [
        (_called(r, part), r["kernels"], f"{r['latency_ms']:.3f}", percent(r["share"], 1))
        for r in sums
    ]
    return ResultTable(
        headers=(part, "kernels", "ms", "share"),
        rows=rows,
        title=title,
        bars=[r["latency_ms"] / longest for r in sums],
        text_rows=text_rows,
    )


def _heaviest(kernels: Sequence[Data]) -> tuple[ResultTable | ResultFigure, ...]:
    heavy = sorted(kernels, key=lambda k: -k["latency_ms"])
    return (_table(heavy, title="the heaviest kernels", text_rows=HEAVIEST, page_rows=0),)


def _every_kernel(kernels: Sequence[Data]) -> tuple[ResultTable | ResultFigure, ...]:
    if not kernels:
        return ()
    heavy = sorted(kernels, key=lambda k: -k["latency_ms"])[:PLOTTED]
    rows = [
        Bar(_title(k), k["latency_ms"], note=f"{k['name']}, bound by {k['bound']}") for k in heavy
    ]
    return (
        bar_figure("The heaviest kernels", lambda: rows, "ms", "kernels"),
        _table(kernels, title="Every kernel, in order"),
    )


def _title(kernel: Data) -> str:
    return str(kernel.get("title") or kernel["name"])


def _table(
    kernels: Sequence[Data],
    title: str = "",
    text_rows: int | None = None,
    page_rows: int | None = None,
) -> ResultTable:
    """Kernels with their shares; bars are relative to the longest."""
    longest = max((k["latency_ms"] for k in kernels), default=0.0) or 1.0
    total = sum(k["latency_ms"] for k in kernels) or 1.0
    rows = [
        (
            _title(k),
            k["name"][-NAMED:],
            k["class"],
            format_count(k["macs"]),
            format_bytes(k["bytes"]),
            f"{k['latency_ms']:.3f}",
            percent(k["latency_ms"] / total, 1),
            k["bound"],
        )
        for k in kernels
    ]
    return ResultTable(
        headers=HEADERS,
        rows=rows,
        title=title,
        bars=[k["latency_ms"] / longest for k in kernels],
        optional=MAY_GO,
        text_rows=text_rows,
        page_rows=page_rows,
        rest="more kernels (--per-layer shows all)",
    )
