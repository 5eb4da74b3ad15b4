"""The most accurate variant of a network that meets a budget, on a device or a share of a fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perfmodel import zoo
from perfmodel.answer import Answer
from perfmodel.devices.registry import ProfileFolder, ProfileSource, Resolved
from perfmodel.errors import PerfmodelError, UnknownModelError
from perfmodel.explore.candidates import (
    ANY,
    Budget,
    Estimate,
    Networks,
    PredictedNetwork,
    estimate,
    resolved_targets,
    worth,
)
from perfmodel.explore.fleet import known_as, read_fleet
from perfmodel.explore.latency_law import ASSUMPTION
from perfmodel.explore.pareto import pareto_front
from perfmodel.target import ANY_PART, QUANTISED, parse_target
from perfmodel.zoo import Accuracy

METRIC = "imagenet_top1"
WRITER_PRECISION = {"float": "float32", "int8": "int8"}


@dataclass(frozen=True)
class Variant:
    """A network of the zoo at a precision with a published accuracy."""

    model: str
    precision: str
    accuracy: Accuracy


@dataclass(frozen=True, kw_only=True)
class Candidate(Estimate):
    """A variant and how it does: on one device, or the part of a fleet that it reaches.

    `latency_ms` is at the budget's percentile; on a fleet it is that of the slowest phone that
    passes. `share` is 1 or 0 on a device.
    """

    precision: str
    metric: str
    accuracy: float
    accuracy_source: str
    share: float


@dataclass(frozen=True, kw_only=True)
class Selection(Answer, command="select"):
    """The chosen variant, or None; all candidates, the most accurate first.

    Candidates that are not `known` anywhere are never chosen and not on the `front`.
    """

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
    allow_uncovered: bool = False,
) -> Selection:
    """The most accurate variant within a latency, memory and energy budget.

    `models` are names or families of the zoo (none: every network with a published `metric`); their
    variants are those with a published accuracy. Either `on` a device (or any target of it), or
    such that `min_share` of the users of a `fleet` can run it. Raises `PerfmodelError`s.
    """
    if bool(on) == (fleet is not None):
        raise PerfmodelError("select needs either --on DEVICE or --fleet FILE")
    if not 0 < min_share <= 1:
        raise PerfmodelError(f"--min-share is a share of 1, above 0 and at most 1, got {min_share}")
    budget = Budget(
        max_latency_ms=max_latency_ms,
        percentile=percentile,
        max_memory_mb=max_memory_mb,
        max_energy_mj=max_energy_mj,
    )
    asked = _Asked(variants_of(models, metric), budget, allow_uncovered)
    on_device = _on_device(on, profiles) if on else None
    shares, targets = on_device or _on_fleet(Path(str(fleet)), profiles)
    least = min_share if not on else 1.0
    found = _candidates(asked, targets, shares, least)
    ordered = tuple(sorted(found, key=lambda c: (-c.accuracy, c.latency_ms)))
    return Selection(
        place=on or str(fleet),
        budget=budget,
        min_share=least,
        metric=metric,
        chosen=next((c for c in ordered if not c.reason), None),
        candidates=ordered,
        front=_front([c for c in ordered if c.known]),
        assumptions=(
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
            entry = zoo.entry(name)  # raises with the nearest names
            raise UnknownModelError(f"{name!r} is one variant", f"give the network, {entry.name!r}")
    asked = [e for e in entries if not models or e.name in models or e.family in models]
    rows = [
        Variant(f"{e.name}@{a.parameters}" if a.parameters else e.name, a.precision, a)
        for e in asked
        for a in e.accuracy
        if a.metric == metric
    ]
    if not rows:
        own = {a.metric for e in asked for a in e.accuracy}
        known = sorted(own or {a.metric for e in entries for a in e.accuracy})
        raise PerfmodelError(
            f"no {metric} is published for {', '.join(models) or 'any network'}",
            f"--metric is one of {', '.join(known)}"
            if len(known) > 1
            else f"add --metric {known[0]}",
        )
    once = {(v.model, v.precision): v for v in reversed(rows)}
    return tuple(reversed(once.values()))


def _on_device(
    on: str, profiles: Sequence[ProfileSource]
) -> tuple[dict[str, float], list[Resolved]]:
    query, folder = parse_target(on), ProfileFolder(tuple(profiles))
    # refuses what no target answers; `*` is all that the device has
    profile = folder.resolve("/".join(p for p in on.split("/") if p != ANY_PART)).device
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


@dataclass(frozen=True)
class _Asked:
    """The variants in question, under a budget."""

    variants: Sequence[Variant]
    budget: Budget
    allow_uncovered: bool

    def best(self, targets: Sequence[Resolved]) -> Iterator[dict[str, Candidate]]:
        """Every variant by its best target on each device; not those that none can predict."""
        specs = list(dict.fromkeys(v.model for v in self.variants))
        networks = Networks(specs, allow_uncovered=self.allow_uncovered)
        answers = [networks.on(resolved) for resolved in targets]
        for variant in self.variants:
            place = specs.index(variant.model)
            best: dict[str, Candidate] = {}
            for resolved, row in zip(targets, answers, strict=True):
                answer, device = row[place], resolved.device.device
                quantised = resolved.target.target.precision in QUANTISED
                if quantised != (variant.precision == "int8") or isinstance(answer, PerfmodelError):
                    continue
                one = _candidate(variant, answer, self.budget)
                if device not in best or worth(one) < worth(best[device]):
                    best[device] = one
            yield best


def _candidates(
    asked: _Asked, targets: Sequence[Resolved], shares: Mapping[str, float], min_share: float
) -> list[Candidate]:
    """Every variant that any target predicts, joined over the devices."""
    return [_joined(best, shares, min_share) for best in asked.best(targets) if best]


def _candidate(variant: Variant, answer: PredictedNetwork, budget: Budget) -> Candidate:
    # the name of the variant with its parameters, not the name that its graph bears
    shared = vars(estimate(answer, budget)) | {"model": variant.model}
    return Candidate(
        **shared,
        precision=variant.precision,
        metric=variant.accuracy.metric,
        accuracy=variant.accuracy.value,
        accuracy_source=variant.accuracy.source,
        share=1.0,
    )


def _joined(
    best: Mapping[str, Candidate], shares: Mapping[str, float], min_share: float
) -> Candidate:
    """A variant over all devices: who passes, and the slowest of those (or the fastest at all)."""
    passing = [c for c in best.values() if not c.reason]
    share = sum(shares[d] for d, c in best.items() if not c.reason)
    shown = max(passing, key=lambda c: c.latency_ms, default=None)
    if shown is None:
        shown = min(best.values(), key=worth)
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


def emitted_path(selection: Selection, folder: Path) -> Path:
    """Where `emit` writes the chosen network; `PerfmodelError` where none was chosen."""
    chosen = selection.chosen
    if chosen is None:
        raise PerfmodelError("nothing was chosen: there is nothing to write")
    name = chosen.model.replace("@", "_").replace("=", "").replace(",", "_")
    return folder / f"{name}_{chosen.precision}.tflite"


def emit(selection: Selection, folder: Path) -> Path:
    """Write the chosen network as .tflite (structure, random weights) for a trial run."""
    from perfmodel.formats.load import load
    from perfmodel.formats.tflite.writer import write_tflite

    path, chosen = emitted_path(selection, folder), selection.chosen
    assert chosen is not None
    folder.mkdir(parents=True, exist_ok=True)
    write_tflite(load(chosen.model), path, precision=WRITER_PRECISION[chosen.precision])
    return path
