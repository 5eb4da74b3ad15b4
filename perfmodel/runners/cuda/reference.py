"""Float64 reference of every step on the CPU: what a GPU's answer is checked against.

Written for clarity and independence from the kernels: NumPy on NHWC arrays, one function per
operator, no code shared with any backend.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from perfmodel.errors import UncoveredOpError
from perfmodel.runners.cuda.steps import GpuPlan, GpuStep, Window

Array = NDArray[np.float64]


def relative_error(out: NDArray[np.floating], ref: Array) -> float:
    """||out - ref|| / ||ref||; infinite if any element is not finite, whatever the rest says."""
    if out.shape != ref.shape:
        raise ValueError(f"shapes differ: {out.shape} and {ref.shape}")
    if not np.isfinite(out).all():
        return math.inf
    scale = float(np.linalg.norm(ref))
    difference = float(np.linalg.norm(out.astype(np.float64) - ref))
    return difference / scale if scale > 0 else (0.0 if difference == 0 else math.inf)


def random_weights(step: GpuStep, rng: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
    """Weights that keep activations of order one (He et al. 2015), so that fp16 can hold them."""
    shapes = step.weight_shapes
    if not shapes:
        return ()
    if len(shapes) == 1:
        return (rng.uniform(0.8, 1.2, shapes[0]).astype(np.float32),)
    if step.op == "batch_norm":
        scale = rng.uniform(0.8, 1.2, shapes[0])
        shift = rng.normal(0.0, 0.1, shapes[1])
        return scale.astype(np.float32), shift.astype(np.float32)
    fan_in = math.prod(shapes[0][1:])
    # drawn in single precision: a small board has no room for twice the weights of a VGG
    weights = rng.standard_normal(shapes[0], dtype=np.float32)
    weights *= np.float32(math.sqrt(2.0 / fan_in))
    bias = rng.standard_normal(shapes[1], dtype=np.float32) * np.float32(0.1)
    return weights, bias


def random_input(shape: Sequence[int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Standard normal data of that shape; never zeros, which hide errors and can run faster."""
    return rng.standard_normal(tuple(shape), dtype=np.float32)


def activate(x: Array, activation: str) -> Array:
    """The activation, element by element."""
    if activation == "none":
        return x
    if activation == "relu":
        return np.maximum(x, 0)
    if activation == "relu6":
        return np.clip(x, 0, 6)
    if activation == "tanh":
        return np.tanh(x)
    if activation in ("sigmoid", "swish"):
        gate = 1 / (1 + np.exp(-x))
        return gate if activation == "sigmoid" else x * gate
    if activation in ("hard_sigmoid", "hard_swish"):
        gate = np.clip(x / 6 + 0.5, 0, 1)
        return gate if activation == "hard_sigmoid" else x * gate
    raise UncoveredOpError(f"activation {activation!r} has no reference")


def run_step(
    step: GpuStep, inputs: Sequence[Array], weights: Sequence[Array], residual: Array | None = None
) -> Array:
    """The result of one step in float64; arrays are NHWC, weights (cout, kh, kw, cin/groups)."""
    x = inputs[0]
    if step.op == "conv2d":
        assert step.window is not None
        y = convolve(x, weights[0], step.window, step.groups, step.output_shape) + weights[1]
    elif step.op == "fully_connected":
        rows = step.matrix[0]
        y = (x.reshape(rows, -1) @ weights[0].T + weights[1]).reshape(step.output_shape)
    elif step.op in ("max_pool2d", "avg_pool2d"):
        assert step.window is not None
        y = pool(x, step.window, step.op == "max_pool2d", step.output_shape)
    elif step.op == "reduce_mean":
        y = x.mean(axis=(1, 2)).reshape(step.output_shape)
    elif step.op == "add":
        y = inputs[0] + (inputs[1] if len(inputs) == 2 else weights[0])
    elif step.op == "mul":
        y = x * weights[0]
    elif step.op == "concat":
        y = np.concatenate(list(inputs), axis=-1)
    elif step.op == "batch_norm":
        y = x * weights[0] + weights[1]
    elif step.op == "activation":
        y = x
    elif step.op == "softmax":
        y = np.exp(x - x.max(axis=-1, keepdims=True))
        y = y / y.sum(axis=-1, keepdims=True)
    elif step.op == "lrn":
        y = local_response_norm(x, step.options)
    else:
        raise UncoveredOpError(f"step {step.name!r} ({step.op}) has no reference")
    if residual is not None:
        y = y + residual
    return activate(y, step.activation)


def _windows(x: Array, window: Window, output: Sequence[int], fill: float) -> Array:
    """View of shape (n, hout, wout, c, kh, kw) over the padded input."""
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    t, b, left, r = window.pads
    padded = np.pad(x, ((0, 0), (t, b), (left, r), (0, 0)), constant_values=fill)
    reach = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))
    return view[:, ::sh, ::sw, :, ::dh, ::dw][:, : output[1], : output[2]]


def convolve(x: Array, weights: Array, window: Window, groups: int, output: Sequence[int]) -> Array:
    """Convolution (cross-correlation) as one matrix product per group."""
    view = _windows(x, window, output, 0.0)
    cout, _kh, _kw, cin_group = weights.shape
    per_group = cout // groups
    n, hout, wout = output[:3]
    y = np.empty(tuple(output))
    for g in range(groups):
        patch = view[..., g * cin_group : (g + 1) * cin_group, :, :]
        columns = patch.transpose(0, 1, 2, 4, 5, 3).reshape(n * hout * wout, -1)
        kernel = weights[g * per_group : (g + 1) * per_group].reshape(per_group, -1)
        product = columns @ kernel.T
        y[..., g * per_group : (g + 1) * per_group] = product.reshape(n, hout, wout, per_group)
    return y


def pool(x: Array, window: Window, maximum: bool, output: Sequence[int]) -> Array:
    """Max or average pooling; padding is outside the maximum and outside the average's count."""
    if maximum:
        return _windows(x, window, output, -np.inf).max(axis=(-2, -1))
    total = _windows(x, window, output, 0.0).sum(axis=(-2, -1))
    count = _windows(np.ones((1, *x.shape[1:3], 1)), window, output, 0.0).sum(axis=(-2, -1))
    return total / count


def local_response_norm(x: Array, options: Mapping[str, float]) -> Array:
    """Across channels: x / (bias + alpha * sum of squares in the window) ** beta."""
    size = int(options["size"])
    before = (size - 1) // 2
    squares = np.pad(x * x, ((0, 0),) * 3 + ((before, size - 1 - before),))
    sums = np.lib.stride_tricks.sliding_window_view(squares, size, axis=3).sum(axis=-1)
    return x / (options["bias"] + options["alpha"] * sums) ** options["beta"]


def run_plan(
    plan: GpuPlan,
    inputs: Mapping[str, NDArray[np.floating]],
    weights: Mapping[str, Sequence[NDArray[np.floating]]],
) -> dict[str, Array]:
    """All tensors that are still alive at the end (the plan's outputs), in float64."""
    alive: dict[str, Array] = {name: np.asarray(x, np.float64) for name, x in inputs.items()}
    last = plan.last_use()
    for i, step in enumerate(plan.steps):
        constants = [np.asarray(w, np.float64) for w in weights.get(step.name, ())]
        residual = alive[step.residual] if step.residual else None
        alive[step.output] = run_step(step, [alive[n] for n in step.inputs], constants, residual)
        alive = {n: x for n, x in alive.items() if last[n] > i}
    return {name: alive[name] for name in plan.outputs}
