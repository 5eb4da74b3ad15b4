"""Read a .tflite file: the network without its weights.

The file is mapped and only its tables are touched, so that half a gigabyte of weights costs
nothing. Shapes are the file's, checked against our own inference where an operator has a rule.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.sizes import Sizes, in_order
from perfmodel.formats.tflite.flatbuffer import open_flat
from perfmodel.formats.tflite.run import SubgraphRun, Written
from perfmodel.formats.tflite.schema import IDENTIFIER
from perfmodel.formats.tflite.subgraphs import FileModel, FileSubgraph
from perfmodel.graph.ir import Graph, Tensor, check_graph


def read_tflite(
    path: Path | str,
    *,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    signature: str | None = None,
) -> Graph:
    """Read a .tflite file: operators, shapes and element types; no weight is loaded.

    `input_shapes` gives inputs (by name, "" for the only one) other shapes than the file's;
    `signature` names the subgraph to read where a file has several. Constants that are stored as
    float16 (or quantised) and unpacked by DEQUANTIZE count in their stored form. Operators without
    a counterpart get
    kind "custom" and keep their name. Raises `ModelFileError` for anything that is not a sound
    file, and where a size or a signature that the file leaves open is not given.
    """
    return _read(path, input_shapes or {}, signature).graph


@dataclass(frozen=True)
class FileLayout:
    """Where a graph's parts are in its file: operator number of each op, name of each tensor."""

    graph: Graph
    operators: tuple[int, ...]
    tensor_names: tuple[str, ...]


def read_layout(path: Path | str) -> FileLayout:
    """Read a file's first subgraph and remember which operator of the file each op is."""
    return _read(path, {}, None)


def _read(
    path: Path | str, input_shapes: Mapping[str, tuple[int, ...]], signature: str | None
) -> FileLayout:
    file = open_flat(path, IDENTIFIER)
    try:
        model = FileModel(file, Path(path))
        main = _chosen(model, signature)
        layout = _layout(main, _shapes(main, input_shapes))
        bodies = _bodies(model, layout.graph)
        return replace(layout, graph=replace(layout.graph, subgraphs=bodies))
    except GraphError as error:
        raise ModelFileError(path, "graph", error.message) from error
    except struct.error as error:
        raise ModelFileError(path, "file", str(error)) from error


def _bodies(model: FileModel, main: Graph) -> tuple[Graph, ...]:
    """The bodies of control flow whose way is not known, each by itself, in file order."""
    numbers = {int(n) for op in main.ops for n in op.attrs.get("bodies", ())}
    known = sorted(n for n in numbers if 0 <= n < len(model.subgraphs))
    return tuple(_layout(model.subgraphs[n], {}).graph for n in known)


def _chosen(model: FileModel, signature: str | None) -> FileSubgraph:
    """The subgraph of a signature; without one, the only one that signatures name, or the first."""
    names = {s.name: s.subgraph for s in model.signatures}
    if signature is not None:
        if signature not in names:
            raise ModelFileError(
                model.path, "signatures", f"no signature {signature!r}", _known(names)
            )
        return model.subgraphs[names[signature]]
    if len(set(names.values())) > 1:
        raise ModelFileError(
            model.path,
            "signatures",
            f"{len(names)} ways to call it, each another network",
            f"name one: {model.path.name}@signature={next(iter(names))}; {_known(names)}",
        )
    return model.subgraphs[next(iter(names.values()), 0)]


def _known(names: Mapping[str, int]) -> str:
    shown = ", ".join(list(names)[:12]) + (" ..." if len(names) > 12 else "")
    return f"the file has {shown}" if names else "the file has none"


def _shapes(part: FileSubgraph, given: Mapping[str, tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    """The shape of each input that is given, by tensor number; raises where one is lacking."""
    inputs = {part.tensors[i].tensor.name: i for i in part.inputs}
    path = part.model.path
    open_sizes = {name: min(part.tensors[i].signature, default=0) < 0 for name, i in inputs.items()}
    named = Sizes(shapes=given).by_input(path, open_sizes)
    found = {inputs[n]: _as_held(part.tensors[inputs[n]].tensor, s) for n, s in named.items()}
    for name, index in inputs.items():
        item = part.tensors[index]
        shape = item.tensor.shape
        if index in found:
            _check_given(path, name, shape, item.signature, found[index])
        elif _is_unsized(shape, item.signature):
            text = "x".join("?" if d < 0 else str(d) for d in item.signature)
            raise ModelFileError(
                path,
                "inputs",
                f"the file leaves the size of input {name!r} open: {text}",
                f"give it: --input-shape {name}={text.replace('?', 'N')} with numbers for N",
            )
    return found


def _as_held(tensor: Tensor, given: tuple[int, ...]) -> tuple[int, ...]:
    """A given picture in the file's order, channels last, whichever of both it is given in."""
    return in_order(given, tensor.shape[3], last=True) if len(tensor.shape) == 4 else given


def _is_unsized(shape: tuple[int, ...], signature: tuple[int, ...]) -> bool:
    """Whether a size behind the batch is open, and the file holds only a place-holder of 1."""
    return any(s < 0 and d == 1 for s, d in zip(signature[1:], shape[1:], strict=False))


def _check_given(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    signature: tuple[int, ...],
    given: tuple[int, ...],
) -> None:
    fixed = signature or shape
    fits = len(given) == len(fixed) and all(
        g == f or f < 0 or (axis == 0 and not signature)
        for axis, (g, f) in enumerate(zip(given, fixed, strict=True))
    )
    if not fits and shape:
        wanted = "x".join("?" if d < 0 else str(d) for d in fixed)
        shown = "x".join(map(str, given))
        raise ModelFileError(
            path, "inputs", f"input {name!r} is {wanted}, not {shown}", "give a shape that fits it"
        )


def _layout(part: FileSubgraph, shapes: Mapping[int, tuple[int, ...]]) -> FileLayout:
    written = Written()
    run = SubgraphRun(part, written)
    run.resize_inputs(shapes)
    names = tuple(item.tensor.name for item in part.tensors)
    run.walk()
    inputs = [run.tensors[i].tensor for i in part.inputs]
    outputs = [run.tensors[i].tensor for i in part.outputs]
    for tensor in (*inputs, *outputs):
        written.use(tensor)
    graph = Graph(
        name=part.name,
        tensors=written.tensors,
        ops=tuple(written.ops),
        inputs=tuple(dict.fromkeys(t.name for t in inputs)),
        outputs=tuple(dict.fromkeys(t.name for t in outputs)),
        source=str(part.model.path),
        format="tflite",
    )
    return FileLayout(check_graph(graph), tuple(written.numbers), names)
