"""What each sample says of how it was measured, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.evidence import FACETS
from perfmodel.measurements.read import read_one

Sample = Callable[[str], Path]

SAID = {
    # unit, framework, precision, threads, batch, kind, runs of its first row; None is not said
    "ai_hub_perf.yaml": ("npu", "tflite", "float", None, 1, "steady", None),
    "ai_hub_perf_2025.yaml": ("npu", "tflite", "int8", None, 1, "steady", None),
    "ai_hub_perf_llm.yaml": (None, "genie", None, None, 1, "decode", None),
    "ai_hub_summary.log": ("npu", "tflite", None, None, 1, "steady", None),
    "executorch_inspector.md": (None, "executorch", None, None, 1, "steady", None),
    "executorch_inspector.tsv": (None, "executorch", None, None, 1, "steady", None),
    "litert_cpu.log": ("cpu", "tflite", None, 4, 1, "steady", 182),
    "litert_lm.log": ("cpu", "litert-lm", None, 4, 1, "prefill", None),
    "litert_npu.log": ("npu", "tflite", None, None, 1, "steady", 2166),
    "litert_python.log": ("gpu", "tflite", None, None, 1, "steady", 50),
    "litert_result.json": ("gpu", "tflite", None, None, 1, "steady", 50),
    "llama_bench.csv": ("gpu", "llama.cpp", None, None, 1, "prefill", None),
    "llama_bench.json": ("cpu", "llama.cpp", None, 4, 1, "decode", 2),
    "llama_bench.jsonl": ("gpu", "llama.cpp", None, None, 1, "prefill", 2),
    "llama_bench.md": ("cpu", "llama.cpp", None, 4, 1, "prefill", None),
    "mace_run.log": ("cpu", "mace", None, 4, 1, "steady", None),
    "mlperf_results_v3.json": ("gpu", "tflite", "fp16", None, 1, "steady", 15000),
    "mlperf_results_v4.json": ("npu", "snpe", None, None, 1, "steady", 79000),
    "mnn_llm_bench.md": ("cpu", "mnn", None, 4, 1, "prefill", None),
    "onnxruntime_perf_test.log": ("cpu", "onnxruntime", None, 4, 1, "steady", 100),
    "onnxruntime_perf_test_old.log": (None, "onnxruntime", None, None, 1, "steady", 100),
    "openvino_2021.log": (None, "openvino", None, None, 1, "steady", 500),
    "openvino_cpp.log": ("gpu", "openvino", None, None, 4, "steady", 1500),
    "openvino_python.log": ("cpu", "openvino", None, 6, 1, "steady", 512),
    "openvino_report.csv": ("cpu", "openvino", None, None, 1, "steady", 512),
    "openvino_report.json": ("npu", "openvino", None, None, 2, "steady", 2000),
    "paddle_lite.log": ("cpu", "paddle-lite", "fp32", 1, 1, "steady", 20),
    "paddle_lite_opencl.log": ("gpu", "paddle-lite", "fp16", None, 2, "steady", 50),
    "qnn_profile.csv": ("npu", "qnn", None, None, 1, "steady", 2),
    "qnn_profile.log": ("npu", "qnn", None, None, 1, "steady", None),
    "tflite_options.log": ("gpu", "tflite", "fp16", None, 1, "steady", 150),
    "tnn_benchmark.log": ("cpu", "tnn", None, None, 1, "steady", None),
}


@pytest.mark.parametrize("name", SAID)
def test_the_facets_are_those_that_the_sample_states(sample: Sample, name: str) -> None:
    frame = read_one(sample(name)).frame
    row = frame.iloc[0]
    found = [row[column] for column in (*FACETS, "runs")]
    assert tuple(None if v == "" or v != v else v for v in found) == SAID[name]
    evidence = dict(row["origin_evidence"])
    assert set(evidence) == {f for f, v in zip(FACETS, SAID[name], strict=False) if v is not None}
    assert set(frame["batch"]) == {SAID[name][4]}


@pytest.mark.parametrize("name", [n for n in SAID if "steady" in SAID[n]])
def test_a_first_row_has_the_facets_of_the_steady_one(sample: Sample, name: str) -> None:
    frame = read_one(sample(name)).frame
    for _, first in frame[frame["kind"] == "first"].iterrows():
        steady = frame.iloc[0]
        assert (first["runs"], first["statistic"]) == (1, "mean")
        for facet in ("unit", "framework", "precision", "batch", "model", "load_ms"):
            assert first[facet] == steady[facet]


@pytest.mark.parametrize(
    ("name", "cut_before"),
    [
        ("openvino_python.log", "[ INFO ] Throughput"),
        ("paddle_lite.log", "max   ="),
        ("litert_python.log", "Inference (max)"),
        ("onnxruntime_perf_test.log", "Total inference requests"),
        ("mace_run.log", "time  "),
        ("litert_lm.log", "      Decode Speed"),
    ],
)
def test_a_second_run_that_is_cut_off_is_refused(
    sample: Sample, tmp_path: Path, name: str, cut_before: str
) -> None:
    text = sample(name).read_text()
    path = tmp_path / name
    path.write_text(text + text.split(cut_before)[0])
    with pytest.raises(MeasurementError, match="cut off"):
        read_one(path)
