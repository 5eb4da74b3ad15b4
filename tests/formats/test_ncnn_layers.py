"""Layers of ncnn as pnnx and users write them: shapes and MACs against hand arithmetic.

Shapes are those of ncnn's blobs, outermost first, as its own runtime makes them (the slow test of
the oracle compares whole networks).
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.ncnn.expression import evaluate
from perfmodel.formats.ncnn.net import in_mat_order
from perfmodel.formats.ncnn.reader import read_ncnn, read_net
from perfmodel.graph.rebatch import rebatch
from perfmodel.kernels import fuse, macs, params, uncovered_ops

ROWS, PICTURE, VOLUME = (4, 10), (4, 6, 8), (4, 5, 6, 8)
LETTERS = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}
"""Parameters of an Input's sizes, outermost first."""

Blob = tuple[int, ...]


def write(folder: Path, blobs: list[Blob], layer: str) -> Path:
    """A file whose inputs a, b, ... have those shapes, and one layer that reads all of them."""
    lines = []
    for name, blob in zip("abcdef", blobs, strict=False):
        sizes = " ".join(f"{k}={s}" for k, s in zip(LETTERS[len(blob)], blob, strict=True))
        lines.append(f"Input {name} 0 1 {name} {sizes}")
    kind, _, params_text = layer.partition(" ")
    tops = 1
    if kind[-1].isdigit() and "*" in kind:
        kind, tops = kind.split("*")[0], int(kind.split("*")[1])
    outs = " ".join("yzuvw"[:tops])
    bottoms = " ".join("abcdef"[: len(blobs)])
    lines.append(f"{kind} layer {len(blobs)} {tops} {bottoms} {outs} {params_text}")
    path = folder / "net.param"
    count = len(blobs) + tops
    path.write_text("\n".join(["7767517", f"{len(lines)} {count}", *lines]) + "\n")
    return path


def outputs(path: Path) -> list[Blob]:
    net = read_net(path)
    return [in_mat_order(net.shape(blob)) for blob in net.layers[-1].tops]


