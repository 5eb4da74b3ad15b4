"""EfficientNet B0 to B4 and Lite0 to Lite4, MnasNet, ProxylessNAS: chains of inverted residuals."""

from __future__ import annotations

import math
from functools import partial

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import (
    channels_of,
    classifier,
    conv_act,
    image,
    make_divisible,
    squeeze_excite,
)
from perfmodel.zoo.registry import WIDTH, ZooEntry, image_parameters

B0_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""(expansion, kernel, first stride, channels, blocks): table 1 of arXiv:1905.11946."""

MNASNET_B1_STAGES = (
    (3, 3, 2, 24, 3),
    (3, 5, 2, 40, 3),
    (6, 5, 2, 80, 3),
    (6, 3, 1, 96, 2),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""As above, after the separable convolution: figure 7 of arXiv:1807.11626, without excitation."""

PROXYLESS_MOBILE = (
    (3, 5, 2, 32),
    (3, 3, 1, 32),
    (3, 7, 2, 40),
    (3, 3, 1, 40),
    (3, 5, 1, 40),
    (3, 5, 1, 40),
    (6, 7, 2, 80),
    (3, 5, 1, 80),
    (3, 5, 1, 80),
    (3, 5, 1, 80),
    (6, 5, 1, 96),
    (3, 5, 1, 96),
    (3, 5, 1, 96),
    (3, 5, 1, 96),
    (6, 7, 2, 192),
    (6, 7, 1, 192),
    (3, 7, 1, 192),
    (3, 7, 1, 192),
    (6, 7, 1, 320),
)
"""(expansion, kernel, stride, channels): figure 4 of arXiv:1812.00332, the mobile network."""

SCALING = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2), 3: (1.2, 1.4), 4: (1.4, 1.8)}
"""Width and depth factors by size, the same for B and Lite."""


def mobile_block(
    g: GraphBuilder,
    x: str,
    expansion: float,
    kernel: int,
    stride: int,
    cout: int,
    *,
    activation: str,
    squeezed: int = 0,
) -> str:
    """Inverted residual with an optional squeeze-and-excite of `squeezed` channels."""
    cin = channels_of(g, x)
    inner = round(cin * expansion)
    y = x if expansion == 1 else conv_act(g, x, inner, 1, 1, activation)
    y = conv_act(g, y, inner, kernel, stride, activation, groups=inner)
    if squeezed:
        y = squeeze_excite(g, y, squeezed, activation=activation)
    y = g.conv(y, cout, 1)
    return g.binary("add", x, y) if stride == 1 and cin == cout else y


def efficientnet(
    g: GraphBuilder, resolution: int, classes: int, batch: int, *, size: int, lite: bool
) -> str:
    """EfficientNet B (swish, squeeze-and-excite) or Lite (ReLU6, none, fixed stem and head)."""
    width, depth = SCALING[size]
    activation = "relu6" if lite else "swish"
    ends = 1.0 if lite else width
    x = conv_act(g, image(g, batch, resolution), make_divisible(32 * ends), 3, 2, activation)
    for stage, (expansion, kernel, first_stride, channels, blocks) in enumerate(B0_STAGES):
        fixed = lite and stage in (0, len(B0_STAGES) - 1)
        for block in range(blocks if fixed else math.ceil(blocks * depth)):
            squeezed = 0 if lite else channels_of(g, x) // 4
            cout, stride = make_divisible(channels * width), first_stride if block == 0 else 1
            x = mobile_block(
                g, x, expansion, kernel, stride, cout, activation=activation, squeezed=squeezed
            )
    x = conv_act(g, x, make_divisible(1280 * ends), 1, 1, activation)
    return classifier(g, x, classes)


def mnasnet(g: GraphBuilder, width: float, resolution: int, classes: int, batch: int) -> str:
    """MnasNet-B1, the one TensorFlow Lite and torchvision publish (no squeeze-and-excite)."""
    x = conv_act(g, image(g, batch, resolution), make_divisible(32 * width), 3, 2)
    x = mobile_block(g, x, 1, 3, 1, make_divisible(16 * width), activation="relu")
    for expansion, kernel, first_stride, channels, blocks in MNASNET_B1_STAGES:
        for block in range(blocks):
            stride, cout = first_stride if block == 0 else 1, make_divisible(channels * width)
            x = mobile_block(g, x, expansion, kernel, stride, cout, activation="relu")
    return classifier(g, conv_act(g, x, 1280, 1), classes)


def proxylessnas(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """ProxylessNAS (mobile), found for a Pixel phone."""
    x = conv_act(g, image(g, batch, resolution), 32, 3, 2, "relu6")
    x = mobile_block(g, x, 1, 3, 1, 16, activation="relu6")
    for expansion, kernel, stride, cout in PROXYLESS_MOBILE:
        x = mobile_block(g, x, expansion, kernel, stride, cout, activation="relu6")
    return classifier(g, conv_act(g, x, 1280, 1, 1, "relu6"), classes)


def _entry(size: int, lite: bool, resolution: int) -> ZooEntry:
    name = f"efficientnet_{'lite' if lite else 'b'}{size}"
    return ZooEntry(
        name=name,
        title=f"EfficientNet {'Lite' if lite else 'B'}{size}",
        family="efficientnet_lite" if lite else "efficientnet",
        task="classification",
        input_shape=(resolution, resolution, 3),
        parameters=image_parameters(resolution, 1000),
        builder=partial(efficientnet, size=size, lite=lite),
    )


ENTRIES = (
    _entry(0, False, 224),
    _entry(1, False, 240),
    _entry(2, False, 260),
    _entry(3, False, 300),
    _entry(4, False, 380),
    _entry(0, True, 224),
    _entry(1, True, 240),
    _entry(2, True, 260),
    _entry(3, True, 280),
    _entry(4, True, 300),
    ZooEntry(
        name="mnasnet",
        title="MnasNet-B1",
        family="mnasnet",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000, WIDTH),
        builder=mnasnet,
    ),
    ZooEntry(
        name="proxylessnas",
        title="ProxylessNAS (mobile)",
        family="proxylessnas",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=proxylessnas,
    ),
)
