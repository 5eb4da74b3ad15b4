"""Seeded random weights that keep activations in a plausible range (He et al. 2015).

Values are drawn while the file is written, chunk by chunk. Each constant has a stream of its own,
so that a network's weights do not depend on the order in which they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from perfmodel.formats.tflite.file import Data, Quant, chunked
from perfmodel.graph.ir import Op
from perfmodel.graph.kinds import UNARY

CLIP_SIGMAS = 3.5
"""Normal weights beyond this many standard deviations are clipped by int8."""


def deviation(op: Op, readers: Sequence[Op], fan_in: int) -> float:
    """Standard deviation of a layer's weights, so that its outputs vary as its inputs do.

    `readers` are the ops that read its result: an activation cuts half of the variance off.
    """
    activated = op.attrs.get("activation", "none") != "none"
    cut = activated or any(reader.kind in UNARY for reader in readers)
    return math.sqrt((2.0 if cut else 1.0) / max(1, fan_in))


def normal(shape: Sequence[int], deviation: float, mean: float, stream: Sequence[int]) -> Data:
    """float32 values of a normal distribution; `stream` seeds it."""
    size = math.prod(shape)

    def chunks() -> Iterator[bytes]:
        random = np.random.default_rng(list(stream))
        for count in chunked(size):
            values = random.standard_normal(count, np.float32)
            values *= np.float32(deviation)
            values += np.float32(mean)
            yield values.tobytes()

    return Data(4 * size, chunks)


def quantised_normal(shape: Sequence[int], stream: Sequence[int]) -> Data:
    """int8 values of a normal distribution whose `CLIP_SIGMAS` deviations are 127."""
    size = math.prod(shape)

    def chunks() -> Iterator[bytes]:
        random = np.random.default_rng(list(stream))
        for count in chunked(size):
            values = random.standard_normal(count, np.float32) * np.float32(127 / CLIP_SIGMAS)
            yield np.clip(np.rint(values), -127, 127).astype(np.int8).tobytes()

    return Data(size, chunks)


def rounded_normal(
    shape: Sequence[int], deviation: float, scale: float, stream: Sequence[int]
) -> Data:
    """int32 values that are those of `normal` (mean 0) in units of `scale`; for biases."""
    values = np.frombuffer(b"".join(normal(shape, deviation, 0.0, stream).chunks()), np.float32)
    return Data.of(np.rint(values / scale).astype(np.int32))


def integers(shape: Sequence[int], below: int, dtype: str, stream: Sequence[int]) -> Data:
    """Uniform integers from 0 to `below` - 1 (indices into a table)."""
    random = np.random.default_rng(list(stream))
    return Data.of(random.integers(0, max(1, below), tuple(shape)).astype(dtype))


def channel_quant(channels: int, deviation: float, axis: int, stream: Sequence[int]) -> Quant:
    """Scales of per-channel weights, spread by up to 30 % as trained ones are."""
    random = np.random.default_rng([*stream, 1])
    spread = random.uniform(0.7, 1.3, channels)
    scales = deviation * CLIP_SIGMAS / 127 * spread
    return Quant(tuple(float(s) for s in scales), 0, axis)


def quantised_bias(input_scale: float, weights: Quant, channels: int) -> tuple[Data, Quant]:
    """int32 biases of zero and their scales, input scale times weight scale."""
    scales = tuple(float(np.float32(input_scale) * np.float32(s)) for s in weights.scales)
    return Data.of(np.zeros(channels, np.int32)), Quant(scales, 0, 0)
