"""A program of torch.export as a graph: its nodes in order, by the table of converters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import perfmodel.formats.pytorch.elementwise
import perfmodel.formats.pytorch.products
import perfmodel.formats.pytorch.shapes  # noqa: F401 (these fill CONVERTERS)
from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.limits import MAX_OPS, check_shape, shorten
from perfmodel.formats.onnx.call import UncoveredRankError
from perfmodel.formats.onnx.net import OnnxNet, Value, stored
from perfmodel.formats.pytorch.call import CONVERTERS, ONNX_OPSET, AtenCall, MadeTensor
from perfmodel.formats.pytorch.layers import custom, tensors_in
from perfmodel.graph.ir import Graph

OF_IMAGES = frozenset(
    [
        "conv2d",
        "conv3d",
        "convolution",
        "conv_transpose2d",
        "conv_transpose3d",
        "max_pool2d",
        "avg_pool2d",
        "batch_norm",
        "adaptive_avg_pool2d",
        "upsample_bilinear2d",
        "upsample_nearest2d",
        "upsample_bicubic2d",
        "pixel_shuffle",
        "pixel_unshuffle",
        "group_norm",
        "instance_norm",
        "conv1d",
        "conv_transpose1d",
    ]
)
"""Operators that take (batch, channels, ...): what reaches them is held channels last."""

ANY_LAYOUT = frozenset(
    [
        "add",
        "sub",
        "mul",
        "div",
        "relu",
        "relu6",
        "hardtanh",
        "sigmoid",
        "silu",
        "gelu",
        "cat",
        "pad",
        "constant_pad_nd",
        "dropout",
        "slice",
        "to",
        "_to_copy",
        "clone",
        "contiguous",
        "reflection_pad2d",
        "clamp",
        "tanh",
    ]
)
"""Operators that work in either layout, so that they pass on what their readers want."""

SHAPE_ONLY = frozenset(
    [
        "zeros_like",
        "ones_like",
        "full_like",
        "empty_like",
        "new_zeros",
        "new_ones",
        "new_full",
        "new_empty",
        "rand_like",
        "randn_like",
    ]
)
"""Operators of a tensor that read its shape and not its numbers."""

WRAPPERS = frozenset({"wrap_with_autocast", "wrap_with_set_grad_enabled"})
"""Calls of a part of the program, which is computed as if it stood in their place."""

IN_PLACE_ON_VIEWS = frozenset(["copy_", "fill_", "zero_", "index_put_", "masked_fill_"])
"""Operators whose result nobody reads where they change a tensor through a view of it."""


def graph_of_program(program: Any, name: str, *, source: str = "") -> Graph:
    """The graph of a `torch.export.ExportedProgram` (images NHWC, batch first).

    What depends on weights and shapes alone is a constant, as exporters fold it; `Tensor.learned`
    says how many parameters it stands for, so that the parameters are torch's own. Operators
    without a converter become "custom" under ATen's name. Raises `ModelFileError` for a program
    with sizes that are not numbers, `GraphError` where shapes do not fit.
    """
    if _writes_through_views(program.graph):
        program = program.run_decompositions({})
    return _Program(program, name, source).read()


def _writes_through_views(graph: Any) -> bool:
    return any(_op_name(n.target, False) in IN_PLACE_ON_VIEWS and not n.users for n in graph.nodes)


def _op_name(target: Any, plain: bool = True) -> str:
    """ "conv2d" of aten.conv2d.default; `plain` without the underscore of an in-place operator."""
    packet = getattr(target, "overloadpacket", None)
    name = getattr(packet, "__name__", "") or getattr(target, "__name__", "") or str(target)
    return name.rstrip("_") if plain and not name.startswith("__") else name


def _shape_of(value: Any, where: str) -> MadeTensor:
    sizes = []
    for size in value.shape:
        if not isinstance(size, int):
            raise ModelFileError(
                "torch.export",
                where,
                f"size {size} is not a number",
                "export without dynamic sizes",
            )
        sizes.append(size)
    check_shape(sizes)
    return MadeTensor(shape=tuple(sizes), dtype=str(value.dtype).removeprefix("torch."))


class _Program:
    """Runs through the nodes once, with the values they have made so far."""

    def __init__(self, program: Any, name: str, source: str) -> None:
        self.program, self.source = program, source
        self.net = OnnxNet(name, ONNX_OPSET)
        self.learned: dict[str, dict[str, int]] = {}
        self.names: Counter[str] = Counter()
        self.read_ops = 0

    def read(self) -> Graph:
        graph = self.program.graph
        signature = self.program.graph_signature
        values: dict[Any, Any] = {}
        images = _wanted_as_images(graph.nodes)
        parameters = signature.inputs_to_parameters
        others = {**signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}
        for node in graph.nodes:
            if node.op == "placeholder":
                label = parameters.get(node.name) or others.get(node.name)
                values[node] = self._placeholder(
                    node, label, node.name in parameters, node in images
                )
        outputs = self.run(graph.nodes, values, self.program.graph_module)
        keep = set(signature.user_outputs)
        flat = [v for n, v in outputs if n in keep or not keep]
        names = dict.fromkeys(self.net.plain(v) if v.constant else v.tensor for v in flat)
        self._count_parameters()
        return self.net.builder.build(*names, source=self.source, format="pytorch")

    def _placeholder(self, node: Any, label: str | None, learned: bool, image: bool) -> Any:
        found = node.meta.get("val")
        if not hasattr(found, "shape"):
            return found  # a number or a text among the inputs
        made = _shape_of(found, f"input {node.name!r}")
        if label is not None:
            if learned:
                self.learned[label] = {label: math.prod(made.shape)}
            return Value(label, made.shape, made.dtype, constant=True)
        last = image and len(made.shape) >= 3
        name = self.net.builder.input(stored(made.shape, last), node.name, made.dtype)
        return Value(name, made.shape, made.dtype, name, last)

    def run(self, nodes: Any, values: dict[Any, Any], module: Any) -> list[tuple[str, Value]]:
        """Convert nodes in order; returns the outputs with the names of the nodes they are of."""
        outputs: list[tuple[str, Value]] = []
        for node in nodes:
            if node.op == "get_attr":
                values[node] = self._attribute(node, module)
            elif node.op == "call_function":
                values[node] = self._node(node, values, module)
            elif node.op == "output":
                outputs = [
                    (n.name, values[n])
                    for n in _nodes_in(node.args)
                    if isinstance(values[n], Value)
                ]
        return outputs

    def _attribute(self, node: Any, module: Any) -> Any:
        found = module
        for part in node.target.split("."):
            found = getattr(found, part)
        if not hasattr(found, "dtype"):
            return found  # a part of the program
        made = _shape_of(found, node.name)
        return Value(node.target, made.shape, made.dtype, constant=True)

    def _node(self, node: Any, values: dict[Any, Any], module: Any) -> Any:
        name = _op_name(node.target)
        if name == "getitem":
            return _looked_up(node.args[0], values)[node.args[1]]
        self.read_ops += 1
        if self.read_ops > MAX_OPS:
            raise GraphError(f"more than {MAX_OPS} operators")
        if name in WRAPPERS:
            return self._inlined(node, values)
        arguments = _arguments(node, values)
        made = tuple(_made(node.meta.get("val"), node.name))
        if not made:
            return None  # an assertion, or a number that the shapes hold
        call = AtenCall(
            net=self.net, name=self._name(node, name), op=name, args=arguments, made=made
        )
        inputs = tensors_in(arguments)
        if name in SHAPE_ONLY or all(v.constant for v in inputs):
            results = self._constants(call, [] if name in SHAPE_ONLY else inputs)
        else:
            results = self._converted(call)
        return results if isinstance(node.meta["val"], (list, tuple)) else results[0]

    def _converted(self, call: AtenCall) -> list[Value]:
        converter = CONVERTERS.get(call.op, custom)
        try:
            results = converter(call)
        except UncoveredRankError:
            results = custom(call)
        except GraphError as error:
            raise GraphError(f"{call.name} ({call.op}): {error.message}", error.hint) from error
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise GraphError(
                f"{call.name} ({call.op}): arguments not understood ({error})"
            ) from error
        for value, made in zip(results, call.made, strict=False):
            if value.shape != made.shape:
                raise GraphError(
                    f"{call.name} ({call.op}): torch makes {made.shape}, we {value.shape}",
                    "this is a fault of perfmodel's: please report the operator",
                )
        return [self._typed(v, m.dtype) for v, m in zip(results, call.made, strict=False)]

    def _typed(self, value: Value, dtype: str) -> Value:
        """The value with the dtype that torch says: places among the largest are whole numbers."""
        if value.dtype == dtype or value.constant:
            return value
        held = self.net.builder.tensors[value.tensor]
        self.net.builder.tensors[value.tensor] = replace(held, dtype=dtype)
        return replace(value, dtype=dtype)

    def _constants(self, call: AtenCall, inputs: Sequence[Value]) -> list[Value]:
        """What follows from weights and shapes alone is computed once, while loading."""
        sources: dict[str, int] = {}
        for value in inputs:
            sources |= self.learned.get(value.name, {})
        results = []
        for i, made in enumerate(call.made):
            name = f"{call.name}:{i}" if i else call.name
            if len(inputs) == 1 and inputs[0].shape == made.shape and len(call.made) == 1:
                name = inputs[0].name  # the same numbers, whatever was done to them
            elif sources:
                self.learned[name] = sources
            results.append(Value(name, made.shape, made.dtype, constant=True))
        return results

    def _inlined(self, node: Any, values: dict[Any, Any]) -> list[Any]:
        """The part of a program that a wrapper calls, in its place."""
        looked = [_looked_up(a, values) for a in node.args]
        part = next(i for i, a in enumerate(looked) if hasattr(a, "graph"))
        inner: dict[Any, Any] = {}
        given = iter(looked[part + 1 :])
        for child in looked[part].graph.nodes:
            if child.op == "placeholder":
                inner[child] = next(given)
        return [v for _, v in self.run(looked[part].graph.nodes, inner, looked[part])]

    def _name(self, node: Any, op: str) -> str:
        """Where in the module the call stands: the layer's name, or its parent's and the operator.

        A layer of torch.nn that is called once is named by its path alone.
        """
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path, kind = stack[-1] if stack else ("", "")
        kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
        layer = path and kind.startswith("torch.nn.modules.") and "container" not in kind
        name = str(path) if layer else f"{path}.{op}" if path else op
        self.names[name] += 1
        return self.net.fresh(name if self.names[name] == 1 else f"{name}_{self.names[name]}")

    def _count_parameters(self) -> None:
        """Say how many parameters each constant of the graph stands for, each counted once."""
        tensors = self.net.builder.tensors
        claimed: set[str] = set()
        for (value, _), tensor in self.net.constants():
            sources = self.learned.get(value, {})
            learned = sum(n for p, n in sources.items() if p not in claimed)
            claimed.update(sources)
            held = tensors[tensor]
            tensors[tensor] = replace(held, learned=None if learned == held.elements else learned)


def _nodes_in(args: Any) -> Iterator[Any]:
    for item in args if isinstance(args, (list, tuple)) else (args,):
        if isinstance(item, (list, tuple)):
            yield from _nodes_in(item)
        elif hasattr(item, "op") and hasattr(item, "meta"):
            yield item


def _looked_up(item: Any, values: Mapping[Any, Any]) -> Any:
    if isinstance(item, (list, tuple)):
        return [_looked_up(i, values) for i in item]
    if hasattr(item, "op") and hasattr(item, "meta"):
        return values[item]
    return item


def _arguments(node: Any, values: Mapping[Any, Any]) -> dict[str, Any]:
    """The arguments by the names of the operator's schema, its defaults filled in."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        listed = {f"arg{i}": _looked_up(a, values) for i, a in enumerate(node.args)}
        return {**listed, **{k: _looked_up(a, values) for k, a in node.kwargs.items()}}
    found = {}
    for i, argument in enumerate(schema.arguments):
        if i < len(node.args):
            found[argument.name] = _looked_up(node.args[i], values)
        elif argument.name in node.kwargs:
            found[argument.name] = _looked_up(node.kwargs[argument.name], values)
        elif argument.has_default_value():
            found[argument.name] = argument.default_value
    return found


def _made(value: Any, where: str) -> Iterator[MadeTensor]:
    for item in value if isinstance(value, (list, tuple)) else (value,):
        if hasattr(item, "shape") and hasattr(item, "dtype"):
            yield _shape_of(item, shorten(where))


def _wanted_as_images(nodes: Any) -> set[Any]:
    """Nodes that reach an image operator through operators of any layout."""
    wanted: set[Any] = set()
    for node in reversed(list(nodes)):
        if node.op != "call_function":
            continue
        name = _op_name(node.target)
        first = next(_nodes_in(node.args), None)
        if name in OF_IMAGES and first is not None:
            wanted.add(first)
        elif name in ANY_LAYOUT and node in wanted:
            wanted.update(_nodes_in(node.args))
    return wanted
