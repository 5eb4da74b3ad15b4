"""The ONNX writer's workbench: values of a graph in ONNX's layout, weights, and quantised pairs.

ONNX stores images channels first, the graph channels last. A value may exist in the file both ways:
the transposition between them is written where an operator needs the other one. Nodes and the
tensors that they make are named after the operator of the graph that they serve, "OP" or "OP/PART",
by which a runtime's list of times finds its way back.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.encode import Attr, OnnxFile, declared
from perfmodel.formats.operator_table import registering, unwritable
from perfmodel.formats.tflite import random_weights as weights
from perfmodel.formats.tflite.emitter import IMAGE, LINEAR, REAL_DTYPES, Shape
from perfmodel.formats.tflite.file import Quant
from perfmodel.graph.ir import Graph, Op
from perfmodel.graph.kinds import CONVOLUTIONS, POOLS

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Permutations of an image: to channels first, and back."""
QUANTISED = frozenset(
    {*CONVOLUTIONS, *POOLS, "fully_connected", "matmul", "add", "mul", "sub", "div", "concat"}
    | {"reduce_mean", "sigmoid", "leaky_relu", "softmax", "relu", "relu6", "clip", "swish"}
    | {"hard_swish", "reshape", "transpose", "resize", "split", "slice", "pad", "gather"}
    | {"instance_norm", "layer_norm", "channel_shuffle"}
)
"""Kinds whose inputs and results ONNX Runtime's quantiser surrounds with pairs
(onnxruntime/python/tools/quantization/registry.py)."""


@dataclass(frozen=True)
class WrittenValue:
    """A tensor of the file: its shape there, and whether it is an image with channels first.

    In an int8 network the scale of its quantised pair, and the integers inside the pair.
    """

    name: str
    shape: Shape
    first: bool = False
    quant: Quant | None = None
    dtype: str = "float32"
    integers: str = ""


