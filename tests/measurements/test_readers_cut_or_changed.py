"""A log that was cut or changed gives the right figures or is refused, never wrong ones."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.errors import MeasurementError
from perfmodel.measurements.evidence import FACETS
from perfmodel.measurements.readers.listed import READERS
from perfmodel.measurements.readers.source_text import SourceText

SAMPLES = Path(__file__).parent / "samples"
NAMES = (
    "ai_hub_perf.yaml", "ai_hub_perf_2025.yaml", "ai_hub_perf_llm.yaml",
    "ai_hub_summary.log", "executorch_inspector.md",
    "executorch_inspector.tsv", "litert_cpu.log", "litert_lm.log", "litert_npu.log",
    "litert_python.log", "litert_result.json", "llama_bench.csv", "llama_bench.json",
    "llama_bench.jsonl", "llama_bench.md", "mace_run.log", "mlperf_results_v3.json",
    "mlperf_results_v4.json", "mnn_llm_bench.md", "onnxruntime_perf_test.log",
    "onnxruntime_perf_test_old.log", "openvino_2021.log", "openvino_cpp.log",
    "openvino_python.log", "openvino_report.csv", "openvino_report.json", "paddle_lite.log",
    "paddle_lite_opencl.log", "qnn_profile.csv", "qnn_profile.log", "tflite_options.log",
    "tnn_benchmark.log",
)  # fmt: skip
LOGS = tuple(name for name in NAMES if not name.endswith((".json", ".jsonl", ".csv")))
Figures = set[tuple[object, ...]]


def source_of(name: str) -> SourceText:
    return SourceText(name, (SAMPLES / name).read_text(encoding="utf-8"))


def figures(source: SourceText) -> Figures:
    """Each row as its figure, what that is over the runs, and the facets that are stated."""
    reader = next((reader for reader in READERS if reader.recognise(source)), None)
    if reader is None:
        raise MeasurementError("no reader")
    frame = reader.read(source).frame
    columns = ["latency_ms", "tokens_per_s", "statistic", *FACETS]
    rows = frame[columns].astype(object).where(frame[columns].notna(), None)
    return {tuple(row) for row in rows.itertuples(index=False)}


@functools.cache
def whole_figures(name: str) -> Figures:
    return figures(source_of(name))


@functools.cache
def means(name: str) -> set[float]:
    """The latencies and means of a text, which a row may fall back to where the rest is lost."""
    source = source_of(name)
    reader = next(reader for reader in READERS if reader.recognise(source))
    frame = reader.read(source).frame
    return {*frame["latency_ms"].dropna(), *frame["mean_ms"].dropna()}


@pytest.mark.parametrize("name", NAMES)
def test_only_its_own_reader_recognises_a_sample(name: str) -> None:
    recognising = [reader.name for reader in READERS if reader.recognise(source_of(name))]
    # LiteRT's benchmark_model prints what TFLite's does too, and is asked before it.
    assert len([n for n in recognising if n != "TFLite benchmark_model"]) == 1


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_cut_log_gives_no_figure_that_the_whole_does_not(name: str, data: st.DataObject) -> None:
    whole = source_of(name)
    cut = SourceText(name, whole.text[: data.draw(st.integers(1, len(whole.text) - 1))])
    try:
        found = figures(cut)
    except MeasurementError:
        return
    known = {row[:2] for row in whole_figures(name)} | {(mean, None) for mean in means(name)}
    if name == "qnn_profile.csv":  # fewer executions have another median
        known |= {(2.952, None)}
    assert {row[:2] for row in found} <= known
    for row in found:
        for i, facet in enumerate(FACETS, 3):
            stated = {other[i] for other in whole_figures(name)} | {"", None}
            assert row[i] in stated, f"{facet} is of no row of the whole"


@pytest.mark.parametrize("name", LOGS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_lost_line_loses_evidence_and_invents_none(name: str, data: st.DataObject) -> None:
    whole = source_of(name)
    lines = whole.text.splitlines(keepends=True)
    gone = data.draw(st.integers(0, len(lines) - 1))
    try:
        found = figures(SourceText(name, "".join(lines[:gone] + lines[gone + 1 :])))
    except MeasurementError:
        return
    known = whole_figures(name)
    for row in found:
        for i, facet in enumerate(FACETS, 3):
            if facet in ("unit", "precision", "framework"):
                assert row[i] in {other[i] for other in known} | {"", None}


@pytest.mark.parametrize("name", LOGS)
def test_line_ends_change_nothing(name: str) -> None:
    whole = source_of(name)
    expected = whole_figures(name)
    assert figures(SourceText(name, whole.text.replace("\n", "\r\n"))) == expected
