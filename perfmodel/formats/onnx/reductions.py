"""ONNX operators that reduce, choose, sample or make data.

Semantics by operator and operator set version: docs/Operators.md in github onnx/onnx.
"""

from __future__ import annotations

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.call import (
    Call,
    axis_in,
    converts,
    normal_axis,
    same_layout,
)
from perfmodel.formats.onnx.net import Value, stored

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
    return reduced(call, REDUCTIONS[call.node.op_type], call.value(0), call.setting("axes", 1))


def reduced(call: Call, kind: str, x: Value, axes: tuple[int, ...] | None) -> list[Value]:
    """A reduction over the given axes, or over all of them."""
    if not axes and call.integer("noop_with_empty_axes", 0):
        return same_layout(call, "identity", x)
    rank, keep = len(x.shape), bool(call.integer("keepdims", 1))
    axes = tuple(normal_axis(a, rank) for a in axes) if axes else tuple(range(rank))
    places = tuple(sorted(axis_in(x, a) for a in axes)) if x.shape else ()
    attrs = {"axes": places, "keep_dims": keep}
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