class OnnxEmitter:
    """Writes the operators of `graph` into an `OnnxFile`; `precision` is float32 or int8."""

    def __init__(self, graph: Graph, precision: str, seed: int) -> None:
        self.graph = graph
        self.int8 = precision == "int8"
        self.seed = seed
        self.file = OnnxFile(graph.name)
        self.owner = "input"
        self.consumers = graph.consumers()
        self._makers = graph.producers()
        self.values: dict[str, dict[bool, WrittenValue]] = {}
        self._parts: set[str] = set()
        self._read: set[str] = set()

    def shape_of(self, name: str) -> Shape:
        """Shape of a tensor of the graph, channels last."""
        return self.graph.tensors[name].shape

    def stream(self, name: str) -> list[int]:
        """The seed of a constant's values: by name, so that pieces have the whole's weights."""
        return [self.seed, zlib.crc32(name.encode())]

    def add_input(self, name: str) -> None:
        """A graph input; images are stored channels first, and are floats in int8 networks too."""
        tensor = self.graph.tensors[name]
        first = len(tensor.shape) == 4
        shape = moved(tensor.shape, FIRST) if first else tensor.shape
        dtype = "float32" if tensor.dtype in REAL_DTYPES else tensor.dtype
        self.file.inputs.append(declared(name, shape, dtype))
        value = WrittenValue(name, shape, first, dtype=dtype)
        self.owner = name
        self.values[name] = {first: self.paired(value, IMAGE, name)}

    def part(self, wanted: str) -> str:
        """A name for a node of the operator that is being written, and for what it makes."""
        name = f"{self.owner}/{wanted}" if wanted else self.owner
        number = 1
        while name in self._parts or name in self.file.constants:
            number += 1
            name = f"{self.owner}/{wanted or 'part'}_{number}"
        self._parts.add(name)
        return name

    def node(
        self,
        op_type: str,
        inputs: Sequence[WrittenValue | str],
        shape: Sequence[int],
        part: str = "",
        *,
        first: bool = False,
        dtype: str = "float32",
        **attributes: Attr,
    ) -> WrittenValue:
        """Append a node with one result of that shape."""
        name = self.part(part or op_type.lower())
        names = [i if isinstance(i, str) else i.name for i in inputs]
        self.file.node(op_type, names, [name], name, attributes)
        return WrittenValue(name, tuple(shape), first, dtype=dtype)

    def peek(self, name: str) -> WrittenValue:
        """A value that was made, as it is; it is not read by that."""
        return next(iter(self.values[name].values()))

    def read(self, name: str, first: bool | None = None) -> WrittenValue:
        """A value; images channels first or last as `first` says, or as they are."""
        if name not in self.values:
            return self.real_constant(name)
        known = self.values[name]
        have = next(iter(known.values()))
        if first is not None and len(have.shape) == 4 and have.first != first:
            if first not in known:
                known[first] = self.turned(have)
            have = known[first]
        return self._for_one_reader(have)

    def _for_one_reader(self, value: WrittenValue) -> WrittenValue:
        """A value that nothing else reads, where it is dequantised.

        ONNX Runtime computes on integers where a pair belongs to one reader alone.
        """
        if value.quant is None or value.name not in self._read:
            self._read.add(value.name)
            return value
        scale, zero = self._scale(value.quant)
        inputs = [value.integers, scale, zero]
        return replace(
            self.node("DequantizeLinear", inputs, value.shape, "again"),
            first=value.first,
            quant=value.quant,
            integers=value.integers,
        )

    def turned(self, value: WrittenValue) -> WrittenValue:
        """An image in the other layout; a reshape where its pixels are one."""
        order = LAST if value.first else FIRST
        shape = moved(value.shape, order)
        pixels = math.prod(value.shape[2:] if value.first else value.shape[1:3])
        if pixels == 1 or (value.shape[1] == 1 and value.first):
            made = self.reshaped(value, shape, "to_layout")
        else:
            made = self.node(
                "Transpose", [value], shape, "to_layout", perm=order, dtype=value.dtype
            )
            made = self.same_scale(made, value)
        return replace(made, first=not value.first)

    def reshaped(
        self, value: WrittenValue, shape: Sequence[int], part: str = "reshape"
    ) -> WrittenValue:
        """The same numbers in another shape; neither layout."""
        made = self.node("Reshape", [value, self.ints(shape)], shape, part, dtype=value.dtype)
        return self.same_scale(made, value)

    def ints(self, values: Sequence[int]) -> str:
        """A list of integers as a constant; equal ones are written once."""
        name = "ints_" + "_".join(str(v).replace("-", "m") for v in values)
        return self.file.numbers(name, np.asarray(values, np.int64))

    def number(self, value: float) -> str:
        """A scalar as a constant; equal ones are written once."""
        return self.file.numbers(f"number_{value!r}", np.asarray(value, np.float32))

    def weights(
        self, name: str, shape: Sequence[int], deviation: float, mean: float = 0.0, part: str = ""
    ) -> str:
        """Float weights of graph tensor `name` under that shape."""
        stored = f"{name}{part}"
        data = weights.normal(shape, deviation, mean, self.stream(name))
        return self.file.constant(stored, shape, "float32", data)

    def integers(self, name: str, shape: Sequence[int], quant: Quant) -> str:
        """int8 weights of graph tensor `name` under that shape, dequantised for their reader."""
        data = weights.quantised_normal(shape, self.stream(name))
        stored = self.file.constant(f"{name}/int8", shape, "int8", data)
        return self.dequantised(stored, shape, quant, np.zeros(len(quant.scales), np.int8))

    def dequantised(
        self, stored: str, shape: Sequence[int], quant: Quant, zeros: np.ndarray
    ) -> str:
        """A constant of integers, dequantised for its reader; several scales are by channel."""
        scales = np.asarray(quant.scales, np.float32)
        many = len(scales) > 1
        scale = self.file.numbers(f"{stored}/scale", scales if many else scales[0])
        zero = self.file.numbers(f"{stored}/zero", zeros if many else zeros[0])
        # without several scales the axis says nothing
        inputs = [stored, scale, zero]
        return self.node("DequantizeLinear", inputs, shape, "weights", axis=quant.axis).name

    def real_constant(self, name: str) -> WrittenValue:
        """A constant that an element-wise operator reads, as the graph lays it out."""
        tensor = self.graph.tensors[name]
        if tensor.dtype not in REAL_DTYPES:
            made = self.file.numbers(name, np.ones(tensor.shape, tensor.dtype))
            return WrittenValue(made, tensor.shape, dtype=tensor.dtype)
        return WrittenValue(self.weights(name, tensor.shape, 1.0), tensor.shape)

    def paired(self, value: WrittenValue, quant: Quant | None, graph_name: str) -> WrittenValue:
        """A value behind a quantised pair, where an int8 network has one there."""
        if not self.int8 or value.dtype != "float32" or not self._wants_pair(graph_name):
            return value
        return self.pair(value, quant or LINEAR)

    def pair(self, value: WrittenValue, quant: Quant) -> WrittenValue:
        """A value quantised and dequantised."""
        scale, zero = self._scale(quant)
        stored = self.node(
            "QuantizeLinear", [value, scale, zero], value.shape, "quantize", dtype="uint8"
        )
        made = self.node("DequantizeLinear", [stored, scale, zero], value.shape, "dequantize")
        return replace(made, first=value.first, quant=quant, integers=stored.name)

    def _scale(self, quant: Quant) -> tuple[str, str]:
        """Scale and zero point of all numbers of a tensor, as constants.

        Activations are unsigned, weights signed: ONNX Runtime on x86 turns signed ones into that
        and leaves some in floats where several operators read them (version 1.32).
        """
        zero_point = np.asarray(quant.zero_point + 128, np.uint8)
        zero = self.file.numbers(f"zero_{zero_point}", zero_point)
        return self.number(quant.scales[0]), zero

    def turning(self, name: str) -> str:
        """Name of the op that makes a tensor where it is a transposition, else ""."""
        maker = self._makers.get(name)
        found = self.graph.ops[maker] if maker is not None else None
        return found.name if found is not None and found.kind == "transpose" else ""

    def same_scale(self, made: WrittenValue, source: WrittenValue) -> WrittenValue:
        """What moves numbers keeps their scale: a pair like the source's, where it has one."""
        return self.pair(made, source.quant) if source.quant is not None else made

    def _wants_pair(self, name: str) -> bool:
        readers = [self.graph.ops[i].kind for i in self.consumers.get(name, ())]
        if name in self._makers:
            readers.append(self.graph.ops[self._makers[name]].kind)
        return not QUANTISED.isdisjoint(readers)

    def bind(self, name: str, value: WrittenValue, quant: Quant | None = None) -> None:
        """Let a value of the file stand for the graph's tensor `name`, behind a pair if need be."""
        made = value if value.quant is not None else self.paired(value, quant, name)
        self.values[name] = {made.first: made}

    def refuse(self, op: Op, reason: str) -> GraphError:
        """The error for an op that cannot be written."""
        return unwritable(self.graph, op, reason)


def moved(shape: Sequence[int], order: Sequence[int]) -> Shape:
    """A shape with its axes in another order."""
    return tuple(shape[i] for i in order)


EmitOp = Callable[[OnnxEmitter, Op], None]
EMITTERS: dict[str, EmitOp] = {}
"""How each kind of op is written; filled by the modules write_*."""

emits = registering(EMITTERS)
"""Register the writer of some kinds (space-separated)."""
