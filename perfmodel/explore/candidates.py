"""Networks against targets, and what a budget says of each pair.

`compare`, `minspec`, `select` and predicted sweeps ask here: networks are read and fused once, a
pair is predicted by the one path, and every limit is checked in one place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from perfmodel.devices.energy import Energy
from perfmodel.devices.profile import KINDS
from perfmodel.devices.registry import (
    ProfileFolder,
    ProfileSource,
    Resolved,
    list_targets,
    of_arithmetic,
)
from perfmodel.errors import PerfmodelError, TargetError
from perfmodel.explore.latency_law import LatencyLaw
from perfmodel.formats.load import with_sizes
from perfmodel.formats.sizes import InputShape
from perfmodel.graph.ir import Graph
from perfmodel.kernel_times import NetworkBatch, network_batch
from perfmodel.kernels.precisions import stored_precision
from perfmodel.prediction import BatchPrediction, network_energy, predict_batch
from perfmodel.target import PRECISIONS, UNITS, Target
from perfmodel.units import MB, format_ms
from perfmodel.workload import (
    BYTES_OF_PRECISION,
    Workload,
    activation_bytes,
    fusion_rules,
    load_at_batch,
    workload,
)

ANY = "any"
LOWEST_PERCENTILE, HIGHEST_PERCENTILE = 1.0, 99.99
"""Percentiles are in percent; beyond these bounds a law through an interval is a guess."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a network may cost: latency (ms at a percentile), memory (MB), energy (mJ).

    Raises `PerfmodelError` for limits that make no sense.
    """

    max_latency_ms: float
    percentile: float = 95.0
    max_memory_mb: float | None = None
    max_energy_mj: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_latency_ms", "max_memory_mb", "max_energy_mj"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                flag = "--" + name.replace("_", "-")
                raise PerfmodelError(f"{flag} must be a number above 0, got {value}")
        if not LOWEST_PERCENTILE <= self.percentile <= HIGHEST_PERCENTILE:
            meant = 100 * self.percentile
            share = 0 < self.percentile < 1 and meant >= LOWEST_PERCENTILE
            raise PerfmodelError(
                f"--percentile is in percent, {LOWEST_PERCENTILE:g} to {HIGHEST_PERCENTILE:g}, "
                f"got {self.percentile:g}",
                f"did you mean {meant:g}?" if share else "for example --percentile 95",
            )


@dataclass(frozen=True)
class PredictedNetwork:
    """One network of a batch on a target."""

    batch: BatchPrediction
    place: int

    @property
    def work(self) -> Workload:
        """The network as the target's framework runs it."""
        return self.batch.batch.works[self.place]

    @property
    def resolved(self) -> Resolved:
        """The target."""
        return self.batch.resolved

    @property
    def latency_ms(self) -> float:
        """The predicted latency."""
        return float(self.batch.latency_ms[self.place])

    @property
    def interval_ms(self) -> tuple[float, float]:
        """Lower and upper bound of the prediction interval."""
        return float(self.batch.low_ms[self.place]), float(self.batch.high_ms[self.place])

    @property
    def extrapolated(self) -> bool:
        """Whether the network lies outside what the target was calibrated on."""
        return bool(self.batch.extrapolated[self.place])

    @property
    def unknown(self) -> str:
        """Why the interval is no answer; empty where it is one."""
        return self.batch.unknown(self.place)


class Networks:
    """Some networks, read once and fused once for each framework's rules.

    `dims` and `input_shape` are sizes that the files among them leave open (as in `load`).
    """

    def __init__(
        self,
        models: Sequence[Graph | str],
        batch_size: int | None = None,
        *,
        dims: Mapping[str, int] | None = None,
        input_shape: InputShape | None = None,
        allow_uncovered: bool = False,
    ) -> None:
        sized = with_sizes(models, dims=dims, input_shape=input_shape)
        self.graphs = tuple(load_at_batch(m, batch_size) for m in sized)
        self.stored = tuple(map(stored_precision, self.graphs))
        self._allow_uncovered = allow_uncovered
        self._works: dict[str, list[Workload | PerfmodelError]] = {}
        self._batches: dict[str, NetworkBatch] = {}

    def on(self, resolved: Resolved) -> list[PredictedNetwork | PerfmodelError]:
        """Every network on a target, in order; the error where one cannot be predicted."""
        works = self._fused(fusion_rules(resolved))
        known = [w for w in works if isinstance(w, Workload)]
        answers = iter(self._answers(known, resolved))
        return [next(answers) if isinstance(w, Workload) else w for w in works]

    def one_on(self, resolved: Resolved) -> PredictedNetwork:
        """The first network on a target; raises where it cannot be predicted."""
        answer = self.on(resolved)[0]
        if isinstance(answer, PerfmodelError):
            raise answer
        return answer

    def _fused(self, rules: str) -> list[Workload | PerfmodelError]:
        if rules not in self._works:
            self._works[rules] = [self._work(g, rules) for g in self.graphs]
        return self._works[rules]

    def _work(self, graph: Graph, rules: str) -> Workload | PerfmodelError:
        try:
            return workload(graph, rules, allow_uncovered=self._allow_uncovered)
        except PerfmodelError as error:
            return error

    def _answers(
        self, works: Sequence[Workload], resolved: Resolved
    ) -> list[PredictedNetwork | PerfmodelError]:
        if not works:
            return []
        rules = works[0].framework
        if rules not in self._batches:
            self._batches[rules] = network_batch(works)
        try:
            predicted = predict_batch(self._batches[rules], resolved)
        except PerfmodelError:
            return [_alone(w, resolved) for w in works]
        return [PredictedNetwork(predicted, i) for i in range(len(works))]


