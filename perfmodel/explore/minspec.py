"""The minimum phone: over every phone target, memory first, then latency, then energy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfmodel.devices.processors import CLASSES, phone_of, year_of
from perfmodel.devices.registry import ProfileSource, Resolved
from perfmodel.errors import PerfmodelError, TargetError
from perfmodel.explore.fleet import FleetShare, fleet_share, read_fleet
from perfmodel.explore.latency_law import ASSUMPTION, LatencyLaw
from perfmodel.explore.networks import (
    ANY,
    Networks,
    energy_mj,
    memory_mb,
    require_positive,
    resolved_targets,
)
from perfmodel.graph.ir import Graph
from perfmodel.units import format_ms

NEARLY = 0.25
"""A phone that misses the latency by at most this share of it just fails."""


@dataclass(frozen=True)
class Requirement:
    """What is asked of a phone."""

    max_latency_ms: float
    percentile: float = 95.0
    max_memory_mb: float | None = None
    max_energy_mj: float | None = None
    unit: str = ANY
    precision: str = ANY
    kind: str = "phone"


@dataclass(frozen=True)
class PhoneAnswer:
    """One phone and its best target for the network.

    `latency_ms` is the latency at the asked percentile, `median_ms` the prediction; `chance` the
    probability that the latency is within the limit; `margin` the share of the limit left over
    (negative where it is missed). `reason` is empty where the phone passes. `best_target` repeats
    `target`.
    """

    device: str
    title: str
    soc: str
    year: int | None
    grade: str
    target: str
    best_target: str
    unit: str
    precision: str
    latency_ms: float
    median_ms: float
    margin: float
    chance: float
    memory_mb: float
    energy_mj: float | None
    extrapolated: bool
    reason: str


@dataclass(frozen=True)
class MinSpec:
    """The minimum phone of a network under a requirement.

    `minimum` is the slowest phone that passes, `oldest` the oldest among those whose year is
    known, `by_class` the slowest of each class; `passing` and `failing` go from slow to fast and
    from near to far.
    """

    model: str
    requirement: Requirement
    minimum: PhoneAnswer | None
    oldest: PhoneAnswer | None
    by_class: dict[str, PhoneAnswer]
    passing: tuple[PhoneAnswer, ...]
    failing: tuple[PhoneAnswer, ...]
    fleet_share: float
    fleet: FleetShare
    targets: int
    assumptions: tuple[str, ...]

    @property
    def just_failing(self) -> tuple[PhoneAnswer, ...]:
        """Phones that miss the limit by little."""
        return tuple(p for p in self.failing if p.margin >= -NEARLY)


def minspec(
    model: Graph | str,
    max_latency_ms: float,
    *,
    percentile: float = 95.0,
    max_memory_mb: float | None = None,
    max_energy_mj: float | None = None,
    unit: str = ANY,
    precision: str = ANY,
    kind: str = "phone",
    fleet: Path | str | None = None,
    profiles: Sequence[ProfileSource] = (),
    allow_uncovered: bool = False,
) -> MinSpec:
    """Which phones run `model` within a latency (ms at a percentile), memory (MB), energy (mJ)?

    Goes over every steady-state target of devices of `kind`. `fleet` is a CSV with columns
    device,share; without it a made-up example is used and marked as such. Raises `PerfmodelError`
    for limits that make no sense, unknown networks and damaged files.
    """
    require_positive(
        max_latency_ms=max_latency_ms, max_memory_mb=max_memory_mb, max_energy_mj=max_energy_mj
    )
    if not 0 < percentile < 100:
        raise PerfmodelError(f"--percentile must lie between 0 and 100, got {percentile}")
    asked = Requirement(
        max_latency_ms, percentile, max_memory_mb, max_energy_mj, unit, precision, kind
    )
    network = Networks([model], allow_uncovered=allow_uncovered)
    found = list(_answers(network, asked, profiles))
    if not found:
        raise TargetError(
            f"no {kind} has a target with unit {unit!r} and precision {precision!r}",
            "`perfmodel devices` lists the targets there are",
        )
    best: dict[str, PhoneAnswer] = {}
    for phone in found:
        if phone.device not in best or _worth(phone) < _worth(best[phone.device]):
            best[phone.device] = phone
    return _result(network.graphs[0].name, asked, best, len(found), fleet)


def _answers(
    network: Networks, asked: Requirement, profiles: Sequence[ProfileSource]
) -> Iterator[PhoneAnswer]:
    for resolved in resolved_targets(asked.kind, asked.unit, asked.precision, profiles):
        yield _answer(network, asked, resolved)


def _answer(network: Networks, asked: Requirement, resolved: Resolved) -> PhoneAnswer:
    predicted = network.on(resolved)
    work, target = predicted.batch.works[0], resolved.target.target
    law = LatencyLaw.of(
        float(predicted.latency_ms[0]),
        float(predicted.low_ms[0]),
        float(predicted.high_ms[0]),
        resolved.target.interval.coverage,
    )
    latency = law.percentile_ms(asked.percentile)
    memory = memory_mb(work.params, work.peak_activation_bytes, target)
    energy = energy_mj(resolved, latency)
    soc = phone_of(resolved.device)
    return PhoneAnswer(
        resolved.device.device,
        resolved.device.title,
        resolved.device.soc or soc.soc,
        year_of(resolved.device),
        soc.grade,
        str(target),
        str(target),
        target.unit,
        target.precision,
        latency,
        law.median_ms,
        1.0 - latency / asked.max_latency_ms,
        law.chance_within(asked.max_latency_ms),
        memory,
        energy,
        bool(predicted.extrapolated[0]),
        _reason(asked, memory, latency, energy, target.unit),
    )


def _reason(
    asked: Requirement, memory: float, latency: float, energy: float | None, unit: str
) -> str:
    """Why a target fails, the first gate that it misses; empty where it passes."""
    if asked.max_memory_mb is not None and memory > asked.max_memory_mb:
        return f"memory: needs {memory:.3g} MB, {asked.max_memory_mb:g} MB allowed"
    if latency > asked.max_latency_ms:
        over = latency / asked.max_latency_ms - 1
        return (
            f"latency: p{asked.percentile:g} is {format_ms(latency)}, "
            f"{100 * over:.3g} % over {asked.max_latency_ms:g} ms"
        )
    if asked.max_energy_mj is not None:
        if energy is None:
            return f"energy: the power of its {unit} is not known"
        if energy > asked.max_energy_mj:
            return f"energy: takes {energy:.3g} mJ, {asked.max_energy_mj:g} mJ allowed"
    return ""


def _worth(phone: PhoneAnswer) -> tuple[bool, bool, float]:
    """Order of a device's targets: those that pass, then those that fit, then the fastest."""
    return bool(phone.reason), phone.reason.startswith("memory"), phone.latency_ms


