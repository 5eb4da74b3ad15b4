"""Inception V3 (Szegedy et al. 2016, arXiv:1512.00567)."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.graph.builder import GraphBuilder, Pair
from perfmodel.zoo.layers import classifier, image
from perfmodel.zoo.registry import ZooEntry, image_parameters, printed, rows

TORCHVISION = "https://pytorch.org/vision/stable/models.html"
SLIM = "https://github.com/tensorflow/models/tree/master/research/slim"
HOSTED = (
    "https://github.com/tensorflow/tensorflow/blob/v2.4.0/"
    "tensorflow/lite/g3doc/guide/hosted_models.md"
)

Layer = tuple[int, Pair] | tuple[int, Pair, int]
"""(channels, kernel[, stride]); a strided layer is unpadded, as everywhere in these networks."""


def branch(g: GraphBuilder, x: str, *layers: Layer) -> str:
    """Convolutions in a row, each with folded batch normalisation and ReLU."""
    for cout, kernel, *rest in layers:
        stride = rest[0] if rest else 1
        padding = "valid" if stride > 1 else "same"
        x = g.conv(x, cout, kernel, stride, padding, activation="relu")
    return x


def pooled(g: GraphBuilder, x: str, cout: int) -> str:
    """3x3 average pooling at stride 1, then a 1x1 convolution."""
    return branch(g, g.pool(x, "avg", 3, 1, "same"), (cout, 1))


def split_3x3(g: GraphBuilder, x: str, cout: int) -> list[str]:
    """A 1x3 and a 3x1 convolution side by side."""
    return [branch(g, x, (cout, (1, 3))), branch(g, x, (cout, (3, 1)))]


def reduction(g: GraphBuilder, x: str, *branches: Sequence[Layer]) -> str:
    """Branches that end with stride 2, concatenated with 3x3 max pooling."""
    made = [branch(g, x, *layers) for layers in branches]
    return g.concat([*made, g.pool(x, "max", 3, 2)])


def inception_v3(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """Inception V3 without the auxiliary classifier; 1001 classes as in the published files."""
    x = branch(g, image(g, batch, resolution), (32, 3, 2))
    x = g.conv(x, 32, 3, padding="valid", activation="relu")
    x = g.pool(branch(g, x, (64, 3)), "max", 3, 2)
    x = branch(g, x, (80, 1))
    x = g.pool(g.conv(x, 192, 3, padding="valid", activation="relu"), "max", 3, 2)
    for pool_channels in (32, 64, 64):
        x = _module_35(g, x, pool_channels)
    x = reduction(g, x, [(384, 3, 2)], [(64, 1), (96, 3), (96, 3, 2)])
    for inner in (128, 160, 160, 192):
        x = _module_17(g, x, inner)
    seven: list[Layer] = [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)]
    x = reduction(g, x, [(192, 1), (320, 3, 2)], seven)
    for _ in range(2):
        x = _module_8(g, x)
    return classifier(g, x, classes)


def _module_35(g: GraphBuilder, x: str, pool_channels: int) -> str:
    return g.concat(
        [
            branch(g, x, (64, 1)),
            branch(g, x, (48, 1), (64, 5)),
            branch(g, x, (64, 1), (96, 3), (96, 3)),
            pooled(g, x, pool_channels),
        ]
    )


def _module_17(g: GraphBuilder, x: str, inner: int) -> str:
    row, column = (inner, (1, 7)), (inner, (7, 1))
    return g.concat(
        [
            branch(g, x, (192, 1)),
            branch(g, x, (inner, 1), row, (192, (7, 1))),
            branch(g, x, (inner, 1), column, row, column, (192, (1, 7))),
            pooled(g, x, 192),
        ]
    )


def _module_8(g: GraphBuilder, x: str) -> str:
    return g.concat(
        [
            branch(g, x, (320, 1)),
            *split_3x3(g, branch(g, x, (384, 1)), 384),
            *split_3x3(g, branch(g, x, (448, 1), (384, 3)), 384),
            pooled(g, x, 192),
        ]
    )


ENTRIES = (
    ZooEntry(
        "inception_v3",
        "Inception V3",
        "inception_v3",
        "classification",
        (299, 299, 3),
        image_parameters(299, 1001),
        inception_v3,
        (printed(TORCHVISION, "5.71G", "23.83M"),),
        rows(HOSTED, "imagenet_top1", "- float 77.9\n- int8 77.5"),
        ("000", "001"),
        "The published 27.2 M parameters of torchvision contain the auxiliary classifier, which "
        "does not run at inference: 23.83 M without it.",
    ),
)
