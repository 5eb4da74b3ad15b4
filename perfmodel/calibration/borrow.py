"""What a new target borrows from the targets that profiles know: a prior over costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.calibration.adapt import Measured, Prior
from perfmodel.cost_models.plain_data import Range
from perfmodel.cost_models.predictor import WorkCosts
from perfmodel.cost_models.work_model import loadings
from perfmodel.cost_models.work_predictor import work_matrix
from perfmodel.devices.profile import TargetProfile
from perfmodel.devices.registry import ProfileFolder
from perfmodel.errors import ProfileError, TargetError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.target import Target

ENOUGH = 5
"""Known targets from which on their spread says how targets of that kind differ."""

SCALE_SD = 1.5
"""Standard deviation of a new device's overall speed in log units, before any measurement."""

LIKE_SHARE = 0.35
"""Variance around a device that is said to be alike, as a share of that around the average one."""

OWN_SD, SHARED_SD = 0.3, 0.4
"""Least spread of log costs between targets: of each kind of work, of kinds that go together.
Profiles hold shrunken costs, whose own spread says too little."""

NOISE_LOW, NOISE_HIGH = 0.04, 0.25


@dataclass(frozen=True, eq=False)
class MeasuredNetwork:
    """One network of a table: its name or path, its kernels as the target runs them, its time."""

    name: str
    kernels: KernelTable
    latency_ms: float

    def for_prior(self, prior: Prior) -> Measured:
        """As the adaptation takes it."""
        work = work_matrix(self.kernels, prior.precision).sum(axis=0)
        return Measured(work, self.latency_ms, self.name)


@dataclass(frozen=True)
class Known:
    """A target of a profile whose costs can be borrowed."""

    target: Target
    profile: TargetProfile
    predictor: WorkCosts


@dataclass(frozen=True)
class Borrowed:
    """A prior, whose costs it starts from, and why."""

    prior: Prior
    source: str
    reason: str
    known: int


def known_targets(folder: ProfileFolder, skip: str = "") -> tuple[Known, ...]:
    """Every target with costs by kind of work; device `skip` is left out."""
    found = []
    for name in folder.names():
        if name == skip:
            continue
        try:
            found += [
                Known(t.target, t, costs)
                for t in folder.device(name).targets
                if (costs := t.predictor.work_costs) is not None
            ]
        except ProfileError:
            continue  # a damaged file of somebody else must not stop this calibration
    return tuple(found)


def kin(known: Sequence[Known], like: Target) -> tuple[tuple[Known, ...], str]:
    """The known targets that are most like `like` and still enough, and what they share."""
    same_bytes = (like.precision == "int8",)
    tests = (
        (
            f"{like.framework} on a {like.unit}, precision {like.precision}",
            lambda k: (
                k.target.framework == like.framework
                and k.target.unit == like.unit
                and (k.target.precision == "int8",) == same_bytes
            ),
        ),
        (
            f"{like.framework} on a {like.unit}",
            lambda k: k.target.framework == like.framework and k.target.unit == like.unit,
        ),
        (f"any framework on a {like.unit}", lambda k: k.target.unit == like.unit),
        ("any target", lambda k: True),
    )
    for words, test in tests:
        chosen = tuple(k for k in known if test(k))
        if len(chosen) >= ENOUGH:
            return chosen, words
    raise TargetError("fewer than five known targets to borrow from", "install the profiles")


def find_like(known: Sequence[Known], device: str, like: Target) -> Known:
    """The target of `device` that is most like `like`; raises `TargetError`."""
    mine = [k for k in known if k.target.device == device]
    if not mine:
        raise TargetError(
            f"--like {device}: no profile of that device whose costs can be borrowed",
            "`perfmodel devices` lists all",
        )

    def distance(k: Known) -> tuple[int, ...]:
        t = k.target
        return (
            int(t.unit != like.unit),
            int((t.precision == "int8") != (like.precision == "int8")),
            int(t.framework != like.framework),
            int(bool(like.cluster) and t.cluster != like.cluster),
            abs(t.threads - like.threads) if like.threads else 0,
        )

    return min(mine, key=lambda k: (distance(k), str(k.target)))


