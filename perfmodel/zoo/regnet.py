"""RegNet X and Y (Radosavovic et al. 2020, arXiv:2003.13678)."""

from __future__ import annotations

from functools import partial

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import channels_of, classifier, image, squeeze_excite
from perfmodel.zoo.registry import ZooEntry, image_parameters

Stages = tuple[tuple[int, int], ...]
"""(channels, blocks) of the four stages: tables in the paper's appendix."""

Y_400MF: Stages = ((48, 1), (104, 3), (208, 6), (440, 6))
X_3_2GF: Stages = ((96, 2), (192, 6), (432, 15), (1008, 2))


def regnet(
    g: GraphBuilder,
    resolution: int,
    classes: int,
    batch: int,
    *,
    stages: Stages,
    group_width: int,
    excite: bool,
) -> str:
    """A RegNet: grouped 3x3 bottlenecks of constant width; Y adds squeeze-and-excite."""
    x = g.conv(image(g, batch, resolution), 32, 3, 2, activation="relu")
    for channels, blocks in stages:
        for block in range(blocks):
            x = _block(g, x, channels, 2 if block == 0 else 1, channels // group_width, excite)
    return classifier(g, x, classes)


def _block(g: GraphBuilder, x: str, cout: int, stride: int, groups: int, excite: bool) -> str:
    cin = channels_of(g, x)
    shortcut = x if stride == 1 and cin == cout else g.conv(x, cout, 1, stride)
    y = g.conv(x, cout, 1, activation="relu")
    y = g.conv(y, cout, 3, stride, groups=groups, activation="relu")
    if excite:
        y = squeeze_excite(g, y, round(0.25 * cin))
    return g.binary("add", g.conv(y, cout, 1), shortcut, "relu")


ENTRIES = (
    ZooEntry(
        name="regnet_y_400mf",
        title="RegNetY-400MF",
        family="regnet_y",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=partial(regnet, stages=Y_400MF, group_width=8, excite=True),
    ),
    ZooEntry(
        name="regnet_x_3_2gf",
        title="RegNetX-3.2GF",
        family="regnet_x",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=partial(regnet, stages=X_3_2GF, group_width=48, excite=False),
    ),
)
