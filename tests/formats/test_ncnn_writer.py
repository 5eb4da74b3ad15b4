"""Networks written for ncnn: what our reader reads of them, what ncnn makes of them."""

from __future__ import annotations

import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from perfmodel import zoo
from perfmodel.errors import GraphError
from perfmodel.formats.ncnn.reader import read_layers, read_ncnn
from perfmodel.formats.ncnn.write_file import text_of
from perfmodel.formats.ncnn.writer import write_ncnn, written
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.kernels import fuse, macs
from perfmodel.runners.named_times import owner_of, owners
from perfmodel.runners.random_nets import random_image, random_network, random_recurrent

DRAWN = [random_network(s) for s in (2, 3, 5)] + [random_image(7), random_recurrent(4)]


def everything() -> Graph:
    """A small network with the operators that drawn ones hold rarely or never."""
    g = GraphBuilder("everything")
    x = g.conv(g.input((1, 12, 10, 3)), 8, 3, activation="relu6")
    for kind in ("leaky_relu", "elu", "tanh", "hard_sigmoid", "swish", "gelu", "mish", "abs"):
        x = g.binary("add", x, g.op(kind, x))
    x = g.op("lrn", x, size=5, alpha=0.02, beta=0.75, bias=1.0)
    x = g.op("prelu", x, g.constant((1, 1, 8)))
    x = g.binary("sub", g.constant((8,)), x)
    x = g.binary("div", x, g.constant((), "two"), activation="relu")
    x = g.op("pad", x, paddings=((0, 0), (1, 0), (2, 1), (0, 0)))
    x = g.op("slice", x, begin=(0, 1, 2, 2), size=(1, 12, 11, 6))
    x = g.pool(x, "max", 3, 1, (2, 0, 1, 1))
    x = g.op("channel_shuffle", g.transpose_conv(x, 8, 3, 2), groups=2)
    x = g.op("space_to_depth", g.op("depth_to_space", x, block=2), block=2)
    x = g.op("resize", x, size=(9, 7), method="bilinear")
    whole = g.op("reduce_mean", x, axes=(1, 2), keep_dims=True)
    gate = g.op("sigmoid", g.conv(g.conv(whole, 4, 1, activation="relu"), 8, 1))
    x = g.binary("mul", x, gate)
    x = g.concat([x, g.op("reduce_max", x, axes=(3,), keep_dims=True)])
    x = g.conv(x, 12, 3, 2, groups=3)
    rows = g.reshape(x, (1, 20, 12))
    rows = g.op("layer_norm", rows, g.constant((12,)), g.constant((12,)), axes=(-1,))
    rows = g.binary("add", rows, g.constant((1, 20, 12)))
    parts = g.add_op("split", [rows], {"axis": 2, "sizes": (4, 8)})
    rows = g.op("transpose", parts[1], perm=(0, 2, 1))
    rows = g.op("matmul", rows, parts[0], transpose_a=False, transpose_b=False)
    other = g.op("matmul", parts[0], parts[0], transpose_a=False, transpose_b=True)
    other = g.op("reduce_mean", other, axes=(1,), keep_dims=False)
    first = g.op("slice", rows, begin=(0, 0, 0), size=(1, 1, 4))
    flat = g.reshape(g.op("softmax", rows, axis=-1), (1, 32))
    y = g.binary("add", g.binary("add", g.fc(flat, 6), g.fc(first, 6)), g.fc(other, 6))
    return g.build(y, g.fc(g.reshape(x, (1, 240)), 5), source="everything", format="zoo")