def population(kin_targets: Sequence[Known], precision: str) -> Prior:
    """Average costs of some targets and how targets depart from them."""
    costs = np.array([k.predictor.log_cost for k in kin_targets])
    scale = np.median(costs, axis=1)
    shape = costs - scale[:, None]
    least = loadings(OWN_SD, SHARED_SD)
    covariance = np.cov(shape.T) + least @ least.T
    error = float(np.median([k.profile.error.median for k in kin_targets]))
    noise = float(np.clip(error / 0.6745, NOISE_LOW, NOISE_HIGH))
    return Prior(
        np.median(shape, axis=0),
        covariance,
        float(np.median(scale)),
        SCALE_SD,
        noise,
        precision,
        _joined([k.predictor.ranges for k in kin_targets]),
    )


def around(prior: Prior, known: Known) -> Prior:
    """The prior centred on one known target, with less room to depart from its shape."""
    costs = np.array(known.predictor.log_cost)
    scale = float(np.median(costs))
    return Prior(
        costs - scale,
        prior.covariance * LIKE_SHARE,
        scale,
        prior.scale_sd,
        prior.noise_sd,
        prior.precision,
        prior.ranges,
    )


def nearest(
    kin_targets: Sequence[Known], measured: Sequence[MeasuredNetwork]
) -> tuple[Known, float]:
    """The known target that explains measurements best up to its scale, and the misfit left.

    A device of about the same speed is preferred, which decides where there is one measurement.
    """
    best, least = kin_targets[0], np.inf
    works: dict[str, np.ndarray] = {}
    logs = np.log([m.latency_ms for m in measured])
    for k in kin_targets:
        precision = k.predictor.precision
        if precision not in works:
            works[precision] = network_work([m.kernels for m in measured], precision)
        ratio = logs - np.log(works[precision] @ np.exp(k.predictor.log_cost))
        middle = float(np.median(ratio))
        misfit = float(np.sqrt(np.mean((ratio - middle) ** 2) + (0.1 * middle) ** 2))
        if misfit < least:
            best, least = k, misfit
    return best, least


def network_work(tables: Sequence[KernelTable], precision: str) -> np.ndarray:
    """Work of networks by kind, shape (networks, features)."""
    return np.array([work_matrix(t, precision).sum(axis=0) for t in tables])


def borrow(
    known: Sequence[Known], target: Target, measured: Sequence[MeasuredNetwork], like: str = ""
) -> tuple[Borrowed, ...]:
    """Priors worth trying for a target: the one asked for, or the average and the nearest."""
    precision = "int8" if target.precision == "int8" else "fp32"
    relatives, words = kin(known, target)
    average = population(relatives, precision)
    if like:
        chosen = find_like(known, like, target)
        reason = f"asked for by --like {like}; how targets differ from {words}"
        return (Borrowed(around(average, chosen), str(chosen.target), reason, len(relatives)),)
    general = Borrowed(
        average, f"the average of {len(relatives)} targets", f"{words}", len(relatives)
    )
    if not measured:
        return (general,)
    chosen, misfit = nearest(relatives, measured)
    reason = (
        f"of {len(relatives)} targets with {words} it explains the measurements best: "
        f"{100 * np.expm1(misfit):.0f} % misfit after one scale"
    )
    near = Borrowed(around(average, chosen), str(chosen.target), reason, len(relatives))
    return general, near


def _joined(ranges: Sequence[Mapping[str, Range]]) -> dict[str, Range]:
    """Widest range by kernel class."""
    out: dict[str, Range] = {}
    for one in ranges:
        for name, (low, high) in one.items():
            if name in out:
                a, b = out[name]
                low = tuple(min(x, y) for x, y in zip(a, low, strict=True))
                high = tuple(max(x, y) for x, y in zip(b, high, strict=True))
            out[name] = (low, high)
    return dict(sorted(out.items()))
