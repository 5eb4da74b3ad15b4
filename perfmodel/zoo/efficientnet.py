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
from perfmodel.zoo.registry import WIDTH, Published, ZooEntry, image_parameters, printed, rows

TORCHVISION = "https://pytorch.org/vision/stable/models.html"
EFFICIENTNET = "https://arxiv.org/abs/1905.11946 (table 2)"
LITE = "https://github.com/tensorflow/tpu/blob/master/models/official/efficientnet/lite/README.md"
HOSTED = (
    "https://github.com/tensorflow/tensorflow/blob/v2.4.0/"
    "tensorflow/lite/g3doc/guide/hosted_models.md"
)
ONCE_FOR_ALL = "https://arxiv.org/abs/1908.09791 (table of mobile networks)"
PROXYLESS = "https://arxiv.org/abs/1812.00332"

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


LITE_NOTE = (
    "The source counts element-wise work too: its figure is ours plus three for each element that "
    "a convolution writes (normalisation and activation), for all five sizes."
)


def mobile_block(
    g: GraphBuilder,
    x: str,
    expansion: float,
    kernel: int,
    stride: int,
    cout: int,
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
            x = mobile_block(g, x, expansion, kernel, stride, cout, activation, squeezed)
    x = conv_act(g, x, make_divisible(1280 * ends), 1, 1, activation)
    return classifier(g, x, classes)


def mnasnet(g: GraphBuilder, width: float, resolution: int, classes: int, batch: int) -> str:
    """MnasNet-B1, the one TensorFlow Lite and torchvision publish (no squeeze-and-excite)."""
    x = conv_act(g, image(g, batch, resolution), make_divisible(32 * width), 3, 2)
    x = mobile_block(g, x, 1, 3, 1, make_divisible(16 * width), "relu")
    for expansion, kernel, first_stride, channels, blocks in MNASNET_B1_STAGES:
        for block in range(blocks):
            stride, cout = first_stride if block == 0 else 1, make_divisible(channels * width)
            x = mobile_block(g, x, expansion, kernel, stride, cout, "relu")
    return classifier(g, conv_act(g, x, 1280, 1), classes)


def proxylessnas(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """ProxylessNAS (mobile), found for a Pixel phone."""
    x = conv_act(g, image(g, batch, resolution), 32, 3, 2, "relu6")
    x = mobile_block(g, x, 1, 3, 1, 16, "relu6")
    for expansion, kernel, stride, cout in PROXYLESS_MOBILE:
        x = mobile_block(g, x, expansion, kernel, stride, cout, "relu6")
    return classifier(g, conv_act(g, x, 1280, 1, 1, "relu6"), classes)


def _entry(size: int, lite: bool, resolution: int, published: Published, top1: str) -> ZooEntry:
    name = f"efficientnet_{'lite' if lite else 'b'}{size}"
    return ZooEntry(
        name,
        f"EfficientNet {'Lite' if lite else 'B'}{size}",
        "efficientnet_lite" if lite else "efficientnet",
        "classification",
        (resolution, resolution, 3),
        image_parameters(resolution, 1000),
        partial(efficientnet, size=size, lite=lite),
        (published,),
        rows(LITE if lite else EFFICIENTNET, "imagenet_top1", top1),
    )


ENTRIES = (
    _entry(0, False, 224, printed(TORCHVISION, "0.386G", "5,288,548"), "- float 77.1"),
    _entry(1, False, 240, printed(TORCHVISION, "0.687G", "7,794,184"), "- float 79.1"),
    _entry(2, False, 260, printed(TORCHVISION, params="9,109,994"), "- float 80.1"),
    _entry(3, False, 300, printed(TORCHVISION, "1.827G", "12,233,232"), "- float 81.6"),
    _entry(4, False, 380, printed(TORCHVISION, "4.394G", "19,341,616"), "- float 82.9"),
    _entry(
        0, True, 224, printed(LITE, "407M", "4.7M", note=LITE_NOTE), "- float 75.1\n- int8 74.4"
    ),
    _entry(
        1, True, 240, printed(LITE, "631M", "5.4M", note=LITE_NOTE), "- float 76.7\n- int8 75.9"
    ),
    _entry(
        2, True, 260, printed(LITE, "899M", "6.1M", note=LITE_NOTE), "- float 77.6\n- int8 77.0"
    ),
    _entry(
        3, True, 280, printed(LITE, "1.44G", "8.2M", note=LITE_NOTE), "- float 79.8\n- int8 79.0"
    ),
    _entry(
        4, True, 300, printed(LITE, "2.64G", "13.0M", note=LITE_NOTE), "- float 81.5\n- int8 80.2"
    ),
    ZooEntry(
        "mnasnet",
        "MnasNet-B1",
        "mnasnet",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000, WIDTH),
        mnasnet,
        (
            printed(TORCHVISION, "0.314G", "4,383,312"),
            printed(TORCHVISION, "0.104G", "2,218,512", "width=0.5"),
            printed(TORCHVISION, "0.215G", "3,170,208", "width=0.75"),
            printed(TORCHVISION, "0.526G", "6,282,256", "width=1.3"),
        ),
        rows(
            HOSTED,
            "imagenet_top1",
            "- float 74.08\nresolution=192 float 72.56\nresolution=160 float 70.63\n"
            "resolution=128 float 67.32\nresolution=96 float 62.33\nwidth=0.5 float 68.03\n"
            "width=0.75 float 71.72\nwidth=1.3 float 75.24",
        ),
    ),
    ZooEntry(
        "proxylessnas",
        "ProxylessNAS (mobile)",
        "proxylessnas",
        "classification",
        (224, 224, 3),
        image_parameters(224, 1000),
        proxylessnas,
        (printed(ONCE_FOR_ALL, "320M"),),
        rows(PROXYLESS, "imagenet_top1", "- float 74.6"),
    ),
)
