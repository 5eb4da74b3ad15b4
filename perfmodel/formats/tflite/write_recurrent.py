"""Recurrent layers written to .tflite: full-integer where TFLite has a kernel for it, else float32.

The int8 LSTM is that of the runtime's tensorflow/lite/kernels/lstm_eval.cc (8x8_16): activations
and weights int8, gates and cell state int16.
"""

from __future__ import annotations

from typing import Any

from perfmodel.formats.tflite import random_weights as weights
from perfmodel.formats.tflite.emitter import SIGNED_UNIT, Shape, TfliteEmitter, emits
from perfmodel.formats.tflite.file import Quant
from perfmodel.graph.ir import Op

CELL_CLIP = 10.0
"""Cell states are clipped here, as Keras' converter asks for in int8 files."""
CELL = Quant((2.0**-11,), 0)
"""int16 cell states up to 16, which hold the clip; the kernel wants a power of two."""
_BIAS_DEVIATION = 0.05
_COMMON: dict[str, Any] = {"fusedActivationFunction": 4}  # tanh


@emits("lstm")
def _lstm(e: TfliteEmitter, op: Op) -> None:
    """An LSTM in one or both directions, its last step sliced off where only that is wanted.

    An int8 network runs one direction in the full-integer kernel, as converters write it. The
    kernel of both directions has no such form: it stays float32 between DEQUANTIZE and QUANTIZE.
    """
    if op.attrs.get("cells", op.attrs["hidden"]) != op.attrs["hidden"]:
        raise e.refuse(op, "projection")
    one = op.attrs["directions"] == 1
    x = e.read(op.inputs[0], "int8" if e.int8 and one else "float32")
    outs = _one_direction(e, op, x) if one else _both_directions(e, op, x)
    if not op.attrs["return_sequences"]:
        outs = [_last_step(e, op, outs)]
    for name, out in zip(op.outputs, outs, strict=False):
        e.bind(name, out)


def _one_direction(e: TfliteEmitter, op: Op, x: int) -> list[int]:
    """float32, or int8 with an int16 cell state, tensor for tensor as a converter's file has it."""
    a, b, _ = e.shape(x)
    hidden, dtype = op.attrs["hidden"], e.dtype(x)
    inputs = [x, *_lstm_weights(e, op, 0, x), *_states(e, op, x)]
    fields = _COMMON | {"timeMajor": bool(op.attrs["time_major"])}
    intermediates: list[int] = []
    if dtype == "int8":
        inputs += [-1] * 4  # layer normalisation
        fields["cellClip"] = CELL_CLIP
        intermediates = _intermediates(e, op)
    out = e.temporary((a, b, hidden), dtype, SIGNED_UNIT)
    e.file.operator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        inputs,
        [out],
        "UnidirectionalSequenceLSTMOptions",
        intermediates=intermediates,
        **fields,
    )
    return [out]


def _both_directions(e: TfliteEmitter, op: Op, x: int) -> list[int]:
    """float32; one output of both halves where the sequence is returned merged, else two."""
    a, b, _ = e.shape(x)
    hidden = op.attrs["hidden"]
    joined = op.attrs["return_sequences"] and op.attrs.get("merge_outputs", True)
    # ai-edge-litert 2.3 merges wrongly from the second batch element on
    merged = joined and (b if op.attrs["time_major"] else a) == 1
    gates = [_lstm_weights(e, op, direction, x) for direction in range(2)]
    states = _states(e, op, x)
    widths = [2 * hidden] if merged else [hidden, hidden]
    outs = [e.temporary((a, b, width), "float32") for width in widths]
    e.file.operator(
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        [x, *gates[0], *gates[1], *states, *[-1] * 9],
        outs,
        "BidirectionalSequenceLSTMOptions",
        mergeOutputs=merged,
        timeMajor=bool(op.attrs["time_major"]),
        **_COMMON,
    )
    if joined and not merged:
        options = "ConcatenationOptions"
        outs = [e.emit("CONCATENATION", outs, (a, b, 2 * hidden), "float32", options, axis=2)]
    return outs


