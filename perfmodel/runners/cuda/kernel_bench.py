"""Times one kernel at a time, on data and in a cache state like those inside a network.

Inputs are reused, as the layer before has just written them; weights and outputs rotate among
sets that together exceed twice the L2 cache ("cold"), or are one set ("warm", as when a small
network runs again and again and its weights stay in the cache).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perfmodel.runners.cuda.backends import Backend, Mode, ReadyStep, run_launches
from perfmodel.runners.cuda.device import Device
from perfmodel.runners.cuda.kernels import KernelBuild, Operands, launches, stored_weights
from perfmodel.runners.cuda.network import ALIGNMENT_BYTES, NAN_BYTE
from perfmodel.runners.cuda.reference import relative_error
from perfmodel.runners.cuda.steps import GpuStep, Shape
from perfmodel.runners.cuda.timing import Timing, time_work

POOL_ELEMENTS = 1 << 20
"""Random numbers that are drawn once; inputs repeat them, which no kernel can notice."""
MOST_SETS = 64
"""Copies of weights and outputs at most: small kernels would otherwise need thousands."""
MOST_SET_BYTES = 3 << 30
"""Memory of all copies at most, so that boards of 4 GB can measure."""
TARGET_GRAPH_MS = 2.0
"""Length of one graph: long against what starting it costs, about 10 us."""
COMPARED_SLICES = 16
SLICE_ELEMENTS = 1 << 14
"""What is fetched of an answer to be compared: evenly over it, first and last numbers included."""


@dataclass(frozen=True)
class KernelResult:
    """A kernel's timing in one cache state, with the check of its answer."""

    step: GpuStep
    mode: Mode
    algorithm: str
    weights_state: str
    timing: Timing
    relative_error: float


class Scratch:
    """Device memory that is handed out piece by piece and taken back all at once.

    Asking the driver for each of hundreds of buffers would take longer than measuring.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self._block_bytes = min(256 << 20, device.facts.memory_bytes // 32)
        self._blocks: list[tuple[int, int]] = []
        self._current, self._used = 0, 0

    def take(self, size_bytes: int) -> int:
        """Address of a piece, aligned to 256 bytes."""
        size = max(-(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES, ALIGNMENT_BYTES)
        while self._current < len(self._blocks):
            address, capacity = self._blocks[self._current]
            if self._used + size <= capacity:
                self._used += size
                return address + self._used - size
            self._current, self._used = self._current + 1, 0
        capacity = max(size, self._block_bytes)
        address = self._device.allocate(capacity)
        self._blocks.append((address, capacity))
        self._used = size
        return int(address)

    def take_back(self) -> None:
        """Every piece is free again; memory beyond an eighth of the device's is given back."""
        self._device.synchronize()
        self._current, self._used = 0, 0
        if sum(capacity for _, capacity in self._blocks) > self._device.facts.memory_bytes // 8:
            self.close()

    def close(self) -> None:
        """Give everything back to the device."""
        for address, _ in self._blocks:
            self._device.free(address)
        self._blocks.clear()


class RandomPool:
    """A block of standard normal numbers on the device; buffers are filled by copying it."""

    def __init__(self, device: Device, variant: KernelBuild, seed: int) -> None:
        self._device = device
        # rounded to half always, so that every mode computes on the very same numbers
        rng = np.random.default_rng(seed)
        self.values = rng.standard_normal(POOL_ELEMENTS).astype(np.float16).astype(np.float32)
        self._item = variant.dtype.itemsize
        self.address = device.allocate(POOL_ELEMENTS * self._item)
        device.upload(self.address, self.values.astype(variant.dtype))

    def fill(self, address: int, elements: int) -> None:
        """Write `elements` numbers at `address`, the pool again and again."""
        for at in range(0, elements, POOL_ELEMENTS):
            count = min(POOL_ELEMENTS, elements - at)
            self._device.copy(address + at * self._item, self.address, count * self._item)

    def array(self, shape: Shape, offset: int) -> NDArray[np.float32]:
        """An array of numbers from the pool, starting at `offset`."""
        rolled = np.roll(self.values, -offset)
        return np.resize(rolled, shape)

    def close(self) -> None:
        """Free the block."""
        self._device.free(self.address)


def scaled_weights(step: GpuStep, pool: RandomPool) -> tuple[NDArray[np.float32], ...]:
    """Weights from the pool, exact in half precision, scaled so that outputs are of order one."""
    arrays = [pool.array(shape, 7 + i) for i, shape in enumerate(step.weight_shapes)]
    if step.op in ("conv2d", "fully_connected"):
        # a power of two keeps the numbers exact
        arrays[0] = arrays[0] * np.float32(2.0 ** -round(math.log2(math.sqrt(step.matrix[2]))))
    return tuple(a.astype(np.float16).astype(np.float32) for a in arrays)


