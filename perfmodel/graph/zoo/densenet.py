"""DenseNet-121 (Huang et al. 2017, arXiv:1608.06993)."""

from __future__ import annotations

from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.zoo.layers import affine, channels_of, classifier, image
from perfmodel.graph.zoo.registry import ZooEntry, image_parameters, printed, rows

TORCHVISION = "https://pytorch.org/vision/stable/models.html"

GROWTH = 32
BLOCKS_121 = (6, 12, 24, 16)


def densenet121(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """DenseNet-121: every layer reads the concatenation of all before it in its block.

    A batch normalisation on a concatenation cannot be folded: it stays a multiply and an add.
    """
    x = g.conv(image(g, batch, resolution), 2 * GROWTH, 7, 2, activation="relu")
    x = g.pool(x, "max", 3, 2, "same")
    for stage, depth in enumerate(BLOCKS_121):
        if stage:
            x = g.conv(affine(g, x, "relu"), channels_of(g, x) // 2, 1, bias=False)
            x = g.pool(x, "avg", 2, 2)
        for _ in range(depth):
            y = g.conv(affine(g, x, "relu"), 4 * GROWTH, 1, activation="relu")
            x = g.concat([x, g.conv(y, GROWTH, 3, bias=False)])
    return classifier(g, affine(g, x, "relu"), classes)


ENTRIES = (
    ZooEntry(
        "densenet121",
        "DenseNet-121",
        "densenet",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000),
        densenet121,
        (printed(TORCHVISION, "2.83G", "7,978,856"),),
        rows(TORCHVISION, "imagenet_top1", "- float 74.434"),
        ("001",),
    ),
)
