"""NAS-Bench-201 (Dong & Yang 2020, arXiv:2001.00326): every network of its cell space."""

from __future__ import annotations

from functools import cache, reduce

from perfmodel.errors import GraphError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import affine, channels_of, image
from perfmodel.zoo.registry import BATCH, Parameter, ZooEntry

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from node, to node) of the six edges, in the order of an architecture string."""

Cell = tuple[str, ...]
"""The operation on each edge."""


def parse_arch(arch: str) -> Cell:
    """The cell of an index (0 to 15624, as numbered by the benchmark) or architecture string."""
    if arch.isdigit():
        count = len(OPERATIONS) ** len(EDGES)
        if int(arch) >= count:
            raise GraphError(
                f"nasbench201: arch={arch} is not allowed", f"an index is 0 to {count - 1}"
            )
        return _all_cells()[int(arch)]
    edges = [e for group in arch.split("+") for e in group.strip("|").split("|")]
    cell = tuple(e.partition("~")[0] for e in edges)
    if len(cell) != len(EDGES) or arch != arch_string(cell):
        raise GraphError(
            f"nasbench201: arch={arch} is no architecture string",
            f"it looks like {arch_string(_all_cells()[0])}, with the operations "
            + ", ".join(OPERATIONS),
        )
    return cell


def arch_string(cell: Cell) -> str:
    """The benchmark's string of a cell; an unknown operation gives an empty string."""
    if any(op not in OPERATIONS for op in cell):
        return ""
    groups = []
    for node in (1, 2, 3):
        used = [(op, src) for op, (src, dst) in zip(cell, EDGES, strict=True) if dst == node]
        groups.append("|" + "|".join(f"{op}~{src}" for op, src in used) + "|")
    return "+".join(groups)


@cache
def _all_cells() -> tuple[Cell, ...]:
    """Every cell, in the order in which the benchmark numbers them: a seeded shuffle."""
    import random

    cells: list[Cell] = [()]
    for node in (1, 2, 3):
        cells = [(*old, *new) for old in cells for new in _choices(node)]
    random.Random(88).shuffle(cells)
    return tuple(cells)


def _choices(edges: int) -> list[Cell]:
    made: list[Cell] = [()]
    for _ in range(edges):
        made = [(*old, op) for old in made for op in OPERATIONS]
    return made


def nasbench201(g: GraphBuilder, arch: str, classes: int, batch: int) -> str:
    """The CIFAR network of a cell: 15 cells in three stages of 16, 32 and 64 channels.

    The graph is the network as its PyTorch code runs it: every edge of a cell, also those that
    cannot reach the output, `none` as a multiplication by zero, a ReLU before each convolution.
    `perfmodel.graph.exported` is what an exporter leaves of it: of cells without a path from
    their input that is the last cell, and nothing of that where its output is `none` alone.
    """
    cell = parse_arch(arch)
    x = g.conv(image(g, batch, 32), 16, 3)
    for stage, channels in enumerate((16, 32, 64)):
        if stage:
            x = _reduction(g, x, channels)
        for _ in range(5):
            x = _cell(g, x, cell)
    x = affine(g, x, "relu")
    return g.op("softmax", g.fc(g.global_avg_pool(x, keep_dims=False), classes))


def _reduction(g: GraphBuilder, x: str, channels: int) -> str:
    y = g.conv(g.op("relu", x), channels, 3, 2, activation="relu")
    y = g.conv(y, channels, 3)
    return g.binary("add", y, g.conv(g.pool(x, "avg", 2, 2), channels, 1, bias=False))


def _cell(g: GraphBuilder, x: str, cell: Cell) -> str:
    nodes = [x]
    for node in (1, 2, 3):
        parts = [
            _edge(g, nodes[src], op)
            for op, (src, dst) in zip(cell, EDGES, strict=True)
            if dst == node
        ]
        nodes.append(reduce(lambda a, b: g.binary("add", a, b), parts))
    return nodes[3]


def _edge(g: GraphBuilder, x: str, op: str) -> str:
    """One edge; `zero` marks the multiplication whose zeros an exporter folds."""
    if op == "skip_connect":
        return x
    if op == "none":
        return g.op("mul", x, g.constant((1,)), activation="none", zero=True)
    if op == "avg_pool_3x3":
        return g.pool(x, "avg", 3, 1, "same")
    return g.conv(g.op("relu", x, shared=True), channels_of(g, x), int(op[-1]))


ENTRIES = (
    ZooEntry(
        name="nasbench201",
        title="NAS-Bench-201 cell network",
        family="nasbench201",
        task="classification",
        input_shape=(32, 32, 3),
        parameters=(
            Parameter("arch", "0"),
            Parameter("classes", 10, 1, 100_000),
            BATCH,
        ),
        builder=nasbench201,
        note="arch is the benchmark's index or an architecture string.",
    ),
)
