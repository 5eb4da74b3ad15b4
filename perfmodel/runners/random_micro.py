"""Random networks of microcontrollers: keyword, wake word and sensor networks, and lone operators.

They take from under a microsecond to about 0.1 ms on a desktop's core, where what an inference and
the start of each kernel cost is much or all of the time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from perfmodel.graph.ir import Graph
from perfmodel.runners.random_blocks import Draw

MICRO_MACS = 4e6
"""A network gets no further layer from here on: the keyword, picture and sensor networks of MLPerf
Tiny (Banbury et al. 2021, arXiv:2106.07597) hold 0.3 to 13 MMAC."""
LONE = 0.35
"""Share of networks of one operator, by judgement: they alone tell the cost of an inference from
that of its kernels."""
_NAME = "random_micro_"


def is_micro(name: str) -> bool:
    """Whether a random network of that name is one of this module."""
    return name.startswith(_NAME)


def random_micro(seed: int) -> Graph:
    """One operator, or a chain of up to twelve small layers; the same for one seed."""
    generator = np.random.default_rng((seed, 3))
    d = Draw(f"{_NAME}{seed}", generator)
    if d.chance(LONE):
        x = _lone(d)
    elif d.chance(0.3):
        x = _dense_chain(d)
    else:
        x = _small_image(d)
    return d.g.build(x, source=f"random_micro:{seed}", format="zoo")


def _image(d: Draw) -> str:
    high, wide = (d.pick((4, 8, 10, 12, 16, 20, 24, 28, 32, 48)) for _ in range(2))
    return d.g.input((1, high, wide if d.chance(0.5) else high, d.pick((1, 1, 3, 4, 8, 16, 32))))


def _lone(d: Draw) -> str:
    """One operator on an image or a vector."""
    if d.chance(0.25):
        x = d.g.input((1, d.channels(4, 1024)))
        return _vector_operator(d, x)
    x = _image(d)
    kinds: tuple[Callable[[], str], ...] = (
        lambda: _conv(d, x, d.pick((1, 3, 5))),
        lambda: _conv(d, x, 1),
        lambda: d.g.depthwise(x, 3, d.pick((1, 2)), activation=d.activation),
        lambda: d.g.pool(x, str(d.generator.choice(["max", "avg"])), 2, 2),
        lambda: d.g.global_avg_pool(x),
        lambda: d.g.binary(str(d.generator.choice(["add", "mul"])), x, x),
        lambda: d.g.op(str(d.generator.choice(["relu", "sigmoid", "tanh", "hard_swish"])), x),
        lambda: d.g.concat([x, x]),
        lambda: d.g.op("softmax", x, axis=-1),
    )
    return kinds[d.pick(range(len(kinds)))]()


def _vector_operator(d: Draw, x: str) -> str:
    if d.chance(0.7):
        return d.g.fc(x, d.channels(1, 512), activation=d.activation)
    return d.g.op(str(d.generator.choice(["softmax", "relu", "sigmoid"])), x)


def _conv(d: Draw, x: str, kernel: int) -> str:
    """A convolution that keeps the network about `MICRO_MACS` large."""
    _, high, wide, channels = d.g.shape(x)
    each = high * wide * channels * kernel**2
    most = int(max(4, min(96, (1.5 * MICRO_MACS - d.macs) / each)))
    stride = d.pick((1, 1, 1, 2)) if min(high, wide) > 4 else 1
    return d.g.conv(x, d.channels(4, most), kernel, stride, activation=d.activation)


def _dense_chain(d: Draw) -> str:
    """Fully connected layers one after the other, as an autoencoder of sensor data has them."""
    x = d.g.input((1, d.channels(8, 1024)))
    width = d.channels(8, 256)
    for _ in range(d.pick((1, 2, 3, 5, 8, 10))):
        out = width if d.chance(0.8) else d.channels(4, 640)
        x = d.g.fc(x, out, activation=d.activation if d.chance(0.8) else "none")
    return d.g.op("softmax", x, axis=-1) if d.chance(0.5) else x


def _small_image(d: Draw) -> str:
    """A first convolution, then plain, separable and residual layers, then a classifier."""
    x = _image(d)
    if d.chance(0.4):
        high, wide = d.pick((3, 5, 8, 10)), d.pick((3, 4, 8))
        _, rows, columns, channels = d.g.shape(x)
        most = int(min(64, max(4, MICRO_MACS / (rows * columns * channels * high * wide))))
        x = d.g.conv(x, d.channels(4, most), (high, wide), d.pick((1, 2)), activation=d.activation)
    else:
        x = _conv(d, x, d.pick((3, 3, 5)))
    for _ in range(d.pick((0, 1, 2, 3, 4, 5, 8))):
        if d.macs > MICRO_MACS:
            break
        x = _layer(d, x)
    flat = (1, int(np.prod(d.g.shape(x))))
    x = d.g.reshape(x, flat) if d.chance(0.3) else d.g.global_avg_pool(x)
    x = d.g.fc(x, d.pick((1, 2, 4, 10, 12)))
    return d.g.op("softmax", x, axis=-1) if d.chance(0.8) else x


def _layer(d: Draw, x: str) -> str:
    kind = d.pick((0, 0, 0, 1, 1, 2, 3))
    small = min(d.g.shape(x)[1:3])
    if kind == 0:
        stride = d.pick((1, 1, 2)) if small > 4 else 1
        return _conv(d, d.g.depthwise(x, 3, stride, activation=d.activation), 1)
    if kind == 1:
        return _conv(d, x, 3)
    if kind == 2:
        y = d.g.conv(x, d.wide(x), 3, activation="relu") if d.wide(x) <= 32 else x
        return d.g.binary("add", x, y, activation="relu")
    return d.g.pool(x, str(d.generator.choice(["max", "avg"])), 2, 2) if small > 3 else x
