"""MobileNet V3 large and small (Howard et al. 2019, arXiv:1905.02244)."""

from __future__ import annotations

from functools import partial

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import channels_of, conv_act, image, make_divisible, squeeze_excite
from perfmodel.zoo.registry import WIDTH, Parameter, ZooEntry, image_parameters

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
        x = _bottleneck(g, x, kernel, sizes, excite=excite, activation=nonlinearity, stride=stride)
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
        name="mobilenet_v3_large",
        title="MobileNet V3 large",
        family="mobilenet_v3",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000, WIDTH, VARIANT),
        builder=partial(mobilenet_v3, table=LARGE, head=1280),
        seeds=("000",),
    ),
    ZooEntry(
        name="mobilenet_v3_small",
        title="MobileNet V3 small",
        family="mobilenet_v3",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000, WIDTH, VARIANT),
        builder=partial(mobilenet_v3, table=SMALL, head=1024),
        seeds=("000",),
        note="TF-slim's table gives 66 M MACs and 2.9 M parameters for the small network, of an "
        "earlier form; the paper's last version gives 56 M and 2.5 M, as counted here.",
    ),
)
