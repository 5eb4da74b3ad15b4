"""ONNX operators that move, pick, reduce or make data."""

from __future__ import annotations

import math
from string import ascii_letters
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.graph.onnx_net import (
    Call,
    Value,
    axis_in,
    common_layout,
    converts,
    stored,
)
from perfmodel.graph.onnx_ops import same_layout
from perfmodel.graph.ops import Shape, broadcast


@converts("Reshape")
def _reshape(call: Call) -> list[Value]:
    x = call.value(0)
    wanted = call.setting("shape", 1)
    if wanted is None:
        raise GraphError("no shape")
    return reshaped(call, x, resolve_shape(x.shape, wanted, bool(call.integer("allowzero", 0))))


def resolve_shape(old: Shape, wanted: tuple[int, ...], allow_zero: bool) -> Shape:
    """ONNX's reshape: 0 keeps the old size, -1 takes what is left."""
    sizes = list(wanted)
    for i, size in enumerate(sizes):
        if size == 0 and not allow_zero:
            if i >= len(old):
                raise GraphError(f"a reshape of {old} to {wanted}")
            sizes[i] = old[i]
    if sizes.count(-1) > 1 or min(sizes, default=0) < -1:
        raise GraphError(f"a reshape of {old} to {wanted}")
    if -1 in sizes:
        known = math.prod(s for s in sizes if s != -1)
        if known == 0 or math.prod(old) % known:
            raise GraphError(f"a reshape of {old} to {wanted}")
        sizes[sizes.index(-1)] = math.prod(old) // known
    if math.prod(sizes) != math.prod(old):
        raise GraphError(f"a reshape of {old} to {wanted}")
    return tuple(sizes)


def reshaped(call: Call, x: Value, shape: Shape) -> list[Value]:
    """A view of other shape, in ONNX's order."""
    name = x.tensor if not x.constant else call.net.plain(x)
    return call.emit("reshape", [name], {"shape": shape}, dtype=x.dtype)


