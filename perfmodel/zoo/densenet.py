"""DenseNet (Huang et al. 2017, arXiv:1608.06993)."""

from __future__ import annotations

from functools import partial

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import affine, channels_of, classifier, image
from perfmodel.zoo.registry import Published, ZooEntry, image_parameters, printed, rows

TORCHVISION = "https://pytorch.org/vision/stable/models.html"

BLOCKS = {
    121: (6, 12, 24, 16),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    161: (6, 12, 36, 24),
}
"""Layers of the four dense blocks by depth: table 1 of the paper."""


def densenet(
    g: GraphBuilder, resolution: int, classes: int, batch: int, *, depth: int, growth: int
) -> str:
    """DenseNet: every layer reads the concatenation of all before it in its block.

    A batch normalisation on a concatenation cannot be folded: it stays a multiply and an add.
    """
    x = g.conv(image(g, batch, resolution), 2 * growth, 7, 2, activation="relu")
    x = g.pool(x, "max", 3, 2, "same")
    for stage, layers in enumerate(BLOCKS[depth]):
        if stage:
            x = g.conv(affine(g, x, "relu"), channels_of(g, x) // 2, 1, bias=False)
            x = g.pool(x, "avg", 2, 2)
        for _ in range(layers):
            y = g.conv(affine(g, x, "relu"), 4 * growth, 1, activation="relu")
            x = g.concat([x, g.conv(y, growth, 3, bias=False)])
    return classifier(g, affine(g, x, "relu"), classes)


def _entry(depth: int, growth: int, published: Published, top1: str, *seeds: str) -> ZooEntry:
    return ZooEntry(
        f"densenet{depth}",
        f"DenseNet-{depth}",
        "densenet",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000),
        partial(densenet, depth=depth, growth=growth),
        (published,),
        rows(TORCHVISION, "imagenet_top1", top1),
        seeds,
    )


ENTRIES = (
    _entry(121, 32, printed(TORCHVISION, "2.83G", "7,978,856"), "- float 74.434", "001"),
    _entry(169, 32, printed(TORCHVISION, "3.36G", "14,149,480"), "- float 75.6"),
    _entry(201, 32, printed(TORCHVISION, "4.29G", "20,013,928"), "- float 76.896"),
    _entry(161, 48, printed(TORCHVISION, "7.73G", "28,681,000"), "- float 77.138"),
)
