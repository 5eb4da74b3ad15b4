"""ResNet (He et al. 2016): the v1.5 of today's frameworks and the pre-activation v2."""

from __future__ import annotations

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import affine, channels_of, classifier, image
from perfmodel.zoo.registry import Parameter, ZooEntry, image_parameters

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
        name="resnet18",
        title="ResNet-18",
        family="resnet_basic",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=resnet18,
        seeds=("001",),
    ),
    ZooEntry(
        name="resnet34",
        title="ResNet-34",
        family="resnet_basic",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=resnet34,
    ),
    ZooEntry(
        name="resnet50",
        title="ResNet-50",
        family="resnet_bottleneck",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000, VERSION),
        builder=resnet50,
        seeds=("001",),
    ),
    ZooEntry(
        name="resnet101",
        title="ResNet-101",
        family="resnet_bottleneck",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000, VERSION),
        builder=resnet101,
        seeds=("001",),
    ),
    ZooEntry(
        name="resnet152",
        title="ResNet-152",
        family="resnet_bottleneck",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000, VERSION),
        builder=resnet152,
    ),
    ZooEntry(
        name="wide_resnet50_2",
        title="Wide ResNet-50-2",
        family="wide_resnet",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=wide_resnet50_2,
    ),
    ZooEntry(
        name="resnet50_v2",
        title="ResNet-50 v2",
        family="resnet_bottleneck",
        task="classification",
        input_shape=(299, 299, 3),
        parameters=image_parameters(299, 1001),
        builder=resnet50_v2,
    ),
    ZooEntry(
        name="resnet101_v2",
        title="ResNet-101 v2",
        family="resnet_bottleneck",
        task="classification",
        input_shape=(299, 299, 3),
        parameters=image_parameters(299, 1001),
        builder=resnet101_v2,
    ),
)
