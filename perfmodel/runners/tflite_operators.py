"""The operators of a .tflite file as the runtime runs them, and the kernel that each belongs to.

A file has more operators than a graph has kernels: pads, conversions, the parts of a normalisation.
A delegate takes those it can run; the others keep the runtime's own names in a profile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from perfmodel.graph.ir import Graph
from perfmodel.kernels.kernel import Kernel

MOST_CHOICES = 200
"""Ways of telling which operators are delegated that are tried at most."""


@dataclass(frozen=True)
class FileOperator:
    """One operator of a file: TFLite's name, tensors by index, and its kernel (-1: none).

    Delegates treat operators of the same name that are `alike` (options, types and number of
    inputs) in the same way.
    """

    builtin: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    kernel: int
    alike: str = ""


def written_steps(
    graph: Graph, precision: str, kernels: Sequence[Kernel]
) -> tuple[FileOperator, ...]:
    """Steps of the file that `write_tflite` makes of a graph."""
    from perfmodel.formats.tflite.writer import emitted

    file = emitted(graph, precision).file
    return _steps(file.schema, file.model, _owners(kernels, file.owners))


def file_steps(path: Path, kernels: Sequence[Kernel]) -> tuple[FileOperator, ...]:
    """Steps of a file whose graph `read_tflite` has read."""
    from perfmodel.formats.tflite.reader import read_layout
    from perfmodel.formats.tflite.schema import object_api

    schema = object_api()
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    layout = read_layout(path)
    names = [""] * len(model.subgraphs[0].operators)
    for number, op in zip(layout.operators, layout.graph.ops, strict=True):
        names[number] = op.name
    return _steps(schema, model, _owners(kernels, names))


def _owners(kernels: Sequence[Kernel], names: Sequence[str]) -> list[int]:
    """Kernel of each operator by the name it is put down to, "OP" or "OP/ACTIVATION"."""
    at = {name: i for i, kernel in enumerate(kernels) for name in kernel.fused}
    at.update({kernel.name: i for i, kernel in enumerate(kernels)})
    return [at.get(name, at.get(name.rpartition("/")[0], -1)) for name in names]


def _steps(schema: Any, model: Any, owners: Sequence[int]) -> tuple[FileOperator, ...]:
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    types = {code: name for name, code in vars(schema.TensorType).items()}
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
    subgraph = model.subgraphs[0]
    found = []
    for operator, kernel in zip(subgraph.operators, owners, strict=True):
        inputs, outputs = tuple(operator.inputs), tuple(operator.outputs)
        used = [types[subgraph.tensors[i].type] for i in (*inputs, *outputs) if i >= 0]
        options = vars(operator.builtinOptions) if operator.builtinOptions else {}
        alike = f"{used} {sorted(options.items(), key=lambda o: o[0])}"
        builtin = names[codes[operator.opcodeIndex]]
        found.append(FileOperator(builtin, inputs, outputs, kernel, alike))
    return tuple(found)


def outside_choices(
    steps: Sequence[FileOperator], names: Sequence[str]
) -> Iterator[frozenset[int]]:
    """Sets of steps that the delegate may have left to the runtime, by what a profile lists.

    Where it lists fewer of a kind under TFLite's own name than there are, any of them that are
    alike may be meant, as long as the numbers agree.
    """
    chosen: list[list[frozenset[int]]] = []
    for builtin in dict.fromkeys(s.builtin for s in steps):
        listed = sum(name == builtin for name in names)
        groups: dict[str, set[int]] = {}
        for i, step in enumerate(steps):
            if step.builtin == builtin:
                groups.setdefault(step.alike, set()).add(i)
        if listed:
            chosen.append(_unions(list(groups.values()), listed))
    yield from _products(chosen)


def _unions(groups: Sequence[set[int]], size: int) -> list[frozenset[int]]:
    """Unions of whole groups with `size` members in all, of few groups first."""
    found = []
    for count in range(1, len(groups) + 1):
        for some in combinations(groups, count):
            if sum(map(len, some)) == size:
                found.append(frozenset().union(*some))
            if len(found) >= MOST_CHOICES:
                return found
        if count > 3 and found:
            break
    return found


def _products(chosen: Sequence[Sequence[frozenset[int]]]) -> Iterator[frozenset[int]]:
    from itertools import islice, product

    for parts in islice(product(*chosen), MOST_CHOICES):
        yield frozenset().union(*parts)


def execution_order(steps: Sequence[FileOperator], outside: frozenset[int]) -> tuple[int, ...]:
    """Order in which steps run when those `outside` are not delegated.

    TFLite cuts its plan into alternating parts: all that is ready inside the delegate, then all
    that is ready outside, each in the order of the file (`PartitionGraphIntoIndependentNodeSubsets`
    of TensorFlow Lite's graph_info.cc).
    """
    waited = {out for step in steps for out in step.outputs}
    todo = list(range(len(steps)))
    order: list[int] = []
    side: bool | None = None
    while todo:
        waiting = []
        for i in todo:
            ready = waited.isdisjoint(steps[i].inputs)
            if side is None and ready:
                side = i in outside
            if ready and (i in outside) == side:
                waited.difference_update(steps[i].outputs)
                order.append(i)
            else:
                waiting.append(i)
        if len(waiting) == len(todo):
            if side is None:
                raise ValueError("steps wait for each other")
            side = not side
        todo = waiting
    return tuple(order)
