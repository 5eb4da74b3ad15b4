"""ONNX sequences: lists of tensors that the reader keeps apart, so that they cost nothing."""

from __future__ import annotations

from perfmodel.errors import GraphError
from perfmodel.formats.limits import MAX_FAN
from perfmodel.formats.onnx.call import Call, UnknownShapeError, converts, normal_axis
from perfmodel.formats.onnx.net import Value


def sequence(parts: tuple[Value, ...]) -> list[Value]:
    """A sequence as a value without elements of its own."""
    if len(parts) > MAX_FAN:
        raise GraphError(f"a sequence of {len(parts)} tensors; at most {MAX_FAN} are read")
    return [Value("", (), "float32", parts=parts)]


def parts_of(value: Value) -> tuple[Value, ...]:
    """The tensors of a sequence."""
    if value.parts is None:
        raise GraphError("a sequence is expected")
    return value.parts


def _position(call: Call, index: int, count: int, default: int) -> int:
    """A place in a sequence that a constant names."""
    value = call.optional(index)
    if value is None:
        return default
    place = call.known(value)[0]
    if not -count <= place <= count:
        raise GraphError(f"place {place} of {count}")
    return place + count if place < 0 else place


@converts("SequenceEmpty SequenceConstruct")
def _construct(call: Call) -> list[Value]:
    return sequence(tuple(call.given()))


@converts("SequenceInsert")
def _insert(call: Call) -> list[Value]:
    parts = parts_of(call.value(0))
    place = _position(call, 2, len(parts), len(parts))
    return sequence((*parts[:place], call.value(1), *parts[place:]))


@converts("SequenceErase")
def _erase(call: Call) -> list[Value]:
    parts = parts_of(call.value(0))
    place = _position(call, 1, len(parts), len(parts) - 1)
    return sequence((*parts[:place], *parts[place + 1 :]))


@converts("SequenceAt")
def _at(call: Call) -> list[Value]:
    parts = parts_of(call.value(0))
    place = _position(call, 1, len(parts), 0)
    if place >= len(parts):
        raise GraphError(f"place {place} of {len(parts)}")
    return [parts[place]]


@converts("SplitToSequence")
def _split(call: Call) -> list[Value]:
    x, given = call.value(0), call.optional(1)
    axis = normal_axis(call.integer("axis", 0), len(x.shape))
    size, keep = x.shape[axis], given is not None or bool(call.integer("keepdims", 1))
    sizes = [1] * size if given is None else list(call.known(given))
    if given is not None and not given.shape:
        step = max(1, sizes[0])
        sizes = [min(step, size - start) for start in range(0, size, step)]
    if sum(sizes) != size or min(sizes, default=0) < 0 or len(sizes) > MAX_FAN:
        raise GraphError(f"parts of {sizes[:8]} from {size}")
    name, parts = call.net.plain(x), []
    for i, part in enumerate(sizes):
        shape = (*x.shape[:axis], *([part] if keep else []), *x.shape[axis + 1 :])
        attrs = {"output_shape": shape}
        parts += call.emit("strided_slice", [name], attrs, suffix=f"part{i}", dtype=x.dtype)
    return sequence(tuple(parts))


@converts("ConcatFromSequence")
def _concat(call: Call) -> list[Value]:
    parts = parts_of(call.value(0))
    if not parts:
        raise UnknownShapeError("an empty sequence has no shape")
    new, rank = call.integer("new_axis", 0), len(parts[0].shape)
    axis = normal_axis(call.integer("axis", 0), rank + bool(new))
    names = [call.net.plain(v) for v in parts]
    attrs = {"axis": axis} if new else {"axis": axis, "activation": "none"}
    return call.emit("pack" if new else "concat", names, attrs, dtype=parts[0].dtype)


@converts("Optional OptionalGetElement")
def _optional(call: Call) -> list[Value]:
    """An optional value is there where the node has an input."""
    return [call.value(0)]
