"""Write a graph as an ncnn network, .param and .bin, with seeded random weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from perfmodel.errors import GraphError
from perfmodel.formats.folding import folded
from perfmodel.formats.ncnn import write_elementwise, write_layers, write_movement, write_products
from perfmodel.formats.ncnn.write_file import WRITERS, NcnnWriter, ParamLine, write_files
from perfmodel.formats.operator_table import check_precision, check_written
from perfmodel.graph.exported import exported
from perfmodel.graph.ir import Graph, Op
from perfmodel.graph.kinds import CONVOLUTIONS

_REGISTERS = (write_elementwise, write_layers, write_movement, write_products)
"""Modules that fill `WRITERS` when imported."""


def write_ncnn(
    graph: Graph, path: Path | str, precision: str = "float32", *, seed: int = 0
) -> None:
    """Write `graph` as the .param file `path`, and its random weights beside it as a .bin file.

    `precision` is "float32", or "int8" with scales for weights and activations as ncnn's own tools
    calibrate them: convolutions and inner products then run on integers. The same graph, precision
    and seed give the same bytes; weights are those of a .tflite file of the same seed. Networks are
    laid out as ncnn's exporters lay them out: channels outermost, activations and factors of
    channels folded into convolutions. Raises `GraphError` naming an op that cannot be written.
    """
    write_files(written(graph, precision, seed), Path(path))


def written(graph: Graph, precision: str = "float32", seed: int = 0) -> tuple[ParamLine, ...]:
    """The layers of the file that `write_ncnn` writes, each with the op it belongs to."""
    check_precision(precision)
    graph = exported(graph)
    check_written(graph, WRITERS, "ncnn")
    graph = folded(graph, partial(_folds, graph))
    writer = NcnnWriter(graph, precision == "int8", seed)
    for name in graph.inputs:
        _add_input(writer, name)
    for op in graph.ops:
        WRITERS[op.kind](writer, op)
    return writer.finished()


def _add_input(writer: NcnnWriter, name: str) -> None:
    batch, *sizes = writer.shape(name)
    if batch != 1 or not 1 <= len(sizes) <= 4:
        where = f"{writer.graph.name}: input {name!r} of shape {writer.shape(name)}"
        raise GraphError(where, "ncnn runs one picture or sequence at a time: use batch 1")
    axes = writer.usual(name)
    held = [writer.shape(name)[a] for a in axes]
    keys = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}[len(held)]
    params = dict(sorted(zip(keys, held, strict=True)))
    blob = writer.fresh(name)
    writer.lines.append(ParamLine("Input", blob, bottoms=(), tops=(blob,), params=params))
    writer.bind(name, blob, axes)


def _folds(graph: Graph, op: Op, after: Op) -> bool:
    """What ncnn's optimiser folds into the weights or the end of a layer (ncnnoptimize.cpp)."""
    if op.kind not in CONVOLUTIONS | {"fully_connected"}:
        return False
    if after.kind in write_elementwise.FOLDED:
        return True
    constants = all(graph.tensors[n].constant for n in after.inputs if n and n not in op.outputs)
    factors = after.kind in ("batch_norm", "scale") or (after.kind in ("add", "mul") and constants)
    before, made = (graph.tensors[o.outputs[0]].shape for o in (op, after))
    return factors and op.kind in CONVOLUTIONS and before == made
