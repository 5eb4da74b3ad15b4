"""MLPerf Mobile's result.json since version 2.1: an object with `results`, LoadGen's times in s.

Format: flutter/lib/data of mlcommons/mobile_app_open (extended-result.schema.json). Since 3.1 the
performance run holds LoadGen's mean and 90th percentile. Before, it holds the duration of LoadGen's
run and the number of samples, whose ratio is the mean of a single stream; the `throughput` there is
one over the 90th percentile, and is never taken for anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perfmodel.measurements.evidence import Said, by_tool, in_log
from perfmodel.measurements.readers.figures import check_agrees
from perfmodel.measurements.readers.frameworks import framework_and_build
from perfmodel.measurements.readers.results import Reader, ReadResult, base_name, log_result
from perfmodel.measurements.readers.source_text import SourceText, json_lines, json_number
from perfmodel.measurements.table import BadRow, bad_input
from perfmodel.zoo.published_names import model_name

FOR_ACCURACY = "left out: a run for accuracy, not for time"
_MILLISECONDS = 1e3
_UNITS = {
    # Words of an accelerator's code and description -> unit.
    "cpu": "cpu", "gpu": "gpu", "npu": "npu", "ane": "npu", "htp": "npu", "tpu": "npu",
    "edgetpu": "npu", "mdla": "npu", "apu": "npu", "dsp": "dsp", "hexagon": "dsp",
    "nnapi": "nnapi",
}  # fmt: skip
_PRECISIONS = {"fp16": "fp16", "f16": "fp16", "fp32": "fp32", "f32": "fp32"}
_RATES_AGREE = 2.0
"""A rate over the 90th percentile and one over the mean differ by the spread of the runs; twice is
more than a run holds that LoadGen calls valid."""


def _is_results(source: SourceText) -> bool:
    value = source.value
    results = value.get("results") if isinstance(value, Mapping) else None
    return isinstance(results, list) and any(
        isinstance(entry, Mapping) and "benchmark_id" in entry for entry in results
    )


def benchmarks_of(
    source: SourceText, entries: Sequence[Any]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Each benchmark of a file of MLPerf Mobile, and the line of its name.

    Raises `MeasurementError` for one that has no name.
    """
    lines = json_lines(source.text, '"benchmark_id"')
    for i, entry in enumerate(entries):
        line = lines[i] if i < len(lines) else 1
        if not isinstance(entry, Mapping) or not isinstance(entry.get("benchmark_id"), str):
            raise bad_input(source.path, line, f"column benchmark_id: missing in entry {i}")
        yield line, entry


def read(source: SourceText) -> ReadResult:
    """A network row for each single-stream performance run; what else there is, is left out."""
    rows: list[dict[str, Any]] = []
    bad: list[BadRow] = []
    left_out: list[BadRow] = []
    for line, entry in benchmarks_of(source, source.json["results"]):
        run = entry.get("performance_run")
        scenario = entry.get("loadgen_scenario")
        if scenario != "SingleStream":
            reason = f"left out: {str(scenario)[:30]!r} reports a rate, not a latency"
            left_out.append(BadRow(source.path, line, reason))
        elif not isinstance(run, Mapping):
            left_out.append(BadRow(source.path, line, FOR_ACCURACY))
        elif (times := _times(run, source, line)) is None:
            reason = "column performance_run: no latency, and no duration of a number of samples"
            bad.append(BadRow(source.path, line, reason))
        else:
            rows.append(_facets(entry, source, line) | times)
    return log_result(rows, source, bad=bad, left_out=left_out)


def _times(run: Mapping[str, Any], source: SourceText, line: int) -> dict[str, Any] | None:
    """The latency columns of a performance run; None where it states none."""

    def number(values: Mapping[str, Any], *names: str) -> float | None:
        name = next((name for name in names if values.get(name) is not None), None)
        return None if name is None else json_number(values[name], source.path, line, name)

    loadgen = run.get("loadgen_info", run.get("loadgen"))
    loadgen = loadgen if isinstance(loadgen, Mapping) else {}
    samples = number(loadgen, "query_count") or number(run, "measured_samples")
    mean_s, p90_s = number(loadgen, "latency_mean"), number(loadgen, "latency_90", "latency90")
    duration_s = number(loadgen, "duration")
    if mean_s is None and duration_s and samples:
        mean_s = duration_s / samples
    latency_s = mean_s or p90_s
    if not latency_s or latency_s <= 0:
        return None
    throughput = run.get("throughput")
    throughput = throughput if isinstance(throughput, Mapping) else {"value": throughput}
    per_s = number(throughput, "value")
    if per_s is not None and not 1 / _RATES_AGREE < per_s * latency_s < _RATES_AGREE:
        of = "the throughput of a single stream"
        check_agrees(
            latency_s,
            1 / max(per_s, 1e-9),
            share=0.0,
            path=source.path,
            line=line,
            column="latency",
            of=of,
        )
    return {
        "latency_ms": latency_s * _MILLISECONDS,
        "statistic": "mean" if mean_s else "p90",
        "mean_ms": mean_s * _MILLISECONDS if mean_s else float("nan"),
        "p90_ms": p90_s * _MILLISECONDS if p90_s else float("nan"),
        "runs": samples if samples else float("nan"),
    }


def _facets(entry: Mapping[str, Any], source: SourceText, line: int) -> dict[str, Any]:
    settings = entry.get("backend_settings")
    settings = settings if isinstance(settings, Mapping) else {}

    def text(name: str) -> str:
        value = settings.get(name)
        return value[:400] if isinstance(value, str) else ""

    framework, build = framework_and_build(text("framework"))
    file = base_name(text("model_path"))
    model = file or entry["benchmark_id"][:200]
    words = f"{text('accelerator_code')} {text('accelerator_desc')}".lower()
    words = "".join(c if c.isalnum() else " " for c in words)
    batch = settings.get("batch_size")
    return {
        "line": line,
        "unit": _single(_UNITS, words, line),
        "precision": _single(_PRECISIONS, words, line),
        "framework": in_log(framework, line) if framework else None,
        "build": build,
        "threads": None,
        "source": f"MLPerf Mobile {source.name}",
        "soc": _soc(source),
        "model": model_name(model),
        "source_model": model,
        "batch": _batch(batch, line),
        "kind": by_tool("steady"),
    }


def _single(known: Mapping[str, str], words: str, line: int) -> Said | None:
    """The value that the words name, if they name one."""
    named = {known[word] for word in words.split() if word in known}
    return in_log(named.pop(), line) if len(named) == 1 else None


def _batch(batch: Any, line: int) -> Said:
    """The batch size; a single stream of which the file says 0 or nothing asks one by one."""
    stated = isinstance(batch, int) and not isinstance(batch, bool) and 0 < batch < 10**6
    return in_log(float(batch), line) if stated else by_tool(1.0)


def _soc(source: SourceText) -> str:
    """The chip by the environment that the app found, "" where it names none."""
    environment = source.json.get("environment_info")
    values = environment.get("value") if isinstance(environment, Mapping) else None
    for value in values.values() if isinstance(values, Mapping) else ():
        for name in ("soc_name", "proc_cpuinfo_soc_name", "cpu_full_name"):
            chip = value.get(name) if isinstance(value, Mapping) else None
            if isinstance(chip, str) and chip.strip():
                return chip.strip()[:100]
    return ""


READER = Reader("MLPerf Mobile result.json (2.1 and later)", _is_results, read)
