"""One run of LiteRT's benchmark as its text and its JSON give it, and the rows it makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from perfmodel.measurements.evidence import Said, by_tool, in_log
from perfmodel.measurements.readers.figures import check_agrees
from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.table import bad_input
from perfmodel.zoo.published_names import model_name

_ROUNDED_MS = 0.006
"""Two decimals are printed; half of the last one and a little."""


@dataclass
class LiteRTRun:
    """What a log says of one run of the tool, until its block of results ends."""

    model: str = ""
    replaced: dict[str, tuple[str, int]] = field(default_factory=dict)
    threads: Said | None = None
    unit: Said | None = None
    microseconds: dict[str, float] = field(default_factory=dict)
    fields: dict[str, float] = field(default_factory=dict)
    runs: float = float("nan")
    line: int = 0
    peak_bytes: float = float("nan")
    partial: bool = False


def _unit_of(run: LiteRTRun) -> tuple[Said | None, str]:
    """The unit, and the variant of a model of which a part ran elsewhere."""
    for unit in ("npu", "gpu"):
        if unit in run.replaced:
            share, line = run.replaced[unit]
            return in_log(unit, line), share
    share, line = run.replaced.get("cpu", ("partly", 0))
    if not share:
        return in_log("cpu", line), ""
    on_cpu = run.unit is None or run.unit.value == "cpu"
    return run.unit, "delegate=partial" if run.partial and not on_cpu else ""


def rows_of(run: LiteRTRun, source: SourceText) -> list[dict[str, Any]]:
    fields = run.fields
    missing = [n for n in ("avg", "min", "max") if f"Inference ({n})" not in fields]
    if missing or run.runs != run.runs:
        reason = f"column Inference ({(missing or ['avg'])[0]}): not in the block of results"
        raise bad_input(source.path, len(source.lines), reason, "was the run cut off?")
    unit, variant = _unit_of(run)
    common = {
        "line": run.line,
        "unit": unit,
        "framework": by_tool("tflite"),
        "build": "LiteRT",
        "threads": run.threads if unit is None or unit.value == "cpu" else None,
        "source": f"LiteRT benchmark_model {source.name}",
        "model": model_name(run.model) if run.model else "",
        "source_model": run.model,
        "batch": by_tool(1.0),
        "variant": variant,
    }
    init_ms = fields.get("Model initialization", float("nan"))
    steady = common | {"kind": by_tool("steady"), "runs": run.runs, "load_ms": init_ms}
    rows = [steady | _statistics(run, source) | {"peak_memory_bytes": run.peak_bytes}]
    first_ms = init_ms + fields.get("Warmup (first)", float("nan"))
    if first_ms == first_ms:
        first = {"kind": by_tool("first"), "runs": 1.0, "statistic": "mean", "load_ms": init_ms}
        rows.append(common | first | {"latency_ms": first_ms})
    return rows


def _statistics(run: LiteRTRun, source: SourceText) -> dict[str, Any]:
    """The figures of the block; those in us of the same runs where the log has them."""
    names = ("avg", "min", "max", "median")
    ms = {n: run.fields[f"Inference ({n})"] for n in names if f"Inference ({n})" in run.fields}
    block = run.microseconds
    if block.get("count") == run.runs and {"avg", "min", "max"} <= set(block):
        finer = {name: block[name] / 1e3 for name in names if name in block}
        of = "the line of counts above"
        for name in set(ms) & set(finer):
            if abs(ms[name] - finer[name]) > _ROUNDED_MS:
                column = f"Inference ({name})"
                check_agrees(
                    ms[name],
                    finer[name],
                    share=0.01,
                    path=source.path,
                    line=run.line,
                    column=column,
                    of=of,
                )
        ms |= finer
    median = ms.get("median")
    return {
        "latency_ms": ms["avg"] if median is None else median,
        "statistic": "mean" if median is None else "median",
        "mean_ms": ms["avg"],
        "min_ms": ms["min"],
        "max_ms": ms["max"],
    }
