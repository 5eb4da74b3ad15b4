"""Object detection: YOLOv5, YOLOv8 and YOLO11, each in five sizes.

Written from the published tables of layers (YOLOv5 v6 and YOLOv8: Jocher et al., the models' cards
and configurations; YOLO11: Khanam and Hussain 2024, arXiv:2410.17725). Activations are SiLU. The
graphs end with boxes and class scores; sorting and suppressing them is no part of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from perfmodel.errors import GraphError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import channels_of, image
from perfmodel.zoo.registry import Parameter, ZooEntry, image_parameters

RESOLUTION, CLASSES = 640, 80
COARSEST = 32
"""Pixels of an image under one place of the coarsest map."""

DISTANCES = 16
"""Bins of the distribution from which YOLOv8 and YOLO11 read each side of a box."""

ANCHORS = 3
"""Boxes that YOLOv5 finds at every place."""


@dataclass(frozen=True)
class Size:
    """Of a network: factors of depth and width, and the most channels before the width counts."""

    depth: float
    width: float
    most: int = 1024

    def channels(self, count: int) -> int:
        """Channels of a layer that the largest table gives `count`."""
        return math.ceil(min(count, self.most) * self.width / 8) * 8

    def repeats(self, count: int) -> int:
        """Blocks of a stage that the largest table gives `count`."""
        return max(round(count * self.depth), 1)


YOLOV5: Mapping[str, Size] = {
    "n": Size(1 / 3, 0.25),
    "s": Size(1 / 3, 0.5),
    "m": Size(2 / 3, 0.75),
    "l": Size(1.0, 1.0),
    "x": Size(4 / 3, 1.25),
}
YOLOV8: Mapping[str, Size] = {
    "n": Size(1 / 3, 0.25),
    "s": Size(1 / 3, 0.5),
    "m": Size(2 / 3, 0.75, 768),
    "l": Size(1.0, 1.0, 512),
    "x": Size(1.0, 1.25, 512),
}
YOLO11: Mapping[str, Size] = {
    "n": Size(0.5, 0.25),
    "s": Size(0.5, 0.5),
    "m": Size(0.5, 1.0, 512),
    "l": Size(1.0, 1.0, 512),
    "x": Size(1.0, 1.5, 512),
}


def yolov5(
    g: GraphBuilder, size: str, resolution: int, classes: int, batch: int
) -> tuple[str, ...]:
    """YOLOv5 (v6): blocks beside a short cut, a narrowing before each step up, three anchors."""
    of, x = YOLOV5[size], _picture(g, batch, resolution)
    wide, many = of.channels, of.repeats
    x = _conv(g, x, wide(64), 6, 2)
    x = _csp(g, _conv(g, x, wide(128), 3, 2), wide(128), many(3))
    fine = _csp(g, _conv(g, x, wide(256), 3, 2), wide(256), many(6))
    middle = _csp(g, _conv(g, fine, wide(512), 3, 2), wide(512), many(9))
    x = _csp(g, _conv(g, middle, wide(1024), 3, 2), wide(1024), many(3))
    plain = partial(_csp, g, repeats=many(3), add=False)
    coarse = _conv(g, _pyramid(g, x, wide(1024)), wide(512))
    side = _conv(g, plain(g.concat([_twice(g, coarse), middle]), wide(512)), wide(256))
    small = plain(g.concat([_twice(g, side), fine]), wide(256))
    medium = plain(g.concat([_conv(g, small, wide(256), 3, 2), side]), wide(512))
    large = plain(g.concat([_conv(g, medium, wide(512), 3, 2), coarse]), wide(1024))
    found = []
    for x in (small, medium, large):
        _, height, width, _ = g.shape(x)
        y = g.conv(x, ANCHORS * (classes + 5), 1)
        found.append(g.reshape(y, (batch, height * width * ANCHORS, classes + 5)))
    return (g.op("sigmoid", g.concat(found, axis=1)),)


def yolov8(
    g: GraphBuilder, size: str, resolution: int, classes: int, batch: int
) -> tuple[str, ...]:
    """YOLOv8: stages that keep the result of every block, heads without anchors."""
    of, x = YOLOV8[size], _picture(g, batch, resolution)
    wide, many = of.channels, of.repeats

    def stage(x: str, cout: int, count: int, *, add: bool = True) -> str:
        block = partial(_bottleneck, g, hidden=cout // 2, add=add)
        return _kept(g, x, cout, cout // 2, [block] * many(count))

    x = _conv(g, x, wide(64), 3, 2)
    x = stage(_conv(g, x, wide(128), 3, 2), wide(128), 3)
    fine = stage(_conv(g, x, wide(256), 3, 2), wide(256), 6)
    middle = stage(_conv(g, fine, wide(512), 3, 2), wide(512), 6)
    x = stage(_conv(g, middle, wide(1024), 3, 2), wide(1024), 3)
    coarse = _pyramid(g, x, wide(1024))
    up = stage(g.concat([_twice(g, coarse), middle]), wide(512), 3, add=False)
    small = stage(g.concat([_twice(g, up), fine]), wide(256), 3, add=False)
    down = g.concat([_conv(g, small, wide(256), 3, 2), up])
    medium = stage(down, wide(512), 3, add=False)
    down = g.concat([_conv(g, medium, wide(512), 3, 2), coarse])
    large = stage(down, wide(1024), 3, add=False)
    return _heads(g, [small, medium, large], classes, _conv3)


def yolo11(
    g: GraphBuilder, size: str, resolution: int, classes: int, batch: int
) -> tuple[str, ...]:
    """YOLO11: the larger sizes nest blocks everywhere, attention over the coarsest map."""
    of, x = YOLO11[size], _picture(g, batch, resolution)
    wide, repeats = of.channels, of.repeats(2)

    def stage(x: str, cout: int, *, nested: bool, share: float = 0.5) -> str:
        inner = int(cout * share)
        block = partial(_nested, g) if nested else partial(_bottleneck, g, hidden=inner // 2)
        return _kept(g, x, cout, inner, [block] * repeats)

    nested = size in "mlx"
    x = _conv(g, x, wide(64), 3, 2)
    x = stage(_conv(g, x, wide(128), 3, 2), wide(256), nested=nested, share=0.25)
    fine = stage(_conv(g, x, wide(256), 3, 2), wide(512), nested=nested, share=0.25)
    middle = stage(_conv(g, fine, wide(512), 3, 2), wide(512), nested=True)
    x = stage(_conv(g, middle, wide(1024), 3, 2), wide(1024), nested=True)
    coarse = _attend(g, _pyramid(g, x, wide(1024)), repeats)
    up = stage(g.concat([_twice(g, coarse), middle]), wide(512), nested=nested)
    small = stage(g.concat([_twice(g, up), fine]), wide(256), nested=nested)
    down = g.concat([_conv(g, small, wide(256), 3, 2), up])
    medium = stage(down, wide(512), nested=nested)
    down = g.concat([_conv(g, medium, wide(512), 3, 2), coarse])
    large = stage(down, wide(1024), nested=True)
    return _heads(g, [small, medium, large], classes, _light3)


def _picture(g: GraphBuilder, batch: int, resolution: int) -> str:
    if resolution % COARSEST:
        raise GraphError(
            f"resolution={resolution} is not a multiple of {COARSEST}", "take 320, 416 or 640"
        )
    return image(g, batch, resolution)


def _conv(g: GraphBuilder, x: str, cout: int, kernel: int = 1, stride: int = 1) -> str:
    return g.op("swish", g.conv(x, cout, kernel, stride))


def _halves(g: GraphBuilder, x: str, first: int) -> list[str]:
    sizes = (first, channels_of(g, x) - first)
    return list(g.add_op("split", [x], {"axis": 3, "sizes": sizes}))


def _bottleneck(g: GraphBuilder, x: str, *, hidden: int, add: bool = True, first: int = 3) -> str:
    y = _conv(g, _conv(g, x, hidden, first), channels_of(g, x), 3)
    return g.binary("add", x, y) if add else y


def _csp(g: GraphBuilder, x: str, cout: int, repeats: int, *, add: bool = True) -> str:
    """Blocks one after the other beside a short cut, joined (C3)."""
    y = _conv(g, x, cout // 2)
    for _ in range(repeats):
        y = _bottleneck(g, y, hidden=cout // 2, add=add, first=1)
    return _conv(g, g.concat([y, _conv(g, x, cout // 2)]), cout)


def _nested(g: GraphBuilder, x: str) -> str:
    """Two blocks of 3x3 convolutions beside a short cut, joined (C3k)."""
    cout = channels_of(g, x)
    y = _conv(g, x, cout // 2)
    for _ in range(2):
        y = _bottleneck(g, y, hidden=cout // 2)
    return _conv(g, g.concat([y, _conv(g, x, cout // 2)]), cout)


def _kept(
    g: GraphBuilder, x: str, cout: int, inner: int, blocks: Sequence[Callable[[str], str]]
) -> str:
    """Half of the channels pass by, half through blocks whose results are all kept (C2f, C3k2)."""
    kept = _halves(g, _conv(g, x, 2 * inner), inner)
    for block in blocks:
        kept.append(block(kept[-1]))
    return _conv(g, g.concat(kept), cout)


def _pyramid(g: GraphBuilder, x: str, cout: int) -> str:
    """Three poolings one after the other, all kept (SPPF)."""
    kept = [_conv(g, x, channels_of(g, x) // 2)]
    for _ in range(3):
        kept.append(g.pool(kept[-1], "max", 5, 1, "same"))
    return _conv(g, g.concat(kept), cout)


def _attend(g: GraphBuilder, x: str, repeats: int) -> str:
    """Attention over half of the channels (C2PSA)."""
    cout = channels_of(g, x)
    passed, y = _halves(g, _conv(g, x, cout), cout // 2)
    for _ in range(repeats):
        y = g.binary("add", y, _attention(g, y))
        y = g.binary("add", y, g.conv(_conv(g, y, cout), cout // 2, 1))
    return _conv(g, g.concat([passed, y]), cout)


def _attention(g: GraphBuilder, x: str) -> str:
    batch, height, width, channels = g.shape(x)
    heads = max(channels // 64, 1)
    value = channels // heads
    key = value // 2
    mixed = g.conv(x, channels + 2 * heads * key, 1)
    flat = g.reshape(mixed, (batch, height * width, heads, 2 * key + value))
    flat = g.op("transpose", flat, perm=(0, 2, 1, 3))
    q, k, v = g.add_op("split", [flat], {"axis": 3, "sizes": (key, key, value)})
    scores = g.op("softmax", g.op("matmul", q, k, transpose_b=True))
    seen = g.op("transpose", g.op("matmul", scores, v), perm=(0, 2, 1, 3))
    seen = g.reshape(seen, (batch, height, width, channels))
    place = g.op("transpose", v, perm=(0, 2, 1, 3))
    place = g.depthwise(g.reshape(place, (batch, height, width, channels)), 3)
    return g.conv(g.binary("add", seen, place), channels, 1)


def _twice(g: GraphBuilder, x: str) -> str:
    _, height, width, _ = g.shape(x)
    return g.op("resize", x, size=(2 * height, 2 * width), method="nearest")


def _conv3(g: GraphBuilder, x: str, cout: int) -> str:
    return _conv(g, x, cout, 3)


def _light3(g: GraphBuilder, x: str, cout: int) -> str:
    return _conv(g, g.op("swish", g.depthwise(x, 3)), cout)


def _heads(
    g: GraphBuilder, maps: list[str], classes: int, scoring: Callable[[GraphBuilder, str, int], str]
) -> tuple[str, str]:
    """Boxes and scores of every place of the maps; `scoring` is the layer that scores go through
    twice."""
    first = channels_of(g, maps[0])
    sides, scores = max(16, first // 4, 4 * DISTANCES), max(first, min(classes, 100))
    boxes, found = [], []
    for x in maps:
        batch, height, width, _ = g.shape(x)
        y = _conv(g, _conv(g, x, sides, 3), sides, 3)
        y = g.reshape(g.conv(y, 4 * DISTANCES, 1), (batch, height * width, 4 * DISTANCES))
        boxes.append(y)
        for _ in range(2):
            x = scoring(g, x, scores)
        found.append(g.reshape(g.conv(x, classes, 1), (batch, height * width, classes)))
    every = g.concat(boxes, axis=1)
    batch, anchors, _ = g.shape(every)
    every = g.op("softmax", g.reshape(every, (batch, anchors, 4, DISTANCES)))
    every = g.conv(every, 1, 1)
    return every, g.op("sigmoid", g.concat(found, axis=1))


def _entry(
    name: str, title: str, sizes: Mapping[str, Size], builder: Callable[..., tuple[str, ...]]
) -> ZooEntry:
    return ZooEntry(
        name=name,
        title=f"{title}, five sizes",
        family=name,
        task="detection",
        input_shape=(RESOLUTION, RESOLUTION, 3),
        parameters=image_parameters(
            RESOLUTION, CLASSES, Parameter("size", "n", choices=tuple(sizes))
        ),
        builder=builder,
    )


ENTRIES = (
    _entry("yolov5", "YOLOv5", YOLOV5, yolov5),
    _entry("yolov8", "YOLOv8", YOLOV8, yolov8),
    _entry("yolo11", "YOLO11", YOLO11, yolo11),
)
