"""A network at another batch size is the network built at that batch size."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel import zoo
from perfmodel.errors import GraphError
from perfmodel.formats.tflite.reader import read_tflite
from perfmodel.graph import Graph, GraphBuilder, check_graph
from perfmodel.graph.rebatch import rebatch


def shapes(graph: Graph) -> list[tuple[str, list[tuple[int, ...]]]]:
    return [(op.kind, [graph.tensors[n].shape for n in op.outputs]) for op in graph.ops]


@pytest.mark.parametrize("name", zoo.names())
def test_zoo_networks_are_those_built_with_that_batch(name: str) -> None:
    built = zoo.build(f"{name}@batch=3")
    changed = rebatch(zoo.build(name), 3)
    check_graph(changed)
    assert shapes(changed) == shapes(built)


@pytest.mark.parametrize("name", ["mobilenet_v2", "shufflenet_v2", "mobilebert", "crnn"])
def test_there_and_back_is_the_same(name: str) -> None:
    graph = zoo.build(name)
    assert rebatch(rebatch(graph, 5), 1) == graph


@pytest.mark.parametrize(
    "name",
    ["mobilenet_v2_1.0_224_quant", "deeplabv3_mnv2_pascal_quant", "keras_lstm_mnist_ptq"],
)
def test_published_files_grow_in_every_activation(model_files: Path, name: str) -> None:
    graph = read_tflite(model_files / f"{name}.tflite")
    changed = check_graph(rebatch(graph, 4))
    for op in graph.ops:
        for before, after in zip(graph.outputs_of(op), changed.outputs_of(op), strict=True):
            assert after.elements == 4 * before.elements
        assert graph.weights_of(op) == changed.weights_of(op)


class TestShapesInAttributes:
    def graph(self, of: tuple[int, ...], kind: str, **attrs: object) -> Graph:
        g = GraphBuilder("g")
        return g.build(g.op(kind, g.input(of), **attrs))

    def result(self, graph: Graph, batch: int) -> tuple[int, ...]:
        changed = rebatch(graph, batch)
        return changed.tensors[changed.outputs[0]].shape

    def test_a_reshape_that_names_the_batch(self) -> None:
        assert self.result(self.graph((1, 6, 4), "reshape", shape=(1, 24)), 5) == (5, 24)

    def test_a_reshape_with_a_free_dimension_elsewhere(self) -> None:
        assert self.result(self.graph((2, 6, 4), "reshape", shape=(2, -1)), 5) == (5, 24)

    def test_a_reshape_that_merges_the_batch_with_heads(self) -> None:
        assert self.result(self.graph((2, 6, 4), "reshape", shape=(12, 4)), 3) == (18, 4)

    def test_a_reshape_behind_a_transpose_finds_the_batch_in_its_axis(self) -> None:
        g = GraphBuilder("g")
        x = g.op("transpose", g.input((2, 7, 3, 4)), perm=(1, 0, 2, 3))
        graph = g.build(g.reshape(x, (7, 2, 12)))
        assert self.result(graph, 6) == (7, 6, 12)

    def test_a_slice_of_channels(self) -> None:
        graph = self.graph((1, 6, 4), "slice", begin=(0, 1, 0), size=(1, 5, 4))
        assert self.result(graph, 5) == (5, 5, 4)

    def test_a_strided_slice_that_drops_an_axis(self) -> None:
        graph = self.graph(
            (1, 6, 4),
            "strided_slice",
            begin=(0, 2, 0),
            end=(1, 3, 4),
            strides=(1, 1, 1),
            shrink_axis_mask=2,
            output_shape=(1, 4),
        )
        changed = rebatch(graph, 5)
        assert changed.tensors[changed.outputs[0]].shape == (5, 4)
        assert changed.ops[0].attrs["end"] == (5, 3, 4)


class TestRefusals:
    def refuse(self, graph: Graph, reason: str) -> None:
        with pytest.raises(GraphError, match=reason):
            rebatch(graph, 2)

    def test_a_batch_below_one(self) -> None:
        with pytest.raises(GraphError, match="at least 1"):
            rebatch(zoo.build("nin"), 0)

    def test_a_custom_operator(self, model_files: Path) -> None:
        path = model_files / "posenet_mobilenet_v1_075_353_481_16_quant_decoder.tflite"
        self.refuse(read_tflite(path), "PosenetDecoderOp")

    def test_one_output_per_batch_element(self) -> None:
        g = GraphBuilder("g")
        x = g.input((1, 4))
        self.refuse(g.build(g.op("unpack", x, axis=0)), "one output per batch element")

    def test_a_slice_out_of_the_batch(self) -> None:
        g = GraphBuilder("g")
        x = g.input((4, 3))
        self.refuse(g.build(g.op("slice", x, begin=(0, 0), size=(2, 3))), "takes 2 of the batch")
