"""Networks against targets: a table of latencies, and the tables of AI-Benchmark."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from perfmodel.answer import Answer
from perfmodel.devices.market_search import looks_like_a_phone
from perfmodel.devices.registry import ProfileFolder, ProfileSource, Resolved
from perfmodel.errors import PerfmodelError, TargetError
from perfmodel.explore.candidates import Networks, PredictedNetwork
from perfmodel.formats.sizes import InputShape
from perfmodel.graph.ir import Graph
from perfmodel.measurements.device_names import device_called, slug
from perfmodel.target import PRECISIONS, UNITS


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One network on one target; the times are None where `problem` says why.

    `ratio` is the first target's latency over this one's: how many times as fast this one is.
    `interval_ms` stands beside a problem too where it is what makes the time unknown.
    `precision_reason` says why the target's precision was chosen, where that is not plain, and
    `stands_for` which phone or chip of the market was meant and why this target answers.
    """

    model: str
    target: str
    latency_ms: float | None = None
    interval_ms: tuple[float, float] | None = None
    ratio: float | None = None
    extrapolated: bool = False
    problem: str = ""
    precision_reason: str = ""
    stands_for: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison(Answer, command="compare"):
    """Latencies of networks on targets; `cells` by network, then by target.

    `targets` are full targets, but for one that means another precision for one network than for
    another: that stands as it was asked for, and each cell has its own.
    """

    models: tuple[str, ...]
    targets: tuple[str, ...]
    batch_size: int | None
    cells: tuple[Cell, ...]

    def cell(self, model: str, target: str) -> Cell:
        """The cell of a network and a target as it stands in `targets`."""
        place = self.models.index(model) * len(self.targets) + self.targets.index(target)
        return self.cells[place]

    def fastest(self, model: str) -> Cell | None:
        """A network's cell with the least latency."""
        mine = [c for c in self.cells if c.model == model]
        known = [(c.latency_ms, i) for i, c in enumerate(mine) if c.latency_ms is not None]
        return mine[min(known)[1]] if known else None


def compare(
    models: Sequence[Graph | str],
    targets: Sequence[str],
    *,
    batch_size: int | None = None,
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
    profiles: Sequence[ProfileSource] = (),
    allow_uncovered: bool = False,
) -> Comparison:
    """Latency of every network on every target, in ms.

    A target may list alternatives by comma: `titan-v/gpu/vanilla,cudnn/fp32,cudnn/fp16` is three
    targets of one GPU; `pixel-4/*` is every unit of a phone. A network with operators that no cost
    model covers has no time and the cell says which, unless `allow_uncovered`: then its time leaves
    them out and the cell says so. An interval too wide to be an answer leaves no time either.
    `dims` and `input_shape` are sizes that the files among the networks leave open (as in `load`).
    Raises `PerfmodelError` for unknown networks and targets.
    """
    if not models or not targets:
        raise PerfmodelError(
            "compare needs networks and targets",
            "for example: perfmodel compare mobilenet_v2 vgg16 --on snapdragon-888/cpu,gpu",
        )
    folder = ProfileFolder(tuple(profiles))
    listed = [t for text in targets for t in alternatives(text, folder.names())]
    asked = [t for text in listed for t in folder.expand(text)]
    networks = Networks(
        models,
        batch_size,
        dims=dims,
        input_shape=input_shape,
        allow_uncovered=allow_uncovered,
    )
    columns = {}
    for text in asked:
        resolved = [folder.resolve(text, stored) for stored in networks.stored]
        full = tuple(str(r.target.target) for r in resolved)
        columns[full] = (text if len(set(full)) > 1 else full[0], _column(networks, resolved))
    firsts = [c.latency_ms for c in next(iter(columns.values()))[1]]
    cells = tuple(
        _with_ratio(column[i], firsts[i])
        for i in range(len(networks.graphs))
        for _, column in columns.values()
    )
    return Comparison(
        models=tuple(g.name for g in networks.graphs),
        targets=tuple(name for name, _ in columns.values()),
        batch_size=batch_size,
        cells=cells,
    )


def alternatives(text: str, devices: Collection[str]) -> list[str]:
    """The targets that a target with commas means.

    An alternative takes the place of the part it can stand for: `pixel-4/cpu/tflite/fp32,int8,gpu`
    is pixel-4/cpu/tflite/fp32, pixel-4/cpu/tflite/int8 and pixel-4/gpu. A known device's name
    starts a new target, and so does what can stand for no part of the one before: `rtx-4090,a100`.
    """
    first, *others = [part.strip() for part in _split(text)]
    found = [first]
    for other in others:
        if not other:
            raise TargetError(f"target {text!r}: nothing stands after a comma")
        before, parts = found[-1].split("/"), other.split("/")
        new = _is_a_device(parts, devices) or _place(parts[0]) > len(before)
        found.append("/".join([*before[: 0 if new else _place(parts[0])], other]))
    return found


def _is_a_device(parts: Sequence[str], devices: Collection[str]) -> bool:
    """Whether the first part of a target or of its end is a device: a known one or a phone, or what
    has a unit behind it."""
    head = parts[0].lower()
    if head in devices or (parts[1:2] and parts[1] in UNITS):
        return True
    return _place(head) == 2 and (device_called(slug(head)) in devices or looks_like_a_phone(head))


def _split(text: str) -> list[str]:
    """The parts between commas; that of an identifier such as iPhone15,4 is part of the name."""
    return re.split(r"(?<!iphone\d)(?<!iphone\d\d),", text, flags=re.IGNORECASE)


def _place(part: str) -> int:
    """Where in a target a part stands: device, unit, framework, precision, threads."""
    if part in UNITS:
        return 1
    if part in PRECISIONS:
        return 3
    return 4 if re.fullmatch(r"t\d+(@\w+)?", part) else 2


def _column(networks: Networks, resolved: Sequence[Resolved]) -> list[Cell]:
    """Every network on the target that one question means for it."""
    answers = {str(r.target.target): networks.on(r) for r in resolved}
    found = [answers[str(r.target.target)][i] for i, r in enumerate(resolved)]
    return [
        _cell(g.name, r, answer)
        for g, r, answer in zip(networks.graphs, resolved, found, strict=True)
    ]


def _cell(model: str, resolved: Resolved, answer: PredictedNetwork | PerfmodelError) -> Cell:
    cell = Cell(
        model=model,
        target=str(resolved.target.target),
        precision_reason=resolved.precision_reason,
        stands_for=resolved.stands_for,
    )
    if isinstance(answer, PerfmodelError):
        return replace(cell, problem=str(answer))
    if answer.unknown:
        return replace(cell, interval_ms=answer.interval_ms, problem=answer.unknown)
    named = ", ".join(answer.work.uncovered_ops[:3])
    return replace(
        cell,
        latency_ms=answer.latency_ms,
        interval_ms=answer.interval_ms,
        extrapolated=answer.extrapolated,
        problem=f"not in this time: {named}" if named else "",
    )


def _with_ratio(cell: Cell, first_ms: float | None) -> Cell:
    if cell.latency_ms is None or first_ms is None:
        return cell
    return replace(cell, ratio=first_ms / cell.latency_ms)