def _alone(work: Workload, resolved: Resolved) -> PredictedNetwork | PerfmodelError:
    try:
        return PredictedNetwork(predict_batch(network_batch([work]), resolved), 0)
    except PerfmodelError as error:
        return error


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A network on a target under a budget.

    `latency_ms` is the latency at the budget's percentile, `median_ms` the prediction with its
    `interval_ms`; `chance` the probability that the latency is within the limit. `reason` says why
    the budget is not met and is empty where it is; where `known` is false nobody can tell.
    """

    model: str
    target: str
    latency_ms: float
    median_ms: float
    interval_ms: tuple[float, float]
    chance: float
    memory_mb: float
    energy_mj: float | None
    energy_interval_mj: tuple[float, float] | None
    energy_source: str
    extrapolated: bool
    known: bool
    precision_reason: str
    reason: str

    @property
    def hopeless(self) -> bool:
        """Whether it is not the latency that fails it, so that no chance helps."""
        return bool(self.reason) and not self.reason.startswith("latency")


def estimate(answer: PredictedNetwork, budget: Budget) -> Estimate:
    """What a budget says of a network on a target."""
    resolved, work, median = answer.resolved, answer.work, answer.latency_ms
    target = resolved.target.target
    law = LatencyLaw.of(median, *answer.interval_ms, resolved.target.interval.coverage)
    latency = law.percentile_ms(budget.percentile)
    memory = memory_mb(work, target)
    energy = network_energy(resolved, work, latency, answer.interval_ms)
    return Estimate(
        model=work.graph.name,
        target=str(target),
        latency_ms=latency,
        median_ms=law.median_ms,
        interval_ms=answer.interval_ms,
        chance=law.chance_within(budget.max_latency_ms),
        memory_mb=memory,
        energy_mj=None if energy is None else energy.mj,
        energy_interval_mj=None if energy is None else energy.interval_mj,
        energy_source="" if energy is None else energy.source,
        extrapolated=answer.extrapolated,
        known=not answer.unknown,
        precision_reason=resolved.precision_reason,
        reason=answer.unknown or _missed(budget, memory, latency, energy, target.unit),
    )


def _missed(budget: Budget, memory: float, latency: float, energy: Energy | None, unit: str) -> str:
    """The first limit that is missed and by how much; empty where none is."""
    if budget.max_memory_mb is not None and memory > budget.max_memory_mb:
        return f"memory: needs {memory:.3g} MB, {budget.max_memory_mb:g} MB allowed"
    if latency > budget.max_latency_ms:
        over = latency / budget.max_latency_ms - 1
        return (
            f"latency: p{budget.percentile:g} is {format_ms(latency)}, "
            f"{100 * over:.3g} % over {budget.max_latency_ms:g} ms"
        )
    if budget.max_energy_mj is not None:
        if energy is None:
            return f"energy: the power of its {unit} is not known"
        if energy.mj > budget.max_energy_mj:
            return f"energy: takes {energy.mj:.3g} mJ, {budget.max_energy_mj:g} mJ allowed"
    return ""


def worth(found: Estimate) -> tuple[bool, bool, bool, float]:
    """Order of a device's targets: known ones, those that pass, those that fit, the fastest."""
    missed = bool(found.reason)
    return not found.known, missed, found.reason.startswith("memory"), found.latency_ms


def resolved_targets(
    kind: str = "phone",
    unit: str = ANY,
    precision: str = ANY,
    profiles: Sequence[ProfileSource] = (),
    stored: str = "",
) -> Iterator[Resolved]:
    """Every steady-state target of a kind of device; `TargetError` for unknown choices.

    With any precision and a quantised network (`stored` int8 or uint8) a device's quantised targets
    answer alone, where it has such.
    """
    check_choices(kind=kind, unit=unit, precision=precision)
    folder = ProfileFolder(tuple(profiles))
    wanted = (line.device for line in list_targets(profiles) if kind in (ANY, line.kind))
    for device in dict.fromkeys(wanted):
        profile = folder.profile(device)
        asked = [
            t
            for t in profile.targets
            if unit in (ANY, t.target.unit)
            and precision in (ANY, t.target.precision)
            and t.latency_kind == "steady"
        ]
        yield from of_arithmetic(profile, asked, stored, named=precision != ANY)


def check_choices(*, kind: str = ANY, unit: str = ANY, precision: str = ANY) -> None:
    """Raise `TargetError` for a kind of device, a unit or a precision that there is not."""
    for name, value, known in (
        ("kind", kind, KINDS),
        ("unit", unit, UNITS),
        ("precision", precision, PRECISIONS),
    ):
        if value != ANY and value not in known:
            raise TargetError(f"{name} {value!r} is none of {', '.join((ANY, *known))}")


def memory_mb(work: Workload, target: Target) -> float:
    """Weights and peak activations at a target's precision, in MB.

    Runtimes add their own buffers to it.
    """
    size = BYTES_OF_PRECISION[target.precision]
    return (work.params * size + activation_bytes(work, target.precision)) / MB
