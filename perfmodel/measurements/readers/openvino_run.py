"""One run of OpenVINO's `benchmark_app` as its log or report gives it, and the rows it makes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from perfmodel.measurements.evidence import Said, by_tool, in_log
from perfmodel.measurements.readers.figures import check_agrees
from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.table import BadRow, bad_input
from perfmodel.zoo.published_names import model_name

NAN = float("nan")
_UNITS = {"cpu": "cpu", "gpu": "gpu", "npu": "npu", "myriad": "npu", "hddl": "npu", "gna": "dsp"}
_OVERHEAD = 0.3
"""Share of the duration that a run of one request may spend between inferences: a tenth of a
millisecond a request, which is much where the inference takes a third of one."""


@dataclass
class OpenVinoRun:
    """What is known of a run: times in ms by statistic, frames per second, how it was run."""

    model: str = ""
    unit: Said | None = None
    batch: Said | None = None
    threads: Said | None = None
    requests: float = NAN
    times: dict[str, float] = field(default_factory=dict)
    percentile: float = 50.0
    runs: float = NAN
    per_s: float = NAN
    load_ms: float = 0.0
    first_ms: float = NAN
    line: int = 1


def unit_of_device(device: str, said: Callable[[str], Said]) -> Said | None:
    """The unit of a device such as CPU, GPU.0 or NPU; None for AUTO, HETERO and mixtures."""
    words = re.findall(r"[A-Za-z]+", device)
    units = {_UNITS.get(word.lower()) for word in words}
    unit = units.pop() if len(units) == 1 else None
    return said(unit) if unit else None


def rows_of(run: OpenVinoRun, source: SourceText) -> tuple[list[dict[str, Any]], list[BadRow]]:
    """A steady row and, where it is known, a first row; or the reason why the run is left out."""
    statistic, latency = _latency(run, source)
    middle = run.times.get("mean", latency)
    together = run.runs * middle / run.times["duration"]
    at_a_time = run.requests if run.requests == run.requests else max(1.0, round(together))
    if at_a_time > 1:
        reason = f"left out: the latency of {at_a_time:g} requests at a time; run with -api sync"
        return [], [BadRow(source.path, run.line, reason)]
    expected = run.times["duration"] / run.runs
    of = "the duration over the count of iterations"
    check_agrees(
        middle, expected, share=_OVERHEAD, path=source.path, line=run.line, column="latency", of=of
    )
    frames = run.per_s * expected / 1e3
    batch = run.batch or (in_log(float(round(frames)), run.line) if round(frames) else None)
    of = "the frames of an iteration by throughput and duration"
    stated = float(batch.value) if batch is not None else 0.0
    check_agrees(stated, frames, share=0.05, path=source.path, line=run.line, column="batch", of=of)
    common: dict[str, Any] = {
        "line": run.line,
        "unit": run.unit,
        "framework": by_tool("openvino"),
        "threads": run.threads if run.unit is not None and run.unit.value == "cpu" else None,
        "source": f"OpenVINO benchmark_app {source.name}",
        "model": model_name(run.model.removesuffix(".xml")) if run.model else "",
        "source_model": run.model,
        "batch": batch,
    }
    load = {"load_ms": run.load_ms or NAN}
    steady = common | load | {"kind": by_tool("steady"), "runs": run.runs, "statistic": statistic}
    columns = {f"{n}_ms": run.times[n] for n in ("min", "mean", "max") if n in run.times}
    rows = [steady | columns | {"latency_ms": latency}]
    if run.first_ms == run.first_ms and run.load_ms:
        first: dict[str, Any] = {"kind": by_tool("first"), "runs": 1.0, "statistic": "mean"}
        rows.append(common | load | first | {"latency_ms": run.load_ms + run.first_ms})
    return rows, []


def _latency(run: OpenVinoRun, source: SourceText) -> tuple[str, float]:
    """The statistic and the latency: the median, else the mean, else the 90th percentile."""
    for name, statistic in (("median", "median"), ("mean", "mean")):
        if name in run.times and _complete(run):
            return statistic, run.times[name]
    if run.percentile == 90 and "percentile" in run.times and _complete(run):
        return "p90", run.times["percentile"]
    reason = "the results lack a latency, the count of iterations or the duration"
    raise bad_input(source.path, run.line, reason, "was the run cut off?")


def _complete(run: OpenVinoRun) -> bool:
    return run.runs > 0 and run.times.get("duration", 0) > 0 and run.per_s > 0
