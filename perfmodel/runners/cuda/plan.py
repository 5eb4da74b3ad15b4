"""From a graph to the steps a GPU runs: the kernels of a framework's fusion rules, with operands.

`perfmodel.kernels.fuse` says which operators run as one kernel, the same list that predictions are
made of. Here each becomes a step: where its operands lie, and which of our activations and windows
it uses. A reshape costs nothing: its result is another name of its input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from perfmodel.errors import UncoveredOpError
from perfmodel.graph.exported import exported
from perfmodel.graph.ir import Graph, Op
from perfmodel.kernels import Kernel, fuse, uncovered_ops
from perfmodel.kernels.fusion_rules import fusion_rules
from perfmodel.runners.cuda.steps import (
    ACTIVATION_CODES,
    GpuPlan,
    GpuStep,
    Shape,
    Window,
    even_pads,
)

VIEWS = frozenset({"identity", "dropout", "reshape", "view"})
"""Free operators whose result is their input under another name."""

PER_CHANNEL = frozenset({"add", "mul", "batch_norm", "scale", "softmax"})
"""Operators that need the channels to be the last dimension of what is stored."""


def plan_graph(graph: Graph, framework: str = "cudnn") -> GpuPlan:
    """The steps that run `graph` by a framework's fusion rules, in an order that can be run.

    Raises `UncoveredOpError` on an operator without a kernel here.
    """
    return _Planner(graph, framework).plan()


class _Planner:
    """Gives the kernels of one graph their operands."""

    def __init__(self, graph: Graph, framework: str) -> None:
        self.rules = fusion_rules(framework)
        graph = graph if self.rules.runs_dead_branches else exported(graph)
        self.graph = graph
        self.kernels = fuse(graph, framework)
        self.ops = {op.name: op for op in graph.ops}
        self.place = {op.name: i for i, op in enumerate(graph.ops)}
        self.alias: dict[str, str] = {}
        self.shapes: dict[str, Shape] = {n: graph.tensor(n).shape for n in graph.inputs}

    def plan(self) -> GpuPlan:
        """All steps. A kernel runs where its last operator stands: all it reads is there then."""
        for op in uncovered_ops(self.graph):
            raise self._refuse(op, "has no cost and no CUDA kernel")
        for op in self.graph.ops:
            if op.kind in self.rules.free:
                self._view(op)
        steps = []
        for kernel in sorted(self.kernels, key=self._when):
            step = self._step(kernel)
            self.shapes[step.output] = step.output_shape
            steps.append(step)
        outputs = tuple(self._real(name) for name in self.graph.outputs)
        shapes = {name: self.shapes[name] for name in (*self.graph.inputs, *_outputs(steps))}
        return GpuPlan(self.graph.name, tuple(steps), self.graph.inputs, outputs, shapes)

    def _view(self, op: Op) -> None:
        if op.kind not in VIEWS:
            raise self._refuse(op, "has no CUDA kernel here")
        self.alias[op.outputs[0]] = op.inputs[0]

    def _working(self, kernel: Kernel) -> list[Op]:
        """The operators of a kernel that do something."""
        return [op for n in kernel.fused if (op := self.ops[n]).kind not in self.rules.free]

    def _when(self, kernel: Kernel) -> int:
        return self.place[self._working(kernel)[-1].name]

    def _real(self, name: str) -> str:
        while name in self.alias:
            name = self.alias[name]
        return name

    def _refuse(self, op: Op, why: str) -> UncoveredOpError:
        return UncoveredOpError(
            f"{self.graph.name}: op {op.name!r} ({op.kind}) {why}",
            "the CUDA runner measures convolutional classifiers; leave this network out",
        )

    def _step(self, kernel: Kernel) -> GpuStep:
        """A kernel with its operands."""
        working = self._working(kernel)
        pads = [op for op in working if op.kind == "pad"]
        main, *folded = [op for op in working if op.kind != "pad"] or working
        written = str(main.attrs.get("activation", "none"))
        if kernel.name != main.name:
            return self._activation_alone(kernel, main, written)
        last = folded[-1] if folded else main
        output = last.outputs[0]
        if not folded and written != kernel.activation and written != "none":
            output = _before(output, written)
        for pad in pads:
            self._absorb_pad(pad, main)
        reads = [n for n in main.inputs if n and not self.graph.tensor(n).constant]
        step = GpuStep(
            name=kernel.name,
            op=main.kind,
            inputs=tuple(self._real(n) for n in reads),
            output=output,
            input_shapes=tuple(self.shapes[self._real(n)] for n in reads),
            output_shape=self.graph.tensor(main.outputs[0]).shape,
            activation=self._activation(kernel, [main, *folded]),
            residual=self._residual(main, folded),
            fused=kernel.fused,
        )
        for op in folded:
            self._check_folded(op)
        return self._operator(main, step, pads)

    def _activation_alone(self, kernel: Kernel, main: Op, activation: str) -> GpuStep:
        """The activation that `main` has as an attribute, run as a kernel of its own."""
        shape = self.graph.tensor(main.outputs[0]).shape
        return GpuStep(
            name=kernel.name,
            op="activation",
            inputs=(_before(main.outputs[0], activation),),
            output=main.outputs[0],
            input_shapes=(shape,),
            output_shape=shape,
            activation=self._known(main, activation),
            fused=kernel.fused,
        )

    def _operator(self, op: Op, step: GpuStep, pads: list[Op]) -> GpuStep:
        """The step with what its main operator needs besides operands."""
        if op.kind == "conv2d":
            return self._conv(op, step, pads)
        if op.kind in ("max_pool2d", "avg_pool2d"):
            return _pool(op, step)
        if op.kind == "lrn":
            return replace(step, options=_lrn_options(op))
        if op.kind in ACTIVATION_CODES or (op.kind == "clip" and _is_relu6(op)):
            name = "relu6" if op.kind == "clip" else op.kind
            # after a reshape it works on what is stored, in the order in which that is stored
            stored = step.input_shapes[0]
            return replace(step, op="activation", activation=name, output_shape=stored)
        if op.kind == "add" and len(step.inputs) == 2 and len(set(step.input_shapes)) == 1:
            return replace(step, output_shape=step.input_shapes[0])
        if step.input_shapes[0][-1:] != step.output_shape[-1:] and op.kind in PER_CHANNEL:
            raise self._refuse(op, "works on channels that a reshape has mixed")
        if op.kind in ("add", "mul") and self._per_channel(op):
            return replace(step, op="batch_norm") if self.rules.affine else step
        if op.kind in ("batch_norm", "scale") and len(step.inputs) == 1:
            return replace(step, op="batch_norm")
        if self._plain(op, step):
            return step
        raise self._refuse(op, "has no CUDA kernel here")

    def _plain(self, op: Op, step: GpuStep) -> bool:
        """Whether the step is complete as it stands and we have a kernel for it."""
        shapes = step.input_shapes
        if op.kind == "concat":
            images = all(len(shape) == 4 for shape in shapes)
            return images and bool(op.attrs["axis"] % len(step.output_shape) == 3)
        if op.kind == "reduce_mean":
            return tuple(op.attrs["axes"]) == (1, 2)
        return op.kind in ("fully_connected", "softmax") and len(shapes) == 1

    def _absorb_pad(self, pad: Op, into: Op) -> None:
        pairs = pad.attrs["paddings"]
        if into.kind != "conv2d" or len(pairs) != 4 or any((*pairs[0], *pairs[3])):
            raise self._refuse(pad, "can only be run when a convolution takes the padding over")
        self.alias[pad.outputs[0]] = pad.inputs[0]

    def _conv(self, op: Op, step: GpuStep, pads: list[Op]) -> GpuStep:
        sides = [
            op.attrs["pads"],
            *((*p.attrs["paddings"][1], *p.attrs["paddings"][2]) for p in pads),
        ]
        top, bottom, left, right = (sum(side) for side in zip(*sides, strict=True))
        weights = self.graph.tensor(op.inputs[1]).shape
        window = Window(
            kernel=(weights[1], weights[2]),
            stride=tuple(op.attrs["stride"]),
            pads=(top, bottom, left, right),
            dilation=tuple(op.attrs["dilation"]),
        )
        window = even_pads(window, step.input_shapes[0], step.output_shape)
        return replace(step, window=window, groups=op.attrs["groups"])

    def _residual(self, main: Op, folded: list[Op]) -> str:
        """The tensor that is added before the activation, "" for none."""
        inside = {self._real(op.outputs[0]) for op in (main, *folded)}
        for op in folded:
            if op.kind != "add" or self._per_channel(op):
                continue
            others = [r for n in op.inputs if (r := self._real(n)) not in inside]
            shape = self.graph.tensor(main.outputs[0]).shape
            if len(others) != 1 or self.shapes.get(others[0]) != shape:
                raise self._refuse(op, "adds what has another shape")
            return others[0]
        return ""

    def _check_folded(self, op: Op) -> None:
        """Weights that are folded into others must be one a channel."""
        constant = op.kind in ("add", "mul") and len(self.graph.activations_in(op)) == 1
        if constant and not self._per_channel(op):
            raise self._refuse(op, "has a constant that is not one number a channel")

    def _per_channel(self, op: Op) -> bool:
        """Whether this multiplies or adds one constant a channel."""
        if op.kind not in ("add", "mul") or len(self.graph.activations_in(op)) != 1:
            return False
        channels = self.graph.tensor(op.outputs[0]).shape[-1:]
        return [w.shape for w in self.graph.weights_of(op)] == [channels]

    def _activation(self, kernel: Kernel, ops: list[Op]) -> str:
        """The kernel's activation in our own words."""
        if kernel.activation != "clip":
            return self._known(ops[0], kernel.activation)
        clip = next(op for op in ops if op.kind == "clip")
        if not _is_relu6(clip):
            raise self._refuse(clip, "clips to other bounds than 0 and 6")
        return "relu6"

    def _known(self, op: Op, activation: str) -> str:
        if activation not in ACTIVATION_CODES:
            raise self._refuse(op, f"fuses the activation {activation!r}, which has no kernel here")
        return activation


def _outputs(steps: list[GpuStep]) -> list[str]:
    return [step.output for step in steps]


def _before(output: str, activation: str) -> str:
    return f"{output}/before_{activation}"


def _pool(op: Op, step: GpuStep) -> GpuStep:
    window = Window(tuple(op.attrs["kernel"]), tuple(op.attrs["stride"]), tuple(op.attrs["pads"]))
    whole = window.kernel == step.input_shapes[0][1:3] and step.output_shape[1:3] == (1, 1)
    if op.kind == "avg_pool2d" and whole:
        return replace(step, op="reduce_mean")
    return replace(step, window=window)


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
