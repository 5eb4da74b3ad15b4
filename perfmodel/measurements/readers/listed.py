"""The readers, in the order in which they are asked; the first that recognises a file reads it."""

from __future__ import annotations

from perfmodel.measurements.readers import (
    ai_hub,
    canonical,
    mlperf_mobile,
    mnn_bench,
    ncnn_bench,
    onnxruntime_profile,
    study_csv,
    tflite_benchmark,
    trtexec,
)
from perfmodel.measurements.readers.results import Reader

READERS: tuple[Reader, ...] = (
    ai_hub.READER,
    trtexec.TIMES,
    trtexec.PROFILE,
    mlperf_mobile.RESULT,
    onnxruntime_profile.READER,
    study_csv.READER,
    canonical.READER,
    tflite_benchmark.READER,
    mlperf_mobile.SUMMARY,
    trtexec.TEXT,
    mnn_bench.READER,
    ncnn_bench.READER,
)


def formats() -> str:
    """The formats that can be read, in words."""
    return ", ".join(reader.name for reader in READERS)
