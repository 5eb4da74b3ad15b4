"""MobileNet V3 large and small (Howard et al. 2019, arXiv:1905.02244)."""

from __future__ import annotations

from functools import partial

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import channels_of, conv_act, image, make_divisible, squeeze_excite
from perfmodel.zoo.registry import WIDTH, Parameter, ZooEntry, image_parameters, printed, rows

PAPER = "https://arxiv.org/abs/1905.02244 (tables 3 and 4)"
TORCHVISION = "https://pytorch.org/vision/stable/models.html"
SLIM = "https://github.com/tensorflow/models/blob/master/research/slim/nets/mobilenet/README.md"

Row = tuple[int, int, int, bool, str, int]

LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hard_swish", 2),
    (3, 200, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 480, 112, True, "hard_swish", 1),
    (3, 672, 112, True, "hard_swish", 1),
    (5, 672, 160, True, "hard_swish", 2),
    (5, 960, 160, True, "hard_swish", 1),
    (5, 960, 160, True, "hard_swish", 1),
)
"""(kernel, expanded channels, channels, squeeze-excite, activation, stride): table 1."""

SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hard_swish", 2),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 120, 48, True, "hard_swish", 1),
    (5, 144, 48, True, "hard_swish", 1),
    (5, 288, 96, True, "hard_swish", 2),
    (5, 576, 96, True, "hard_swish", 1),
    (5, 576, 96, True, "hard_swish", 1),
)
"""As `LARGE`: table 2."""


def mobilenet_v3(
    g: GraphBuilder,
    width: float,
    variant: str,
    resolution: int,
    classes: int,
    batch: int,
    *,
    table: tuple[Row, ...],
    head: int,
) -> str:
    """MobileNet V3; the minimalistic variant has 3x3 kernels, ReLU and no squeeze-and-excite."""
    if variant == "minimalistic":
        table = tuple((3, t, c, False, "relu", s) for _, t, c, _, _, s in table)
    activation = "relu" if variant == "minimalistic" else "hard_swish"
    x = conv_act(g, image(g, batch, resolution), make_divisible(16 * width), 3, 2, activation)
    full_cin = 16
    for kernel, expanded, cout, excite, nonlinearity, stride in table:
        # the expansion is a ratio: it multiplies the channels as rounded, not as in the table
        inner = make_divisible(channels_of(g, x) * expanded / full_cin)
        sizes = (inner, make_divisible(cout * width))
        x = _bottleneck(g, x, kernel, sizes, excite, nonlinearity, stride)
        full_cin = cout
    x = conv_act(g, x, 6 * channels_of(g, x), 1, 1, activation)
    x = g.global_avg_pool(x)
    x = conv_act(g, x, make_divisible(head * max(1.0, width)), 1, 1, activation)
    return g.op("softmax", g.fc(x, classes))


def _bottleneck(
    g: GraphBuilder,
    x: str,
    kernel: int,
    sizes: tuple[int, int],
    excite: bool,
    activation: str,
    stride: int,
) -> str:
    cin, (expanded, cout) = channels_of(g, x), sizes
    y = x if expanded == cin else conv_act(g, x, expanded, 1, 1, activation)
    y = conv_act(g, y, expanded, kernel, stride, activation, groups=expanded)
    if excite:
        y = squeeze_excite(g, y, make_divisible(expanded / 4), gate="hard_sigmoid")
    y = g.conv(y, cout, 1)
    return g.binary("add", x, y) if stride == 1 and cin == cout else y


VARIANT = Parameter("variant", "standard", choices=("standard", "minimalistic"))

ENTRIES = (
    ZooEntry(
        "mobilenet_v3_large",
        "MobileNet V3 large",
        "mobilenet_v3",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000, WIDTH, VARIANT),
        partial(mobilenet_v3, table=LARGE, head=1280),
        (
            printed(TORCHVISION, "0.217G", "5,483,032"),
            printed(SLIM, "217M", "5.4M"),
            printed(SLIM, "155M", "4.0M", "width=0.75"),
            printed(SLIM, "209M", "3.9M", "variant=minimalistic"),
        ),
        rows(
            SLIM,
            "imagenet_top1",
            "- float 75.2\n- int8 73.9\nwidth=0.75 float 73.3\n"
            "variant=minimalistic float 72.3\nvariant=minimalistic int8 71.3",
        ),
        ("000",),
    ),
    ZooEntry(
        "mobilenet_v3_small",
        "MobileNet V3 small",
        "mobilenet_v3",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000, WIDTH, VARIANT),
        partial(mobilenet_v3, table=SMALL, head=1024),
        (
            printed(TORCHVISION, "0.057G", "2,542,856"),
            printed(PAPER, "44M", "2.0M", "width=0.75"),
        ),
        rows(
            SLIM,
            "imagenet_top1",
            "- float 67.5\n- int8 64.9\nwidth=0.75 float 65.4\nvariant=minimalistic float 61.9",
        ),
        ("000",),
        "TF-slim's table gives 66 M MACs and 2.9 M parameters for the small network, of an earlier "
        "form; the paper's last version gives 56 M and 2.5 M, as counted here.",
    ),
)
