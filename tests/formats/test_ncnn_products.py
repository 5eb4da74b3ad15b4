"""Layers of ncnn that are matrix products, one at a time.

Parameter numbers are those of `load_param` in Tencent/ncnn, src/layer/*.cpp.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import ModelFileError
from perfmodel.formats.ncnn.reader import read_ncnn
from perfmodel.graph.ir import Graph
from perfmodel.kernels import macs


def network(folder: Path, *layers: str) -> Graph:
    """A file of an input of 6 rows of 8 (or as given) and these layers."""
    blobs = sum(int(line.split()[3]) for line in layers)
    path = folder / "net.param"
    path.write_text("\n".join(["7767517", f"{len(layers)} {blobs}", *layers]) + "\n")
    return read_ncnn(path)


ROWS = "Input x 0 1 x 0=8 1=6"
IMAGE = "Input x 0 1 x 0=4 1=4 2=3"


def weights(graph: Graph) -> list[tuple[tuple[int, ...], str]]:
    return [(t.shape, t.dtype) for t in graph.weights_of(graph.ops[-1])]


def test_an_inner_product_keeps_the_rows_of_a_matrix(tmp_path: Path) -> None:
    graph = network(tmp_path, ROWS, "InnerProduct fc 1 1 x y 0=5 1=1 2=40 9=1")
    assert graph.tensors["y"].shape == (1, 6, 5)
    assert weights(graph) == [((5, 8), "float32"), ((5,), "float32")]
    assert graph.ops[0].attrs["activation"] == "relu"
    assert macs(graph) == 6 * 8 * 5


def test_an_inner_product_takes_an_image_whole(tmp_path: Path) -> None:
    graph = network(tmp_path, IMAGE, "InnerProduct fc 1 1 x y 0=5 2=240 8=2")
    assert graph.tensors["y"].shape == (1, 5)
    assert weights(graph) == [((5, 48), "int8")]
    assert graph.tensors["y"].dtype == "float32"


@pytest.mark.parametrize("parameters", ["0=5 2=41", "0=0 2=40", "0=5 2=0"])
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, parameters: str) -> None:
    with pytest.raises(ModelFileError, match=r"line 4.*weights do not fit"):
        network(tmp_path, ROWS, f"InnerProduct fc 1 1 x y {parameters}")


def test_a_product_with_constant_weights_is_fully_connected(tmp_path: Path) -> None:
    gemm = "Gemm g 1 1 x y 3=1 5=1 6=1 7=6 8=5 9=8 10=4"
    graph = network(tmp_path, ROWS, gemm)
    assert graph.ops[-1].kind == "fully_connected"
    assert weights(graph) == [((5, 8), "float32"), ((5,), "float32")]
    assert graph.tensors["y"].shape == (1, 6, 5)
    int8 = network(tmp_path, ROWS, gemm + " 18=1")
    assert weights(int8)[0] == ((5, 8), "int8")


@pytest.mark.parametrize(
    ("parameters", "left", "right", "result"),
    [
        # A is a constant of 7 x 6, or stored transposed; B is the input of 6 x 8
        ("4=1 6=1 7=7 8=8 9=6 10=-1", (1, 7, 6), (1, 6, 8), (1, 7, 8)),
        ("2=1 4=1 6=1 7=7 8=8 9=6 10=-1", (1, 6, 7), (1, 6, 8), (1, 7, 8)),
        # A is the input transposed, B a constant of 6 x 5, or stored transposed
        ("2=1 5=1 6=1 7=8 8=5 9=6 10=-1", (1, 6, 8), (1, 6, 5), (1, 8, 5)),
        ("2=1 3=1 5=1 6=1 7=8 8=5 9=6 10=-1", (1, 6, 8), (1, 5, 6), (1, 8, 5)),
    ],
)
def test_a_product_may_have_either_side_constant_and_transposed(
    tmp_path: Path,
    parameters: str,
    left: tuple[int, ...],
    right: tuple[int, ...],
    result: tuple[int, ...],
) -> None:
    graph = network(tmp_path, ROWS, f"Gemm g 1 1 x y {parameters}")
    (op,) = graph.ops
    assert op.kind == "matmul"
    assert [graph.tensors[n].shape for n in op.inputs] == [left, right]
    assert graph.tensors["y"].shape == result
    assert macs(graph) == result[1] * result[2] * 6


@pytest.mark.parametrize(
    ("kind", "shape"), [(0, (1,)), (1, (6,)), (2, (6, 1)), (3, (6, 5)), (4, (5,))]
)
def test_the_constant_that_a_product_adds_broadcasts_in_five_ways(
    tmp_path: Path, kind: int, shape: tuple[int, ...]
) -> None:
    gemm = f"Gemm g 1 1 x y 3=1 5=1 6=1 7=6 8=5 9=8 10={kind}"
    assert weights(network(tmp_path, ROWS, gemm))[1] == (shape, "float32")


def test_a_product_without_its_matrices_or_of_an_unknown_constant_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(ModelFileError, match="an input matrix is missing"):
        network(tmp_path, ROWS, "Gemm g 1 1 x y 7=6 8=5 9=8")
    with pytest.raises(ModelFileError, match="unknown constant_broadcast_type_C 5"):
        network(tmp_path, ROWS, "Gemm g 1 1 x y 3=1 5=1 6=1 7=6 8=5 9=8 10=5")


def test_attention_is_its_projections_and_two_products(tmp_path: Path) -> None:
    graph = network(tmp_path, ROWS, "MultiHeadAttention a 1 1 x y 0=8 1=2 2=64")
    kinds = [op.kind for op in graph.ops]
    assert kinds.count("fully_connected") == 4
    assert kinds.count("matmul") == 2
    # four projections of 6 rows by 8 x 8, scores and mix of 2 heads of 6 x 6 x 4
    assert macs(graph) == 4 * 6 * 64 + 2 * 2 * 6 * 6 * 4
    assert graph.tensors["y"].shape == (1, 6, 8)
    with pytest.raises(ModelFileError, match="8 features do not divide into 3 heads"):
        network(tmp_path, ROWS, "MultiHeadAttention a 1 1 x y 0=8 1=3 2=64")


def test_attention_to_another_sequence_reads_its_keys_and_values_there(tmp_path: Path) -> None:
    other = "Input z 0 1 z 0=8 1=9"
    graph = network(tmp_path, ROWS, other, "MultiHeadAttention a 2 1 x z y 0=8 1=2 2=64")
    ops = {op.name: op for op in graph.ops}
    assert ops["a/query"].inputs[0] == "x"
    assert ops["a/key"].inputs[0] == ops["a/value"].inputs[0] == "z"
    assert graph.tensors[ops["a/scores"].outputs[0]].shape == (1, 2, 6, 9)


@pytest.mark.parametrize(
    ("kind", "gates", "biases"), [("LSTM", 4, 4), ("GRU", 3, 4), ("RNN", 1, 1)]
)
@pytest.mark.parametrize(("direction", "directions"), [(0, 1), (1, 1), (2, 2)])
def test_recurrent_layers_have_their_gates_in_each_direction(
    tmp_path: Path, kind: str, gates: int, biases: int, direction: int, directions: int
) -> None:
    # ncnn: direction 0 forward, 1 reverse, 2 both
    rows = gates * 5 * directions
    layer = f"{kind} r 1 1 x y 0=5 1={rows * 8} 2={direction}"
    graph = network(tmp_path, ROWS, layer)
    shapes = [shape for shape, _ in weights(graph)]
    assert shapes == [(rows, 8), (rows, 5), (directions * 5 * biases,)]
    assert graph.tensors["y"].shape == (1, 6, 5 * directions)
    assert macs(graph) == 6 * rows * (8 + 5)


def test_an_lstm_may_project_its_state(tmp_path: Path) -> None:
    graph = network(tmp_path, ROWS, f"LSTM r 1 1 x y 0=5 1={4 * 7 * 8} 3=7")
    assert [s for s, _ in weights(graph)] == [(28, 8), (28, 5), (28,), (5, 7)]


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("LSTM r 1 1 x y 0=5 1=161", "161 weights do not fit 8 features and 5 outputs"),
        ("LSTM r 1 2 x y z 0=5 1=160", "1 inputs and 2 outputs"),
    ],
)
def test_a_recurrent_layer_that_is_not_read_says_why(
    tmp_path: Path, layer: str, reason: str
) -> None:
    with pytest.raises(ModelFileError, match=reason):
        network(tmp_path, ROWS, layer)


def test_an_embedding_is_a_look_up_in_a_table(tmp_path: Path) -> None:
    graph = network(tmp_path, "Input x 0 1 x 0=6", "Embed e 1 1 x y 0=4 1=100 3=400")
    assert graph.ops[0].kind == "gather"
    assert weights(graph) == [((100, 4), "float32")]
    assert graph.tensors["y"].shape == (1, 6, 4)