LAYERS: dict[str, tuple[list[Blob], str, list[Blob], int]] = {
    # 10 + 1 + 1 positions of a window of 3 over 4 channels, for 6 filters
    "conv1d": ([ROWS], "Convolution1D 0=6 1=3 4=1 6=72", [(6, 10)], 10 * 6 * 3 * 4),
    "conv1d, stride and end pad": (
        [ROWS],
        "Convolution1D 0=6 1=3 3=2 4=1 15=0 6=72",
        [(6, 5)],
        5 * 6 * 3 * 4,
    ),
    "conv1d, dilated": ([ROWS], "Convolution1D 0=6 1=3 2=2 6=72", [(6, 6)], 6 * 6 * 12),
    "conv1d, same": ([ROWS], "Convolution1D 0=6 1=4 4=-233 6=96", [(6, 10)], 10 * 6 * 16),
    "conv1d, depthwise": (
        [ROWS],
        "ConvolutionDepthWise1D 0=4 1=3 6=12 7=4",
        [(4, 8)],
        8 * 4 * 3,
    ),
    "conv1d, computed weights": (
        [ROWS, (6, 4, 3)],
        "Convolution1D 0=0 1=3 19=1",
        [(6, 8)],
        8 * 6 * 12,
    ),
    "conv2d, computed weights": (
        [PICTURE, (5, 4, 3, 3)],
        "Convolution 0=0 1=3 19=1",
        [(5, 4, 6)],
        4 * 6 * 5 * 36,
    ),
    "conv3d": (
        [VOLUME],
        "Convolution3D 0=6 1=3 4=1 6=648",
        [(6, 5, 6, 8)],
        5 * 6 * 8 * 6 * 27 * 4,
    ),
    "conv3d, each axis its own": (
        [VOLUME],
        "Convolution3D 0=2 1=3 11=2 21=1 3=1 13=2 23=3 4=1 14=0 24=2 6=48",
        # depth (5 + 4 - 1) / 3 + 1, height (6 - 2) / 2 + 1, width 8 + 2 - 3 + 1
        [(2, 3, 3, 8)],
        3 * 3 * 8 * 2 * 6 * 4,
    ),
    "conv3d, depthwise": (
        [VOLUME],
        "ConvolutionDepthWise3D 0=4 1=3 6=108 7=4",
        [(4, 3, 4, 6)],
        3 * 4 * 6 * 4 * 27,
    ),
    "deformable": (
        [PICTURE, (18, 4, 6)],
        "DeformableConv2D 0=5 1=3 6=180",
        [(5, 4, 6)],
        4 * 6 * 5 * 36,
    ),
    "deconv1d": ([ROWS], "Deconvolution1D 0=6 1=4 3=2 4=1 6=96", [(6, 20)], 10 * 4 * 4 * 6),
    "deconv1d, rows at the end": (
        [ROWS],
        "Deconvolution1D 0=6 1=3 3=2 18=1 6=72",
        [(6, 22)],
        10 * 3 * 4 * 6,
    ),
    "deconv1d, depthwise": (
        [ROWS],
        "DeconvolutionDepthWise1D 0=4 1=3 3=2 6=12 7=4",
        [(4, 21)],
        10 * 3 * 4,
    ),
    "deconv to a given size": (
        [PICTURE],
        "Deconvolution 0=5 1=3 3=2 4=-233 20=16 21=12 6=180",
        [(5, 12, 16)],
        6 * 8 * 36 * 5,
    ),
    "deconv3d": (
        [VOLUME],
        "Deconvolution3D 0=6 1=2 3=2 6=192",
        [(6, 10, 12, 16)],
        5 * 6 * 8 * 8 * 4 * 6,
    ),
    "pool1d": ([ROWS], "Pooling1D 0=0 1=3 2=2 5=1", [(4, 4)], 0),
    "pool1d to the end": ([ROWS], "Pooling1D 0=1 1=3 2=2", [(4, 5)], 0),
    "pool1d of all": ([ROWS], "Pooling1D 0=1 4=1", [(4,)], 0),
    "pool1d to three": ([ROWS], "Pooling1D 0=1 7=1 8=3", [(4, 3)], 0),
    "pool to more": ([PICTURE], "Pooling 0=1 7=1 8=12 18=-233", [(4, 6, 12)], 0),
    "pool3d": ([VOLUME], "Pooling3D 0=0 1=2 2=2 5=1", [(4, 2, 3, 4)], 0),
    "pool3d of all": ([VOLUME], "Pooling3D 0=0 4=1", [(4,)], 0),
    "statistics": ([PICTURE], "StatisticsPooling 0=1", [(8,)], 0),
    "means alone": ([PICTURE], "StatisticsPooling", [(4,)], 0),
    "group norm": ([PICTURE], "GroupNorm 0=2 1=4 2=1.0e-05", [PICTURE], 0),
    "group norm of rows": ([ROWS], "GroupNorm 0=2 1=4", [ROWS], 0),
    "instance norm": ([PICTURE], "InstanceNorm 0=4", [PICTURE], 0),
    "layer norm": ([PICTURE], "LayerNorm 0=8 1=1.0e-05", [PICTURE], 0),
    "rms norm": ([ROWS], "RMSNorm 0=10 1=1.0e-05", [ROWS], 0),
    "mvn": ([PICTURE], "MVN 0=1", [PICTURE], 0),
    "matmul of matrices": ([(6, 8), (8, 5)], "MatMul", [(6, 5)], 6 * 8 * 5),
    "matmul transposed": ([(6, 8), (5, 8)], "MatMul 0=1", [(6, 5)], 6 * 8 * 5),
    "matmul of stacks": ([(3, 6, 8), (3, 8, 5)], "MatMul", [(3, 6, 5)], 3 * 6 * 8 * 5),
    "matmul by one for all": ([(3, 6, 8), (8, 5)], "MatMul", [(3, 6, 5)], 3 * 6 * 8 * 5),
    "matmul of stacks of stacks": (
        [(2, 3, 6, 8), (3, 8, 5)],
        "MatMul",
        [(2, 3, 6, 5)],
        6 * 6 * 8 * 5,
    ),
    "matmul of vectors": ([(8,), (8,)], "MatMul", [(1,)], 8),
    "matmul of a vector": ([(8,), (8, 5)], "MatMul", [(5,)], 40),
    "matmul by a vector": ([(6, 8), (8,)], "MatMul", [(6,)], 48),
    "matmul of a vector and stacks": ([(8,), (3, 8, 5)], "MatMul", [(3, 5)], 120),
    # the numbers of its letters
    "einsum": (
        [(4, 6), (4, 9, 6)],
        "Einsum -23300=10," + ",".join(str(ord(c)) for c in "ik,ijk->ij"),
        [(4, 9)],
        4 * 9 * 6,
    ),
    "einsum outer": (
        [(4,), (9,)],
        "Einsum -23300=7," + ",".join(str(ord(c)) for c in "i,j->ij"),
        [(4, 9)],
        36,
    ),
    # scores of 4 heads: 6 x 9 x 8; mix: 6 x 9 x 7
    "sdpa": ([(4, 6, 8), (4, 9, 8), (4, 9, 7)], "SDPA", [(4, 6, 7)], 4 * 6 * 9 * (8 + 7)),
    "sdpa, masked": (
        [(4, 6, 8), (4, 9, 8), (4, 9, 7), (6, 9)],
        "SDPA 5=1",
        [(4, 6, 7)],
        4 * 6 * 9 * 15,
    ),
    "sdpa, keys shared by heads": (
        [(4, 6, 8), (2, 9, 8), (2, 9, 7)],
        "SDPA",
        [(4, 6, 7)],
        4 * 6 * 9 * 15,
    ),
    "sdpa, cached": (
        [(4, 1, 8), (2, 1, 8), (2, 1, 7), (2, 9, 8), (2, 9, 7)],
        "SDPA*3 7=1",
        [(4, 1, 7), (2, 10, 8), (2, 10, 7)],
        4 * 10 * 15,
    ),
    "rotary": ([(4, 6, 8), (6, 4), (6, 4)], "RotaryEmbed", [(4, 6, 8)], 0),
    "lstm, states": (
        [(3, 20), (1, 5), (1, 5)],
        "LSTM*3 0=5 1=400",
        [(3, 5), (1, 5), (1, 5)],
        3 * 4 * 5 * 25,
    ),
    "lstm, states of vectors": (
        [(20,), (5,), (5,)],
        "LSTM*3 0=5 1=400",
        [(1, 5), (5,), (5,)],
        4 * 5 * 25,
    ),
    # 12 cells: 4 gates x 12 x (20 + 5), projected to 5
    "lstm, projected": (
        [(3, 20)],
        "LSTM*3 0=5 1=960 3=12",
        [(3, 5), (1, 5), (1, 12)],
        3 * (4 * 12 * 25 + 12 * 5),
    ),
    "gru, both ways, states out": (
        [(3, 20)],
        "GRU*2 0=5 1=600 2=2",
        [(3, 10), (2, 5)],
        3 * 2 * 3 * 5 * 25,
    ),
    "rnn, state in": ([(3, 20), (1, 5)], "RNN 0=5 1=100", [(3, 5)], 3 * 5 * 25),
    "permute of four": ([VOLUME], "Permute 0=8", [(5, 6, 4, 8)], 0),
    "permute of four, last": ([VOLUME], "Permute 0=23", [(8, 6, 5, 4)], 0),
    "reshape by expression": ([PICTURE], 'Reshape 6="0w,-1"', [(24, 8)], 0),
    "reshape to a product": ([PICTURE], 'Reshape 6="*(0w,0h),0c"', [(4, 48)], 0),
    "reshape with a batch axis": ([(8,)], 'Reshape 12=0 13=0 6="1,1,//(8,0n),0n"', [(8, 1, 1)], 0),
    "reshape like another": ([(48,), (6, 8)], 'Reshape 6="1w,1h"', [(6, 8)], 0),
    "resize by expression": ([PICTURE], 'Interp 0=1 9="*(0w,2),*(0h,3)"', [(4, 18, 16)], 0),
    "resize of rows": ([ROWS], "Interp 0=1 2=2.0", [(4, 20)], 0),
    "resize of a vector": ([(4,)], "Interp 0=1 3=5 4=6", [(4, 5, 6)], 0),
    "resize like another": ([PICTURE, (2, 9, 7)], "Interp 0=2 5=1", [(4, 9, 7)], 0),
    "crop of four": (
        [VOLUME],
        "Crop 0=1 1=2 13=1 2=1 3=4 4=3 14=2 5=2",
        [(2, 2, 3, 4)],
        0,
    ),
    "crop by expression": ([PICTURE], 'Crop 19="1" 20="-(0h,1)" 21="1"', [(4, 4, 8)], 0),
    "grid sample": ([PICTURE, (5, 7, 2)], "GridSample", [(4, 5, 7)], 0),
    "grid sample, fused": ([PICTURE, (2, 5, 7)], "GridSample 3=1", [(4, 5, 7)], 0),
    "grid sample of four": ([VOLUME, (3, 5, 7, 3)], "GridSample", [(4, 3, 5, 7)], 0),
    "focus": ([(3, 8, 8)], "YoloV5Focus", [(12, 4, 4)], 0),
    "warp": ([(3, 8, 8), (2, 8, 8)], "rife.Warp", [(3, 8, 8)], 0),
    "unfold": ([(3, 8, 8)], "Unfold 1=3 4=1", [(27, 64)], 0),
    "fold": ([(27, 64)], "Fold 1=3 4=1 20=8", [(3, 8, 8)], 0),
    "gated": ([PICTURE], "GLU 0=1", [(4, 3, 8)], 0),
    "diagonal": ([(5,)], "Diag 0=1", [(6, 6)], 0),
    "diagonal of a matrix": ([(5, 6)], "Diag 0=-2", [(3,)], 0),
    "squeezed": ([(4, 1, 8)], "Squeeze -23303=1,1", [(4, 8)], 0),
    "squeezed where there is nothing": ([(4, 2, 8)], "Squeeze -23303=1,1", [(4, 2, 8)], 0),
    "expanded": ([(6, 8)], "ExpandDims -23303=2,0,2", [(1, 6, 1, 8)], 0),
    "flip": ([PICTURE], "Flip -23300=1,1", [PICTURE], 0),
    "copy to": ([PICTURE, (2, 3, 8)], "CopyTo", [PICTURE], 0),
    "tile to more axes": ([(6, 8)], "Tile -23302=3,2,1,3", [(2, 6, 24)], 0),
    "tile, channels stay": ([PICTURE], "Tile -23302=4,1,2,1,3", [(4, 2, 6, 24)], 0),
    "largest": ([(10,)], "ArgMax 0=1 1=3", [(2, 3)], 0),
    "places of the largest": ([(10,)], "ArgMax 1=3", [(3,)], 0),
    "region": ([PICTURE, (4,)], "ROIAlign 0=7 1=5", [(4, 5, 7)], 0),
    "region by position": ([(49, 6, 8), (4,)], "PSROIPooling 0=7 1=7 3=1", [(1, 7, 7)], 0),
    "proposals": (
        [(2, 6, 8), (4, 6, 8), (3,)],
        "Proposal*2 3=20",
        [(20, 1, 4), (20, 1, 1)],
        0,
    ),
    "weights of every row": ([PICTURE], "InnerProduct 0=3 2=24", [(4, 6, 3)], 24 * 8 * 3),
    "weights of channels": ([PICTURE], "InnerProduct 0=3 2=12", [(3, 6, 8)], 48 * 4 * 3),
    "weights of all": ([PICTURE], "InnerProduct 0=3 2=576", [(3,)], 192 * 3),
    "weights of one row": ([(1, 8)], "InnerProduct 0=3 2=24", [(1, 3)], 24),
    "modern unary": ([ROWS], "UnaryOp 0=27", [ROWS], 0),
    "modern binary": ([ROWS, ROWS], "BinaryOp 0=18", [ROWS], 0),
    "rows against channels and rows": ([PICTURE, (4, 6)], "BinaryOp", [PICTURE], 0),
    "a vector against channels": ([PICTURE, (4,)], "BinaryOp", [PICTURE], 0),
    "a vector against the width": ([PICTURE, (8,)], "BinaryOp", [PICTURE], 0),
    "joined, ranks differ": ([(1, 8), (1, 5, 8)], "Concat 0=0", [(6, 8)], 0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_and_macs_by_hand(tmp_path: Path, name: str) -> None:
    blobs, layer, expected, work = LAYERS[name]
    path = write(tmp_path, blobs, layer)
    assert outputs(path) == expected
    graph = read_ncnn(path)
    assert macs(graph) == work
    assert fuse(graph, "ncnn")


SPECTRA: dict[str, tuple[list[Blob], str, list[Blob]]] = {
    # 64 / 2 + 1 frequencies; (400 + 64 - 64) / 16 + 1 frames, without padding (400 - 64) / 16 + 1
    "spectrogram": ([(400,)], "Spectrogram 0=64 2=16 3=64", [(33, 26, 2)]),
    "of power": ([(400,)], "Spectrogram 0=64 1=2 2=16 3=64 5=0", [(33, 22)]),
    "of both sides": ([(400,)], "Spectrogram 0=64 2=16 3=64 8=0", [(64, 26, 2)]),
    "every quarter": ([(400,)], "Spectrogram 0=64", [(33, 26, 2)]),
    "back": ([(33, 26, 2)], "InverseSpectrogram 0=64 2=16 3=64", [(400, 2)]),
    "back to real": ([(33, 26, 2)], "InverseSpectrogram 0=64 1=1 2=16 3=64", [(400,)]),
    "back without padding": ([(33, 22, 2)], "InverseSpectrogram 0=64 2=16 3=64 5=0", [(400, 2)]),
}
"""Fourier transforms: their cost is not modelled, their sizes are."""


@pytest.mark.parametrize("name", SPECTRA)
def test_spectrograms_are_named_as_not_covered(tmp_path: Path, name: str) -> None:
    blobs, layer, expected = SPECTRA[name]
    path = write(tmp_path, blobs, layer)
    assert outputs(path) == expected
    (op,) = uncovered_ops(read_ncnn(path))
    assert op.attrs["custom_name"] == layer.split()[0]


def test_means_of_a_picture_are_one_operator(tmp_path: Path) -> None:
    path = write(tmp_path, [PICTURE], "Reduction 0=3 1=0 -23303=2,1,2 4=0 5=1")
    assert outputs(path) == [(4,)]
    assert [op.kind for op in read_ncnn(path).ops] == ["reduce_mean"]
    rows = write(tmp_path, [PICTURE], "Reduction 0=3 1=0 -23303=1,0 4=0 5=1")
    assert outputs(rows) == [(6, 8)]


def test_a_sum_of_three_reads_each_of_them(tmp_path: Path) -> None:
    graph = read_ncnn(write(tmp_path, [PICTURE] * 3, "Eltwise 0=1"))
    assert [op.kind for op in graph.ops] == ["add", "add"]
    assert {n for op in graph.ops for n in op.inputs} >= {"a", "b", "c"}


def test_a_product_of_a_vector_is_that_of_one_row(tmp_path: Path) -> None:
    path = write(tmp_path, [(8,)], "Gemm 3=1 5=1 6=1 8=5 9=8 10=-1")
    assert outputs(path) == [(1, 5)]
    assert macs(read_ncnn(path)) == 40


@pytest.mark.parametrize("name", ["sdpa", "conv1d", "matmul of stacks", "lstm, states"])
def test_a_batch_multiplies_the_work(tmp_path: Path, name: str) -> None:
    blobs, layer, _, work = LAYERS[name]
    assert macs(rebatch(read_ncnn(write(tmp_path, blobs, layer)), 3)) == 3 * work


def test_views_are_no_kernels(tmp_path: Path) -> None:
    graph = read_ncnn(write(tmp_path, [(3, 6, 8), (3, 8, 5)], "MatMul"))
    assert [op.kind for op in graph.ops] == ["view", "view", "matmul", "view"]
    for framework in ("ncnn", "tflite", "onnxruntime", "vanilla"):
        assert [k.op for k in fuse(graph, framework)] == ["bmm"]


PARAMETERS = {
    "GroupNorm 0=2 1=4": 8,
    "GroupNorm 0=2 1=4 3=0": 0,
    "InstanceNorm 0=4": 8,
    "LayerNorm 0=8": 16,
    "LayerNorm 0=8 2=0": 0,
    "RMSNorm 0=8": 8,
}


@pytest.mark.parametrize("layer", PARAMETERS)
def test_norms_have_the_factors_that_they_learn(tmp_path: Path, layer: str) -> None:
    assert params(read_ncnn(write(tmp_path, [PICTURE], layer))) == PARAMETERS[layer]


def test_convolutions_have_their_weights(tmp_path: Path) -> None:
    path = write(tmp_path, [ROWS], "ConvolutionDepthWise1D 0=8 1=3 5=1 6=48 7=2")
    assert params(read_ncnn(path)) == 8 * 3 * 2 + 8
    assert macs(read_ncnn(path)) == 8 * 8 * 3 * 2


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("0w,-1", [8, -1]),
        ("+(0w,1h),*(2,0c)", [8 + 9, 8]),
        ("-(0w,2)", [6]),
        ("//(7,2),//(-7,2)", [3, -3]),
        ("/(7,2)", [3]),
        ("ceil(/(7,2)),floor(/(7,2)),round(/(7,2)),trunc(/(7,2))", [4, 3, 4, 3]),
        ("max(0w,0h),min(0w,0h)", [8, 6]),
        ("neg(3),abs(-3),sign(-3),square(3)", [-3, 3, -1, 9]),
        ("*(0w,0.5)", [4]),
        ("sqrt(16),pow(2,3)", [4, 8]),
        ("*(+(0w,1),-(0h,1))", [45]),
    ],
)
def test_expressions_of_sizes(text: str, sizes: list[int]) -> None:
    blobs = [{"w": 8, "h": 6, "c": 4}, {"w": 5, "h": 9}]
    assert evaluate(text, blobs) == sizes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+(1)",
        "2w",
        "//(1,0)",
        "what",
        "sqrt(-1)",
        "1e999",
        "nan",
        "99999999999999999999",
        "pow(10,30)",
        "square(square(square(square(999999))))",
        ",".join(["1"] * 1001),
        "exp(10000)",
    ],
)
def test_broken_expressions_are_refused(text: str) -> None:
    with pytest.raises(GraphError, match="expression"):
        evaluate(text, [{"w": 8}])


