"""Inception V1 (GoogLeNet, arXiv:1409.4842), V3 (arXiv:1512.00567), V4 and Inception-ResNet V2."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.graph.builder import GraphBuilder, Pair
from perfmodel.zoo.layers import channels_of, classifier, image
from perfmodel.zoo.registry import ZooEntry, image_parameters

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


V1_MODULES = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    (),
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    (),
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)
"""(1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection), () is a pooling: table 1 of
arXiv:1409.4842."""


def googlenet(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """GoogLeNet as in Caffe's bvlc_googlenet: 5x5 kernels and local response normalisation."""
    return _inception_v1(g, resolution, classes, batch, large_kernel=5, normalise=True)


def inception_v1(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """Inception V1 of TF-slim and torchvision: batch normalisation, 3x3 kernels for the 5x5."""
    return _inception_v1(g, resolution, classes, batch, large_kernel=3, normalise=False)


def _inception_v1(
    g: GraphBuilder,
    resolution: int,
    classes: int,
    batch: int,
    *,
    large_kernel: int,
    normalise: bool,
) -> str:
    x = g.conv(image(g, batch, resolution), 64, 7, 2, activation="relu")
    x = g.pool(x, "max", 3, 2, "same")
    x = branch(g, _norm(g, x, normalise), (64, 1), (192, 3))
    x = g.pool(_norm(g, x, normalise), "max", 3, 2, "same")
    for sizes in V1_MODULES:
        if not sizes:
            x = g.pool(x, "max", 3, 2, "same")
            continue
        one, reduce3, three, reduce5, five, projection = sizes
        parts = [
            branch(g, x, (one, 1)),
            branch(g, x, (reduce3, 1), (three, 3)),
            branch(g, x, (reduce5, 1), (five, large_kernel)),
            branch(g, g.pool(x, "max", 3, 1, "same"), (projection, 1)),
        ]
        x = g.concat(parts)
    return classifier(g, x, classes)


def _norm(g: GraphBuilder, x: str, normalise: bool) -> str:
    return g.op("lrn", x, size=5, alpha=1e-4, beta=0.75, bias=1.0) if normalise else x


def inception_v4(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """Inception V4 (Szegedy et al. 2017, arXiv:1602.07261); 1001 classes as published."""
    x = _v4_stem(g, image(g, batch, resolution))
    for _ in range(4):
        x = _v4_module_a(g, x)
    x = reduction(g, x, [(384, 3, 2)], [(192, 1), (224, 3), (256, 3, 2)])
    for _ in range(7):
        x = _v4_module_b(g, x)
    long: list[Layer] = [(256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2)]
    x = reduction(g, x, [(192, 1), (192, 3, 2)], long)
    for _ in range(3):
        x = _v4_module_c(g, x)
    return classifier(g, x, classes)


def _v4_stem(g: GraphBuilder, x: str) -> str:
    x = branch(g, x, (32, 3, 2))
    x = branch(g, g.conv(x, 32, 3, padding="valid", activation="relu"), (64, 3))
    x = g.concat([g.pool(x, "max", 3, 2), branch(g, x, (96, 3, 2))])
    short = branch(g, x, (64, 1))
    long = branch(g, x, (64, 1), (64, (1, 7)), (64, (7, 1)))
    ends = [g.conv(y, 96, 3, padding="valid", activation="relu") for y in (short, long)]
    x = g.concat(ends)
    return g.concat([branch(g, x, (192, 3, 2)), g.pool(x, "max", 3, 2)])


def _v4_module_a(g: GraphBuilder, x: str) -> str:
    return g.concat(
        [
            branch(g, x, (96, 1)),
            branch(g, x, (64, 1), (96, 3)),
            branch(g, x, (64, 1), (96, 3), (96, 3)),
            pooled(g, x, 96),
        ]
    )


def _v4_module_b(g: GraphBuilder, x: str) -> str:
    row, column = (1, 7), (7, 1)
    return g.concat(
        [
            branch(g, x, (384, 1)),
            branch(g, x, (192, 1), (224, row), (256, column)),
            branch(g, x, (192, 1), (192, column), (224, row), (224, column), (256, row)),
            pooled(g, x, 128),
        ]
    )


def _v4_module_c(g: GraphBuilder, x: str) -> str:
    return g.concat(
        [
            branch(g, x, (256, 1)),
            *split_3x3(g, branch(g, x, (384, 1)), 256),
            *split_3x3(g, branch(g, x, (384, 1), (448, (3, 1)), (512, (1, 3))), 256),
            pooled(g, x, 256),
        ]
    )


def inception_resnet_v2(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """Inception-ResNet V2 (arXiv:1602.07261) as in TF-slim and Keras.

    The factor on each residual branch is folded into its last convolution, as converters do.
    """
    x = branch(g, image(g, batch, resolution), (32, 3, 2))
    x = branch(g, g.conv(x, 32, 3, padding="valid", activation="relu"), (64, 3))
    x = branch(g, g.pool(x, "max", 3, 2), (80, 1))
    x = g.pool(g.conv(x, 192, 3, padding="valid", activation="relu"), "max", 3, 2)
    five, double = branch(g, x, (48, 1), (64, 5)), branch(g, x, (64, 1), (96, 3), (96, 3))
    x = g.concat([branch(g, x, (96, 1)), five, double, pooled(g, x, 64)])
    for _ in range(10):
        two, three = branch(g, x, (32, 1), (32, 3)), branch(g, x, (32, 1), (48, 3), (64, 3))
        x = _residual(g, x, [branch(g, x, (32, 1)), two, three])
    x = reduction(g, x, [(384, 3, 2)], [(256, 1), (256, 3), (384, 3, 2)])
    for _ in range(20):
        seven = branch(g, x, (128, 1), (160, (1, 7)), (192, (7, 1)))
        x = _residual(g, x, [branch(g, x, (192, 1)), seven])
    long: list[Layer] = [(256, 1), (288, 3), (320, 3, 2)]
    x = reduction(g, x, [(256, 1), (384, 3, 2)], [(256, 1), (288, 3, 2)], long)
    for i in range(10):
        three = branch(g, x, (192, 1), (224, (1, 3)), (256, (3, 1)))
        x = _residual(g, x, [branch(g, x, (192, 1)), three], "none" if i == 9 else "relu")
    return classifier(g, branch(g, x, (1536, 1)), classes)


def _residual(g: GraphBuilder, x: str, parts: list[str], activation: str = "relu") -> str:
    y = g.conv(g.concat(parts), channels_of(g, x), 1)
    return g.binary("add", x, y, activation)


ENTRIES = (
    ZooEntry(
        name="inception_v3",
        title="Inception V3",
        family="inception_v3",
        task="classification",
        input_shape=(299, 299, 3),
        parameters=image_parameters(299, 1001),
        builder=inception_v3,
        seeds=("000", "001"),
        note="The published 27.2 M parameters of torchvision contain the auxiliary classifier, "
        "which does not run at inference: 23.83 M without it.",
    ),
    ZooEntry(
        name="googlenet",
        title="GoogLeNet (Caffe)",
        family="inception_v1",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=googlenet,
        seeds=("001",),
    ),
    ZooEntry(
        name="inception_v1",
        title="Inception V1 (batch-normalised)",
        family="inception_v1",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1001),
        builder=inception_v1,
        seeds=("001",),
    ),
    ZooEntry(
        name="inception_v4",
        title="Inception V4",
        family="inception_v4",
        task="classification",
        input_shape=(299, 299, 3),
        parameters=image_parameters(299, 1001),
        builder=inception_v4,
        seeds=("001",),
    ),
    ZooEntry(
        name="inception_resnet_v2",
        title="Inception-ResNet V2",
        family="inception_resnet_v2",
        task="classification",
        input_shape=(299, 299, 3),
        parameters=image_parameters(299, 1001),
        builder=inception_resnet_v2,
        note="TensorFlow Lite's hosted file of this name (121 MB) is another, narrower network.",
    ),
)
