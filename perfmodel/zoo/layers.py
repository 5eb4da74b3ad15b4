"""Layers that several networks of the zoo share."""

from __future__ import annotations

from perfmodel.graph.builder import GraphBuilder, Pair, pair


def make_divisible(channels: float, divisor: int = 8, minimum: int = 0) -> int:
    """Round channels to the nearest multiple of `divisor`, never losing more than 10 %.

    The rule of the MobileNet repositories (tensorflow/models, slim/nets/mobilenet).
    """
    rounded = max(minimum or divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def image(g: GraphBuilder, batch: int, resolution: Pair, channels: int = 3) -> str:
    """An image input of that size."""
    height, width = pair(resolution)
    return g.input((batch, height, width, channels))


def channels_of(g: GraphBuilder, x: str) -> int:
    """Channels of a tensor (last axis)."""
    return g.shape(x)[-1]


def ceil_pool(g: GraphBuilder, x: str, kind: str, kernel: int, stride: int) -> str:
    """Pooling as in Caffe: no padding, but a last partial window still counts."""
    _, height, width, _ = g.shape(x)
    bottom, right = (-(size - kernel) % stride for size in (height, width))
    return g.pool(x, kind, kernel, stride, (0, bottom, 0, right))


def affine(g: GraphBuilder, x: str, activation: str = "none") -> str:
    """A batch normalisation that no convolution before it can absorb: multiply, then add."""
    channels = channels_of(g, x)
    scaled = g.binary("mul", x, g.constant((channels,)))
    return g.binary("add", scaled, g.constant((channels,)), activation)


def conv_act(
    g: GraphBuilder,
    x: str,
    cout: int,
    kernel: Pair = 3,
    stride: Pair = 1,
    activation: str = "relu",
    groups: int = 1,
) -> str:
    """SAME convolution with folded batch normalisation and an activation of any kind.

    Activations that runtimes fuse (relu, relu6) become an attribute, others an op of their own.
    """
    fused = activation if activation in ("relu", "relu6") else "none"
    x = g.conv(x, cout, kernel, stride, groups=groups, activation=fused)
    return x if activation in ("none", fused) else g.op(activation, x)


def squeeze_excite(
    g: GraphBuilder,
    x: str,
    squeezed: int,
    gate: str = "sigmoid",
    activation: str = "relu",
) -> str:
    """Scale each channel by a gate computed from the channel means (Hu et al. 2018)."""
    channels = channels_of(g, x)
    s = g.global_avg_pool(x)
    s = conv_act(g, s, squeezed, 1, activation=activation)
    s = conv_act(g, s, channels, 1, activation=gate)
    return g.binary("mul", x, s)


def classifier(g: GraphBuilder, x: str, classes: int) -> str:
    """Global average pooling, one fully connected layer, softmax."""
    x = g.global_avg_pool(x, keep_dims=False)
    return g.op("softmax", g.fc(x, classes))
