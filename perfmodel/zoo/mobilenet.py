"""MobileNet V1 (arXiv:1704.04861) and V2 (arXiv:1801.04381)."""

from __future__ import annotations

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import channels_of, classifier, image, make_divisible
from perfmodel.zoo.registry import WIDTH, ZooEntry, image_parameters, printed, published_rows, rows

PAPER_V1 = "https://arxiv.org/abs/1704.04861 (table 6)"
SLIM_V1 = "https://github.com/tensorflow/models/blob/master/research/slim/nets/mobilenet_v1.md"
SLIM_V2 = "https://github.com/tensorflow/models/blob/master/research/slim/nets/mobilenet/README.md"
HOSTED = (
    "https://github.com/tensorflow/tensorflow/blob/v2.4.0/"
    "tensorflow/lite/g3doc/guide/hosted_models.md"
)

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


V1_TABLE = """
- 569M 4.24M
resolution=192 418M 4.24M
resolution=160 291M 4.24M
resolution=128 186M 4.24M
width=0.5 150M 1.34M
width=0.5,resolution=192 110M 1.34M
width=0.5,resolution=160 77M 1.34M
width=0.5,resolution=128 49M 1.34M
width=0.25 41M 0.47M
width=0.25,resolution=160 21M 0.47M
width=0.25,resolution=128 14M 0.47M
"""

V1_TOP1 = """
- float 71.0
resolution=192 float 69.9
resolution=160 float 68.0
resolution=128 float 65.2
width=0.75 float 68.3
width=0.75,resolution=192 float 67.1
width=0.75,resolution=160 float 65.2
width=0.75,resolution=128 float 62.0
width=0.5 float 63.2
width=0.5,resolution=192 float 61.7
width=0.5,resolution=160 float 59.0
width=0.5,resolution=128 float 56.2
width=0.25 float 49.7
width=0.25,resolution=192 float 47.1
width=0.25,resolution=160 float 45.4
width=0.25,resolution=128 float 41.4
- int8 70.0
resolution=192 int8 69.1
resolution=160 int8 66.9
resolution=128 int8 63.3
width=0.75 int8 66.9
width=0.75,resolution=192 int8 66.1
width=0.75,resolution=160 int8 62.4
width=0.75,resolution=128 int8 55.9
width=0.5 int8 61.2
width=0.5,resolution=192 int8 59.9
width=0.5,resolution=160 int8 57.2
width=0.5,resolution=128 int8 54.9
width=0.25 int8 48.2
width=0.25,resolution=192 int8 45.7
width=0.25,resolution=160 int8 42.8
width=0.25,resolution=128 int8 39.5
"""

V2_TABLE = """
- 300M 3.47M
resolution=192 221M 3.47M
resolution=160 154M 3.47M
resolution=128 99M 3.47M
resolution=96 56M 3.47M
width=1.4 582M 6.06M
width=1.3 509M 5.34M
width=0.75 209M 2.61M
width=0.75,resolution=192 153M 2.61M
width=0.75,resolution=160 107M 2.61M
width=0.75,resolution=128 69M 2.61M
width=0.75,resolution=96 39M 2.61M
width=0.5 97M 1.95M
width=0.5,resolution=192 71M 1.95M
width=0.5,resolution=160 50M 1.95M
width=0.5,resolution=128 32M 1.95M
width=0.5,resolution=96 18M 1.95M
width=0.35 59M 1.66M
width=0.35,resolution=192 43M 1.66M
width=0.35,resolution=160 30M 1.66M
width=0.35,resolution=128 20M 1.66M
width=0.35,resolution=96 11M 1.66M
"""

V2_TOP1 = """
- float 71.8
resolution=192 float 70.7
resolution=160 float 68.8
resolution=128 float 65.3
resolution=96 float 60.3
width=1.4 float 75.0
width=1.3 float 74.4
width=0.75 float 69.8
width=0.75,resolution=192 float 68.7
width=0.75,resolution=160 float 66.4
width=0.75,resolution=128 float 63.2
width=0.75,resolution=96 float 58.8
width=0.5 float 65.4
width=0.5,resolution=192 float 63.9
width=0.5,resolution=160 float 61.0
width=0.5,resolution=128 float 57.7
width=0.5,resolution=96 float 51.2
width=0.35 float 60.3
width=0.35,resolution=192 float 58.2
width=0.35,resolution=160 float 55.7
width=0.35,resolution=128 float 50.8
width=0.35,resolution=96 float 45.5
"""

ENTRIES = (
    ZooEntry(
        "mobilenet_v1",
        "MobileNet V1",
        "mobilenet_v1",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1001, WIDTH),
        mobilenet_v1,
        (
            *published_rows(SLIM_V1, V1_TABLE),
            printed(PAPER_V1, "325M", "2.6M", "width=0.75"),
        ),
        rows(HOSTED, "imagenet_top1", V1_TOP1),
        ("001",),
        "TF-slim's table gives 317 M MACs for width 0.75 where the paper's table 6 and we count "
        "325 M, and 34 M for width 0.25 at 192 where its own 41 M at 224 scales to 30 M.",
    ),
    ZooEntry(
        "mobilenet_v2",
        "MobileNet V2",
        "mobilenet_v2",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1001, WIDTH),
        mobilenet_v2,
        published_rows(SLIM_V2, V2_TABLE),
        (
            *rows(SLIM_V2, "imagenet_top1", V2_TOP1),
            *rows(HOSTED, "imagenet_top1", "- int8 70.8"),
        ),
        ("000", "001"),
    ),
)