@pytest.mark.parametrize(
    "graph",
    [*DRAWN, everything(), *map(zoo.build, ("mobilenet_v3_large", "shufflenet_v2", "googlenet"))],
    ids=lambda graph: graph.name,
)
def test_what_is_written_is_read_as_the_same_work(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "network.param"
    path.write_text(text_of(written(graph)))
    again = read_ncnn(path)
    assert macs(again) == macs(graph)
    sizes = Counter(again.tensors[name].elements for name in again.outputs)
    assert not Counter(graph.tensors[name].elements for name in graph.outputs) - sizes


@pytest.mark.parametrize("graph", [*DRAWN, everything()], ids=lambda graph: graph.name)
def test_every_kernel_that_ncnn_runs_has_layers_of_its_name(graph: Graph) -> None:
    kernels = fuse(graph, "ncnn")
    at = owners(graph, kernels)
    found = [owner_of(line.name, at) for line in written(graph) if line.type != "Input"]
    assert set(found) == set(range(len(kernels)))


def test_weights_lie_in_ncnns_order(tmp_path: Path) -> None:
    """Channels in before the window; a mark of the type before weights, none before biases."""
    g = GraphBuilder("order")
    graph = g.build(g.conv(g.input((1, 4, 4, 3)), 2, (1, 2), padding="valid", name="a"))
    write_ncnn(graph, tmp_path / "order.param", seed=5)
    raw = np.frombuffer((tmp_path / "order.bin").read_bytes(), np.float32)
    stream = [5, zlib.crc32(b"a/weights")]
    # 2 filters of 1 x 2 x 3, each of variance 1 / (2 * 3)
    drawn = np.random.default_rng(stream).standard_normal(12, np.float32) / np.sqrt(np.float32(6))
    assert raw[0] == 0
    assert raw[1:13] == pytest.approx(drawn.reshape(2, 1, 2, 3).transpose(0, 3, 1, 2).ravel())
    assert len(raw) == 1 + 12 + 2


def test_integer_networks_hold_scales_and_hand_integers_on(tmp_path: Path) -> None:
    g = GraphBuilder("integers")
    x = g.conv(g.input((1, 8, 8, 3)), 8, 3, activation="relu", name="first")
    x = g.depthwise(x, 3, name="second")
    x = g.fc(g.op("tanh", x), 5, name="last")
    path = tmp_path / "integers.param"
    write_ncnn(g.build(x), path, precision="int8")
    layers = {layer.name: layer.params for layer in read_layers(path)}
    # the first hands integers on to the second, which a layer of floats reads
    assert [layers[n].get(8) for n in ("first", "second", "last")] == [102, 1, 2]
    weights = 4 + 216 + 4 * 8 + 4 * (8 + 1 + 1)  # mark, weights, biases, scales in, out and own
    weights += 4 + 72 + 4 * 8 + 4 * (8 + 1)
    weights += 4 + 2560 + 4 * 5 + 4 * (5 + 1)
    raw = path.with_suffix(".bin").read_bytes()
    assert len(raw) == weights
    # of an image in [-1, 1] and of results up to 6, in steps of 127
    scales = np.frombuffer(raw[4 + 216 + 4 * 8 + 4 * 8 :][:8], np.float32)
    assert scales == pytest.approx([127, 127 / 6])


def test_what_ncnn_cannot_run_is_refused_by_name() -> None:
    g = GraphBuilder("refused")
    batch = g.build(g.op("relu", g.input((2, 4, 4, 3)), name="a"))
    with pytest.raises(GraphError, match="input"):
        written(batch)
    g = GraphBuilder("refused")
    shape = g.build(g.op("cumsum", g.input((1, 4, 3)), name="sums"))
    with pytest.raises(GraphError, match="the ncnn writer does not know it"):
        written(shape)
    with pytest.raises(GraphError, match="float16"):
        written(shape, "float16")


@pytest.mark.ci
@pytest.mark.parametrize("graph", [*DRAWN[:-1], everything()], ids=lambda graph: graph.name)
def test_ncnn_computes_what_tflite_computes_of_the_same_weights(
    graph: Graph, tmp_path: Path
) -> None:
    pytest.importorskip("ncnn")
    from perfmodel.formats.tflite.writer import write_tflite
    from perfmodel.runners.ncnn_host import NcnnRunner
    from perfmodel.runners.runner import Job
    from perfmodel.runners.tflite_host import TfliteRunner

    write_tflite(graph, tmp_path / "network.tflite")
    write_ncnn(graph, tmp_path / "network.param")
    pair = [
        runner.prepare(Job("pair", tmp_path / f"network.{suffix}"))
        for runner, suffix in ((NcnnRunner(), "param"), (TfliteRunner(), "tflite"))
    ]
    ours, theirs = (one.outputs() for one in pair)  # type: ignore[attr-defined]
    for a, b in zip(ours, theirs, strict=True):
        turned = np.moveaxis(b[0], -1, 0) if b.ndim == 4 else b[0]
        # inner products have weights in halves: 2^-11 of their sums
        assert a.reshape(turned.shape) == pytest.approx(turned, abs=2e-3 * float(np.abs(b).max()))
    for one in pair:
        one.close()
