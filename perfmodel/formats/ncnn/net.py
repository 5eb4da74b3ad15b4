"""A line of an ncnn .param file, the graph it is added to, and how blob axes map to ours.

An ncnn blob has 1 to 4 dimensions: (w), (h, w), (c, h, w), (c, d, h, w). Here they are (batch, w),
(batch, h, w), (batch, h, w, c) and (batch, d, h, w, c). Parameter numbers and defaults are those of
`load_param` in Tencent/ncnn, src/layer/*.cpp, and docs/developer-guide/operators.md there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.net import BlobNet, NamedLayer
from perfmodel.formats.operator_table import registering
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ops import Shape, infer_shapes

Value = int | float | str | tuple[int | float, ...]

ABSENT = -233
"""ncnn's mark for "not given"; as a padding it means TensorFlow's SAME rule."""

SAME_LOWER = -234


@dataclass(frozen=True, kw_only=True)
class NcnnLayer(NamedLayer):
    """One line of a .param file; `hints` are output shapes the file gives (may be empty)."""

    params: dict[int, Value]
    hints: tuple[Shape, ...] = ()

    def integer(self, key: int, default: int) -> int:
        """Integer parameter."""
        value = self.params.get(key, default)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**31:
            value = int(value)
        if not isinstance(value, int) or abs(value) >= 2**31:
            raise GraphError(f"parameter {key} must be an integer of 32 bits")
        return value

    def real(self, key: int, default: float) -> float:
        """Finite real parameter."""
        value = self.params.get(key, default)
        if not isinstance(value, int | float) or not abs(value) < 1e39:
            raise GraphError(f"parameter {key} must be a number")
        return float(value)

    def integers(self, key: int) -> tuple[int, ...]:
        """Array parameter of integers, empty where absent."""
        value = self.params.get(key, ())
        values = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(v, int) and abs(v) < 2**31 for v in values):
            raise GraphError(f"parameter {key} must be an array of integers of 32 bits")
        return tuple(int(v) for v in values)

    def text(self, key: int) -> str:
        """String parameter, empty where absent."""
        value = self.params.get(key, "")
        if not isinstance(value, str):
            raise GraphError(f"parameter {key} must be a text in quotes")
        return value

    def count(self, key: int) -> int:
        """Number of elements of an array parameter."""
        value = self.params.get(key, ())
        return len(value) if isinstance(value, tuple) else 1


class NcnnNet(BlobNet):
    """The graph so far, its batch, and whether the file's shape hints still hold."""

    def __init__(self, builder: GraphBuilder, layers: Sequence[NcnnLayer]) -> None:
        super().__init__(builder)
        self.layers = tuple(layers)
        self.hints_hold = any(layer.hints for layer in layers)
        self.batch = 1

    def define(self, blob: str, tensor: str) -> None:
        """Say that `blob` is held by `tensor` (an alias where a layer copies nothing)."""
        if blob in self._blobs:
            raise GraphError(f"blob {blob!r} is made twice")
        super().define(blob, tensor)


Converter = Callable[[NcnnNet, NcnnLayer], Sequence[str]]

LAYERS: dict[str, Converter] = {}
"""How each layer type becomes operators; gives the tensors of the layer's outputs."""

layer_types = registering(LAYERS)
"""Register a converter for layer types (space-separated)."""


def mat_shape(batch: int, *whc: int) -> Shape:
    """Shape of an ncnn blob given as (w), (w, h), (w, h, c) or (w, h, d, c)."""
    if len(whc) <= 2:
        return (batch, *reversed(whc))
    *inner, channels = whc
    return (batch, *reversed(inner), channels)


def mat_axes(shape: Shape) -> tuple[int, ...]:
    """Our axis of each ncnn axis: ncnn counts (c, h, w), we hold (batch, h, w, c)."""
    dims = len(shape) - 1
    if dims <= 2:
        return tuple(range(1, dims + 1))
    return (dims, *range(1, dims))


def axis_of(shape: Shape, axis: int) -> int:
    """Our axis for an ncnn axis, which may be negative."""
    axes = mat_axes(shape)
    if not -len(axes) <= axis < len(axes):
        raise GraphError(f"axis {axis} of a blob {shape}")
    return axes[axis]


def in_mat_order(shape: Shape) -> tuple[int, ...]:
    """Sizes in ncnn's order, (c, h, w), without the batch."""
    return tuple(shape[a] for a in mat_axes(shape))


def from_mat_order(batch: int, sizes: Sequence[int]) -> Shape:
    """The reverse of `in_mat_order`; no sizes at all is one number."""
    return mat_shape(batch, *reversed(sizes)) if sizes else (batch, 1)


def named_sizes(shape: Shape) -> dict[str, int]:
    """Sizes of a blob by the letter of its axis (w, h, d, c)."""
    letters = {2: "w", 3: "wh", 4: "whc", 5: "whdc"}.get(len(shape), "")
    return dict(zip(letters, reversed(in_mat_order(shape)), strict=True))


def input_sizes(net: NcnnNet, layer: NcnnLayer) -> list[dict[str, int]]:
    """`named_sizes` of each input, which expressions refer to."""
    return [named_sizes(net.shape(blob)) for blob in layer.bottoms]


def one_input(net: NcnnNet, layer: NcnnLayer) -> str:
    """The tensor of the first input."""
    if not layer.bottoms:
        raise GraphError("an input is missing")
    return net.tensor(layer.bottoms[0])


def emit(
    net: NcnnNet, layer: NcnnLayer, kind: str, inputs: Sequence[str], dtype: str = "", **attrs: Any
) -> Sequence[str]:
    """Append the op whose results are the layer's outputs."""
    return net.builder.add_op(kind, inputs, attrs, layer.name, layer.tops, dtype)


def view(net: NcnnNet, layer: NcnnLayer, x: str, shape: Shape) -> str:
    """The same stored numbers by other axes: work for nobody."""
    if net.builder.shape(x) == tuple(shape):
        return x
    return net.builder.op("view", x, name=net.fresh(f"{layer.name}/view"), shape=tuple(shape))


def as_stored(net: NcnnNet, layer: NcnnLayer, x: str, rank: int = 0) -> str:
    """A blob with its axes in ncnn's order behind the batch, `rank` of them at least."""
    shape = net.builder.shape(x)
    sizes = in_mat_order(shape)
    lacking = (1,) * (rank - len(sizes))
    return view(net, layer, x, (shape[0], *lacking, *sizes))


def emit_as(
    net: NcnnNet,
    layer: NcnnLayer,
    kind: str,
    inputs: Sequence[str],
    shape: Shape,
    dtype: str = "",
    **attrs: Any,
) -> Sequence[str]:
    """Append the op whose result, with its axes as in `shape`, is the layer's output."""
    (made,) = infer_shapes(kind, [net.builder.shape(x) if x else () for x in inputs], attrs)
    if made == tuple(shape):
        return emit(net, layer, kind, inputs, dtype, **attrs)
    name = net.fresh(f"{layer.name}/{kind}")
    result = net.builder.add_op(kind, inputs, attrs, name, (), dtype)
    return net.builder.add_op("view", result, {"shape": tuple(shape)}, layer.name, layer.tops)
