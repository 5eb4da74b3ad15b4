"""Which of our CUDA kernels run a step, with which grid and arguments.

Pure descriptions: nothing here touches a GPU. Pointers are plain integers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from perfmodel.errors import RunnerError, UncoveredOpError
from perfmodel.runners.cuda.steps import ACTIVATION_CODES, GpuStep, Shape

THREADS = 256
TILE = 16
INT_LIMIT = 2**31 - 1
CONCAT_INPUTS = 4
"""Inputs one launch of the concat kernel takes; the values above are those of kernels.cu."""


@dataclass(frozen=True)
class KernelBuild:
    """One build of the kernels: storage type, tensor layout and elements per thread."""

    half: bool = False
    nhwc: bool = False
    vector: int = 1

    @property
    def macros(self) -> tuple[str, ...]:
        """Compiler options that select it."""
        return (f"-DHALF={int(self.half)}", f"-DNHWC={int(self.nhwc)}", f"-DVEC={self.vector}")

    @property
    def dtype(self) -> np.dtype:
        """NumPy type of one element in memory."""
        return np.dtype(np.float16 if self.half else np.float32)

    @property
    def wide(self) -> int:
        """Elements in 16 bytes, the widest access of a thread."""
        return 16 // self.dtype.itemsize

    def vectorised(self, vector: int) -> KernelBuild:
        """The same storage with another number of elements per thread."""
        return KernelBuild(self.half, self.nhwc, vector)


VARIANTS = tuple(
    KernelBuild(half, nhwc, vector)
    for half in (False, True)
    for nhwc in (False, True)
    for vector in (1, 8 if half else 4)
)
"""Every build that the runner may ask for."""


@dataclass(frozen=True)
class Launch:
    """One kernel launch: which build, which function, grid and block sizes, arguments in order."""

    kernel: str
    variant: KernelBuild
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arguments: tuple[int | float, ...]


@dataclass(frozen=True)
class Operands:
    """Device addresses of a step's buffers; 0 is "not there"."""

    inputs: tuple[int, ...]
    output: int
    weights: tuple[int, ...] = ()
    residual: int = 0
    workspace: int = 0


@lru_cache(maxsize=4)
def signatures(source: str) -> Mapping[str, str]:
    """Parameter types of each kernel in CUDA C `source`: P pointer, i int, f float."""
    found = re.finditer(r'extern "C" __global__ void (\w+)\((.*?)\)', source, re.DOTALL)
    return {m.group(1): "".join(_letter(p) for p in m.group(2).split(",")) for m in found}


def _letter(parameter: str) -> str:
    if "*" in parameter:
        return "P"
    return {"int": "i", "float": "f"}[parameter.split()[0]]


def stored_weights(
    step: GpuStep,
    weights: Sequence[NDArray[np.float32]],
    variant: KernelBuild,
    depthwise: bool = False,
) -> tuple[NDArray[np.generic], ...]:
    """The step's constants in the order and type the kernels read.

    NCHW builds hold convolutions as (cout, cin/groups, kh, kw) and permute the columns of a fully
    connected layer that flattens an image; `depthwise` asks for (kh, kw, channels).
    """
    if not weights:
        return ()
    first = weights[0]
    if step.op == "conv2d":
        if depthwise:
            first = first[..., 0].transpose(1, 2, 0)
        elif not variant.nhwc:
            first = first.transpose(0, 3, 1, 2)
    elif step.op == "fully_connected" and not variant.nhwc and len(step.input_shapes[0]) == 4:
        _, h, w, c = step.input_shapes[0]
        first = first.reshape(-1, h, w, c).transpose(0, 3, 1, 2).reshape(len(first), -1)
    stored = (first, *weights[1:])
    return tuple(np.ascontiguousarray(w, dtype=variant.dtype) for w in stored)


def to_layout(x: NDArray[np.floating], variant: KernelBuild) -> NDArray[np.generic]:
    """An NHWC (or any-rank) array as the build stores it."""
    if x.ndim == 4 and not variant.nhwc:
        x = x.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(x, dtype=variant.dtype)


def from_layout(
    flat: NDArray[np.generic], shape: Shape, variant: KernelBuild
) -> NDArray[np.float64]:
    """What a buffer of the build holds, as an NHWC array."""
    if len(shape) == 4 and not variant.nhwc:
        n, h, w, c = shape
        return flat.reshape(n, c, h, w).transpose(0, 2, 3, 1).astype(np.float64)
    return flat.reshape(shape).astype(np.float64)


