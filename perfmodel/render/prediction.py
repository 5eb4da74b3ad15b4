"""What `predict` answers: the time, how sure it is, where it goes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
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
LAYER_COLUMNS = ("name", "ops", "class", "macs", "bytes", "latency_ms", "bound")
LAYERS_MARK = ",".join(LAYER_COLUMNS).encode()
"""How a file of kernels begins."""


def prediction_data(answer: Prediction) -> dict[str, Any]:
    """The JSON contract of `predict --per-layer`."""
    data: dict[str, Any] = plain(answer)
    data["kernels"] = [
        {("class" if k == "kernel_class" else k): v for k, v in row.items()}
        for row in data["kernels"]
    ]
    return data


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


def layers_csv(kernels: Sequence[Mapping[str, Any]]) -> str:
    """The kernels of a prediction as CSV, one a row; fused operators are joined by `+`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LAYER_COLUMNS)
    for k in kernels:
        writer.writerow("+".join(k[c]) if c == "ops" else k[c] for c in LAYER_COLUMNS)
    return text.getvalue()
