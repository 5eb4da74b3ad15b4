"""ONNX control flow: branches, loops and functions as the operators that they run.

A branch on a constant is taken; on anything else, that of the two which moves more data. Loops
whose number of steps is known are written out step by step. What stays is a `control_flow`
operator, which has a name and no cost.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.limits import MAX_FAN, check_shape
from perfmodel.formats.onnx.call import Call, UnknownShapeError, normal_axis
from perfmodel.formats.onnx.file import (
    FunctionData,
    GraphData,
    GraphSpan,
    OnnxNode,
    ReferencedAttribute,
    ValueInfo,
)
from perfmodel.formats.onnx.net import OnnxNet, Undone, Value

Values = MutableMapping[str, Value]
Infos = Mapping[str, ValueInfo]


class BodyReader(Protocol):
    """What reads the nodes of a body: the reader."""

    net: OnnxNet
    nodes_left: int

    def body(self, span: GraphSpan) -> GraphData:
        """A graph inside an attribute."""

    def run(self, nodes: Sequence[OnnxNode], values: Values, known: Infos, depth: int) -> None:
        """Convert nodes in order, adding what they make to `values`."""

    def lookup(self, name: str, values: Mapping[str, Value]) -> Value:
        """A value by name; raises `GraphError` where nothing has made it."""

    def listed(self, call: Call, kind: str, infos: Sequence[ValueInfo]) -> Sequence[Value]:
        """An operator of `kind` whose output shapes the file lists."""


def call_function(
    reader: BodyReader, call: Call, function: FunctionData, depth: int
) -> Sequence[Value]:
    """The nodes of a local function, in place of the call."""
    given = dict(zip(function.inputs, call.inputs, strict=False))
    values = {name: value for name, value in given.items() if value is not None}
    attributes = {**function.defaults, **call.node.attributes}
    nodes = []
    for node in function.nodes:
        settings = {
            key: attributes.get(value.name) if isinstance(value, ReferencedAttribute) else value
            for key, value in node.attributes.items()
            if not isinstance(value, ReferencedAttribute) or value.name in attributes
        }
        used = tuple(n if n in values or n not in function.inputs else "" for n in node.inputs)
        name = f"{call.op_name}/{node.name or node.op_type}"
        nodes.append(replace(node, name=name, attributes=settings, inputs=used))
    reader.run(nodes, values, {}, depth + 1)
    return [reader.lookup(name, values) for name in function.outputs]


def body_of(reader: BodyReader, call: Call, attribute: str) -> GraphData:
    """The graph in an attribute."""
    body = call.node.attributes.get(attribute)
    if not isinstance(body, GraphSpan) or isinstance(body, ReferencedAttribute):
        raise GraphError(f"{attribute} is missing")
    return reader.body(body)


def _run_body(
    reader: BodyReader, body: GraphData, outer: Values, inputs: Mapping[str, Value], depth: int
) -> list[Value]:
    """The values of a body's outputs, run once."""
    inner: ChainMap[str, Value] = ChainMap({}, outer)
    for name, tensor in body.initializers.items():
        inner[name] = reader.net.store(tensor)
    inner.update(inputs)
    reader.run(body.nodes, inner, body.value_info, depth + 1)
    return [reader.lookup(info.name, inner) for info in body.outputs]


def branch(
    reader: BodyReader, call: Call, values: Values, known: Infos, depth: int
) -> Sequence[Value]:
    """An If: the branch that is taken, or the larger one where that depends on the data."""
    condition = call.value(0).value
    if condition is not None:
        taken = "then_branch" if condition.all() else "else_branch"
        return _run_body(reader, body_of(reader, call, taken), values, {}, depth)
    net, failed = reader.net, None
    runs: list[_Run] = []
    for name in ("then_branch", "else_branch"):
        before = net.state()
        try:
            results = _run_body(reader, body_of(reader, call, name), values, {}, depth)
            runs.append(_Run(net.moved_since(before), name, results, net.undo(before)))
        except ModelFileError as error:
            net.undo(before)
            failed = failed or error
    if failed is not None and not runs:
        declared = _declared(call, known)
        if declared is None:
            raise failed
        return reader.listed(call, "control_flow", declared)
    larger = max(runs, key=lambda run: run.moved)
    net.redo(larger.made)
    what = "the only one that fits" if failed else "the one that moves more data"
    call.granted(f"runs its {larger.branch}, {what}")
    return larger.results


@dataclass(frozen=True)
class _Run:
    """A branch that was tried: elements that it moves, its results and what it made."""

    moved: int
    branch: str
    results: Sequence[Value]
    made: Undone


def _declared(call: Call, known: Infos) -> list[ValueInfo] | None:
    """The file's own shapes of all outputs, None where one is lacking."""
    infos = [known.get(name) for name in call.node.outputs if name]
    found = [info for info in infos if info is not None and info.shape is not None]
    return found if len(found) == len(infos) else None


