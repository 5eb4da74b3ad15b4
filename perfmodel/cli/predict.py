"""`perfmodel predict`: one network on one target, or a table of queries."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from perfmodel.cli.output import parse_sizes, plain, print_json
from perfmodel.errors import PerfmodelError
from perfmodel.prediction import Prediction, predict, predict_many
from perfmodel.render.text import bar, percent, table
from perfmodel.units import format_bytes, format_count, format_ms

MAX_QUERIES = 5_000_000
HEAVIEST = 10


def predict_command(
    model: str | None,
    on: str,
    *,
    batch_size: int | None,
    kind: str,
    per_layer: bool,
    allow_uncovered: bool,
    dims: Sequence[str],
    export_model_explorer: Path | None,
    profiles: Sequence[Path],
    as_json: bool,
) -> int:
    """Predict and print; returns the exit code."""
    if not model or not on:
        raise PerfmodelError(
            "predict needs a MODEL and --on TARGET",
            "for example: perfmodel predict mobilenet_v2 --on snapdragon-855-plus/cpu",
        )
    from perfmodel.formats.load import load

    graph = load(model, dims=parse_sizes(dims))
    answer = predict(
        graph,
        on,
        batch_size=batch_size,
        profiles=profiles,
        allow_uncovered=allow_uncovered,
    )
    if kind != answer.kind:
        raise PerfmodelError(
            f"{answer.target} answers latency kind {answer.kind!r}, not {kind!r}",
            "kinds are never mixed: calibrate a target for that kind, or simulate the scenario",
        )
    if export_model_explorer is not None:
        _export(answer, export_model_explorer)
    if as_json:
        print_json(prediction_json(answer, per_layer))
    else:
        print(prediction_text(answer, per_layer))
    return 0


def prediction_json(answer: Prediction, per_layer: bool) -> dict[str, Any]:
    """The JSON contract of `predict`; kernels only with `per_layer`."""
    data: dict[str, Any] = plain(answer)
    kernels = data.pop("kernels")
    if per_layer:
        data["kernels"] = [
            {("class" if k == "kernel_class" else k): v for k, v in row.items()} for row in kernels
        ]
    return data


def prediction_text(answer: Prediction, per_layer: bool) -> str:
    """The answer for people: one line first, then why."""
    low, high = answer.interval_ms
    lines = [
        f"{answer.model} takes {format_ms(answer.latency_ms)} on {answer.target} "
        f"({percent(answer.interval_coverage)} interval {format_ms(low)} to {format_ms(high)}; "
        f"{answer.kind}, batch {answer.batch_size})",
        f"  {format_count(answer.macs)}MAC, {format_count(answer.params)} parameters, "
        f"weights {format_bytes(answer.weights_bytes)}, "
        f"activations at peak {format_bytes(answer.peak_activation_bytes)}",
        f"  target's median error {percent(answer.error.median, 1)} "
        f"({answer.error.experiment}, {answer.error.cases} cases); "
        f"calibrated on {answer.provenance.measurements} measurements: {answer.provenance.source}",
    ]
    if answer.extrapolated:
        named = ", ".join(answer.novel_kernels[:4]) or "its size"
        lines.append(f"  extrapolated: outside what the target was calibrated on ({named})")
    if answer.uncovered_ops:
        lines.append(f"  NOT in this time (uncovered): {', '.join(answer.uncovered_ops)}")
    return "\n".join([*lines, "", kernel_table(answer, per_layer)])


def kernel_table(answer: Prediction, per_layer: bool) -> str:
    """The kernels of a prediction with bars: all in order, or the heaviest."""
    kernels = list(answer.kernels)
    if not per_layer:
        kernels = sorted(kernels, key=lambda k: -k.latency_ms)[:HEAVIEST]
    longest = max((k.latency_ms for k in kernels), default=1.0) or 1.0
    rows = [
        (
            k.name[:44],
            k.kernel_class,
            format_count(k.macs),
            format_bytes(k.bytes),
            f"{k.latency_ms:.3f}",
            percent(k.latency_ms / answer.latency_ms, 1),
            k.bound,
            bar(k.latency_ms / longest, 20),
        )
        for k in kernels
    ]
    text = table(("kernel", "class", "MACs", "bytes", "ms", "share", "bound", ""), rows)
    rest = len(answer.kernels) - len(kernels)
    return text + (f"\n... and {rest} more kernels (--per-layer shows all)" if rest else "")


def _export(answer: Prediction, path: Path) -> None:
    from perfmodel.render.model_explorer import write_node_data

    # operators fused into one kernel share its time; the first of them carries it
    values = {k.ops[0]: k.latency_ms for k in answer.kernels}
    write_node_data(path, values)


def queries_command(
    queries: Path,
    output: Path | None,
    *,
    profiles: Sequence[Path],
    allow_uncovered: bool,
    as_json: bool,
) -> int:
    """Answer a CSV of queries; bad rows fill `error`, the others still answer."""
    from perfmodel.files import write_atomically

    started = time.perf_counter()
    rows = list(_read_queries(queries))
    answers = predict_many(
        ((r["model"], r["target"], r["batch_size"]) for r in rows),
        profiles=profiles,
        allow_uncovered=allow_uncovered,
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    extra = ("latency_ms", "low_ms", "high_ms", "extrapolated", "error")
    writer.writerow(("model", "target", "batch_size", *extra))
    failed = 0
    for row, answer in zip(rows, answers, strict=True):
        asked = (row["model"], row["target"], row["batch_size"] or "")
        if isinstance(answer, Prediction):
            low, high = answer.interval_ms
            times = (f"{v:.6g}" for v in (answer.latency_ms, low, high))
            writer.writerow((*asked, *times, str(answer.extrapolated).lower(), ""))
        else:
            failed += 1
            writer.writerow((*asked, "", "", "", "", str(answer)))
    elapsed = time.perf_counter() - started
    summary = f"{len(rows)} queries, {failed} with an error, {elapsed:.2f} s"
    if output is not None:
        write_atomically(output, text.getvalue())
    if as_json:
        print_json({"queries": len(rows), "errors": failed, "elapsed_s": elapsed})
    elif output is not None:
        print(f"{summary}; answers in {output}")
    else:
        print(text.getvalue(), end="")
    return 0


def _read_queries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"model", "target"} - set(reader.fieldnames or ())
            if missing:
                raise PerfmodelError(
                    f"{path}: line 1: no column {sorted(missing)[0]!r}",
                    "columns are model,target[,batch_size]",
                )
            for count, row in enumerate(reader):
                if count >= MAX_QUERIES:
                    raise PerfmodelError(f"{path}: more than {MAX_QUERIES} rows", "split the file")
                yield _query(row, path, reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PerfmodelError(f"{path}: cannot be read: {error}") from None


def _query(row: dict[str, Any], path: Path, line: int) -> dict[str, Any]:
    batch = (row.get("batch_size") or "").strip()
    if batch and (not batch.isdigit() or not 0 < int(batch) <= 65536):
        raise PerfmodelError(f"{path}: line {line}: batch_size {batch!r} is no whole number >= 1")
    return {
        "model": (row["model"] or "").strip(),
        "target": (row["target"] or "").strip(),
        "batch_size": int(batch) if batch else None,
    }
