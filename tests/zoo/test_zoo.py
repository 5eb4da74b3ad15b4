"""The zoo: every network against its published MACs and parameters, and the spec strings."""

from __future__ import annotations

import pytest

from perfmodel import zoo
from perfmodel.graph import Graph
from perfmodel.kernels import macs, params

PUBLISHED = [(e, row) for e in zoo.entries() for row in e.published if not row.note]


def build_row(entry: zoo.ZooEntry, row: zoo.Published) -> Graph:
    return zoo.build(entry.name + ("@" + row.parameters if row.parameters else ""))


@pytest.mark.parametrize(
    ("entry", "row"), PUBLISHED, ids=[f"{e.name}-{r.parameters}" for e, r in PUBLISHED]
)
def test_macs_and_parameters_are_those_published(entry: zoo.ZooEntry, row: zoo.Published) -> None:
    graph = build_row(entry, row)
    if row.macs is not None:
        allowed = max(0.01 * row.macs, row.macs_rounding)
        assert abs(macs(graph) - row.macs) <= allowed, row.source
    if row.params is not None:
        allowed = max(0.01 * row.params, row.params_rounding)
        assert abs(params(graph) - row.params) <= allowed, row.source


@pytest.mark.parametrize("size", range(5))
def test_efficientnet_lite_is_published_with_three_operations_per_convolution_output(
    size: int,
) -> None:
    entry = zoo.entry(f"efficientnet_lite{size}")
    (row,) = entry.published
    graph = zoo.build(entry.name)
    written = sum(graph.tensor(op.outputs[0]).elements for op in graph.ops if op.kind == "conv2d")
    assert row.note
    assert row.macs == pytest.approx(macs(graph) + 3 * written, rel=0.01)
    assert params(graph) == pytest.approx(row.params, abs=row.params_rounding)


EXACT_WITH_BATCH_NORM = {
    # trainable parameters of torchvision, where each convolution has a batch normalisation:
    # gamma and beta there, one bias here
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "densenet121": 7_978_856,
    "mobilenet_v2@classes=1000": 3_504_872,
    "mnasnet": 4_383_312,
    "mnasnet@width=0.5": 2_218_512,
    "shufflenet_v2": 2_278_604,
    "shufflenet_v2@width=0.5": 1_366_792,
    "inception_v1@classes=1000": 6_624_904,
}


@pytest.mark.parametrize("spec", EXACT_WITH_BATCH_NORM)
def test_parameters_are_exact_once_batch_normalisation_is_unfolded(spec: str) -> None:
    graph = zoo.build(spec)
    biases = sum(
        graph.tensor(op.inputs[2]).elements
        for op in graph.ops
        if op.kind == "conv2d" and len(op.inputs) == 3
    )
    assert params(graph) + biases == EXACT_WITH_BATCH_NORM[spec]


@pytest.mark.parametrize(
    ("spec", "published"),
    [
        ("alexnet", 60_965_224),  # Caffe bvlc_alexnet
        ("alexnet_owt", 61_100_840),
        ("vgg16", 138_357_544),
        ("vgg19", 143_667_240),
        ("squeezenet_1_0", 1_248_424),
        ("squeezenet_1_1", 1_235_496),
        ("vit_b16", 86_567_656),
        ("vit_b16@resolution=384", 86_859_496),
        ("vit_b32", 88_224_232),
    ],
)
def test_parameters_are_exact_where_there_is_no_batch_normalisation(
    spec: str, published: int
) -> None:
    assert params(zoo.build(spec)) == published
