"""The readers, in the order in which they are asked; the first that recognises a file reads it."""

from __future__ import annotations

from perfmodel.measurements.readers import (
    ai_hub,
    ai_hub_perf,
    ai_hub_summary,
    canonical,
    executorch_inspector,
    litert_benchmark,
    litert_lm,
    llama_bench,
    llama_records,
    mace_run,
    mlperf_mobile,
    mlperf_results,
    mnn_bench,
    mnn_llm_bench,
    ncnn_bench,
    onnxruntime_perf_test,
    onnxruntime_profile,
    openvino_benchmark,
    openvino_report,
    paddle_lite,
    qnn_profile,
    study_csv,
    tflite_benchmark,
    tflite_options,
    tnn_benchmark,
    trtexec,
    trtexec_text,
)
from perfmodel.measurements.readers.results import Reader

READERS: tuple[Reader, ...] = (
    ai_hub.READER,
    trtexec.TIMES,
    trtexec.PROFILE,
    mlperf_mobile.RESULT,
    mlperf_results.READER,
    onnxruntime_profile.READER,
    litert_benchmark.JSON,
    llama_records.JSON,
    openvino_report.JSON,
    llama_records.CSV,
    qnn_profile.CSV,
    study_csv.READER,
    canonical.READER,
    # These print lines of TFLite's benchmark_model too.
    litert_benchmark.TEXT,
    tflite_options.READER,
    tflite_benchmark.READER,
    mlperf_mobile.SUMMARY,
    trtexec_text.READER,
    mnn_bench.READER,
    llama_bench.MARKDOWN,
    mnn_llm_bench.READER,
    litert_lm.READER,
    openvino_benchmark.READER,
    openvino_report.CSV,
    onnxruntime_perf_test.READER,
    ai_hub_perf.READER,
    ai_hub_summary.READER,
    executorch_inspector.READER,
    qnn_profile.TEXT,
    paddle_lite.READER,
    tnn_benchmark.READER,
    mace_run.READER,
    ncnn_bench.READER,
)


def formats() -> str:
    """The formats that can be read, in words."""
    return ", ".join(reader.name for reader in READERS)
