"""Backends turn a step and its buffers into work on a device: "vanilla" and "cudnn".

`vanilla` runs our own CUDA kernels only. `cudnn` picks, per step and by timing on the device, the
fastest of what NVIDIA's libraries offer (each cuDNN algorithm, fused or with our epilogue;
cuBLASLt for matrix products) and of our own streaming kernels, as an inference engine would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perfmodel.errors import RunnerError
from perfmodel.runners.cuda import cudnn
from perfmodel.runners.cuda.cublas import CublasLt
from perfmodel.runners.cuda.device import Device, Work
from perfmodel.runners.cuda.kernels import (
    KernelBuild,
    Launch,
    Operands,
    depthwise_launch,
    epilogue,
    launches,
    stored_weights,
)
from perfmodel.runners.cuda.steps import GpuStep


@dataclass(frozen=True)
class Mode:
    """A way to run a network: framework, arithmetic and tensor layout (nchw or nhwc)."""

    framework: str
    precision: str
    layout: str

    @property
    def name(self) -> str:
        """For example "cudnn/fp16"."""
        return f"{self.framework}/{self.precision}"

    @property
    def variant(self) -> KernelBuild:
        """The build of our kernels that fits: vanilla handles one element a thread."""
        half = self.precision == "fp16"
        wide = 8 if half else 4
        return KernelBuild(half, self.layout == "nhwc", 1 if self.framework == "vanilla" else wide)

    @property
    def tolerance(self) -> float:
        """Largest ||error|| / ||reference|| that one kernel of this arithmetic may show."""
        return {"fp32": 1e-4, "tf32": 3e-3, "fp16": 1e-2}[self.precision]


MODES: Mapping[str, Mode] = MappingProxyType(
    {
        m.name: m
        for m in (
            Mode("vanilla", "fp32", "nchw"),
            Mode("cudnn", "fp32", "nchw"),
            Mode("cudnn", "tf32", "nhwc"),
            Mode("cudnn", "fp16", "nhwc"),
        )
    }
)
"""The modes of the study. FP32 forbids TF32; TF32 keeps 32-bit data and uses tensor cores."""


@dataclass(frozen=True)
class ReadyStep:
    """A step that is ready to be enqueued, and what will run it."""

    work: Work
    algorithm: str


class Backend(Protocol):
    """Prepares steps on a device."""

    @property
    def mode(self) -> Mode:
        """How this backend computes."""
        ...

    def constants(
        self, step: GpuStep, weights: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[Any], ...]:
        """The step's weights as `prepare` wants to find them on the device."""
        ...

    def prepare(self, step: GpuStep, operands: Operands) -> ReadyStep:
        """Work that computes the step on these buffers."""
        ...

    def close(self) -> None:
        """Give back handles and memory."""
        ...


def run_launches(device: Device, sequence: Iterable[Launch]) -> Work:
    """Work that enqueues our kernels in order."""
    sequence = tuple(sequence)

    def work() -> None:
        for launch in sequence:
            device.launch(launch)

    return work


class VanillaBackend:
    """Our own kernels, nothing else."""

    def __init__(self, device: Device, mode: Mode = MODES["vanilla/fp32"]) -> None:
        self._device = device
        self.mode = mode

    def constants(
        self, step: GpuStep, weights: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[Any], ...]:
        """Weights in the order our kernels read them."""
        return stored_weights(step, weights, self.mode.variant)

    def prepare(self, step: GpuStep, operands: Operands) -> ReadyStep:
        """The one kernel there is for each operator."""
        sequence = launches(step, operands, self.mode.variant)
        return ReadyStep(run_launches(self._device, sequence), sequence[0].kernel)

    def close(self) -> None:
        """Nothing is held."""


