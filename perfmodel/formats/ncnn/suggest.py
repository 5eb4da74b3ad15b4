"""Which size an ncnn network whose file gives none may be meant for, as a word in an error."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.ncnn.inputs import InputSize, channels_of
from perfmodel.formats.ncnn.net import NcnnLayer
from perfmodel.graph.ops import Shape

SIDES = (224, 640, 320, 416, 256, 128, 112, 160, 192, 300, 384, 512, 96, 64, 48, 32, 227, 299, 352)
"""Sides of square pictures that are tried, the usual ones first."""

TELLING = frozenset(["Reshape", "Crop", "InnerProduct", "MemoryData", "Interp", "Slice"])
"""Layers that can fix the size of what reaches them."""

MOST_JOINTS = 40_000
"""Layers and the blobs they join that are looked at in all tries together: half a second's work."""

BY_NAME = {
    "nanodet": 320,
    "ultraface": 320,
    "yolov3": 416,
    "yolov4": 416,
    "yolo": 640,
    "yolox": 416,
    "scrfd": 640,
    "retinaface": 640,
    "mobilefacenet": 112,
    "arcface": 112,
    "insightface": 112,
    "inception": 299,
    "ssd": 300,
    "mobilenet": 224,
    "resnet": 224,
    "squeezenet": 227,
}
"""Sides in the demos of ncnn and of the networks themselves, by a part of the file's name."""

Connect = Callable[[str | os.PathLike[str], Sequence[NcnnLayer], Mapping[str, InputSize]], object]
LAYOUT = "batch x height x width x channels"


def suggested(
    path: str | os.PathLike[str],
    connect: Connect,
    name: str,
    layers: Sequence[NcnnLayer],
    *,
    sized: Mapping[str, Shape],
) -> tuple[Shape, str]:
    """A shape for the input and why: what the layers allow, what the name tells, or an example."""
    flat = None
    with suppress(GraphError):  # a layer with broken parameters tells nothing
        flat = _of_rows(name, layers)
    if flat is not None:
        return flat
    channels = channels_of(layers, name) or 3
    known = _side_by_name(Path(path).stem)
    usual = (1, known or 224, known or 224, channels)
    why = f"as networks of that name take, {LAYOUT}" if known else LAYOUT
    others = [n for n, shape in sized.items() if not shape and n != name]
    telling = any(layer.type in TELLING for layer in layers)
    joints = sum(1 + len(layer.bottoms) + len(layer.tops) for layer in layers)
    sides = SIDES[: MOST_JOINTS // joints]
    if others or not sides or not telling:
        return usual, why
    fitting = []
    for side in sides:
        shape: Shape = (1, side, side, channels)
        try:
            connect(path, layers, {**{n: (s, s) for n, s in sized.items()}, name: (shape, shape)})
        except ModelFileError:
            continue
        fitting.append(shape)
        if len(fitting) > 1 and len(fitting) == SIDES.index(side) + 1:
            return usual, why  # any size will do, it seems
    if not fitting or len(fitting) == len(sides):
        return usual, why
    best = usual if usual in fitting else fitting[0]
    return best, f"a size that its layers fit, {LAYOUT}"


def _side_by_name(stem: str) -> int | None:
    """The side that a file's name is known for, or that stands in it."""
    said = re.search(r"(?<![0-9])([1-9][0-9]{1,3})x\1(?![0-9])|[-_]([1-9][0-9]{1,2})$", stem)
    if said:
        side = int(said.group(1) or said.group(2))
        return side if side >= 32 else None
    lower = stem.lower()
    return next((side for part, side in BY_NAME.items() if part in lower), None)


def _of_rows(name: str, layers: Sequence[NcnnLayer]) -> tuple[Shape, str] | None:
    """A shape for an input that is no picture, by the layer that reads it first."""
    reader = next((layer for layer in layers if name in layer.bottoms), None)
    if reader is None:
        return None
    if reader.type == "Embed":
        return (1, 128), "batch x tokens"
    if reader.type in ("LSTM", "GRU", "RNN") and reader.bottoms[0] == name:
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[reader.type]
        rows = gates * (reader.integer(3, 0) or reader.integer(0, 0))
        rows *= 2 if reader.integer(2, 0) == 2 else 1
        return (1, 100, max(1, reader.integer(1, 0) // max(1, rows))), "batch x time x features"
    if reader.type in ("Convolution1D", "ConvolutionDepthWise1D"):
        per_channel = max(1, reader.integer(0, 0) * reader.integer(1, 0))
        groups = reader.integer(7, 1) if "DepthWise" in reader.type else 1
        channels = max(1, reader.integer(6, 0) * groups // per_channel)
        return (1, channels, 100), "batch x channels x length"
    return None
