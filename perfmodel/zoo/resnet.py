"""ResNet (He et al. 2016): the v1.5 of today's frameworks and the pre-activation v2."""

from __future__ import annotations

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import affine, channels_of, classifier, image
from perfmodel.zoo.registry import Parameter, ZooEntry, image_parameters, printed, rows

TORCHVISION = "https://pytorch.org/vision/stable/models.html"
KERAS = "https://keras.io/api/applications/ (parameters, with moving statistics)"
PAPER = "https://arxiv.org/abs/1512.03385 (table 1)"
SLIM = "https://github.com/tensorflow/models/tree/master/research/slim"

STAGE_WIDTHS = (64, 128, 256, 512)


def resnet18(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """ResNet-18: basic blocks of two 3x3 convolutions."""
    return _basic_network(g, (2, 2, 2, 2), resolution, classes, batch)


def resnet34(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """ResNet-34: as ResNet-18 with 3, 4, 6 and 3 blocks."""
    return _basic_network(g, (3, 4, 6, 3), resolution, classes, batch)


def resnet50(g: GraphBuilder, version: str, resolution: int, classes: int, batch: int) -> str:
    """ResNet-50: bottleneck blocks, strided in the 3x3 (v1.5) or first 1x1 convolution (v1)."""
    return _bottleneck_network(g, (3, 4, 6, 3), version, resolution, classes, batch)


def resnet101(g: GraphBuilder, version: str, resolution: int, classes: int, batch: int) -> str:
    """ResNet-101: as ResNet-50 with 23 blocks in the third stage."""
    return _bottleneck_network(g, (3, 4, 23, 3), version, resolution, classes, batch)


def resnet152(g: GraphBuilder, version: str, resolution: int, classes: int, batch: int) -> str:
    """ResNet-152: as ResNet-50 with 8 and 36 blocks in the second and third stage."""
    return _bottleneck_network(g, (3, 8, 36, 3), version, resolution, classes, batch)


def wide_resnet50_2(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """Wide ResNet-50-2 (arXiv:1605.07146): ResNet-50 v1.5 with bottlenecks twice as wide."""
    return _bottleneck_network(g, (3, 4, 6, 3), "1.5", resolution, classes, batch, widen=2)


def resnet50_v2(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """ResNet-50 v2: pre-activation bottlenecks, stride in the last block of a stage (TF-slim)."""
    return _v2_network(g, (3, 4, 6, 3), resolution, classes, batch)


def resnet101_v2(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """ResNet-101 v2, as TensorFlow Lite publishes it (TF-slim)."""
    return _v2_network(g, (3, 4, 23, 3), resolution, classes, batch)


def _stem(g: GraphBuilder, x: str, activation: str) -> str:
    x = g.conv(x, 64, 7, 2, activation=activation)
    return g.pool(x, "max", 3, 2, "same")


def _basic_network(
    g: GraphBuilder, depths: tuple[int, ...], resolution: int, classes: int, batch: int
) -> str:
    x = _stem(g, image(g, batch, resolution), "relu")
    for stage, (width, depth) in enumerate(zip(STAGE_WIDTHS, depths, strict=True)):
        for block in range(depth):
            x = _basic_block(g, x, width, 2 if stage and not block else 1)
    return classifier(g, x, classes)


def _basic_block(g: GraphBuilder, x: str, width: int, stride: int) -> str:
    shortcut = x
    if stride > 1 or channels_of(g, x) != width:
        shortcut = g.conv(x, width, 1, stride)
    y = g.conv(x, width, 3, stride, activation="relu")
    return g.binary("add", g.conv(y, width, 3), shortcut, "relu")


def _bottleneck_network(
    g: GraphBuilder,
    depths: tuple[int, ...],
    version: str,
    resolution: int,
    classes: int,
    batch: int,
    widen: int = 1,
) -> str:
    x = _stem(g, image(g, batch, resolution), "relu")
    for stage, (width, depth) in enumerate(zip(STAGE_WIDTHS, depths, strict=True)):
        for block in range(depth):
            stride = 2 if stage and not block else 1
            strides = (stride, 1) if version == "1" else (1, stride)
            x = _bottleneck(g, x, (widen * width, 4 * width), strides)
    return classifier(g, x, classes)


def _bottleneck(g: GraphBuilder, x: str, widths: tuple[int, int], strides: tuple[int, int]) -> str:
    shortcut, stride, (width, cout) = x, max(strides), widths
    if stride > 1 or channels_of(g, x) != cout:
        shortcut = g.conv(x, cout, 1, stride)
    y = g.conv(x, width, 1, strides[0], activation="relu")
    y = g.conv(y, width, 3, strides[1], activation="relu")
    return g.binary("add", g.conv(y, cout, 1), shortcut, "relu")


def _v2_network(
    g: GraphBuilder, depths: tuple[int, ...], resolution: int, classes: int, batch: int
) -> str:
    x = _stem(g, image(g, batch, resolution), "none")
    for stage, (width, depth) in enumerate(zip(STAGE_WIDTHS, depths, strict=True)):
        for block in range(depth):
            last = stage < 3 and block == depth - 1
            x = _v2_bottleneck(g, x, width, 2 if last else 1)
    return classifier(g, affine(g, x, "relu"), classes)


def _v2_bottleneck(g: GraphBuilder, x: str, width: int, stride: int) -> str:
    active = affine(g, x, "relu")
    if channels_of(g, x) != 4 * width:
        shortcut = g.conv(active, 4 * width, 1, stride)
    else:
        shortcut = x if stride == 1 else g.pool(x, "max", 1, stride)
    y = g.conv(active, width, 1, activation="relu")
    y = g.conv(y, width, 3, stride, activation="relu")
    return g.binary("add", g.conv(y, 4 * width, 1), shortcut)


VERSION = Parameter("version", "1.5", choices=("1", "1.5"))

ENTRIES = (
    ZooEntry(
        "resnet18",
        "ResNet-18",
        "resnet_basic",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000),
        resnet18,
        (printed(TORCHVISION, "1.81G", "11,689,512"),),
        rows(TORCHVISION, "imagenet_top1", "- float 69.758\n- int8 69.494"),
        ("001",),
    ),
    ZooEntry(
        "resnet34",
        "ResNet-34",
        "resnet_basic",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000),
        resnet34,
        (printed(TORCHVISION, "3.66G", "21,797,672"),),
        rows(TORCHVISION, "imagenet_top1", "- float 73.314"),
    ),
    ZooEntry(
        "resnet50",
        "ResNet-50",
        "resnet_bottleneck",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000, VERSION),
        resnet50,
        (
            printed(TORCHVISION, "4.09G", "25,557,032"),
            printed(PAPER, "3.8G", parameters="version=1"),
        ),
        rows(TORCHVISION, "imagenet_top1", "- float 76.13\n- int8 75.92"),
        ("001",),
    ),
    ZooEntry(
        "resnet101",
        "ResNet-101",
        "resnet_bottleneck",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000, VERSION),
        resnet101,
        (
            printed(TORCHVISION, "7.80G", "44,549,160"),
            printed(PAPER, "7.6G", parameters="version=1"),
        ),
        rows(TORCHVISION, "imagenet_top1", "- float 77.374"),
        ("001",),
    ),
    ZooEntry(
        "resnet152",
        "ResNet-152",
        "resnet_bottleneck",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000, VERSION),
        resnet152,
        (
            printed(TORCHVISION, "11.51G", "60,192,808"),
            printed(PAPER, "11.3G", parameters="version=1"),
        ),
        rows(TORCHVISION, "imagenet_top1", "- float 78.312"),
    ),
    ZooEntry(
        "wide_resnet50_2",
        "Wide ResNet-50-2",
        "wide_resnet",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000),
        wide_resnet50_2,
        (printed(TORCHVISION, "11.40G", "68,883,240"),),
        rows(TORCHVISION, "imagenet_top1", "- float 78.468"),
    ),
    ZooEntry(
        "resnet50_v2",
        "ResNet-50 v2",
        "resnet_bottleneck",
        "classification",
        (299, 299, 3),
        image_parameters(299, 1001),
        resnet50_v2,
        (printed(KERAS, params="25,613,800", parameters="classes=1000"),),
        rows(SLIM, "imagenet_top1", "- float 75.6"),
    ),
    ZooEntry(
        "resnet101_v2",
        "ResNet-101 v2",
        "resnet_bottleneck",
        "classification",
        (299, 299, 3),
        image_parameters(299, 1001),
        resnet101_v2,
        (printed(KERAS, params="44,675,560", parameters="classes=1000"),),
        rows(SLIM, "imagenet_top1", "- float 77.0"),
    ),
)
