"""Pieces of a network, chained, compute what the whole computes, to the bit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.tflite.cut import boundary, cut, cut_tflite
from perfmodel.formats.tflite.file import Data, TfliteFile
from perfmodel.formats.tflite.reader import read_tflite
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.graph import Graph, GraphBuilder, check_graph

interpreters = pytest.importorskip("ai_edge_litert.interpreter")
Arrays = dict[str, np.ndarray]


def run(path: Path, feed: Sequence[np.ndarray] | None = None) -> tuple[list, list]:
    """(inputs, outputs) of one inference; random inputs of a fixed seed unless given."""
    runtime = interpreters.Interpreter(str(path), num_threads=1)
    runtime.allocate_tensors()
    rng = np.random.default_rng(7)
    details = runtime.get_input_details()
    for number, detail in enumerate(details):
        if feed is not None:
            values = feed[number]
        elif detail["dtype"] == np.float32:
            values = rng.standard_normal(detail["shape"]).astype(np.float32)
        else:
            values = rng.integers(0, 120, detail["shape"]).astype(detail["dtype"])
        runtime.set_tensor(detail["index"], values)
    inputs = [runtime.get_tensor(d["index"]) for d in details]
    runtime.invoke()
    return inputs, [runtime.get_tensor(d["index"]) for d in runtime.get_output_details()]


def assert_chain_equals_whole(path: Path, cuts: Sequence[int], folder: Path) -> int:
    """Run the pieces between `cuts` from a pool of tensors; the most tensors that cross a cut."""
    graph = read_tflite(path)
    inputs, expected = run(path)
    pool: Arrays = dict(zip(graph.inputs, inputs, strict=True))
    most = 0
    edges = [0, *cuts, len(graph.ops)]
    for a, b in itertools.pairwise(edges):
        piece = cut_tflite(path, a, b, folder / "piece.tflite")
        _, results = run(piece.path, [pool[t.name] for t in piece.inputs])
        for tensor, values in zip(piece.outputs, results, strict=True):
            assert values.shape == tensor.shape or tensor.shape == ()
            pool[tensor.name] = values
        most = max(most, len(piece.inputs))
    for name, values in zip(graph.outputs, expected, strict=True):
        np.testing.assert_array_equal(pool[name], values)
    return most


def residual_graph() -> Graph:
    """Two residual additions over the same early tensor: three tensors cross some cuts."""
    g = GraphBuilder("residual")
    x = g.input((1, 12, 12, 4))
    a = g.conv(x, 8, 3, activation="relu6")
    b = g.depthwise(a, 3, activation="relu6")
    c = g.conv(b, 8, 1)
    d = g.binary("add", a, c)
    e = g.conv(d, 8, 3, padding=(0, 2, 1, 1))
    f = g.binary("add", e, d)
    h = g.concat([f, a, b])
    return g.build(g.op("softmax", g.fc(g.global_avg_pool(h), 5)), b)


class TestFilesInTheRuntime:
    @pytest.mark.parametrize("precision", ["float32", "int8"])
    def test_every_single_cut_of_a_residual_network(self, tmp_path: Path, precision: str) -> None:
        path = tmp_path / "whole.tflite"
        write_tflite(residual_graph(), path, precision=precision)
        count = len(read_tflite(path).ops)
        crossing = [assert_chain_equals_whole(path, [k], tmp_path) for k in range(1, count)]
        assert max(crossing) >= 3

    @pytest.mark.parametrize("precision", ["float32", "int8"])
    def test_one_op_a_file(self, tmp_path: Path, precision: str) -> None:
        path = tmp_path / "whole.tflite"
        write_tflite(residual_graph(), path, precision=precision)
        count = len(read_tflite(path).ops)
        assert_chain_equals_whole(path, list(range(1, count)), tmp_path)

    @pytest.mark.parametrize("name", ["mobilenet_v2@resolution=96", "shufflenet_v2", "lstm_text"])
    def test_networks_of_the_zoo(self, tmp_path: Path, name: str) -> None:
        from perfmodel import zoo

        path = tmp_path / "whole.tflite"
        write_tflite(zoo.build(name), path)
        count = len(read_tflite(path).ops)
        assert_chain_equals_whole(path, sorted({1, count // 3, count // 2, count - 1}), tmp_path)

    @pytest.mark.parametrize(
        "name",
        [
            "mobilenet_v1_0.25_128_quant",
            "keras_lstm_mnist_ptq",
            "mnist_trained_lstm",
            "dtln_noise_suppression",
            "movenet_single_pose_lightning_ptq",
        ],
    )
    def test_published_files(self, model_files: Path, tmp_path: Path, name: str) -> None:
        path = model_files / f"{name}.tflite"
        count = len(read_tflite(path).ops)
        assert_chain_equals_whole(path, sorted({1, count // 2, count - 1}), tmp_path)

    def test_unpacking_of_weights_goes_with_its_reader(self, tmp_path: Path) -> None:
        path = tmp_path / "half.tflite"
        half_precision_file(path)
        assert [op.kind for op in read_tflite(path).ops] == ["exp", "fully_connected", "neg"]
        assert_chain_equals_whole(path, [1, 2], tmp_path)
        piece = read_tflite(cut_tflite(path, 1, 2, tmp_path / "piece.tflite").path)
        assert piece.tensors[piece.ops[0].inputs[1]].dtype == "float16"

    def test_a_piece_holds_only_its_own_weights(self, tmp_path: Path) -> None:
        path = tmp_path / "whole.tflite"
        write_tflite(residual_graph(), path)
        whole = read_tflite(path)
        last = len(whole.ops)
        piece = cut_tflite(path, last - 2, last, tmp_path / "piece.tflite")
        kept = {n for n, t in read_tflite(piece.path).tensors.items() if t.constant}
        assert kept == {n for op in whole.ops[-2:] for n in op.inputs if whole.tensors[n].constant}
        assert piece.path.stat().st_size < path.stat().st_size


def half_precision_file(path: Path) -> None:
    file = TfliteFile()
    x, a, b, y = (file.tensor(n, (1, 300), "float32") for n in "xaby")
    values = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float16)
    stored = file.tensor("stored", (300, 300), "float16", data=Data.of(values))
    weights = file.tensor("weights", (300, 300), "float32")
    file.operator("DEQUANTIZE", [stored], [weights], "DequantizeOptions")
    file.operator("EXP", [x], [a])
    file.operator("FULLY_CONNECTED", [a, weights, -1], [b], "FullyConnectedOptions")
    file.operator("NEG", [b], [y])
    file.write(path, [x], [y])


class TestGraphs:
    def test_boundary_by_hand(self) -> None:
        graph = residual_graph()
        names = [op.outputs[0] for op in graph.ops]
        a, b, c, d = names[:4]
        assert boundary(graph, 1, 3) == ((a,), (b, c))
        assert boundary(graph, 3, 4) == ((a, c), (d,))
        assert boundary(graph, 2, 4) == ((b, a), (d,))  # in order of use; b is an output already
        assert boundary(graph, 0, len(graph.ops)) == (graph.inputs, (b, names[-1]))

    def test_every_piece_is_a_sound_graph_and_none_is_lost(self) -> None:
        graph = residual_graph()
        count = len(graph.ops)
        for i, j in itertools.combinations(range(count + 1), 2):
            piece = check_graph(cut(graph, i, j))
            assert piece.ops == graph.ops[i:j]

    def test_pieces_written_one_by_one_have_the_weights_of_the_whole(self, tmp_path: Path) -> None:
        graph = residual_graph()
        write_tflite(graph, tmp_path / "whole.tflite", seed=3)
        inputs, expected = run(tmp_path / "whole.tflite")
        pool: Arrays = dict(zip(graph.inputs, inputs, strict=True))
        for i in range(len(graph.ops)):
            piece = cut(graph, i, i + 1)
            write_tflite(piece, tmp_path / "piece.tflite", seed=3)
            _, results = run(tmp_path / "piece.tflite", [pool[n] for n in piece.inputs])
            pool.update(zip(piece.outputs, results, strict=True))
        np.testing.assert_allclose(pool[graph.outputs[0]], expected[0], rtol=1e-4)


class TestRefusals:
    @pytest.mark.parametrize(("i", "j"), [(0, 0), (3, 2), (-1, 2), (0, 99)])
    def test_a_range_that_makes_no_sense(self, tmp_path: Path, i: int, j: int) -> None:
        graph = residual_graph()
        write_tflite(graph, tmp_path / "whole.tflite")
        with pytest.raises(GraphError, match="cannot cut"):
            cut(graph, i, j)
        with pytest.raises(GraphError, match="cannot cut"):
            cut_tflite(tmp_path / "whole.tflite", i, j, tmp_path / "piece.tflite")
        assert not (tmp_path / "piece.tflite").exists()

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        write_tflite(residual_graph(), tmp_path / "whole.tflite")
        blob = (tmp_path / "whole.tflite").read_bytes()
        (tmp_path / "short.tflite").write_bytes(blob[: len(blob) // 2])
        with pytest.raises(ModelFileError):
            cut_tflite(tmp_path / "short.tflite", 0, 1, tmp_path / "piece.tflite")
