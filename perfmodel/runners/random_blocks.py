"""Building blocks of random networks: those of the field, with drawn channels, sizes and order.

Each takes an image tensor and gives one. Among them are the operators that a network has few of,
and whose cost surprises: rectifiers of their own, shuffles, normalisations, strided 1x1 pools.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from perfmodel.graph.builder import GraphBuilder

ACTIVATIONS = ("relu", "relu6")
MAX_LAYER_MACS = 2.5e9
"""Wider layers would not end within a second or so: VGG-16's largest has 1.85 GMAC."""


class Draw:
    """One random network in the making: the builder, the generator, MACs so far."""

    def __init__(self, name: str, generator: np.random.Generator) -> None:
        self.g = GraphBuilder(name)
        self.generator = generator
        self.activation = str(generator.choice(ACTIVATIONS))

    def pick(self, values: Sequence[int]) -> int:
        """One of some whole numbers."""
        return int(self.generator.choice(np.array(values)))

    def channels(self, low: int, high: int) -> int:
        """A channel count, log-uniform; mostly a multiple of 8, as in the field."""
        drawn = float(np.exp(self.generator.uniform(np.log(low), np.log(high))))
        step = 8 if drawn >= 16 and self.generator.random() < 0.85 else 1
        return max(1, round(drawn / step) * step)

    def chance(self, share: float) -> bool:
        """True in that share of cases."""
        return bool(self.generator.random() < share)

    def seed(self) -> int:
        """A seed of another generator."""
        return int(self.generator.integers(2**31))

    def stride(self, x: str) -> int:
        """Stride of a layer: 1, or rarely 2 while the image is large enough."""
        return self.pick((1, 1, 2)) if self.size(x) > 7 else 1

    def room(self, x: str, kernel: int = 1) -> int:
        """Channels that a layer after `x` may have: more the smaller the image, as in the field."""
        size = self.size(x)
        most = next(
            c for s, c in ((80, 64), (40, 160), (20, 512), (10, 1024), (0, 2048)) if size >= s
        )
        return max(16, min(most, int(MAX_LAYER_MACS / (size**2 * kernel**2 * self.wide(x)))))

    def constant_per_channel(self, x: str) -> str:
        """A constant with a number for each channel."""
        return self.g.constant((self.wide(x),))

    def size(self, x: str) -> int:
        """Height of an image tensor."""
        return self.g.shape(x)[1]

    def wide(self, x: str) -> int:
        """Channels of a tensor."""
        return self.g.shape(x)[-1]

    @property
    def weights(self) -> int:
        """Elements of all constants so far."""
        return sum(t.elements for t in self.g.tensors.values() if t.constant)

    @property
    def macs(self) -> float:
        """MACs of the convolutions so far, from their weights and outputs."""
        total = 0.0
        for op in self.g.ops:
            if op.kind in ("conv2d", "transpose_conv2d"):
                _, kh, kw, cin = self.g.shape(op.inputs[1])
                n, h, w, c = self.g.shape(op.outputs[0])
                total += n * h * w * c * kh * kw * cin
        return total


def _plain(d: Draw, x: str) -> str:
    kernel = d.pick((1, 3, 3, 3, 3, 5, 7, 9))
    if d.chance(0.15):
        side = d.pick((3, 7))
        x = d.g.conv(x, d.wide(x), (1, side), activation=d.activation)
        return d.g.conv(x, d.channels(16, 384), (side, 1), activation=d.activation)
    cout = d.channels(16, d.room(x, kernel))
    if d.chance(0.1):
        return d.g.conv(x, cout, 3, dilation=2, activation=d.activation)
    return d.g.conv(x, cout, kernel, d.stride(x), activation=d.activation)


def _wide(d: Draw, x: str) -> str:
    """Two wide layers on a small image, as classifiers end: weights that leave the caches."""
    while d.size(x) > 14:
        x = d.g.pool(x, "max", 2, 2, "same")
    x = d.g.conv(x, min(d.channels(256, 1280), d.room(x)), d.pick((1, 3)), activation=d.activation)
    kernel = d.pick((1, 3, 3))
    most = d.room(x, kernel)
    return d.g.conv(x, d.channels(min(256, most), most), kernel, d.stride(x), activation="relu")


