"""Random networks to calibrate on: drawn from the building blocks of the field, none of them real.

A kernel is measured where it will be used: inside a network, its input just written by the kernel
before it and its weights pushed out of the caches by the others. Channels, sizes and the blocks'
order are drawn, so that no published network is among them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from perfmodel.graph.ir import Graph
from perfmodel.runners.random_blocks import BLOCKS, Draw, down
from perfmodel.runners.random_micro import random_micro

DRAWING = 2
"""Grows whenever a seed gives another network than before: journals and yardsticks keep names."""
MAX_MACS = 4e9
"""Networks are cut short here, so that one measurement stays below a second."""
SMALL_MACS = 2e7
"""Small networks are cut short here: what a run costs beside its kernels shows in them."""
MAX_WEIGHTS = 30_000_000
"""Weights from which on a network gets no further block, and the most of a usual fully connected
layer: enough that they do not stay in the caches of a large processor."""
MAX_HEAVY_WEIGHTS = 80_000_000
"""The most of the few largest fully connected layers, those of 2012 to 2014."""
STAGE_KINDS = 3
"""Kinds of blocks of a network of stages, as published ones have two to four."""
MAX_OPS = 150
"""Operators from which on a network of stages gets no further block: writing and listing more takes
longer than it teaches."""
REPEATS = (1, 2, 2, 3, 3, 4, 6)
"""How often a stage has its block: one to six times in the mobile networks of the zoo."""


def random_network(seed: int, *, blocks: int = 10) -> Graph:
    """A random network of about `blocks` blocks and at most `MAX_MACS`; the same for one seed."""
    generator = np.random.default_rng(seed)
    d = Draw(f"random_{seed}", generator)
    x, small = _stem(d)
    weights = np.array([w for _, w in BLOCKS])
    for _ in range(blocks):
        block, _weight = BLOCKS[int(generator.choice(len(BLOCKS), p=weights / weights.sum()))]
        x = block(d, x)
        if d.size(x) > 28 and d.chance(0.35):
            x = down(d, x)
        if _full(d, small):
            break
    return d.g.build(_classified(d, x), source=f"random:{seed}", format="zoo")


def random_staged(seed: int) -> Graph:
    """A random network of stages, each the same block several times; the same for one seed.

    Few kinds of blocks, mostly with the same sizes again: such a network finds the code and the
    buffers of most of its kernels still in the caches, as published ones do.
    """
    d = Draw(f"random_staged_{seed}", np.random.default_rng((seed, 4)))
    x, small = _stem(d)
    weights = np.array([w for _, w in BLOCKS])
    kinds = d.generator.choice(len(BLOCKS), STAGE_KINDS, p=weights / weights.sum())
    for _ in range(d.pick((3, 4, 5, 6))):
        x = _stage(d, x, BLOCKS[d.pick(kinds.tolist())][0], small)
        if _full(d, small) or len(d.g.ops) > MAX_OPS:
            break
        if d.size(x) > 14 and d.chance(0.5):
            x = down(d, x)
    return d.g.build(_classified(d, x), source=f"random_staged:{seed}", format="zoo")


def _stage(d: Draw, x: str, block: Callable[[Draw, str], str], small: bool) -> str:
    """The same block several times: it draws the same each time, unless it halves the image."""
    of_network, seed = d.generator, d.seed()
    for _ in range(d.pick(REPEATS)):
        size = d.size(x)
        d.generator = np.random.default_rng(seed)
        x = block(d, x)
        d.generator = of_network
        # the first block of a stage may halve it, the others not
        seed = seed if d.size(x) == size else d.seed()
        if _full(d, small) or len(d.g.ops) > MAX_OPS:
            break
    return x


def _full(d: Draw, small: bool) -> bool:
    """Whether a network gets no further block."""
    return d.macs > MAX_MACS or d.weights > MAX_WEIGHTS or (small and d.macs > SMALL_MACS)


def _stem(d: Draw) -> tuple[str, bool]:
    """Input and first layers of a network, and whether it is a small one."""
    small, large = d.chance(0.2), d.chance(0.2)
    sizes = (16, 28, 32, 48, 64) if small else (64, 96, 112, 128, 160, 192, 224, 224, 256, 320, 513)
    resolution = d.pick(sizes)
    x = d.g.input((1, resolution, resolution, d.pick((3, 3, 3, 1))))
    stem = d.pick((3, 3) if small else (3, 3, 3, 5, 7, 11))
    stride = 1 if small else d.pick((1, 2, 2, 4))
    x = d.g.conv(x, d.channels(8, 16 if small else 64), stem, stride, activation=d.activation)
    while d.size(x) > (260 if large else 112):
        x = d.g.pool(x, "max", d.pick((2, 3)), 2, "same")
    return x, small


def _classified(d: Draw, x: str) -> str:
    """The end of a network: its image as one vector, fully connected layers, shares of classes."""
    flat, heavy = d.size(x) <= 16 and d.chance(0.3), d.chance(0.15)
    x = x if flat else _pooled(d, x)
    for _ in range(d.pick((1, 1, 1, 2))):
        most = (MAX_HEAVY_WEIGHTS if heavy else MAX_WEIGHTS) // d.g.tensors[x].elements
        most = min(4096, max(10, most))
        x = d.g.fc(x, d.channels(min(1024 if heavy else 10, most), most), activation="relu")
    return d.g.op("softmax", d.g.fc(x, d.pick((10, 100, 1000, 1001))), axis=-1)


def _pooled(d: Draw, x: str) -> str:
    """The image as one pixel, at times with a wide product on it, as small classifiers end."""
    x = d.g.global_avg_pool(x)
    if not d.chance(0.25):
        return x
    x = d.g.conv(x, d.channels(256, 1536), 1)
    return d.g.op(str(d.generator.choice(["hard_swish", "relu", "swish"])), x)


def random_image(seed: int) -> Graph:
    """A few layers at one resolution, image in and image out, as restoration networks have them.

    Wide windows on many pixels, and a last layer of hardly any channels.
    """
    generator = np.random.default_rng((seed, 2))
    d = Draw(f"random_image_{seed}", generator)
    size = d.pick((96, 128, 160, 192, 224, 256, 320))
    x = d.g.input((1, size, size, d.pick((1, 3, 3, 4))))
    width = d.pick((16, 24, 32, 48, 64, 64, 96, 128))
    x = _image_layer(d, x, width, d.pick((3, 3, 5, 9)))
    for _ in range(d.pick((1, 1, 2, 3))):
        y = _image_layer(d, x, width, d.pick((3, 3, 3, 5, 9)))
        x = d.g.binary("add", x, y) if d.wide(y) == d.wide(x) and d.chance(0.4) else y
    kind = d.pick((0, 0, 1, 2, 3))
    if kind == 1:
        x = d.g.op("depth_to_space", x, block=2) if d.wide(x) % 4 == 0 else x
    elif kind == 2:
        x = d.g.transpose_conv(x, d.channels(3, 32), d.pick((2, 3, 4)), 2)
    elif kind == 3:
        x = d.g.op("resize", x, size=(2 * size, 2 * size), method="bilinear")
    x = _image_layer(d, x, d.pick((1, 3, 3, 4, 12)), d.pick((3, 3, 5, 9)))
    x = d.g.op("tanh", x) if d.chance(0.2) else x
    return d.g.build(x, source=f"random_image:{seed}", format="zoo")


def _image_layer(d: Draw, x: str, width: int, kernel: int) -> str:
    """A convolution of at most `width` channels that keeps within `MAX_MACS` in all."""
    each = d.size(x) ** 2 * d.wide(x) * kernel**2
    most = max(1, int((MAX_MACS - d.macs) / each))
    activation = d.activation if d.chance(0.7) else "none"
    return d.g.conv(x, min(width, most), kernel, activation=activation)


def random_recurrent(seed: int) -> Graph:
    """One random LSTM layer in one or both directions, as speech and text networks have them.

    Half are as narrow as the ones that run on small devices, where what a step costs beside its
    products counts; a quarter are one step, as a stream is processed.
    """
    generator = np.random.default_rng((seed, 1))
    d = Draw(f"random_recurrent_{seed}", generator)
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


_KINDS = {
    "random": random_network,
    "random_staged": random_staged,
    "random_recurrent": random_recurrent,
    "random_image": random_image,
    "random_micro": random_micro,
}
_MOST_DIGITS = 9


def is_random(name: str) -> bool:
    """Whether `name` is the name of a network of this module."""
    kind, _, seed = name.rpartition("_")
    return kind in _KINDS and seed.isascii() and seed.isdigit() and len(seed) <= _MOST_DIGITS


def random_named(name: str) -> Graph:
    """The random network of that name; raises `ValueError` where none has it."""
    if not is_random(name):
        raise ValueError(f"{name!r:.60} is not a random network")
    kind, _, seed = name.rpartition("_")
    return _KINDS[kind](int(seed))
