"""Sizes that a network's file leaves open, as the caller gives them.

Two forms: the options `--input-shape [NAME=]1x224x224x3` and `--dim NAME=8` (`input_shape` and
`dims` in Python), or behind the file's name wherever a network is a text:
`net.onnx@image=1x3x224x224,sequence=128`.

The order of the axes is the file's own in .tflite and .onnx; in .param and .prototxt it is batch,
height, width, channels. A picture may be given in the other order too, where the number of channels
that the file's layers want tells the two apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from perfmodel.errors import GraphError, ModelFileError, PerfmodelError, nearest_hint
from perfmodel.formats.limits import MAX_DIM, MAX_RANK, shorten
from perfmodel.graph.ops import Shape

InputShape = Sequence[int] | Mapping[str, Sequence[int]]
"""The sizes of the one input, or those of several by name."""

PICTURE_CHANNELS = 3
"""Channels of a colour picture: what a shape's order is told by where the file says nothing."""

_SHAPE = re.compile(r"\d+(x\d+)+|\[\d+(x\d+)*\]")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """`dims` by a dimension's name, `shapes` by an input's name ("" for the only one).

    `signature` is the name of the network that is meant, where a .tflite file holds several.
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    signature: str = ""

    def __bool__(self) -> bool:
        return bool(self.dims or self.shapes or self.signature)

    @classmethod
    def of(cls, dims: Mapping[str, int] | None, input_shape: InputShape | None) -> Sizes:
        """What a Python caller gives; raises `GraphError` for shapes that are none."""
        if input_shape is None:
            shapes: Mapping[str, Sequence[int]] = {}
        elif isinstance(input_shape, Mapping):
            shapes = input_shape
        else:
            shapes = {"": input_shape} if len(input_shape) else {}
        return cls(
            dims={name: _whole(name, size) for name, size in (dims or {}).items()},
            shapes={n: tuple(_whole(n, s) for s in shape) for n, shape in shapes.items()},
        )

    def joined(self, other: Sizes) -> Sizes:
        """Both; what `other` says counts where both say something."""
        return Sizes(
            dims={**self.dims, **other.dims},
            shapes={**self.shapes, **other.shapes},
            signature=other.signature or self.signature,
        )

    def refuse(self, path: object, *names: str) -> None:
        """Raise where something is given that this kind of file has no use for."""
        reasons = {
            "dims": ("only .onnx files have named dimensions", "give sizes with --input-shape"),
            "signature": ("only .tflite files have signatures", "leave it out"),
        }
        for name in names:
            if getattr(self, name):
                raise ModelFileError(path, name, *reasons[name])

    def by_input(self, path: object, inputs: Mapping[str, bool]) -> dict[str, Shape]:
        """The given shapes by name of input; `inputs` says of each whether its size is open.

        A shape without a name is that of the only input, or of the only one that is open. Raises
        `ModelFileError` for names that no input has.
        """
        found = {}
        for name, shape in self.shapes.items():
            if name and name not in inputs:
                known = nearest_hint(name, inputs)
                raise ModelFileError(path, "inputs", f"no input is called {shorten(name)!r}", known)
            found[name or self._only(path, inputs)] = shape
        return found

    def _only(self, path: object, inputs: Mapping[str, bool]) -> str:
        among = [n for n in inputs if n not in self.shapes]
        among = [n for n in among if inputs[n]] or among
        if len(among) != 1:
            raise ModelFileError(
                path,
                "inputs",
                f"--input-shape without a name, and {len(among)} inputs it could be of",
                f"name each: {shape_options(among)}" if among else "leave it out",
            )
        return among[0]


NO_SIZES = Sizes()


def _whole(name: str, size: object) -> int:
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= MAX_DIM:
        raise GraphError(
            f"size {shorten(size)!r} of {shorten(name) or 'the input'!r}",
            f"sizes are whole numbers of 1 to {MAX_DIM}",
        )
    return size


def parse_shape(text: str) -> Shape | None:
    """The sizes in `1x224x224x3` (one axis: `[8]`), or None where the text is no shape."""
    if len(text) > 11 * MAX_RANK or not _SHAPE.fullmatch(text) or not text.isascii():
        return None
    sizes = tuple(int(size) for size in text.strip("[]").split("x"))
    return sizes if all(0 < size <= MAX_DIM for size in sizes) else None


def parse_sizes(items: Iterable[str], where: str) -> Sizes:
    """Sizes from texts `1x224x224x3`, `NAME=1x10` and `NAME=8`; `where` names their place.

    `signature=NAME` is read too. Raises `PerfmodelError` for what is none of these and for what is
    said twice.
    """
    signature = ""
    dims: dict[str, int] = {}
    shapes: dict[str, Shape] = {}
    for item in items:
        name, _, text = item.rpartition("=")
        name, shape = unquote(name), parse_shape(text)
        if name == "signature" and shape is None and text and not text.isdigit():
            taken, signature = bool(signature), unquote(text)
        elif shape is None and name and text.isascii() and text.isdigit() and len(text) < 11:
            taken, dims[name] = name in dims, int(text)
        elif shape is not None:
            taken, shapes[name] = name in shapes, shape
        else:
            raise PerfmodelError(
                f"{where}: {shorten(item)!r} gives no size",
                "a shape is 1x224x224x3 or NAME=1x224x224x3, a named dimension NAME=8",
            )
        if taken:
            raise PerfmodelError(f"{where}: {shorten(name) or 'the input'} is given twice")
    return replace(Sizes.of(dims, shapes), signature=signature)


def written(sizes: Sizes) -> str:
    """The reverse of `parse_sizes`: items joined by commas."""
    items = [f"{_quoted(n)}{'=' if n else ''}{shape_text(s)}" for n, s in sizes.shapes.items()]
    items += [f"{_quoted(name)}={size}" for name, size in sizes.dims.items()]
    items += [f"signature={_quoted(sizes.signature)}"] if sizes.signature else []
    return ",".join(items)


def _quoted(name: str) -> str:
    return quote(name, safe="/:.[]()-_ $#!*")


def shape_text(shape: Sequence[int]) -> str:
    """`1x224x224x3`, or `[8]` for one axis."""
    text = "x".join(map(str, shape))
    return text if len(shape) > 1 else f"[{text}]"


def shape_options(names: Sequence[str], example: Sequence[int] = (1, 224, 224, 3)) -> str:
    """What to add to the command line so that each of these inputs has a size."""
    shown = [f"--input-shape {shorten(n)}={shape_text(example)}" for n in names[:4]]
    return " ".join(shown) + (" ..." if len(names) > 4 else "")


def size_hint(name: str, example: Sequence[int], *, only: bool, why: str = "") -> str:
    """The hint for an input without a size, in the words of the command line and of Python."""
    option = f"--input-shape {'' if only else shorten(name) + '='}{shape_text(example)}"
    argument = f"{tuple(example)}" if only else f"{{{shorten(name)!r}: {tuple(example)}}}"
    reason = f" ({why})" if why else ", for example"
    return f"add {option}{reason}; in Python input_shape={argument}"


def in_order(given: Shape, channels: int | None, *, last: bool) -> Shape:
    """A given picture in the file's own order of axes, channels last or first.

    `channels` is how many the file wants, None where it does not say. Without that only a shape
    whose first size behind the batch is three, as of a colour picture, and whose others are
    larger than any sensible strip (8) is taken as channels first where the file's order is not.
    """
    if len(given) != 4:
        return given
    own, other = (3, 1) if last else (1, 3)
    if channels is None:
        colour = given[other] == PICTURE_CHANNELS and min(given[2], given[own]) >= 8
        swap = last and colour
    else:
        swap = given[own] != channels and given[other] == channels
    if not swap:
        return given
    batch, a, b, c = given
    return (batch, b, c, a) if last else (batch, c, a, b)
