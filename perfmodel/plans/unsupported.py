"""Operators that a unit cannot run, by framework and unit."""

from __future__ import annotations

from perfmodel.graph.ir import Graph, Op

_DLA_KINDS = """
    conv2d transpose_conv2d fully_connected max_pool2d avg_pool2d relu relu6 relu_n1_to_1 sigmoid
    tanh prelu leaky_relu clip add sub mul maximum minimum concat lrn batch_norm scale reshape
    dropout identity
"""
_DLA_RUNS = frozenset(_DLA_KINDS.split())
"""NVIDIA, TensorRT developer guide, "Working with DLA", supported layers; softmax is not there, and
in HaX-CoNN's profiles of GoogleNet it always ran on the GPU."""

_TFLITE_GPU_REFUSES = frozenset(
    {"detection_postprocess", "non_max_suppression", "top_k", "gather_nd", "gru", "rnn"}
)
"""Operators without a shader in the GPU delegate (LiteRT, "GPU delegates", supported ops)."""


def unsupported(graph: Graph, framework: str, unit: str) -> frozenset[str]:
    """Names of the operators that a framework's unit leaves to another unit."""
    return frozenset(op.name for op in graph.ops if not runs(op, framework, unit))


def runs(op: Op, framework: str, unit: str) -> bool:
    """Whether an operator runs on a framework's unit."""
    if unit == "dla":
        # a mean over height and width is a global pooling
        pooling = op.kind == "reduce_mean" and tuple(op.attrs["axes"]) == (1, 2)
        return pooling or op.kind in _DLA_RUNS
    if framework == "tflite" and unit == "gpu":
        return op.kind not in _TFLITE_GPU_REFUSES
    return True
