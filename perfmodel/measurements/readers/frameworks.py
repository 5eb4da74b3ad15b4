"""Framework names as publications print them -> the table's `framework` and `build`."""

from __future__ import annotations

import re

from perfmodel.measurements.device_names import slug

_KNOWN = (
    # Start of the printed name, lower case -> framework. The rest of the name is the build.
    # The longer of two that start alike comes first.
    ("tflite", "tflite"),
    ("tf lite", "tflite"),
    ("core ml", "coreml"),
    ("executorch core ml", "coreml"),
    ("executorch coreml", "coreml"),
    ("executorch vulkan", "executorch-vulkan"),
    ("executorch", "executorch"),
    ("pytorch", "pytorch"),
    ("tensorrt", "tensorrt"),
    ("tensorflow", "tensorflow"),
    ("onnx runtime", "onnxruntime"),
    ("paddle-lite", "paddle-lite"),
    ("qnn dlc", "qnn"),
    ("vendor sdk snpe", "snpe"),
    ("tvm", "tvm"),
    ("tnn", "tnn"),
    ("mace", "mace"),
    ("darknet", "darknet"),
    ("torch7", "torch7"),
    ("torch-7", "torch7"),
    ("cudnn[", "torch7-cudnn"),
    ("caffe-clgreentea", "caffe-clgreentea"),
    ("caffe", "caffe"),
    ("nervana-neon", "neon"),
    ("cublas", "cublas"),
    ("cudnn", "cudnn"),
    ("cusparse", "cusparse"),
    ("rocblas", "rocblas"),
    ("miopen", "miopen"),
    ("arm-compute-library", "acl"),
    ("eigen-sparse", "eigen-sparse"),
    ("eigen-dense", "eigen-dense"),
)


def framework_and_build(printed: str) -> tuple[str, str]:
    """("tnn", "v0.3 OpenCL") of "TNN v0.3 OpenCL"; a name that is not known becomes a slug."""
    text = re.sub(r"\s+", " ", printed).strip()
    lowered = text.lower()
    for start, framework in _KNOWN:
        if lowered.startswith(start):
            keep = len(start) - 1 if start.endswith("[") else len(start)
            return framework, text[keep:].strip(" -")
    return slug(text), ""
