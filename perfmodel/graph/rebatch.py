"""The same network at another batch size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.graph.ir import Graph, Op, Tensor
from perfmodel.graph.ops import infer_shapes

Shape = tuple[int, ...]


def rebatch(graph: Graph, batch_size: int) -> Graph:
    """`graph` with `batch_size` in place of its present batch, by inferring all shapes anew.

    The leading dimension of each graph input is its batch, where it equals the first input's.
    Shapes written in attributes follow: a reshape's target, slices that take the whole batch,
    results made without input (an initial state) that lead with the batch; a constant that is
    joined to the batch (a class token) gets a tile op.
    Raises `GraphError` where the batch cannot be followed, for example behind a custom operator
    or where the network was written for one image only.
    """
    if batch_size < 1:
        raise GraphError(f"batch size must be at least 1, got {batch_size}")
    old = graph.batch_size
    if batch_size == old:
        return graph
    return _Rebatch(graph, old, batch_size).run()


class _Rebatch:
    """One walk over the ops; `tensors` holds the new shapes made so far."""

    def __init__(self, graph: Graph, old: int, new: int) -> None:
        self.graph = graph
        self.old = old
        self.new = new
        self.tensors: dict[str, Tensor] = dict(graph.tensors)

    def run(self) -> Graph:
        for name in self.graph.inputs:
            shape = self.graph.tensors[name].shape
            if shape and shape[0] == self.old:
                self._set(name, (self.new, *shape[1:]))
        try:
            ops = tuple(new for op in self.graph.ops for new in self._op(op))
        except GraphError as error:
            raise GraphError(
                f"{self.graph.name}: cannot go from batch {self.old} to {self.new}: "
                f"{error.message}",
                error.hint,
            ) from error
        return replace(self.graph, tensors=self.tensors, ops=ops)

    def _set(self, name: str, shape: Shape) -> None:
        self.tensors[name] = replace(self.tensors[name], shape=shape)

    def _op(self, op: Op) -> list[Op]:
        tiles: list[Op] = []
        if op.kind == "concat":
            op, tiles = self._repeat_constants(op)
        attrs = dict(op.attrs)
        adapt = _ADAPT.get(op.kind)
        if adapt is None and "output_shapes" in attrs:
            adapt = _listed_shapes
        if adapt is not None:
            attrs.update(adapt(self, op))
        shapes = infer_shapes(op.kind, [self._new(n) for n in op.inputs], attrs)
        if len(shapes) != len(op.outputs):
            raise GraphError(f"op {op.name!r} ({op.kind}) has one output per batch element")
        for name, shape in zip(op.outputs, shapes, strict=True):
            if name:
                self._set(name, shape)
        return [*tiles, replace(op, attrs=attrs)]

    def _repeat_constants(self, op: Op) -> tuple[Op, list[Op]]:
        """Constants that join a batch (a class token) are repeated for each of its members."""
        if not self.changed(op):
            return op, []
        names, tiles = list(op.inputs), []
        for position, name in enumerate(op.inputs):
            shape = self._old(name)
            alone = self.graph.tensors[name].constant and op.attrs["axis"] % len(shape) != 0
            if alone and shape[0] == self.old and self.new % self.old == 0:
                repeated = f"{name}/batch_{self.new}"
                multiples = (self.new // self.old, *[1] * (len(shape) - 1))
                if repeated not in self.tensors:
                    attrs = {"multiples": multiples}
                    tiles.append(Op(repeated, "tile", (name,), (repeated,), attrs))
                    self.tensors[repeated] = replace(
                        self.tensors[name],
                        name=repeated,
                        shape=(self.new, *shape[1:]),
                        constant=False,
                    )
                names[position] = repeated
        return replace(op, inputs=tuple(names)), tiles

    def _old(self, name: str) -> Shape:
        known = self.graph.tensors.get(name) or self.tensors.get(name)
        return known.shape if known else ()

    def _new(self, name: str) -> Shape:
        return self.tensors[name].shape if name else ()

    def changed(self, op: Op) -> bool:
        """Whether any input of the op carries the batch."""
        return any(self._old(n) != self._new(n) for n in op.inputs)

    def batch_axis(self, op: Op) -> int | None:
        """The axis of input 0 that carries the batch, None if none does."""
        name = op.inputs[0] if op.inputs else ""
        pairs = zip(self._old(name), self._new(name), strict=True)
        axes = [axis for axis, (a, b) in enumerate(pairs) if a != b]
        if len(axes) > 1:
            raise GraphError(f"op {op.name!r}: the batch is in several axes of {name!r}")
        return axes[0] if axes else None

    def scaled(self, op: Op, shape: Shape, axis: int) -> Shape:
        """`shape` with the batch of one axis replaced."""
        if axis >= len(shape) or shape[axis] % self.old:
            raise GraphError(f"op {op.name!r} ({op.kind}): no batch in axis {axis} of {shape}")
        return (*shape[:axis], shape[axis] // self.old * self.new, *shape[axis + 1 :])


Adapt = Callable[[_Rebatch, Op], Mapping[str, Any]]


def _reshape(walk: _Rebatch, op: Op) -> Mapping[str, Any]:
    """The batch stays behind as many elements as it was: that fixes its new axis."""
    axis = walk.batch_axis(op)
    if axis is None:
        return {}
    target = walk._old(op.outputs[0])
    before = math.prod(walk._old(op.inputs[0])[:axis])
    for candidate in range(len(target)):
        if math.prod(target[:candidate]) == before and target[candidate] % walk.old == 0:
            return {"shape": walk.scaled(op, target, candidate)}
    raise GraphError(f"op {op.name!r}: reshape of {walk._old(op.inputs[0])} to {target}")


def _slice(walk: _Rebatch, op: Op) -> Mapping[str, Any]:
    axis = walk.batch_axis(op)
    if axis is None:
        return {}
    _must_take_all(walk, op, axis, op.attrs["size"][axis])
    return {"size": walk.scaled(op, tuple(op.attrs["size"]), axis)}


def _must_take_all(walk: _Rebatch, op: Op, axis: int, taken: int) -> None:
    if taken != walk._old(op.inputs[0])[axis]:
        raise GraphError(f"op {op.name!r} takes {taken} of the batch")


def _strided_slice(walk: _Rebatch, op: Op) -> Mapping[str, Any]:
    """Axes that the slice drops before the batch move it forward."""
    axis = walk.batch_axis(op)
    if axis is None:
        return {}
    if op.attrs.get("new_axis_mask") or op.attrs.get("ellipsis_mask"):
        raise GraphError(f"op {op.name!r}: a slice that adds axes")
    dropped = op.attrs.get("shrink_axis_mask", 0)
    if dropped >> axis & 1:
        raise GraphError(f"op {op.name!r} takes one element of the batch")
    shape = tuple(op.attrs["output_shape"])
    out_axis = axis - sum(dropped >> k & 1 for k in range(axis))
    if out_axis >= len(shape):
        raise GraphError(f"op {op.name!r}: no batch in {shape}")
    _must_take_all(walk, op, axis, shape[out_axis])
    changes: dict[str, Any] = {"output_shape": walk.scaled(op, shape, out_axis)}
    end = op.attrs.get("end")
    if end is not None and axis < len(end) and end[axis] > 0:
        changes["end"] = (*end[:axis], walk._new(op.inputs[0])[axis], *end[axis + 1 :])
    return changes


def _made(walk: _Rebatch, op: Op) -> Mapping[str, Any]:
    """Results whose shape is an attribute: the batch leads, or stays in its axis from the right."""
    shape = tuple(op.attrs["output_shape"])
    axis = walk.batch_axis(op)
    if axis is not None:
        from_right = len(walk._old(op.inputs[0])) - axis
        place = axis if op.kind in ("one_hot", "resize_to") else len(shape) - from_right
        return {"output_shape": walk.scaled(op, shape, place)}
    if op.kind in ("fill", "broadcast_to") and len(shape) > 1 and shape[0] == walk.old:
        return {"output_shape": walk.scaled(op, shape, 0)}
    return {}


def _states(walk: _Rebatch, op: Op) -> Mapping[str, Any]:
    """States after the last step lead with the batch, as the sequence does."""
    if "state_shapes" not in op.attrs or not walk.changed(op):
        return {}
    shapes = (tuple(shape) for shape in op.attrs["state_shapes"])
    return {"state_shapes": tuple(walk.scaled(op, shape, 0) for shape in shapes)}


def _tile(walk: _Rebatch, op: Op) -> Mapping[str, Any]:
    multiples = tuple(op.attrs["multiples"])
    without_batch = walk.batch_axis(op) is None and len(multiples) > 1
    if without_batch and walk._old(op.outputs[0])[0] == walk.old and multiples[0] % walk.old == 0:
        return {"multiples": walk.scaled(op, multiples, 0)}
    return {}


_PER_IMAGE_UNKNOWN = frozenset({"custom", "control_flow", "variable"})


def _listed_shapes(walk: _Rebatch, op: Op) -> Mapping[str, Any]:
    """Operators without a shape rule: their results lead with the batch, as their inputs do."""
    if op.kind == "prior_box" or not walk.changed(op):
        return {}
    if op.kind in _PER_IMAGE_UNKNOWN:
        name = op.attrs.get("custom_name", op.kind)
        raise GraphError(f"op {op.name!r}: what {name} does with a batch is not known")
    shapes = (tuple(shape) for shape in op.attrs["output_shapes"])
    return {"output_shapes": tuple(walk.scaled(op, shape, 0) for shape in shapes)}


_ADAPT: dict[str, Adapt] = {
    "reshape": _reshape,
    "view": _reshape,
    **dict.fromkeys(("lstm", "gru", "rnn"), _states),
    "slice": _slice,
    "strided_slice": _strided_slice,
    "tile": _tile,
    "broadcast_to": _made,
    "fill": _made,
    "one_hot": _made,
    "resize_to": _made,
}
