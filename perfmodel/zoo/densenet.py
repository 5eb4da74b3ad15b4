"""DenseNet (Huang et al. 2017, arXiv:1608.06993)."""

from __future__ import annotations

from functools import partial

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import affine, channels_of, classifier, image
from perfmodel.zoo.registry import ZooEntry, image_parameters

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


def _entry(depth: int, growth: int, *seeds: str) -> ZooEntry:
    return ZooEntry(
        name=f"densenet{depth}",
        title=f"DenseNet-{depth}",
        family="densenet",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=partial(densenet, depth=depth, growth=growth),
        seeds=seeds,
    )


ENTRIES = (
    _entry(121, 32, "001"),
    _entry(169, 32),
    _entry(201, 32),
    _entry(161, 48),
)
