"""What a new target starts from: the population of its framework and unit, or its nearest kin.

Profiles of users are no evidence about others and count only when they are named (`like`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from perfmodel.calibration.adapt import Start
from perfmodel.calibration.device_kinds import of_class, same_class, shipped_kinds
from perfmodel.calibration.population import Population, precision_class, shipped_population
from perfmodel.cost_models.departures import loadings
from perfmodel.cost_models.interval import MEDIAN_SD, NORMAL_90
from perfmodel.cost_models.plain_data import Range, joined_ranges
from perfmodel.cost_models.predictor import WorkCosts
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.cost_models.work_predictor import MAX_LOG_COST
from perfmodel.devices.profile import TargetProfile, read_profile
from perfmodel.devices.profile_files import builtin_folder, device_files
from perfmodel.devices.registry import ProfileFolder, ProfileSource
from perfmodel.errors import ProfileError, TargetError
from perfmodel.target import Target

ENOUGH = 5
"""Known targets from which on their spread says how targets of that kind differ."""

OWN_SD, SHARED_SD = 0.3, 0.4
"""Least spread of log costs between targets of profiles: of each kind of work, and of kinds that go
together. Profiles hold shrunken costs, whose own spread says too little."""

LEAST_ERROR, LARGEST_ERROR = 0.04, 0.25
"""Bounds of the misfit of networks under costs alone, where profiles' own errors tell it."""

