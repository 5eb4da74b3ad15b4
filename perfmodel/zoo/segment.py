"""DeepLab V3 and V3+ on MobileNet V2 (arXiv:1706.05587, arXiv:1802.02611)."""

from __future__ import annotations

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import image
from perfmodel.zoo.mobilenet import mobilenet_v2_features
from perfmodel.zoo.registry import ZooEntry, image_parameters


def deeplab_v3(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """DeepLab V3 as TensorFlow publishes it for MobileNet V2: output stride 16, no atrous pyramid.

    A 1x1 convolution beside image pooling, both of 256 channels, then the classifier.
    """
    x = mobilenet_v2_features(g, image(g, batch, resolution), output_stride=16)
    pooled = _image_pooling(g, x)
    x = g.concat([pooled, g.conv(x, 256, 1, activation="relu")])
    x = g.conv(x, 256, 1, activation="relu")
    return _enlarge(g, g.conv(x, classes, 1), (resolution, resolution))


def deeplab_v3plus(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """DeepLab V3+: atrous pyramid at rates 6, 12, 18 and a decoder at a quarter of the size."""
    taps: dict[int, str] = {}
    x = mobilenet_v2_features(g, image(g, batch, resolution), output_stride=16, outputs=taps)
    low = g.conv(taps[2], 48, 1, activation="relu")
    parts = [g.conv(x, 256, 1, activation="relu")]
    parts += [g.conv(x, 256, 3, dilation=rate, activation="relu") for rate in (6, 12, 18)]
    x = g.conv(g.concat([*parts, _image_pooling(g, x)]), 256, 1, activation="relu")
    x = g.concat([low, _enlarge(g, x, g.shape(low)[1:3])])
    x = g.conv(x, 256, 3, activation="relu")
    return _enlarge(g, g.conv(x, classes, 1), (resolution, resolution))


def _image_pooling(g: GraphBuilder, x: str) -> str:
    size = g.shape(x)[1:3]
    return _enlarge(g, g.conv(g.global_avg_pool(x), 256, 1, activation="relu"), size)


def _enlarge(g: GraphBuilder, x: str, size: tuple[int, ...]) -> str:
    return g.op("resize", x, size=tuple(size), method="bilinear")


ENTRIES = (
    ZooEntry(
        name="deeplab_v3plus",
        title="DeepLab V3+ (MobileNet V2)",
        family="deeplab",
        task="segmentation",
        input_shape=(513, 513, 3),
        parameters=image_parameters(513, 21),
        builder=deeplab_v3plus,
        seeds=("000",),
    ),
    ZooEntry(
        name="deeplab_v3",
        title="DeepLab V3 (MobileNet V2)",
        family="deeplab",
        task="segmentation",
        input_shape=(513, 513, 3),
        parameters=image_parameters(513, 21),
        builder=deeplab_v3,
        seeds=("000",),
    ),
)
