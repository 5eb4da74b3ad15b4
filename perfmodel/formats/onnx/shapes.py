"""ONNX operators that move data: shapes, slices, gathers, padding, resizing.

Semantics by operator and operator set version: docs/Operators.md in github onnx/onnx.
"""

from __future__ import annotations

import math
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.formats.onnx.call import Call, axis_in, converts, normal_axis, same_layout
from perfmodel.formats.onnx.net import Value, stored
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
    return reshaped(call, x, flattened(x.shape, call.integer("axis", 1)))


def flattened(shape: Shape, axis: int) -> Shape:
    """The axes before `axis` as one, and those from there on as another."""
    rank = len(shape)
    if not -rank <= axis <= rank:
        raise GraphError(f"axis {axis} of a tensor {shape}")
    axis = axis + rank if axis < 0 else axis
    return math.prod(shape[:axis]), math.prod(shape[axis:])


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


@converts("Identity Dropout")
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


@converts("Concat")
def _concat(call: Call) -> list[Value]:
    values = call.given()
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
