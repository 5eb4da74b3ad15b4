"""AlexNet, Network in Network and VGG."""

from __future__ import annotations

from functools import partial

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import ceil_pool, image
from perfmodel.zoo.registry import ZooEntry, image_parameters

VGG_STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""3x3 convolutions per stage by depth: configurations A, B, D, E of arXiv:1409.1556, table 1."""


def alexnet(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """AlexNet as published in Caffe's bvlc_alexnet: two groups in conv2, conv4, conv5, with LRN."""
    x = image(g, batch, resolution)
    x = g.conv(x, 96, 11, 4, "valid", activation="relu")
    x = ceil_pool(g, _local_response_norm(g, x), "max", 3, 2)
    x = g.conv(x, 256, 5, groups=2, activation="relu")
    x = ceil_pool(g, _local_response_norm(g, x), "max", 3, 2)
    x = g.conv(x, 384, 3, activation="relu")
    x = g.conv(x, 384, 3, groups=2, activation="relu")
    x = g.conv(x, 256, 3, groups=2, activation="relu")
    x = ceil_pool(g, x, "max", 3, 2)
    return _dense_head(g, x, classes)


def alexnet_owt(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """AlexNet for one tower (Krizhevsky 2014, arXiv:1404.5997), as in torchvision."""
    x = image(g, batch, resolution)
    x = g.conv(x, 64, 11, 4, (2, 2, 2, 2), activation="relu")
    x = g.pool(x, "max", 3, 2)
    x = g.conv(x, 192, 5, activation="relu")
    x = g.pool(x, "max", 3, 2)
    for cout in (384, 256, 256):
        x = g.conv(x, cout, 3, activation="relu")
    return _dense_head(g, g.pool(x, "max", 3, 2), classes)


def overfeat(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """OverFeat, fast model (Sermanet et al. 2014, arXiv:1312.6229, table 1)."""
    x = g.conv(image(g, batch, resolution), 96, 11, 4, "valid", activation="relu")
    x = g.pool(x, "max", 2, 2)
    x = g.pool(g.conv(x, 256, 5, padding="valid", activation="relu"), "max", 2, 2)
    for cout in (512, 1024, 1024):
        x = g.conv(x, cout, 3, activation="relu")
    x = g.fc(g.pool(x, "max", 2, 2), 3072, activation="relu")
    x = g.fc(x, 4096, activation="relu")
    return g.op("softmax", g.fc(x, classes))


def nin(g: GraphBuilder, resolution: int, classes: int, batch: int) -> str:
    """Network in Network for ImageNet (Lin et al. 2014), as in the Caffe model zoo."""
    x = image(g, batch, resolution)
    for cout, kernel, stride, padding in ((96, 11, 4, "valid"), (256, 5, 1, "same")):
        x = _mlpconv(g, x, (cout,) * 3, kernel, stride, padding)
        x = ceil_pool(g, x, "max", 3, 2)
    x = _mlpconv(g, x, (384, 384, 384), 3)
    x = ceil_pool(g, x, "max", 3, 2)
    x = _mlpconv(g, x, (1024, 1024, classes), 3)
    return g.op("softmax", g.global_avg_pool(x, keep_dims=False))


def vgg(g: GraphBuilder, resolution: int, classes: int, batch: int, *, depth: int) -> str:
    """VGG (Simonyan & Zisserman 2015, arXiv:1409.1556) of that depth."""
    x = image(g, batch, resolution)
    for count, cout in zip(VGG_STAGES[depth], (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            x = g.conv(x, cout, 3, activation="relu")
        x = g.pool(x, "max", 2, 2)
    return _dense_head(g, x, classes)


def _dense_head(g: GraphBuilder, x: str, classes: int) -> str:
    x = g.fc(x, 4096, activation="relu")
    x = g.fc(x, 4096, activation="relu")
    return g.op("softmax", g.fc(x, classes))


def _local_response_norm(g: GraphBuilder, x: str) -> str:
    return g.op("lrn", x, size=5, alpha=1e-4, beta=0.75, bias=1.0)


def _mlpconv(
    g: GraphBuilder,
    x: str,
    channels: tuple[int, int, int],
    kernel: int,
    stride: int = 1,
    padding: str = "same",
) -> str:
    x = g.conv(x, channels[0], kernel, stride, padding, activation="relu")
    for cout in channels[1:]:
        x = g.conv(x, cout, 1, activation="relu")
    return x


def _vgg_entry(depth: int, *seeds: str) -> ZooEntry:
    return ZooEntry(
        name=f"vgg{depth}",
        title=f"VGG-{depth}",
        family="vgg",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=partial(vgg, depth=depth),
        seeds=seeds,
    )


ENTRIES = (
    ZooEntry(
        name="alexnet",
        title="AlexNet (Caffe, two groups)",
        family="alexnet",
        task="classification",
        input_shape=(227, 227, 3),
        parameters=image_parameters(227, 1000),
        builder=alexnet,
        seeds=("001", "002"),
    ),
    ZooEntry(
        name="alexnet_owt",
        title="AlexNet (one tower)",
        family="alexnet",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=alexnet_owt,
        seeds=("001",),
    ),
    ZooEntry(
        name="overfeat",
        title="OverFeat (fast)",
        family="overfeat",
        task="classification",
        input_shape=(231, 231, 3),
        parameters=image_parameters(231, 1000),
        builder=overfeat,
    ),
    ZooEntry(
        name="nin",
        title="Network in Network (ImageNet)",
        family="nin",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1000),
        builder=nin,
        seeds=("002",),
        note="The source prints the file size, 29 MB of float32; it prints no MACs.",
    ),
    _vgg_entry(11),
    _vgg_entry(13),
    _vgg_entry(16, "001", "004"),
    _vgg_entry(19, "000"),
)
