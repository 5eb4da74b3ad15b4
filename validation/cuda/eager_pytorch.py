"""Eager PyTorch of the same layers: the comparison that our runner must not lose.

One call of `torch.nn.functional` per operator, batch normalisation already folded as in the graph,
`cudnn.benchmark` on; FP16 in channels_last, as PyTorch's own tuning guide advises.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perfmodel.errors import RunnerError, UncoveredOpError
from perfmodel.runners.cuda.network import make_weights, single_step_plan
from perfmodel.runners.cuda.reference import random_input
from perfmodel.runners.cuda.steps import GpuPlan, GpuStep
from perfmodel.runners.cuda.timing import MOST_REPLAYS, SAMPLE_MS, Timing

PRECISIONS: Mapping[str, str] = MappingProxyType({"fp32": "nchw", "tf32": "nhwc", "fp16": "nhwc"})
"""Memory layout used for each precision."""
BF16, INT8 = "bf16", "int8"
INT8_STEP, INT8_ROWS = 8, 17
"""What `torch._int_mm` asks of a product on a GPU: sizes in steps of eight, over 16 rows."""


class EagerTorch:
    """PyTorch on a GPU, or on the CPU where `device` says so (to check the numbers)."""

    framework = "pytorch"
    layouts = PRECISIONS
    product_layouts: Mapping[str, str] = MappingProxyType({BF16: "nhwc", INT8: "nhwc"})

    def __init__(self, device: str = "cuda") -> None:
        try:
            import torch
        except ImportError as error:
            raise RunnerError(f"PyTorch is not installed: {error}", "pip install torch") from error
        if device == "cuda" and not torch.cuda.is_available():
            raise RunnerError("this PyTorch sees no GPU", "install a CUDA build of torch")
        self._torch, self._device = torch, device

    @property
    def build(self) -> str:
        """PyTorch and its cuDNN."""
        return f"torch {self._torch.__version__}, cuDNN {self._torch.backends.cudnn.version()}"

    def run(
        self,
        plan: GpuPlan,
        inputs: Mapping[str, NDArray[Any]],
        weights: Mapping[str, tuple[NDArray[np.float32], ...]],
        precision: str = "fp32",
    ) -> dict[str, NDArray[np.float64]]:
        """Outputs of a plan (NHWC), to check that this computes the same network."""
        torch = self._torch
        self._set_precision(precision)
        with torch.inference_mode():
            constants = self._constants(plan, weights, precision)
            tensors = {n: self._tensor(x, precision) for n, x in inputs.items()}
            results = self._pass(plan, tensors, constants)
        return {n: self._array(results[n]) for n in plan.outputs}

    def time(self, plan: GpuPlan, precision: str, seed: int, samples: int = 11) -> Timing:
        """Time of one pass, launched operator by operator."""
        self._set_precision(precision)
        rng = np.random.default_rng(seed)

        def ready() -> Callable[[], Any]:
            constants = self._constants(plan, make_weights(plan, seed), precision)
            tensors = {
                n: self._tensor(random_input(plan.shapes[n], rng), precision) for n in plan.inputs
            }
            return lambda: self._pass(plan, tensors, constants)

        return self._timing(ready, samples)

    def time_product(
        self, step: GpuStep, precision: str, seed: int, samples: int = 7
    ) -> Timing | None:
        """Time of one convolution or matrix product in bf16 or int8; None where this framework has
        no such kernel (int8 convolutions with a window, sizes that its product refuses)."""
        if step.op not in ("conv2d", "fully_connected"):
            return None
        if precision == BF16:
            return self.time(single_step_plan(step), precision, seed, samples)
        kernel, torch = step.kernel, self._torch
        pointwise = step.window is None or (step.window.kernel, step.window.stride) == (
            (1, 1),
            (1, 1),
        )
        if not pointwise or step.groups > 1 or kernel.m < INT8_ROWS:
            return None
        if kernel.n % INT8_STEP or kernel.k % INT8_STEP:
            return None

        def ready() -> Callable[[], Any]:
            torch.manual_seed(seed)
            x = torch.randint(-127, 128, (kernel.m, kernel.k), dtype=torch.int8)
            w = torch.randint(-127, 128, (kernel.n, kernel.k), dtype=torch.int8)
            # weights lie row by row, and the product takes them transposed
            x, w = x.to(self._device), w.to(self._device).t()
            return lambda: torch._int_mm(x, w)

        return self._timing(ready, samples)

    def _timing(self, ready: Callable[[], Callable[[], Any]], samples: int) -> Timing:
        """Time of what `ready` prepares; raises `RunnerError` where PyTorch cannot run it."""
        torch = self._torch
        try:
            with torch.inference_mode():
                work = ready()
                warmups = [self._elapsed_ms(work, 1) for _ in range(4)]
                replays = max(1, min(MOST_REPLAYS, int(SAMPLE_MS / min(warmups)) + 1))
                values = [self._elapsed_ms(work, replays) for _ in range(samples)]
        except RuntimeError as error:
            raise RunnerError(f"PyTorch cannot run this: {str(error)[:200]}") from error
        return Timing(tuple(v * 1e3 for v in values), tuple(w * 1e3 for w in warmups), False)

    def _set_precision(self, precision: str) -> None:
        if precision not in (*PRECISIONS, BF16):
            raise RunnerError(f"precision {precision!r} is none of {', '.join(PRECISIONS)}")
        torch = self._torch
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"

    def _move(self, array: NDArray[Any], precision: str, image: bool) -> Any:
        torch = self._torch
        dtype = {"fp16": torch.float16, BF16: torch.bfloat16}.get(precision, torch.float32)
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self._device, dtype)
        if image and PRECISIONS.get(precision, "nhwc") == "nhwc":
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor

    def _tensor(self, x: NDArray[Any], precision: str) -> Any:
        image = x.ndim == 4
        return self._move(x.transpose(0, 3, 1, 2) if image else x, precision, image)

    def _array(self, tensor: Any) -> NDArray[np.float64]:
        array: NDArray[np.float64] = tensor.double().cpu().numpy()
        return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array

    def _constants(
        self, plan: GpuPlan, weights: Mapping[str, tuple[NDArray[np.float32], ...]], precision: str
    ) -> dict[str, list[Any]]:
        constants = {}
        for step in plan.steps:
            arrays = list(weights.get(step.name, ()))
            if step.op == "conv2d":
                arrays[0] = arrays[0].transpose(0, 3, 1, 2)
            elif step.op == "fully_connected" and len(step.input_shapes[0]) == 4:
                _, h, w, c = step.input_shapes[0]
                flat = arrays[0].reshape(-1, h, w, c).transpose(0, 3, 1, 2)
                arrays[0] = flat.reshape(len(arrays[0]), -1)
            constants[step.name] = [self._move(a, precision, a.ndim == 4) for a in arrays]
        return constants

    def _pass(self, plan: GpuPlan, inputs: dict[str, Any], constants: dict[str, list[Any]]) -> Any:
        alive, last = dict(inputs), plan.last_use()
        for i, step in enumerate(plan.steps):
            y = self._step(step, [alive[n] for n in step.inputs], constants[step.name])
            if step.residual:
                y = y + alive[step.residual]
            alive[step.output] = self._activate(y, step.activation)
            for name in [n for n in alive if last[n] <= i]:
                del alive[name]
        return alive

    def _step(self, step: GpuStep, inputs: list[Any], constants: list[Any]) -> Any:
        functional = self._torch.nn.functional
        x = inputs[0]
        if step.op == "conv2d":
            assert step.window is not None
            x, pads = self._padded(x, step, 0.0)
            return functional.conv2d(
                x,
                *constants,
                stride=step.window.stride,
                padding=pads,
                dilation=step.window.dilation,
                groups=step.groups,
            )
        if step.op == "fully_connected":
            return functional.linear(x.reshape(step.matrix[0], -1), *constants)
        if step.op in ("max_pool2d", "avg_pool2d"):
            return self._pool(x, step)
        if step.op == "reduce_mean":
            return x.mean((2, 3), keepdim=len(step.output_shape) == 4)
        if step.op in ("mul", "batch_norm") or (step.op == "add" and len(inputs) == 1):
            shaped = [c.reshape(-1, 1, 1) if x.ndim == 4 else c for c in constants]
            if step.op == "add":
                return x + shaped[0]
            y = x * shaped[0]
            return y + shaped[1] if step.op == "batch_norm" else y
        if step.op == "add":
            return inputs[0] + inputs[1]
        if step.op == "concat":
            return self._torch.cat(inputs, 1)
        if step.op == "activation":
            return x
        if step.op == "softmax":
            return functional.softmax(x, 1)
        if step.op == "lrn":
            size = int(step.options["size"])
            return functional.local_response_norm(
                x, size, step.options["alpha"] * size, step.options["beta"], step.options["bias"]
            )
        raise UncoveredOpError(f"step {step.name!r} ({step.op}) is not written for PyTorch")

    def _padded(self, x: Any, step: GpuStep, fill: float) -> tuple[Any, tuple[int, int]]:
        """PyTorch pads both sides alike; one-sided padding becomes a kernel of its own."""
        assert step.window is not None
        top, bottom, left, right = step.window.pads
        if step.window.symmetric:
            return x, (top, left)
        pads = (left, right, top, bottom)
        return self._torch.nn.functional.pad(x, pads, value=fill), (0, 0)

    def _pool(self, x: Any, step: GpuStep) -> Any:
        functional = self._torch.nn.functional
        assert step.window is not None
        kernel, stride = step.window.kernel, step.window.stride
        if step.op == "max_pool2d":
            x, pads = self._padded(x, step, float("-inf"))
            return functional.max_pool2d(x, kernel, stride, pads)
        if not step.window.symmetric:
            raise UncoveredOpError(f"step {step.name!r}: average pooling padded on one side")
        pads = (step.window.pads[0], step.window.pads[2])
        return functional.avg_pool2d(x, kernel, stride, pads, count_include_pad=False)

    def _activate(self, x: Any, activation: str) -> Any:
        functional = self._torch.nn.functional
        names = {
            "relu": functional.relu,
            "relu6": functional.relu6,
            "sigmoid": self._torch.sigmoid,
            "tanh": self._torch.tanh,
            "hard_swish": functional.hardswish,
            "hard_sigmoid": functional.hardsigmoid,
            "swish": functional.silu,
        }
        return x if activation == "none" else names[activation](x)

    def _elapsed_ms(self, work: Callable[[], Any], runs: int) -> float:
        if self._device == "cpu":
            began = time.perf_counter()
            for _ in range(runs):
                work()
            return (time.perf_counter() - began) * 1e3 / runs
        cuda = self._torch.cuda
        start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        start.record()
        for _ in range(runs):
            work()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / runs
