"""A layer of a Caffe file, the graph it is added to, and how its parameters are read.

A blob of four axes is (batch, channels, height, width) in Caffe and NHWC here; other blobs keep
their axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.caffe.prototxt import Message
from perfmodel.formats.limits import MAX_DIM, check_shape, shorten
from perfmodel.formats.net import BlobNet, NamedLayer
from perfmodel.formats.operator_table import registering
from perfmodel.formats.sizes import in_order
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ops import Shape


@dataclass(frozen=True, kw_only=True)
class CaffeLayer(NamedLayer):
    """One layer of the file; its parameters are messages inside `message`."""

    message: Message


class CaffeNet(BlobNet):
    """The graph so far, and which tensor each blob is (an in-place layer redefines its blob).

    `plain_zoom`: Interp's zoom_factor is a plain factor, as in files for OpenVINO; where it was
    first defined (DeepLab) the corners of the picture stay, so that n pixels become (n - 1) z + 1.
    """

    def __init__(self, builder: GraphBuilder, *, plain_zoom: bool = False) -> None:
        super().__init__(builder)
        self.plain_zoom = plain_zoom
        self._read: set[str] = set()

    def add_input(
        self, name: str, shape: Shape | None, given: Shape | None, *, open_size: bool, hint: str
    ) -> None:
        """An input of Caffe's shape, or of the caller's (already NHWC)."""
        if given is not None:
            channels = shape[1] if shape and len(shape) == 4 else None
            held = in_order(given, channels, last=True)
        elif shape and not open_size:
            held = stored(shape)
        else:
            size = "a picture of 1 x 1" if shape else "no size"
            raise GraphError(f"the file gives {size} for input {shorten(name)!r}", hint)
        if min(held) < 1:
            raise GraphError(f"input {shorten(name)!r} of shape {shorten(shape or held)}")
        check_shape(held)
        self.define(name, self.builder.input(held, self.fresh(name)))

    def tensor(self, blob: str) -> str:
        """Name of the tensor that holds a blob, for a layer that reads it."""
        found = self.held(blob)
        self._read.add(found)
        return found

    def held(self, blob: str) -> str:
        """The same, for a layer that only gives it another name."""
        return super().tensor(blob)

    def outputs(self) -> list[str]:
        """Tensors that blobs hold at the end and no layer reads."""
        ends = [t for t in dict.fromkeys(self._blobs.values()) if t not in self._read]
        if not self.builder.ops or not ends:
            raise GraphError("a network without layers or outputs")
        inputs = set(self.builder.inputs)
        return [t for t in ends if t not in inputs] or ends


Converter = Callable[[CaffeNet, CaffeLayer], Sequence[str]]

LAYERS: dict[str, Converter] = {}
"""How each layer type becomes operators; gives the tensors of the layer's outputs."""

layer_types = registering(LAYERS)
"""Register a converter for layer types (space-separated)."""


def sized(shape: Shape | None, *, convolved: bool) -> bool:
    """Whether a file's input size is one.

    A picture of 1 x 1 that is convolved stands for "set it before you run" (OpenPose).
    """
    return bool(shape) and not (convolved and shape is not None and shape[2:] == (1, 1))


def stored(shape: Shape) -> Shape:
    """Shape in the graph of a Caffe blob."""
    return (shape[0], shape[2], shape[3], shape[1]) if len(shape) == 4 else tuple(shape)


def blob_shape(shape: Shape) -> Shape:
    """The reverse of `stored`."""
    return (shape[0], shape[3], shape[1], shape[2]) if len(shape) == 4 else tuple(shape)


def axis_of(shape: Shape, axis: int) -> int:
    """The graph's axis for a Caffe axis, which may be negative."""
    if not -len(shape) <= axis < len(shape):
        raise GraphError(f"axis {axis} of a blob of {len(shape)} axes")
    axis %= len(shape)
    return (0, 3, 1, 2)[axis] if len(shape) == 4 else axis


def integers(message: Message, name: str, least: int = 0) -> tuple[int, ...]:
    """A repeated integer field."""
    values = message.scalars(name)
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MAX_DIM:
            raise GraphError(
                f"{name} (line {message.lines.get(name, message.line)}) must be a whole number "
                f"of at least {least}, got {shorten(value)}"
            )
    return tuple(v for v in values if isinstance(v, int))


def dims_of(message: Message, name: str) -> Shape:
    """Sizes of a blob."""
    return integers(message, name, 1)


def integer(message: Message, name: str, default: int, least: int = 0) -> int:
    """An integer field."""
    values = integers(message, name, least)
    return values[-1] if values else default


def flag(message: Message, name: str, default: bool) -> bool:
    """A boolean field."""
    values = message.scalars(name)
    return default if not values else values[-1] in (True, 1, "true", "t")


def real(message: Message, name: str, default: float) -> float:
    """A real field."""
    values = message.scalars(name)
    if not values:
        return default
    value = values[-1]
    if not isinstance(value, int | float):
        raise GraphError(f"{name} must be a number, got {shorten(value)!r}")
    return float(value)


def pair(message: Message, name: str, short: str, default: int, least: int) -> tuple[int, int]:
    """A (height, width) setting: `kernel_size`, once or twice, or `kernel_h` and `kernel_w`."""
    listed = integers(message, name, least)
    if len(listed) >= 2:
        return listed[0], listed[1]
    both = listed[0] if listed else default
    found = (
        integer(message, f"{short}_h", both, least),
        integer(message, f"{short}_w", both, least),
    )
    if min(found) < least:
        raise GraphError(f"{name} must be given")
    return found


def first(net: CaffeNet, layer: CaffeLayer) -> str:
    """The tensor of the first bottom."""
    if not layer.bottoms:
        raise GraphError("a bottom is missing")
    return net.tensor(layer.bottoms[0])


def emit(
    net: CaffeNet, layer: CaffeLayer, kind: str, inputs: Sequence[str], **attrs: Any
) -> Sequence[str]:
    """Append the op whose results are the layer's tops."""
    several = kind == "split" or len(attrs.get("output_shapes", ())) > 1
    names = [net.fresh(top) for top in layer.tops] if several else []
    name = layer.name
    if not names:
        top = layer.tops[0] if layer.tops else layer.name
        in_place = top in layer.bottoms
        names = [net.fresh(layer.name if in_place else top)]
    return net.builder.add_op(kind, inputs, attrs, name, names)


def image(net: CaffeNet, layer: CaffeLayer) -> str:
    """The tensor of the first bottom, which must have four axes."""
    x = first(net, layer)
    if len(net.builder.shape(x)) != 4:
        raise GraphError(f"an image is expected, got a blob {net.builder.shape(x)}")
    return x