@pytest.mark.parametrize(
    ("blobs", "layer", "reason"),
    [
        ([PICTURE], "Convolution1D 0=6 1=3 6=72", "needs rows"),
        ([ROWS], "Convolution3D 0=6 1=3 6=72", "needs a volume"),
        ([(6, 8), (7, 5)], "MatMul", "inner sizes 8 and 7"),
        ([(6, 8)], "MatMul", "two inputs expected"),
        ([PICTURE], "InnerProduct 0=3 2=15", "does not fit weights for 5 inputs"),
        ([PICTURE, (5, 7, 3)], "GridSample", "a grid"),
        ([(3, 8, 8), (2, 8, 7)], "rife.Warp", "flow"),
        ([(4, 6, 8), (3, 9, 8), (3, 9, 7)], "SDPA", "4 heads of queries"),
        ([(6, 8), (9, 8), (9, 7)], "SDPA", "attention needs"),
        ([(3, 20)], "LSTM 0=5 1=401", "401 weights do not fit 20 features and 5 outputs"),
        ([(3, 20)], "LSTM*2 0=5 1=400", "1 inputs and 2 outputs"),
        ([PICTURE], "LSTM 0=5 1=400", "time, features"),
        ([(4, 6), (4, 9, 6)], "Einsum -23300=2,105,106", "no product of two blobs"),
        ([PICTURE], "Reshape 6=5", "must be a text"),
        ([PICTURE], "Permute 0=6", "order_type 6"),
        ([(27, 63)], "Fold 1=3 4=1 20=8", "no windows"),
        ([PICTURE], "Deconvolution 0=5 1=3 3=2 4=-233 20=99 21=99 6=180", "cut from"),
        ([ROWS], "GLU 0=5", "axis 5"),
        ([PICTURE], "GLU 0=3", "axis 3"),
        ([(5, 6, 8)], "GLU 0=0", "no half"),
        ([(4, 6, 9)], "ShuffleChannel 0=3", "into 3 groups"),
        ([PICTURE], "Interp 0=4", "unknown resize_type 4"),
        ([VOLUME], "Interp 0=1 1=2.0", "an image is expected"),
        ([PICTURE], "Pooling 1=3 5=4", "unknown pad_mode 4"),
        ([PICTURE], "Pooling 7=1 8=0", "adaptive pooling"),
        ([PICTURE], "Convolution 0=6 1=3 6=217", "217 weights do not fit 6 filters of 3 x 3"),
        ([PICTURE], "Convolution 0=6 1=3 6=216 9=7", "unknown activation_type 7"),
        ([PICTURE], "Crop -23309=1,1 -23310=2,3,4 -23311=1,0", "of one length"),
        ([PICTURE], "ROIAlign 0=0 1=5", "regions of"),
        ([ROWS], "StatisticsPooling", "statistics of"),
        ([PICTURE], "Reduction 0=11", "unknown reduction 11"),
        ([(2, 3, 4, 5)], "Padding 7=-1", "negative padding"),
        ([PICTURE], "Tensor.slice", "unknown layer type 'Tensor.slice'"),
    ],
)
def test_layers_that_do_not_fit_are_refused(
    tmp_path: Path, blobs: list[Blob], layer: str, reason: str
) -> None:
    with pytest.raises(ModelFileError, match=reason):
        read_ncnn(write(tmp_path, blobs, layer))


def test_all_orders_of_four_axes_differ(tmp_path: Path) -> None:
    orders = set()
    for kind in range(24):
        made = outputs(write(tmp_path, [VOLUME], f"Permute 0={kind}"))[0]
        assert sorted(made) == sorted(VOLUME)
        assert math.prod(made) == math.prod(VOLUME)
        orders.add(made)
    assert len(orders) == 24
