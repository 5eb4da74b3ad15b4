"""Files for ExecuTorch: an .onnx file becomes a .pte file, as much of it as possible for XNNPACK.

`torch.export` makes a program of the calls of torch that the file amounts to, ExecuTorch's own
partitioner hands XNNPACK what that takes, and the rest stays with ExecuTorch's portable kernels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.files import replaced
from perfmodel.formats.onnx.writer import write_onnx
from perfmodel.graph.ir import Graph
from perfmodel.kernels.kernel import Kernel
from perfmodel.runners.tflite_align import align
from perfmodel.runners.tflite_operators import written_steps

MISSING = "pip install 'perfmodel[runtimes-executorch]'"


def write_source(graph: Graph, path: Path, precision: str) -> None:
    """The .onnx file that is converted: in floats, which the converter quantises for int8."""
    write_onnx(graph, path)


def convert_file(
    source: Path,
    path: Path,
    precision: str = "float32",
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> None:
    """Make a .pte file of an .onnx file in "float32" or "int8".

    In int8, weights have a scale for each channel and activations one for each tensor, as
    XNNPACK's own quantiser says. Raises `RunnerError` where ExecuTorch is not installed or does not
    take the network.
    """
    from perfmodel.runners.torch_export import exported

    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
    except ImportError as error:
        raise RunnerError(f"executorch cannot be used: {error}", MISSING) from None
    program, inputs = exported(source, shapes)
    try:
        if precision == "int8":
            program = _quantised(program, inputs)
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        made = lowered.to_executorch().buffer
    except Exception as error:
        # passes raise classes of their own, which share no base
        words = " ".join(str(error).split())[:200]
        raise RunnerError(f"{source.name}: ExecuTorch does not take it: {words}") from None
    with replaced(path) as temporary:
        temporary.write_bytes(made)


def _quantised(program: Any, inputs: tuple[Any, ...]) -> Any:
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    settings = get_symmetric_quantization_config(is_per_channel=True)
    prepared = prepare_pt2e(program.module(), XNNPACKQuantizer().set_global(settings))
    prepared(*inputs)
    return torch.export.export(convert_pt2e(prepared), inputs, strict=False)


_PORTABLE: Mapping[str, str] = {
    "convolution": "Convolution",
    "max_pool2d": "Max Pooling",
    "avg_pool2d": "Average Pooling",
    "addmm": "Fully Connected",
    "linear": "Fully Connected",
    "bmm": "Batch Matrix Multiply",
    "mm": "Fully Connected",
    "cat": "Concatenate",
    "leaky_relu": "Leaky ReLU",
    "_softmax": "Softmax",
    "mean": "Mean",
    "sum": "Sum",
    "permute_copy": "Transpose",
    "slice_copy": "Slice",
    "upsample": "Resize",
    "constant_pad_nd": "Pad",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "hardtanh": "Clamp",
    "clamp": "Clamp",
    "gelu": "GELU",
    "elu": "ELU",
}
"""Portable kernels of ExecuTorch by the beginning of their names, as XNNPACK would call them."""


def kernel_times(
    graph: Graph, stored: str, kernels: Sequence[Kernel], per_op_us: Mapping[str, Sequence[float]]
) -> np.ndarray:
    """Time of each kernel of a written file in us, shape (kernels,).

    XNNPACK's operators bear no name of ours. They run in the order of the file and are called as in
    TFLite, whose delegate is the same library: they are matched to the operators that the graph
    would have in a .tflite file. Copies between layouts count to the kernel before.
    """
    listed = {}
    for key, values in per_op_us.items():
        place, _, name = key.partition(" ")
        listed[f"{place} {_called(name)}"] = values
    return align(written_steps(graph, "float32", kernels), len(kernels), listed)


def _called(name: str) -> str:
    """An operator's name without its number, or a portable kernel's as XNNPACK would call it."""
    portable = name.removeprefix("native_call_")
    if portable != name:
        return next((v for k, v in _PORTABLE.items() if portable.startswith(k)), f"~{portable}")
    return re.sub(r" #\d+$", "", name)
