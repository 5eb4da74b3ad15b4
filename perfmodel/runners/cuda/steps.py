"""From a graph to the steps a GPU runs: one step is one kernel with its operands.

Two plans of one graph: `fused` is what a careful inference runner does (batch normalisation after
a convolution folded into its weights; bias, residual addition and activation inside the
convolution; multiply, add and activation of a lone normalisation as one), the other one runs every
operator by itself as a plain framework does. Either way reshape, dropout and identity cost
nothing. Shapes are NHWC whatever layout a backend stores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from perfmodel.errors import UncoveredOpError
from perfmodel.graph import Graph, Op

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

FREE = frozenset({"identity", "dropout", "reshape"})
HOSTS = frozenset({"conv2d", "fully_connected", "add", "batch_norm"})
"""Operators whose kernels can take over what follows them."""
FOLDS_NORMALISATION = frozenset({"conv2d", "fully_connected"})


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
class Step:
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
            out = self.output_shape[-1]
            return ((out, self.matrix[2]), (out,))
        channels = self.output_shape[-1]
        if self.op == "batch_norm":
            return ((channels,), (channels,))
        if self.op == "mul" or (self.op == "add" and len(self.inputs) == 1):
            return ((channels,),)
        return ()

    @property
    def matrix(self) -> tuple[int, int, int]:
        """(m, n, k) of the matrix product a convolution or a linear layer amounts to, else zeros.

        For grouped convolutions of one group; m are the output pixels of the whole batch.
        """
        if self.op == "conv2d":
            assert self.window is not None
            n, h, w, cout = self.output_shape
            k = self.input_shapes[0][3] // self.groups * math.prod(self.window.kernel)
            return (n * h * w, cout // self.groups, k)
        if self.op == "fully_connected":
            rows = math.prod(self.output_shape[:-1])
            return (rows, self.output_shape[-1], math.prod(self.input_shapes[0]) // rows)
        return (0, 0, 0)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the direct algorithm."""
        return math.prod(self.matrix) * self.groups

    @property
    def activation_elements(self) -> int:
        """Elements of all activations read and written, the residual included."""
        read = sum(math.prod(s) for s in self.input_shapes)
        written = math.prod(self.output_shape)
        return read + written * (2 if self.residual else 1)

    @property
    def weight_elements(self) -> int:
        """Elements of all constants."""
        return sum(math.prod(s) for s in self.weight_shapes)

    @property
    def depthwise(self) -> bool:
        """Whether this is a convolution with one filter a channel."""
        return self.op == "conv2d" and self.groups > 1 and self.groups == self.input_shapes[0][3]


@dataclass(frozen=True)
class Plan:
    """The steps of a network in order, with its input and output tensors and all shapes."""

    name: str
    steps: tuple[Step, ...]
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


def before_softmax(plan: Plan) -> Plan:
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


def plan_graph(graph: Graph, fused: bool = True) -> Plan:
    """The steps that run `graph`; raises `UncoveredOpError` on an operator without a kernel."""
    return _Planner(graph, fused).plan()


