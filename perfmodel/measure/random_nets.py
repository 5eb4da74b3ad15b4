"""Random networks to calibrate on: drawn from the building blocks of the field, none of them real.

A kernel is measured where it will be used: inside a network, its input just written by the kernel
before it and its weights pushed out of the caches by the others. The blocks are the field's
(residual, inverted residual, inception, dense, fire, shuffle, encoder-decoder, transformer);
channels, sizes and their order are drawn, so that no published network is among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph

ACTIVATIONS = ("relu", "relu6")
MAX_MACS = 1.5e9
"""Networks are cut short here, so that one measurement stays below a second."""


class _Draw:
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

    def size(self, x: str) -> int:
        """Height of an image tensor."""
        return self.g.shape(x)[1]

    def wide(self, x: str) -> int:
        """Channels of a tensor."""
        return self.g.shape(x)[-1]

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


def _plain(d: _Draw, x: str) -> str:
    kernel = d.pick((1, 3, 3, 3, 5, 7))
    if d.chance(0.15):
        side = d.pick((3, 7))
        x = d.g.conv(x, d.wide(x), (1, side), activation=d.activation)
        return d.g.conv(x, d.channels(16, 384), (side, 1), activation=d.activation)
    stride = d.pick((1, 1, 2)) if d.size(x) > 7 else 1
    cout = d.channels(16, 512 if d.size(x) < 40 else 160)
    return d.g.conv(x, cout, kernel, stride, activation=d.activation)


def _residual(d: _Draw, x: str) -> str:
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


def _squeeze_excite(d: _Draw, x: str) -> str:
    squeezed = d.g.global_avg_pool(x)
    y = d.g.conv(squeezed, max(8, d.wide(x) // d.pick((4, 16))), 1, activation="relu")
    y = d.g.op(str(d.generator.choice(["sigmoid", "hard_sigmoid"])), d.g.conv(y, d.wide(x), 1))
    return d.g.binary("mul", x, y)


def _inverted(d: _Draw, x: str) -> str:
    cin = d.wide(x)
    swish = str(d.generator.choice(["relu6", "hard_swish", "swish"], p=[0.7, 0.2, 0.1]))

    def act(name: str) -> str:
        return name if swish == "relu6" else d.g.op(swish, name)

    fused = "relu6" if swish == "relu6" else "none"
    inner = cin * d.pick((1, 3, 4, 6))
    y = act(d.g.conv(x, inner, 1, activation=fused)) if inner > cin else x
    stride = d.pick((1, 1, 2)) if d.size(x) > 7 else 1
    y = act(d.g.depthwise(y, d.pick((3, 3, 3, 3, 5, 5, 5, 7)), stride, activation=fused))
    if d.chance(0.25):
        y = _squeeze_excite(d, y)
    if stride == 1 and d.chance(0.7):
        return d.g.binary("add", x, d.g.conv(y, cin, 1))
    return d.g.conv(y, d.channels(16, 192), 1)


def _separable(d: _Draw, x: str) -> str:
    stride = d.pick((1, 1, 2)) if d.size(x) > 7 else 1
    y = d.g.depthwise(x, d.pick((3, 5)), stride, activation=d.activation)
    return d.g.conv(y, d.channels(32, 640), 1, activation=d.activation)


def _inception(d: _Draw, x: str) -> str:
    branches = [d.g.conv(x, d.channels(16, 192), 1, activation="relu")]
    for kernel in (3, d.pick((3, 5))):
        y = d.g.conv(x, d.channels(16, 128), 1, activation="relu")
        branches.append(d.g.conv(y, d.channels(16, 192), kernel, activation="relu"))
    pooled = d.g.pool(x, str(d.generator.choice(["max", "avg"])), 3, 1, "same")
    branches.append(d.g.conv(pooled, d.channels(16, 96), 1, activation="relu"))
    return d.g.concat(branches)


def _dense(d: _Draw, x: str) -> str:
    growth = d.pick((12, 16, 24, 32))
    for _ in range(d.pick((2, 3))):
        y = d.g.conv(x, 4 * growth, 1, activation="relu")
        x = d.g.concat([x, d.g.conv(y, growth, 3)])
    return x


def _fire(d: _Draw, x: str) -> str:
    y = d.g.conv(x, d.channels(16, 64), 1, activation="relu")
    wide = d.channels(48, 256)
    one, three = (d.g.conv(y, wide, k, activation="relu") for k in (1, 3))
    return d.g.concat([one, three])


def _down(d: _Draw, x: str) -> str:
    if d.size(x) < 8:
        return x
    kernel = d.pick((2, 3))
    return d.g.pool(x, str(d.generator.choice(["max", "avg"], p=[0.8, 0.2])), kernel, 2, "same")


def _up(d: _Draw, x: str) -> str:
    if d.size(x) > 40 or d.wide(x) > 256:
        return x
    if d.chance(0.5):
        _, h, w, _ = d.g.shape(x)
        method = str(d.generator.choice(["bilinear", "nearest"]))
        return d.g.op("resize", x, size=(2 * h, 2 * w), method=method)
    return d.g.transpose_conv(x, d.channels(16, 96), d.pick((2, 4)), 2)


def _shuffle(d: _Draw, x: str) -> str:
    half = max(8, d.wide(x) // 2)
    y = d.g.conv(x, half, 1, activation="relu")
    y = d.g.depthwise(y, 3)
    y = d.g.conv(y, half, 1, activation="relu")
    return d.g.concat([d.g.conv(x, half, 1, activation="relu"), y])


def _grouped(d: _Draw, x: str) -> str:
    """Grouped convolutions as in ResNeXt, RegNet and ShuffleNet V1."""
    groups = d.pick((2, 3, 4, 8))
    cin = min(max(1, d.wide(x) // groups // 8), 64 // groups) * 8 * groups
    y = d.g.conv(x, cin, 1, activation="relu")
    cout = max(1, d.channels(32, 384) // groups // 8) * 8 * groups
    y = d.g.conv(y, cout, d.pick((1, 3, 3, 5)), groups=groups, activation="relu")
    return d.g.conv(y, d.channels(32, 256), 1)


def _normalised(d: _Draw, x: str) -> str:
    """A convolution with AlexNet's normalisation across channels behind it."""
    y = d.g.conv(x, d.channels(16, 256), d.pick((1, 3)), activation="relu")
    return d.g.op("lrn", y, size=5, alpha=1e-4, beta=0.75, bias=1.0)


