"""The most accurate variant of a network that meets a budget, on a device or a share of a fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perfmodel import zoo
from perfmodel.devices.registry import ProfileFolder, ProfileSource, Resolved
from perfmodel.errors import PerfmodelError, UnknownModelError
from perfmodel.explore.fleet import known_as, read_fleet
from perfmodel.explore.latency_law import ASSUMPTION, LatencyLaw
from perfmodel.explore.networks import (
    ANY,
    Networks,
    energy_mj,
    memory_mb,
    require_positive,
    resolved_targets,
)
from perfmodel.explore.pareto import pareto_front
from perfmodel.target import parse_target
from perfmodel.units import format_ms
from perfmodel.zoo import Accuracy

METRIC = "imagenet_top1"
WRITER_PRECISION = {"float": "float32", "int8": "int8"}


@dataclass(frozen=True)
class Budget:
    """What a network may cost: latency (ms at a percentile), memory (MB), energy (mJ)."""

    max_latency_ms: float
    percentile: float = 95.0
    max_memory_mb: float | None = None
    max_energy_mj: float | None = None


@dataclass(frozen=True)
class Variant:
    """A network of the zoo at a precision with a published accuracy."""

    model: str
    precision: str
    accuracy: Accuracy


@dataclass(frozen=True)
class Candidate:
    """A variant and how it does: on one device, or the part of a fleet that it reaches.

    `latency_ms` is at the budget's percentile; on a fleet it is that of the slowest phone that
    passes. `share` is 1 or 0 on a device. `reason` is empty where the budget is met.
    """

    model: str
    precision: str
    metric: str
    accuracy: float
    accuracy_source: str
    target: str
    latency_ms: float
    median_ms: float
    chance: float
    memory_mb: float
    energy_mj: float | None
    share: float
    extrapolated: bool
    reason: str


@dataclass(frozen=True)
class Selection:
    """The chosen variant, or None; all candidates, the most accurate first."""

    place: str
    budget: Budget
    min_share: float
    metric: str
    chosen: Candidate | None
    candidates: tuple[Candidate, ...]
    front: tuple[Candidate, ...]
    assumptions: tuple[str, ...]


def select(
    models: Sequence[str] = (),
    *,
    on: str = "",
    fleet: Path | str | None = None,
    min_share: float = 0.9,
    max_latency_ms: float,
    percentile: float = 95.0,
    max_memory_mb: float | None = None,
    max_energy_mj: float | None = None,
    metric: str = METRIC,
    profiles: Sequence[ProfileSource] = (),
) -> Selection:
    """The most accurate variant within a latency, memory and energy budget.

    `models` are names or families of the zoo (none: every network with a published `metric`); their
    variants are those with a published accuracy. Either `on` a device (or any target of it), or
    such that `min_share` of the users of a `fleet` can run it. Raises `PerfmodelError`s.
    """
    require_positive(
        max_latency_ms=max_latency_ms, max_memory_mb=max_memory_mb, max_energy_mj=max_energy_mj
    )
    if bool(on) == (fleet is not None):
        raise PerfmodelError("select needs either --on DEVICE or --fleet FILE")
    if not 0 < percentile < 100 or not 0 < min_share <= 1:
        raise PerfmodelError("--percentile must lie in 0 to 100 and --min-share in 0 to 1")
    budget = Budget(max_latency_ms, percentile, max_memory_mb, max_energy_mj)
    variants = variants_of(models, metric)
    if on:
        shares, targets = _on_device(on, profiles)
    else:
        shares, targets = _on_fleet(Path(str(fleet)), profiles)
    found = _candidates(variants, targets, shares, budget, min_share if not on else 1.0)
    ordered = tuple(sorted(found, key=lambda c: (-c.accuracy, c.latency_ms)))
    return Selection(
        on or str(fleet),
        budget,
        min_share if not on else 1.0,
        metric,
        next((c for c in ordered if not c.reason), None),
        ordered,
        _front(ordered),
        (
            ASSUMPTION,
            "accuracies are the published ones: training yours may give another",
            "steady-state latency of a network that has the unit to itself",
        ),
    )


def variants_of(models: Sequence[str], metric: str = METRIC) -> tuple[Variant, ...]:
    """Variants with a published accuracy, of the named networks and families, or of all."""
    entries = zoo.entries()
    for name in models:
        if not any(name in (e.name, e.family) for e in entries):
            zoo.entry(name)  # raises with the nearest names
            raise UnknownModelError(
                f"{name!r} is one variant", f"give the network, {zoo.parse_spec(name)[0]!r}"
            )
    rows = [
        Variant(f"{e.name}@{a.parameters}" if a.parameters else e.name, a.precision, a)
        for e in entries
        if not models or e.name in models or e.family in models
        for a in e.accuracy
        if a.metric == metric
    ]
    if not rows:
        known = sorted({a.metric for e in entries for a in e.accuracy})
        raise PerfmodelError(
            f"no {metric} is published for {', '.join(models) or 'any network'}",
            f"--metric is one of {', '.join(known)}",
        )
    once = {(v.model, v.precision): v for v in reversed(rows)}
    return tuple(reversed(once.values()))


def _on_device(
    on: str, profiles: Sequence[ProfileSource]
) -> tuple[dict[str, float], list[Resolved]]:
    query, folder = parse_target(on), ProfileFolder(tuple(profiles))
    folder.resolve(on)  # refuses what no target answers
    profile = folder.device(query.device)
    steady = [t for t in profile.targets if t.latency_kind == "steady" and query.matches(t.target)]
    return {profile.device: 1.0}, [Resolved(profile, t) for t in steady]


def _on_fleet(
    path: Path, profiles: Sequence[ProfileSource]
) -> tuple[dict[str, float], list[Resolved]]:
    everyone = list(resolved_targets(ANY, profiles=profiles))
    names = {r.device.device for r in everyone}
    shares: dict[str, float] = {}
    for device, share in read_fleet(path).shares.items():
        name = known_as(device, names)
        if name is not None:
            shares[name] = shares.get(name, 0.0) + share
    if not shares:
        raise PerfmodelError(f"{path}: none of its devices has a profile")
    return shares, [r for r in everyone if r.device.device in shares]


def _candidates(
    variants: Sequence[Variant],
    targets: Sequence[Resolved],
    shares: Mapping[str, float],
    budget: Budget,
    min_share: float,
) -> Iterator[Candidate]:
    """Every variant by its best target on each device, joined over the devices."""
    specs = list(dict.fromkeys(v.model for v in variants))
    networks = Networks(specs, allow_uncovered=True)
    for variant in variants:
        place = specs.index(variant.model)
        best: dict[str, Candidate] = {}
        for resolved in targets:
            kind = "int8" if resolved.target.target.precision == "int8" else "float"
            if kind != variant.precision:
                continue
            one = _one(variant, networks, place, resolved, budget)
            device = resolved.device.device
            if one is not None and (device not in best or _worth(one) < _worth(best[device])):
                best[device] = one
        if best:
            yield _joined(best, shares, min_share)


def _one(
    variant: Variant, networks: Networks, place: int, resolved: Resolved, budget: Budget
) -> Candidate | None:
    predicted = networks.on(resolved)
    work, target = predicted.batch.works[place], resolved.target.target
    if work.uncovered_ops:
        return None
    bounds = float(predicted.low_ms[place]), float(predicted.high_ms[place])
    law = LatencyLaw.of(
        float(predicted.latency_ms[place]), *bounds, resolved.target.interval.coverage
    )
    latency = law.percentile_ms(budget.percentile)
    memory = memory_mb(work.params, work.peak_activation_bytes, target)
    energy = energy_mj(resolved, latency)
    return Candidate(
        variant.model,
        variant.precision,
        variant.accuracy.metric,
        variant.accuracy.value,
        variant.accuracy.source,
        str(target),
        latency,
        law.median_ms,
        law.chance_within(budget.max_latency_ms),
        memory,
        energy,
        1.0,
        bool(predicted.extrapolated[place]),
        _reason(budget, memory, latency, energy),
    )


def _reason(budget: Budget, memory: float, latency: float, energy: float | None) -> str:
    if budget.max_memory_mb is not None and memory > budget.max_memory_mb:
        return f"memory: {memory:.3g} MB"
    if latency > budget.max_latency_ms:
        return f"latency: p{budget.percentile:g} is {format_ms(latency)}"
    if budget.max_energy_mj is not None and (energy is None or energy > budget.max_energy_mj):
        return "energy: power not known" if energy is None else f"energy: {energy:.3g} mJ"
    return ""


def _worth(candidate: Candidate) -> tuple[bool, float]:
    return bool(candidate.reason), candidate.latency_ms


def _joined(
    best: Mapping[str, Candidate], shares: Mapping[str, float], min_share: float
) -> Candidate:
    """A variant over all devices: who passes, and the slowest of those (or the fastest at all)."""
    passing = [c for c in best.values() if not c.reason]
    share = sum(shares[d] for d, c in best.items() if not c.reason)
    shown = max(passing, key=lambda c: c.latency_ms, default=None)
    if shown is None:
        shown = min(best.values(), key=lambda c: c.latency_ms)
    if share >= min_share - 1e-9:
        return replace(shown, share=share, reason="")
    reason = shown.reason if len(shares) == 1 else f"only {100 * share:.3g} % of the fleet can"
    return replace(shown, share=share, reason=reason)


def _front(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Candidates that no other beats in latency and accuracy at once, the fastest first."""
    import numpy as np

    if not candidates:
        return ()
    costs = np.array([(c.latency_ms, -c.accuracy) for c in candidates])
    return tuple(candidates[i] for i in pareto_front(costs))


def emit(selection: Selection, folder: Path) -> Path:
    """Write the chosen network as .tflite (structure, random weights) for a trial run."""
    from perfmodel.formats.load import load
    from perfmodel.formats.tflite.writer import write_tflite

    if selection.chosen is None:
        raise PerfmodelError("nothing was chosen: there is nothing to write")
    chosen = selection.chosen
    name = chosen.model.replace("@", "_").replace("=", "").replace(",", "_")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}_{chosen.precision}.tflite"
    write_tflite(load(chosen.model), path, precision=WRITER_PRECISION[chosen.precision])
    return path
