"""Reader of .onnx files: operators and shapes; no weight is loaded, inline or external."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path

import perfmodel.formats.onnx.convolutions
import perfmodel.formats.onnx.products
import perfmodel.formats.onnx.reductions
import perfmodel.formats.onnx.shapes  # noqa: F401 (these four fill CONVERTERS)
from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.limits import MAX_FAN, MAX_NESTING, MAX_OPS, check_shape, shorten
from perfmodel.formats.onnx import elementwise
from perfmodel.formats.onnx.constants import fold
from perfmodel.formats.onnx.file import (
    FunctionData,
    GraphData,
    GraphSpan,
    ModelData,
    Node,
    ReferencedAttribute,
    ValueInfo,
    read_graph,
    read_model,
)
from perfmodel.formats.onnx.net import (
    CONVERTERS,
    Call,
    OnnxNet,
    UncoveredRankError,
    UnknownShapeError,
    Value,
    of_tensor,
    stored,
)
from perfmodel.formats.onnx.wire import Wire, open_onnx
from perfmodel.formats.sizes import InputShape, Sizes, in_order
from perfmodel.graph.ir import Graph
from perfmodel.graph.ops import Shape

IMAGE_OPS = frozenset(
    [
        *("Conv", "FusedConv", "ConvInteger", "QLinearConv", "ConvTranspose"),
        *("MaxPool", "AveragePool", "LpPool", "QLinearGlobalAveragePool"),
        *("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "Resize", "Upsample"),
        *("DepthToSpace", "SpaceToDepth", "InstanceNormalization", "GroupNormalization", "LRN"),
    ]
)
"""Operators that take (batch, channels, ...): what reaches them is held channels last."""

ANY_LAYOUT = frozenset(
    [
        *(*elementwise.UNARY, *elementwise.BINARY, *elementwise.VARIADIC),
        *("BatchNormalization", "Cast", "Clip", "Concat", "DequantizeLinear", "Dropout"),
        *("Identity", "PRelu", "Pad", "QuantizeLinear", "Slice", "Split", "Where"),
    ]
)
"""Operators that work in either layout, so that they pass on what their readers want."""

DECLARED_SHAPES = {
    "Expand": ("broadcast_to", "output_shape"),
    "Reshape": ("reshape", "shape"),
    "Slice": ("strided_slice", "output_shape"),
}
"""Operators that are known but for their shape, and the attribute that holds it."""

DOMAINS = frozenset(["", "com.microsoft"])
"""Whose operators the converters describe; others are custom."""


def read_onnx(
    path: str | os.PathLike[str],
    *,
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
) -> Graph:
    """Read an .onnx file (operator sets 9 to 21) into a graph (images NHWC, batch first).

    `dims` sets symbolic sizes by name, and sizes without a name by "INPUT[AXIS]"; `input_shape`
    sets all sizes of the only input, or of several by name, in the file's order of axes, and with
    them the symbols that stand there and elsewhere. A leading size
    that is not set is the batch and becomes 1; any other raises `ModelFileError`, which names it.
    Convolution weights are (cout, kh, kw, cin / groups). Operators outside ONNX's own set become
    "custom" where the file gives their shape.
    """
    wire = open_onnx(path)
    reader = _Reader(wire, read_model(wire), Sizes.of(dims, input_shape))
    return reader.read()


class _Reader:
    """Runs through the nodes once, with the values they have made so far."""

    def __init__(self, wire: Wire, model: ModelData, sizes: Sizes) -> None:
        self.wire, self.model, self.dims = wire, model, dict(sizes.dims)
        self.path = wire.path
        self.opset = max(1, model.opsets.get("", 1))
        self.net = OnnxNet(Path(self.path).stem, self.opset)
        self.no_tensors: set[str] = set()
        self.batch_names: set[int | str | None] = set()
        self.nodes_left = MAX_OPS
        self.given = self._given(sizes)

    def _given(self, sizes: Sizes) -> dict[str, Shape]:
        """The callers' shapes by input; a symbol in their place is set for the whole file."""
        inputs = {i.name: i for i in self.model.graph.inputs if i.name not in self._held()}
        given = sizes.by_input(
            self.path, {name: not _is_fixed(info.shape) for name, info in inputs.items()}
        )
        for name, shape in given.items():
            declared = inputs[name].shape
            channels = declared[1] if declared and len(declared) == 4 else None
            fixed = channels if isinstance(channels, int) and channels > 0 else None
            given[name] = shape = in_order(shape, fixed, last=False)
            if declared is not None and len(declared) != len(shape):
                raise ModelFileError(
                    self.path,
                    f"input {shorten(name)!r}",
                    f"has {len(declared)} axes, --input-shape gives {len(shape)}",
                    f"the file has {_declared_text(declared)}",
                )
            for symbol, size in zip(declared or (), shape, strict=True):
                if isinstance(symbol, str) and symbol not in ("", "?"):
                    self.dims.setdefault(symbol, size)
        return given

    def _held(self) -> Mapping[str, object]:
        return self.model.graph.initializers

    def read(self) -> Graph:
        """The graph."""
        graph = self.model.graph
        values: dict[str, Value] = {n: of_tensor(t) for n, t in graph.initializers.items()}
        images = _wanted_as_images(graph.nodes)
        unknown = sorted(set(self.dims) - self._free_names())
        if unknown:
            raise ModelFileError(
                self.path,
                "inputs",
                f"no size is called {unknown[0]!r}",
                f"sizes that can be set: {shorten(', '.join(sorted(self._free_names())), 300)}",
            )
        for info in graph.inputs:
            if info.name not in values:
                self._add_input(info, info.name in images, values)
        self.run(graph.nodes, values, graph.value_info, 0)
        outputs = [self._output(info.name, values) for info in graph.outputs]
        try:
            return self.net.builder.build(*outputs, source=str(self.path), format="onnx")
        except GraphError as error:
            raise ModelFileError(self.path, "graph", shorten(error.message, 300)) from None

    def _add_input(self, info: ValueInfo, image: bool, values: dict[str, Value]) -> None:
        given = self.given.get(info.name)
        if (info.shape is None and given is None) or not info.dtype:
            self.no_tensors.add(info.name)
            return
        shape = given or self.resolve(info, of_input=True)
        last = image and len(shape) >= 3
        try:
            check_shape(shape)
            name = self.net.builder.input(stored(shape, last), info.name, info.dtype)
        except GraphError as error:
            raise ModelFileError(self.path, f"input {info.name!r}", error.message) from None
        values[info.name] = Value(info.name, shape, info.dtype, name, last)

    def resolve(self, info: ValueInfo, *, of_input: bool = False) -> Shape:
        """The declared shape with symbols set; what an input calls its batch is 1 by default."""
        shape = []
        for axis, size in enumerate(info.shape or ()):
            place = f"{info.name}[{axis}]"
            keys = [k for k in (size, place) if isinstance(k, str) and k in self.dims]
            if keys:
                shape.append(self.dims[keys[0]])
            elif isinstance(size, int) and size >= 0:
                shape.append(size)
            elif axis == 0 and (of_input or size in self.batch_names):
                self.batch_names.add(size)
                shape.append(1)
            else:
                name = size if isinstance(size, str) and size else place
                raise ModelFileError(
                    self.path,
                    f"tensor {shorten(info.name)!r}",
                    f"size {shorten(name)!r} (axis {axis}) is not set",
                    _size_hint(info, name, of_input=of_input),
                )
        return tuple(shape)

    def _free_names(self) -> set[str]:
        """Names of the sizes that are not numbers; each also goes by its place."""
        names = set()
        for info in (*self.model.graph.inputs, *self.model.graph.value_info.values()):
            for axis, size in enumerate(info.shape or ()):
                if not isinstance(size, int) or size < 0:
                    names.add(f"{info.name}[{axis}]")
                    names.update([size] if isinstance(size, str) and size else [])
        return names

    def _output(self, name: str, values: Mapping[str, Value]) -> str:
        value = values.get(name)
        if value is None:
            raise ModelFileError(self.path, f"output {shorten(name)!r}", "no node makes it")
        return self.net.plain(value) if value.constant else value.tensor

    def run(
        self,
        nodes: Sequence[Node],
        values: MutableMapping[str, Value],
        known: Mapping[str, ValueInfo],
        depth: int,
    ) -> None:
        """Convert nodes in order, adding what they make to `values`."""
        if depth > MAX_NESTING:
            raise ModelFileError(self.path, "graph", "functions or branches nested too deeply")
        for node in nodes:
            self.nodes_left -= 1
            try:
                if self.nodes_left < 0 or len(self.net.builder.ops) > MAX_OPS:
                    raise GraphError(f"more than {MAX_OPS} nodes")
                if len(node.outputs) > MAX_FAN:
                    raise GraphError(f"more than {MAX_FAN} outputs")
                results = self._node(node, values, known, depth)
                self._store(node, results, values)
            except GraphError as error:
                raise self._at(node, error.message, error.hint) from None
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                # converters trust the ranks and lists that an operator asks for
                reason = f"inputs or attributes that do not fit the operator ({error})"
                raise self._at(node, reason) from error

    def _at(self, node: Node, reason: str, hint: str = "") -> ModelFileError:
        name = shorten(node.name or next(iter(node.outputs), ""), 60)
        where = f"node {node.index} ({shorten(node.op_type, 40)} {name!r})"
        return ModelFileError(self.path, where, shorten(reason, 300), hint)

    def _store(
        self, node: Node, results: Sequence[Value], values: MutableMapping[str, Value]
    ) -> None:
        # a result that nobody names or that inference has no use for may be absent
        for name, value in zip(node.outputs, results, strict=False):
            if not name:
                continue
            if name in values:
                raise GraphError(f"{shorten(name)!r} is made twice")
            check_shape(value.shape)
            values[name] = replace(value, name=name) if value.constant else value

    def _node(
        self,
        node: Node,
        values: MutableMapping[str, Value],
        known: Mapping[str, ValueInfo],
        depth: int,
    ) -> Sequence[Value]:
        inputs = tuple(self._lookup(name, values) if name else None for name in node.inputs)
        call = Call(self.net, node, inputs)
        function = self.model.functions.get((node.domain, node.op_type))
        if function is not None:
            return self._call_function(call, function, depth)
        if node.op_type == "If" and not node.domain:
            return self._if(call, values, known, depth)
        if node.domain not in DOMAINS or node.op_type not in CONVERTERS:
            folded = fold(call) if node.domain in DOMAINS else None
            return folded if folded is not None else self._custom(call, known)
        folded = fold(call)
        if folded is not None:
            return folded
        try:
            if inputs and all(v.constant for v in call.given()):
                return self._constant_results(call)
            return CONVERTERS[node.op_type](call)
        except UncoveredRankError:
            return self._custom(call, known)
        except UnknownShapeError:
            infos = [known.get(name) for name in node.outputs if name]
            if any(info is None or info.shape is None for info in infos):
                raise
            return self._declared_result(call, known)

    def _declared_result(self, call: Call, known: Mapping[str, ValueInfo]) -> Sequence[Value]:
        """A result whose shape depends on data, in the shape that the file declares."""
        found = DECLARED_SHAPES.get(call.node.op_type)
        if found is None:
            return self._custom(call, known)
        shape = self.resolve(known[call.node.outputs[0]])
        name = self.net.plain(call.value(0))
        return call.emit(found[0], [name], {found[1]: shape}, dtype=call.value(0).dtype)

    def _lookup(self, name: str, values: Mapping[str, Value]) -> Value:
        if name in self.no_tensors:
            raise GraphError(f"{shorten(name)!r} is a sequence, a map or of unknown shape")
        value = values.get(name)
        if value is None:
            raise GraphError(f"reads {shorten(name)!r} before any node makes it")
        return value

    def _constant_results(self, call: Call) -> Sequence[Value]:
        """What follows from weights alone is computed once, while loading: no operator."""
        scratch = replace(call, net=OnnxNet("constants", self.opset))
        made = CONVERTERS[call.node.op_type](scratch)
        return [replace(v, tensor="", last=False, constant=True) for v in made]

    def _call_function(self, call: Call, function: FunctionData, depth: int) -> Sequence[Value]:
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
        self.run(nodes, values, {}, depth + 1)
        return [self._lookup(name, values) for name in function.outputs]

    def _if(
        self,
        call: Call,
        values: MutableMapping[str, Value],
        known: Mapping[str, ValueInfo],
        depth: int,
    ) -> Sequence[Value]:
        """A branch on a constant is taken; else control flow, of the shape of a branch."""
        condition = call.value(0).value
        branch = self._branch(call, condition is None or bool(condition.all()))
        if condition is not None:
            inner: ChainMap[str, Value] = ChainMap({}, values)
            for name, tensor in branch.initializers.items():
                inner[name] = of_tensor(tensor)
            self.run(branch.nodes, inner, branch.value_info, depth + 1)
            return [self._lookup(info.name, inner) for info in branch.outputs]
        declared = [known.get(name) or info for name, info in self._declared(call, branch)]
        return self._listed(call, "control_flow", declared)

    def _declared(self, call: Call, branch: GraphData) -> list[tuple[str, ValueInfo]]:
        return list(zip(call.node.outputs, branch.outputs, strict=False))

    def _branch(self, call: Call, taken: bool) -> GraphData:
        body = call.node.attributes.get("then_branch" if taken else "else_branch")
        if not isinstance(body, GraphSpan):
            raise GraphError("a branch is missing")
        return read_graph(self.wire, body.span)

    def _custom(self, call: Call, known: Mapping[str, ValueInfo]) -> Sequence[Value]:
        kind = "control_flow" if call.node.op_type in ("Loop", "Scan") else "custom"
        infos = [known[name] for name in call.node.outputs if name in known]
        if len(infos) != sum(map(bool, call.node.outputs)):
            raise GraphError(
                f"unknown operator {self._full_name(call.node)!r}, and the file gives no shape "
                "for its output",
                "run onnx.shape_inference over the file, or export it with standard operators",
            )
        return self._listed(call, kind, infos)

    def _full_name(self, node: Node) -> str:
        name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        return shorten(name)

    def _listed(self, call: Call, kind: str, infos: Sequence[ValueInfo]) -> Sequence[Value]:
        """An operator whose output shapes the file lists."""
        if any(info.shape is None or not info.dtype for info in infos):
            raise GraphError(f"the file gives no shape for an output of {call.node.op_type!r}")
        shapes = []
        for info in infos:
            shape = self.resolve(info)
            check_shape(shape)
            shapes.append(shape)
        inputs = [self.net.plain(v) for v in call.given()]
        attrs = {"custom_name": self._full_name(call.node), "output_shapes": tuple(shapes)}
        names = [self.net.fresh(n) for n in call.node.outputs if n]
        made = self.net.builder.add_op(kind, inputs, attrs, call.op_name, names)
        values = []
        for tensor, info, shape in zip(made, infos, shapes, strict=True):
            self.net.builder.tensors[tensor] = replace(
                self.net.builder.tensors[tensor], dtype=info.dtype
            )
            values.append(Value(tensor, shape, info.dtype, tensor))
        found = iter(values)
        blank = Value("", (), "float32", constant=True)
        return [next(found) if name else blank for name in call.node.outputs]


