"""Write any graph of supported operators as an .onnx file with seeded random weights."""

from __future__ import annotations

from pathlib import Path

from perfmodel.formats.onnx import write_elementwise, write_layers, write_movement
from perfmodel.formats.onnx.emitter import EMITTERS, OnnxEmitter
from perfmodel.formats.onnx.encode import declared
from perfmodel.formats.operator_table import check_precision, check_written
from perfmodel.graph.exported import exported
from perfmodel.graph.ir import Graph

_REGISTERS = (write_elementwise, write_layers, write_movement)
"""Modules that fill `EMITTERS` when imported."""


def write_onnx(
    graph: Graph, path: Path | str, precision: str = "float32", *, seed: int = 0
) -> None:
    """Write `graph` with random weights as an .onnx file (operator set 20).

    Images are channels first in the file. `precision` is "float32", or "int8" with weights by
    channel and activations in pairs of QuantizeLinear and DequantizeLinear where ONNX Runtime's
    static quantiser puts them. The same graph, precision and seed give the same bytes; weights are
    streamed. Raises `GraphError` naming an op that cannot be written.
    """
    check_precision(precision)
    check_written(graph, EMITTERS, ".onnx")
    graph = exported(graph)
    emitter = OnnxEmitter(graph, precision, seed)
    for name in graph.inputs:
        emitter.add_input(name)
    for op in graph.ops:
        emitter.owner = op.name
        EMITTERS[op.kind](emitter, op)
    for name in dict.fromkeys(graph.outputs):
        value = emitter.peek(name)
        emitter.file.outputs.append(declared(value.name, value.shape, value.dtype))
    emitter.file.write(Path(path))
