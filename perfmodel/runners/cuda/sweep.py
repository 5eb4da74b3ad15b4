"""The kernels a GPU is calibrated with: shapes drawn at random from what vision networks use.

Drawn with a seed from ranges of sizes, never copied from a network's list of layers, so that a
network stays unseen. Channels are mostly multiples of 8, sometimes not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from perfmodel.runners.cuda.steps import GpuStep, Shape, Window

BATCHES = (1, 8, 32)
"""Those that the study predicts networks at."""
MOST_MACS = 1e11
"""1.7 times the largest layer of VGG-16 at batch 32 (1.85 GMAC an image)."""
MOST_ELEMENTS = 2.2e8
"""The largest layer of VGG-16 at batch 32 reads and writes 32 x 2 x 224 x 224 x 64 numbers."""
COUNTS: Mapping[str, int] = MappingProxyType(
    {
        "conv_1x1": 140,
        "conv_3x3": 120,
        "conv_5x5": 15,
        "conv_1xn": 25,
        "conv_7x7": 8,
        "conv_first": 32,
        "conv_grouped": 14,
        "conv_depthwise": 50,
        "fully_connected": 32,
        "pool": 40,
        "mean": 12,
        "add": 20,
        "activation": 18,
        "batch_norm": 24,
        "concat": 28,
        "softmax": 8,
        "lrn": 8,
    }
)
"""How many shapes of each family make a whole sweep."""

Draw = np.random.Generator


def _between(rng: Draw, low: float, high: float) -> int:
    """Log-uniform whole number."""
    return round(math.exp(rng.uniform(math.log(low), math.log(high))))


def _channels(rng: Draw, low: int, high: int) -> int:
    """Mostly multiples of 32 or 8, as designers choose them, sometimes neither."""
    c, habit = _between(rng, low, high), rng.random()
    if habit < 0.45 and c >= 48:
        return c // 32 * 32
    return c if habit > 0.85 else max(8, c // 8 * 8)


TYPICAL_SIDES = (7, 8, 13, 14, 17, 27, 28, 35, 55, 56, 71, 112, 147, 224)
"""What images of 224 to 299 pixels become by halving."""


def _side(rng: Draw, low: int = 6, high: int = 120) -> int:
    typical = [s for s in TYPICAL_SIDES if low <= s <= high]
    return int(rng.choice(typical)) if rng.random() < 0.5 else _between(rng, low, high)


def _widest(rng: Draw, side: int, widest: int) -> int:
    """Networks are wide where images are small: most draws keep to that, some do not."""
    return widest if rng.random() < 0.2 else max(48, min(widest, 24000 // side))


def _batch(rng: Draw) -> int:
    return int(rng.choice(BATCHES))


def conv_step(
    batch: int,
    cin: int,
    side: tuple[int, int],
    cout: int,
    window: Window,
    groups: int = 1,
    activation: str = "none",
    residual: bool = False,
) -> GpuStep:
    """A convolution with its output size worked out."""
    out = [
        (size + sum(pads) - d * (k - 1) - 1) // s + 1
        for size, k, s, d, pads in zip(
            side,
            window.kernel,
            window.stride,
            window.dilation,
            (window.pads[:2], window.pads[2:]),
            strict=True,
        )
    ]
    return GpuStep(
        name="kernel",
        op="conv2d",
        inputs=("x",),
        output="y",
        input_shapes=((batch, *side, cin),),
        output_shape=(batch, *out, cout),
        window=window,
        groups=groups,
        activation=activation,
        residual="z" if residual else "",
    )


def _same(kernel: tuple[int, int], stride: int) -> Window:
    """Padding that keeps the size at stride 1."""
    up, left = kernel[0] // 2, kernel[1] // 2
    return Window(kernel, (stride, stride), (up, up, left, left))


def _conv(
    rng: Draw, kernel: tuple[int, int], widest: int, strided: float, largest: int = 120
) -> GpuStep:
    side, stride = _side(rng, 6, largest), 2 if rng.random() < strided else 1
    wide = _widest(rng, side, widest)
    cin, cout = _channels(rng, 12, wide), _channels(rng, 12, wide)
    residual = stride == 1 and rng.random() < 0.2
    activation = str(rng.choice(["none", "relu", "relu6"], p=[0.3, 0.5, 0.2]))
    return conv_step(
        batch=_batch(rng),
        cin=cin,
        side=(side, side),
        cout=cout,
        window=_same(kernel, stride),
        groups=1,
        activation=activation,
        residual=residual,
    )


def _conv_1xn(rng: Draw) -> GpuStep:
    n = int(rng.choice([3, 7]))
    return _conv(rng, (1, n) if rng.random() < 0.5 else (n, 1), 640, 0.0)


def _conv_first(rng: Draw) -> GpuStep:
    k = int(rng.choice([3, 5, 7, 11]))
    stride = {3: int(rng.choice([1, 2])), 5: 2, 7: 2, 11: 4}[k]
    side = _between(rng, 96, 320)
    return conv_step(
        batch=_batch(rng),
        cin=3,
        side=(side, side),
        cout=_channels(rng, 16, 96),
        window=_same((k, k), stride),
        groups=1,
        activation=str(rng.choice(["relu", "relu6"])),
    )


def _conv_grouped(rng: Draw) -> GpuStep:
    groups = int(rng.choice([2, 2, 4, 32]))
    k = int(rng.choice([1, 3, 5]))
    cin, cout = (groups * max(4, _channels(rng, 64, 512) // groups) for _ in range(2))
    side = _side(rng, 7, 60)
    return conv_step(
        batch=_batch(rng),
        cin=cin,
        side=(side, side),
        cout=cout,
        window=_same((k, k), 1),
        groups=groups,
        activation="relu",
    )


def _conv_depthwise(rng: Draw) -> GpuStep:
    c, k = _channels(rng, 16, 1400), int(rng.choice([3, 3, 3, 5]))
    side, stride = _side(rng, 7, 130), int(rng.choice([1, 1, 2]))
    activation = str(rng.choice(["relu", "relu6", "relu6"]))
    return conv_step(
        batch=_batch(rng),
        cin=c,
        side=(side, side),
        cout=c,
        window=_same((k, k), stride),
        groups=c,
        activation=activation,
    )


def _unary(op: str, shape: Shape, out: Shape | None = None, **fields: object) -> GpuStep:
    step = GpuStep(op, op, ("x",), "y", (shape,), out or shape)
    return replace(step, **fields)  # type: ignore[arg-type]


def _fully_connected(rng: Draw) -> GpuStep:
    m, k, n = _batch(rng), _between(rng, 200, 30000), _between(rng, 10, 4600)
    return _unary("fully_connected", (m, k), (m, n), activation=str(rng.choice(["none", "relu"])))


def _pool(rng: Draw) -> GpuStep:
    op = str(rng.choice(["max_pool2d", "max_pool2d", "avg_pool2d"]))
    k, side, c = int(rng.choice([2, 3, 3])), _side(rng, 8, 150), _channels(rng, 16, 1024)
    stride = 1 if k == 3 and rng.random() < 0.3 else 2
    pad = 1 if k == 3 and (stride == 1 or rng.random() < 0.5) else 0
    out = (side + 2 * pad - k) // stride + 1
    n = _batch(rng)
    window = Window((k, k), (stride, stride), (pad,) * 4)
    return _unary(op, (n, side, side, c), (n, out, out, c), window=window)


def _mean(rng: Draw) -> GpuStep:
    n, side, c = _batch(rng), _side(rng, 5, 20), _channels(rng, 128, 2400)
    return _unary("reduce_mean", (n, side, side, c), (n, c))


def _image(rng: Draw) -> Shape:
    side = _side(rng)
    return (_batch(rng), side, side, _channels(rng, 16, 1400))


def _add(rng: Draw) -> GpuStep:
    shape = _image(rng)
    activation = str(rng.choice(["none", "relu"]))
    return GpuStep("add", "add", ("x", "u"), "y", (shape, shape), shape, activation=activation)


def _activation(rng: Draw) -> GpuStep:
    kind = str(rng.choice(["relu", "relu", "relu6", "hard_swish", "sigmoid"]))
    return _unary("activation", _image(rng), activation=kind)


def _batch_norm(rng: Draw) -> GpuStep:
    return _unary("batch_norm", _image(rng), activation=str(rng.choice(["relu", "none"])))


def _concat(rng: Draw) -> GpuStep:
    n, h, w, _ = _image(rng)
    shapes = tuple((n, h, w, _channels(rng, 16, 512)) for _ in range(int(rng.choice([2, 2, 3, 4]))))
    out = (n, h, w, sum(s[3] for s in shapes))
    return GpuStep("concat", "concat", tuple("abcd"[: len(shapes)]), "y", shapes, out)


def _softmax(rng: Draw) -> GpuStep:
    return _unary("softmax", (_batch(rng), _between(rng, 10, 20000)))


def _lrn(rng: Draw) -> GpuStep:
    options = {"size": 5, "alpha": 2e-5, "beta": 0.75, "bias": 1.0}
    side = _side(rng, 10, 80)
    shape = (_batch(rng), side, side, _channels(rng, 32, 300))
    return _unary("lrn", shape, options=options)


FAMILIES: Mapping[str, Callable[[Draw], GpuStep]] = MappingProxyType(
    {
        "conv_1x1": lambda rng: _conv(rng, (1, 1), 3000, 0.1),
        "conv_3x3": lambda rng: _conv(rng, (3, 3), 640, 0.2, 240),
        "conv_5x5": lambda rng: _conv(rng, (5, 5), 320, 0.1),
        "conv_1xn": _conv_1xn,
        "conv_7x7": lambda rng: _conv(rng, (7, 7), 200, 0.2),
        "conv_first": _conv_first,
        "conv_grouped": _conv_grouped,
        "conv_depthwise": _conv_depthwise,
        "fully_connected": _fully_connected,
        "pool": _pool,
        "mean": _mean,
        "add": _add,
        "activation": _activation,
        "batch_norm": _batch_norm,
        "concat": _concat,
        "softmax": _softmax,
        "lrn": _lrn,
    }
)
"""How one shape of each family is drawn."""


def draw_sweep(seed: int, scale: float = 1.0) -> list[GpuStep]:
    """Steps of a sweep in random order; `scale` times `COUNTS` of each family, at least one.

    Too large ones (by MACs or by elements of activations) are drawn again.
    """
    rng = np.random.default_rng(seed)
    steps = []
    for family, count in COUNTS.items():
        for i in range(max(1, round(count * scale))):
            step = FAMILIES[family](rng)
            while step.macs > MOST_MACS or step.activation_elements > MOST_ELEMENTS:
                step = FAMILIES[family](rng)
            steps.append(replace(step, name=f"{family}_{i}", fused=(family,)))
    # a campaign that is cut short has then seen a bit of everything
    return [steps[i] for i in rng.permutation(len(steps))]


def unfused(step: GpuStep) -> GpuStep:
    """The main operator alone, as the vanilla mode runs it."""
    if step.op == "activation":
        return step
    return replace(step, activation="none", residual="")
