"""Object detection: SSD on MobileNet V1 and V2, the tiny YOLOs.

The graphs end with raw boxes and class scores; sorting and suppressing them is no part of them.
"""

from __future__ import annotations

from collections.abc import Callable

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import channels_of, image
from perfmodel.zoo.mobilenet import mobilenet_v1_features, mobilenet_v2_features
from perfmodel.zoo.registry import ZooEntry, image_parameters

SSD_EXTRAS = (512, 256, 256, 128)
"""Channels of the four extra feature maps (Liu et al. 2016, arXiv:1512.02325, MobileNet form)."""


def ssd_mobilenet_v1(g: GraphBuilder, resolution: int, classes: int, batch: int) -> tuple[str, ...]:
    """SSD on MobileNet V1; `classes` includes the background (91 for COCO, 21 for VOC)."""
    taps: dict[int, str] = {}
    x = mobilenet_v1_features(g, image(g, batch, resolution), taps=taps)
    maps = [taps[10], x]
    for cout in SSD_EXTRAS:
        y = g.conv(maps[-1], cout // 2, 1, activation="relu6")
        maps.append(g.conv(y, cout, 3, 2, activation="relu6"))
    return _ssd_heads(g, maps, classes, lambda y, cout: g.conv(y, cout, 1))


def ssdlite_mobilenet_v2(
    g: GraphBuilder, resolution: int, classes: int, batch: int
) -> tuple[str, ...]:
    """SSDLite on MobileNet V2: extra maps and heads are depthwise separable."""
    taps: dict[int, str] = {}
    x = mobilenet_v2_features(g, image(g, batch, resolution), taps=taps)
    maps = [taps[13], g.conv(x, 1280, 1, activation="relu6")]
    for cout in SSD_EXTRAS:
        y = g.conv(maps[-1], cout // 2, 1, activation="relu6")
        y = g.depthwise(y, 3, 2, activation="relu6")
        maps.append(g.conv(y, cout, 1, activation="relu6"))

    def head(y: str, cout: int) -> str:
        return g.conv(g.depthwise(y, 3, activation="relu6"), cout, 1)

    return _ssd_heads(g, maps, classes, head)


def _ssd_heads(
    g: GraphBuilder, maps: list[str], classes: int, head: Callable[[str, int], str]
) -> tuple[str, str]:
    boxes, scores = [], []
    for i, x in enumerate(maps):
        anchors = 3 if i == 0 else 6
        batch, height, width, _ = g.shape(x)
        count = height * width * anchors
        boxes.append(g.reshape(head(x, 4 * anchors), (batch, count, 4)))
        scores.append(g.reshape(head(x, classes * anchors), (batch, count, classes)))
    return g.concat(boxes, axis=1), g.op("sigmoid", g.concat(scores, axis=1))


def _leaky(g: GraphBuilder, x: str, cout: int, kernel: int = 3, stride: int = 1) -> str:
    return g.op("leaky_relu", g.conv(x, cout, kernel, stride), alpha=0.1)


def _twofold(g: GraphBuilder, x: str) -> str:
    _, height, width, _ = g.shape(x)
    return g.op("resize", x, size=(2 * height, 2 * width), method="nearest")


def yolo_v3_tiny(g: GraphBuilder, resolution: int, classes: int, batch: int) -> tuple[str, ...]:
    """YOLO v3 tiny (Redmon & Farhadi 2018, arXiv:1804.02767), yolov3-tiny.cfg."""
    x = image(g, batch, resolution)
    for cout in (16, 32, 64, 128):
        x = g.pool(_leaky(g, x, cout), "max", 2, 2)
    kept = _leaky(g, x, 256)
    x = _leaky(g, g.pool(kept, "max", 2, 2), 512)
    x = _leaky(g, g.pool(x, "max", 2, 1, "same"), 1024)
    neck = _leaky(g, x, 256, 1)
    return _yolo_heads(g, neck, kept, classes)


def yolo_v4_tiny(g: GraphBuilder, resolution: int, classes: int, batch: int) -> tuple[str, ...]:
    """YOLO v4 tiny (Wang et al. 2021, arXiv:2011.08036), yolov4-tiny.cfg."""
    x = _leaky(g, _leaky(g, image(g, batch, resolution), 32, 3, 2), 64, 3, 2)
    kept = ""
    for cout in (64, 128, 256):
        x, kept = _csp_block(g, x, cout)
        x = g.pool(x, "max", 2, 2)
    neck = _leaky(g, _leaky(g, x, 512), 256, 1)
    return _yolo_heads(g, neck, kept, classes)


def _csp_block(g: GraphBuilder, x: str, cout: int) -> tuple[str, str]:
    whole = _leaky(g, x, cout)
    _, second = g.add_op("split", [whole], {"axis": 3, "sizes": (cout // 2, cout // 2)})
    first = _leaky(g, second, cout // 2)
    joined = g.concat([_leaky(g, first, cout // 2), first])
    mixed = _leaky(g, joined, cout, 1)
    return g.concat([whole, mixed]), mixed


def _yolo_heads(g: GraphBuilder, neck: str, kept: str, classes: int) -> tuple[str, str]:
    outputs = 3 * (classes + 5)
    large = g.conv(_leaky(g, neck, 512), outputs, 1)
    up = _twofold(g, _leaky(g, neck, channels_of(g, neck) // 2, 1))
    return large, g.conv(_leaky(g, g.concat([up, kept]), 256), outputs, 1)


ENTRIES = (
    ZooEntry(
        name="ssd_mobilenet_v1",
        title="SSD MobileNet V1 300",
        family="ssd_mobilenet_v1",
        task="detection",
        input_shape=(300, 300, 3),
        parameters=image_parameters(300, 91),
        builder=ssd_mobilenet_v1,
    ),
    ZooEntry(
        name="ssdlite_mobilenet_v2",
        title="SSDLite MobileNet V2 300",
        family="ssd_mobilenet_v2",
        task="detection",
        input_shape=(300, 300, 3),
        parameters=image_parameters(300, 91),
        builder=ssdlite_mobilenet_v2,
    ),
    ZooEntry(
        name="yolo_v3_tiny",
        title="YOLO v3 tiny 416",
        family="yolo_v3_tiny",
        task="detection",
        input_shape=(416, 416, 3),
        parameters=image_parameters(416, 80),
        builder=yolo_v3_tiny,
    ),
    ZooEntry(
        name="yolo_v4_tiny",
        title="YOLO v4 tiny 416",
        family="yolo_v4_tiny",
        task="detection",
        input_shape=(416, 416, 3),
        parameters=image_parameters(416, 80),
        builder=yolo_v4_tiny,
    ),
)