PROFILE_NOISE = 0.03
"""Log spread of one careful measurement, as in `learn.NOISE_SD`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prior:
    """A population and what of it counts; `like` is the known target that was asked for."""

    population: Population
    start: Start | None = None
    like: str = ""


@dataclass(frozen=True)
class Known:
    """A target of a profile with costs by kind of work."""

    target: Target
    profile: TargetProfile
    costs: WorkCosts


def prior_for(
    target: Target,
    *,
    like: str = "",
    population: Population | None = None,
    profiles: Sequence[ProfileSource] = (),
    kind: str = "",
) -> Prior:
    """What a target is learned from; raises `TargetError` where nothing is known.

    `population` is taken if given, else the one that ships for the target's framework, unit and
    precision, else targets of shipped profiles that have most in common with it. `like` names a
    device whose target counts alone, from any profile. A GPU borrows from those of devices of
    `kind`'s class: a phone's does not from a desktop's.
    """
    base = population or known_population(target, kind)
    if not like:
        return Prior(population=base)
    known = _find_like(_of_device(ProfileFolder(tuple(profiles)), like), like, target)
    name = str(known.target)
    if name not in base.names:
        base = _with(base, known)
    weights = np.array([float(n == name) for n in base.names])
    return Prior(population=base, start=Start(weights=weights), like=name)


def known_population(target: Target, kind: str) -> Population:
    """What is known of targets like one on a device of `kind` ("" any)."""
    shipped = shipped_population(target)
    if shipped is None:
        return kin_population(target, kind)
    return of_class(shipped, kind, ENOUGH) if target.unit == "gpu" else shipped


def _with(base: Population, known: Known) -> Population:
    """The population and one more target, whose times follow from its profile."""
    costs = _paid(known.costs.log_cost, base.features)
    times = np.zeros((1, len(base.networks)))
    if len(base.networks):
        factor, _ = known.costs.correction.of_described(base.anchors)
        times = (np.log(base.work @ np.exp(costs)) + factor)[None]
    return replace(
        base,
        names=(*base.names, str(known.target)),
        cores=(*base.cores, "") if base.cores else (),
        log_cost=np.vstack([base.log_cost, costs]),
        log_ms=np.vstack([base.log_ms, times]),
        measured=np.vstack([base.measured, np.zeros_like(times, dtype=bool)]),
    )


def _paid(log_cost: Sequence[float], features: int) -> np.ndarray:
    """Costs by that many features: what a target does not pay for costs it next to nothing."""
    costs = np.full(features, -MAX_LOG_COST)
    costs[: len(log_cost)] = log_cost[:features]
    return costs


def _known(profiles: Sequence[TargetProfile]) -> list[Known]:
    return [
        Known(t.target, t, costs) for t in profiles if (costs := t.predictor.work_costs) is not None
    ]


@lru_cache(maxsize=1)
def shipped_targets() -> tuple[Known, ...]:
    """Every target of the profiles that ship with costs by kind of work."""
    found: list[Known] = []
    for path in device_files(builtin_folder()):
        found += _known(read_profile(path).targets)
    return tuple(found)


def _of_device(folder: ProfileFolder, name: str) -> list[Known]:
    try:
        return _known(folder.profile(name).targets)
    except ProfileError as error:
        raise TargetError(f"--like {name}: {error.message}", error.hint) from error


def kin(known: Sequence[Known], like: Target, kind: str = "") -> tuple[tuple[Known, ...], str]:
    """The known targets that are most like `like` and still enough, and what they share."""
    kinds = shipped_kinds()
    if like.unit == "gpu":
        alike = [k for k in known if same_class(kind, kinds.get(k.target.device, ""))]
        on_gpus = sum(k.target.unit == "gpu" for k in alike)
        known = alike if on_gpus >= ENOUGH else known
    precision = precision_class(like.precision)

    def same(k: Known) -> bool:
        return k.target.framework == like.framework and k.target.unit == like.unit

    tests: tuple[tuple[str, Callable[[Known], bool]], ...] = (
        (
            f"{like.framework} on a {like.unit}, {precision}",
            lambda k: same(k) and precision_class(k.target.precision) == precision,
        ),
        (f"{like.framework} on a {like.unit}", same),
        (f"any framework on a {like.unit}", lambda k: k.target.unit == like.unit),
        ("any target", lambda k: True),
    )
    for words, test in tests:
        chosen = tuple(k for k in known if test(k))
        if len(chosen) >= ENOUGH:
            return chosen, words
    raise TargetError("fewer than five known targets to borrow from", "install the profiles")


FROM_NETWORKS, ADAPTED_SDS = 10, 2.0
"""From how many networks on how many expected standard deviations hold 90 % of the networks of a
new target: those of ncnn's CPUs, each left out (`Population.width_factors` of what ships). What is
expected is of the measured networks themselves where no network is known, which is less."""


def kin_population(target: Target, kind: str = "") -> Population:
    """The costs of the shipped targets that are most like a target; no network is known."""
    chosen, words = kin(shipped_targets(), target, kind)
    # what some of them do not pay for nobody is asked to
    features = min(len(k.costs.log_cost) for k in chosen)
    costs = np.array([k.costs.log_cost[:features] for k in chosen])
    shapes = costs - np.median(costs, axis=1, keepdims=True)
    least = loadings(OWN_SD, SHARED_SD, features)
    error = float(np.median([k.profile.error.median for k in chosen]))
    misfit = float(np.clip(error, LEAST_ERROR, LARGEST_ERROR)) / MEDIAN_SD
    return Population(
        framework=words,
        unit=target.unit,
        precision=precision_class(target.precision),
        names=tuple(str(k.target) for k in chosen),
        networks=(),
        anchors=np.zeros((0, len(FEATURE_NAMES))),
        work=np.zeros((0, features)),
        log_cost=costs,
        log_ms=np.zeros((len(chosen), 0)),
        measured=np.zeros((len(chosen), 0), dtype=bool),
        spread=least @ least.T,
        wide=np.cov(shapes.T),
        noise_sd=PROFILE_NOISE,
        strange_sd=misfit,
        strange_width=ADAPTED_SDS * misfit,
        width_factors={0: NORMAL_90, FROM_NETWORKS: ADAPTED_SDS},
        ranges=all_ranges([k.costs.ranges for k in chosen]),
    )


def _find_like(mine: Sequence[Known], device: str, like: Target) -> Known:
    """The target of `device` that is most like `like`; raises `TargetError`."""
    if not mine:
        raise TargetError(
            f"--like {device}: no profile of that device whose costs can be borrowed",
            "`perfmodel devices` lists all",
        )

    def distance(k: Known) -> tuple[int, ...]:
        t = k.target
        return (
            int(t.unit != like.unit),
            int(precision_class(t.precision) != precision_class(like.precision)),
            int(t.framework != like.framework),
            int(bool(like.cluster) and t.cluster != like.cluster),
            abs(t.threads - like.threads) if like.threads else 0,
        )

    return min(mine, key=lambda k: (distance(k), str(k.target)))


def all_ranges(ranges: Sequence[Mapping[str, Range]]) -> dict[str, Range]:
    """Widest range by kernel class."""
    out: dict[str, Range] = {}
    for one in ranges:
        out = joined_ranges(out, one)
    return dict(sorted(out.items()))
