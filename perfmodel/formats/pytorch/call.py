"""One call of an ATen operator, with what it reads at hand, for the converters.

ATen's images are (batch, channels, height, width), as ONNX's are, and most of its operators are
ONNX's under other names. So the layouts and the emitting of operators are those of the ONNX
reader, and many converters here only say which of its converters to run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import perfmodel.formats.onnx.reader  # noqa: F401 (fills the table of ONNX converters)
from perfmodel.errors import GraphError
from perfmodel.formats.onnx.call import CONVERTERS as ONNX_CONVERTERS
from perfmodel.formats.onnx.call import Call
from perfmodel.formats.onnx.file import OnnxNode
from perfmodel.formats.onnx.net import OnnxNet, Value
from perfmodel.formats.operator_table import registering
from perfmodel.graph.ops import Shape

ONNX_OPSET = 18
"""Operator set whose meaning the ONNX converters are asked for."""


@dataclass(frozen=True, kw_only=True)
class MadeTensor:
    """What torch says that a call makes: its shape in ATen's order, and its dtype."""

    shape: Shape
    dtype: str


@dataclass(frozen=True, kw_only=True)
class AtenCall:
    """An operator `op` without its overload ("conv2d"), its arguments by the schema's names.

    Tensors among the arguments are `Value`s, lists of them lists. `made` has one item for each
    tensor of the result.
    """

    net: OnnxNet
    name: str
    op: str
    args: dict[str, Any]
    made: tuple[MadeTensor, ...]

    @property
    def shape(self) -> Shape:
        """Shape of the first result."""
        return self.made[0].shape

    @property
    def dtype(self) -> str:
        """Dtype of the first result."""
        return self.made[0].dtype

    def value(self, name: str) -> Value:
        """An argument that is a tensor."""
        found = self.args.get(name)
        if not isinstance(found, Value):
            raise GraphError(f"argument {name!r} is no tensor")
        return found

    def optional(self, name: str) -> Value | None:
        """A tensor that may be left out."""
        found = self.args.get(name)
        return found if isinstance(found, Value) else None

    def operand(self, name: str) -> Value:
        """A tensor, or a number as a constant of no axes."""
        found = self.args.get(name)
        if isinstance(found, Value):
            return found
        if not isinstance(found, (int, float, bool)):
            raise GraphError(f"argument {name!r} is neither tensor nor number")
        return Value(f"{self.name}/{name}", (), self.dtype, constant=True)

    def integers(self, name: str, count: int = 0) -> tuple[int, ...]:
        """Whole numbers; one stands for `count` equal ones, as in torch.nn."""
        found = self.args.get(name)
        listed: list[Any] = list(found) if isinstance(found, (list, tuple)) else [found]
        if not all(isinstance(v, int) for v in listed):
            raise GraphError(f"argument {name!r} must be whole numbers, not {found}")
        return tuple(listed * count if len(listed) == 1 and count else listed)

    def call(self, *inputs: Value | None, outputs: int = 1, suffix: str = "", **attrs: Any) -> Call:
        """The same call as the ONNX reader's functions take it."""
        name = f"{self.name}/{suffix}" if suffix else self.name
        names = [name if i == 0 else f"{name}:{i}" for i in range(outputs)]
        node = OnnxNode(
            index=0,
            name=name,
            op_type=self.op,
            domain="",
            inputs=(),
            outputs=tuple(names),
            attributes=attrs,
        )
        return Call(self.net, node, inputs)

    def onnx(
        self,
        op_type: str,
        *inputs: Value | None,
        outputs: int = 1,
        suffix: str = "",
        **attrs: Any,
    ) -> list[Value]:
        """What the ONNX reader makes of its operator `op_type`."""
        call = self.call(*inputs, outputs=outputs, suffix=suffix, **attrs)
        node = replace(call.node, op_type=op_type)
        return ONNX_CONVERTERS[op_type](Call(self.net, node, inputs))

    def emit(self, kind: str, names: Sequence[str], suffix: str = "", **attrs: Any) -> list[Value]:
        """One operator of one result in ATen's order of axes."""
        return self.call().emit(kind, names, attrs, dtype=self.dtype, suffix=suffix)

    def and_unused(self, made: list[Value]) -> list[Value]:
        """The result, and what else the operator returns that only training reads."""
        others = [
            Value(f"{self.name}:{i}", other.shape, other.dtype, constant=True)
            for i, other in enumerate(self.made[1:], 1)
        ]
        return [*made, *others]

    def numbers(self, values: Sequence[int]) -> Value:
        """Whole numbers as the constant input that an ONNX operator takes them as."""
        return Value(
            f"{self.name}/numbers",
            (len(values),),
            "int64",
            constant=True,
            value=np.array(values, np.int64),
        )


Converter = Callable[[AtenCall], list[Value]]

CONVERTERS: dict[str, Converter] = {}
"""How each ATen operator, named without overload and trailing underscore, becomes operators."""

converts = registering(CONVERTERS)
"""Register a converter for operators (space-separated)."""
