"""Sizes of an ncnn network's inputs: from the file, from the caller, or a word on what fits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.limits import shorten
from perfmodel.formats.ncnn.net import NcnnLayer, mat_shape
from perfmodel.formats.sizes import Sizes, in_order, shape_text, size_hint
from perfmodel.graph.ops import Shape

InputSize = tuple[Shape, Shape]
"""The shape to take, and the file's own (empty where it has none)."""

BENCHNCNN_INPUTS: dict[str, Shape] = {
    "FastestDet": (1, 352, 352, 3),
    "vision_transformer": (1, 384, 384, 3),
}
"""Inputs (batch, height, width, channels) of the graphs of ncnn's benchmark whose file gives none.

From benchmark/benchncnn.cpp of Tencent/ncnn; all other graphs carry the size themselves.
"""


class Suggest(Protocol):
    """Gives a shape that an input may have, and in words why that one."""

    def __call__(
        self, name: str, layers: Sequence[NcnnLayer], *, sized: Mapping[str, Shape]
    ) -> tuple[Shape, str]:
        """`sized` holds the shapes of inputs as far as they are known."""
        ...


_PASSED_ON = frozenset(["Split", "Noop", "Dropout", "BatchNorm", "Scale", "Bias", "Padding"])
_PASSED_ON_TOO = frozenset(["BinaryOp", "UnaryOp", "ReLU", "PReLU", "Interp", "Power", "DeepCopy"])
PASSED_ON = _PASSED_ON | _PASSED_ON_TOO
"""Layers whose result has as many channels as their first input."""


def input_shapes(
    path: str | os.PathLike[str], layers: Sequence[NcnnLayer], sizes: Sizes, suggest: Suggest
) -> dict[str, InputSize]:
    """The shape of each input by its blob; raises `ModelFileError` where there is none.

    `suggest` finds an example of a size for the error's hint.
    """
    inputs = {layer.tops[0]: layer for layer in layers if layer.type == "Input" and layer.tops}
    own = {name: _own_shape(path, layer) for name, layer in inputs.items()}
    given = sizes.by_input(path, {name: not shape for name, shape in own.items()})
    found = {}
    for name, layer in inputs.items():
        if name in given:
            channels = channels_of(layers, name)
            shape = in_order(given[name], channels, last=True)
            if channels is not None and len(shape) == 3:
                raise ModelFileError(
                    path,
                    f"line {layer.line} (Input {shorten(name, 60)!r})",
                    f"--input-shape gives {shape_text(shape)}, and a picture has four sizes",
                    f"begin with the batch: --input-shape 1x{shape_text(shape)}",
                )
        elif own[name]:
            shape = own[name]
        else:
            example, why = suggest(name, layers, sized={**own, **given})
            raise ModelFileError(
                path,
                f"line {layer.line} (Input {shorten(name, 60)!r})",
                "the file gives no input size",
                size_hint(name, example, only=len(inputs) == 1, why=why),
            )
        found[name] = shape, own[name]
    return found


def _own_shape(path: str | os.PathLike[str], layer: NcnnLayer) -> Shape:
    """Size of an input from the layer, its hints, or the table of ncnn's benchmark."""
    try:
        keys = (0, 1, 11, 2)  # w, h, d, c
        sizes = [size for size in (layer.integer(key, 0) for key in keys) if size]
    except GraphError as error:
        where = f"line {layer.line} (Input {shorten(layer.name, 60)!r})"
        raise ModelFileError(path, where, error.message, error.hint) from None
    if sizes:
        return mat_shape(1, *sizes)
    if layer.hints:
        return layer.hints[0]
    return BENCHNCNN_INPUTS.get(Path(path).stem, ())


def channels_of(layers: Sequence[NcnnLayer], blob: str) -> int | None:
    """Channels that the first convolution wants of a blob; None where no convolution reads it."""
    same = {blob}
    for layer in layers:
        if not same.intersection(layer.bottoms[:1]):
            continue
        if layer.type in PASSED_ON:
            same.update(layer.tops)
        elif layer.type in ("Convolution", "ConvolutionDepthWise"):
            return _channels_read(layer)
    return None


def _channels_read(layer: NcnnLayer) -> int | None:
    try:
        width = layer.integer(1, 0)
        filters = layer.integer(0, 0) * width * layer.integer(11, width)
        groups = layer.integer(7, 1) if layer.type == "ConvolutionDepthWise" else 1
        channels, rest = divmod(layer.integer(6, 0) * groups, filters)
    except (GraphError, ZeroDivisionError):
        return None
    return channels if channels > 0 and not rest else None