class _Planner:
    """Walks a graph once, turning each op that is not yet fused into a step."""

    def __init__(self, graph: Graph, fused: bool) -> None:
        self.graph, self.fused = graph, fused
        self.consumers = graph.consumers()
        self.producers = graph.producers()
        self.alias: dict[str, str] = {}
        self.padded: dict[str, tuple[int, int, int, int]] = {}
        self.done: set[int] = set()

    def plan(self) -> Plan:
        """All steps, in the order of the graph."""
        steps = []
        for i, op in enumerate(self.graph.ops):
            if i in self.done:
                continue
            if op.kind in FREE:
                self.alias[op.outputs[0]] = self._real(op.inputs[0])
            elif op.kind == "pad":
                self._pad(op)
            else:
                step = self._start(op)
                steps += [self._fuse(i, step)] if self.fused else _unfused(step)
        shapes = {name: self.graph.tensor(name).shape for name in self.graph.inputs}
        shapes |= {step.output: step.output_shape for step in steps}
        outputs = tuple(self._real(name) for name in self.graph.outputs)
        return Plan(self.graph.name, tuple(steps), self.graph.inputs, outputs, shapes)

    def _real(self, name: str) -> str:
        return self.alias.get(name, name)

    def _shape(self, name: str) -> Shape:
        return self.graph.tensor(self._real(name)).shape

    def _refuse(self, op: Op, why: str) -> UncoveredOpError:
        return UncoveredOpError(
            f"{self.graph.name}: op {op.name!r} ({op.kind}) {why}",
            "the CUDA runner measures convolutional classifiers; leave this network out",
        )

    def _pad(self, op: Op) -> None:
        pairs = op.attrs["paddings"]
        readers = self.consumers.get(op.outputs[0], ())
        zero_rest = len(pairs) == 4 and not any((*pairs[0], *pairs[3]))
        if not zero_rest or any(self.graph.ops[r].kind != "conv2d" for r in readers):
            raise self._refuse(op, "can only be run when a convolution takes the padding over")
        self.alias[op.outputs[0]] = self._real(op.inputs[0])
        self.padded[op.outputs[0]] = (*pairs[1], *pairs[2])

    def _start(self, op: Op) -> Step:
        """The step of one op alone."""
        reads = [n for n in op.inputs if n and not self.graph.tensor(n).constant]
        step = Step(
            name=op.name,
            op=op.kind,
            inputs=tuple(self._real(n) for n in reads),
            output=op.outputs[0],
            input_shapes=tuple(self._shape(n) for n in reads),
            output_shape=self.graph.tensor(op.outputs[0]).shape,
            activation=self._known_activation(op, str(op.attrs.get("activation", "none"))),
            fused=(op.name,),
        )
        if op.kind == "conv2d":
            return self._conv(op, step)
        if op.kind in ("max_pool2d", "avg_pool2d"):
            return self._pool(op, step)
        if op.kind == "lrn":
            return replace(step, options=_lrn_options(op))
        if op.kind == "reduce_mean" and tuple(op.attrs["axes"]) == (1, 2):
            return step
        if op.kind == "add" and len(reads) == 2 and step.input_shapes[0] == step.input_shapes[1]:
            return step
        if op.kind in ("add", "mul") and self._per_channel(op):
            return replace(step, op="batch_norm") if self.fused else step
        if op.kind in ACTIVATION_CODES or (op.kind == "clip" and _is_relu6(op)):
            name = "relu6" if op.kind == "clip" else op.kind
            return replace(step, op="activation", activation=name)
        if op.kind in ("fully_connected", "batch_norm", "scale") and len(reads) == 1:
            return replace(step, op="batch_norm" if op.kind == "scale" else op.kind)
        if op.kind == "concat" and op.attrs["axis"] % len(step.output_shape) == 3:
            return step
        if op.kind == "softmax":
            return step
        raise self._refuse(op, "has no CUDA kernel here")

    def _conv(self, op: Op, step: Step) -> Step:
        t, b, left, r = op.attrs["pads"]
        extra = self.padded.get(op.inputs[0], (0, 0, 0, 0))
        weights = self.graph.tensor(op.inputs[1]).shape
        window = Window(
            kernel=(weights[1], weights[2]),
            stride=tuple(op.attrs["stride"]),
            pads=(t + extra[0], b + extra[1], left + extra[2], r + extra[3]),
            dilation=tuple(op.attrs["dilation"]),
        )
        window = even_pads(window, step.input_shapes[0], step.output_shape)
        return replace(step, window=window, groups=op.attrs["groups"])

    def _pool(self, op: Op, step: Step) -> Step:
        window = Window(
            tuple(op.attrs["kernel"]), tuple(op.attrs["stride"]), tuple(op.attrs["pads"])
        )
        whole = window.kernel == step.input_shapes[0][1:3] and step.output_shape[1:3] == (1, 1)
        if op.kind == "avg_pool2d" and whole:
            return replace(step, op="reduce_mean")
        return replace(step, window=window)

    def _fuse(self, index: int, step: Step) -> Step:
        """Take over the following ops as long as nobody else reads what lies between."""
        while step.op in HOSTS and step.output not in self.graph.outputs:
            readers = self.consumers.get(step.output, ())
            if len(readers) != 1:
                return step
            grown = self._absorb(index, step, self.graph.ops[readers[0]])
            if grown is None:
                return step
            self.done.add(readers[0])
            step = grown
        return step

    def _absorb(self, index: int, step: Step, op: Op) -> Step | None:
        merged = replace(step, output=op.outputs[0], fused=(*step.fused, op.name))
        if op.kind in FREE and step.output_shape == self.graph.tensor(op.outputs[0]).shape:
            return merged
        if step.activation != "none":
            return None
        if op.kind in ACTIVATION_CODES or (op.kind == "clip" and _is_relu6(op)):
            return replace(merged, activation="relu6" if op.kind == "clip" else op.kind)
        if op.kind in ("batch_norm", "scale") or self._per_channel(op):
            # a lone multiply takes the add after it: together they are a normalisation
            takes = step.op in FOLDS_NORMALISATION or (step.op == "batch_norm" and op.kind == "add")
            activation = self._known_activation(op, str(op.attrs.get("activation", "none")))
            return replace(merged, activation=activation) if takes and not step.residual else None
        if op.kind == "add" and step.op == "conv2d" and not step.residual:
            return self._add_residual(index, merged, step, op)
        return None

    def _per_channel(self, op: Op) -> bool:
        """Whether this multiplies or adds one constant a channel."""
        if op.kind not in ("add", "mul") or len(self.graph.activations_in(op)) != 1:
            return False
        channels = self.graph.tensor(op.outputs[0]).shape[-1:]
        return [w.shape for w in self.graph.weights_of(op)] == [channels]

    def _add_residual(self, index: int, merged: Step, step: Step, op: Op) -> Step | None:
        """Fuse an addition whose other operand already exists when this step runs."""
        others = [self._real(n) for n in op.inputs if self._real(n) != step.output]
        if len(others) != 1 or self._shape(others[0]) != step.output_shape:
            return None
        ready = others[0] in self.graph.inputs or self.producers.get(others[0], index) < index
        if not ready or self.graph.tensor(others[0]).constant:
            return None
        activation = self._known_activation(op, str(op.attrs.get("activation", "none")))
        return replace(merged, residual=others[0], activation=activation)

    def _known_activation(self, op: Op, activation: str) -> str:
        if activation not in ACTIVATION_CODES:
            raise self._refuse(op, f"fuses the activation {activation!r}, which has no kernel here")
        return activation


