"""Where the simple rules cut, by hand, on VGG16 (13 convolutions, 5 poolings, 3 dense, softmax)."""

from __future__ import annotations

import pytest

from perfmodel.formats.load import load
from perfmodel.kernels import fuse
from perfmodel.plans.criteria import cuts
from perfmodel.plans.layers import LayerGraph, layer_graph


@pytest.fixture(scope="module")
def vgg16() -> LayerGraph:
    graph = load("vgg16")
    return layer_graph(graph, fuse(graph, "tflite-gpu"))


def heads(layers: LayerGraph, criterion: str, k: int | None) -> list[str]:
    """Name of the first layer of every piece but the first."""
    return [layers.layers[place].name for place in cuts(layers, criterion, k)]


def test_equal_layer_counts(vgg16: LayerGraph) -> None:
    # 22 layers: 11 | 11; 7 | 8 | 7; 6 | 5 | 5 | 6 (5.5 rounds to even)
    assert cuts(vgg16, "layer-count", 2) == (11,)
    assert cuts(vgg16, "layer-count", 3) == (7, 15)
    assert cuts(vgg16, "layer-count", 4) == (6, 11, 16)


def test_equal_layer_counts_are_the_same_with_and_without_poolings(vgg16: LayerGraph) -> None:
    # of 16 layers with weights the cuts come after 8; 5, 11; 4, 8, 12 of them
    convolutions_before = {
        k: [
            sum(layer.name.startswith(("conv", "fully")) for layer in vgg16.layers[:place])
            for place in cuts(vgg16, "layer-count", k)
        ]
        for k in (2, 3, 4)
    }
    assert convolutions_before == {2: [8], 3: [5, 11], 4: [4, 8, 12]}


def test_layer_types(vgg16: LayerGraph) -> None:
    assert heads(vgg16, "layer-type", None) == ["fully_connected_0"]
    assert heads(vgg16, "layer-type", 2) == ["fully_connected_0"]


def test_equal_parameter_counts(vgg16: LayerGraph) -> None:
    # of 138.4 M parameters 14.7 M stand before fc6 and 117.5 M after it: half is nearer to the end
    # of fc6, a third nearer to its start
    assert heads(vgg16, "param-count", 2) == ["fully_connected_1"]
    assert heads(vgg16, "param-count", 3) == ["fully_connected_0", "fully_connected_1"]
    assert heads(vgg16, "param-count", 4) == [f"fully_connected_{i}" for i in range(3)]


def test_each_layer(vgg16: LayerGraph) -> None:
    assert cuts(vgg16, "each-layer", None) == tuple(range(1, 22))


@pytest.mark.parametrize("criterion", ["layer-count", "param-count"])
@pytest.mark.parametrize("k", range(1, 23))
def test_every_k_gives_that_many_pieces(vgg16: LayerGraph, criterion: str, k: int) -> None:
    found = cuts(vgg16, criterion, k)
    assert len(found) == k - 1
    assert list(found) == sorted(set(found))
    assert all(0 < place < 22 for place in found)


@pytest.mark.parametrize("name", ["yolov5", "yolov8", "yolo11"])
def test_a_join_that_is_no_kernel_waits_for_all_that_it_joins(name: str) -> None:
    # TensorRT joins tensors without a kernel; the first of those of YOLOv8 is made long before the
    # last, by a layer that the last one needs
    graph = load(f"{name}@resolution=64")
    layers = layer_graph(graph, fuse(graph, "tensorrt"))
    place = {op: i for i, layer in enumerate(layers.layers) for op in layer.ops}
    made = {out: i for i, op in enumerate(graph.ops) for out in op.outputs}
    for i, op in enumerate(graph.ops):
        assert all(place[made[n]] <= place[i] for n in op.inputs if n in made)
    assert sorted(place) == list(range(len(graph.ops)))
