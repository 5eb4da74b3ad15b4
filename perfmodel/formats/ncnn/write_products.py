"""Matrix products, look-ups, recurrent layers and constants as ncnn layers."""

from __future__ import annotations

import math

import numpy as np

from perfmodel.formats.ncnn.recurrent import BIASES
from perfmodel.formats.ncnn.write_file import Axes, NcnnWriter, drawn, floats, tagged, writes
from perfmodel.formats.tflite import random_weights as weights
from perfmodel.graph.ir import Op
from perfmodel.graph.kinds import GATES


def constant(w: NcnnWriter, op: Op, name: str, axes: Axes, rank: int) -> str:
    """A constant tensor as a blob of those axes of a tensor of `rank`, with which it broadcasts."""
    shape = w.shape(name)
    whole = (1,) * (rank - len(shape)) + shape
    lost = [a for a in range(rank) if a not in axes and whole[a] > 1]
    if len(shape) > rank or lost:
        raise w.refuse(op, f"a constant of shape {shape}")
    values = drawn(whole, 1.0, 0.0, w.stream(name))
    order = [a for a in range(rank) if a not in axes] + list(axes)
    sizes = [whole[a] for a in axes]
    keys = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}[len(sizes)]
    params = dict(sorted(zip(keys, sizes, strict=True)))
    data = floats(np.transpose(values, order))
    return w.layer(op, "MemoryData", [], params, [data], part="constant")[0]


@writes("matmul")
def _matmul(w: NcnnWriter, op: Op) -> None:
    if op.attrs.get("transpose_a") or len([n for n in op.inputs if n]) > 2:
        raise w.refuse(op, "a transposed left side, or a third matrix")
    blobs = [
        constant(w, op, name, w.straight(name), len(w.shape(name)))
        if w.graph.tensors[name].constant
        else w.read(op, name, w.straight(name))
        for name in op.inputs[:2]
    ]
    params = {0: int(bool(op.attrs.get("transpose_b")))}
    (blob,) = w.layer(op, "MatMul", blobs, params)
    w.bind(op.outputs[0], blob, w.straight(op.outputs[0]))


@writes("gather")
def _gather(w: NcnnWriter, op: Op) -> None:
    """A look-up of rows of a table of weights by indices."""
    table, indices = op.inputs
    if not w.graph.tensors[table].constant or op.attrs["axis"] != 0:
        raise w.refuse(op, "only rows of a constant table can be looked up")
    if w.graph.tensors[indices].constant or len(w.shape(indices)) != 2:
        raise w.refuse(op, f"indices of shape {w.shape(indices)}")
    rows, width = w.shape(table)
    data = tagged(weights.normal((rows, width), 1.0, 0.0, w.stream(table)))
    params = {0: width, 1: rows, 2: 0, 3: rows * width}
    (blob,) = w.layer(op, "Embed", [w.read(op, indices, (1,))], params, [data])
    w.bind(op.outputs[0], blob, (1, 2))


@writes("lstm gru rnn")
def _recurrent(w: NcnnWriter, op: Op) -> None:
    if op.attrs["time_major"] or op.attrs.get("cells") or len(op.outputs) > 1:
        raise w.refuse(op, "time before batch, projections or states as outputs")
    _, steps, features = w.shape(op.inputs[0])
    hidden, directions = op.attrs["hidden"], op.attrs["directions"]
    rows = directions * GATES[op.kind] * hidden
    sizes = (rows * features, directions * BIASES[op.kind.upper()] * hidden, rows * hidden)
    names = [f"{op.name}/{part}" for part in ("weights", "bias", "recurrent")]
    spread = [1 / math.sqrt(features), 0.05, 1 / math.sqrt(hidden)]
    data = [
        tagged(weights.normal((size,), deviation, 0.0, w.stream(name)))
        for size, deviation, name in zip(sizes, spread, names, strict=True)
    ]
    params = {0: hidden, 1: sizes[0], 2: 2 if directions == 2 else 0}
    (blob,) = w.layer(op, op.kind.upper(), [w.read(op, op.inputs[0], (1, 2))], params, data)
    if not op.attrs["return_sequences"]:
        ends = {9: (steps - 1,), 10: (steps,), 11: (0,)}
        (blob,) = w.layer(op, "Crop", [blob], ends, part="last")
        blob = w.reshape(op, blob, [directions * hidden])
    w.bind(op.outputs[0], blob, w.straight(op.outputs[0]))
