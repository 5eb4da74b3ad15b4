"""ncnn layers of detectors: boxes that stand for places, and the boxes that are found."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perfmodel.formats.ncnn.net import ABSENT, NcnnLayer, NcnnNet, emit, layer_types, one_input
from perfmodel.graph.ops import Shape


@layer_types("PriorBox")
def _prior_box(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """Boxes of every feature: each size, and each aspect ratio of it (twice if flipped)."""
    _, h, w, _ = net.builder.shape(one_input(net, layer))
    sizes, maxima, ratios = layer.count(0), layer.count(1), layer.count(2)
    if len(layer.bottoms) == 1 and layer.integer(9, 0) == ABSENT and not maxima:  # MXNet's form
        shape: Shape = (1, 4 * w * h * (sizes - 1 + ratios))
    else:
        flips = 2 if layer.integer(7, 1) else 1
        boxes = sizes + maxima + sizes * ratios * flips
        shape = (1, 2, 4 * w * h * boxes)
    inputs = [net.tensor(b) for b in layer.bottoms]
    return emit(net, layer, "prior_box", inputs, output_shapes=(shape,))


@layer_types("DetectionOutput")
def _detection_output(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """At most keep_top_k rows (label, score, box); fewer where the image shows less."""
    inputs = [net.tensor(b) for b in layer.bottoms]
    shape = (net.batch, max(1, layer.integer(3, 100)), 6)
    return emit(net, layer, "detection_output", inputs, output_shapes=(shape,))


@layer_types("YoloDetectionOutput Yolov3DetectionOutput")
def _yolo_output(net: NcnnNet, layer: NcnnLayer) -> Sequence[str]:
    """At most one row (label, score, box) for each box of each cell."""
    boxes = layer.integer(1, 5)
    cells = sum(math.prod(net.shape(b)[1:3]) for b in layer.bottoms)
    inputs = [net.tensor(b) for b in layer.bottoms]
    shape = (net.batch, max(1, boxes * cells), 6)
    return emit(net, layer, "yolo_output", inputs, output_shapes=(shape,))
