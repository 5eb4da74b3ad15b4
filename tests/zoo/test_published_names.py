"""Published names find the networks they mean, and nothing else."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

import pytest

from perfmodel import zoo
from perfmodel.errors import GraphError, UnknownModelError
from perfmodel.zoo.published_names import model_name, network_called, precision_in
from perfmodel.zoo.registry import LARGEST_FAMILY, family_called


@pytest.mark.parametrize(
    ("name", "resolution", "spec"),
    [
        ("Mobilenet_V1_0.25_128_quant", None, "mobilenet_v1@width=0.25,resolution=128"),
        ("Mobilenet_V1_1.0_224", 224, "mobilenet_v1"),
        ("mobilenet_v1_0p5_160", None, "mobilenet_v1@width=0.5,resolution=160"),
        ("Mobilenet_V2_1.4_224", None, "mobilenet_v2@width=1.4"),
        ("MobilenetV3_Large_0.75", None, "mobilenet_v3_large@width=0.75"),
        ("MobilenetV3_Small_minimalistic", None, "mobilenet_v3_small@variant=minimalistic"),
        ("MnasNet_0.50_224", None, "mnasnet@width=0.5"),
        ("mnasnet0_75", 224, "mnasnet@width=0.75"),
        ("shufflenet_v2_x2_0", None, "shufflenet_v2@width=2"),
        ("ResNet-18", None, "resnet18"),
        ("SqueezeNet1.1", None, "squeezenet_1_1"),
        ("VGG-16", None, "vgg16"),
        ("vgg16_bn", None, "vgg16"),
        ("InceptionV3", None, "inception_v3"),
        ("inception_v4", 299, "inception_v4"),
        ("yolov4-tiny-288", 288, "yolo_v4_tiny@resolution=288"),
        ("resnet_v2_101", 224, "resnet101_v2@resolution=224"),
        ("NASNet_mobile", None, "nasnet_mobile"),
        ("squeezenet-v1.0", None, "squeezenet_1_0"),
        ("mobilenet v2", None, "mobilenet_v2"),
        ("Mobilenet_V2_1.0_96", None, "mobilenet_v2@resolution=96"),
        ("mobilenetv2_035", 224, "mobilenet_v2@width=0.35"),
        ("mobilenetv3_large_100", 256, "mobilenet_v3_large@resolution=256"),
        ("DeepLabV3+", None, "deeplab_v3plus"),
        ("resnet50_keras", None, "resnet50"),
        ("ResNet50-v1.5.onnx", None, "ResNet50-v1.5.onnx"),
        ("resnet50@batch", None, "resnet50@batch"),
    ],
)
def test_a_published_name_finds_its_network(name: str, resolution: int | None, spec: str) -> None:
    assert model_name(name, resolution) == spec


@pytest.mark.parametrize(
    "name", ["ResNet-200", "mosaic", "Darknet19 448", "yolov4-608", "", "resnet18_0.5", "_quant"]
)
def test_a_network_that_is_not_in_the_zoo_keeps_its_name(name: str) -> None:
    assert network_called(name) is None
    assert model_name(name) == name


def test_a_tool_may_mean_another_network_by_the_same_name() -> None:
    # ncnn's squeezenet.param is SqueezeNet 1.1 on 227 pixels; the paper's SqueezeNet is 1.0
    assert model_name("squeezenet") == "squeezenet_1_0"
    assert model_name("squeezenet", tool="ncnn") == "squeezenet_1_1@resolution=227"
    assert model_name("vgg16", tool="ncnn") == "vgg16"
    assert model_name("mobilenet") == "mobilenet"
    assert model_name("mobilenet", tool="ncnn") == "mobilenet_v1"


def test_every_alias_builds_or_says_that_the_zoo_lacks_it() -> None:
    text = resources.files("perfmodel.zoo").joinpath("aliases.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len({(r["published"], r["tool"]) for r in rows}) == len(rows) >= 25
    for row in rows:
        assert row["source"]
        if "not a network of the zoo" in row["source"]:
            assert row["network"] not in zoo.names()
        else:
            assert zoo.build(row["network"]).ops


def test_every_name_of_the_zoo_is_its_own_name() -> None:
    for name in zoo.names():
        assert model_name(name) == name


def test_the_zoo_builds_a_network_by_a_published_name() -> None:
    assert zoo.build("squeezenet").name == "squeezenet_1_0"
    assert zoo.build("ResNet 18@batch=2").name == "resnet18@batch=2"
    assert zoo.build("MobileNet-V1_0.5_160").name == "mobilenet_v1@width=0.5,resolution=160"
    assert zoo.entry("VGG-16").name == "vgg16"


@pytest.mark.parametrize(
    ("family", "members"),
    [
        ("resnet", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]),
        ("mobilenet", ["mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large"]),
        ("MobileNet-v3", ["mobilenet_v3_large", "mobilenet_v3_small"]),
        ("yolo", ["yolo_v3_tiny", "yolo_v4_tiny", "yolov5", "yolov8", "yolo11"]),
        ("efficientnet", ["efficientnet_b0", "efficientnet_lite4"]),
        ("inception", ["inception_v1", "inception_v3", "inception_v4"]),
        ("densenet@batch=2", ["densenet121", "densenet161"]),
        ("vgg", ["vgg11", "vgg19"]),
        ("shufflenet", ["shufflenet_v1", "shufflenet_v2"]),
        ("nasnet", ["nasnet_mobile", "pnasnet_large"]),
        ("vit", ["vit_b16", "vit_b32"]),
    ],
)
def test_a_family_asks_which(family: str, members: list[str]) -> None:
    with pytest.raises(UnknownModelError, match="is a family of networks") as raised:
        zoo.build(family)
    named = raised.value.hint.removeprefix("name one of them: ").split(", ")
    assert set(members) <= set(named) <= set(zoo.names())
    assert named[0] in members


def test_a_name_that_libraries_have_in_full_is_told() -> None:
    with pytest.raises(UnknownModelError) as raised:
        zoo.build("whisper-tiny")
    first = raised.value.hint.removeprefix("did you mean ").split(" or ")[0]
    assert first.startswith("transformers:whisper-tiny-")
    with pytest.raises(UnknownModelError, match=r"no network named 'gpt2'") as raised:
        zoo.build("gpt2")
    assert raised.value.hint.startswith("did you mean transformers:gpt2 or ")


@pytest.mark.parametrize("word", ["net", "v", "re", "xyzzy"])
def test_a_word_that_tells_no_family_lists_none(word: str) -> None:
    with pytest.raises(UnknownModelError, match="no network named"):
        zoo.build(word)


def test_a_precision_in_a_name_is_not_dropped_silently() -> None:
    assert precision_in("Mobilenet_V1_1.0_224_quant.tflite") == "quant"
    assert precision_in("resnet50") == ""
    with pytest.raises(UnknownModelError, match="no precision of its own") as raised:
        zoo.build("mobilenet_v1_0.5_160_quant")
    assert "name it mobilenet_v1@width=0.5,resolution=160," in raised.value.hint


def test_a_parameter_in_the_name_and_behind_it_is_given_twice() -> None:
    with pytest.raises(GraphError, match="resolution is given twice"):
        zoo.build("mobilenet_v1_0.5_160@resolution=96")


def test_most_published_latencies_are_of_networks_in_the_zoo(data_dir: Path) -> None:
    import pandas as pd

    table = pd.read_csv(data_dir / "published_e2e.csv", keep_default_na=False)
    specs = [model_name(m) for m in table["model"]]
    found = [s for s in specs if s.partition("@")[0] in zoo.names()]
    for spec in set(found):
        assert zoo.build(spec).ops
    assert len(found) >= 0.85 * len(specs)


def test_a_family_has_at_most_sixteen_networks() -> None:
    names = [f"net{i}" for i in range(LARGEST_FAMILY + 1)]
    assert family_called("net", names) == []
    assert family_called("net", names[:-1]) == names[:-1]
    assert family_called("ne", names[:-1]) == []
    assert family_called("net", names[:1]) == []
    assert LARGEST_FAMILY >= 10  # EfficientNet has ten


def test_members_that_begin_with_the_family_come_first() -> None:
    assert family_called("net", ["unet", "net_b", "net_a"]) == ["net_b", "net_a", "unet"]
