"""The zoo's convolutions against the layers that phones measured: same shapes, same number."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from perfmodel import zoo
from perfmodel.graph import Graph
from perfmodel.kernels import macs, params

MEASURED = {
    # model of layers_phones.csv.gz: (network, convolutions that we write as fully connected)
    "nasnet-mobile": ("nasnet_mobile", 0),
    "nasnet-large": ("nasnet_large", 0),
    "pnasnet-mobile": ("pnasnet_mobile", 0),
    "pnasnet-large": ("pnasnet_large", 0),
    "inception-v3": ("inception_v3", 1),
    "inception-resnet-v2": ("inception_resnet_v2", 0),
    "mobilenet-v1": ("mobilenet_v1", 1),
    "mobilenet-v2": ("mobilenet_v2", 1),
    "squeezenet-v1.0": ("squeezenet_1_0", 0),
    "alexnet": ("alexnet", 0),
}
COLUMNS = ["cin", "hin", "cout", "hout", "kh", "kw", "sh", "groups"]


def convolutions(graph: Graph) -> Counter[tuple[int, ...]]:
    counted: Counter[tuple[int, ...]] = Counter()
    for op in graph.ops:
        if op.kind == "conv2d":
            x, weights = graph.tensor(op.inputs[0]).shape, graph.tensor(op.inputs[1]).shape
            y, stride = graph.tensor(op.outputs[0]).shape, op.attrs["stride"][0]
            kernel = (weights[1], weights[2], stride, op.attrs["groups"])
            counted[(x[3], x[1], y[3], y[1], *kernel)] += 1
    return counted


@pytest.mark.parametrize("model", MEASURED)
def test_convolutions_are_those_of_the_measured_network(model: str, data_dir: Path) -> None:
    import pandas as pd

    name, classifiers = MEASURED[model]
    layers = pd.read_csv(data_dir / "layers_phones.csv.gz", dtype={"core_cluster": str})
    layers = layers[layers["model"] == model].fillna({"core_cluster": ""})
    framework = "mnn" if (layers["framework"] == "mnn").any() else "acl"
    layers = layers[layers["framework"] == framework]
    runs = layers.groupby(["device", "unit", "threads", "core_cluster"])
    run = runs.get_group(runs.size().idxmax())
    rows = run[run["op"].isin(["conv2d", "depthwise_conv2d"])][COLUMNS].astype(int)
    measured = Counter(rows.itertuples(index=False, name=None))
    ours = convolutions(zoo.build(name))
    assert sum((measured - ours).values()) == classifiers
    assert not ours - measured


def test_nasbench201_indices_are_those_of_the_benchmark(data_dir: Path) -> None:
    import pandas as pd

    from perfmodel.zoo.nasbench import arch_string, parse_arch

    table = pd.read_csv(data_dir / "nasbench201_latency.csv.gz", usecols=[0, 1])
    for index, arch in table.itertuples(index=False, name=None):
        assert arch_string(parse_arch(str(index))) == arch
        assert parse_arch(arch) == parse_arch(str(index))


NCNN = {
    "alexnet": "alexnet",
    "googlenet": "googlenet",
    "vgg16": "vgg16",
    "resnet50": "resnet50@version=1",
    "mobilenet": "mobilenet_v1@classes=1000",
    "mnasnet": "mnasnet",
    "efficientnet_b0": "efficientnet_b0",
    "shufflenet_v2": "shufflenet_v2",
    "mobilenet_ssd": "ssd_mobilenet_v1@classes=21",
    "yolov4-tiny": "yolo_v4_tiny",
    "vision_transformer": "vit_b32@resolution=384",
    "regnety_400m": "regnet_y_400mf",
}
"""The other graphs of that folder are variants of their networks (other strides or widths)."""


@pytest.mark.parametrize("model", NCNN)
def test_work_and_size_are_those_of_the_benchmarked_file(model: str, data_dir: Path) -> None:
    from perfmodel.formats.ncnn.reader import read_ncnn

    file, ours = read_ncnn(data_dir / "ncnn_models" / f"{model}.param"), zoo.build(NCNN[model])
    assert macs(ours) == macs(file)
    assert params(ours) == params(file)


@pytest.mark.parametrize(
    ("spec", "megabytes"),
    [
        # model sizes of TensorFlow Lite's hosted models (float32, hosted_models.md)
        ("mobilenet_v1", 16.9),
        ("mobilenet_v1@width=0.5", 5.3),
        ("mobilenet_v1@width=0.25,resolution=128", 1.9),
        ("mobilenet_v2", 14.0),
        ("inception_v3", 95.3),
        ("inception_v4", 170.7),
        ("squeezenet_1_0", 5.0),
        ("resnet101_v2", 178.3),
        ("nasnet_large", 355.3),
        # VGG16.tflite of the partitioning study on an Exynos 2200
        ("vgg16", 553.4),
    ],
)
def test_weights_fill_the_published_file(spec: str, megabytes: float) -> None:
    assert 4 * params(zoo.build(spec)) / 1e6 == pytest.approx(megabytes, rel=0.01, abs=0.05)
