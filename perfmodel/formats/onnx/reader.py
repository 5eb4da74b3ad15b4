"""Reader of .onnx files: operators and shapes; no weight is loaded, inline or external."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import perfmodel.formats.onnx.convolutions
import perfmodel.formats.onnx.elementwise
import perfmodel.formats.onnx.fused
import perfmodel.formats.onnx.products
import perfmodel.formats.onnx.quantised
import perfmodel.formats.onnx.reductions
import perfmodel.formats.onnx.sampling
import perfmodel.formats.onnx.sequences
import perfmodel.formats.onnx.shapes  # noqa: F401 (these fill CONVERTERS)
from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.limits import MAX_FAN, MAX_NESTING, MAX_OPS, check_shape, shorten
from perfmodel.formats.onnx.call import (
    CONVERTERS,
    Call,
    Converter,
    UncoveredRankError,
    UnknownShapeError,
)
from perfmodel.formats.onnx.constants import FOLDED, fold
from perfmodel.formats.onnx.control import FLOW, call_function
from perfmodel.formats.onnx.file import (
    GraphData,
    GraphSpan,
    ModelData,
    OnnxNode,
    ValueInfo,
    read_graph,
    read_model,
)
from perfmodel.formats.onnx.layout import wanted_as_images
from perfmodel.formats.onnx.net import OnnxNet, Value, stored
from perfmodel.formats.onnx.open_sizes import OpenSizes
from perfmodel.formats.onnx.order import sorted_nodes
from perfmodel.formats.onnx.wire import Span, Wire, open_onnx
from perfmodel.formats.sizes import InputShape, Sizes
from perfmodel.graph.ir import Graph

DECLARED_SHAPES = {
    "Expand": ("broadcast_to", "output_shape"),
    "Reshape": ("reshape", "shape"),
    "Slice": ("strided_slice", "output_shape"),
}
"""Operators that are known but for their shape, and the attribute that holds it."""

DOMAINS = frozenset(["", "com.microsoft", "com.microsoft.nchwc"])
"""Whose operators the converters describe; others are custom."""


def read_onnx(
    path: str | os.PathLike[str],
    *,
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
) -> Graph:
    """Read an .onnx file (operator sets 7 to 23) into a graph (images NHWC, batch first).

    `dims` sets symbolic sizes by name or by place, as "INPUT[AXIS]", and inputs that are one whole
    number by their name; `input_shape` sets all sizes of the only input, or of several by name, in
    the file's order of axes, and with them the symbols that stand there and elsewhere. A leading
    size that is not set is the batch and becomes 1; any other raises `ModelFileError`, which names
    it.
    Convolution weights are (cout, kh, kw, cin / groups). Operators outside ONNX's own set become
    "custom" where the file gives their shape.
    """
    wire = open_onnx(path)
    reader = _Reader(wire, read_model(wire), Sizes.of(dims, input_shape))
    return reader.read()


class _Reader:
    """Runs through the nodes once, with the values they have made so far."""

    def __init__(self, wire: Wire, model: ModelData, sizes: Sizes) -> None:
        self.wire, self.model = wire, model
        self.path = wire.path
        self.opset = max(1, model.opsets.get("", 1))
        self.net = OnnxNet(Path(self.path).stem, self.opset)
        self.no_tensors: set[str] = set()
        self.bodies: dict[Span, GraphData] = {}
        self.nodes_left = MAX_OPS
        self.sizes = OpenSizes(wire.path, model.graph, sizes)

    def read(self) -> Graph:
        """The graph."""
        graph = self.model.graph
        values = {name: self.net.store(tensor) for name, tensor in graph.initializers.items()}
        given = {*values, *(info.name for info in graph.inputs)}
        try:
            nodes = sorted_nodes(graph.nodes, given, self.body)
        except GraphError as error:
            raise ModelFileError(self.path, "graph", shorten(error.message, 300)) from None
        images = wanted_as_images(nodes)
        for info in graph.inputs:
            if info.name not in values:
                self._add_input(info, info.name in images, values)
        self.run(nodes, values, graph.value_info, 0)
        outputs = [name for info in graph.outputs for name in self._output(info.name, values)]
        self.net.settle_fillings()
        try:
            return self.net.builder.build(
                *outputs, source=str(self.path), format="onnx", notes=self.net.sentences()
            )
        except GraphError as error:
            raise ModelFileError(self.path, "graph", shorten(error.message, 300)) from None

    def body(self, span: GraphSpan) -> GraphData:
        """A graph inside an attribute, its nodes in order."""
        if span.span not in self.bodies:
            graph = read_graph(self.wire, span.span)
            graph.nodes = list(sorted_nodes(graph.nodes, graph.initializers, self.body))
            self.bodies[span.span] = graph
        return self.bodies[span.span]

    def _add_input(self, info: ValueInfo, image: bool, values: dict[str, Value]) -> None:
        given = self.sizes.given.get(info.name)
        if (info.shape is None and given is None) or not info.dtype:
            self.no_tensors.add(info.name)
            return
        number = self.sizes.number(info)
        if number is not None:
            held = np.full([1] * len(info.shape or ()), number, np.int64)
            values[info.name] = Value(info.name, held.shape, info.dtype, constant=True, value=held)
            return
        shape = given or self.sizes.resolve(info, of_input=True)
        last = image and len(shape) >= 3
        try:
            check_shape(shape)
            name = self.net.builder.input(stored(shape, last), info.name, info.dtype)
        except GraphError as error:
            raise ModelFileError(self.path, f"input {info.name!r}", error.message) from None
        values[info.name] = Value(info.name, shape, info.dtype, name, last)

    def _output(self, name: str, values: Mapping[str, Value]) -> list[str]:
        """The tensor of an output; those of a sequence each."""
        value = values.get(name)
        if value is None:
            raise ModelFileError(self.path, f"output {shorten(name)!r}", "no node makes it")
        parts = (value,) if value.parts is None else value.parts
        return [self.net.plain(v) if v.constant else v.tensor for v in parts]

    def run(
        self,
        nodes: Sequence[OnnxNode],
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

    def _at(self, node: OnnxNode, reason: str, hint: str = "") -> ModelFileError:
        name = shorten(node.name or next(iter(node.outputs), ""), 60)
        where = f"node {node.index} ({shorten(node.op_type, 40)} {name!r})"
        return ModelFileError(self.path, where, shorten(reason, 300), hint)

    def _store(
        self, node: OnnxNode, results: Sequence[Value], values: MutableMapping[str, Value]
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
        node: OnnxNode,
        values: MutableMapping[str, Value],
        known: Mapping[str, ValueInfo],
        depth: int,
    ) -> Sequence[Value]:
        inputs = tuple(self.lookup(name, values) if name else None for name in node.inputs)
        call = Call(self.net, node, inputs)
        function = self.model.functions.get((node.domain, node.op_type))
        if function is not None:
            return call_function(self, call, function, depth)
        if node.op_type in FLOW and not node.domain:
            return FLOW[node.op_type](self, call, values, known, depth)
        convert = self._converter(node)
        folded = fold(call) if node.domain in DOMAINS else None
        if folded is not None or convert is None:
            return folded if folded is not None else self._custom(call, known)
        try:
            if inputs and all(v.constant for v in call.given()):
                return self._constant_results(call, convert)
            return convert(call)
        except UncoveredRankError:
            return self._custom(call, known)
        except UnknownShapeError:
            infos = [known.get(name) for name in node.outputs if name]
            if any(info is None or info.shape is None for info in infos):
                raise
            return self._declared_result(call, known)

    def _converter(self, node: OnnxNode) -> Converter | None:
        """How the operator is converted; one of another domain than ONNX's may have the name."""
        if node.domain not in DOMAINS:
            return None
        return CONVERTERS.get(f"{node.domain}.{node.op_type}") or CONVERTERS.get(node.op_type)

    def _declared_result(self, call: Call, known: Mapping[str, ValueInfo]) -> Sequence[Value]:
        """A result whose shape depends on data, in the shape that the file declares."""
        found = DECLARED_SHAPES.get(call.node.op_type)
        if found is None:
            return self._custom(call, known)
        shape = self.sizes.resolve(known[call.node.outputs[0]])
        name = self.net.plain(call.value(0))
        return call.emit(found[0], [name], {found[1]: shape}, dtype=call.value(0).dtype)

    def lookup(self, name: str, values: Mapping[str, Value]) -> Value:
        """A value by name; raises `GraphError` where nothing has made it."""
        if name in self.no_tensors:
            raise GraphError(f"{shorten(name)!r} is a sequence, a map or of unknown shape")
        value = values.get(name)
        if value is None:
            raise GraphError(f"reads {shorten(name)!r} before any node makes it")
        return value

    def _constant_results(self, call: Call, convert: Converter) -> Sequence[Value]:
        """What follows from weights alone is computed once, while loading: no operator."""
        made = convert(replace(call, net=OnnxNet("constants", self.opset)))
        sources = self.net.sources(call.given())

        def computed(value: Value) -> Value:
            if value.parts is not None:
                return replace(value, parts=tuple(map(computed, value.parts)))
            if value.constant:
                return value
            return replace(value, tensor="", last=False, constant=True, sources=sources)

        return [computed(v) for v in made]

    def _custom(self, call: Call, known: Mapping[str, ValueInfo]) -> Sequence[Value]:
        infos = [known[name] for name in call.node.outputs if name in known]
        if len(infos) != sum(map(bool, call.node.outputs)):
            name = self._full_name(call.node)
            if call.node.op_type in FOLDED or call.node.op_type in CONVERTERS:
                raise GraphError(f"what {name!r} gives depends on the data, and no shape is given")
            raise GraphError(
                f"unknown operator {name!r}, and the file gives no shape for its output",
                "run onnx.shape_inference over the file, or export it with standard operators",
            )
        return self.listed(call, "custom", infos)

    def _full_name(self, node: OnnxNode) -> str:
        name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        return shorten(name)

    def listed(self, call: Call, kind: str, infos: Sequence[ValueInfo]) -> Sequence[Value]:
        """An operator whose output shapes the file lists."""
        if any(info.shape is None or not info.dtype for info in infos):
            raise GraphError(f"the file gives no shape for an output of {call.node.op_type!r}")
        shapes = []
        for info in infos:
            shape = self.sizes.resolve(info)
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
