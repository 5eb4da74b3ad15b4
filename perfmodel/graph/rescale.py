"""The same network for images of another size, or for another number of tokens."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.graph.ir import Graph, Op, Tensor
from perfmodel.graph.kinds import BINARY
from perfmodel.graph.ops import Shape, infer_shapes

MOST_CHANNELS = 8
"""Channels of an image at most (colour, depth, stacked frames); more are features."""


def rescale(graph: Graph, height: int, width: int) -> Graph:
    """`graph` for images of `height` x `width` pixels.

    The images are the inputs (batch, height, width, channels) of the first such input's size.
    Raises `GraphError` as `resize_inputs` does, and where no input is an image.
    """
    old = image_size(graph)
    if old is None:
        raise GraphError(f"{graph.name}: no input is an image", "leave the resolution out")
    shapes = {n: graph.tensors[n].shape for n in graph.inputs}
    alike = {n: s for n, s in shapes.items() if len(s) == 4 and s[1:3] == old}
    return resize_inputs(graph, {n: (s[0], height, width, s[3]) for n, s in alike.items()})


def at_length(graph: Graph, tokens: int) -> Graph:
    """`graph` for sequences of so many tokens: its inputs (batch, tokens) of whole numbers.

    Raises `GraphError` as `resize_inputs` does, and where no input is a sequence of tokens.
    """
    if sequence_length(graph) is None:
        raise GraphError(f"{graph.name}: no input is a sequence of tokens", "leave the length out")
    alike = [n for n in graph.inputs if _is_text(graph.tensors[n])]
    shapes = {n: (graph.tensors[n].shape[0], tokens) for n in alike}
    return resize_inputs(graph, shapes)


def sequence_length(graph: Graph) -> int | None:
    """Tokens of the first input that is a text; None where none is."""
    return next(
        (graph.tensors[n].shape[1] for n in graph.inputs if _is_text(graph.tensors[n])), None
    )


def _is_text(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 and tensor.dtype in ("int32", "int64")


def resize_inputs(graph: Graph, shapes: Mapping[str, Shape]) -> Graph:
    """`graph` with inputs of other shapes, by inferring all shapes anew.

    Sizes written in attributes follow: of reshapes, slices, resizes and pools of a fixed result;
    so do constants that were computed for the old size (masks, positions: `Tensor.learned`).
    Raises `GraphError` where the network was made for one size: learned positions, windows that do
    not divide the new size, fully connected layers over pixels, padding computed for the size.
    """
    if min((size for shape in shapes.values() for size in shape), default=1) < 1:
        raise GraphError(f"{graph.name}: sizes must be at least 1")
    changed = {n: s for n, s in shapes.items() if graph.tensors[n].shape != s}
    return _Rescale(graph, changed).run() if changed else graph


def image_size(graph: Graph) -> tuple[int, int] | None:
    """Height and width of the first input that is an image; None where none is."""
    for name in graph.inputs:
        shape = graph.tensors[name].shape
        if len(shape) == 4 and shape[3] <= MOST_CHANNELS:
            return shape[1], shape[2]
    return None


class _Rescale:
    """One walk over the ops; `tensors` holds the new shapes made so far.

    `seen` says what each old size of an axis that changed has become; None where several.
    """

    def __init__(self, graph: Graph, shapes: Mapping[str, Shape]) -> None:
        self.graph, self.shapes = graph, shapes
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.seen: dict[int, int | None] = {}
        self.producers = graph.producers()

    def run(self) -> Graph:
        for name, shape in self.shapes.items():
            self._set(name, shape)
        try:
            ops = tuple(self._op(op) for op in self.graph.ops)
        except GraphError as error:
            name, shape = next(iter(self.shapes.items()))
            raise GraphError(
                f"{self.graph.name}: its input cannot become {_written(shape)} in place of "
                f"{_written(self.before(name))}: {error.message}",
                "the network was made for its own size",
            ) from None
        return replace(self.graph, tensors=self.tensors, ops=ops)

    def _set(self, name: str, shape: Shape) -> None:
        for a, b in zip(self.before(name), shape, strict=False):
            if a != b:
                self.seen[a] = b if self.seen.get(a, b) == b else None
        self.tensors[name] = replace(self.tensors[name], shape=shape)

    def before(self, name: str) -> Shape:
        return self.graph.tensors[name].shape if name else ()

    def after(self, name: str) -> Shape:
        return self.tensors[name].shape if name else ()

    def _op(self, op: Op) -> Op:
        if all(self.before(n) == self.after(n) for n in op.inputs) and op.kind not in _MADE:
            return op
        if op.kind in _MEETING:
            self._computed_constants(op)
        attrs = dict(op.attrs)
        adapt = _ADAPT.get(op.kind)
        if adapt is None and "output_shapes" in attrs:
            adapt = _listed
        if adapt is not None:
            attrs.update(adapt(self, op))
        shapes = infer_shapes(op.kind, [self.after(n) for n in op.inputs], attrs)
        if len(shapes) != len(op.outputs):
            raise GraphError(f"{op.name} ({op.kind}) would have {len(shapes)} results")
        for name, shape in zip(op.outputs, shapes, strict=True):
            if 0 in shape:
                raise GraphError(f"{op.name} ({op.kind}): nothing is left of the image")
            if name:
                self._set(name, shape)
        return replace(op, attrs=attrs)

    def _computed_constants(self, op: Op) -> None:
        """A constant that code computed for the old size is computed for the new one."""
        for name in op.inputs:
            held = self.graph.tensors[name] if name else None
            if held is not None and held.constant and held.learned is not None:
                self._set(name, tuple(self.seen.get(size) or size for size in held.shape))

    def becomes(self, op: Op, size: int, was: int, now: int) -> int:
        """What a size along an axis becomes that went from `was` to `now` in the input."""
        if size == was:
            return now
        known = self.seen.get(size)
        if known is not None:
            return known
        if size * now % was:
            raise GraphError(f"{op.name} ({op.kind}): {size} of {was}, and now of {now}")
        return size * now // was


Adapt = Callable[[_Rescale, Op], Mapping[str, Any]]


def _reshape(walk: _Rescale, op: Op) -> Mapping[str, Any]:
    """Runs of axes that hold the same elements before and after are followed one by one."""
    old, new = walk.before(op.inputs[0]), walk.after(op.inputs[0])
    target = walk.before(op.outputs[0])
    shape: list[int] = []
    for sources, results in _runs(old, target):
        was, now = [old[i] for i in sources], [new[i] for i in sources]
        left = [target[i] for i in results]
        shape += left if was == now else _split_again(walk, op, was, now, left)
    return {"shape": tuple(shape)}


def _runs(old: Shape, new: Shape) -> list[tuple[range, range]]:
    """The shortest runs of axes of two shapes with the same number of elements each."""
    runs, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        start, other = i, j
        a = b = 1
        if i < len(old):
            a, i = a * old[i], i + 1
        if j < len(new):
            b, j = b * new[j], j + 1
        while a != b:
            if a < b:
                a, i = a * old[i], i + 1
            else:
                b, j = b * new[j], j + 1
        runs.append((range(start, i), range(other, j)))
    return runs


def _written(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _split_again(
    walk: _Rescale, op: Op, was: Sequence[int], now: Sequence[int], left: Sequence[int]
) -> list[int]:
    """The axes of a run whose elements changed: each as it was, or as its size became elsewhere."""
    total = math.prod(now)
    if len([size for size in left if size != 1]) == 1:
        return [total if size != 1 else 1 for size in left]
    if [s for s in was if s != 1] == [s for s in left if s != 1]:
        moved = iter([n for s, n in zip(was, now, strict=True) if s != 1])
        return [next(moved) if size != 1 else 1 for size in left]
    options = []
    for size in left:
        known = walk.seen.get(size)
        options.append(sorted({size, known or size}))
    fits = [list(c) for c in itertools.product(*options) if math.prod(c) == total]
    if len(fits) != 1:
        raise GraphError(f"{op.name}: {list(now)} in place of {list(was)} as {list(left)}")
    return fits[0]


def _window(walk: _Rescale, op: Op) -> Mapping[str, Any]:
    """A pool of a fixed result, or a window whose padding may be of the old size."""
    old, new = walk.before(op.inputs[0])[1:-1], walk.after(op.inputs[0])[1:-1]
    result = op.attrs.get("adaptive")
    if result is not None:
        if any(n < r for n, r in zip(new, result, strict=True)):
            raise GraphError(f"{op.name}: a pool of {new} to {tuple(result)}")
        stride = tuple(n // r for n, r in zip(new, result, strict=True))
        kernel = tuple(n - (r - 1) * s for n, r, s in zip(new, result, stride, strict=True))
        return {"stride": stride, "kernel": kernel}
    pads = op.attrs["pads"]
    maker = walk.producers.get(op.inputs[0])
    padded = maker is not None and walk.graph.ops[maker].kind == "pad"
    symmetric = all(a == b for a, b in zip(pads[::2], pads[1::2], strict=True))
    if op.kind.startswith("conv") and symmetric and not padded:
        return {}
    for was, now, stride in zip(old, new, op.attrs["stride"], strict=True):
        if (now - was) % stride:
            raise GraphError(f"{op.name} ({op.kind}): its padding was computed for {was} pixels")
    return {}


def _slice(walk: _Rescale, op: Op) -> Mapping[str, Any]:
    key = "size" if op.kind == "slice" else "output_shape"
    old, new = walk.before(op.inputs[0]), walk.after(op.inputs[0])
    shape = tuple(op.attrs[key])
    if len(shape) != len(old):
        raise GraphError(f"{op.name} ({op.kind}) drops axes")
    pairs = zip(shape, old, new, strict=True)
    return {key: tuple(s if a == b else walk.becomes(op, s, a, b) for s, a, b in pairs)}


def _flattened(walk: _Rescale, op: Op) -> Mapping[str, Any]:
    """A fully connected layer over all pixels has a weight for each of them."""
    sizes = [math.prod(f(op.inputs[0])) for f in (walk.before, walk.after)]
    if not op.attrs.get("keep_dims") and sizes[0] != sizes[1]:
        raise GraphError(f"{op.name} takes {sizes[0]} numbers, not {sizes[1]}")
    return {}


def _resize(walk: _Rescale, op: Op) -> Mapping[str, Any]:
    old, new = walk.before(op.inputs[0])[1:3], walk.after(op.inputs[0])[1:3]
    size = op.attrs["size"]
    return {"size": tuple(walk.becomes(op, *s) for s in zip(size, old, new, strict=True))}


def _made(walk: _Rescale, op: Op) -> Mapping[str, Any]:
    """Results whose shape is an attribute: what an axis became elsewhere, it becomes here."""
    shape = tuple(op.attrs["output_shape"])
    return {"output_shape": tuple(walk.seen.get(size) or size for size in shape)}


def _listed(walk: _Rescale, op: Op) -> Mapping[str, Any]:
    """Operators without a shape rule: a result of the first input's shape follows it."""
    old, new = walk.before(op.inputs[0]), walk.after(op.inputs[0])
    shapes = [tuple(shape) for shape in op.attrs["output_shapes"]]
    if any(shape != old for shape in shapes):
        name = op.attrs.get("custom_name", op.kind)
        raise GraphError(f"{op.name}: what {name} makes of another size is not known")
    return {"output_shapes": tuple(new for _ in shapes)}


_MADE = frozenset({"fill", "broadcast_to", "resize"})
"""Operators whose size may be that of a tensor which they do not read."""

_MEETING = frozenset({*BINARY, "select", "matmul", "concat"})
"""Operators in which a constant meets what was computed from the input."""

_WINDOWS = "conv2d conv3d max_pool2d avg_pool2d max_pool3d avg_pool3d"

_ADAPT: dict[str, Adapt] = {
    "reshape": _reshape,
    "slice": _slice,
    "strided_slice": _slice,
    "fully_connected": _flattened,
    "fill": _made,
    "broadcast_to": _made,
    "resize": _resize,
    **dict.fromkeys(_WINDOWS.split(), _window),
}