class KernelBench:
    """Measures steps in one mode on a device; holds the random data they share."""

    def __init__(self, device: Any, backend: Backend, seed: int) -> None:
        self.device, self.backend = device, backend
        self._variant = backend.mode.variant
        self._pool = RandomPool(device, self._variant, seed)
        self._reference_variant = KernelBuild(False, self._variant.nhwc, 1)
        self._reference_pool = RandomPool(device, self._reference_variant, seed)
        self._scratch = Scratch(device)
        self._outputs: list[int] = []

    def close(self) -> None:
        """Free everything."""
        self._pool.close()
        self._reference_pool.close()
        self._scratch.close()

    def measure(
        self, step: GpuStep, states: tuple[str, ...] = ("cold", "warm")
    ) -> list[KernelResult]:
        """Check the step's answer, then time it in each cache state.

        Raises `RunnerError` if no kernel runs it. A step without weights has one state, "cold".
        """
        try:
            if not step.weight_shapes:
                states = ("cold",)
            sets = self._sets(step) if "cold" in states else 1
            prepared, weights = self._prepare(step, sets)
            error = self._check(step, prepared[0], weights)
            results = []
            for state in states:
                used = prepared if state == "cold" else prepared[:1]
                timing = self._time(used)
                found = KernelResult(
                    step, self.backend.mode, prepared[0].algorithm, state, timing, error
                )
                results.append(found)
            return results
        finally:
            self._scratch.take_back()

    def _sets(self, step: GpuStep) -> int:
        """How many sets of weights and outputs exceed twice the L2 cache."""
        item = self._variant.dtype.itemsize
        size = (step.weight_elements + math.prod(step.output_shape)) * item
        wanted = math.ceil(2 * self.device.facts.l2_bytes / size)
        room = min(MOST_SET_BYTES, self.device.facts.memory_bytes // 8)
        return max(2, min(wanted, MOST_SETS, room // size))

    def _filled(self, pool: RandomPool, elements: int, item: int) -> int:
        address = self._scratch.take(elements * item)
        pool.fill(address, elements)
        return address

    def _uploaded(self, array: NDArray[Any]) -> int:
        address = self._scratch.take(array.nbytes)
        self.device.upload(address, array)
        return address

    def _copies(self, addresses: list[int], arrays: tuple[NDArray[Any], ...]) -> list[int]:
        """Another set of the same weights."""
        made = []
        for address, array in zip(addresses, arrays, strict=True):
            made.append(self._scratch.take(array.nbytes))
            self.device.copy(made[-1], address, array.nbytes)
        return made

    def _prepare(
        self, step: GpuStep, sets: int
    ) -> tuple[list[ReadyStep], tuple[NDArray[np.float32], ...]]:
        item = self._variant.dtype.itemsize
        inputs = tuple(self._filled(self._pool, math.prod(s), item) for s in step.input_shapes)
        outputs = math.prod(step.output_shape)
        residual = self._filled(self._pool, outputs, item) if step.residual else 0
        weights = scaled_weights(step, self._pool)
        stored = self.backend.constants(step, weights)
        first = [self._uploaded(array) for array in stored]
        prepared = []
        self._outputs = []
        for number in range(sets):
            addresses = first if number == 0 else self._copies(first, stored)
            output = self._scratch.take(outputs * item)
            self._outputs.append(output)
            operands = Operands(inputs, output, tuple(addresses), residual)
            prepared.append(self.backend.prepare(step, operands))
        return prepared, weights

    def _check(
        self,
        step: GpuStep,
        prepared: ReadyStep,
        weights: tuple[NDArray[np.float32], ...],
    ) -> float:
        """Error against our plain FP32 kernels on the same numbers (themselves checked in float64).

        The output is poisoned before; slices over all of it are compared.
        """
        elements = math.prod(step.output_shape)
        item = self._variant.dtype.itemsize
        self.device.fill(self._outputs[0], NAN_BYTE, elements * item)
        prepared.work()
        variant, pool = self._reference_variant, self._reference_pool
        inputs = tuple(self._filled(pool, math.prod(s), 4) for s in step.input_shapes)
        residual = self._filled(pool, elements, 4) if step.residual else 0
        addresses = [self._uploaded(a) for a in stored_weights(step, weights, variant)]
        output = self._scratch.take(elements * 4)
        operands = Operands(inputs, output, tuple(addresses), residual)
        run_launches(self.device, launches(step, operands, variant))()
        self.device.synchronize()
        return relative_error(
            self._slices(self._outputs[0], elements, self._variant),
            self._slices(output, elements, variant).astype(np.float64),
        )

    def _slices(self, address: int, elements: int, variant: KernelBuild) -> NDArray[Any]:
        """Numbers spread over a buffer, the first and the last included."""
        item, count = variant.dtype.itemsize, min(SLICE_ELEMENTS, elements)
        starts = np.linspace(0, elements - count, COMPARED_SLICES).astype(np.int64)
        parts = [
            self.device.download(address + int(at) * item, count, variant.dtype)
            for at in np.unique(starts)
        ]
        return np.concatenate(parts)

    def _time(self, prepared: list[ReadyStep]) -> Timing:
        """Rotate through the sets within one graph."""
        for one in prepared:
            one.work()
        self.device.synchronize()
        once = self.device.time_ms(prepared[0].work, 3)
        rounds = max(1, math.ceil(min(200.0, TARGET_GRAPH_MS / max(once, 1e-3)) / len(prepared)))

        def work() -> None:
            for _ in range(rounds):
                for one in prepared:
                    one.work()

        return time_work(self.device, work, samples=11, runs_inside=rounds * len(prepared))
