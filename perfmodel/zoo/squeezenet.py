"""SqueezeNet 1.0 and 1.1 (Iandola et al. 2016, arXiv:1602.07360)."""

from __future__ import annotations

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import ceil_pool, image
from perfmodel.zoo.registry import ZooEntry, image_parameters

FIRE_SQUEEZE = (16, 16, 32, 32, 48, 48, 64, 64)
"""Squeeze channels of fire2 to fire9; both expand halves have four times as many."""


def squeezenet_1_0(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """SqueezeNet 1.0: 96 filters 7x7 first, pooling after conv1, fire4 and fire8."""
    x = g.conv(image(g, batch, resolution), 96, 7, 2, "valid", activation="relu")
    return _fires(g, x, pool_before=(0, 3, 7), classes=classes)


def squeezenet_1_1(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """SqueezeNet 1.1: 64 filters 3x3 first, pooling after conv1, fire3 and fire5."""
    x = g.conv(image(g, batch, resolution), 64, 3, 2, "valid", activation="relu")
    return _fires(g, x, pool_before=(0, 2, 4), classes=classes)


def _fires(g: GraphBuilder, x: str, pool_before: tuple[int, ...], classes: int) -> str:
    for i, squeeze in enumerate(FIRE_SQUEEZE):
        if i in pool_before:
            x = ceil_pool(g, x, "max", 3, 2)
        s = g.conv(x, squeeze, 1, activation="relu")
        x = g.concat([g.conv(s, 4 * squeeze, k, activation="relu") for k in (1, 3)])
    x = g.conv(x, classes, 1, activation="relu")
    return g.op("softmax", g.global_avg_pool(x, keep_dims=False))


ENTRIES = (
    ZooEntry(
        name="squeezenet_1_0",
        title="SqueezeNet 1.0",
        family="squeezenet",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=squeezenet_1_0,
        seeds=("001", "002"),
    ),
    ZooEntry(
        name="squeezenet_1_1",
        title="SqueezeNet 1.1",
        family="squeezenet",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=squeezenet_1_1,
        seeds=("001", "002"),
    ),
)
