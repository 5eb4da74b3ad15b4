"""What `predict` answers: the time, how sure it is, where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.render.result import STEADY, Data, Result, ResultFigure, ResultTable, plain
from perfmodel.render.svg import Bar, bars
from perfmodel.render.text import percent
from perfmodel.units import format_bytes, format_count, format_ms

if TYPE_CHECKING:
    from perfmodel.prediction import Prediction

HEAVIEST = 10
PLOTTED = 30
HEADERS = ("kernel", "class", "MACs", "bytes", "ms", "share", "bound")


def prediction_data(answer: Prediction, *, fps: bool = False) -> dict[str, Any]:
    """The JSON contract of `predict --per-layer`; with `fps` frames per second too."""
    data: dict[str, Any] = plain(answer)
    data["kernels"] = [
        {("class" if k == "kernel_class" else k): v for k, v in row.items()}
        for row in data["kernels"]
    ]
    if fps and not data["unknown"]:
        low, high = data["interval_ms"]
        data["frames_per_second"] = plain(_rate(data, data["latency_ms"]))
        data["frames_per_second_interval"] = plain([_rate(data, high), _rate(data, low)])
    return data


def _rate(data: Data, latency_ms: float) -> float:
    """Frames per second where each batch begins when the last one is done."""
    return 1000.0 * float(data["batch_size"]) / latency_ms


def prediction_result(data: Data, *, per_layer: bool = True, written: Sequence[str] = ()) -> Result:
    """Describe a prediction; without `per_layer` only its heaviest kernels, in text alone.

    `written` are files that hold its kernels.
    """
    kernels = data.get("kernels", ())
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
        parts=_every_kernel(kernels) if per_layer else _heaviest(kernels),
        assumptions=(STEADY, *data.get("notes", ())),
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
    rate = f"{data['frames_per_second']:.3g} frames per second ({low:.3g} to {high:.3g})"
    return (f"{rate}, one {'after the other' if data['batch_size'] == 1 else 'batch at a time'}",)


def _energy(data: Data) -> tuple[str, ...]:
    """Energy above idle with its interval and source, where it is known and the latency too."""
    energy = data.get("energy")
    if not energy or data.get("unknown"):
        return ()
    low, high = energy["interval_mj"]
    return (f"energy {energy['mj']:.3g} mJ ({low:.3g} to {high:.3g}) by {energy['source']}",)


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


def _heaviest(kernels: Sequence[Data]) -> tuple[ResultTable | ResultFigure, ...]:
    heavy = sorted(kernels, key=lambda k: -k["latency_ms"])
    return (_table(heavy, text_rows=HEAVIEST, page_rows=0),)


def _every_kernel(kernels: Sequence[Data]) -> tuple[ResultTable | ResultFigure, ...]:
    if not kernels:
        return ()
    heavy = sorted(kernels, key=lambda k: -k["latency_ms"])[:PLOTTED]
    classes: dict[str, float] = {}
    for k in kernels:
        classes[k["class"]] = classes.get(k["class"], 0.0) + k["latency_ms"]
    ordered = sorted(classes.items(), key=lambda c: -c[1])
    return (
        ResultFigure(
            title="Time by kind of kernel",
            draw=lambda: bars([Bar(n, v) for n, v in ordered], "ms", "by class"),
        ),
        ResultFigure(
            title="The heaviest kernels",
            draw=lambda: bars(
                [Bar(k["name"], k["latency_ms"], note=k["bound"]) for k in heavy], "ms", "kernels"
            ),
        ),
        _table(kernels, title="Every kernel, in order"),
    )


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
            k["name"][:44],
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
        text_rows=text_rows,
        page_rows=page_rows,
        rest="more kernels (--per-layer shows all)",
    )
