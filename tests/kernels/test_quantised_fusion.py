"""What quantisation costs in ONNX files, against what onnxruntime's optimiser leaves of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from perfmodel.formats.onnx.reader import read_onnx  # noqa: E402
from perfmodel.graph import Graph  # noqa: E402
from perfmodel.kernels import fuse, macs  # noqa: E402
from perfmodel.kernels.precisions import stored_precision  # noqa: E402

PAIR = {"QuantizeLinear": "quantize", "DequantizeLinear": "dequantize"}


class Net:
    """A network of quantised pairs; inputs and results of `op` pass through integers."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {
            "s": np.array(0.1, np.float32),
            "z": np.array(0, np.uint8),
            "ws": np.array(0.1, np.float32),
            "wz": np.array(0, np.int8),
        }

    def pair(self, x: str) -> str:
        """`x` as integers and back."""
        self.nodes += [
            helper.make_node("QuantizeLinear", [x, "s", "z"], [f"{x}_q"]),
            helper.make_node("DequantizeLinear", [f"{x}_q", "s", "z"], [f"{x}_f"]),
        ]
        return f"{x}_f"

    def weights(self, name: str, *shape: int) -> str:
        values = np.random.default_rng(7).integers(-9, 9, shape)
        self.constants[name] = np.asarray(values, np.int8)
        inputs = [name, "ws", "wz"]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_f"]))
        return f"{name}_f"

    def op(self, kind: str, inputs: list[str], out: str, **attrs: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [out], **attrs))
        return out

    def write(self, path: Path, shape: list[int], output: str) -> Path:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(a, n) for n, a in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        path.write_bytes(model.SerializeToString())
        return path


