"""Write any graph of supported operators as a .tflite file with seeded random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from perfmodel.errors import GraphError
from perfmodel.formats.tflite import (
    write_elementwise,
    write_layers,
    write_movement,
    write_norms,
    write_recurrent,
)
from perfmodel.formats.tflite.emitter import EMITTERS, Emitter
from perfmodel.graph.exported import exported
from perfmodel.graph.ir import Graph, Op

PRECISIONS = ("float32", "int8")
_REGISTERS = (
    write_elementwise,
    write_layers,
    write_movement,
    write_norms,
    write_recurrent,
)
"""Modules that fill `EMITTERS` when imported."""
_RECTIFIERS = frozenset({"relu", "relu6", "relu_n1_to_1"})
_NORMS = frozenset({"layer_norm", "instance_norm", "group_norm"})
_POOLS = frozenset({"max_pool2d", "avg_pool2d"})
_RECTIFYING = _NORMS | _POOLS | {"conv2d", "fully_connected", "add", "sub", "mul", "div"}
"""Ops into which TFLite's converter folds a rectifier that alone reads their result."""


def write_tflite(
    graph: Graph, path: Path | str, *, precision: str = "float32", seed: int = 0
) -> None:
    """Write `graph` with random weights as a .tflite file that TFLite runs.

    `precision` is "float32" or "int8" (weights per channel, biases int32; operators that TFLite
    has no int8 kernel for run in float32 between DEQUANTIZE and QUANTIZE). The same graph,
    precision and seed give the same bytes. Weights are streamed: memory stays small for any size
    up to 2 GiB.
    Explicit pads become a PAD operator. Raises `GraphError` naming an op that cannot be written.
    """
    emitter = emitted(graph, precision, seed)
    inputs = [emitter.values[name] for name in graph.inputs]
    outputs = [emitter.read(name) for name in graph.outputs]
    emitter.file.write(path, [next(iter(i.values())) for i in inputs], list(dict.fromkeys(outputs)))


def emitted(graph: Graph, precision: str = "float32", seed: int = 0) -> Emitter:
    """Every operator of the file that `write_tflite` writes, with constants yet to be made."""
    if precision not in PRECISIONS:
        raise GraphError(f"precision {precision!r}", f"choose one of {', '.join(PRECISIONS)}")
    for op in graph.ops:
        if op.kind not in EMITTERS:
            raise GraphError(
                f"{graph.name}: op {op.name!r} ({op.kind}): the .tflite writer does not know it"
            )
    graph = _with_fused_activations(exported(graph))
    emitter = Emitter(graph, precision, seed)
    for name in graph.inputs:
        emitter.add_input(name)
    for op in graph.ops:
        emitter.file.owner = op.name
        EMITTERS[op.kind](emitter, op)
    return emitter


def _with_fused_activations(graph: Graph) -> Graph:
    """Rectifiers as attributes of the op before them, as TFLite's converter writes them."""
    consumers = graph.consumers()
    rectified = {
        op.inputs[0]: op
        for op in graph.ops
        if op.kind in _RECTIFIERS
        and len(consumers[op.inputs[0]]) == 1
        and op.inputs[0] not in graph.outputs
    }
    ops: list[Op] = []
    gone: set[str] = set()
    for op in graph.ops:
        after = rectified.get(op.outputs[0])
        if after and op.kind in _RECTIFYING and op.attrs.get("activation", "none") == "none":
            attrs = {**op.attrs, "activation": after.kind}
            ops.append(replace(op, outputs=after.outputs, attrs=attrs))
            gone.add(after.name)
        elif op.name not in gone:
            ops.append(op)
    return replace(graph, ops=tuple(ops))