def _is_fixed(shape: Sequence[int | str | None] | None) -> bool:
    return shape is not None and all(isinstance(size, int) and size > 0 for size in shape)


def _declared_text(shape: Sequence[int | str | None]) -> str:
    """A declared shape for a message: `batch x 3 x ? x ?`."""
    known = (size if size and (isinstance(size, str) or size > 0) else "?" for size in shape)
    return shorten(" x ".join(map(str, known)), 200)


def _size_hint(info: ValueInfo, name: str, *, of_input: bool) -> str:
    """How to give a size that the file leaves open."""
    named = f"add --dim {shorten(name)}=N (in Python dims={{{shorten(name)!r}: N}})"
    if not of_input:
        return named
    shown = _declared_text(info.shape or ()).replace(" ", "")
    return f"{named}, or the whole shape {shown} with --input-shape {shorten(info.name)}=..."


def _wanted_as_images(nodes: Sequence[Node]) -> set[str]:
    """Names of tensors that reach an image operator through operators of any layout."""
    wanted: set[str] = set()
    for node in reversed(nodes):
        if node.op_type in IMAGE_OPS:
            wanted.update(node.inputs[:1])
        elif node.op_type in ANY_LAYOUT and any(name in wanted for name in node.outputs):
            wanted.update(node.inputs)
    return wanted