def left_by_onnxruntime(path: Path) -> Counter[str]:
    """Quantisations that are left when onnxruntime has optimised the file for its CPU kernels."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # as on Arm, which phones have; elsewhere signed integers would stay floats
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path.with_suffix(".ort.onnx"))
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    optimised = onnx.load(options.optimized_model_filepath).graph
    stored = {tensor.name for tensor in optimised.initializer}  # weights are unpacked once
    left = [n for n in optimised.node if n.op_type in PAIR and n.input[0] not in stored]
    return Counter(PAIR[n.op_type] for n in left)


def left_by_us(graph: Graph, framework: str = "onnxruntime") -> Counter[str]:
    kernels = fuse(graph, framework)
    return Counter(k.op for k in kernels if k.op in PAIR.values())


def one_op(net: Net, kind: str, **attrs: Any) -> tuple[list[int], str]:
    """x -> pair -> op -> pair; the shape of x and the name of the result."""
    image, matrix = [1, 4, 8, 8], [1, 6, 8]
    x = net.pair("x")
    if kind == "Conv":
        made = net.op(kind, [x, net.weights("w", 4, 4, 3, 3)], "y")
    elif kind in ("MatMul", "Gemm"):
        made = net.op(kind, [x, net.weights("w", 8, 5)], "y")
        matrix = [6, 8] if kind == "Gemm" else matrix
        return matrix, net.pair(made)
    elif kind in ("Add", "Mul", "Concat"):
        made = net.op(kind, [x, x], "y", **attrs)
    elif kind in ("Reshape", "Slice", "Gather"):
        net.constants["i"] = np.array([1, 4, 64] if kind == "Reshape" else [0], np.int64)
        net.constants["j"], net.constants["k"] = np.array([3], np.int64), np.array([1], np.int64)
        inputs = [x, "i", "j", "k"] if kind == "Slice" else [x, "i"]
        made = net.op(kind, inputs, "y", **attrs)
    else:
        made = net.op(kind, [x], "y", **attrs)
    return image, net.pair(made)


POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}
KINDS: dict[str, dict[str, Any]] = {
    "Conv": {},
    "MatMul": {},
    "Gemm": {},
    "Add": {},
    "Mul": {},
    "Concat": {"axis": 1},
    "AveragePool": POOL,
    "MaxPool": POOL,
    "GlobalAveragePool": {},
    "Sigmoid": {},
    "LeakyRelu": {"alpha": 0.1},
    "Softmax": {"axis": -1},
    "HardSwish": {},
    "Tanh": {},
    "Sqrt": {},
    "Transpose": {"perm": [0, 2, 3, 1]},
    "Reshape": {},
    "Slice": {},
    "Gather": {"axis": 1},
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_operator_between_pairs_runs_as_onnxruntime_runs_it(tmp_path: Path, kind: str) -> None:
    net = Net()
    shape, output = one_op(net, kind, **KINDS[kind])
    path = net.write(tmp_path / "net.onnx", shape, output)
    assert left_by_us(read_onnx(path)) == left_by_onnxruntime(path)


def conv(net: Net, x: str, name: str) -> str:
    return net.op("Conv", [x, net.weights(f"{name}_w", 4, 4, 1, 1)], name)


def residual(net: Net) -> str:
    a = net.pair(conv(net, net.pair("x"), "a"))
    b = net.pair(conv(net, a, "b"))
    return net.pair(net.op("Relu", [net.op("Add", [a, b], "sum")], "y"))


def activation_between(net: Net) -> str:
    return net.pair(net.op("Relu", [conv(net, net.pair("x"), "a")], "y"))


def floats_between(net: Net) -> str:
    a = net.pair(conv(net, net.pair("x"), "a"))
    b = net.pair(net.op("HardSwish", [a], "b"))
    return net.pair(conv(net, b, "y"))


def read_as_both(net: Net) -> str:
    a = net.pair(conv(net, net.pair("x"), "a"))
    b = net.pair(conv(net, a, "b"))
    return net.pair(net.op("Div", [net.op("Exp", [a], "e"), b], "y"))


def nothing_behind(net: Net) -> str:
    return net.op("Sqrt", [conv(net, net.pair("x"), "a")], "y")


def floats_before_the_pair(net: Net) -> str:
    made = net.op("MatMul", [net.pair("x"), net.weights("w", 8, 5)], "m")
    return net.pair(net.op("Sqrt", [made], "y"))


NETS = [
    floats_before_the_pair,
    residual,
    activation_between,
    floats_between,
    read_as_both,
    nothing_behind,
]


@pytest.mark.parametrize("make", NETS)
def test_networks_of_pairs_run_as_onnxruntime_runs_them(tmp_path: Path, make: Any) -> None:
    net = Net()
    path = net.write(tmp_path / "net.onnx", [1, 4, 8, 8], make(net))
    graph = read_onnx(path)
    assert left_by_us(graph) == left_by_onnxruntime(path)
    kernels = fuse(graph, "onnxruntime")
    names = [name for kernel in kernels for name in kernel.fused]
    assert sorted(names) == sorted(op.name for op in graph.ops)
    assert sum(kernel.macs for kernel in kernels) == macs(graph)


def test_frameworks_that_run_integers_throughout_quantise_at_the_ends_only(tmp_path: Path) -> None:
    net = Net()
    graph = read_onnx(net.write(tmp_path / "net.onnx", [1, 4, 8, 8], floats_between(net)))
    ends = Counter({"quantize": 1, "dequantize": 1})
    assert left_by_us(graph, "tflite") == left_by_us(graph, "tensorrt") == ends
    assert left_by_us(graph, "pytorch") == Counter({"quantize": 4, "dequantize": 4})
    assert stored_precision(graph) == "int8"


def test_pairs_of_a_tflite_file_are_operators_that_run(tmp_path: Path) -> None:
    net = Net()
    graph = read_onnx(net.write(tmp_path / "net.onnx", [1, 4, 8, 8], floats_between(net)))
    as_tflite = replace(graph, format="tflite")
    assert left_by_us(as_tflite, "tflite") == Counter({"quantize": 4, "dequantize": 4})