class CudnnBackend:
    """NVIDIA's libraries and our streaming kernels, the fastest per step.

    `workspace_bytes` limits the scratch memory of an algorithm. Choices are remembered by shape.
    """

    def __init__(
        self, device: Device, mode: Mode, stream: int, workspace_bytes: int = 256 << 20
    ) -> None:
        self.mode = mode
        self._device = device
        self._variant = mode.variant
        self._cudnn = cudnn.Handle(stream)
        self._lt = _cublas(stream)
        self._workspace_bytes = workspace_bytes
        self._workspace = device.allocate(workspace_bytes)
        self._chosen: dict[object, str] = {}

    def close(self) -> None:
        """Release handles and scratch memory."""
        self._device.synchronize()
        self._cudnn.close()
        if self._lt is not None:
            self._lt.close()
        self._device.free(self._workspace)

    def constants(
        self, step: GpuStep, weights: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[Any], ...]:
        """Weights for cuDNN; NHWC depthwise layers have a second copy for our own kernel."""
        stored = stored_weights(step, weights, self._variant)
        if self._own_depthwise(step):
            stored += stored_weights(step, weights, self._variant, depthwise=True)[:1]
        return stored

    def _own_depthwise(self, step: GpuStep) -> bool:
        same = step.output_shape[-1] == step.input_shapes[0][-1]
        return self._variant.nhwc and step.depthwise and same

    def prepare(self, step: GpuStep, operands: Operands) -> ReadyStep:
        """The fastest candidate for this shape, timed on these very buffers the first time."""
        candidates = self.candidates(step, operands)
        if not candidates:
            raise RunnerError(f"step {step.name!r}: no algorithm of cuDNN runs it")
        key = choice_key(step)
        if key not in self._chosen:
            self._chosen[key] = fastest(self._device, candidates)
        chosen = self._chosen[key]
        return next((c for c in candidates if c.algorithm == chosen), candidates[0])

    def candidates(self, step: GpuStep, operands: Operands) -> list[ReadyStep]:
        """Every way this backend knows to compute the step."""
        if step.op == "conv2d":
            return self._convolutions(step, operands)
        if step.op == "fully_connected":
            products = self._products(step, operands)
            return products or [self._own(step, operands)]
        if step.op in ("max_pool2d", "avg_pool2d"):
            return [*self._poolings(step, operands), self._own(step, operands)]
        return [self._own(step, operands)]

    def _own(self, step: GpuStep, operands: Operands) -> ReadyStep:
        sequence = launches(step, operands, self._variant)
        return ReadyStep(run_launches(self._device, sequence), f"own:{sequence[0].kernel}")

    def _convolutions(self, step: GpuStep, o: Operands) -> list[ReadyStep]:
        found: list[ReadyStep] = []
        if self._own_depthwise(step):
            fast = Operands(o.inputs, o.output, (o.weights[2], o.weights[1]), o.residual)
            sequence = depthwise_launch(step, fast, self._variant)
            found.append(ReadyStep(run_launches(self._device, sequence), "own:depthwise_nhwc"))
        elif step.groups > 1:
            found.append(self._own(step, o))
        if is_matrix_product(step) and self._variant.nhwc:
            found += self._products(step, o)
        assert step.window is not None
        if step.window.symmetric:
            found += self._cudnn_convolutions(step, o)
        # a convolution that no library takes still has to run
        return found or [self._own(step, o)]

    def _cudnn_convolutions(self, step: GpuStep, o: Operands) -> list[ReadyStep]:
        assert step.window is not None
        half, nhwc = self._variant.half, self._variant.nhwc
        x = cudnn.tensor(step.input_shapes[0], half, nhwc)
        y = cudnn.tensor(step.output_shape, half, nhwc)
        w = cudnn.filters(step.weight_shapes[0], half, nhwc)
        # FP32 must not slip into TF32; the others ask for tensor cores
        math_type = cudnn.FMA_MATH if self.mode.precision == "fp32" else cudnn.TENSOR_OP_MATH
        conv = cudnn.convolution(step.window, step.groups, math_type)
        bias = cudnn.bias_tensor(step.output_shape[3], half)
        fusable = step.activation in ("none", "relu")
        act = cudnn.activation(step.activation == "relu")
        found: list[ReadyStep] = []
        for number, name in enumerate(cudnn.ALGORITHMS):
            size = self._cudnn.workspace_bytes(x, w, conv, y, number)
            if size is None or size > self._workspace_bytes:
                continue
            # cuDNN fuses the identity with this one algorithm only
            if fusable and (step.activation == "relu" or number == cudnn.PRECOMP_GEMM):
                fused = self._fused_convolution((x, w, conv, bias, act, y), o, number, size)
                found.append(ReadyStep(fused, f"cudnn:{name}:fused"))
            plain = self._plain_convolution(step, (x, w, conv, y), o, number, size)
            found.append(ReadyStep(plain, f"cudnn:{name}"))
        return found

    def _fused_convolution(
        self, descriptors: Sequence[cudnn.Descriptor], o: Operands, algorithm: int, size: int
    ) -> Work:
        addresses = (o.inputs[0], o.weights[0], o.weights[1], o.residual, o.output)

        def work() -> None:
            self._cudnn.convolve_fused(descriptors, addresses, algorithm, self._workspace, size)

        return work

    def _plain_convolution(
        self,
        step: GpuStep,
        descriptors: Sequence[cudnn.Descriptor],
        o: Operands,
        algorithm: int,
        size: int,
    ) -> Work:
        addresses = (o.inputs[0], o.weights[0], o.output)
        after = run_launches(
            self._device,
            epilogue(
                step=step,
                x=o.output,
                scale=0,
                shift=o.weights[1],
                residual=o.residual,
                output=o.output,
                variant=self._variant,
            ),
        )

        def work() -> None:
            self._cudnn.convolve(descriptors, addresses, algorithm, self._workspace, size)
            after()

        return work

    def _products(self, step: GpuStep, o: Operands) -> list[ReadyStep]:
        """cuBLASLt's own favourites for a 1x1 convolution (NHWC) or a fully connected layer."""
        if self._lt is None:
            return []
        relu = step.activation == "relu"
        found = self._lt.linear(
            step.matrix,
            half=self._variant.half,
            tf32=self.mode.precision == "tf32",
            relu=relu,
            bias=o.weights[1],
            residual=bool(o.residual),
            workspace_bytes=self._workspace_bytes,
        )
        after: Work | None = None
        if step.activation not in ("none", "relu"):
            from dataclasses import replace

            only = replace(step, op="activation", residual="", input_shapes=(step.output_shape,))
            spot = Operands((o.output,), o.output)
            after = run_launches(self._device, launches(only, spot, self._variant))
        return [
            ReadyStep(self._product(product, o, after), f"cublaslt:{rank}")
            for rank, product in enumerate(found)
        ]

    def _product(self, product: Any, o: Operands, after: Work | None) -> Work:
        def work() -> None:
            product.enqueue(o.inputs[0], o.weights[0], o.residual, o.output, self._workspace)
            if after is not None:
                after()

        return work

    def _poolings(self, step: GpuStep, o: Operands) -> list[ReadyStep]:
        assert step.window is not None
        half, nhwc = self._variant.half, self._variant.nhwc
        if not step.window.symmetric:
            return []
        pool = cudnn.pooling(step.window, step.op == "max_pool2d")
        x = cudnn.tensor(step.input_shapes[0], half, nhwc)
        if cudnn.pooling_output(pool, x) != step.output_shape:
            return []
        y = cudnn.tensor(step.output_shape, half, nhwc)

        def work() -> None:
            self._cudnn.pool(pool, x, o.inputs[0], y, o.output)

        return [ReadyStep(work, "cudnn:pool")]


