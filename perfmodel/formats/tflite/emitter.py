"""The writer's workbench: values of a graph as tensors of the file, and helpers to emit operators.

Each value may exist in the file as float32 and as int8; the conversion between them is written
where an operator needs the other one, as TensorFlow's converter does for operators without an
int8 kernel.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from perfmodel.errors import GraphError
from perfmodel.formats.operator_table import registering, unwritable
from perfmodel.formats.tflite import random_weights as weights
from perfmodel.formats.tflite.file import Data, Quant, TfliteFile
from perfmodel.graph.ir import Graph, Op

Shape = tuple[int, ...]
REAL_DTYPES = frozenset({"float32", "float16", "bfloat16", "float64", "int8", "uint8", "int16"})
"""Element types that stand for real numbers in a network; others are indices, counts, flags."""

# plausible ranges: 0 to 6 behind a rectifier, -4 to 4 elsewhere, -1 to 1 for images
RECTIFIED = Quant((6 / 255,), -128)
LINEAR = Quant((8 / 255,), 0)
IMAGE = Quant((1 / 128,), 0)
# fixed by the kernels: https://ai.google.dev/edge/litert/models/quantization_spec
PROBABILITY = Quant((1 / 256,), -128)
SIGNED_UNIT = Quant((1 / 128,), 0)


class TfliteEmitter:
    """Writes the operators of `graph` into a `TfliteFile`; `precision` is float32 or int8."""

    def __init__(self, graph: Graph, precision: str, seed: int) -> None:
        self.graph = graph
        self.int8 = precision == "int8"
        self.seed = seed
        self.file = TfliteFile()
        self.values: dict[str, dict[str, int]] = {}
        self.consumers = graph.consumers()
        self._numbers: dict[tuple[str, Any], int] = {}

    def shape(self, index: int) -> Shape:
        """Shape of a tensor of the file."""
        return self.file.tensors[index].shape

    def quant(self, index: int) -> Quant | None:
        """Scale and zero point of a tensor of the file."""
        return self.file.tensors[index].quant

    def scale(self, index: int) -> float:
        """The one scale of an int8 activation."""
        quant = self.quant(index)
        assert quant is not None
        return quant.scales[0]

    def dtype(self, index: int) -> str:
        """Element type of a tensor of the file."""
        return self.file.tensors[index].dtype

    def stream(self, name: str) -> list[int]:
        """The seed of a constant's values: by name, so that pieces have the whole's weights."""
        return [self.seed, zlib.crc32(name.encode())]

    def bind(self, name: str, index: int) -> None:
        """Let tensor `index` of the file stand for the graph's tensor `name`."""
        self.file.rename(index, name)
        self.values[name] = {self.dtype(index): index}

    def add_input(self, name: str) -> int:
        """A graph input; real ones are int8 in an int8 network."""
        tensor = self.graph.tensors[name]
        real = tensor.dtype in REAL_DTYPES
        dtype = ("int8" if self.int8 else "float32") if real else tensor.dtype
        quant = IMAGE if dtype == "int8" else None
        index = self.file.tensor(name, tensor.shape, dtype, quant=quant)
        self.values[name] = {dtype: index}
        return index

    def read(self, name: str, dtype: str = "") -> int:
        """Index of a value, converted to float32 or int8 where `dtype` asks for it.

        Without `dtype` the value comes as it is (int8 rather than float32 if both exist).
        """
        if name not in self.values:
            return self._constant(name, dtype or ("int8" if self.int8 else "float32"))
        known = self.values[name]
        if not dtype:
            return known.get("int8", next(iter(known.values())))
        if dtype in known:
            return known[dtype]
        index = self.convert(next(iter(known.values())), dtype)
        known[self.dtype(index)] = index
        return index

    def convert(self, index: int, dtype: str) -> int:
        """The same value as float32 or int8; integers and flags stay what they are."""
        have = self.dtype(index)
        if have == dtype or have not in ("float32", "int8"):
            return index
        quant = LINEAR if dtype == "int8" else None
        out = self.file.tensor("", self.shape(index), dtype, quant=quant)
        if dtype == "int8":
            self.file.operator("QUANTIZE", [index], [out], "QuantizeOptions")
        else:
            self.file.operator("DEQUANTIZE", [index], [out], "DequantizeOptions", 2)
        return out

    def requantise(self, index: int, quant: Quant | None) -> int:
        """The same int8 value with other scales (needed where inputs must agree)."""
        if self.dtype(index) != "int8" or self.quant(index) == quant:
            return index
        out = self.file.tensor("", self.shape(index), "int8", quant=quant)
        self.file.operator("QUANTIZE", [index], [out], "QuantizeOptions", 2)
        return out

    def temporary(self, shape: Sequence[int], dtype: str, quant: Quant | None = None) -> int:
        """A new activation; an int8 one has range -4 to 4 unless `quant` says otherwise."""
        if dtype == "int8" and quant is None:
            quant = LINEAR
        return self.file.tensor("", shape, dtype, quant=quant if dtype == "int8" else None)

    def ints(self, values: Sequence[int], shape: Sequence[int] | None = None) -> int:
        """An int32 constant (shapes, axes); equal ones are written once."""
        array = np.asarray(values, np.int32).reshape(shape if shape is not None else (-1,))
        key = ("i", (tuple(array.ravel().tolist()), array.shape))
        if key not in self._numbers:
            self._numbers[key] = self.file.tensor("", array.shape, "int32", data=Data.of(array))
        return self._numbers[key]

    def number(self, value: float, dtype: str = "float32") -> int:
        """A scalar constant, as int8 with a scale that holds it exactly where `dtype` is int8."""
        key = (dtype, value)
        if key not in self._numbers:
            if dtype == "int8":
                quant = Quant((abs(value) / 127 or 1.0,), 0)
                data = Data.of(np.array(int(math.copysign(127, value)) if value else 0, np.int8))
                self._numbers[key] = self.file.tensor("", (), "int8", data=data, quant=quant)
            else:
                data = Data.of(np.array(value, dtype))
                self._numbers[key] = self.file.tensor("", (), dtype, data=data)
        return self._numbers[key]

    def real_constant(
        self, name: str, shape: Sequence[int], deviation: float, mean: float = 0.0
    ) -> int:
        """Float weights of graph tensor `name`, laid out as `shape`."""
        key = (name, tuple(shape))
        if key not in self._numbers:
            data = weights.normal(shape, deviation, mean, self.stream(name))
            self._numbers[key] = self.file.tensor(name, shape, "float32", data=data)
        return self._numbers[key]

    def int8_constant(self, name: str, shape: Sequence[int], quant: Quant) -> int:
        """int8 weights of graph tensor `name`, laid out as `shape`."""
        key = (name, (tuple(shape), "int8"))
        if key not in self._numbers:
            data = weights.quantised_normal(shape, self.stream(name))
            self._numbers[key] = self.file.tensor(name, shape, "int8", data=data, quant=quant)
        return self._numbers[key]

    def _constant(self, name: str, dtype: str) -> int:
        """A constant that an element-wise operator or a look-up reads; standard normal values."""
        tensor = self.graph.tensors[name]
        if tensor.dtype not in REAL_DTYPES:
            key = (name, tensor.shape)
            if key not in self._numbers:
                data = Data.of(np.ones(tensor.shape, tensor.dtype))  # zeros could be divisors
                self._numbers[key] = self.file.tensor(name, tensor.shape, tensor.dtype, data=data)
            return self._numbers[key]
        if dtype == "int8":
            return self.int8_constant(name, tensor.shape, Quant((weights.CLIP_SIGMAS / 127,), 0))
        return self.real_constant(name, tensor.shape, 1.0)

    def emit(
        self,
        builtin: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        dtype: str,
        options: str = "",
        *,
        version: int = 1,
        quant: Quant | None = None,
        **fields: Any,
    ) -> int:
        """Append an operator with one output and return the output's index."""
        out = self.temporary(shape, dtype, quant)
        self.file.operator(builtin, inputs, [out], options, version, **fields)
        return out

    def refuse(self, op: Op, reason: str) -> GraphError:
        """The error for an op that cannot be written."""
        return unwritable(self.graph, op, reason)


EmitOp = Callable[[TfliteEmitter, Op], None]
EMITTERS: dict[str, EmitOp] = {}
"""How each kind of op is written; filled by the modules write_*."""

emits = registering(EMITTERS)
"""Register the writer of some kinds (space-separated)."""
