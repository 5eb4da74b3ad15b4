"""Written .onnx files: what our reader, ONNX's checker and ONNX Runtime make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel import zoo
from perfmodel.errors import GraphError
from perfmodel.formats.load import load
from perfmodel.formats.onnx.encode import varint
from perfmodel.formats.onnx.writer import write_onnx
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.kernels import macs
from perfmodel.runners.host_frameworks import FRAMEWORKS
from perfmodel.runners.named_times import owner_of, owners
from perfmodel.runners.random_nets import random_image, random_network, random_recurrent

BY = FRAMEWORKS["onnxruntime"]
NETWORKS: dict[str, Callable[[], Graph]] = {
    "random_3": lambda: random_network(3),
    "random_image_6": lambda: random_image(6),
    "random_recurrent_0": lambda: random_recurrent(0),
    "shufflenet_v2": lambda: zoo.build("shufflenet_v2@resolution=64"),
    "mobilenet_v3_small": lambda: zoo.build("mobilenet_v3_small@resolution=64"),
}


def ran(path: Path, *inputs: np.ndarray) -> list[np.ndarray]:
    """Results of a file in ONNX Runtime; without inputs those of ones."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    given = inputs or [np.ones(i.shape, np.float32) for i in session.get_inputs()]
    found: list[np.ndarray] = session.run(None, dict(zip(names, given, strict=True)))
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_a_written_network_is_read_again_as_the_same_work(name: str, tmp_path: Path) -> None:
    graph, path = NETWORKS[name](), tmp_path / "net.onnx"
    write_onnx(graph, path)
    again = load(str(path))
    assert macs(again) == macs(graph)
    lengths = [sorted(g.tensors[n].shape) for g in (again, graph) for n in g.outputs]
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_checks_a_file_and_the_runtime_gives_the_graphs_shapes(
    name: str, precision: str, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    graph, path = NETWORKS[name](), tmp_path / "net.onnx"
    write_onnx(graph, path, precision)
    onnx.checker.check_model(str(path), full_check=True)
    for made, name_of_it in zip(ran(path), graph.outputs, strict=True):
        shape = graph.tensors[name_of_it].shape
        assert made.shape == (tuple(shape[i] for i in (0, 3, 1, 2)) if len(shape) == 4 else shape)
        assert np.isfinite(made).all()


X = np.random.default_rng(1).standard_normal((1, 4, 6, 8)).astype(np.float32)
Make = Callable[[GraphBuilder, str], str]
MOVES: dict[str, tuple[Make, Callable[[np.ndarray], Any]]] = {
    "channel_shuffle": (
        lambda g, x: g.op("channel_shuffle", x, groups=2),
        lambda a: a.reshape(1, 4, 6, 2, 4).swapaxes(3, 4).reshape(1, 4, 6, 8),
    ),
    "depth_to_space": (
        lambda g, x: g.op("depth_to_space", x, block=2),
        lambda a: a.reshape(1, 4, 6, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(1, 8, 12, 2),
    ),
    "slice": (
        lambda g, x: g.op("slice", x, begin=(0, 1, 2, 3), size=(1, 2, 4, 5)),
        lambda a: a[:, 1:3, 2:6, 3:8],
    ),
    "pad": (
        lambda g, x: g.op("pad", x, paddings=((0, 0), (1, 2), (0, 3), (4, 0))),
        lambda a: np.pad(a, ((0, 0), (1, 2), (0, 3), (4, 0))),
    ),
    "concat": (
        lambda g, x: g.concat([x, g.op("relu", x)]),
        lambda a: np.concatenate([a, np.maximum(a, 0)], 3),
    ),
    "concat of rows": (
        lambda g, x: g.concat([x, g.op("relu", x)], axis=1),
        lambda a: np.concatenate([a, np.maximum(a, 0)], 1),
    ),
    "split": (
        lambda g, x: g.add_op("split", [x], {"axis": 3, "sizes": (2, 6)})[1],
        lambda a: a[..., 2:],
    ),
    "tokens": (
        lambda g, x: g.op("transpose", g.reshape(x, (1, 24, 8)), perm=(0, 2, 1)),
        lambda a: a.reshape(1, 24, 8).transpose(0, 2, 1),
    ),
    "softmax": (
        lambda g, x: g.op("softmax", x, axis=-1),
        lambda a: np.exp(a) / np.exp(a).sum(3, keepdims=True),
    ),
    "mean": (
        lambda g, x: g.global_avg_pool(x, keep_dims=False),
        lambda a: a.mean((1, 2)),
    ),
    "mean of rows": (
        lambda g, x: g.op("reduce_mean", x, axes=(1,), keep_dims=False),
        lambda a: a.mean(1),
    ),
    "hard_swish": (
        lambda g, x: g.op("hard_swish", x),
        lambda a: a * np.clip(a / 6 + 0.5, 0, 1),
    ),
    "swish": (lambda g, x: g.op("swish", x), lambda a: a / (1 + np.exp(-a))),
    "relu6": (lambda g, x: g.op("relu6", x), lambda a: np.clip(a, 0, 6)),
    "attention": (
        lambda g, x: g.op("matmul", x, g.op("relu", x), transpose_b=True),
        lambda a: a @ np.maximum(a, 0).swapaxes(2, 3),
    ),
    "max_pool2d": (
        lambda g, x: g.pool(x, "max", 2, 2),
        lambda a: a.reshape(1, 2, 2, 3, 2, 8).max((2, 4)),
    ),
    "of a channel": (
        lambda g, x: g.binary("mul", x, g.op("relu", g.global_avg_pool(x, keep_dims=False))),
        lambda a: a * np.maximum(a.mean((1, 2)), 0),
    ),
}


@pytest.mark.parametrize("move", MOVES)
def test_numbers_land_where_the_graph_says(move: str, tmp_path: Path) -> None:
    """Against numpy on the graph's own layout, channels last."""
    make, truth = MOVES[move]
    g = GraphBuilder("move")
    write_onnx(g.build(make(g, g.input(X.shape))), tmp_path / "m.onnx")
    made = ran(tmp_path / "m.onnx", X.transpose(0, 3, 1, 2))[0]
    wanted = truth(X)
    first = made.transpose(0, 2, 3, 1) if made.ndim == 4 else made
    # products of matrices keep the graph's order, as none of them is an image
    as_graph = made if move == "attention" else first
    np.testing.assert_allclose(as_graph, wanted, rtol=1e-5, atol=1e-6)


def test_a_convolution_counts_as_its_definition_says(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    g = GraphBuilder("one")
    pads = (1, 0, 2, 1)
    graph = g.build(g.conv(g.input((1, 4, 6, 8)), 6, 3, (2, 1), pads, groups=2, name="c"))
    write_onnx(graph, tmp_path / "c.onnx")
    model = onnx.load(tmp_path / "c.onnx")
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    weights, bias = stored["c/weights"], stored["c/bias"]
    wide = np.pad(X, ((0, 0), (1, 0), (2, 1), (0, 0)))
    made = ran(tmp_path / "c.onnx", X.transpose(0, 3, 1, 2))[0]
    for channel, row, column in ((0, 0, 0), (2, 1, 3), (3, 0, 6), (5, 1, 6)):
        group = channel // 3
        window = wide[0, 2 * row : 2 * row + 3, column : column + 3, 4 * group : 4 * group + 4]
        wanted = np.sum(window * weights[channel].transpose(1, 2, 0)) + bias[channel]
        assert made[0, channel, row, column] == pytest.approx(wanted, rel=1e-5)


def test_int8_files_compute_on_integers(tmp_path: Path) -> None:
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    graph = zoo.build("mobilenet_v2@resolution=64")
    write_onnx(graph, tmp_path / "q.onnx", "int8")
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "ran.onnx")
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    runtime.InferenceSession(str(tmp_path / "q.onnx"), options, providers=providers)
    kinds = [node.op_type for node in onnx.load(tmp_path / "ran.onnx").graph.node]
    assert "Conv" not in kinds
    assert kinds.count("QLinearConv") == sum(op.kind == "conv2d" for op in graph.ops)
    assert {"QLinearAdd", "QGemm"} <= set(kinds)


def test_every_kernel_finds_its_time_in_the_runtimes_list(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from perfmodel.runners.onnxruntime_host import OnnxRuntimeRunner
    from perfmodel.runners.runner import Job

    graph, path = NETWORKS["random_3"](), tmp_path / "net.onnx"
    BY.write(graph, path, "fp32")
    loaded = OnnxRuntimeRunner().prepare(Job("net", path))
    listed = loaded.run_set(2, 1).per_op_us
    loaded.close()
    kernels = BY.fused(graph)
    at = owners(graph, kernels)
    found = {owner_of(key.partition(" ")[2], at) for key in listed}
    assert found - {-1} == set(range(len(kernels)))
    # whatever each of them takes, nothing is lost
    assert BY.kernel_us(graph, "fp32", dict.fromkeys(listed, (1.0,))).sum() == len(listed)


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    graph = NETWORKS["random_recurrent_0"]()
    for number, seed in enumerate((0, 0, 1)):
        write_onnx(graph, tmp_path / str(number), seed=seed)
    first, same, other = (tmp_path.joinpath(str(i)).read_bytes() for i in range(3))
    assert first == same != other


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    g = GraphBuilder("strange")
    graph = g.build(g.op("arg_max", g.input((1, 8)), axis=1, name="which"))
    with pytest.raises(GraphError, match="'which' \\(arg_max\\)"):
        write_onnx(graph, tmp_path / "no.onnx")
    with pytest.raises(GraphError, match="precision"):
        write_onnx(graph, tmp_path / "no.onnx", "int3")
    assert not (tmp_path / "no.onnx").exists()


def test_integers_are_written_seven_bits_a_byte() -> None:
    # protobuf's own examples: 150, and ten bytes for a negative number
    assert varint(150) == b"\x96\x01"
    assert varint(0) == b"\0"
    assert varint(-2) == b"\xfe" + b"\xff" * 8 + b"\x01"