def loop(
    reader: BodyReader, call: Call, values: Values, known: Infos, depth: int
) -> Sequence[Value]:
    """A Loop written out, as far as its limit and its condition tell how many steps it has."""
    body = body_of(reader, call, "body")
    limit, condition = call.optional(0), call.optional(1)
    if len(body.inputs) < 2 or len(body.outputs) != 1 + len(call.node.outputs):
        raise GraphError(f"{len(body.inputs)} inputs and {len(body.outputs)} outputs of a body")
    most = None if limit is None or limit.value is None else int(limit.value.reshape(-1)[0])
    bounded = most is not None and most * (len(body.nodes) + 1) <= reader.nodes_left
    going, step, unsure = True if condition is None else _truth(condition), 0, False
    carried = list(call.inputs[2:])
    stacks: list[list[Value]] = [[] for _ in call.node.outputs[len(carried) :]]
    before = reader.net.state()
    while going is not False and not (most is not None and step >= most):
        unsure |= going is None
        if not bounded and going is None:
            reader.net.undo(before)
            return _left(reader, call, known)
        number = Value("", (), "int64", constant=True, value=np.array(step, np.int64))
        given = dict(zip((i.name for i in body.inputs), [number, TRUE, *carried], strict=False))
        inner = {name: value for name, value in given.items() if value is not None}
        again, *made = _run_body(reader, body, values, inner, depth)
        carried = list(made[: len(carried)])
        for stack, value in zip(stacks, made[len(carried) :], strict=True):
            stack.append(value)
        going, step = _truth(again), step + 1
    if unsure:
        call.granted(f"runs all of its {step} steps")
    return [*_given(carried), *(_stack(call, stack, 0) for stack in stacks)]


TRUE = Value("", (), "bool", constant=True, value=np.array(True))


def _given(values: Sequence[Value | None]) -> list[Value]:
    if any(value is None for value in values):
        raise GraphError("a value that the loop carries is missing")
    return [value for value in values if value is not None]


def _truth(value: Value) -> bool | None:
    return None if value.value is None else bool(value.value.all())


def _left(reader: BodyReader, call: Call, known: Infos) -> Sequence[Value]:
    """A loop that is not written out, as one operator without a cost."""
    declared = _declared(call, known)
    if declared is None:
        raise GraphError(
            f"this {call.node.op_type} runs as often as the data say, and the file gives no shape "
            "for its results"
        )
    return reader.listed(call, "control_flow", declared)


def scan(
    reader: BodyReader, call: Call, values: Values, known: Infos, depth: int
) -> Sequence[Value]:
    """A Scan along an axis of its inputs, each step written out."""
    body, count = body_of(reader, call, "body"), call.integer("num_scan_inputs", 0)
    if reader.net.opset < 9 or not 0 < count <= len(call.inputs):
        raise GraphError(f"a Scan over {count} of {len(call.inputs)} inputs")
    states = _given(call.inputs[: len(call.inputs) - count])
    scanned = _given(call.inputs[len(states) :])
    listed = call.integers("scan_input_axes") or (0,) * count
    axes = [normal_axis(a, len(v.shape)) for a, v in zip(listed, scanned, strict=True)]
    lengths = {v.shape[a] for a, v in zip(axes, scanned, strict=True)}
    if len(lengths) != 1 or len(body.outputs) != len(call.node.outputs):
        raise GraphError(f"scanned axes of {sorted(lengths)} elements")
    [steps] = lengths
    if steps * (len(body.nodes) + 1) > reader.nodes_left:
        return _left(reader, call, known)
    stacks: list[list[Value]] = [[] for _ in call.node.outputs[len(states) :]]
    for step in range(steps):
        slices = [_part(call, v, a, step) for v, a in zip(scanned, axes, strict=True)]
        names = (info.name for info in body.inputs)
        inner = dict(zip(names, [*states, *slices], strict=True))
        made = _run_body(reader, body, values, inner, depth)
        states = made[: len(states)]
        for stack, value in zip(stacks, made[len(states) :], strict=True):
            stack.append(value)
    places = call.integers("scan_output_axes") or (0,) * len(stacks)
    pairs = zip(stacks, places, strict=True)
    return [*states, *(_stack(call, stack, axis) for stack, axis in pairs)]


def _part(call: Call, value: Value, axis: int, step: int) -> Value:
    """The element `step` of a value along an axis."""
    shape = (*value.shape[:axis], *value.shape[axis + 1 :])
    if value.constant:
        kept = None if value.value is None else value.value.take(step, axis)
        name = f"{value.name}/{axis}/{step}"
        return Value(name, shape, value.dtype, constant=True, value=kept, sources=value.sources)
    attrs = {"output_shape": shape}
    name = call.net.plain(value)
    return call.emit("strided_slice", [name], attrs, suffix="step", dtype=value.dtype)[0]


def _stack(call: Call, values: Sequence[Value], axis: int) -> Value:
    """The results of all steps along a new axis."""
    if not values:
        raise UnknownShapeError("a loop of no steps stacks results of unknown shape")
    if len({v.shape for v in values}) > 1:
        raise GraphError("the results of steps differ in shape")
    if all(v.constant and v.value is not None for v in values):
        return call.fold(np.stack([v.value for v in values if v.value is not None], axis))[0]
    shape = list(values[0].shape)
    shape.insert(normal_axis(axis, len(shape) + 1), len(values))
    check_shape(shape)
    if len(values) > MAX_FAN:
        raise GraphError(f"{len(values)} results to stack; at most {MAX_FAN} are read")
    names = [call.net.plain(v) for v in values]
    attrs = {"axis": normal_axis(axis, len(shape))}
    return call.emit("pack", names, attrs, suffix="stacked", dtype=values[0].dtype)[0]


FLOW = {"If": branch, "Loop": loop, "Scan": scan}
"""Operators that hold graphs, of ONNX's own set."""
