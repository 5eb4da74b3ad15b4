"""The int8 LSTM of the writer: a converter's tensors, and the float layer's output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel.formats.tflite.reader import read_tflite
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.graph import Graph, GraphBuilder

interpreters = pytest.importorskip("ai_edge_litert.interpreter")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

STEP = 1 / 128
"""The int8 output's resolution."""


def lstm(shape: tuple[int, ...], hidden: int, **attrs: Any) -> Graph:
    g = GraphBuilder("lstm")
    x = g.input(shape, "x")
    attrs = {"directions": 1, "return_sequences": True, "time_major": False, **attrs}
    sides = attrs["directions"]
    weights = [g.constant((sides, 4 * hidden, n)) for n in (shape[2], hidden)]
    bias = g.constant((sides, 4 * hidden))
    return g.build(g.op("lstm", x, *weights, bias, name="cell", hidden=hidden, **attrs))


def output(path: Path, x: np.ndarray) -> np.ndarray:
    """What the runtime makes of `x`, as real numbers."""
    runtime = interpreters.Interpreter(str(path), num_threads=1)
    runtime.allocate_tensors()
    runtime.set_tensor(runtime.get_input_details()[0]["index"], x)
    runtime.invoke()
    (detail,) = runtime.get_output_details()
    scale, zero = detail["quantization"]
    stored = runtime.get_tensor(detail["index"]).astype(np.float64)
    return (stored - zero) * scale if scale else stored


def both(graph: Graph, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Output of the float file and of the int8 file for the same input."""
    stored = np.random.default_rng(3).integers(-127, 128, graph.tensors["x"].shape)
    write_tflite(graph, folder / "float.tflite")
    write_tflite(graph, folder / "int8.tflite", precision="int8")
    return (
        output(folder / "float.tflite", (stored / 128).astype(np.float32)),
        output(folder / "int8.tflite", stored.astype(np.int8)),
    )


@pytest.mark.parametrize(
    ("shape", "hidden", "attrs"),
    [
        ((1, 28, 28), 20, {}),
        ((1, 1, 257), 128, {}),
        ((3, 7, 5), 6, {}),
        ((7, 3, 5), 6, {"time_major": True}),
        ((2, 7, 5), 6, {"return_sequences": False}),
        ((7, 2, 5), 6, {"return_sequences": False, "time_major": True}),
        ((1, 20, 1), 1, {}),
    ],
)
def test_the_int8_layer_follows_the_float_layer(
    tmp_path: Path, shape: tuple[int, ...], hidden: int, attrs: dict[str, Any]
) -> None:
    """Rounding to a resolution q alone leaves errors up to q / 2, of deviation q / sqrt(12)."""
    graph = lstm(shape, hidden, **attrs)
    expected, found = both(graph, tmp_path)
    assert found.shape == expected.shape == graph.tensors[graph.outputs[0]].shape
    assert np.std(expected) > 10 * STEP
    assert np.sqrt(np.mean((found - expected) ** 2)) < 2 * STEP / 12**0.5
    assert np.abs(found - expected).max() < 2 * STEP
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.999


def only_lstm(path: Path) -> tuple[Any, dict[str, list[Any]]]:
    """Options of a file's LSTM, and of each of its tensors what a kernel may depend on."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    subgraph = model.subgraphs[0]
    wanted = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    codes = [code.builtinCode for code in model.operatorCodes]
    (operator,) = [o for o in subgraph.operators if codes[o.opcodeIndex] == wanted]

    def described(index: int) -> Any:
        if index < 0:
            return None
        tensor = subgraph.tensors[index]
        scales = getattr(tensor.quantization, "scale", None)
        held = model.buffers[tensor.buffer].data
        return (
            tensor.type,
            tuple(int(d) for d in tensor.shape),
            tensor.isVariable,
            0 if scales is None else len(scales),
            held is not None and len(held),
        )

    places = ("inputs", "outputs", "intermediates")
    tensors = {p: [described(int(i)) for i in getattr(operator, p)] for p in places}
    version = model.operatorCodes[operator.opcodeIndex].version
    return vars(operator.builtinOptions) | {"version": version}, tensors


def test_the_tensors_and_options_are_those_of_a_converters_file(
    tmp_path: Path, model_files: Path
) -> None:
    write_tflite(lstm((1, 28, 28), 20), tmp_path / "int8.tflite", precision="int8")
    mine = only_lstm(tmp_path / "int8.tflite")
    assert mine == only_lstm(model_files / "keras_lstm_mnist_ptq.tflite")


def test_biases_and_cell_states_have_the_scales_that_the_kernel_wants(tmp_path: Path) -> None:
    path = tmp_path / "int8.tflite"
    write_tflite(lstm((1, 4, 9), 6), path, precision="int8")
    runtime = interpreters.Interpreter(str(path))
    scale = {d["name"]: d["quantization"][0] for d in runtime.get_tensor_details()}
    for gate in range(4):
        product = scale["x"] * scale[f"cell/0/input_{gate}"]
        assert scale[f"cell/0/bias_{gate}"] == pytest.approx(product)
    exponent = np.log2(scale["cell/state_1"])
    assert exponent == round(exponent) <= -9
    assert scale["cell/state_1"] * 2**15 >= 10  # holds a clip at 10
    assert scale["cell/state_0"] == scale["cell"]


@pytest.mark.parametrize("attrs", [{}, {"time_major": True}])
def test_the_reader_finds_the_same_layer(tmp_path: Path, attrs: dict[str, Any]) -> None:
    graph = lstm((2, 7, 5), 6, **attrs)
    write_tflite(graph, tmp_path / "int8.tflite", precision="int8")
    (op,) = read_tflite(tmp_path / "int8.tflite").ops
    assert (op.kind, dict(op.attrs)) == ("lstm", dict(graph.ops[0].attrs))


def test_both_directions_stay_float_in_an_int8_network(tmp_path: Path) -> None:
    """TFLite has no integer kernel for them."""
    graph = lstm((1, 7, 5), 6, directions=2)
    expected, found = both(graph, tmp_path)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    read = read_tflite(tmp_path / "int8.tflite")
    assert [op.kind for op in read.ops] == ["dequantize", "lstm"]
    assert read.ops[1].attrs["directions"] == 2
