"""Random networks to calibrate on: drawn from the building blocks of the field, none of them real.

A kernel is measured where it will be used: inside a network, its input just written by the kernel
before it and its weights pushed out of the caches by the others. Channels, sizes and the blocks'
order are drawn, so that no published network is among them.
"""

from __future__ import annotations

import numpy as np

from perfmodel.graph.ir import Graph
from perfmodel.measure.random_blocks import BLOCKS, Draw, down

MAX_MACS = 4e9
"""Networks are cut short here, so that one measurement stays below a second."""
SMALL_MACS = 2e7
"""Small networks are cut short here: what a run costs beside its kernels shows in them."""
MAX_WEIGHTS = 30_000_000
"""Weights from which on a network gets no further block, and the most of a usual fully connected
layer: enough that they do not stay in the caches of a large processor."""
MAX_HEAVY_WEIGHTS = 80_000_000
"""The most of the few largest fully connected layers, those of 2012 to 2014."""


def random_network(seed: int, *, blocks: int = 10) -> Graph:
    """A random network of about `blocks` blocks and at most `MAX_MACS`; the same for one seed."""
    generator = np.random.default_rng(seed)
    d = Draw(f"random_{seed}", generator)
    small, large = d.chance(0.12), d.chance(0.2)
    sizes = (16, 28, 32, 48, 64) if small else (64, 96, 112, 128, 160, 192, 224, 224, 256, 320, 513)
    resolution = d.pick(sizes)
    x = d.g.input((1, resolution, resolution, d.pick((3, 3, 3, 1))))
    stem = d.pick((3, 3) if small else (3, 3, 3, 5, 7, 11))
    stride = 1 if small else d.pick((1, 2, 2, 4))
    x = d.g.conv(x, d.channels(8, 16 if small else 64), stem, stride, activation=d.activation)
    while d.size(x) > (260 if large else 112):
        x = d.g.pool(x, "max", d.pick((2, 3)), 2, "same")
    weights = np.array([w for _, w in BLOCKS])
    for _ in range(blocks):
        block, _weight = BLOCKS[int(generator.choice(len(BLOCKS), p=weights / weights.sum()))]
        x = block(d, x)
        if d.size(x) > 28 and d.chance(0.35):
            x = down(d, x)
        if d.macs > MAX_MACS or d.weights > MAX_WEIGHTS or (small and d.macs > SMALL_MACS):
            break
    flat, heavy = d.size(x) <= 16 and d.chance(0.3), d.chance(0.15)
    x = x if flat else d.g.global_avg_pool(x)
    for _ in range(d.pick((1, 1, 1, 2))):
        most = (MAX_HEAVY_WEIGHTS if heavy else MAX_WEIGHTS) // d.g.tensors[x].elements
        most = min(4096, max(10, most))
        x = d.g.fc(x, d.channels(min(1024 if heavy else 10, most), most), activation="relu")
    x = d.g.op("softmax", d.g.fc(x, d.pick((10, 100, 1000, 1001))), axis=-1)
    return d.g.build(x, source=f"random:{seed}", format="zoo")


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
