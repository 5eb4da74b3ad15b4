"""Networks against targets: a table of latencies, and the tables of AI-Benchmark."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from perfmodel.devices.registry import ProfileFolder, ProfileSource, Resolved
from perfmodel.errors import PerfmodelError, TargetError
from perfmodel.explore.networks import Networks
from perfmodel.graph.ir import Graph
from perfmodel.target import PRECISIONS, UNITS


@dataclass(frozen=True)
class Cell:
    """One network on one target; the times are None where `problem` says why.

    `ratio` is the first target's latency over this one's: how many times as fast this one is.
    """

    model: str
    target: str
    latency_ms: float | None
    interval_ms: tuple[float, float] | None
    ratio: float | None
    extrapolated: bool
    problem: str = ""


@dataclass(frozen=True)
class Comparison:
    """Latencies of networks on targets; `cells` by network, then by target."""

    models: tuple[str, ...]
    targets: tuple[str, ...]
    batch_size: int | None
    cells: tuple[Cell, ...]

    def cell(self, model: str, target: str) -> Cell:
        """The cell of a network and a (full) target."""
        place = self.models.index(model) * len(self.targets) + self.targets.index(target)
        return self.cells[place]

    def fastest(self, model: str) -> Cell | None:
        """A network's cell with the least latency."""
        known = [c for c in self.cells if c.model == model and c.latency_ms is not None]
        return min(known, key=lambda c: c.latency_ms or 0.0, default=None)


def compare(
    models: Sequence[Graph | str],
    targets: Sequence[str],
    *,
    batch_size: int | None = None,
    profiles: Sequence[ProfileSource] = (),
) -> Comparison:
    """Latency of every network on every target, in ms.

    A target may list alternatives by comma: `titan-v/gpu/vanilla,cudnn/fp32,cudnn/fp16` is three
    targets of one GPU. A network with operators that
    no cost model covers has no time; the cell says which. Raises `PerfmodelError` for unknown
    networks and targets.
    """
    if not models or not targets:
        raise PerfmodelError(
            "compare needs networks and targets",
            "for example: perfmodel compare mobilenet_v2 vgg16 --on snapdragon-888/cpu,gpu",
        )
    folder = ProfileFolder(tuple(profiles))
    asked = [t for text in targets for t in alternatives(text, folder.names())]
    resolved = list({str(r.target.target): r for r in map(folder.resolve, asked)}.values())
    networks = Networks(models, batch_size, allow_uncovered=True)
    columns = [_column(networks, r) for r in resolved]
    firsts = [c.latency_ms for c in columns[0]]
    cells = tuple(
        _with_ratio(columns[j][i], firsts[i])
        for i in range(len(networks.graphs))
        for j in range(len(columns))
    )
    names = tuple(g.name for g in networks.graphs)
    return Comparison(names, tuple(str(r.target.target) for r in resolved), batch_size, cells)


def alternatives(text: str, devices: Collection[str]) -> list[str]:
    """The targets that a target with commas means.

    An alternative takes the place of the part it can stand for: `pixel-4/cpu/tflite/fp32,int8,gpu`
    is pixel-4/cpu/tflite/fp32, pixel-4/cpu/tflite/int8 and pixel-4/gpu. A known device's name
    starts a new target.
    """
    first, *others = [part.strip() for part in text.split(",")]
    found = [first]
    for other in others:
        if not other:
            raise TargetError(f"target {text!r}: nothing stands after a comma")
        head = other.split("/")[0]
        place = 0 if head.lower() in devices else _place(head)
        found.append("/".join([*found[-1].split("/")[:place], other]))
    return found


def _place(part: str) -> int:
    """Where in a target a part stands: device, unit, framework, precision, threads."""
    if part in UNITS:
        return 1
    if part in PRECISIONS:
        return 3
    return 4 if re.fullmatch(r"t\d+(@\w+)?", part) else 2


def _column(networks: Networks, resolved: Resolved) -> list[Cell]:
    """Every network on one target."""
    predicted = networks.on(resolved)
    extrapolated, target = predicted.extrapolated, str(resolved.target.target)
    cells = []
    for i, work in enumerate(predicted.batch.works):
        if work.uncovered_ops:
            named = ", ".join(work.uncovered_ops[:3])
            problem = f"operators without a cost model: {named}"
            cells.append(Cell(work.graph.name, target, None, None, None, False, problem))
            continue
        bounds = float(predicted.low_ms[i]), float(predicted.high_ms[i])
        latency = float(predicted.latency_ms[i])
        cells.append(Cell(work.graph.name, target, latency, bounds, None, bool(extrapolated[i])))
    return cells


def _with_ratio(cell: Cell, first_ms: float | None) -> Cell:
    if cell.latency_ms is None or first_ms is None:
        return cell
    ratio = first_ms / cell.latency_ms
    return Cell(
        cell.model, cell.target, cell.latency_ms, cell.interval_ms, ratio, cell.extrapolated
    )
