"""An .onnx file as PyTorch runs it eagerly: one call of torch's functions a step.

Only what perfmodel writes and common exporters use is known. Nodes that exporters split are called
as people write them: a gate and its product as SiLU or Hardswish, a product of matrices and its
bias as a linear layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.runners import torch_layers
from perfmodel.runners.torch_calls import CALLS, Node, Step

_REGISTERS = (torch_layers,)
"""Modules that fill `CALLS` when imported."""


@dataclass(frozen=True)
class TorchNetwork:
    """Steps in order, the inputs' shapes (0 where a size is open) and element types, and the
    outputs' names."""

    steps: tuple[Step, ...]
    inputs: Mapping[str, tuple[tuple[int, ...], str]]
    outputs: tuple[str, ...]

    def __call__(self, *given: Any) -> tuple[Any, ...]:
        """Run every step; what no later one reads is dropped on the way."""
        values = dict(zip(self.inputs, given, strict=True))
        for step in self.steps:
            step.into(values)
        return tuple(values[n] for n in self.outputs)


def torch_network(path: Path) -> TorchNetwork:
    """Read an .onnx file; raises `RunnerError` for what cannot be read and naming an operator that
    is not known."""
    import onnx
    import torch

    try:
        model = onnx.load(str(path))
    except Exception as error:
        # the library raises protobuf's own classes
        raise RunnerError(f"{path}: cannot be read: {error}") from None
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    constants = {n: torch.from_numpy(np.array(a)) for n, a in stored.items()}
    nodes = [
        Node(
            n.name or (n.output[0] if n.output else ""),
            n.op_type,
            tuple(n.input),
            tuple(n.output),
            {a.name: _plain(onnx.helper.get_attribute_value(a)) for a in n.attribute},
        )
        for n in model.graph.node
    ]
    outputs = tuple(o.name for o in model.graph.output)
    made = _steps(path, nodes, constants, outputs)
    inputs = {i.name: _declared(onnx, i) for i in model.graph.input if i.name not in stored}
    return TorchNetwork(_with_drops(made, outputs), inputs, outputs)


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _declared(onnx: Any, value: Any) -> tuple[tuple[int, ...], str]:
    tensor = value.type.tensor_type
    shape = tuple(d.dim_value for d in tensor.shape.dim)
    return shape, str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))


def _steps(
    path: Path, nodes: Sequence[Node], constants: Mapping[str, Any], outputs: Sequence[str]
) -> list[Step]:
    readers: dict[str, int] = {}
    for name in [*outputs, *(i for n in nodes for i in n.inputs)]:
        readers[name] = readers.get(name, 0) + 1
    made: list[Step] = []
    skipped = set()
    for place, node in enumerate(nodes):
        if place in skipped:
            continue
        after = nodes[place + 1] if place + 1 < len(nodes) else None
        joined = after and readers.get(node.outputs[0]) == 1 and _joined(node, after, constants)
        if joined:
            made.append(joined)
            skipped.add(place + 1)
            continue
        if node.kind not in CALLS:
            raise RunnerError(
                f"{path}: node {node.name!r}: {node.kind} is not known here",
                "such files run with --framework onnxruntime",
            )
        made.append(CALLS[node.kind](node, constants))
    return made


def _joined(node: Node, after: Node, constants: Mapping[str, Any]) -> Step | None:
    """Two nodes that are one call for whoever writes the network in PyTorch, or None."""
    import torch.nn.functional as functional

    if after.kind == "Mul" and set(after.inputs) == {node.inputs[0], node.outputs[0]}:
        gated = {"Sigmoid": functional.silu, "HardSigmoid": functional.hardswish}.get(node.kind)
        if gated is not None:
            return Step(after.name, node.inputs[:1], after.outputs, gated, after.kind)
    if node.kind == "MatMul" and after.kind == "Add" and node.inputs[1] in constants:
        other = next((i for i in after.inputs if i != node.outputs[0]), "")
        if other in constants and constants[other].ndim == 1:
            weights = constants[node.inputs[1]].t().contiguous()
            bias = constants[other]
            return Step(
                after.name,
                node.inputs[:1],
                after.outputs,
                lambda x: functional.linear(x, weights, bias),
                node.kind,
            )
    return None


def _with_drops(steps: Sequence[Step], outputs: Sequence[str]) -> tuple[Step, ...]:
    """Steps that say what nothing reads after them."""
    last = {name: i for i, s in enumerate(steps) for name in (*s.inputs, *s.outputs)}
    drops: dict[int, list[str]] = {}
    for name, place in last.items():
        if name not in outputs:
            drops.setdefault(place, []).append(name)
    return tuple(replace(s, drops=tuple(drops.get(i, ()))) for i, s in enumerate(steps))
