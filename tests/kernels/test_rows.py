"""Measured rows become the same kernels that graphs give."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from perfmodel.cost_models.work_features import FEATURES, feature_matrix
from perfmodel.errors import MeasurementError
from perfmodel.graph import Graph, GraphBuilder
from perfmodel.kernels import CLASSES, KernelTable, fuse, kernel_class, macs
from perfmodel.kernels.kernel import NUMERIC_COLUMNS
from perfmodel.measurements.kernels import table_from_rows

NAN = float("nan")


def columns(**values: object) -> dict[str, np.ndarray]:
    return {name: np.asarray([value]) for name, value in values.items()}


def test_a_conv_row_equals_the_kernel_of_the_same_convolution() -> None:
    b = GraphBuilder("g")
    x = b.input((1, 14, 14, 32))
    (kernel,) = fuse(b.build(b.conv(x, 64, 3, 2, groups=2, bias=False, name="c")), "mnn")
    row = columns(op="conv2d", cin=32, hin=14, win=14, cout=64, hout=7, wout=7)
    row |= columns(batch=1, kh=3, kw=3, sh=2, sw=2, groups=2, m=NAN, elements=NAN, layer="c")
    ours, theirs = table_from_rows(row), KernelTable.from_kernels([kernel])
    for name in NUMERIC_COLUMNS:
        assert ours[name] == theirs[name], name
    assert ours["kernel_class"] == theirs["kernel_class"]
    assert np.array_equal(feature_matrix(ours), feature_matrix(theirs))


def test_a_linear_row_equals_a_fully_connected_kernel() -> None:
    b = GraphBuilder("g")
    (kernel,) = fuse(b.build(b.fc(b.input((6, 20)), 30, bias=False)), "mnn")
    table = table_from_rows(columns(op="linear", m=6, n=30, k=20))
    theirs = KernelTable.from_kernels([kernel])
    for name in ("m", "n", "k", "macs", "input_elements", "weight_elements", "output_elements"):
        assert table[name] == theirs[name], name


def test_products_of_bare_matrices_and_recurrent_layers() -> None:
    assert table_from_rows(columns(op="bmm", batch=4, m=6, n=5, k=2))["macs"] == 240
    # DeepBench counts 8 k^2 batch m FLOPs for an LSTM, 6 for a GRU; 2 FLOPs are a MAC
    assert table_from_rows(columns(op="lstm", batch=2, m=3, k=10))["macs"] == 4 * 100 * 6
    assert table_from_rows(columns(op="gru", batch=2, m=3, k=10))["macs"] == 3 * 100 * 6


def test_two_tensor_operators_read_twice_what_scalar_ones_do() -> None:
    two = table_from_rows(columns(op="add", elements=100, m=10, n=10))
    one = table_from_rows(columns(op="add_scalar", elements=100, m=10, n=10))
    assert (two["input_elements"], one["input_elements"]) == (200, 100)
    assert two["macs"] == 0


def test_a_row_without_its_sizes_is_refused() -> None:
    with pytest.raises(MeasurementError, match=r"row 1.*conv2d"):
        table_from_rows(columns(op="conv2d", cin=3, hin=8, win=8, cout=NAN, hout=8, wout=8))


def test_an_unknown_operator_is_refused_with_its_row() -> None:
    with pytest.raises(MeasurementError, match=r"row 2.*fused_block"):
        table_from_rows({"op": np.array(["relu", "fused_block"]), "elements": np.array([4, 4])})


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"cin": 32, "cout": 64, "kh": 1, "kw": 1}, "conv1x1"),
        ({"cin": 32, "cout": 64, "kh": 3, "kw": 3}, "conv3x3"),
        ({"cin": 32, "cout": 64, "kh": 3, "kw": 3, "sh": 2, "sw": 2}, "convkxk"),
        ({"cin": 3, "cout": 64, "kh": 3, "kw": 3}, "conv_first"),
        ({"cin": 32, "cout": 32, "kh": 3, "kw": 3, "groups": 32}, "depthwise"),
        ({"cin": 32, "cout": 64, "kh": 3, "kw": 3, "groups": 4}, "grouped"),
    ],
)
def test_classes_of_convolutions(shape: dict[str, int], expected: str) -> None:
    assert kernel_class("conv2d", **shape) == expected
    assert expected in CLASSES


def test_every_measured_row_has_work_and_the_networks_their_published_macs(data_dir: Path) -> None:
    import pandas as pd

    rows = pd.read_csv(data_dir / "layers_phones.csv.gz")
    table = table_from_rows({c: rows[c].to_numpy() for c in rows})
    one = (
        (rows.device == "huawei_p40") & (rows.unit == "gpu") & (rows.framework == "mnn")
    ).to_numpy()
    sums = rows[one].assign(macs=table["macs"][one]).groupby("model").macs.sum()
    # README-layers.md: inception-v3 5.713 G, pnasnet-mobile 0.587 G
    assert sums["inception-v3"] == pytest.approx(5.713e9, rel=1e-3)
    assert sums["pnasnet-mobile"] == pytest.approx(0.587e9, rel=1e-3)
    work = feature_matrix(table)
    assert work.shape == (len(rows), len(FEATURES))
    assert np.isfinite(work).all()
    assert (work >= 0).all()
    assert (work.sum(axis=1) > 0).all()


def same_as_row(graph: Graph, framework: str = "vanilla", **row: object) -> None:
    """Every number and the class of the graph's one kernel are those of the row."""
    (kernel,) = fuse(graph, framework)
    ours, theirs = table_from_rows(columns(**row)), KernelTable.from_kernels([kernel])
    stated = {"batch", "macs", "input_elements", "weight_elements", "output_elements", "elements"}
    for name in stated | {n for n in NUMERIC_COLUMNS if n in row}:
        assert ours[name] == theirs[name], (name, ours[name], theirs[name])
    for name in ("m", "n", "k"):
        assert ours[name] == theirs[name], (name, ours[name], theirs[name])
    assert ours["kernel_class"] == theirs["kernel_class"]


SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_convolution_is_the_same_as_a_row_and_in_a_graph(seed: int) -> None:
    pick = random.Random(seed).randint
    groups = pick(1, 4)
    cin, cout, kernel = groups * pick(1, 9), groups * pick(1, 9), (pick(1, 5), pick(1, 5))
    stride, batch, hin, win = (pick(1, 3), pick(1, 3)), pick(1, 4), pick(6, 20), pick(6, 20)
    b = GraphBuilder("g")
    y = b.conv(b.input((batch, hin, win, cin)), cout, kernel, stride, groups=groups, bias=False)
    sizes = {"cin": cin, "hin": hin, "win": win, "cout": cout, "batch": batch, "groups": groups}
    sizes |= {"hout": -(-hin // stride[0]), "wout": -(-win // stride[1])}
    sizes |= {"kh": kernel[0], "kw": kernel[1], "sh": stride[0], "sw": stride[1]}
    same_as_row(b.build(y), op="conv2d", **sizes)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_product_is_the_same_as_a_row_and_in_a_graph(seed: int) -> None:
    pick = random.Random(seed).randint
    batch, m, n, k = pick(2, 5), pick(1, 9), pick(1, 9), pick(1, 9)
    b = GraphBuilder("g")
    dense = b.build(b.fc(b.input((batch, m, k)), n, bias=False, keep_dims=True))
    same_as_row(dense, op="linear", m=batch * m, n=n, k=k)
    b = GraphBuilder("g")
    x, y = b.input((batch, m, k)), b.input((batch, n, k))
    same_as_row(
        b.build(b.op("matmul", x, y, transpose_b=True)), op="bmm", batch=batch, m=m, n=n, k=k
    )
    b = GraphBuilder("g")
    x, y = b.input((k, m)), b.input((k, n))
    same_as_row(b.build(b.op("matmul", x, y, transpose_a=True)), op="gemm", m=m, n=n, k=k)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_classifier_is_the_same_as_a_row_of_its_image(seed: int) -> None:
    pick = random.Random(seed).randint
    batch, side, cin, cout = pick(1, 5), pick(1, 6), pick(1, 9), pick(1, 9)
    b = GraphBuilder("g")
    graph = b.build(b.fc(b.input((batch, side, side, cin)), cout, bias=False))
    (kernel,) = fuse(graph, "vanilla")
    row = columns(op="fully_connected", batch=batch, cin=cin, hin=side, win=side, cout=cout)
    ours = table_from_rows(row)
    for name in ("m", "n", "k", "batch", "macs", "weight_elements", "input_elements", "elements"):
        assert ours[name] == getattr(kernel, name), name


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_recurrent_layer_is_a_row_and_the_products_with_its_input(
    kind: str, seed: int
) -> None:
    # rows time the recurrent part only: a graph adds gates x features x hidden for each step
    pick = random.Random(seed).randint
    batch, steps, features, hidden = pick(1, 4), pick(1, 9), pick(1, 9), pick(1, 9)
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[kind]
    b = GraphBuilder("g")
    weights = [b.constant((1, gates * hidden, size)) for size in (features, hidden)]
    attrs = {"hidden": hidden, "directions": 1, "return_sequences": True, "time_major": False}
    (kernel,) = fuse(
        b.build(b.op(kind, b.input((batch, steps, features)), *weights, **attrs)), "vanilla"
    )
    row = table_from_rows(columns(op=kind, batch=batch, m=steps, k=hidden))
    of_input = gates * features * hidden
    assert kernel.macs == row["macs"] + of_input * batch * steps
    assert kernel.weight_elements == row["weight_elements"] + of_input
    assert kernel.output_elements == row["output_elements"]
    assert kernel.input_elements == batch * steps * features


@pytest.mark.parametrize(
    ("groups", "by_hand"),
    [
        # 2 x 5 x 5 pixels of the input, each times 3 x 3 x 6 outputs, by 4 channels
        (1, 2 * 5 * 5 * 3 * 3 * 6 * 4),
        # in two groups each input channel meets half of the outputs
        (2, 2 * 5 * 5 * 3 * 3 * 6 * 4 // 2),
    ],
)
def test_a_transposed_convolution_multiplies_the_pixels_of_its_input(
    groups: int, by_hand: int
) -> None:
    b = GraphBuilder("g")
    weights = b.constant((6, 3, 3, 4 // groups))
    attrs = {"stride": (2, 2), "pads": (1, 1, 1, 1), "groups": groups, "activation": "none"}
    graph = b.build(b.op("transpose_conv2d", b.input((2, 5, 5, 4)), weights, **attrs))
    (kernel,) = fuse(graph, "vanilla")
    assert macs(graph) == kernel.macs == by_hand
    assert (kernel.m, kernel.n, kernel.k) == (2 * 5 * 5, 6 // groups * 9, 4 // groups)