def _sequence(d: _Draw, x: str) -> str:
    """A transformer block on the image's pixels as tokens."""
    n, h, w, c = d.g.shape(x)
    if h * w > 400 or c > 512 or c % 4:
        return x
    t = d.g.reshape(x, (n, h * w, c))
    heads = d.pick((2, 4))
    parts = [d.g.fc(t, c, keep_dims=True) for _ in range(3)]
    split = [
        d.g.op("transpose", d.g.reshape(p, (n, h * w, heads, c // heads)), perm=(0, 2, 1, 3))
        for p in parts
    ]
    scores = d.g.op("matmul", split[0], split[1], transpose_a=False, transpose_b=True)
    mixed = d.g.op("matmul", d.g.op("softmax", scores, axis=-1), split[2])
    joined = d.g.reshape(d.g.op("transpose", mixed, perm=(0, 2, 1, 3)), (n, h * w, c))
    t = d.g.binary("add", t, d.g.fc(joined, c, keep_dims=True))
    wide = d.g.op("gelu", d.g.fc(t, c * d.pick((2, 4)), keep_dims=True))
    t = d.g.binary("add", t, d.g.fc(wide, c, keep_dims=True))
    return d.g.reshape(t, (n, h, w, c))


BLOCKS: tuple[tuple[Callable[[_Draw, str], str], float], ...] = (
    (_plain, 3.0),
    (_residual, 2.0),
    (_inverted, 4.0),
    (_separable, 2.0),
    (_inception, 2.0),
    (_dense, 1.0),
    (_fire, 1.0),
    (_down, 1.0),
    (_up, 0.7),
    (_shuffle, 0.7),
    (_sequence, 0.6),
    (_grouped, 0.7),
    (_normalised, 0.2),
)
"""Block and how often it is drawn."""


def random_network(seed: int, *, blocks: int = 10) -> Graph:
    """A random network of about `blocks` blocks and at most `MAX_MACS`; the same for one seed."""
    generator = np.random.default_rng(seed)
    d = _Draw(f"random_{seed}", generator)
    resolution = d.pick((64, 96, 112, 128, 160, 192, 224, 224, 256, 320))
    x = d.g.input((1, resolution, resolution, d.pick((3, 3, 3, 1))))
    stem = d.pick((3, 3, 3, 5, 7, 11))
    x = d.g.conv(x, d.channels(8, 64), stem, d.pick((1, 2, 2, 4)), activation=d.activation)
    while d.size(x) > 112:
        x = d.g.pool(x, "max", d.pick((2, 3)), 2, "same")
    weights = np.array([w for _, w in BLOCKS])
    for _ in range(blocks):
        block, _weight = BLOCKS[int(generator.choice(len(BLOCKS), p=weights / weights.sum()))]
        x = block(d, x)
        if d.size(x) > 28 and d.chance(0.35):
            x = _down(d, x)
        if d.macs > MAX_MACS:
            break
    x = d.g.global_avg_pool(x) if d.size(x) > 8 or d.chance(0.8) else x
    for _ in range(d.pick((1, 1, 1, 2))):
        x = d.g.fc(x, d.channels(10, 2048), activation="relu")
    x = d.g.op("softmax", d.g.fc(x, d.pick((10, 100, 1000, 1001))), axis=-1)
    return d.g.build(x, source=f"random:{seed}", format="zoo")


def random_recurrent(seed: int) -> Graph:
    """One random LSTM layer in one or both directions, as speech and text networks have them.

    Half are as narrow as the ones that run on small devices, where what a step costs beside its
    products counts; a quarter are one step, as a stream is processed.
    """
    generator = np.random.default_rng((seed, 1))
    d = _Draw(f"random_recurrent_{seed}", generator)
    steps = d.pick((1, 1, 1, 1, 2, 4, 8, 10, 16, 20, 24, 28, 32, 50, 64, 100))
    narrow = d.chance(0.5)
    x = d.g.input((1, steps, d.channels(8, 320 if narrow else 1024)))
    hidden = d.channels(8, 128) if narrow else d.channels(64, 1024)
    directions = d.pick((1, 1, 2))
    weights = [d.g.constant((directions, 4 * hidden, n)) for n in (d.wide(x), hidden)]
    y = d.g.op(
        "lstm",
        x,
        *weights,
        d.g.constant((directions, 4 * hidden)),
        hidden=hidden,
        directions=directions,
        return_sequences=True,
        time_major=False,
    )
    return d.g.build(y, source=f"random_recurrent:{seed}", format="zoo")
