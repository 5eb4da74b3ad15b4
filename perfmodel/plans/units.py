"""What a plan runs on: units with their layer times, and what it costs to reach them.

The home unit holds the network's input and wants its output (the CPU of a phone, the GPU of a
Jetson, the device of an offload). A segment on another unit pays to bring in every tensor it reads
that a segment before it made, and to hand back every tensor it makes that a segment after it reads:
what a chain of separately loaded models does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Transfer:
    """Time to move tensors: `fixed_ms` a tensor plus bytes over a rate; energy likewise.

    `start_ms` and `start_mj` are paid once by a segment that moves anything (a network's half round
    trip, a radio's tail). Where nobody knows what moving takes (`known` is false) it takes
    infinitely long, so that no plan moves anything this way.
    """

    fixed_ms: float = 0.0
    bytes_per_ms: float = float("inf")
    fixed_mj: float = 0.0
    mj_per_byte: float = 0.0
    start_ms: float = 0.0
    start_mj: float = 0.0
    known: bool = True

    def latency_ms(self, tensors: np.ndarray | float, size_bytes: np.ndarray | float) -> np.ndarray:
        """Milliseconds for `tensors` tensors of `size_bytes` bytes in all."""
        if not self.known:
            return np.where(np.asarray(tensors) > 0, np.inf, 0.0)
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
UNKNOWN_TRANSFER = Transfer(known=False)


@dataclass(frozen=True, kw_only=True)
class SlowStorage:
    """What each layer does to a segment, and suffers in one, where weights do not fit fast storage.

    A segment that holds a `heavy` layer takes `extra_ms` longer for each layer it holds (see
    `perfmodel.devices.facts.StorageFact`); arrays of shape (layers,).
    """

    heavy: np.ndarray
    extra_ms: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One processor: time (and energy) of every layer of one network on it.

    Arrays have shape (layers,); `inf` marks a layer it cannot run. `dispatch_ms` is paid by every
    segment, `cut_ms` besides by every segment of a network that is cut; `memory_bytes` bounds the
    weights and activations that its segments may hold, `memory_scale` is what a byte of the network
    as it is stored takes there. Tensors between segments are moved `inward` and `outward`;
    the network's own input and output only where `moves_ends`: a measured target has them in its
    time, one behind a link has not. A segment's energy is `active_mw` while it runs and the
    `layer_mj` of its layers, at most `most_mw` while it runs; without `layer_mj` it is not known.
    `low` and `high` are the ends of the prediction interval of the network's time as shares of
    that time; both are 1 where the times are no predictions.
    """

    name: str
    target: str
    layer_ms: np.ndarray
    layer_mj: np.ndarray | None = None
    active_mw: float = 0.0
    most_mw: float = float("inf")
    energy_note: str = ""
    dispatch_ms: float = 0.0
    cut_ms: float = 0.0
    memory_bytes: float = float("inf")
    memory_scale: float = 1.0
    inward: Transfer = NO_TRANSFER
    outward: Transfer = NO_TRANSFER
    moves_ends: bool = False
    storage: SlowStorage | None = None
    low: float = 1.0
    high: float = 1.0

    def busy_mj(self, running_ms: Any, work_mj: Any) -> Any:
        """Energy (mJ) of running for some time with work that takes so much; numbers or arrays."""
        mj = self.active_mw * running_ms / 1e3 + work_mj
        return np.minimum(mj, self.most_mw * running_ms / 1e3) if np.isfinite(self.most_mw) else mj
