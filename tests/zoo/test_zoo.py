"""The zoo: every network against its published MACs and parameters, and the spec strings."""

from __future__ import annotations

import pytest

from perfmodel import zoo
from perfmodel.errors import GraphError
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


@pytest.mark.parametrize(
    ("spec", "published"),
    [
        ("bert_large", 335_141_888 + 2 * 1024 + 2),  # the checkpoint, and a head of two classes
        ("gpt2_large", 774_030_080),
        ("opt_1_3b", 1_315_758_080),
    ],
)
def test_parameters_of_language_models_are_those_of_their_checkpoints(
    spec: str, published: int
) -> None:
    graph = zoo.build(spec)
    factors = [t for t in graph.tensors.values() if t.constant and t.elements == 1]
    assert params(graph) - len(factors) == published


@pytest.mark.parametrize(
    ("spec", "head"), [("gpt2_large", 50_257), ("gpt3_2_7b@sequence=64", 50_257)]
)
def test_macs_of_a_decoder_are_those_of_its_products(spec: str, head: int) -> None:
    # a layer: 4 h * h for q, k, v and the way out, 2 h * ffn = 8 h * h; scores and their sums 2 s
    entry = zoo.entry(spec)
    graph = zoo.build(spec)
    _, s = graph.tensors[graph.inputs[0]].shape
    h, layers = int(entry.defaults["hidden"]), int(entry.defaults["layers"])
    per_token = layers * (12 * h * h + 2 * s * h) + h * head
    assert macs(graph) == s * per_token


def test_macs_of_bert_by_hand() -> None:
    # 384 tokens x 24 layers x (4 x 1024^2 + 2 x 1024 x 4096 + 2 x 384 x 1024), pooler, classes
    tokens = 384 * 24 * (12 * 1024 * 1024 + 2 * 384 * 1024)
    assert macs(zoo.build("bert_large@sequence=384")) == tokens + 1024 * 1024 + 2 * 1024


def test_macs_of_a_switch_transformer_by_hand() -> None:
    # 2 layers of width 8, 2 heads of 64 numbers, ffn 16, 5 words, 3 experts, 6 tokens
    spec = "switch_xl4@layers=2,hidden=8,heads=2,ffn=16,vocabulary=5,experts=3,sequence=6"
    attention = 6 * 4 * 8 * 128 + 2 * 6 * 6 * 128
    dense, sparse = 6 * 2 * 8 * 16, 6 * 8 * 3 + 3 * 2 * (2 * 8 * 16)
    layers = (2 * attention + dense + sparse) + (4 * attention + dense + sparse)
    assert macs(zoo.build(spec)) == layers + 6 * 8 * 5


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bert_large@sequence=513", "sequence is a whole number from 2 to 512"),
        ("gpt2_large@heads=3", "1280 does not divide into 3 heads"),
        ("opt_1_3b@layers=0", "layers is a whole number from 1"),
    ],
)
def test_sizes_that_no_language_model_has_are_refused(spec: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        zoo.build(spec)


def test_the_published_name_of_a_language_model_takes_its_sequence() -> None:
    assert zoo.build("opt_13@batch=2,sequence=16").name == "opt_1_3b@sequence=16,batch=2"
    assert zoo.build("gpt3_27@layers=1,sequence=4").name == "gpt3_2_7b@sequence=4,layers=1"
    assert zoo.entry("switchxl4").name == "switch_xl4"
