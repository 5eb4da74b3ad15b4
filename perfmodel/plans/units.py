"""What a plan runs on: units with their layer times, and what it costs to reach them.

The home unit holds the network's input and wants its output (the CPU of a phone, the GPU of a
Jetson, the device of an offload). A segment on another unit pays to bring in every tensor it reads
that was made before it, and to hand back every tensor it makes that is read after it: what a chain
of separately loaded models does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Transfer:
    """Time to move tensors: `fixed_ms` a tensor plus bytes over a rate; energy likewise.

    `start_ms` and `start_mj` are paid once by a segment that moves anything (a network's half round
    trip, a radio's tail).
    """

    fixed_ms: float = 0.0
    bytes_per_ms: float = float("inf")
    fixed_mj: float = 0.0
    mj_per_byte: float = 0.0
    start_ms: float = 0.0
    start_mj: float = 0.0

    def latency_ms(self, tensors: np.ndarray | float, size_bytes: np.ndarray | float) -> np.ndarray:
        """Milliseconds for `tensors` tensors of `size_bytes` bytes in all."""
        if self.start_ms == self.fixed_ms == 0 and self.bytes_per_ms == float("inf"):
            return np.zeros(np.shape(size_bytes))
        moving = np.asarray(size_bytes) / self.bytes_per_ms
        if self.fixed_ms:
            moving = moving + self.fixed_ms * tensors
        if self.start_ms:
            moving = moving + self.start_ms * (np.asarray(tensors) > 0)
        return moving

    def energy_mj(self, tensors: np.ndarray | float, size_bytes: np.ndarray | float) -> np.ndarray:
        """Millijoules for `tensors` tensors of `size_bytes` bytes in all."""
        if self.fixed_mj == self.mj_per_byte == self.start_mj == 0:
            return np.zeros(np.shape(size_bytes))
        start = self.start_mj * (np.asarray(tensors) > 0)
        return start + self.fixed_mj * tensors + np.asarray(size_bytes) * self.mj_per_byte


NO_TRANSFER = Transfer()


@dataclass(frozen=True)
class CoResidency:
    """Why one big delegate of a mobile GPU can be slower than two.

    Assumed mechanism: a delegate picks one kind of weight storage for all its layers. A layer with
    a weight tensor above `weight_limit_bytes` does not fit the fast kind (textures are limited in
    size), so the whole delegate falls back and its other layers take `slowdown` times as long.
    """

    weight_limit_bytes: float
    slowdown: float


@dataclass(frozen=True)
class Unit:
    """One processor: time (and energy) of every layer of one network on it.

    Arrays have shape (layers,); `inf` marks a layer it cannot run. `dispatch_ms` is paid by every
    segment; `memory_bytes` bounds the weights that one segment may hold.
    """

    name: str
    target: str
    layer_ms: np.ndarray
    layer_mj: np.ndarray | None = None
    dispatch_ms: float = 0.0
    memory_bytes: float = float("inf")
    inward: Transfer = NO_TRANSFER
    outward: Transfer = NO_TRANSFER
    co_residency: CoResidency | None = None