def _cublas(stream: int) -> CublasLt | None:
    """cuBLASLt, or None where it is too old or absent (cuDNN and our kernels then do its work)."""
    try:
        return CublasLt(stream)
    except RunnerError:
        return None


def is_matrix_product(step: GpuStep) -> bool:
    """Whether a convolution is one matrix product over pixels: 1x1, stride 1, no padding."""
    w = step.window
    return (
        step.op == "conv2d"
        and w is not None
        and step.groups == 1
        and w.kernel == (1, 1)
        and w.stride == (1, 1)
        and not any(w.pads)
    )


def choice_key(step: GpuStep) -> object:
    """What the choice of an algorithm may depend on."""
    shapes = (step.input_shapes, step.output_shape)
    return (step.op, *shapes, step.window, step.groups, step.activation, bool(step.residual))


def fastest(device: Device, candidates: Sequence[ReadyStep], repeats: int = 5) -> str:
    """The algorithm that takes the least time; those that fail or cannot be captured drop out."""
    if len(candidates) == 1:
        return candidates[0].algorithm
    times: dict[str, float] = {}
    reasons: list[str] = []
    for candidate in candidates:
        try:
            candidate.work()
            device.synchronize()
            times[candidate.algorithm] = device.time_ms(candidate.work, repeats)
        except RunnerError as error:
            reasons.append(f"{candidate.algorithm}: {error}")
    if not times:
        raise RunnerError(f"no candidate ran: {'; '.join(reasons)}")
    return min(times, key=lambda name: times[name])


def make_backend(device: Any, mode: Mode) -> Backend:
    """The backend of a mode on a `CudaDevice`."""
    if mode.framework == "vanilla":
        return VanillaBackend(device, mode)
    if mode.framework == "cudnn":
        # small boards share their memory with the CPU: leave most of it alone
        limit = min(256 << 20, device.facts.memory_bytes // 16)
        return CudnnBackend(device, mode, device.stream_handle, limit)
    raise RunnerError(f"no framework {mode.framework!r} here", f"one of {', '.join(MODES)}")