def _residual(d: Draw, x: str) -> str:
    cin = d.wide(x)
    if d.chance(0.5):
        y = d.g.conv(x, cin, 3, activation="relu")
        y = d.g.conv(y, cin, 3)
    else:
        inner = max(8, cin // d.pick((2, 4)))
        y = d.g.conv(x, inner, 1, activation="relu")
        y = d.g.conv(y, inner, 3, activation="relu")
        y = d.g.conv(y, cin, 1)
    return d.g.binary("add", x, y, activation="relu")


def _squeeze_excite(d: Draw, x: str) -> str:
    squeezed = d.g.global_avg_pool(x)
    y = d.g.conv(squeezed, max(8, d.wide(x) // d.pick((4, 16))), 1, activation="relu")
    y = d.g.op(str(d.generator.choice(["sigmoid", "hard_sigmoid"])), d.g.conv(y, d.wide(x), 1))
    return d.g.binary("mul", x, y)


def _inverted(d: Draw, x: str) -> str:
    cin = d.wide(x)
    swish = str(d.generator.choice(["relu6", "hard_swish", "swish"], p=[0.7, 0.2, 0.1]))

    def act(name: str) -> str:
        return name if swish == "relu6" else d.g.op(swish, name)

    fused = "relu6" if swish == "relu6" else "none"
    inner = cin * d.pick((1, 3, 4, 6))
    y = act(d.g.conv(x, inner, 1, activation=fused)) if inner > cin else x
    stride = d.stride(x)
    y = act(d.g.depthwise(y, d.pick((3, 3, 3, 5, 5, 7)), stride, activation=fused))
    if d.chance(0.25):
        y = _squeeze_excite(d, y)
    if stride == 1 and d.chance(0.7):
        return d.g.binary("add", x, d.g.conv(y, cin, 1))
    return d.g.conv(y, d.channels(16, 384), 1)


def _separable(d: Draw, x: str) -> str:
    dilation = 2 if d.chance(0.1) else 1
    stride = d.stride(x) if dilation == 1 else 1
    kernel = d.pick((3, 3, 5, 7))
    y = d.g.depthwise(x, kernel, stride, dilation=dilation, activation=d.activation)
    return d.g.conv(y, d.channels(16, d.room(y)), 1, activation=d.activation)


def _inception(d: Draw, x: str) -> str:
    branches = [d.g.conv(x, d.channels(16, 192), 1, activation="relu")]
    for kernel in (3, d.pick((3, 5))):
        y = d.g.conv(x, d.channels(16, 128), 1, activation="relu")
        branches.append(d.g.conv(y, d.channels(16, 192), kernel, activation="relu"))
    pooled = d.g.pool(x, str(d.generator.choice(["max", "avg"])), 3, 1, "same")
    branches.append(d.g.conv(pooled, d.channels(16, 96), 1, activation="relu"))
    return d.g.concat(branches)


def _dense(d: Draw, x: str) -> str:
    growth = d.pick((12, 16, 24, 32))
    for _ in range(d.pick((2, 3))):
        y = d.g.conv(x, 4 * growth, 1, activation="relu")
        x = d.g.concat([x, d.g.conv(y, growth, 3)])
    return x


def _fire(d: Draw, x: str) -> str:
    y = d.g.conv(x, d.channels(16, 64), 1, activation="relu")
    wide = d.channels(48, 256)
    one, three = (d.g.conv(y, wide, k, activation="relu") for k in (1, 3))
    return d.g.concat([one, three])


def down(d: Draw, x: str) -> str:
    if d.size(x) < 8:
        return x
    kernel = d.pick((2, 3))
    return d.g.pool(x, str(d.generator.choice(["max", "avg"], p=[0.8, 0.2])), kernel, 2, "same")


def _up(d: Draw, x: str) -> str:
    if d.size(x) > 40 or d.wide(x) > 256:
        return x
    if d.chance(0.5):
        _, h, w, _ = d.g.shape(x)
        method = str(d.generator.choice(["bilinear", "nearest"]))
        return d.g.op("resize", x, size=(2 * h, 2 * w), method=method)
    return d.g.transpose_conv(x, d.channels(16, 96), d.pick((2, 4)), 2)


def _shuffle(d: Draw, x: str) -> str:
    half = max(8, d.wide(x) // 2)
    if d.chance(0.5):
        kept, used = (d.g.conv(x, half, 1, activation="relu") for _ in range(2))
    else:
        whole = d.g.conv(x, 2 * half, 1)
        kept, used = d.g.add_op("split", [whole], {"axis": 3, "sizes": (half, half)})
    used = d.g.conv(d.g.depthwise(used, 3), half, 1, activation="relu")
    return d.g.op("channel_shuffle", d.g.concat([kept, used]), groups=2)


def _grouped(d: Draw, x: str) -> str:
    """Grouped convolutions as in ResNeXt, RegNet and ShuffleNet V1."""
    width = d.pick((4, 8, 8, 16, 20, 24, 40, 48, 64, 128))
    groups = max(2, min(64, d.channels(32, 768) // width))
    y = d.g.conv(x, width * groups, 1, activation="relu")
    wide = width * d.pick((1, 1, 1, 2)) * groups
    y = d.g.conv(y, wide, d.pick((1, 3, 3, 3, 5)), d.stride(x), groups=groups, activation="relu")
    if d.chance(0.3):
        y = d.g.op("channel_shuffle", y, groups=groups)
    return d.g.conv(y, d.channels(32, 384), 1)


def _normalised(d: Draw, x: str) -> str:
    """A convolution with a normalisation behind it, across channels or over the image."""
    kernel = d.pick((1, 3))
    y = d.g.conv(x, d.channels(16, min(256, d.room(x, kernel))), kernel)
    if d.chance(0.4):
        return d.g.op("lrn", d.g.op("relu", y), size=5, alpha=1e-4, beta=0.75, bias=1.0)
    y = d.g.op("instance_norm", y, d.constant_per_channel(y), d.constant_per_channel(y))
    return d.g.op("relu", y)


def _activated(d: Draw, x: str) -> str:
    """A convolution with an activation that is an operator of its own."""
    kernel = d.pick((1, 3))
    y = d.g.conv(x, d.channels(16, d.room(x, kernel)), kernel)
    kind = str(d.generator.choice(["leaky_relu", "prelu", "tanh", "sigmoid", "hard_swish", "elu"]))
    if kind == "prelu":
        return d.g.op("prelu", y, d.g.constant((1, 1, d.wide(y))))
    return d.g.op(kind, y, alpha=0.1) if kind == "leaky_relu" else d.g.op(kind, y)


def _preactivated(d: Draw, x: str) -> str:
    """Scale, shift and rectify before the convolution, as DenseNets do."""
    if d.chance(0.6):
        y = d.g.binary("mul", x, d.constant_per_channel(x))
        y = d.g.binary("add", y, d.constant_per_channel(y), activation="relu")
    else:
        y = d.g.op("relu", d.g.concat([x, d.g.conv(x, d.channels(16, 64), 1)]))
    kernel = d.pick((1, 1, 3))
    y = d.g.conv(y, d.wide(x) if d.wide(x) <= d.room(y, kernel) else d.room(y, kernel), kernel)
    return d.g.binary("add", x, y) if d.wide(y) == d.wide(x) else y


def _cell(d: Draw, x: str) -> str:
    """A cell as searches find them: rectified separable convolutions and pools, added, joined."""
    wide = d.channels(8, min(192, d.room(x)))
    stride = d.stride(x)
    base = d.g.conv(d.g.op("relu", x), wide, 1)
    parts = []
    for _ in range(d.pick((2, 3, 5, 6))):
        y = d.g.depthwise(d.g.op("relu", base), d.pick((3, 5, 7)), stride)
        if d.chance(0.5):
            y = d.g.op("relu", d.g.conv(y, wide, 1))
            y = d.g.depthwise(y, d.pick((3, 5, 7)))
        kind = str(d.generator.choice(["max", "avg"]))
        other = d.g.pool(base, kind, 3, stride, "same")
        parts.append(d.g.binary("add", d.g.conv(y, wide, 1), other))
    return d.g.concat(parts)


def _halved(d: Draw, x: str) -> str:
    """Half the image by taking every other pixel: pools of one pixel, pads, slices."""
    n, h, w, c = d.g.shape(x)
    if h < 8 or w < 8:
        return x
    kind = str(d.generator.choice(["max", "avg"]))
    first = d.g.pool(x, kind, 1, 2)
    if d.chance(0.4):
        return d.g.conv(first, d.channels(16, d.room(first)), 1)
    moved = d.g.op("pad", x, paddings=((0, 0), (0, 1), (0, 1), (0, 0)))
    moved = d.g.op("slice", moved, begin=(0, 1, 1, 0), size=(n, h, w, c))
    second = d.g.pool(moved, kind, 1, 2)
    half = d.channels(8, 192)
    return d.g.concat([d.g.conv(first, half, 1), d.g.conv(second, half, 1)])


def _unfolded(d: Draw, x: str) -> str:
    """Channels laid out as pixels, as super-resolution ends."""
    if d.size(x) > 60:
        return x
    y = d.g.conv(x, 4 * d.channels(8, 64), d.pick((1, 3)))
    return d.g.op("depth_to_space", y, block=2)


def _sequence(d: Draw, x: str) -> str:
    """A transformer block on the image's pixels as tokens."""
    n, h, w, _ = d.g.shape(x)
    if h * w > 400:
        return x
    c = 4 * d.pick((16, 32, 48, 64, 96, 128, 192))
    x = d.g.conv(x, c, 1)

    def norm(t: str) -> str:
        return d.g.op("layer_norm", t, d.g.constant((c,)), d.g.constant((c,)), axes=(-1,))

    skip = d.g.reshape(x, (n, h * w, c))
    t = norm(skip)
    heads = d.pick((2, 4))
    if d.chance(0.5):
        parts = [d.g.fc(t, c, keep_dims=True) for _ in range(3)]
    else:
        joint = d.g.fc(t, 3 * c, keep_dims=True)
        parts = list(d.g.add_op("split", [joint], {"axis": 2, "sizes": (c, c, c)}))
    split = [
        d.g.op("transpose", d.g.reshape(p, (n, h * w, heads, c // heads)), perm=(0, 2, 1, 3))
        for p in parts
    ]
    scores = d.g.op("matmul", split[0], split[1], transpose_a=False, transpose_b=True)
    mixed = d.g.op("matmul", d.g.op("softmax", scores, axis=-1), split[2])
    joined = d.g.reshape(d.g.op("transpose", mixed, perm=(0, 2, 1, 3)), (n, h * w, c))
    skip = d.g.binary("add", skip, d.g.fc(joined, c, keep_dims=True))
    wide = d.g.op("gelu", d.g.fc(norm(skip), c * d.pick((2, 4)), keep_dims=True))
    t = d.g.binary("add", skip, d.g.fc(wide, c, keep_dims=True))
    return d.g.reshape(t, (n, h, w, c))


BLOCKS: tuple[tuple[Callable[[Draw, str], str], float], ...] = (
    (_plain, 3.0),
    (_wide, 1.2),
    (_residual, 2.0),
    (_inverted, 4.0),
    (_separable, 2.0),
    (_inception, 2.0),
    (_dense, 1.0),
    (_fire, 1.0),
    (down, 1.0),
    (_up, 0.7),
    (_shuffle, 0.8),
    (_sequence, 0.7),
    (_grouped, 1.8),
    (_normalised, 0.5),
    (_activated, 0.8),
    (_preactivated, 1.0),
    (_cell, 1.0),
    (_halved, 0.4),
    (_unfolded, 0.2),
)
"""Block and how often it is drawn."""
