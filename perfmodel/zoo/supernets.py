"""Networks of two search spaces with published latencies: FBNet (CIFAR-100) and Once-for-all."""

from __future__ import annotations

from perfmodel.errors import GraphError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import (
    channels_of,
    classifier,
    conv_act,
    image,
    make_divisible,
    squeeze_excite,
)
from perfmodel.zoo.registry import BATCH, WIDTH, Parameter, ZooEntry, image_parameters
from perfmodel.zoo.shufflenet import shuffle

FBNET_STAGES = (
    (16, 1, 1),
    (24, 4, 1),
    (32, 4, 2),
    (64, 4, 2),
    (112, 4, 1),
    (184, 4, 2),
    (352, 1, 1),
)
"""(channels, layers, first stride) for 32 x 32 images: arXiv:1812.03443, table 1, with the strides
that HW-NAS-Bench (arXiv:2103.10584) uses for CIFAR-100."""

FBNET_LAYERS = sum(layers for _, layers, _ in FBNET_STAGES)
FBNET_DEFAULT = "|".join(["k3_e6"] * FBNET_LAYERS)

OFA_STAGES = (
    (24, 2, "relu", False),
    (40, 2, "relu", True),
    (80, 2, "hard_swish", False),
    (112, 1, "hard_swish", True),
    (160, 2, "hard_swish", True),
)
"""(channels, first stride, activation, squeeze-and-excite) of arXiv:1908.09791 (MobileNet)."""

OFA_SLOTS = 4
"""Block slots per stage; a stage of depth d uses its first d."""


def fbnet(g: GraphBuilder, ops: str, classes: int, batch: int) -> str:
    """A network of the FBNet space for CIFAR-100: one block name per layer, joined by `|`.

    `kK_eE[_g2]` is an inverted residual with kernel K and expansion E, its 1x1 convolutions in two
    groups with `_g2`; `skip` passes on, with a 1x1 convolution where the shape changes.
    """
    names = ops.split("|")
    if len(names) != FBNET_LAYERS:
        raise GraphError(f"fbnet: ops has {len(names)} blocks", f"name {FBNET_LAYERS}, joined by |")
    x = g.conv(image(g, batch, 32), 16, 3, activation="relu")
    remaining = iter(names)
    for channels, layers, first_stride in FBNET_STAGES:
        for layer in range(layers):
            x = _fbnet_block(g, x, next(remaining), channels, first_stride if layer == 0 else 1)
    return classifier(g, g.conv(x, 1504, 1, activation="relu"), classes)


def _fbnet_block(g: GraphBuilder, x: str, name: str, cout: int, stride: int) -> str:
    cin = channels_of(g, x)
    same = stride == 1 and cin == cout
    if name == "skip":
        return x if same else g.conv(x, cout, 1, stride, activation="relu")
    kernel, expansion, groups = _fbnet_choice(name)
    y = g.conv(x, cin * expansion, 1, groups=groups, activation="relu")
    if groups > 1:
        y = shuffle(g, y, groups)
    y = g.depthwise(y, kernel, stride, activation="relu")
    y = g.conv(y, cout, 1, groups=groups)
    return g.binary("add", x, y) if same else y


def _fbnet_choice(name: str) -> tuple[int, int, int]:
    parts = name.split("_")
    choice = (parts[0][1:], parts[1][1:] if len(parts) > 1 else "")
    sound = parts[0].startswith("k") and len(parts) in (2, 3) and parts[1].startswith("e")
    if not sound or not all(c.isdigit() for c in choice) or parts[2:] not in ([], ["g2"]):
        raise GraphError(f"fbnet: block {name!r} is unknown", "write k3_e6, k5_e1_g2 or skip")
    return int(choice[0]), int(choice[1]), len(parts) - 1


def once_for_all(
    g: GraphBuilder,
    ks: str,
    e: str,
    d: str,
    width: float,
    resolution: int,
    classes: int,
    batch: int,
) -> str:
    """A network of the Once-for-all MobileNet V3 space.

    `ks` and `e`: kernel and expansion of 20 slots (five stages of four), `d`: the depth of each
    stage, all joined by `-`. Slots beyond a stage's depth are ignored.
    """
    slots = OFA_SLOTS * len(OFA_STAGES)
    kernels, expansions = _numbers("ks", ks, slots, 3, 7), _numbers("e", e, slots, 1, 8)
    depths = _numbers("d", d, len(OFA_STAGES), 1, OFA_SLOTS)
    x = image(g, batch, resolution)
    x = conv_act(g, x, make_divisible(16 * width), 3, 2, "hard_swish")
    x = _ofa_block(g, x, (3, 1), channels_of(g, x), 1, activation="relu", excite=False)
    for stage, (channels, first_stride, activation, excite) in enumerate(OFA_STAGES):
        cout = make_divisible(channels * width)
        for block in range(depths[stage]):
            slot = stage * OFA_SLOTS + block
            choice = (kernels[slot], expansions[slot])
            stride = first_stride if block == 0 else 1
            x = _ofa_block(g, x, choice, cout, stride, activation=activation, excite=excite)
    x = conv_act(g, x, make_divisible(960 * width), 1, 1, "hard_swish")
    x = g.global_avg_pool(x)
    x = conv_act(g, x, make_divisible(1280 * width), 1, 1, "hard_swish")
    return g.op("softmax", g.fc(x, classes))


def _ofa_block(
    g: GraphBuilder,
    x: str,
    choice: tuple[int, int],
    cout: int,
    stride: int,
    activation: str,
    excite: bool,
) -> str:
    kernel, expansion = choice
    cin = channels_of(g, x)
    inner = make_divisible(cin * expansion)
    y = x if expansion == 1 else conv_act(g, x, inner, 1, 1, activation)
    y = conv_act(g, y, inner, kernel, stride, activation, groups=inner)
    if excite:
        y = squeeze_excite(g, y, make_divisible(inner / 4), gate="hard_sigmoid")
    y = g.conv(y, cout, 1)
    return g.binary("add", x, y) if stride == 1 and cin == cout else y


def _numbers(name: str, text: str, count: int, low: int, high: int) -> list[int]:
    words = text.split("-")
    if len(words) != count or not all(w.isdigit() and low <= int(w) <= high for w in words):
        raise GraphError(
            f"once_for_all: {name}={text} is not allowed",
            f"{name} is {count} whole numbers from {low} to {high}, joined by -",
        )
    return [int(w) for w in words]


ENTRIES = (
    ZooEntry(
        name="fbnet",
        title="FBNet search space (CIFAR-100)",
        family="fbnet",
        task="classification",
        input_shape=(32, 32, 3),
        parameters=(Parameter("ops", FBNET_DEFAULT), Parameter("classes", 100, 1, 100_000), BATCH),
        builder=fbnet,
        note="Any of 9^22 networks; their sizes are not published, the test counts by hand.",
    ),
    ZooEntry(
        name="once_for_all",
        title="Once-for-all search space (MobileNet V3)",
        family="once_for_all",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(
            224,
            1000,
            Parameter("ks", "-".join("3" * 20)),
            Parameter("e", "-".join("6" * 20)),
            Parameter("d", "2-2-2-2-2"),
            WIDTH,
        ),
        builder=once_for_all,
        note="Any network of the space; the test compares a member with MobileNet V3 large.",
    ),
)
