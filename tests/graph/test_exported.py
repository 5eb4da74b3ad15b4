"""What an exporter leaves of a network's code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel import zoo
from perfmodel.formats.load import load
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.graph import Graph, GraphBuilder
from perfmodel.graph.exported import exported, repeats, without_repeats
from perfmodel.kernels import fuse, macs, run_by


def ops(graph: Graph) -> list[str]:
    return [op.name for op in exported(graph).ops]


def zeros(g: GraphBuilder, x: str, name: str) -> str:
    return g.op("mul", x, g.constant((1,)), name=name, activation="none", zero=True)


def test_a_branch_that_reaches_no_output_is_left_out() -> None:
    g = GraphBuilder("dead")
    x = g.input((1, 4, 4, 2))
    y = g.op("relu", x, name="live")
    g.op("tanh", g.op("relu6", x, name="dead"), name="dead_end")
    assert ops(g.build(y)) == ["live"]


def test_zeros_do_not_run_and_a_sum_with_them_is_the_other_term() -> None:
    g = GraphBuilder("zeros")
    x = g.input((1, 4, 4, 2))
    nothing = g.binary("add", zeros(g, x, "none"), zeros(g, x, "none_2"), name="nothing")
    y = g.binary("add", nothing, g.op("tanh", x, name="tanh"), name="left")
    y = g.binary("add", y, zeros(g, y, "none_3"), name="right")
    graph = g.build(g.op("sigmoid", y, name="out"))
    assert ops(graph) == ["tanh", "out"]
    assert exported(graph).ops[-1].inputs == ("tanh",)
    assert exported(graph).tensors == graph.tensors


def test_what_reads_zeros_runs_on_a_constant_and_needs_nothing_before_it() -> None:
    g = GraphBuilder("zeros")
    x = g.input((1, 4, 4, 2))
    none = zeros(g, g.op("tanh", x, name="before"), "none")
    y = g.conv(g.op("relu", none, name="relu"), 2, 3, name="conv")
    graph = g.build(y)
    assert ops(graph) == ["relu", "conv"]
    left = exported(graph)
    assert left.tensors[left.ops[0].inputs[0]].constant
    assert not graph.tensors[graph.ops[1].outputs[0]].constant


def test_a_sum_of_two_live_terms_and_a_product_with_a_constant_stay() -> None:
    g = GraphBuilder("live")
    x = g.input((1, 4, 4, 2))
    a = g.op("mul", x, g.constant((1,)), name="half", activation="none")
    y = g.binary("add", a, g.op("tanh", x, name="tanh"), name="sum")
    graph = g.build(g.binary("mul", y, y, name="square"))
    assert exported(graph) is graph


def test_shared_operators_run_once_for_each_tensor_they_read() -> None:
    g = GraphBuilder("shared")
    x = g.input((1, 4, 4, 2))
    first = g.op("relu", x, name="first", shared=True)
    again = g.op("relu", x, name="again", shared=True)
    other = g.op("tanh", x, name="other", shared=True)
    own = g.op("relu", x, name="own")
    y = g.binary("add", first, again, name="twice")
    y = g.binary("add", y, g.binary("add", other, own, name="rest"), name="all")
    graph = g.build(y)
    assert ops(graph) == ["first", "other", "own", "twice", "rest", "all"]
    assert exported(graph).ops[3].inputs == ("first", "first")


@pytest.mark.parametrize("format", ["tflite", "ncnn"])
def test_a_file_that_an_exporter_wrote_runs_whole(format: str) -> None:
    g = GraphBuilder("file")
    x = g.input((1, 4))
    g.op("tanh", x)
    graph = replace(g.build(g.op("relu", x)), format=format)
    assert exported(graph) is graph
    assert exported(replace(graph, format="onnx")) is not graph


DEAD = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|skip_connect~2|"
"""Node 1 feeds nothing but `none`: its 3x3 convolution is dead, and the cell passes its input."""

CONVOLUTION = 9 * 16 * 16 * 32 * 32
"""MACs of a 3x3 convolution of a cell, equal in all three stages: 16 * 32 * 32 = 64 * 8 * 8 * 4."""


def test_pytorch_runs_dead_branches_that_an_exporter_leaves_out() -> None:
    graph = zoo.build(f"nasbench201@arch={DEAD}")
    run = {f: sum(k.macs for k in fuse(graph, f)) for f in ("pytorch", "tflite-cpu", "onnxruntime")}
    assert run["pytorch"] - run["tflite-cpu"] == 15 * CONVOLUTION
    assert run["tflite-cpu"] == run["onnxruntime"]
    # the space's smallest network has no convolution in its cells
    assert run["tflite-cpu"] == pytest.approx(7.78e6, abs=0.01e6)
    assert macs(graph) == run["pytorch"] == macs(run_by(graph, "pytorch"))
    assert macs(run_by(graph, "tflite-cpu")) == run["tflite-cpu"]


def test_pytorch_runs_every_edge_of_a_cell() -> None:
    kernels = fuse(zoo.build(f"nasbench201@arch={DEAD}"), "pytorch")
    made = {op: sum(k.op == op for k in kernels) for op in ("mul", "conv2d", "add", "relu")}
    # three `none` and three sums a cell; a convolution a cell, 2 x 3 + 1 + ... outside of them
    assert made["mul"] == 3 * 15 + 1
    assert made["conv2d"] == 15 + 1 + 2 * 3
    assert made["add"] == 3 * 15 + 2 + 1
    assert made["relu"] == 15 + 2 * 2 + 1


def test_of_cells_without_a_path_the_last_one_runs() -> None:
    # node 1 is zeros, the output their 3x3 convolution: no cell reads what is before it
    arch = "|none~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|"
    kernels = fuse(zoo.build(f"nasbench201@arch={arch}"), "vanilla")
    assert [k.op for k in kernels if k.op == "conv2d"] == ["conv2d"]
    assert sum(k.macs for k in kernels) == CONVOLUTION + 64 * 10
    none = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert sum(k.macs for k in fuse(zoo.build(f"nasbench201@arch={none}"), "vanilla")) == 64 * 10


def test_a_tflite_file_holds_what_an_exporter_leaves(tmp_path: Path) -> None:
    path = tmp_path / "cell.tflite"
    write_tflite(zoo.build(f"nasbench201@arch={DEAD}"), path)
    assert macs(load(path)) == pytest.approx(7.78e6, abs=0.01e6)


def test_a_tflite_file_holds_a_convolution_that_reads_zeros(tmp_path: Path) -> None:
    path = tmp_path / "cell.tflite"
    arch = "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|"
    graph = zoo.build(f"nasbench201@arch={arch}")
    write_tflite(graph, path)
    assert macs(load(path)) == macs(run_by(graph, "tflite-cpu"))
    assert macs(load(path)) == pytest.approx(7.78e6 + 15 * CONVOLUTION / 9, abs=0.01e6)


def test_of_operators_that_compute_the_same_one_is_left() -> None:
    g = GraphBuilder("twice")
    x = g.input((1, 8, 8, 4))
    a, b = g.op("relu", x, name="a"), g.op("relu", x, name="b")
    c, d = g.pool(a, "max", 2, 2, name="c"), g.pool(b, "max", 2, 2, name="d")
    other = g.pool(b, "max", 2, 1, "same", name="other")
    last = g.op("relu", x, name="last")
    graph = g.build(g.concat([c, d], name="e"), other, last)
    # d reads b, which a stands for; `other` has another stride, and `last` is an output
    assert {name: op.name for name, op in repeats(graph).items()} == {"b": "a", "d": "c"}
    left = without_repeats(graph)
    assert [op.name for op in left.ops] == ["a", "c", "other", "last", "e"]
    assert [op.inputs for op in left.ops if op.name in ("other", "e")] == [("a",), ("c", "c")]
    assert without_repeats(left) is left


def test_constants_made_of_nothing_are_no_repeats() -> None:
    g = GraphBuilder("made")
    x = g.input((1, 4))
    both = [g.add_op("fill", [], {"output_shape": (1, 4)}, dtype="float32")[0] for _ in range(2)]
    graph = g.build(g.binary("add", g.binary("add", x, both[0]), both[1]))
    assert not repeats(graph)
