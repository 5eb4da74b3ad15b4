"""TFLite among the frameworks of this machine: its files, and what its profile says of kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from perfmodel.graph.ir import Graph
from perfmodel.kernels.kernel import Kernel


def stored_precision(precision: str) -> str:
    """What the .tflite writer writes: uint8 files are made from int8 ones."""
    return "int8" if precision == "uint8" else precision


def write(graph: Graph, path: Path, precision: str) -> None:
    """A .tflite file of seeded random weights in float32, int8 or uint8."""
    from perfmodel.formats.tflite.uint8 import to_uint8
    from perfmodel.formats.tflite.writer import write_tflite

    write_tflite(graph, path, precision=stored_precision(precision))
    if precision == "uint8":
        to_uint8(path)


def kernel_times(
    graph: Graph,
    precision: str,
    kernels: Sequence[Kernel],
    per_op_us: Mapping[str, Sequence[float]],
) -> np.ndarray:
    """Time of each kernel of a written file in us, shape (kernels,)."""
    from perfmodel.runners.tflite_align import align
    from perfmodel.runners.tflite_operators import written_steps

    steps = written_steps(graph, stored_precision(precision), kernels)
    return align(steps, len(kernels), per_op_us)


def file_times(
    path: Path, graph: Graph, kernels: Sequence[Kernel], per_op_us: Mapping[str, Sequence[float]]
) -> np.ndarray:
    """Time of each kernel of a real file in us, shape (kernels,)."""
    from perfmodel.runners.tflite_align import align
    from perfmodel.runners.tflite_operators import file_steps

    return align(file_steps(path, kernels), len(kernels), per_op_us)
