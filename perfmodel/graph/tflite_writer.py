"""Write any graph of supported operators as a .tflite file with seeded random weights."""

from __future__ import annotations

from pathlib import Path

from perfmodel.errors import GraphError
from perfmodel.graph import (
    tflite_elementwise,
    tflite_layers,
    tflite_movement,
    tflite_norm,
    tflite_recurrent,
)
from perfmodel.graph.ir import Graph
from perfmodel.graph.tflite_emit import EMITTERS, Emitter

PRECISIONS = ("float32", "int8")
_REGISTERS = (
    tflite_elementwise,
    tflite_layers,
    tflite_movement,
    tflite_norm,
    tflite_recurrent,
)
"""Modules that fill `EMITTERS` when imported."""


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
    if precision not in PRECISIONS:
        raise GraphError(f"precision {precision!r}", f"choose one of {', '.join(PRECISIONS)}")
    for op in graph.ops:
        if op.kind not in EMITTERS:
            raise GraphError(
                f"{graph.name}: op {op.name!r} ({op.kind}): the .tflite writer does not know it"
            )
    emitter = Emitter(graph, precision, seed)
    inputs = [emitter.add_input(name) for name in graph.inputs]
    for op in graph.ops:
        EMITTERS[op.kind](emitter, op)
    outputs = [emitter.read(name) for name in graph.outputs]
    emitter.file.write(path, inputs, list(dict.fromkeys(outputs)))
