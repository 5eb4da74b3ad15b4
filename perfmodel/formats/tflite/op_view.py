"""One operator of a .tflite file as it stands there, and the table that says what it is to us.

`convert(view)` looks the builtin's name up in `CONVERTERS`, which the modules `read_layers`,
`read_operators` and `read_shapes` fill. An operator without an entry, or one whose attributes are
only known at run time, becomes kind "custom" under its own name, so that it is listed as not
covered instead of guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.formats.operator_table import registering
from perfmodel.formats.tflite.flatbuffer import Table
from perfmodel.formats.tflite.schema import FUSED_ACTIVATIONS
from perfmodel.graph.ir import Tensor

Slots = tuple[Tensor | None, ...]


@dataclass(frozen=True)
class OpView:
    """One operator of the file: builtin or custom name, tensors (None if omitted), options.

    `constant_ints(i)` gives the numbers of input i if it is a constant or follows from shapes,
    None if it is computed. `custom_options` are the bytes of a custom operator's own options.
    `is_open` says that the file's output shapes are not this run's: they follow from the inputs.
    """

    name: str
    custom: bool
    inputs: Slots
    outputs: tuple[Tensor, ...]
    options: Table | None
    constant_ints: Callable[[int], tuple[int, ...] | None]
    custom_options: bytes = b""
    is_open: bool = False

    def input(self, index: int) -> Tensor:
        """Input `index`, which must be present."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise ValueError(f"input {index} is missing")
        return tensor

    def option(self, slot: int, default: int = 0) -> int:
        """A 32-bit option."""
        return self.options.i32(slot, default) if self.options else default

    def flag(self, slot: int, default: int = 0) -> int:
        """A byte option: flags and enumerations."""
        return self.options.i8(slot, default) if self.options else default

    def real(self, slot: int, default: float = 0.0) -> float:
        """A float option."""
        return self.options.real(slot, default) if self.options else default

    def known_ints(self, index: int) -> tuple[int, ...]:
        """The numbers of constant input `index`; raises `Unmapped` if it is computed."""
        values = self.constant_ints(index)
        if values is None:
            raise Unmapped
        return values


def strided_index(
    view: OpView, rank: int, begin: Sequence[int], end: Sequence[int], strides: Sequence[int]
) -> tuple[Any, ...]:
    """The index of a STRIDED_SLICE as Python writes it: slices, numbers, None and an ellipsis.

    Masks are bits by position; a shrunk axis takes the place `begin` alone.
    """
    names = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    masks = {name: view.option(slot) for slot, name in enumerate(names)}
    index: list[Any] = []
    for place, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << place
        if masks["ellipsis"] & bit:
            index.append(Ellipsis)
        elif masks["new_axis"] & bit:
            index.append(None)
        elif masks["shrink_axis"] & bit:
            index.append(first)
        else:
            index.append(
                slice(
                    None if masks["begin"] & bit else first,
                    None if masks["end"] & bit else last,
                    step,
                )
            )
    return tuple(index)


class Unmapped(Exception):
    """This use of the operator has no counterpart among our kinds."""


@dataclass(frozen=True)
class ConvertedOp:
    """The operator in our terms."""

    kind: str
    inputs: Slots
    attrs: dict[str, Any]


Converter = Callable[[OpView], ConvertedOp]
CONVERTERS: dict[str, Converter] = {}


def convert(view: OpView) -> ConvertedOp:
    """Our operator for one of the file's."""
    name = "CUSTOM" if view.custom else view.name
    converter = CONVERTERS.get(name)
    if converter is not None:
        try:
            return converter(view)
        except Unmapped:
            pass
    shapes = tuple(t.shape for t in view.outputs)
    return ConvertedOp("custom", view.inputs, {"custom_name": view.name, "output_shapes": shapes})


converts = registering(CONVERTERS)
"""Register a converter for builtin operators (space-separated)."""


def fused_activation(code: int) -> str:
    if not 0 <= code < len(FUSED_ACTIVATIONS):
        raise ValueError(f"fused activation {code}")
    return FUSED_ACTIVATIONS[code]