def _result(
    model: str,
    asked: Requirement,
    best: dict[str, PhoneAnswer],
    targets: int,
    fleet: Path | str | None,
) -> MinSpec:
    passing = sorted((p for p in best.values() if not p.reason), key=lambda p: -p.latency_ms)
    failing = sorted((p for p in best.values() if p.reason), key=lambda p: p.latency_ms)
    dated = [p for p in passing if p.year is not None]
    by_class: dict[str, PhoneAnswer] = {}
    for phone in passing:
        by_class.setdefault(phone.grade, phone)
    share = fleet_share(
        read_fleet(None if fleet is None else Path(fleet)),
        {p.device: 0.0 if _cannot(p) else p.chance for p in best.values()},
        {p.device for p in passing},
    )
    return MinSpec(
        model,
        asked,
        passing[0] if passing else None,
        min(dated, key=lambda p: (p.year or 0, -p.latency_ms), default=None),
        {c: by_class[c] for c in (*CLASSES, "unknown") if c in by_class},
        tuple(passing),
        tuple(failing),
        share.passing,
        share,
        targets,
        _assumptions(asked, share, best),
    )


def _cannot(phone: PhoneAnswer) -> bool:
    """Whether a phone fails for another reason than latency, so that no chance helps it."""
    return bool(phone.reason) and not phone.reason.startswith("latency")


def _assumptions(
    asked: Requirement, share: FleetShare, best: dict[str, PhoneAnswer]
) -> tuple[str, ...]:
    undated = sum(p.year is None for p in best.values())
    lines = [
        ASSUMPTION,
        "steady-state latency of a network that has the unit to itself; heat, the first run and "
        "an app that draws are not in it",
    ]
    if asked.precision in (ANY, "int8"):
        lines.append(
            "int8 targets run the network quantised; what that costs in accuracy is "
            "for `perfmodel select`"
        )
    if asked.max_memory_mb is not None:
        lines.append(
            "memory is weights and peak activations at the target's precision, without "
            "the runtime's own buffers"
        )
    if asked.max_energy_mj is not None:
        lines.append(
            "energy is the unit's power above idle times the latency at the percentile; "
            "CPU cores count as big ones at full clock"
        )
    if share.example:
        lines.append("the fleet is a made-up example: give yours with --fleet")
    if undated:
        lines.append(f"the year of {undated} of {len(best)} phones is not known")
    return tuple(lines)