@converts("Flatten")
def _flatten(call: Call) -> list[Value]:
    x = call.value(0)
    rank, axis = len(x.shape), call.integer("axis", 1)
    if not -rank <= axis <= rank:
        raise GraphError(f"axis {axis} of a tensor {x.shape}")
    axis = axis + rank if axis < 0 else axis
    return reshaped(call, x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@converts("Squeeze")
def _squeeze(call: Call) -> list[Value]:
    x, axes = call.value(0), call.setting("axes", 1)
    return reshaped(call, x, squeezed(x.shape, axes))


def squeezed(shape: Shape, axes: tuple[int, ...] | None) -> Shape:
    """The shape without the given axes of one element, or without all of them."""
    drop = {normal_axis(a, len(shape)) for a in axes} if axes is not None else None
    if drop is not None and any(shape[a] != 1 for a in drop):
        raise GraphError(f"cannot squeeze axes {axes} of {shape}")
    return tuple(s for i, s in enumerate(shape) if (s != 1 if drop is None else i not in drop))


def normal_axis(axis: int, rank: int) -> int:
    """A non-negative axis."""
    if not -rank <= axis < rank:
        raise GraphError(f"axis {axis} of a tensor of {rank} axes")
    return axis % rank


@converts("Unsqueeze")
def _unsqueeze(call: Call) -> list[Value]:
    x, axes = call.value(0), call.setting("axes", 1)
    return reshaped(call, x, unsqueezed(x.shape, axes))


def unsqueezed(shape: Shape, axes: tuple[int, ...] | None) -> Shape:
    """The shape with new axes of one element at the given places."""
    if axes is None:
        raise GraphError("no axes")
    rank = len(shape) + len(axes)
    places = {normal_axis(a, rank) for a in axes}
    if len(places) != len(axes):
        raise GraphError(f"axes {axes} repeat")
    rest = iter(shape)
    return tuple(1 if i in places else next(rest) for i in range(rank))


@converts("Identity Dropout OptionalGetElement")
def _identity(call: Call) -> list[Value]:
    """Passes its input on; a dropout's mask is all true in inference."""
    x = call.value(0)
    results = same_layout(call, "identity", x)
    for name in call.node.outputs[1:]:
        results.append(Value(name, x.shape, "bool", constant=True))
    return results


@converts("Transpose")
def _transpose(call: Call) -> list[Value]:
    x = call.value(0)
    perm = call.integers("perm") or tuple(reversed(range(len(x.shape))))
    if sorted(perm) != list(range(len(x.shape))):
        raise GraphError(f"perm {perm} of a tensor {x.shape}")
    name = call.net.image(x) if x.last else call.net.plain(x)
    return call.emit("transpose", [name], {"perm": tuple(axis_in(x, p) for p in perm)})


@converts("Concat QLinearConcat")
def _concat(call: Call) -> list[Value]:
    values = call.given()
    if call.node.op_type == "QLinearConcat":
        values = values[2::3]
    first = values[0] if values else call.value(0)
    axis = normal_axis(call.integer("axis", 1), len(first.shape))
    net, last = call.net, any(v.last for v in values)
    if any(len(v.shape) != len(first.shape) for v in values):
        raise GraphError(f"shapes {[v.shape for v in values][:8]} differ in rank")
    names = [net.image(v) if last else net.plain(v) for v in values]
    place = axis_in(next(v for v in values if v.last), axis) if last else axis
    return call.emit("concat", names, {"axis": place, "activation": "none"}, last=last)


@converts("Split")
def _split(call: Call) -> list[Value]:
    x, count = call.value(0), len(call.node.outputs)
    axis = normal_axis(call.integer("axis", 0), len(x.shape))
    sizes = call.setting("split", 1)
    if not sizes:
        chunk = -(-x.shape[axis] // max(1, count))
        sizes = tuple(max(0, min(chunk, x.shape[axis] - i * chunk)) for i in range(count))
    if len(sizes) != count or min(sizes, default=-1) < 0:
        raise GraphError(f"sizes {sizes} for {count} outputs")
    name = call.net.image(x) if x.last else call.net.plain(x)
    attrs = {"axis": axis_in(x, axis), "sizes": sizes}
    return call.emit("split", [name], attrs, last=x.last, outputs=count)


@converts("Slice")
def _slice(call: Call) -> list[Value]:
    x = call.value(0)
    starts, ends, axes, steps = slice_settings(call)
    out, unit = list(x.shape), True
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = normal_axis(axis, len(out))
        out[axis] = len(range(*slice(start, end, step).indices(x.shape[axis])))
        unit = unit and step == 1
    shape = stored(tuple(out), x.last)
    if unit:
        return same_layout(call, "slice", x, size=shape)
    return same_layout(call, "strided_slice", x, output_shape=shape)


def slice_settings(call: Call) -> tuple[tuple[int, ...], ...]:
    """Starts, ends, axes and steps of a slice; an end before the start stays Python's."""
    starts, ends = call.setting("starts", 1), call.setting("ends", 2)
    if starts is None or ends is None or len(starts) != len(ends):
        raise GraphError(f"starts {starts} and ends {ends}")
    axes = call.setting("axes", 3) or tuple(range(len(starts)))
    steps = call.setting("steps", 4) or (1,) * len(starts)
    if len(axes) != len(starts) or len(steps) != len(starts) or 0 in steps:
        raise GraphError(f"starts {starts}, axes {axes}, steps {steps}")
    return starts, ends, axes, steps


@converts("Gather")
def _gather(call: Call) -> list[Value]:
    x, indices = call.value(0), call.value(1)
    if not x.shape:
        raise GraphError("a gather from one number")
    names = [call.net.plain(x), call.net.plain(indices)]
    attrs = {"axis": normal_axis(call.integer("axis", 0), len(x.shape))}
    return call.emit("gather", names, attrs, dtype=x.dtype)


@converts("GatherND")
def _gather_nd(call: Call) -> list[Value]:
    x, indices, batch = call.value(0), call.value(1), call.integer("batch_dims", 0)
    if not x.shape or not indices.shape:
        raise GraphError(f"shapes {x.shape} and {indices.shape}")
    depth = indices.shape[-1] + batch
    if not 0 <= batch <= depth <= len(x.shape):
        raise GraphError(f"an index of {depth} numbers into a tensor {x.shape}")
    shape = (*indices.shape[:-1], *x.shape[depth:])
    names = [call.net.plain(x), call.net.plain(indices)]
    return call.emit("strided_slice", names, {"output_shape": shape}, dtype=x.dtype)


@converts("GatherElements")
def _gather_elements(call: Call) -> list[Value]:
    x, indices = call.value(0), call.value(1)
    names = [call.net.plain(x), call.net.plain(indices)]
    return call.emit("strided_slice", names, {"output_shape": indices.shape}, dtype=x.dtype)


@converts("Scatter ScatterElements ScatterND TensorScatter")
def _scatter(call: Call) -> list[Value]:
    values = [call.value(i) for i in range(3)]
    names = [call.net.plain(v) for v in values]
    return call.emit("scatter", names, {"output_shapes": (values[0].shape,)}, dtype=values[0].dtype)


@converts("Expand")
def _expand(call: Call) -> list[Value]:
    x = call.value(0)
    shape = broadcast([x.shape, call.known(call.value(1))])
    return call.emit("broadcast_to", [call.net.plain(x)], {"output_shape": shape}, dtype=x.dtype)


@converts("Tile")
def _tile(call: Call) -> list[Value]:
    x, repeats = call.value(0), call.known(call.value(1))
    if len(call.given()) == 3 and call.net.opset < 6:  # tiles along one axis
        axis = normal_axis(call.known(call.value(2))[0], len(x.shape))
        repeats = tuple(repeats[0] if i == axis else 1 for i in range(len(x.shape)))
    if len(repeats) != len(x.shape) or min(repeats, default=0) < 0:
        raise GraphError(f"repeats {repeats} of a tensor {x.shape}")
    return same_layout(call, "tile", x, multiples=stored(repeats, x.last))


@converts("Pad")
def _pad(call: Call) -> list[Value]:
    x = call.value(0)
    pads = call.setting("pads", 1) or call.integers("paddings")
    rank = len(x.shape)
    listed = call.optional(3)
    axes = call.known(listed) if listed else tuple(range(rank))
    if pads is None or len(pads) != 2 * len(axes):
        raise GraphError(f"pads {pads} of a tensor {x.shape}")
    pairs = [(0, 0)] * rank
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        pairs[axis_in(x, axis)] = (before, after)
    if min(pads, default=0) < 0:  # negative padding crops
        shape = stored(x.shape, x.last)
        out = tuple(s + a + b for s, (a, b) in zip(shape, pairs, strict=True))
        return same_layout(call, "strided_slice", x, output_shape=out)
    return same_layout(call, "pad", x, paddings=tuple(pairs), mode=call.text("mode", "constant"))


@converts("Resize Upsample")
def _resize(call: Call) -> list[Value]:
    x = call.value(0)
    size = _resized(call, x)
    methods = {"nearest": "nearest", "linear": "bilinear", "bilinear": "bilinear"}
    method = (methods | {"cubic": "bicubic"}).get(call.text("mode", "nearest"))
    if method is None:
        raise GraphError(f"unknown mode {call.text('mode', '')!r}")
    if len(size) == 4 and size[:2] == x.shape[:2]:
        attrs: dict[str, Any] = {"size": size[2:], "method": method}
        return call.emit("resize", [call.net.image(x)], attrs, last=True)
    attrs = {"output_shape": stored(size, x.last), "method": method}
    return same_layout(call, "resize_to", x, **attrs)


def _resized(call: Call, x: Value) -> Shape:
    """Output sizes from sizes or scales, for all axes or those listed."""
    modern = call.node.op_type == "Resize" and call.net.opset >= 11
    scales_at = 2 if modern else 1
    sizes = call.optional(3) if modern else None
    axes = tuple(normal_axis(a, len(x.shape)) for a in call.integers("axes") or ())
    axes = axes or tuple(range(len(x.shape)))
    scales = (
        _scales(call, scales_at)
        if sizes is None
        else [_ratio(size, x.shape[a]) for size, a in zip(call.known(sizes), axes, strict=False)]
    )
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    if sizes is not None and policy != "stretch":
        ratio = (min if policy == "not_larger" else max)(scales, default=1.0)
        wanted = [math.floor(x.shape[a] * ratio + 0.5) for a in axes]
    elif sizes is not None:
        wanted = list(call.known(sizes))
    else:
        # a hair more than the product, as 7 * (10 / 7) must not fall short of 10
        wanted = [
            math.floor(x.shape[a] * s * (1 + 1e-7)) for a, s in zip(axes, scales, strict=False)
        ]
    if len(wanted) != len(axes) or min(wanted, default=1) < 1:
        raise GraphError(f"sizes {wanted} for a tensor {x.shape}")
    out = list(x.shape)
    for axis, size in zip(axes, wanted, strict=True):
        out[axis] = size
    return tuple(out)


def _ratio(size: int, old: int) -> float:
    if old < 1:
        raise GraphError("a resize of nothing")
    return size / old


def _scales(call: Call, index: int) -> list[float]:
    listed = call.node.attributes.get("scales")
    if isinstance(listed, tuple):
        found = [float(v) for v in listed]
    elif "height_scale" in call.node.attributes:
        found = [1.0, 1.0, call.real("height_scale", 1.0), call.real("width_scale", 1.0)]
    else:
        found = list(call.numbers(call.value(index)))
    if not all(0 < s < 1e9 for s in found):
        raise GraphError(f"scales {found[:8]}")
    return found


@converts("DepthToSpace SpaceToDepth")
def _depth_space(call: Call) -> list[Value]:
    kind = "depth_to_space" if call.node.op_type == "DepthToSpace" else "space_to_depth"
    block = call.integer("blocksize", 0)
    if block < 1:
        raise GraphError(f"blocksize {block}")
    return call.emit(kind, [call.net.image(call.value(0))], {"block": block}, last=True)


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


@converts("Einsum")
def _einsum(call: Call) -> list[Value]:
    """A sum of products of two tensors as transposes, one matrix product and a transpose."""
    terms, result = _equation(call)
    values = call.given()
    if len(terms) != len(values) or len(terms) > 2:
        raise GraphError(f"einsum of {len(values)} inputs")
    sizes: dict[str, int] = {}
    for term, value in zip(terms, values, strict=True):
        if len(term) != len(value.shape) or len(set(term)) != len(term):
            raise GraphError(f"einsum term {term!r} for a tensor {value.shape}")
        for letter, size in zip(term, value.shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    if len(terms) == 1:
        return _einsum_one(call, values[0], terms[0], result)
    a, b = terms
    batch = [x for x in a if x in b and x in result]
    inner = [x for x in a if x in b and x not in result]
    rows = [x for x in a if x not in b]
    columns = [x for x in b if x not in a]
    if set(rows + columns) - set(result) or set(result) - set(a + b):
        raise GraphError(f"einsum {','.join(terms)}->{result} is no matrix product")
    left = _folded(call, values[0], a, [batch, rows, inner], sizes, "left")
    right = _folded(call, values[1], b, [batch, inner, columns], sizes, "right")
    made = call.emit("matmul", [left, right], suffix="product")[0].tensor
    order = [*batch, *rows, *columns]
    builder, shape = call.net.builder, tuple(sizes[x] for x in order)
    if "".join(order) == result:
        return call.emit("reshape", [made], {"shape": shape})
    name = builder.reshape(made, shape, call.net.fresh(f"{call.op_name}/unfolded"))
    return call.emit("transpose", [name], {"perm": tuple(order.index(x) for x in result)})


def _equation(call: Call) -> tuple[list[str], str]:
    """The terms of the inputs and of the result, a letter for each axis."""
    text = call.text("equation", "").replace(" ", "")
    if len(text) > 100:
        raise GraphError(f"einsum of {len(text)} letters")
    spare = [c for c in ascii_letters if c not in text]
    for term, value in zip(text.partition("->")[0].split(","), call.given(), strict=True):
        if "..." in term:
            missing = len(value.shape) - len(term) + 3
            if not 0 <= missing <= len(spare):
                raise GraphError(f"einsum term {term!r} for a tensor {value.shape}")
            text = text.replace("...", "".join(spare[len(spare) - missing :]))
    left, arrow, result = text.partition("->")
    if not arrow:
        letters = left.replace(",", "")
        result = "".join(sorted(x for x in set(letters) if letters.count(x) == 1))
    return left.split(","), result


def _einsum_one(call: Call, value: Value, term: str, result: str) -> list[Value]:
    name = call.net.plain(value)
    gone = tuple(i for i, letter in enumerate(term) if letter not in result)
    rest = [letter for letter in term if letter in result]
    if sorted(rest) != sorted(result):
        raise GraphError(f"einsum {term}->{result}")
    if gone:
        attrs = {"axes": gone, "keep_dims": False}
        made = call.emit("reduce_sum", [name], attrs, suffix="sum")[0]
        name = made.tensor
    return call.emit("transpose", [name], {"perm": tuple(rest.index(x) for x in result)})


def _folded(
    call: Call,
    value: Value,
    term: str,
    groups: list[list[str]],
    sizes: dict[str, int],
    suffix: str,
) -> str:
    """An operand as (batch, rows, columns)."""
    net, name = call.net, call.net.plain(value)
    order = [letter for group in groups for letter in group]
    if order != list(term):
        perm = tuple(term.index(letter) for letter in order)
        name = net.builder.op(
            "transpose", name, name=net.fresh(f"{call.op_name}/{suffix}"), perm=perm
        )
    shape = tuple(math.prod(sizes[x] for x in group) for group in groups)
    return net.builder.reshape(name, shape, net.fresh(f"{call.op_name}/{suffix}_folded"))


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