def launches(step: GpuStep, operands: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    """The launches of our own kernels that compute `step`.

    Raises `RunnerError` if a tensor is too large for 32-bit indices, `UncoveredOpError` for an
    operator without a kernel.
    """
    for shape in (*step.input_shapes, step.output_shape):
        if not 0 < math.prod(shape) <= INT_LIMIT:
            raise RunnerError(
                f"step {step.name!r}: shape {shape} is empty or too large for 32-bit indices",
                "use a smaller batch",
            )
    builder = _BUILDERS.get(step.op)
    if builder is None:
        raise UncoveredOpError(f"step {step.name!r}: no CUDA kernel for {step.op!r}")
    return builder(step, operands, variant)


def flat_grid(items: int) -> tuple[int, int, int]:
    """Blocks of 256 threads that cover `items`."""
    return (-(-items // THREADS), 1, 1)


def _launch(
    kernel: str,
    variant: KernelBuild,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    *arguments: int | float,
) -> tuple[Launch, ...]:
    if grid[1] > 65535:
        raise RunnerError(f"{kernel}: {grid[1]} blocks in y exceed CUDA's 65535", "smaller batch")
    return (Launch(kernel, variant, grid, block, arguments),)


def _conv_shape(step: GpuStep) -> tuple[int, ...]:
    n, hin, win, cin = step.input_shapes[0]
    _, hout, wout, cout = step.output_shape
    return (n, cin, hin, win, cout, hout, wout)


def _window(step: GpuStep) -> tuple[int, ...]:
    assert step.window is not None
    w = step.window
    return (*w.kernel, *w.stride, w.pads[0], w.pads[2], *w.dilation)


def _conv(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    head = (o.inputs[0], o.weights[0], o.weights[1], o.residual, o.output)
    code = ACTIVATION_CODES[step.activation]
    scalar = variant.vectorised(1)
    if step.groups > 1:
        grid = flat_grid(math.prod(step.output_shape))
        tail = (*_conv_shape(step), *_window(step), step.groups, code)
        return _launch("conv_direct", scalar, grid, (THREADS, 1, 1), *head, *tail)
    pixels, filters, _ = step.matrix
    over_pixels, over_filters = -(-pixels // TILE), -(-filters // TILE)
    grid = (over_filters, over_pixels, 1) if variant.nhwc else (over_pixels, over_filters, 1)
    tail = (*_conv_shape(step), *_window(step), code)
    return _launch("conv_gemm", scalar, grid, (TILE, TILE, 1), *head, *tail)


def depthwise_launch(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    """The channel-vectorised depthwise kernel (NHWC only; weights as (kh, kw, channels))."""
    n, hin, win, c = step.input_shapes[0]
    _, hout, wout, cout = step.output_shape
    if not (variant.nhwc and step.depthwise and cout == c):
        raise RunnerError(f"step {step.name!r} is no NHWC depthwise convolution")
    v = variant.wide if c % variant.wide == 0 else 1
    grid = flat_grid(n * hout * wout * c // v)
    arguments = (o.inputs[0], *o.weights, o.residual, o.output, n, c, hin, win, hout, wout)
    tail = (*_window(step), ACTIVATION_CODES[step.activation])
    return _launch(
        "depthwise_nhwc", variant.vectorised(v), grid, (THREADS, 1, 1), *arguments, *tail
    )


def _linear(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    m, n, k = step.matrix
    grid = (-(-n // TILE), -(-m // TILE), 1)
    code = ACTIVATION_CODES[step.activation]
    arguments = (o.inputs[0], *o.weights, o.output, m, n, k, code)
    return _launch("linear", variant.vectorised(1), grid, (TILE, TILE, 1), *arguments)


def _pool(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    n, hin, win, c = step.input_shapes[0]
    _, hout, wout, _ = step.output_shape
    v = variant.vector if variant.nhwc and c % variant.vector == 0 else 1
    grid = flat_grid(n * hout * wout * c // v)
    maximum = int(step.op == "max_pool2d")
    arguments = (o.inputs[0], o.output, n, c, hin, win, hout, wout, *_window(step)[:6], maximum)
    return _launch("pool", variant.vectorised(v), grid, (THREADS, 1, 1), *arguments)


def _mean(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    n, h, w, c = step.input_shapes[0]
    grid, block = ((c, n, 1), (THREADS, 1, 1))
    if variant.nhwc:
        grid, block = (-(-c // 32), n, 1), (32, 8, 1)
    arguments = (o.inputs[0], o.output, n, c, h * w)
    return _launch("mean_pixels", variant.vectorised(1), grid, block, *arguments)


def _add(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    if len(o.inputs) == 1:
        return epilogue(
            step=step,
            x=o.inputs[0],
            scale=0,
            shift=o.weights[0],
            residual=0,
            output=o.output,
            variant=variant,
        )
    elements = math.prod(step.output_shape)
    v = variant.vector if elements % variant.vector == 0 else 1
    arguments = (*o.inputs, o.output, elements // v, ACTIVATION_CODES[step.activation])
    grid = flat_grid(elements // v)
    return _launch("add", variant.vectorised(v), grid, (THREADS, 1, 1), *arguments)


def _activation(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    elements = math.prod(step.output_shape)
    v = variant.vector if elements % variant.vector == 0 else 1
    arguments = (o.inputs[0], o.output, elements // v, ACTIVATION_CODES[step.activation])
    grid = flat_grid(elements // v)
    return _launch("apply_activation", variant.vectorised(v), grid, (THREADS, 1, 1), *arguments)


def inner_elements(shape: Shape, variant: KernelBuild) -> int:
    """Elements over which the channel stays the same as addresses grow by one element."""
    return 1 if variant.nhwc or len(shape) != 4 else shape[1] * shape[2]


def _scale_shift(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    return epilogue(
        step=step,
        x=o.inputs[0],
        scale=o.weights[0],
        shift=o.weights[1],
        residual=0,
        output=o.output,
        variant=variant,
    )


def _mul(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    return epilogue(
        step=step,
        x=o.inputs[0],
        scale=o.weights[0],
        shift=0,
        residual=0,
        output=o.output,
        variant=variant,
    )


def epilogue(
    step: GpuStep, x: int, scale: int, shift: int, residual: int, output: int, variant: KernelBuild
) -> tuple[Launch, ...]:
    """output = activation(x * scale + shift + residual) over the step's output; `x` may be it."""
    shape = step.output_shape
    channels = shape[-1]
    # without an image there is no layout: rows of channels, as NHWC
    nhwc = variant.nhwc or len(shape) != 4
    inner = inner_elements(shape, variant)
    run = channels if nhwc else inner
    v = variant.vector if run % variant.vector == 0 else 1
    packs = math.prod(shape) // v
    code = ACTIVATION_CODES[step.activation]
    return _launch(
        "scale_shift",
        KernelBuild(variant.half, nhwc, v),
        flat_grid(packs),
        (THREADS, 1, 1),
        x,
        scale,
        shift,
        residual,
        output,
        packs,
        channels,
        inner,
        code,
    )


def _concat(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    """One launch per four inputs."""
    n, h, w, _ = step.output_shape
    rows, inner = (n * h * w, 1) if variant.nhwc else (n, h * w)
    parts = [s[3] * inner for s in step.input_shapes]
    v = variant.vector if all(p % variant.vector == 0 for p in parts) else 1
    packs = [p // v for p in parts]
    result: list[Launch] = []
    for i in range(0, len(parts), CONCAT_INPUTS):
        mine = packs[i : i + CONCAT_INPUTS]
        ends = [sum(mine[: j + 1]) for j in range(len(mine))]
        pointers = list(o.inputs[i : i + CONCAT_INPUTS])
        missing = CONCAT_INPUTS - len(mine)
        arguments = (
            *pointers,
            *[pointers[-1]] * missing,
            o.output,
            rows,
            *ends,
            *[ends[-1]] * missing,
            sum(packs),
            sum(packs[:i]),
        )
        grid = flat_grid(rows * ends[-1])
        result += _launch("concat", variant.vectorised(v), grid, (THREADS, 1, 1), *arguments)
    return tuple(result)


def _softmax(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    columns = step.output_shape[-1]
    rows = math.prod(step.output_shape) // columns
    if rows != step.output_shape[0] and not variant.nhwc:
        raise UncoveredOpError(f"step {step.name!r}: softmax over channels of an image in NCHW")
    scalar = variant.vectorised(1)
    return _launch("softmax", scalar, (rows, 1, 1), (THREADS, 1, 1), o.inputs[0], o.output, columns)


def _lrn(step: GpuStep, o: Operands, variant: KernelBuild) -> tuple[Launch, ...]:
    elements = math.prod(step.output_shape)
    inner = inner_elements(step.output_shape, variant)
    options = step.options
    arguments = (
        o.inputs[0],
        o.output,
        elements,
        step.output_shape[3],
        inner,
        int(options["size"]),
        options["alpha"],
        options["beta"],
        options["bias"],
    )
    grid = flat_grid(elements)
    return _launch("lrn", variant.vectorised(1), grid, (THREADS, 1, 1), *arguments)


_BUILDERS = {
    "conv2d": _conv,
    "fully_connected": _linear,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "reduce_mean": _mean,
    "add": _add,
    "activation": _activation,
    "batch_norm": _scale_shift,
    "mul": _mul,
    "concat": _concat,
    "softmax": _softmax,
    "lrn": _lrn,
}
