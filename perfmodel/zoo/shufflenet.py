"""ShuffleNet V1 (arXiv:1707.01083) and V2 (arXiv:1807.11164)."""

from __future__ import annotations

from perfmodel.errors import GraphError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import channels_of, classifier, image
from perfmodel.zoo.registry import Parameter, ZooEntry, image_parameters

REPEATS = (4, 8, 4)
"""Units of stages 2 to 4, in both versions."""

V1_FIRST_STAGE = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Channels of stage 2 by group count at width 1: table 1 of the V1 paper; each stage doubles."""

V1_STEM = {0.5: 12, 1.0: 24, 1.5: 24, 2.0: 48}
"""Channels of the first convolution by width, as in the authors' repository."""

V2_STAGES = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
"""Channels of stages 2 to 4 and of the last convolution by width: table 5 of the V2 paper."""


def shuffle(g: GraphBuilder, x: str, groups: int) -> str:
    """Interleave the channels of `groups` groups."""
    if channels_of(g, x) % groups:
        raise GraphError(f"{channels_of(g, x)} channels do not divide into {groups} groups")
    return g.op("channel_shuffle", x, groups=groups)


def shufflenet_v1(
    g: GraphBuilder, width: float, groups: int, resolution: int, classes: int, batch: int
) -> str:
    """ShuffleNet V1: grouped 1x1 convolutions with a channel shuffle between them."""
    x = g.conv(image(g, batch, resolution), V1_STEM[width], 3, 2, activation="relu")
    x = g.pool(x, "max", 3, 2, "same")
    for stage, repeats in enumerate(REPEATS):
        cout = int(V1_FIRST_STAGE[groups] * width) * 2**stage
        for unit in range(repeats):
            first_groups = 1 if stage == 0 and unit == 0 else groups
            x = _v1_unit(g, x, cout, groups, first_groups, 2 if unit == 0 else 1)
    return classifier(g, x, classes)


def _v1_unit(
    g: GraphBuilder, x: str, cout: int, groups: int, first_groups: int, stride: int
) -> str:
    branch = cout - channels_of(g, x) if stride == 2 else cout
    y = g.conv(x, cout // 4, 1, groups=first_groups, activation="relu")
    y = shuffle(g, y, groups)
    y = g.depthwise(y, 3, stride)
    y = g.conv(y, branch, 1, groups=groups)
    if stride == 1:
        return g.binary("add", x, y, "relu")
    return g.op("relu", g.concat([g.pool(x, "avg", 3, 2, "same"), y]))


def shufflenet_v2(g: GraphBuilder, width: float, resolution: int, classes: int, batch: int) -> str:
    """ShuffleNet V2: half of the channels pass through, the others are convolved."""
    *stages, last = V2_STAGES[width]
    x = g.conv(image(g, batch, resolution), 24, 3, 2, activation="relu")
    x = g.pool(x, "max", 3, 2, "same")
    for cout, repeats in zip(stages, REPEATS, strict=True):
        x = _v2_downsample(g, x, cout // 2)
        for _ in range(repeats - 1):
            x = _v2_unit(g, x, cout // 2)
    x = g.conv(x, last, 1, activation="relu")
    return classifier(g, x, classes)


def _v2_unit(g: GraphBuilder, x: str, half: int) -> str:
    kept, used = g.add_op("split", [x], {"axis": 3, "sizes": (half, half)})
    return shuffle(g, g.concat([kept, _v2_branch(g, used, half, 1)]), 2)


def _v2_downsample(g: GraphBuilder, x: str, half: int) -> str:
    left = g.conv(g.depthwise(x, 3, 2), half, 1, activation="relu")
    return shuffle(g, g.concat([left, _v2_branch(g, x, half, 2)]), 2)


def _v2_branch(g: GraphBuilder, x: str, half: int, stride: int) -> str:
    y = g.conv(x, half, 1, activation="relu")
    return g.conv(g.depthwise(y, 3, stride), half, 1, activation="relu")


ENTRIES = (
    ZooEntry(
        name="shufflenet_v1",
        title="ShuffleNet V1",
        family="shufflenet_v1",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(
            224,
            1000,
            Parameter("width", 1.0, choices=(0.5, 1.0, 1.5, 2.0)),
            Parameter("groups", 3, choices=(1, 2, 3, 4, 8)),
        ),
        builder=shufflenet_v1,
        seeds=("001",),
    ),
    ZooEntry(
        name="shufflenet_v2",
        title="ShuffleNet V2",
        family="shufflenet_v2",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000, Parameter("width", 1.0, choices=tuple(V2_STAGES))),
        builder=shufflenet_v2,
        seeds=("001",),
    ),
)
