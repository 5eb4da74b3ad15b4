"""A whole network on a device: buffers with reuse, weights uploaded, every step prepared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from perfmodel.kernels.memory import Lifetime, MemoryPlan, plan_lifetimes
from perfmodel.runners.cuda.backends import Backend, ReadyStep
from perfmodel.runners.cuda.device import Device
from perfmodel.runners.cuda.kernels import Operands, from_layout, to_layout
from perfmodel.runners.cuda.reference import random_weights
from perfmodel.runners.cuda.steps import GpuPlan, GpuStep

Weights = Mapping[str, tuple[NDArray[np.float32], ...]]
NAN_BYTE = 0xFF
"""Every byte 0xFF is a NaN in 16- and in 32-bit floats: what nobody wrote shows."""
ALIGNMENT_BYTES = 256
"""What cudaMalloc gives, and what vector loads and cuDNN's kernels count on."""


def plan_arena(plan: GpuPlan, element_bytes: int) -> MemoryPlan:
    """Where each tensor of a plan lies in one block of memory, by when it is needed."""
    last = plan.last_use()
    first = dict.fromkeys(plan.inputs, -1)
    first |= {step.output: i for i, step in enumerate(plan.steps)}
    sizes = {name: math.prod(plan.shapes[name]) * element_bytes for name in first}
    # a tensor lives during the step that reads it last: a step must not write over its own input
    lives = {name: Lifetime(sizes[name], first[name], last[name]) for name in first}
    return plan_lifetimes(lives, ALIGNMENT_BYTES)


def make_weights(plan: GpuPlan, seed: int) -> dict[str, tuple[NDArray[np.float32], ...]]:
    """Seeded random weights of every step."""
    rng = np.random.default_rng(seed)
    return {step.name: random_weights(step, rng) for step in plan.steps if step.weight_shapes}


class GpuNetwork:
    """A plan whose buffers, weights and kernels are ready on a device."""

    def __init__(self, device: Device, backend: Backend, plan: GpuPlan, weights: Weights) -> None:
        self.device, self.backend, self.plan = device, backend, plan
        self._variant = backend.mode.variant
        self._arena = plan_arena(plan, self._variant.dtype.itemsize)
        self._base = device.allocate(self._arena.arena_bytes)
        # finite numbers of both widths, for the algorithms that are timed before there is data
        device.fill(self._base, 0x3C, self._arena.arena_bytes)
        self._constants: list[int] = []
        self.steps: tuple[ReadyStep, ...] = tuple(self._prepare(s, weights) for s in plan.steps)

    def _prepare(self, step: GpuStep, weights: Weights) -> ReadyStep:
        arrays = self.backend.constants(step, weights.get(step.name, ()))
        addresses = tuple(self._store(a) for a in arrays)
        residual = self.address(step.residual) if step.residual else 0
        inputs = tuple(self.address(n) for n in step.inputs)
        operands = Operands(inputs, self.address(step.output), addresses, residual)
        return self.backend.prepare(step, operands)

    def _store(self, array: NDArray[np.generic]) -> int:
        address = self.device.allocate(array.nbytes)
        self._constants.append(address)
        self.device.upload(address, array)
        return address

    def address(self, tensor: str) -> int:
        """Where a tensor lies on the device."""
        return self._base + self._arena.offsets[tensor]

    def run(self) -> None:
        """Enqueue all steps."""
        for step in self.steps:
            step.work()

    def poison(self) -> None:
        """Fill every activation buffer with NaN."""
        self.device.synchronize()
        self.device.fill(self._base, NAN_BYTE, self._arena.arena_bytes)

    def set_inputs(self, inputs: Mapping[str, NDArray[np.floating]]) -> None:
        """Upload NHWC inputs by name."""
        for name, array in inputs.items():
            self.device.upload(self.address(name), to_layout(array, self._variant))

    def read(self, tensor: str) -> NDArray[np.float64]:
        """A tensor as NHWC float64; only outputs survive a whole run."""
        shape = self.plan.shapes[tensor]
        flat = self.device.download(self.address(tensor), math.prod(shape), self._variant.dtype)
        return from_layout(flat, shape, self._variant)

    def close(self) -> None:
        """Free all memory."""
        self.device.synchronize()
        for address in (*self._constants, self._base):
            self.device.free(address)


def single_step_plan(step: GpuStep) -> GpuPlan:
    """A plan of one step alone, its residual an input too."""
    shapes = dict(zip(step.inputs, step.input_shapes, strict=True))
    if step.residual:
        shapes[step.residual] = step.output_shape
    inputs: Sequence[str] = tuple(shapes)
    shapes[step.output] = step.output_shape
    return GpuPlan(step.name, (step,), tuple(inputs), (step.output,), shapes)
