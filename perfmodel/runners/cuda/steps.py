"""The steps that a GPU runs: one step is one kernel with its operands.

Which operators a step holds is decided by `perfmodel.kernels.fuse` (see `plan`), and what a step
costs is what that module says of its kernel. Shapes are NHWC whatever layout a backend stores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from perfmodel.graph.ir import Graph, Op, Tensor
from perfmodel.kernels import Kernel, kernel_of

Shape = tuple[int, ...]

ACTIVATION_CODES: Mapping[str, int] = MappingProxyType(
    {
        "none": 0,
        "relu": 1,
        "relu6": 2,
        "sigmoid": 3,
        "tanh": 4,
        "hard_swish": 5,
        "hard_sigmoid": 6,
        "swish": 7,
    }
)
"""Activations that can be fused, with the number the kernels know them by."""


@dataclass(frozen=True)
class Window:
    """A sliding window: sizes along (height, width); pads are (top, bottom, left, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def symmetric(self) -> bool:
        """Whether both sides are padded alike, as cuDNN demands."""
        return self.pads[0] == self.pads[1] and self.pads[2] == self.pads[3]


@dataclass(frozen=True)
class GpuStep:
    """One kernel with its operands; `op` is the main operator's name in `perfmodel.graph.ops`.

    `inputs` and `residual` are tensor names (`residual` is "" or the tensor that is added before
    the activation), `fused` the names of all graph ops inside. `options` holds what only one
    operator has (the constants of local response normalisation).
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    window: Window | None = None
    groups: int = 1
    activation: str = "none"
    residual: str = ""
    fused: tuple[str, ...] = ()
    options: Mapping[str, float] = field(default_factory=dict)

    @property
    def weight_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the constants: (weights, bias), (scale, shift), one of these two, or none."""
        if self.op == "conv2d":
            assert self.window is not None
            cin, cout = self.input_shapes[0][3], self.output_shape[3]
            return ((cout, *self.window.kernel, cin // self.groups), (cout,))
        if self.op == "fully_connected":
            out, rows = self.output_shape[-1], math.prod(self.output_shape[:-1])
            return ((out, math.prod(self.input_shapes[0]) // rows), (out,))
        channels = self.output_shape[-1]
        if self.op == "batch_norm":
            return ((channels,), (channels,))
        if self.op == "mul" or (self.op == "add" and len(self.inputs) == 1):
            return ((channels,),)
        return ()

    @cached_property
    def kernel(self) -> Kernel:
        """The step as the kernel that cost models know: its MACs, elements and matrix product."""
        graph = one_operator(self)
        found = kernel_of(graph, graph.ops[0])
        extra = math.prod(self.output_shape) if self.residual else 0
        return replace(
            found,
            name=self.name,
            fused=self.fused,
            activation=self.activation,
            residual=bool(self.residual),
            input_elements=found.input_elements + extra,
        )

    @property
    def matrix(self) -> tuple[int, int, int]:
        """(m, n, k) of the matrix product a convolution or a linear layer amounts to, else zeros.

        For grouped convolutions of one group; m are the output pixels of the whole batch.
        """
        return (self.kernel.m, self.kernel.n, self.kernel.k)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the direct algorithm."""
        return self.kernel.macs

    @property
    def activation_elements(self) -> int:
        """Elements of all activations read and written, the residual included."""
        return self.kernel.input_elements + self.kernel.output_elements

    @property
    def weight_elements(self) -> int:
        """Elements of all constants."""
        return self.kernel.weight_elements

    @property
    def depthwise(self) -> bool:
        """Whether this is a convolution with one filter a channel."""
        return self.op == "conv2d" and self.groups > 1 and self.groups == self.input_shapes[0][3]


def one_operator(step: GpuStep) -> Graph:
    """The main operator of a step as a graph of its own, nothing fused into it."""
    kind = step.activation if step.op == "activation" else step.op
    reads = [Tensor(f"input{i}", shape) for i, shape in enumerate(step.input_shapes)]
    constants = [
        Tensor(f"constant{i}", shape, constant=True) for i, shape in enumerate(step.weight_shapes)
    ]
    written = Tensor("output", step.output_shape)
    attrs: dict[str, object] = {"activation": "none"}
    if step.window is not None:
        attrs |= {"kernel": step.window.kernel, "stride": step.window.stride}
        attrs |= {"groups": step.groups}
    if step.op == "reduce_mean":
        attrs |= {"axes": (1, 2), "keep_dims": len(step.output_shape) == 4}
    names = tuple(t.name for t in (*reads, *constants))
    op = Op(step.name, kind, names, (written.name,), attrs)
    tensors = {t.name: t for t in (*reads, *constants, written)}
    return Graph(step.name, tensors, (op,), names[: len(reads)], (written.name,))


@dataclass(frozen=True)
class GpuPlan:
    """The steps of a network in order, with its input and output tensors and all shapes."""

    name: str
    steps: tuple[GpuStep, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, Shape]

    @property
    def batch(self) -> int:
        """Leading dimension of the first input."""
        return self.shapes[self.inputs[0]][0]

    def last_use(self) -> dict[str, int]:
        """Index of the last step that reads each tensor; outputs of the plan live to the end."""
        last = dict.fromkeys(self.inputs, -1)
        for i, step in enumerate(self.steps):
            last.setdefault(step.output, i)
            for name in (*step.inputs, *([step.residual] if step.residual else [])):
                last[name] = i
        return last | {name: len(self.steps) for name in self.outputs}


def before_softmax(plan: GpuPlan) -> GpuPlan:
    """The plan without a softmax at its end, which would hide errors in what goes into it."""
    last = plan.steps[-1]
    if last.op != "softmax" or plan.outputs != (last.output,):
        return plan
    return replace(plan, steps=plan.steps[:-1], outputs=last.inputs)


def even_pads(window: Window, input_shape: Shape, output_shape: Shape) -> Window:
    """The window with equal padding on both sides, where that gives the same output size.

    TensorFlow's SAME pads (0, 1) where cuDNN, which pads both sides alike, takes (1, 1): the same
    work, shifted by a pixel. Returned unchanged where the size would differ.
    """
    top = max(window.pads[0], window.pads[1])
    left = max(window.pads[2], window.pads[3])
    even = replace(window, pads=(top, top, left, left))
    sizes = [
        (size + 2 * pad - d * (k - 1) - 1) // s + 1
        for size, pad, d, k, s in zip(
            input_shape[1:3], (top, left), even.dilation, even.kernel, even.stride, strict=True
        )
    ]
    return even if tuple(sizes) == tuple(output_shape[1:3]) else window
