"""How PyTorch calls the operators of an .onnx file: one function of torch a node.

torch is imported when a call is made ready, so that this module can be read without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.errors import RunnerError


@dataclass(frozen=True)
class Step:
    """One call: `run` takes the values of `inputs` and gives those of `outputs`.

    `kind` is that of the node that it runs, `drops` what no later step reads.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    run: Callable[..., Any]
    kind: str = ""
    drops: tuple[str, ...] = ()

    def into(self, values: dict[str, Any]) -> None:
        """Call it on some values, add what it makes and drop what no later step reads."""
        made = self.run(*[values[n] for n in self.inputs])
        if len(self.outputs) == 1:
            values[self.outputs[0]] = made
        else:
            values.update(zip(self.outputs, made, strict=True))
        for name in self.drops:
            del values[name]


@dataclass(frozen=True)
class Node:
    """A node of the file with plain attributes."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]


Call = Callable[[Node, Mapping[str, Any]], Step]
CALLS: dict[str, Call] = {}
"""How a node of a kind is called; filled below."""


def _step(node: Node, constants: Mapping[str, Any], run: Callable[..., Any]) -> Step:
    """A step of all inputs of a node that are no constants; those are put in their places."""
    live = tuple(n for n in node.inputs if n and n not in constants)
    places = [constants.get(n) if n else None for n in node.inputs]
    moving = [i for i, n in enumerate(node.inputs) if n and n not in constants]
    if len(moving) == len(places):
        return Step(node.name, live, node.outputs, run, node.kind)
    if moving == [0]:
        rest = places[1:]
        return Step(node.name, live, node.outputs, lambda x: run(x, *rest), node.kind)

    def call(*given: Any) -> Any:
        arguments = list(places)
        for i, value in zip(moving, given, strict=True):
            arguments[i] = value
        return run(*arguments)

    return Step(node.name, live, node.outputs, call, node.kind)


def _simple() -> dict[str, Callable[..., Any]]:
    """Calls without attributes."""
    import torch
    import torch.nn.functional as functional

    return {
        "Relu": functional.relu,
        "Sigmoid": torch.sigmoid,
        "Tanh": torch.tanh,
        "Gelu": functional.gelu,
        "HardSwish": functional.hardswish,
        "Softplus": functional.softplus,
        "Softsign": functional.softsign,
        "Mish": functional.mish,
        "Exp": torch.exp,
        "Log": torch.log,
        "Sqrt": torch.sqrt,
        "Neg": torch.neg,
        "Abs": torch.abs,
        "Sin": torch.sin,
        "Cos": torch.cos,
        "Floor": torch.floor,
        "Ceil": torch.ceil,
        "Erf": torch.erf,
        "Reciprocal": torch.reciprocal,
        "Identity": lambda x: x,
        "Add": torch.add,
        "Sub": torch.sub,
        "Mul": torch.mul,
        "Div": torch.div,
        "Max": torch.maximum,
        "Min": torch.minimum,
        "Pow": torch.pow,
        "MatMul": torch.matmul,
        "GlobalAveragePool": lambda x: functional.adaptive_avg_pool2d(x, 1),
        "GlobalMaxPool": lambda x: functional.adaptive_max_pool2d(x, 1),
        "PRelu": lambda x, slope: functional.prelu(x, slope.flatten()),
    }


def calls(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function (node, constants) -> callable of the node's inputs under some kinds."""

    def add(make: Callable[..., Any]) -> Callable[..., Any]:
        def step(node: Node, constants: Mapping[str, Any]) -> Step:
            return _step(node, constants, make(node, constants))

        CALLS.update(dict.fromkeys(kind.split(), step))
        return make

    return add


