"""MobileNet V1 (arXiv:1704.04861) and V2 (arXiv:1801.04381)."""

from __future__ import annotations

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import channels_of, classifier, image, make_divisible
from perfmodel.zoo.registry import WIDTH, ZooEntry, image_parameters

V1_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *(((512, 1),) * 5),
    (1024, 2),
    (1024, 1),
)
"""(channels, stride) of the separable convolutions: table 1 of the V1 paper."""

V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""(expansion, channels, repeats, first stride): table 2 of the V2 paper."""


def mobilenet_v1(g: GraphBuilder, width: float, resolution: int, classes: int, batch: int) -> str:
    """MobileNet V1: depthwise separable convolutions; 1001 classes as in the published files."""
    x = mobilenet_v1_features(g, image(g, batch, resolution), width)
    return classifier(g, x, classes)


def mobilenet_v1_features(
    g: GraphBuilder, x: str, width: float = 1.0, taps: dict[int, str] | None = None
) -> str:
    """The convolutional part of MobileNet V1; `taps` gets the output of each block (0 to 12)."""
    x = g.conv(x, _v1_channels(32, width), 3, 2, activation="relu6")
    for i, (channels, stride) in enumerate(V1_BLOCKS):
        x = g.depthwise(x, 3, stride, activation="relu6")
        x = g.conv(x, _v1_channels(channels, width), 1, activation="relu6")
        if taps is not None:
            taps[i] = x
    return x


def _v1_channels(channels: int, width: float) -> int:
    return max(8, int(channels * width))


def mobilenet_v2(g: GraphBuilder, width: float, resolution: int, classes: int, batch: int) -> str:
    """MobileNet V2: inverted residuals; 1001 classes as in the published files."""
    x = mobilenet_v2_features(g, image(g, batch, resolution), width)
    x = g.conv(x, make_divisible(1280 * max(1.0, width)), 1, activation="relu6")
    return classifier(g, x, classes)


def mobilenet_v2_features(
    g: GraphBuilder,
    x: str,
    width: float = 1.0,
    output_stride: int = 32,
    taps: dict[int, str] | None = None,
    outputs: dict[int, str] | None = None,
) -> str:
    """The bottlenecks of MobileNet V2, up to 320 channels.

    Beyond `output_stride` (8, 16 or 32) strides become dilation of the depthwise convolutions.
    `taps` gets the expanded tensor of each bottleneck (0 to 16), which SSD reads; `outputs` its
    result.
    """
    x = g.conv(x, make_divisible(32 * width), 3, 2, activation="relu6")
    reached, dilation, index = 2, 1, 0
    for expansion, channels, repeats, first_stride in V2_STAGES:
        for repeat in range(repeats):
            stride, rate = first_stride if repeat == 0 else 1, dilation
            if stride == 2 and reached >= output_stride:
                stride, dilation = 1, dilation * 2
            reached *= stride
            cout = make_divisible(channels * width)
            x, expanded = inverted_residual(g, x, expansion, cout, stride, rate)
            if taps is not None:
                taps[index] = expanded
            if outputs is not None:
                outputs[index] = x
            index += 1
    return x


def inverted_residual(
    g: GraphBuilder,
    x: str,
    expansion: int,
    cout: int,
    stride: int = 1,
    dilation: int = 1,
    kernel: int = 3,
    activation: str = "relu6",
) -> tuple[str, str]:
    """Expand, depthwise, project; added to the input where the shapes allow.

    Returns the result and the expanded tensor.
    """
    cin = channels_of(g, x)
    y = x if expansion == 1 else g.conv(x, cin * expansion, 1, activation=activation)
    expanded = y
    y = g.depthwise(y, kernel, stride, dilation=dilation, activation=activation)
    y = g.conv(y, cout, 1)
    residual = stride == 1 and cin == cout
    return (g.binary("add", x, y) if residual else y), expanded


ENTRIES = (
    ZooEntry(
        name="mobilenet_v1",
        title="MobileNet V1",
        family="mobilenet_v1",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1001, WIDTH),
        builder=mobilenet_v1,
        seeds=("001",),
        note="TF-slim's table gives 317 M MACs for width 0.75 where the paper's table 6 and we "
        "count 325 M, and 34 M for width 0.25 at 192 where its own 41 M at 224 scales to 30 M.",
    ),
    ZooEntry(
        name="mobilenet_v2",
        title="MobileNet V2",
        family="mobilenet_v2",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1001, WIDTH),
        builder=mobilenet_v2,
        seeds=("000", "001"),
    ),
)
