"""Published names find the networks they mean, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel import zoo
from perfmodel.zoo.aliases import spec_of


@pytest.mark.parametrize(
    ("name", "size", "spec"),
    [
        ("Mobilenet_V1_0.25_128_quant", "", "mobilenet_v1@width=0.25,resolution=128"),
        ("Mobilenet_V1_1.0_224", "224x224", "mobilenet_v1"),
        ("mobilenet_v1_0p5_160", "", "mobilenet_v1@width=0.5,resolution=160"),
        ("Mobilenet_V2_1.4_224", "", "mobilenet_v2@width=1.4"),
        ("MobilenetV3_Large_0.75", "", "mobilenet_v3_large@width=0.75"),
        ("MobilenetV3_Small_minimalistic", "", "mobilenet_v3_small@variant=minimalistic"),
        ("MnasNet_0.50_224", "", "mnasnet@width=0.5"),
        ("mnasnet0_75", "224x224", "mnasnet@width=0.75"),
        ("shufflenet_v2_x2_0", "", "shufflenet_v2@width=2.0"),
        ("ResNet-18", "", "resnet18"),
        ("SqueezeNet1.1", "", "squeezenet_1_1"),
        ("VGG-16", "", "vgg16"),
        ("vgg16_bn", "", "vgg16"),
        ("InceptionV3", "", "inception_v3"),
        ("inception_v4", "299x299", "inception_v4"),
        ("yolov4-tiny-288", "288x288", "yolo_v4_tiny@resolution=288"),
        ("resnet_v2_101", "224x224", "resnet101_v2@resolution=224"),
        ("NASNet_mobile", "", "nasnet_mobile"),
        ("squeezenet-v1.0", "", "squeezenet_1_0"),
    ],
)
def test_a_published_name_finds_its_network(name: str, size: str, spec: str) -> None:
    assert spec_of(name, size) == spec


@pytest.mark.parametrize("name", ["ResNet-200", "mosaic", "Darknet19 448", "yolov4-608", ""])
def test_a_network_that_is_not_in_the_zoo_has_no_spec(name: str) -> None:
    assert spec_of(name) is None


def test_every_name_of_the_zoo_is_its_own_spec() -> None:
    for name in zoo.names():
        assert spec_of(name) == name


def test_most_published_latencies_are_of_networks_in_the_zoo(data_dir: Path) -> None:
    import pandas as pd

    table = pd.read_csv(data_dir / "published_e2e.csv", keep_default_na=False)
    specs = [spec_of(m, s) for m, s in table[["model", "input"]].itertuples(index=False, name=None)]
    for spec in {s for s in specs if s}:
        assert zoo.build(spec).ops
    assert sum(s is not None for s in specs) >= 0.85 * len(specs)
