"""The minimum phone: over every phone target, memory first, then latency, then energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfmodel.answer import Answer
from perfmodel.devices.market import CLASSES
from perfmodel.devices.market_profiles import chip_of, year_of
from perfmodel.devices.registry import ProfileSource
from perfmodel.errors import TargetError
from perfmodel.explore.candidates import (
    ANY,
    Budget,
    Estimate,
    Networks,
    PredictedNetwork,
    check_choices,
    estimate,
    resolved_targets,
    worth,
)
from perfmodel.explore.fleet import FleetShare, fleet_share, read_fleet
from perfmodel.explore.latency_law import ASSUMPTION
from perfmodel.formats.sizes import InputShape
from perfmodel.graph.ir import Graph
from perfmodel.prediction import MOST_UNSURE

NEARLY = 0.25
"""A phone that misses the latency by at most this share of it just fails."""

STEADY = (
    "steady-state latency of a network that has the unit to itself; heat, the first run and an app "
    "that draws are not in it"
)
QUANTISED = (
    "int8 targets run the network quantised; what that costs in accuracy is for `perfmodel select`"
)


@dataclass(frozen=True, kw_only=True)
class Requirement(Budget):
    """What is asked of a phone; raises `TargetError` for choices that there are not."""

    unit: str = ANY
    precision: str = ANY
    kind: str = "phone"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(kind=self.kind, unit=self.unit, precision=self.precision)


@dataclass(frozen=True, kw_only=True)
class PhoneAnswer(Estimate):
    """One phone and its best target for the network (`target`, which `best_target` repeats).

    `margin` is the share of the latency limit left over, negative where it is missed.
    """

    device: str
    title: str
    soc: str
    year: int | None
    grade: str
    best_target: str
    unit: str
    precision: str
    margin: float


@dataclass(frozen=True, kw_only=True)
class MinSpec(Answer, command="minspec"):
    """The minimum phone of a network under a requirement.

    `minimum` is the slowest phone that passes, `oldest` the oldest among those whose year is
    known, `by_class` the slowest of each class; `passing` and `failing` go from slow to fast and
    from near to far. Phones on which the latency is not known are neither: they are in `unknown`.
    """

    model: str
    requirement: Requirement
    minimum: PhoneAnswer | None
    oldest: PhoneAnswer | None
    by_class: dict[str, PhoneAnswer]
    passing: tuple[PhoneAnswer, ...]
    failing: tuple[PhoneAnswer, ...]
    unknown: tuple[PhoneAnswer, ...]
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
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
    profiles: Sequence[ProfileSource] = (),
    allow_uncovered: bool = False,
) -> MinSpec:
    """Which phones run `model` within a latency (ms at a percentile), memory (MB), energy (mJ)?

    Goes over every steady-state target of devices of `kind`. `fleet` is a CSV with columns
    device,share; without it a made-up example is used and marked as such. `dims` and `input_shape`
    are sizes that a file leaves open (as in `load`). Raises `PerfmodelError`
    for limits that make no sense, unknown networks and damaged files.
    """
    asked = Requirement(
        max_latency_ms=max_latency_ms,
        percentile=percentile,
        max_memory_mb=max_memory_mb,
        max_energy_mj=max_energy_mj,
        unit=unit,
        precision=precision,
        kind=kind,
    )
    network = Networks([model], dims=dims, input_shape=input_shape, allow_uncovered=allow_uncovered)
    targets = resolved_targets(kind, unit, precision, profiles, network.stored[0])
    found = [_answer(network.one_on(resolved), asked) for resolved in targets]
    if not found:
        raise TargetError(
            f"no {kind} has a target with unit {unit!r} and precision {precision!r}",
            "`perfmodel devices` lists the targets there are",
        )
    best: dict[str, PhoneAnswer] = {}
    for phone in found:
        if phone.device not in best or worth(phone) < worth(best[phone.device]):
            best[phone.device] = phone
    return _result(network.graphs[0].name, asked, best, len(found), fleet)


def _answer(answer: PredictedNetwork, asked: Requirement) -> PhoneAnswer:
    found, device = estimate(answer, asked), answer.resolved.device
    target, made = answer.resolved.target.target, chip_of(device)
    return PhoneAnswer(
        **vars(found),
        device=device.device,
        title=device.title,
        soc=device.soc or (made.name if made else ""),
        year=year_of(device),
        grade=made.grade if made else "unknown",
        best_target=found.target,
        unit=target.unit,
        precision=target.precision,
        margin=1.0 - found.latency_ms / asked.max_latency_ms,
    )


def _result(
    model: str,
    asked: Requirement,
    best: dict[str, PhoneAnswer],
    targets: int,
    fleet: Path | str | None,
) -> MinSpec:
    known = [p for p in best.values() if p.known]
    passing = sorted((p for p in known if not p.reason), key=lambda p: -p.latency_ms)
    failing = sorted((p for p in known if p.reason), key=lambda p: p.latency_ms)
    unknown = sorted((p for p in best.values() if not p.known), key=lambda p: p.latency_ms)
    dated = [p for p in passing if p.year is not None]
    by_class: dict[str, PhoneAnswer] = {}
    for phone in passing:
        by_class.setdefault(phone.grade, phone)
    share = fleet_share(
        read_fleet(None if fleet is None else Path(fleet)),
        {p.device: 0.0 if p.hopeless else p.chance for p in known},
        {p.device for p in passing},
    )
    return MinSpec(
        model=model,
        requirement=asked,
        minimum=passing[0] if passing else None,
        oldest=min(dated, key=lambda p: (p.year or 0, -p.latency_ms), default=None),
        by_class={c: by_class[c] for c in (*CLASSES, "unknown") if c in by_class},
        passing=tuple(passing),
        failing=tuple(failing),
        unknown=tuple(unknown),
        fleet_share=share.passing,
        fleet=share,
        targets=targets,
        assumptions=_assumptions(asked, share, best),
    )


def quantised(precision: str) -> tuple[str, ...]:
    """What is assumed of quantised targets, where some may answer."""
    return (QUANTISED,) if precision in (ANY, "int8") else ()


def _assumptions(
    asked: Requirement, share: FleetShare, best: dict[str, PhoneAnswer]
) -> tuple[str, ...]:
    undated = sum(p.year is None for p in best.values())
    unknown = sum(not p.known for p in best.values())
    lines = [
        ASSUMPTION,
        STEADY,
        *quantised(asked.precision),
    ]
    if asked.max_memory_mb is not None:
        lines.append(
            "memory is weights and peak activations at the target's precision, without "
            "the runtime's own buffers"
        )
    if asked.max_energy_mj is not None:
        lines.append(
            "energy is above idle, at the latency of the percentile: by the power of the unit or "
            "of its busy cores at full clock, else by the kernels' energy on one unknown phone"
        )
    if share.example:
        lines.append("the fleet is a made-up example: give yours with --fleet")
    if unknown:
        lines.append(
            f"on {unknown} of {len(best)} phones the latency is not known to within a factor of "
            f"{MOST_UNSURE:g}: they neither pass nor fail"
        )
    if undated:
        lines.append(f"the year of {undated} of {len(best)} phones is not known")
    return tuple(lines)
