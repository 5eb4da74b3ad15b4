"""YOLO11 as graphs, to learn from its published times: five sizes, detection at 640 x 640.

Written from the published description of the network (Khanam and Hussain 2024, arXiv:2410.17725,
and the layer table of its model card); parameters and FLOPs agree with the card within 2 %
(tests/validation/test_yolo11.py). Activations are SiLU; the head ends with boxes and scores.
"""

from __future__ import annotations

import math
from functools import partial

from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.zoo.layers import channels_of, image

SIZES = {
    "yolo11n": (0.5, 0.25, 1024),
    "yolo11s": (0.5, 0.5, 1024),
    "yolo11m": (0.5, 1.0, 512),
    "yolo11l": (1.0, 1.0, 512),
    "yolo11x": (1.0, 1.5, 512),
}
"""Depth, width and most channels of each size."""

CLASSES, RESOLUTION = 80, 640
DISTANCES = 16
"""Bins of the distribution from which each side of a box is read."""


def yolo11(name: str) -> Graph:
    """The graph of a size."""
    depth, width, most = SIZES[name]
    g = GraphBuilder(name)
    wide = partial(_channels, width=width, most=most)
    # the larger sizes use the nested block everywhere
    nested = name[-1] in "mlx"
    stage = partial(_stage, g, repeats=max(round(2 * depth), 1))
    x = _conv(g, image(g, 1, RESOLUTION), wide(64), 3, 2)
    x = stage(_conv(g, x, wide(128), 3, 2), wide(256), nested=nested, share=0.25)
    fine = stage(_conv(g, x, wide(256), 3, 2), wide(512), nested=nested, share=0.25)
    middle = stage(_conv(g, fine, wide(512), 3, 2), wide(512), nested=True)
    x = stage(_conv(g, middle, wide(1024), 3, 2), wide(1024), nested=True)
    coarse = _attend(g, _pyramid(g, x, wide(1024)), max(round(2 * depth), 1))
    up = stage(g.concat([_twice(g, coarse), middle]), wide(512), nested=nested)
    small = stage(g.concat([_twice(g, up), fine]), wide(256), nested=nested)
    down = g.concat([_conv(g, small, wide(256), 3, 2), up])
    medium = stage(down, wide(512), nested=nested)
    down = g.concat([_conv(g, medium, wide(512), 3, 2), coarse])
    large = stage(down, wide(1024), nested=True)
    return g.build(*_heads(g, [small, medium, large]))


def _channels(count: int, width: float, most: int) -> int:
    return math.ceil(min(count, most) * width / 8) * 8


def _conv(g: GraphBuilder, x: str, cout: int, kernel: int = 1, stride: int = 1) -> str:
    return g.op("swish", g.conv(x, cout, kernel, stride))


def _halves(g: GraphBuilder, x: str, first: int) -> list[str]:
    sizes = (first, channels_of(g, x) - first)
    return list(g.add_op("split", [x], {"axis": 3, "sizes": sizes}))


def _bottleneck(g: GraphBuilder, x: str, hidden: int) -> str:
    y = _conv(g, _conv(g, x, hidden, 3), channels_of(g, x), 3)
    return g.binary("add", x, y)


def _nested(g: GraphBuilder, x: str) -> str:
    """Two bottlenecks beside a short cut, joined (C3k)."""
    cout = channels_of(g, x)
    y = _conv(g, x, cout // 2)
    for _ in range(2):
        y = _bottleneck(g, y, cout // 2)
    return _conv(g, g.concat([y, _conv(g, x, cout // 2)]), cout)


def _stage(
    g: GraphBuilder, x: str, cout: int, *, repeats: int, nested: bool, share: float = 0.5
) -> str:
    """Half of the channels pass by, half through blocks whose results are all kept (C3k2)."""
    inner = int(cout * share)
    kept = _halves(g, _conv(g, x, 2 * inner), inner)
    for _ in range(repeats):
        last = kept[-1]
        kept.append(_nested(g, last) if nested else _bottleneck(g, last, inner // 2))
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


def _heads(g: GraphBuilder, maps: list[str]) -> tuple[str, str]:
    first = channels_of(g, maps[0])
    sides, scores = max(16, first // 4, 4 * DISTANCES), max(first, min(CLASSES, 100))
    boxes, classes = [], []
    for x in maps:
        batch, height, width, _ = g.shape(x)
        y = _conv(g, _conv(g, x, sides, 3), sides, 3)
        y = g.reshape(g.conv(y, 4 * DISTANCES, 1), (batch, height * width, 4 * DISTANCES))
        boxes.append(y)
        for _ in range(2):
            x = _conv(g, g.op("swish", g.depthwise(x, 3)), scores)
        classes.append(g.reshape(g.conv(x, CLASSES, 1), (batch, height * width, CLASSES)))
    every = g.concat(boxes, axis=1)
    batch, anchors, _ = g.shape(every)
    every = g.op("softmax", g.reshape(every, (batch, anchors, 4, DISTANCES)))
    every = g.conv(every, 1, 1)
    return every, g.op("sigmoid", g.concat(classes, axis=1))
