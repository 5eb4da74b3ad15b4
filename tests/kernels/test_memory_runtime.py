"""The memory plan against addresses that the TensorFlow Lite runtime gives to its tensors."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.formats.tflite.reader import read_tflite
from perfmodel.graph.ir import Graph
from perfmodel.kernels import plan_memory


def runtime_extent_bytes(path: Path, graph: Graph) -> int:
    """From the first to the last byte of all activations in the runtime's own arena.

    The built-in kernels without a delegate: XNNPACK plans its memory elsewhere.
    """
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    runtime = interpreter.Interpreter(
        str(path),
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        num_threads=1,
    )
    runtime.allocate_tensors()
    activations = {name for name, tensor in graph.tensors.items() if not tensor.constant}
    spans = []
    for detail in runtime.get_tensor_details():
        if detail["name"] in activations:
            view = runtime.tensor(detail["index"])()
            start = view.__array_interface__["data"][0]
            spans.append((start, start + view.nbytes))
    assert len(spans) == len(activations)
    return max(end for _, end in spans) - min(start for start, _ in spans)


@pytest.mark.parametrize(
    "name",
    [
        "movenet_single_pose_lightning_ptq",
        "mobilenet_v2_1.0_224_quant",
        "deeplabv3_mnv2_pascal_quant",
        "keras_lstm_mnist_ptq",
        "mnist_trained_lstm",
    ],
)
def test_the_arena_is_the_runtimes_to_the_byte(model_files: Path, name: str) -> None:
    path = model_files / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"no {path}")
    graph = read_tflite(path)
    assert plan_memory(graph).arena_bytes == runtime_extent_bytes(path, graph)


def test_scratch_buffers_of_kernels_come_on_top(model_files: Path) -> None:
    path = model_files / "mobilenet_v1_0.25_128_quant.tflite"
    if not path.is_file():
        pytest.skip(f"no {path}")
    graph = read_tflite(path)
    # its convolutions without a fast path unfold their input (im2col) in the same arena
    extent = runtime_extent_bytes(path, graph)
    assert plan_memory(graph).max_live_bytes <= extent <= 1.5 * plan_memory(graph).arena_bytes
