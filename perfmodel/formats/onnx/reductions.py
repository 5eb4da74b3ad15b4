"""ONNX operators that reduce, choose, sample or make data.

Semantics by operator and operator set version: docs/Operators.md in github onnx/onnx.
"""

from __future__ import annotations

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.net import (
    Call,
    Value,
    axis_in,
    common_layout,
    converts,
    normal_axis,
    same_layout,
    stored,
)
from perfmodel.graph.ops import Shape

REDUCTIONS = {
    "ReduceL1": "reduce_sum",
    "ReduceL2": "reduce_sum",
    "ReduceLogSum": "reduce_sum",
    "ReduceLogSumExp": "reduce_sum",
    "ReduceMax": "reduce_max",
    "ReduceMean": "reduce_mean",
    "ReduceMin": "reduce_min",
    "ReduceProd": "reduce_prod",
    "ReduceSum": "reduce_sum",
    "ReduceSumSquare": "reduce_sum",
}


@converts(" ".join(REDUCTIONS))
def _reduce(call: Call) -> list[Value]:
    x, axes = call.value(0), call.setting("axes", 1)
    if not axes and call.integer("noop_with_empty_axes", 0):
        return same_layout(call, "identity", x)
    rank, keep = len(x.shape), bool(call.integer("keepdims", 1))
    axes = tuple(normal_axis(a, rank) for a in axes) if axes else tuple(range(rank))
    places = tuple(sorted(axis_in(x, a) for a in axes)) if x.shape else ()
    attrs = {"axes": places, "keep_dims": keep}
    kind = REDUCTIONS[call.node.op_type]
    name = call.net.image(x) if x.last else call.net.plain(x)
    if keep or not x.last:
        return call.emit(kind, [name], attrs, last=x.last)
    wanted = tuple(s for i, s in enumerate(x.shape) if i not in axes)
    left = tuple(s for i, s in enumerate(stored(x.shape, True)) if i not in places)
    if wanted == left:
        return call.emit(kind, [name], attrs)
    inner = call.emit(kind, [name], attrs, suffix="reduced")[0]
    return call.emit("reshape", [inner.tensor], {"shape": wanted})


@converts("ArgMax ArgMin")
def _arg(call: Call) -> list[Value]:
    x = call.value(0)
    kind = "arg_max" if call.node.op_type == "ArgMax" else "arg_min"
    attrs = {
        "axis": normal_axis(call.integer("axis", 0), len(x.shape)),
        "keep_dims": bool(call.integer("keepdims", 1)),
    }
    return call.emit(kind, [call.net.plain(x)], attrs, dtype="int64")


@converts("TopK")
def _top_k(call: Call) -> list[Value]:
    x = call.value(0)
    axis = normal_axis(call.integer("axis", -1), len(x.shape))
    found = call.setting("k", 1)
    k = found[0] if found else call.integer("k", -1)
    if not 0 <= k <= x.shape[axis]:
        raise GraphError(f"the {k} largest of {x.shape[axis]}")
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return call.emit("top_k", [call.net.plain(x)], {"output_shapes": (shape,) * 2}, outputs=2)


@converts("NonMaxSuppression")
def _non_max_suppression(call: Call) -> list[Value]:
    """At most max_output_boxes_per_class rows (batch, class, box) each; an image may give fewer."""
    boxes, scores = call.value(0), call.value(1)
    if len(boxes.shape) != 3 or len(scores.shape) != 3:
        raise GraphError(f"boxes {boxes.shape}, scores {scores.shape}")
    limit = call.optional(2)
    most = call.known(limit)[0] if limit else 0
    rows = scores.shape[0] * scores.shape[1] * min(max(most, 0), boxes.shape[1])
    names = [call.net.plain(boxes), call.net.plain(scores)]
    attrs = {"output_shapes": ((rows, 3),)}
    return call.emit("non_max_suppression", names, attrs, dtype="int64")


@converts("OneHot")
def _one_hot(call: Call) -> list[Value]:
    x, values = call.value(0), call.value(2)
    depth, axis = call.known(call.value(1))[0], call.integer("axis", -1)
    place = normal_axis(axis, len(x.shape) + 1)
    if depth < 1:
        raise GraphError(f"depth {depth}")
    shape = (*x.shape[:place], depth, *x.shape[place:])
    attrs = {"output_shape": shape}
    return call.emit("one_hot", [call.net.plain(x)], attrs, dtype=values.dtype)


@converts("ReverseSequence")
def _reverse(call: Call) -> list[Value]:
    return same_layout(call, "reverse", call.value(0))


@converts("RandomNormal RandomUniform")
def _random(call: Call) -> list[Value]:
    shape = call.integers("shape")
    if shape is None or min(shape, default=0) < 0:
        raise GraphError(f"shape {shape}")
    return call.emit("fill", [], {"output_shape": shape})


@converts("RandomNormalLike RandomUniformLike Bernoulli EyeLike")
def _random_like(call: Call) -> list[Value]:
    x = call.value(0)
    return call.emit("fill", [call.net.plain(x)], {"output_shape": x.shape})


@converts("GridSample RoiAlign MaxRoiPool")
def _sampled(call: Call) -> list[Value]:
    """Interpolation at given places; a custom operator, as no runtime model has its cost."""
    x, places = call.value(0), call.value(1)
    kind = call.node.op_type
    if kind == "GridSample":
        shape: Shape = (*x.shape[:2], *places.shape[1:-1])
    else:
        pooled = call.integers("pooled_shape") or (
            call.integer("output_height", 1),
            call.integer("output_width", 1),
        )
        shape = (places.shape[0], x.shape[1], *pooled)
    names, _ = common_layout(call, [x]) if len(x.shape) == 4 else ([call.net.plain(x)], False)
    attrs = {"custom_name": kind, "output_shapes": (stored(shape, True),)}
    return call.emit("custom", [*names, call.net.plain(places)], attrs, last=True)
