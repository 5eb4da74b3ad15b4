"""Layers of detectors in Caffe's forks: boxes that stand for places, regions and what is found."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.errors import GraphError
from perfmodel.formats.caffe.net import (
    CaffeLayer,
    CaffeNet,
    emit,
    first,
    flag,
    image,
    integer,
    layer_types,
)
from perfmodel.formats.limits import shorten


@layer_types("PriorBox")
def _prior_box(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    """Boxes of every cell: each size, and each aspect ratio of it (SSD, Liu et al. 2016)."""
    param, x = layer.message.message("prior_box_param"), image(net, layer)
    h, w = net.builder.shape(x)[1:3]
    sizes, maxima = len(param.scalars("min_size")), len(param.scalars("max_size"))
    ratios = len({r for r in param.scalars("aspect_ratio") if r not in (1, 1.0)})
    flips = 2 if flag(param, "flip", True) else 1
    boxes = sizes * (1 + ratios * flips) + maxima
    inputs = [net.tensor(b) for b in layer.bottoms]
    shape = (1, 2, 4 * h * w * boxes)
    return emit(net, layer, "prior_box", inputs, output_shapes=(shape,))


@layer_types("PriorBoxClustered")
def _clustered_boxes(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    """Boxes of every cell: one for each width and height (OpenVINO's form of SSD)."""
    param, x = layer.message.message("prior_box_param"), image(net, layer)
    h, w = net.builder.shape(x)[1:3]
    boxes = len(param.scalars("width"))
    if boxes < 1 or boxes != len(param.scalars("height")):
        raise GraphError(f"{boxes} widths and {len(param.scalars('height'))} heights of boxes")
    inputs = [net.tensor(b) for b in layer.bottoms]
    return emit(net, layer, "prior_box", inputs, output_shapes=((1, 2, 4 * h * w * boxes),))


PROPOSALS = 300
"""Regions that Faster R-CNN keeps in inference (Ren et al. 2015, and py-faster-rcnn's config)."""


@layer_types("Proposal Python")
def _proposal(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    """Regions (image, box) from scores and boxes of anchors, and their scores where asked for.

    py-faster-rcnn has them as a layer in Python; what other such layers do, no file says.
    """
    if layer.type == "Python":
        param = layer.message.message("python_param")
        if param.text("layer") != "ProposalLayer":
            called = f"{param.text('module')}.{param.text('layer')}"
            raise GraphError(f"the file does not say what the Python layer {shorten(called)} does")
    param = layer.message.message("proposal_param")
    names = ("post_nms_topn", "post_nms_top_n", "after_nms_topN")
    count = next((integer(param, n, 1, 1) for n in names if n in param.fields), PROPOSALS)
    inputs = [net.tensor(b) for b in layer.bottoms]
    shapes = ((count, 5), (count, 1))[: max(1, len(layer.tops))]
    return emit(net, layer, "non_max_suppression", inputs, output_shapes=shapes)


@layer_types("ROIPooling ROIAlign PSROIPooling")
def _regions(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    """The features of every region, resized to a fixed number of cells."""
    x = image(net, layer)
    if len(layer.bottoms) != 2:
        raise GraphError(f"features and regions expected, {len(layer.bottoms)} bottoms given")
    regions = net.tensor(layer.bottoms[1])
    if layer.type == "PSROIPooling":
        param = layer.message.message("psroi_pooling_param")
        side = integer(param, "group_size", 1, 1)
        cells = (side, side, integer(param, "output_dim", 0, 1))
    else:
        name = "roi_pooling_param" if layer.type == "ROIPooling" else "roi_align_param"
        param = layer.message.message(name)
        height, width = integer(param, "pooled_h", 0, 1), integer(param, "pooled_w", 0, 1)
        cells = (height, width, net.builder.shape(x)[3])
    if min(cells) < 1:
        raise GraphError(f"regions of {cells}")
    shape = (net.builder.shape(regions)[0], *cells)
    return emit(net, layer, "resize_to", [x, regions], output_shape=shape)


@layer_types("CTCGreedyDecoder")
def _decoder(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    """The likeliest symbol of every step of (time, batch, symbols)."""
    x = first(net, layer)
    steps, batch = net.builder.shape(x)[:2]
    inputs = [net.tensor(b) for b in layer.bottoms]
    return emit(net, layer, "top_k", inputs, output_shapes=((batch, steps, 1, 1),))


@layer_types("DetectionOutput")
def _detection_output(net: CaffeNet, layer: CaffeLayer) -> Sequence[str]:
    """At most keep_top_k rows (image, label, score, box); fewer where the image shows less."""
    param = layer.message.message("detection_output_param")
    inputs = [net.tensor(b) for b in layer.bottoms]
    batch = net.builder.shape(inputs[0])[0]
    boxes = net.builder.tensors[inputs[0]].elements // (4 * batch)
    keep = integer(param, "keep_top_k", -1, -1)
    rows = batch * (boxes if keep < 1 else keep)
    return emit(net, layer, "detection_output", inputs, output_shapes=((1, 1, rows, 7),))
