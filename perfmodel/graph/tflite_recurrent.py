"""Recurrent layers written to .tflite; float kernels only."""

from __future__ import annotations

from perfmodel.graph import tflite_weights as weights
from perfmodel.graph.ir import Op
from perfmodel.graph.tflite_emit import Emitter, Shape, emits


@emits("lstm")
def _lstm(e: Emitter, op: Op) -> None:
    """Float kernels only: an int8 network runs its recurrent layers in float32."""
    x = e.read(op.inputs[0], "float32")
    hidden, directions = op.attrs["hidden"], op.attrs["directions"]
    if op.attrs.get("cells", hidden) != hidden:
        raise e.refuse(op, "projection")
    a, b, features = e.shape(x)
    batch = b if op.attrs["time_major"] else a
    gates: list[int] = []
    for direction in range(directions):
        gates += _lstm_weights(e, op, direction, features, hidden)
    states = [
        e.file.tensor(f"{op.name}/state_{i}", (batch, hidden), "float32", variable=True)
        for i in range(2 * directions)
    ]
    outs = [e.temporary((a, b, hidden), "float32") for _ in range(directions)]
    common = {"fusedActivationFunction": 4, "timeMajor": bool(op.attrs["time_major"])}
    if directions == 1:
        e.file.operator(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            [x, *gates, *states],
            outs,
            "UnidirectionalSequenceLSTMOptions",
            **common,
        )
    else:
        joined = op.attrs["return_sequences"] and op.attrs.get("merge_outputs", True)
        # ai-edge-litert 2.3 merges wrongly from the second batch element on
        merged = joined and batch == 1
        if merged:
            outs = [e.temporary((a, b, 2 * hidden), "float32")]
        e.file.operator(
            "BIDIRECTIONAL_SEQUENCE_LSTM",
            [x, *gates, *states, *[-1] * 9],
            outs,
            "BidirectionalSequenceLSTMOptions",
            mergeOutputs=merged,
            **common,
        )
        if joined and not merged:
            shape = (a, b, 2 * hidden)
            options = "ConcatenationOptions"
            outs = [e.emit("CONCATENATION", outs, shape, "float32", options, axis=2)]
    if not op.attrs["return_sequences"]:
        outs = [_last_step(e, op, outs)]
    for name, out in zip(op.outputs, outs, strict=False):
        e.bind(name, out)


def _lstm_weights(e: Emitter, op: Op, direction: int, features: int, hidden: int) -> list[int]:
    """Inputs 1 to 17 of the kernel: gates in the order input, forget, cell, output; no peephole."""
    base = next((n for n in op.inputs[1:] if n), op.outputs[0])

    def constant(kind: int, gate: int, shape: Shape, deviation: float) -> int:
        stream = [*e.stream(base), direction, kind, gate]
        data = weights.normal(shape, deviation, 0.0, stream)
        name = f"{op.name}/{direction}/{('input', 'recurrent', 'bias')[kind]}_{gate}"
        return e.file.tensor(name, shape, "float32", data=data)

    inputs = [constant(0, g, (hidden, features), features**-0.5) for g in range(4)]
    recurrent = [constant(1, g, (hidden, hidden), hidden**-0.5) for g in range(4)]
    biases = [constant(2, g, (hidden,), 0.05) for g in range(4)]
    return [*inputs, *recurrent, -1, -1, -1, *biases, -1, -1]


def _last_step(e: Emitter, op: Op, outs: list[int]) -> int:
    """The final step of each direction; the backward one ends at the sequence's start."""
    time_axis = 0 if op.attrs["time_major"] else 1
    last = []
    for direction, out in enumerate(outs):
        a, b, hidden = e.shape(out)
        step = ((a, b)[time_axis] - 1) if direction == 0 else 0
        begin = [0, 0, 0]
        begin[time_axis] = step
        size = [a, b, hidden]
        size[time_axis] = 1
        piece = e.emit("SLICE", [out, e.ints(begin), e.ints(size)], size, "float32", "SliceOptions")
        flat = (b if time_axis == 0 else a, hidden)
        last.append(e.emit("RESHAPE", [piece, e.ints(flat)], flat, "float32"))
    if len(last) == 1:
        return last[0]
    shape = (e.shape(last[0])[0], sum(e.shape(i)[1] for i in last))
    return e.emit("CONCATENATION", last, shape, "float32", "ConcatenationOptions", axis=1)


@emits("rnn")
def _rnn(e: Emitter, op: Op) -> None:
    if op.attrs["directions"] != 1 or not op.attrs["return_sequences"]:
        raise e.refuse(op, "only one direction that returns its sequence")
    x = e.read(op.inputs[0], "float32")
    a, b, features = e.shape(x)
    hidden, time_major = op.attrs["hidden"], bool(op.attrs["time_major"])
    base = e.stream(next((n for n in op.inputs[1:] if n), op.outputs[0]))
    shapes = ((hidden, features), (hidden, hidden), (hidden,))
    constants = [
        e.file.tensor(
            f"{op.name}/weights_{i}",
            shape,
            "float32",
            data=weights.normal(shape, shape[-1] ** -0.5, 0.0, [*base, i]),
        )
        for i, shape in enumerate(shapes)
    ]
    batch = b if time_major else a
    state = e.file.tensor(f"{op.name}/state", (batch, hidden), "float32", variable=True)
    e.bind(
        op.outputs[0],
        e.emit(
            "UNIDIRECTIONAL_SEQUENCE_RNN",
            [x, *constants, state],
            (a, b, hidden),
            "float32",
            "SequenceRNNOptions",
            timeMajor=time_major,
            fusedActivationFunction=4,
        ),
    )
