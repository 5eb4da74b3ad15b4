"""Spec strings of the zoo: what they accept, what they refuse and how they say so."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from perfmodel import zoo
from perfmodel.errors import GraphError, UnknownModelError
from perfmodel.kernels import macs
from perfmodel.zoo.modules import MODULES
from perfmodel.zoo.suites import AI_BENCHMARK

NAMES = zoo.names()


def test_a_name_alone_builds_the_defaults() -> None:
    graph = zoo.build("mobilenet_v2")
    assert graph.tensors[graph.inputs[0]].shape == (1, 224, 224, 3)
    assert graph.name == "mobilenet_v2"
    assert graph.source == "zoo:mobilenet_v2"
    assert graph.format == "zoo"


def test_parameters_reach_the_network_and_its_name() -> None:
    graph = zoo.build("mobilenet_v2@width=0.5,resolution=160,batch=4")
    assert graph.tensors[graph.inputs[0]].shape == (4, 160, 160, 3)
    assert graph.tensors[graph.outputs[0]].shape == (4, 1001)
    assert graph.name == "mobilenet_v2@width=0.5,resolution=160,batch=4"


def test_the_name_of_a_graph_builds_the_same_graph() -> None:
    spec = "mobilenet_v1@ batch = 2 , resolution=128,width=1.0"
    graph = zoo.build(spec)
    assert graph.name == "mobilenet_v1@resolution=128,batch=2"
    assert zoo.build(graph.name) == graph


@pytest.mark.parametrize(
    ("spec", "nearest"),
    [
        ("mobilnetv2", "mobilenet_v2"),
        ("MobileNt-V2", "mobilenet_v2"),
        ("resnt_50", "resnet50"),
        ("squeznet1.0", "squeezenet_1_0"),
        ("densnet-121", "densenet121"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(spec: str, nearest: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        zoo.build(spec)
    assert nearest in caught.value.hint


def test_a_name_like_no_other_is_told_where_to_look() -> None:
    with pytest.raises(UnknownModelError, match="perfmodel models"):
        zoo.build("zzzzzzzz")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vgg16@depth=3", "unknown parameter 'depth'.*resolution"),
        ("mobilenet_v2@width=9", "width=9 is not allowed.*0.1 to 4"),
        ("mobilenet_v2@batch=0", "batch=0 is not allowed.*1 to 4096"),
        ("mobilenet_v2@batch=2.5", "batch=2.5 is not allowed.*whole number"),
        ("mobilenet_v2@width=wide", "width=wide is not allowed"),
        ("mobilenet_v2@width=nan", "width=nan is not allowed"),
        ("shufflenet_v2@width=0.7", "one of 0.5, 1.0, 1.5, 2.0"),
        ("mobilenet_v3_large@variant=tiny", "one of standard, minimalistic"),
        ("mobilenet_v2@width", "is not key=value"),
        ("mobilenet_v2@", "is not key=value"),
        ("mobilenet_v2@width=1,width=1", "given twice"),
        ("vit_b16@resolution=100", "no multiple of the patch"),
        ("inception_v4@resolution=32", "resolution too small"),
        ("unet@image_height=100", "unet@image_height=100 cannot be built"),
        ("nasbench201@arch=15625", "0 to 15624"),
        ("nasbench201@arch=|conv~0|", "no architecture string"),
    ],
)
def test_a_bad_spec_says_what_is_allowed(spec: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        zoo.build(spec)


@pytest.mark.parametrize("name", NAMES)
def test_work_grows_with_the_batch_and_nothing_else_changes(name: str) -> None:
    one, three = zoo.build(name), zoo.build(f"{name}@batch=3")
    assert three.batch_size == 3
    assert macs(three) == 3 * macs(one)
    assert {n: t.shape[1:] for n, t in three.tensors.items() if n in three.outputs} == {
        n: t.shape[1:] for n, t in one.tensors.items() if n in one.outputs
    }


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_tells_the_truth_about_its_input(name: str) -> None:
    entry, graph = zoo.entry(name), zoo.build(name)
    assert graph.tensors[graph.inputs[0]].shape == (1, *entry.input_shape)
    assert entry.title
    assert entry.family
    assert set(entry.seeds) <= {"000", "001", "002", "004"}


@pytest.mark.parametrize("name", ["yolov5", "yolov8", "yolo11"])
def test_a_detector_takes_images_that_its_coarsest_map_divides(name: str) -> None:
    assert zoo.build(f"{name}@resolution=320").ops
    for resolution in (304, 336, 630):
        with pytest.raises(GraphError, match=r"not a multiple of 32") as raised:
            zoo.build(f"{name}@resolution={resolution}")
        assert raised.value.hint == "take 320, 416 or 640"


def test_what_an_entry_says_of_its_variants_can_be_built() -> None:
    for entry in zoo.entries():
        variants = {row.parameters for row in (*entry.published, *entry.accuracy)} - {""}
        for variant in variants:
            assert zoo.build(f"{entry.name}@{variant}").ops


def test_every_figure_names_its_source() -> None:
    for entry in zoo.entries():
        assert entry.published or entry.note, f"{entry.name} has no published figure"
        for row in (*entry.published, *entry.accuracy):
            assert "http" in row.source


def test_importing_the_zoo_is_light() -> None:
    code = (
        "import sys; from perfmodel import zoo;"
        "print(*{m.partition('.')[0] for m in sys.modules} & {'numpy', 'pandas', 'sklearn'})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_every_network_of_a_family_module_is_listed() -> None:
    for module, names in MODULES.items():
        listed = import_module(f"perfmodel.zoo.{module}").ENTRIES
        assert names.split() == [entry.name for entry in listed]


def test_the_suite_of_ai_benchmark_has_its_twelve_tests() -> None:
    assert len(AI_BENCHMARK) == 12
    for _, spec in AI_BENCHMARK:
        assert "000" in zoo.entry(spec).seeds
        assert zoo.build(spec).ops
