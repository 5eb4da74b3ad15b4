"""Image enhancement: VDSR, SRGAN's generator, DPED, PyNET, U-Net (AI-Benchmark's tests)."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import channels_of, image
from perfmodel.zoo.registry import BATCH, Parameter, ZooEntry


def sized(height: int, width: int, *more: Parameter) -> tuple[Parameter, ...]:
    """Parameters of a network for images of any shape."""
    return (
        Parameter("image_height", height, 16, 4096),
        Parameter("image_width", width, 16, 4096),
        *more,
        BATCH,
    )


def vdsr(g: GraphBuilder, image_height: int, image_width: int, batch: int) -> str:
    """VDSR (Kim et al. 2016, arXiv:1511.04587): the VGG-19-like network of AI-Benchmark.

    20 convolutions of 3x3 on the enlarged luminance channel, added to their input.
    """
    x = image(g, batch, (image_height, image_width), 1)
    y = g.conv(x, 64, 3, activation="relu")
    for _ in range(18):
        y = g.conv(y, 64, 3, activation="relu")
    return g.binary("add", x, g.conv(y, 1, 3))


def srgan(g: GraphBuilder, image_height: int, image_width: int, batch: int) -> str:
    """SRGAN's generator, SRResNet (Ledig et al. 2017, arXiv:1609.04802), four-fold enlargement.

    Sizes are of the input. 16 residual blocks, PReLU, two pixel shuffles.
    """
    x = image(g, batch, (image_height, image_width))
    first = x = _prelu(g, g.conv(x, 64, 9))
    for _ in range(16):
        y = _prelu(g, g.conv(x, 64, 3))
        x = g.binary("add", x, g.conv(y, 64, 3))
    x = g.binary("add", first, g.conv(x, 64, 3))
    for _ in range(2):
        x = _prelu(g, g.op("depth_to_space", g.conv(x, 256, 3), block=2))
    return g.conv(x, 3, 9)


def _prelu(g: GraphBuilder, x: str) -> str:
    return g.op("prelu", x, g.constant((1, 1, channels_of(g, x))))


def dped(g: GraphBuilder, image_height: int, image_width: int, batch: int) -> str:
    """DPED's ResNet generator (Ignatov et al. 2017): four residual blocks, instance norm."""
    x = g.conv(image(g, batch, (image_height, image_width)), 64, 9, activation="relu")
    for _ in range(4):
        y = x
        for _ in range(2):
            y = g.op("relu", _instance_norm(g, g.conv(y, 64, 3)))
        x = g.binary("add", y, x)
    for _ in range(2):
        x = g.conv(x, 64, 3, activation="relu")
    return _to_image(g, g.conv(x, 3, 9))


def _instance_norm(g: GraphBuilder, x: str) -> str:
    channels = channels_of(g, x)
    return g.op("instance_norm", x, g.constant((channels,)), g.constant((channels,)))


def _to_image(g: GraphBuilder, x: str) -> str:
    """tanh(x) * 0.58 + 0.5, the output range of DPED and PyNET."""
    scaled = g.binary("mul", g.op("tanh", x), g.constant((1,)))
    return g.binary("add", scaled, g.constant((1,)))


def pynet(g: GraphBuilder, image_height: int, image_width: int, batch: int) -> str:
    """PyNET (Ignatov et al. 2020): a camera pipeline at five scales, twice the input size out.

    The input is raw Bayer data packed into four channels; sides must divide by 16.
    """
    net = _PyNet(g)
    x = image(g, batch, (image_height, image_width), 4)
    down = [net.block(x, 3, 32, norm=False)]
    for maps in (64, 128, 256):
        down.append(net.block(g.pool(down[-1], "max", 2, 2), 3, maps))
    x = net.level_5(g.pool(down[3], "max", 2, 2))
    x = net.level_4(x, down[3])
    x = net.level_3(x, down[2])
    x = net.level_2(x, down[1])
    x = net.level_1(x, down[0])
    return _to_image(g, g.conv(net.up(x, 8), 3, 3))