def _lstm_weights(e: TfliteEmitter, op: Op, direction: int, x: int) -> list[int]:
    """Inputs 1 to 17 of the kernel: gates in the order input, forget, cell, output; no peephole.

    int8 weights and int32 biases are the float file's, rounded.
    """
    base = next((n for n in op.inputs[1:] if n), op.outputs[0])
    features, hidden = e.shape(x)[2], op.attrs["hidden"]

    def constant(kind: int, gate: int) -> tuple[str, list[int]]:
        name = f"{op.name}/{direction}/{('input', 'recurrent', 'bias')[kind]}_{gate}"
        return name, [*e.stream(base), direction, kind, gate]

    dtype = e.dtype(x)
    inputs = [_matrix(e, (hidden, features), dtype, *constant(0, g)) for g in range(4)]
    recurrent = [_matrix(e, (hidden, hidden), dtype, *constant(1, g)) for g in range(4)]
    biases = [_bias(e, x, inputs[g], *constant(2, g)) for g in range(4)]
    return [*inputs, *recurrent, -1, -1, -1, *biases, -1, -1]


def _matrix(e: TfliteEmitter, shape: Shape, dtype: str, name: str, stream: list[int]) -> int:
    """Weights of one gate, (hidden, inputs); int8 ones have one scale."""
    deviation = shape[1] ** -0.5
    if dtype == "float32":
        data = weights.normal(shape, deviation, 0.0, stream)
        return e.file.tensor(name, shape, dtype, data=data)
    data = weights.quantised_normal(shape, stream)
    quant = Quant((deviation * weights.CLIP_SIGMAS / 127,), 0)
    return e.file.tensor(name, shape, dtype, data=data, quant=quant)


def _bias(e: TfliteEmitter, x: int, matrix: int, name: str, stream: list[int]) -> int:
    """Biases of one gate; int32 ones have the scale of the input times that of its weights."""
    shape = e.shape(matrix)[:1]
    if e.dtype(x) == "float32":
        data = weights.normal(shape, _BIAS_DEVIATION, 0.0, stream)
        return e.file.tensor(name, shape, "float32", data=data)
    scale = e.scale(x) * e.scale(matrix)
    data = weights.rounded_normal(shape, _BIAS_DEVIATION, scale, stream)
    return e.file.tensor(name, shape, "int32", data=data, quant=Quant((scale,), 0))


def _states(e: TfliteEmitter, op: Op, x: int) -> list[int]:
    """Output state and cell state of each direction."""
    a, b, _ = e.shape(x)
    shape = (b if op.attrs["time_major"] else a, op.attrs["hidden"])
    kinds: list[tuple[str, Quant | None]] = [("float32", None)] * 2
    if e.dtype(x) == "int8":
        kinds = [("int8", SIGNED_UNIT), ("int16", CELL)]
    return [
        e.file.tensor(f"{op.name}/state_{i}", shape, dtype, quant=quant, variable=True)
        for i, (dtype, quant) in enumerate(kinds * op.attrs["directions"])
    ]


def _intermediates(e: TfliteEmitter, op: Op) -> list[int]:
    """Empty tensors of the kernel's inner scales: four for layer normalisation, the output's."""
    gates = [
        e.file.tensor(f"{op.name}/input_to_{gate}_intermediate", (0,), "float32")
        for gate in ("input", "forget", "cell", "output")
    ]
    name = f"{op.name}/effective_hidden_scale_intermediate"
    return [*gates, e.file.tensor(name, (0,), "int8", quant=SIGNED_UNIT)]


def _last_step(e: TfliteEmitter, op: Op, outs: list[int]) -> int:
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
        dtype, quant = e.dtype(out), e.quant(out)
        inputs = [out, e.ints(begin), e.ints(size)]
        version = 2 if dtype == "int8" else 1
        piece = e.emit("SLICE", inputs, size, dtype, "SliceOptions", version=version, quant=quant)
        flat = (b if time_axis == 0 else a, hidden)
        last.append(e.emit("RESHAPE", [piece, e.ints(flat)], flat, dtype, quant=quant))
    if len(last) == 1:
        return last[0]
    shape = (e.shape(last[0])[0], sum(e.shape(i)[1] for i in last))
    return e.emit("CONCATENATION", last, shape, "float32", "ConcatenationOptions", axis=1)


@emits("rnn")
def _rnn(e: TfliteEmitter, op: Op) -> None:
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