def _unfused(step: Step) -> list[Step]:
    """The step, with an activation that the graph writes as its attribute as a step of its own."""
    if step.activation == "none" or step.op == "activation":
        return [step]
    before = f"{step.output}/before_{step.activation}"
    after = Step(
        name=f"{step.name}/{step.activation}",
        op="activation",
        inputs=(before,),
        output=step.output,
        input_shapes=(step.output_shape,),
        output_shape=step.output_shape,
        activation=step.activation,
    )
    return [replace(step, output=before, activation="none"), after]


def _is_relu6(op: Op) -> bool:
    return (op.attrs.get("min"), op.attrs.get("max")) == (0, 6)


def _lrn_options(op: Op) -> dict[str, float]:
    """Constants of y = x / (bias + alpha * sum of squares over `size` channels) ** beta.

    Caffe's files give `size` and an alpha for the mean of squares, TensorFlow's a `radius` and an
    alpha for their sum.
    """
    attrs: Mapping[str, Any] = op.attrs
    by_radius = "radius" in attrs
    size = 2 * int(attrs["radius"]) + 1 if by_radius else int(attrs.get("size", 5))
    alpha = float(attrs.get("alpha", 1e-4))
    return {
        "size": size,
        "alpha": alpha if by_radius else alpha / size,
        "beta": float(attrs.get("beta", 0.75)),
        "bias": float(attrs.get("bias", 1.0)),
    }
