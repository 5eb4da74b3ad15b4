"""NASNet-A (Zoph et al. 2018, arXiv:1707.07012) and PNASNet-5 (Liu et al. 2018, arXiv:1712.00559).

Both follow TF-slim: two reduction cells as a stem, then three stacks of cells. A cell joins five
pairs of operations on the outputs of the two cells before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from perfmodel.graph.builder import GraphBuilder
from perfmodel.zoo.layers import channels_of, classifier, image
from perfmodel.zoo.registry import ZooEntry, image_parameters

Step = tuple[str, int]
"""An operation and the hidden state it reads: 0 is the cell before, 1 the one before that, then
the sums made so far."""


@dataclass(frozen=True)
class SearchedCell:
    """Pairs of steps, each pair summed; `joined` are the hidden states that make the output."""

    pairs: tuple[tuple[Step, Step], ...]
    joined: tuple[int, ...]


@dataclass(frozen=True)
class Design:
    """One network: cells of the three stacks, channels of the first stack, stem, and its cells.

    `reduction_reads_before` says that the cell after a reduction reads the same older cell as the
    reduction did (the large networks), not the reduction's input.
    """

    cells: int
    channels: int
    stem_channels: int
    normal: SearchedCell
    reduction: SearchedCell
    separate_reduction: bool
    reduction_reads_before: bool


NASNET_NORMAL = SearchedCell(
    (
        (("sep5", 0), ("sep3", 1)),
        (("sep5", 1), ("sep3", 1)),
        (("avg3", 0), ("none", 1)),
        (("avg3", 1), ("avg3", 1)),
        (("sep3", 0), ("none", 0)),
    ),
    (1, 2, 3, 4, 5, 6),
)
NASNET_REDUCTION = SearchedCell(
    (
        (("sep5", 0), ("sep7", 1)),
        (("max3", 0), ("sep7", 1)),
        (("avg3", 0), ("sep5", 1)),
        (("none", 3), ("avg3", 2)),
        (("sep3", 2), ("max3", 0)),
    ),
    (3, 4, 5, 6),
)
PNASNET_CELL = SearchedCell(
    (
        (("sep5", 1), ("max3", 1)),
        (("sep7", 0), ("max3", 0)),
        (("sep5", 0), ("sep3", 0)),
        (("sep3", 4), ("max3", 0)),
        (("sep3", 1), ("none", 0)),
    ),
    (2, 3, 4, 5, 6),
)

DESIGNS = {
    "nasnet_mobile": Design(
        cells=12,
        channels=44,
        stem_channels=32,
        normal=NASNET_NORMAL,
        reduction=NASNET_REDUCTION,
        separate_reduction=True,
        reduction_reads_before=False,
    ),
    "nasnet_large": Design(
        cells=18,
        channels=168,
        stem_channels=96,
        normal=NASNET_NORMAL,
        reduction=NASNET_REDUCTION,
        separate_reduction=True,
        reduction_reads_before=True,
    ),
    "pnasnet_mobile": Design(
        cells=9,
        channels=54,
        stem_channels=32,
        normal=PNASNET_CELL,
        reduction=PNASNET_CELL,
        separate_reduction=False,
        reduction_reads_before=True,
    ),
    "pnasnet_large": Design(
        cells=12,
        channels=216,
        stem_channels=96,
        normal=PNASNET_CELL,
        reduction=PNASNET_CELL,
        separate_reduction=False,
        reduction_reads_before=True,
    ),
}


def nasnet(g: GraphBuilder, resolution: int, classes: int, batch: int, *, design: Design) -> str:
    """A NASNet or PNASNet; 1001 classes as in the published files."""
    builder = _CellBuilder(g)
    x = g.conv(image(g, batch, resolution), design.stem_channels, 3, 2, "valid")
    outputs = [x, x]
    for divisor in (4, 2):
        outputs.append(
            builder.cell(design.reduction, outputs, design.channels // divisor, stride=2)
        )
    stack = design.cells // 3
    for i in range(design.cells):
        channels = design.channels * 2 ** (i // stack)
        reduces = i > 0 and i % stack == 0
        older = outputs[-2]
        if reduces and design.separate_reduction:
            outputs.append(builder.cell(design.reduction, outputs, channels, stride=2))
            reduces = False
            if not design.reduction_reads_before:
                older = outputs[-2]
        stride = 2 if reduces else 1
        outputs.append(builder.cell(design.normal, [older, outputs[-1]], channels, stride))
    return classifier(g, builder.relu(outputs[-1]), classes)


class _CellBuilder:
    """Builds cells; a tensor that several operations read is rectified once."""

    def __init__(self, g: GraphBuilder) -> None:
        self.g = g
        self.rectified: dict[str, str] = {}

    def relu(self, x: str) -> str:
        if x not in self.rectified:
            self.rectified[x] = self.g.op("relu", x)
        return self.rectified[x]

    def cell(self, cell: SearchedCell, outputs: list[str], channels: int, stride: int) -> str:
        older, newer = outputs[-2], outputs[-1]
        older = self._fit(older, newer, channels)
        states = [self.g.conv(self.relu(newer), channels, 1), older]
        for left, right in cell.pairs:
            parts = [self._step(states, step, channels, stride) for step in (left, right)]
            states.append(self.g.binary("add", *parts))
        return self.g.concat([states[i] for i in cell.joined])

    def _fit(self, older: str, newer: str, channels: int) -> str:
        """Bring the older input to the size and channels of this cell; the first has none."""
        if older == newer:
            return older
        if self.g.shape(older)[1:3] != self.g.shape(newer)[1:3]:
            return self._halve(self.relu(older), channels)
        if channels_of(self.g, older) != channels:
            return self.g.conv(self.relu(older), channels, 1)
        return older

    def _halve(self, x: str, channels: int) -> str:
        """Factorised reduction: every second pixel, and the diagonal neighbours of these."""
        g = self.g
        batch, height, width, cin = g.shape(x)
        first = g.conv(g.pool(x, "avg", 1, 2), channels // 2, 1)
        padded = g.op("pad", x, paddings=((0, 0), (0, 1), (0, 1), (0, 0)))
        moved = g.op("slice", padded, begin=(0, 1, 1, 0), size=(batch, height, width, cin))
        second = g.conv(g.pool(moved, "avg", 1, 2), channels - channels // 2, 1)
        return g.concat([first, second])

    def _step(self, states: list[str], step: Step, channels: int, cell_stride: int) -> str:
        operation, source = step
        x, stride = states[source], cell_stride if source < 2 else 1
        if operation == "none":
            same = stride == 1 and channels_of(self.g, x) == channels
            return x if same else self.g.conv(self.relu(x), channels, 1, stride)
        if operation.startswith("sep"):
            return self._separable_twice(x, channels, int(operation[3:]), stride)
        y = self.g.pool(x, operation[:3], int(operation[3:]), stride, "same")
        return y if channels_of(self.g, y) == channels else self.g.conv(y, channels, 1)

    def _separable_twice(self, x: str, channels: int, kernel: int, stride: int) -> str:
        y = self.g.depthwise(self.relu(x), kernel, stride, bias=False)
        y = self.g.conv(y, channels, 1, activation="relu")
        return self.g.conv(self.g.depthwise(y, kernel, bias=False), channels, 1)


ENTRIES = (
    ZooEntry(
        name="nasnet_mobile",
        title="NASNet-A mobile",
        family="nasnet",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1001),
        builder=partial(nasnet, design=DESIGNS["nasnet_mobile"]),
        seeds=("001",),
    ),
    ZooEntry(
        name="nasnet_large",
        title="NASNet-A large",
        family="nasnet",
        task="classification",
        input_shape=(331, 331, 3),
        parameters=image_parameters(331, 1001),
        builder=partial(nasnet, design=DESIGNS["nasnet_large"]),
    ),
    ZooEntry(
        name="pnasnet_mobile",
        title="PNASNet-5 mobile",
        family="pnasnet",
        task="classification",
        input_shape=(224, 224, 3),
        parameters=image_parameters(224, 1001),
        builder=partial(nasnet, design=DESIGNS["pnasnet_mobile"]),
    ),
    ZooEntry(
        name="pnasnet_large",
        title="PNASNet-5 large",
        family="pnasnet",
        task="classification",
        input_shape=(331, 331, 3),
        parameters=image_parameters(331, 1001),
        builder=partial(nasnet, design=DESIGNS["pnasnet_large"]),
    ),
)