class _PyNet:
    """The levels of PyNET; each takes the level below and its own down-sampled features."""

    def __init__(self, g: GraphBuilder) -> None:
        self.g = g

    def block(self, x: str, largest: int, maps: int, norm: bool = True) -> str:
        """Two convolutions at each kernel size from 3 to `largest`, side by side."""
        branches = []
        for kernel in range(3, largest + 1, 2):
            y = x
            for _ in range(2):
                y = self.g.conv(y, maps, kernel)
                y = self.leaky(_instance_norm(self.g, y) if norm else y)
            branches.append(y)
        return branches[0] if len(branches) == 1 else self.g.concat(branches)

    def residual(self, x: str, largest: int, maps: int, norm: bool = True) -> str:
        return self.g.binary("add", self.block(x, largest, maps, norm), x)

    def up(self, x: str, maps: int) -> str:
        return self.leaky(self.g.transpose_conv(x, maps, 3, 2, bias=False))

    def leaky(self, x: str) -> str:
        return self.g.op("leaky_relu", x, alpha=0.2)

    def join(self, *parts: str) -> str:
        return self.g.concat(parts)

    def level_5(self, x: str) -> str:
        x = self.residual(self.residual(self.block(x, 3, 512), 3, 512), 3, 512)
        return self.block(x, 3, 512)

    def level_4(self, below: str, own: str) -> str:
        x = self.block(self.join(own, self.up(below, 256)), 3, 256)
        x = self.block(self.residual(self.residual(x, 3, 256), 3, 256), 3, 256)
        return self.block(self.join(x, self.up(below, 256)), 3, 256)

    def level_3(self, below: str, own: str) -> str:
        x = self.join(own, self.up(below, 128))
        for _ in range(3):
            x = self.residual(x, 5, 128)
        x = self.join(self.block(x, 5, 128), own, self.up(below, 128))
        return self.block(x, 3, 128)

    def level_2(self, below: str, own: str) -> str:
        x = self.block(self.join(own, self.up(below, 64)), 5, 64)
        x = self.join(x, own)
        for _ in range(3):
            x = self.residual(x, 7, 64)
        x = self.join(self.block(x, 7, 64), own)
        x = self.join(self.block(x, 5, 64), self.up(below, 64))
        return self.block(x, 3, 64)

    def level_1(self, below: str, own: str) -> str:
        x = self.join(self.block(self.join(own, self.up(below, 32)), 5, 32, norm=False), own)
        x = self.block(self.block(x, 7, 32, norm=False), 9, 32, norm=False)
        for _ in range(3):
            x = self.residual(x, 9, 32, norm=False)
        x = self.join(self.block(x, 7, 32, norm=False), own)
        x = self.join(self.block(x, 5, 32, norm=False), self.up(below, 32), own)
        return self.block(x, 3, 32, norm=False)


def unet(g: GraphBuilder, image_height: int, image_width: int, filters: int, batch: int) -> str:
    """U-Net (Ronneberger et al. 2015, arXiv:1505.04597) with padded convolutions.

    `filters` of the first level (64 in the paper); they double at each of four poolings. The sides
    must divide by 16.
    """
    x = image(g, batch, (image_height, image_width))
    kept: list[str] = []
    for level in range(4):
        x = _twice(g, x, filters * 2**level)
        kept.append(x)
        x = g.pool(x, "max", 2, 2)
    x = _twice(g, x, filters * 16)
    for level in reversed(range(4)):
        x = g.concat([kept[level], g.transpose_conv(x, filters * 2**level, 2, 2)])
        x = _twice(g, x, filters * 2**level)
    return g.op("sigmoid", g.conv(x, 1, 1))


def _twice(g: GraphBuilder, x: str, filters: int) -> str:
    x = g.conv(x, filters, 3, activation="relu")
    return g.conv(x, filters, 3, activation="relu")


ENTRIES: Sequence[ZooEntry] = (
    ZooEntry(
        name="vdsr",
        title="VGG-19 super-resolution (VDSR)",
        family="vdsr",
        task="super-resolution",
        input_shape=(256, 256, 1),
        parameters=sized(256, 256),
        builder=vdsr,
        seeds=("000",),
        note="256 x 256 is AI-Benchmark's size; the published MACs are for 1280 x 720.",
    ),
    ZooEntry(
        name="srgan",
        title="SRGAN generator (SRResNet)",
        family="srgan",
        task="super-resolution",
        input_shape=(128, 128, 3),
        parameters=sized(128, 128),
        builder=srgan,
        seeds=("000",),
        note="AI-Benchmark lists 512 x 512 without saying input or output; ours is 512 x 512 out.",
    ),
    ZooEntry(
        name="dped",
        title="DPED-ResNet photo enhancement",
        family="dped",
        task="enhancement",
        input_shape=(128, 192, 3),
        parameters=sized(128, 192),
        builder=dped,
        seeds=("000",),
        note="Layers as in https://github.com/aiff22/DPED (arXiv:1704.02470), which prints no "
        "totals; 128 x 192 is the size of AI-Benchmark's test.",
    ),
    ZooEntry(
        name="pynet",
        title="PyNET",
        family="pynet",
        task="enhancement",
        input_shape=(224, 224, 4),
        parameters=sized(224, 224),
        builder=pynet,
        seeds=("000",),
        note="Layers as in https://github.com/aiff22/PyNET (arXiv:2002.05509), which prints no "
        "totals; 224 x 224 raw is its training patch.",
    ),
    ZooEntry(
        name="unet",
        title="U-Net",
        family="unet",
        task="segmentation",
        input_shape=(128, 128, 3),
        parameters=sized(128, 128, Parameter("filters", 32, 1, 256)),
        builder=unet,
        seeds=("000",),
        note="Used for bokeh by AI-Benchmark, which does not publish its layers: 128 x 128 and 32 "
        "filters (as in the U-Net++ papers' baseline) are ours.",
    ),
)
