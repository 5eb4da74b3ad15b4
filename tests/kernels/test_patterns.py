"""Operators that TFLite writes as several, seen as the one they stand for: by hand and by files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel import load, zoo
from perfmodel.cost_models.work_features import feature_matrix
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.graph import Graph, GraphBuilder
from perfmodel.kernels import KernelTable, fuse
from perfmodel.kernels.patterns import composed


def from_file(b: GraphBuilder, *outputs: str) -> Graph:
    return replace(b.build(*outputs), format="tflite")


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in composed(graph).ops]


def gated(own_gate: bool = True, shown: bool = False) -> Graph:
    """x * sigmoid(x), or of another tensor; with the gate an output of its own."""
    b = GraphBuilder("gated")
    x = b.input((1, 8, 8, 4))
    other = x if own_gate else b.op("relu", x)
    gate = b.op("sigmoid", other)
    y = b.binary("mul", x, gate)
    return from_file(b, y, gate) if shown else from_file(b, y)


def test_a_product_with_its_own_sigmoid_is_a_swish() -> None:
    graph = gated()
    assert kinds(graph) == ["swish"]
    (kernel,) = fuse(graph, "tflite-cpu")
    assert (kernel.op, kernel.fused) == ("swish", tuple(op.name for op in graph.ops))
    assert (kernel.input_elements, kernel.output_elements) == (256, 256)


def test_a_gate_of_another_tensor_or_that_is_read_elsewhere_is_none() -> None:
    assert kinds(gated(own_gate=False)) == ["relu", "sigmoid", "mul"]
    assert kinds(gated(shown=True)) == ["sigmoid", "mul"]
    b = GraphBuilder("twice")
    x = b.input((1, 8, 8, 4))
    gate = b.op("sigmoid", x)
    twice = from_file(b, b.binary("mul", x, gate), b.op("relu", gate))
    assert kinds(twice) == ["sigmoid", "mul", "relu"]
    assert kinds(replace(gated(), format="onnx")) == ["sigmoid", "mul"]


def test_a_clamped_sum_times_a_number_is_a_hard_sigmoid() -> None:
    b = GraphBuilder("hard")
    x = b.input((1, 8, 8, 4))
    y = b.binary("add", x, b.constant((1,)), activation="relu6")
    whole = from_file(b, b.binary("mul", y, b.constant((1,))))
    assert kinds(whole) == ["hard_sigmoid"]
    b = GraphBuilder("scaled")
    x = b.input((1, 8, 8, 4))
    y = b.binary("add", x, b.constant((1,)), activation="relu6")
    assert kinds(from_file(b, b.binary("mul", y, b.constant((4,))))) == ["add", "mul"]


def shuffled(perm: tuple[int, ...] = (0, 1, 2, 4, 3), parts: tuple[int, ...] = (3, 4)) -> Graph:
    b = GraphBuilder("shuffled")
    x = b.reshape(b.input((1, 8, 8, 12)), (1, 8, 8, *parts))
    y = b.op("transpose", x, perm=perm)
    return from_file(b, b.reshape(y, (1, 8, 8, 12)))


def test_channels_split_turned_and_joined_are_a_channel_shuffle() -> None:
    (op,) = composed(shuffled()).ops
    assert (op.kind, op.attrs["groups"]) == ("channel_shuffle", 3)
    assert kinds(shuffled(perm=(0, 2, 1, 3, 4))) == ["reshape", "transpose", "reshape"]


@pytest.mark.parametrize(
    "name",
    ["efficientnet_b0@resolution=64", "shufflenet_v2@resolution=64", "mobilenet_v3_small", "fbnet"],
)
def test_a_network_read_back_from_its_file_does_the_work_it_came_with(
    name: str, tmp_path: Path
) -> None:
    compare(name, tmp_path)


@pytest.mark.slow
def test_every_mobile_network_of_the_zoo_read_back_does_the_work_it_came_with(
    tmp_path: Path,
) -> None:
    names = [n for n in zoo.mobile_names() if not normalises(n)]
    assert len(names) > 25
    for name in names:
        compare(name, tmp_path)


def normalises(name: str) -> bool:
    """Whether a network normalises: .tflite has no operator for it, and runs those that stand for
    it one by one."""
    return any(k.kernel_class == "norm" for k in fuse(load(name), "tflite-cpu"))


def compare(name: str, folder: Path) -> None:
    """Work of the graph and of the file written from it, by feature of both rules, within 3 %."""
    graph = load(name)
    path = folder / "network.tflite"
    write_tflite(graph, path)
    again = load(str(path))
    for rules in ("tflite-cpu", "tflite-gpu"):
        written, read = (
            feature_matrix(KernelTable.from_kernels(fuse(g, rules))).sum(axis=0)
            for g in (graph, again)
        )
        assert read.sum() == pytest.approx(written.sum(), rel=0.03), (name, rules)
        assert abs(read - written).sum() < 0.06 * written.sum(), (name, rules)
