"""Write any graph of supported operators as a .tflite file with seeded random weights."""

from __future__ import annotations

from pathlib import Path

from perfmodel.formats.folding import folded
from perfmodel.formats.operator_table import check_precision, check_written
from perfmodel.formats.tflite import (
    write_elementwise,
    write_layers,
    write_movement,
    write_norms,
    write_recurrent,
)
from perfmodel.formats.tflite.emitter import EMITTERS, TfliteEmitter
from perfmodel.graph.exported import exported
from perfmodel.graph.ir import Graph, Op
from perfmodel.graph.kinds import NORMS

_REGISTERS = (
    write_elementwise,
    write_layers,
    write_movement,
    write_norms,
    write_recurrent,
)
"""Modules that fill `EMITTERS` when imported."""
_RECTIFIERS = frozenset({"relu", "relu6", "relu_n1_to_1"})
_POOLS = frozenset({"max_pool2d", "avg_pool2d"})
_RECTIFYING = NORMS | _POOLS | {"conv2d", "fully_connected", "add", "sub", "mul", "div"}
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


def emitted(graph: Graph, precision: str = "float32", seed: int = 0) -> TfliteEmitter:
    """Every operator of the file that `write_tflite` writes, with constants yet to be made."""
    check_precision(precision)
    check_written(graph, EMITTERS, ".tflite")
    graph = folded(exported(graph), _folds)
    emitter = TfliteEmitter(graph, precision, seed)
    for name in graph.inputs:
        emitter.add_input(name)
    for op in graph.ops:
        emitter.file.owner = op.name
        EMITTERS[op.kind](emitter, op)
    return emitter


def _folds(op: Op, after: Op) -> bool:
    """Rectifiers become attributes of the op before them, as TFLite's converter writes them."""
    return after.kind in _RECTIFIERS and op.kind in _RECTIFYING
