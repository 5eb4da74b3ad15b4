"""Slugs of devices, zoo names of models, names of frameworks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perfmodel import zoo
from perfmodel.measurements.device_names import device_slug, help_column, slug
from perfmodel.measurements.readers.frameworks import framework_and_build
from perfmodel.target import SLUG
from perfmodel.zoo.published_names import model_name


@pytest.mark.parametrize(
    ("device", "soc", "expected"),
    [
        ("huawei_p40", "Kirin 990 5G", "huawei-p40"),
        ("huawei_mate_20", "Kirin 980", "huawei-mate-20"),
        ("Huawei Mate 20", "Kirin 980", "huawei-mate-20"),
        ("snapdragon_855", "Snapdragon 855", "snapdragon-855"),
        ("mi9", "", "mi9"),
        ("lenovo_k5", "", "lenovo-k5"),
        ("jetson_agx_xavier_32gb", "Tegra Xavier", "jetson-agx-xavier"),
        ("Jetson AGX Xavier", "Jetson AGX Xavier", "jetson-agx-xavier"),
        ("NVIDIA A100 80GB PCIe", "", "nvidia-a100-80gb-pcie"),
        ("NVIDIA A100-PCIE-40GB", "", "nvidia-a100-pcie-40gb"),
        ("Tesla V100-PCIE-32GB", "", "tesla-v100"),
        ("AMD Instinct MI210", "", "amd-instinct-mi210"),
        ("NVIDIA GeForce GTX 1080 Ti", "", "gtx-1080-ti"),
        ("GTX 1080 Ti", "GTX 1080 Ti", "gtx-1080-ti"),
        ("NVIDIA GeForce GTX TITAN X", "", "titan-x-maxwell"),
        ("Maxwell Titan X", "", "titan-x-maxwell"),
        ("GTX TITAN X", "", "titan-x-maxwell"),
        ("NVIDIA TITAN X Pascal", "", "titan-x-pascal"),
        ("Pascal Titan X", "", "titan-x-pascal"),
        ("Pixel 3", "Snapdragon 845", "pixel-3"),
        ("iPhone 6", "", "iphone-6"),
        ("Raspberry Pi 3", "", "raspberry-pi-3b"),
        ("Samsung Galaxy S24", "Exynos 2400", "samsung-galaxy-s24-exynos"),
        ("Samsung Galaxy S24", "Snapdragon 8 Gen 3", "samsung-galaxy-s24"),
        ("experimental phone", "Exynos 2200", "exynos-2200"),
        ("Samsung Galaxy S9+", "Snapdragon 845", "samsung-galaxy-s9-plus"),
        ("Xiaomi 6", "Snapdragon 835", "xiaomi-mi-6"),
        ("Xiaomi Mi 6", "Snapdragon 835", "xiaomi-mi-6"),
        ("", "Kirin 970", "kirin-970"),
        ("QRD", "Snapdragon X Elite", "snapdragon-x-elite-qrd"),
        ("QCS8550 (Proxy)", "QCS8550 (Snapdragon 8 Gen 2 class)", "qcs8550"),
        ("", "", ""),
    ],
)
def test_a_device_has_one_slug(device: str, soc: str, expected: str) -> None:
    assert device_slug(device, soc) == expected
    assert not expected or SLUG.fullmatch(expected), "usable in a target"


def test_the_slugs_of_ncnn_are_their_own(data_dir: Path) -> None:
    import pandas as pd

    names = pd.read_csv(data_dir / "ncnn_e2e.csv")["device"].unique()
    assert len(names) > 80
    assert [name for name in names if slug(name) != name] == []


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("1080ti_256", ("gtx-1080-ti", "gpu", 256, False)),
        ("titan_rtx_32", ("titan-rtx", "gpu", 32, False)),
        ("essential_ph_1", ("essential-ph-1", "cpu", 1, False)),
        ("pixel3_lutsum", ("pixel-3", "cpu", 1, True)),
        ("silver_4210r", ("xeon-silver-4210r", "cpu", 1, False)),
        ("titan_xp_64", ("titan-xp", "gpu", 64, False)),
        ("arch_index", None),
        ("gold_6226_x", None),
    ],
)
def test_columns_of_help(column: str, expected: object) -> None:
    assert help_column(column) == expected


@pytest.mark.parametrize(
    ("published", "resolution", "expected"),
    [
        ("Mobilenet_V1_0.25_128_quant", None, "mobilenet_v1@width=0.25,resolution=128"),
        ("Mobilenet_V1_1.0_224", 224, "mobilenet_v1"),
        ("MobilenetV1", None, "mobilenet_v1"),
        ("mobilenet_v1_0p5_160", None, "mobilenet_v1@width=0.5,resolution=160"),
        ("Mobilenet_V2_1.4_224", None, "mobilenet_v2@width=1.4"),
        ("mobilenet_v2_1.0_224.tflite", None, "mobilenet_v2"),
        ("MobilenetV3_Small_0.75", 224, "mobilenet_v3_small@width=0.75"),
        ("MobilenetV3_Large_minimalistic", 224, "mobilenet_v3_large@variant=minimalistic"),
        ("mnasnet05", 224, "mnasnet@width=0.5"),
        ("shufflenet_v2_x1_5", 224, "shufflenet_v2@width=1.5"),
        ("SqueezeNet1.1", 224, "squeezenet_1_1"),
        ("InceptionV3", 299, "inception_v3"),
        ("VGG-16", 224, "vgg16"),
        ("ResNet-101", 224, "resnet101"),
        ("resnet-v2-50.mnn", None, "resnet50_v2"),
        ("AlexNet (one weird trick)", 224, "alexnet_owt"),
        ("ssd_mobilenet_v1_coco", 300, "ssd_mobilenet_v1"),
        ("ssd_mobilenet_v2_coco", 300, "ssd_mobilenet_v2_coco"),
        ("yolov4-tiny-288", 288, "yolo_v4_tiny@resolution=288"),
        ("GoogLeNet v1", 224, "googlenet"),
        ("Inception_V1_quant", 224, "inception_v1"),
        ("my own net.tflite", 64, "my own net.tflite"),
    ],
)
def test_published_names_become_zoo_names(
    published: str, resolution: int | None, expected: str
) -> None:
    assert model_name(published, resolution) == expected


def test_architectures_build(data_dir: Path) -> None:
    from perfmodel.measurements.read import read_measurements

    for name in ("nasbench201", "fbnet", "ofa"):
        models = read_measurements(data_dir / f"{name}_latency.csv.gz")[0].column("model")
        for model in models[:3]:
            assert zoo.build(model).ops


def test_mapped_names_build(data_dir: Path) -> None:
    from perfmodel.measurements.read import read_measurements

    table, _ = read_measurements([data_dir / "published_e2e.csv", data_dir / "networks_phones.csv"])
    in_zoo = [m for m in table.values("model") if re.split("@", m)[0] in zoo.names()]
    assert len(in_zoo) >= 70
    for name in in_zoo:
        assert zoo.build(name).ops


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("TNN v0.3 OpenCL", ("tnn", "v0.3 OpenCL")),
        ("TFLite GPU delegate", ("tflite", "GPU delegate")),
        ("Paddle-Lite v2.6 armv8", ("paddle-lite", "v2.6 armv8")),
        ("pytorch-2.1.0+cu121", ("pytorch", "2.1.0+cu121")),
        ("cublas-cuda-10.1", ("cublas", "cuda-10.1")),
        ("CuDNN[R4]-fp16   (Torch)", ("torch7-cudnn", "[R4]-fp16 (Torch)")),
        ("arm-compute-library-17.05", ("acl", "17.05")),
        ("Something New 2", ("something-new-2", "")),
        ("", ("", "")),
    ],
)
def test_framework_and_build(printed: str, expected: tuple[str, str]) -> None:
    assert framework_and_build(printed) == expected
