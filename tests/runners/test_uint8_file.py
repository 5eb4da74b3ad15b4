"""A uint8 file computes what the int8 file it was made from computes, moved up by 128."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from perfmodel.formats.tflite.reader import read_tflite
from perfmodel.formats.tflite.uint8 import to_uint8
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.graph import Graph, GraphBuilder
from perfmodel.zoo.recurrent import lstm

interpreters = pytest.importorskip("ai_edge_litert.interpreter")


def dense() -> Graph:
    g = GraphBuilder("dense")
    return g.build(g.fc(g.fc(g.input((4, 16), "x"), 24, activation="relu"), 7))


def recurrent() -> Graph:
    g = GraphBuilder("recurrent")
    x = g.fc(g.input((1, 8, 16), "x"), 24, keep_dims=True)
    x = lstm(g, lstm(g, x, 20), 12, return_sequences=False)
    return g.build(g.fc(x, 7))


def output(path: Path, x: np.ndarray) -> np.ndarray:
    runtime = interpreters.Interpreter(str(path), num_threads=1)
    runtime.allocate_tensors()
    runtime.set_tensor(runtime.get_input_details()[0]["index"], x)
    runtime.invoke()
    return runtime.get_tensor(runtime.get_output_details()[0]["index"]).astype(int)


@pytest.mark.parametrize("graph", [dense(), recurrent()], ids=lambda g: g.name)
def test_the_values_are_those_of_int8_moved_by_128(tmp_path: Path, graph: Graph) -> None:
    first, second = tmp_path / "int8.tflite", tmp_path / "uint8.tflite"
    write_tflite(graph, first, precision="int8")
    shutil.copy(first, second)
    to_uint8(second)
    x = np.random.default_rng(1).integers(-128, 128, graph.tensors["x"].shape)
    expected = output(first, x.astype(np.int8))
    found = output(second, (x + 128).astype(np.uint8))
    assert np.std(expected) > 1
    # layers with one scale a channel would differ by the rounding of their only scale
    np.testing.assert_array_equal(found, expected + 128)


def test_an_lstm_stays_int8_between_quantize_operators(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    write_tflite(recurrent(), path, precision="int8")
    to_uint8(path)
    read = read_tflite(path)
    kinds = [op.kind for op in read.ops]
    around = ["quantize", "lstm", "quantize"]
    assert kinds == ["fully_connected", *around, *around, "slice", "reshape", "fully_connected"]
    types = {op.kind: read.tensors[op.outputs[0]].dtype for op in read.ops}
    assert types["lstm"] == "int8"
    assert {t for kind, t in types.items() if kind != "lstm"} == {"uint8"}