@calls(
    "Relu Sigmoid Tanh Gelu HardSwish Softplus Softsign Mish Exp Log Sqrt Neg Abs Sin Cos Floor "
    "Ceil Erf Reciprocal Identity Add Sub Mul Div Max Min Pow MatMul GlobalAveragePool "
    "GlobalMaxPool PRelu"
)
def _called(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    return _simple()[node.kind]


def _numbers(constants: Mapping[str, Any], name: str) -> list[int]:
    """A list of whole numbers that a node reads; it must be a constant."""
    if name not in constants:
        raise RunnerError(f"{name!r} is computed while the network runs", "export fixed shapes")
    return [int(v) for v in constants[name].flatten().tolist()]


def padding(pads: Sequence[int], rank: int) -> tuple[int, ...]:
    """torch's list of pads, the last axis first, from ONNX's begins and ends."""
    return tuple(p for i in reversed(range(rank)) for p in (pads[i], pads[i + rank]))


@calls("Clip")
def _clip(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch
    import torch.nn.functional as functional

    low, high = (float(constants[n]) if n else None for n in (*node.inputs[1:], "", "")[:2])
    if (low, high) == (0.0, 6.0):
        return lambda x, *_: functional.relu6(x)
    return lambda x, *_: torch.clamp(x, low, high)


@calls("HardSigmoid LeakyRelu Elu Selu")
def _activation(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch.nn.functional as functional

    alpha = float(node.attrs.get("alpha", {"LeakyRelu": 0.01, "Elu": 1.0}.get(node.kind, 0.2)))
    if node.kind == "HardSigmoid":
        if abs(alpha - 1 / 6) > 1e-6:
            return lambda x: (alpha * x + float(node.attrs.get("beta", 0.5))).clamp(0, 1)
        return functional.hardsigmoid
    if node.kind == "LeakyRelu":
        return lambda x: functional.leaky_relu(x, alpha)
    return (lambda x: functional.elu(x, alpha)) if node.kind == "Elu" else functional.selu


@calls("Softmax LogSoftmax")
def _softmax(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch

    run = torch.softmax if node.kind == "Softmax" else torch.log_softmax
    axis = node.attrs.get("axis", -1)
    return lambda x: run(x, axis)


@calls("ReduceMean ReduceSum ReduceMax ReduceMin")
def _reduce(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch

    run = {
        "ReduceMean": torch.mean,
        "ReduceSum": torch.sum,
        "ReduceMax": torch.amax,
        "ReduceMin": torch.amin,
    }[node.kind]
    listed = node.attrs.get("axes") or _numbers(constants, node.inputs[1])
    axes, keep = tuple(listed), bool(node.attrs.get("keepdims", 1))
    return lambda x, *_: run(x, axes, keepdim=keep)


@calls("Concat")
def _concat(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch

    axis = node.attrs["axis"]
    return lambda *parts: torch.cat(parts, axis)


@calls("Split")
def _split(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch

    sizes, axis = _numbers(constants, node.inputs[1]), node.attrs.get("axis", 0)
    return lambda x, *_: torch.split(x, sizes, axis)


@calls("Slice")
def _slice(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    starts, ends, axes = (_numbers(constants, n) for n in node.inputs[1:4])
    steps = _numbers(constants, node.inputs[4]) if len(node.inputs) > 4 else [1] * len(axes)
    cut = [slice(None)] * (1 + max(axes))
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut[axis] = slice(start, end, step)
    place = tuple(cut)
    return lambda x, *_: x[place]


@calls("Pad")
def _pad(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch.nn.functional as functional

    pads = _numbers(constants, node.inputs[1])
    around = padding(pads, len(pads) // 2)
    return lambda x, *_: functional.pad(x, around)


@calls("Transpose")
def _transpose(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    order = tuple(node.attrs["perm"])
    return lambda x: x.permute(order)


@calls("Reshape Flatten Expand Tile")
def _reshape(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    if node.kind == "Flatten":
        axis = node.attrs.get("axis", 1)
        return lambda x: x.flatten(axis)
    shape = _numbers(constants, node.inputs[1])
    if node.kind == "Expand":
        return lambda x, *_: x.expand(shape)
    return (
        (lambda x, *_: x.reshape(shape))
        if node.kind == "Reshape"
        else lambda x, *_: x.repeat(shape)
    )


@calls("Resize")
def _resize(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch.nn.functional as functional

    size = _numbers(constants, node.inputs[3])[2:] if len(node.inputs) > 3 else None
    scale = None if size else constants[node.inputs[2]].tolist()[2:]
    mode = {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}[node.attrs["mode"]]
    corners = node.attrs.get("coordinate_transformation_mode") == "align_corners"
    more = {} if mode == "nearest" else {"align_corners": corners}
    return lambda x, *_: functional.interpolate(x, size, scale, mode, **more)


@calls("DepthToSpace SpaceToDepth")
def _blocks(node: Node, constants: Mapping[str, Any]) -> Callable[..., Any]:
    import torch.nn.functional as functional

    b = node.attrs["blocksize"]
    if node.kind == "DepthToSpace" and node.attrs.get("mode", "DCR") == "CRD":
        return lambda x: functional.pixel_shuffle(x, b)

    def spread(x: Any) -> Any:
        n, c, h, w = x.shape
        turned = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
        return turned.reshape(n, c // (b * b), h * b, w * b)

    def gathered(x: Any) -> Any:
        n, c, h, w = x.shape
        turned = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
        return turned.reshape(n, c * b * b, h // b, w // b)

    return spread if node.kind == "DepthToSpace" else gathered
