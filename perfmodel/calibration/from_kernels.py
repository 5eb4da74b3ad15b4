"""A new target from single kernels: what known targets share, moved where the kernels say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from perfmodel.calibration.learn_kernels import LearnedKernels, target_traits
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.cost_models.interval import (
    NOVELTY_SLOPE,
    FitError,
    Interval,
    expected_error,
    expected_interval,
    fit_error,
)
from perfmodel.cost_models.kernel_population import KernelPopulation
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import TERMS
from perfmodel.cost_models.known_kernels import KnownKernels, RememberingPredictor
from perfmodel.cost_models.predictor import Predictor
from perfmodel.cost_models.scaled_predictor import ScaledPredictor
from perfmodel.devices.kernel_populations import shipped_population
from perfmodel.devices.registry import ProfileFolder, builtin_folder, list_targets, user_folder
from perfmodel.errors import MeasurementError, PerfmodelError, ProfileError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.columns import SHAPE
from perfmodel.measurements.kernels import table_from_rows
from perfmodel.target import Target

MAX_ROWS = 20_000
"""Kernels beyond this number teach nothing that a sample of them does not."""

FOLDS = 5
NETWORK_FOLDS = 10
MIN_NETWORKS = 3
"""Networks from which on whole ones are left out: what is asked for is the sum of their kernels."""

MIN_TESTED = 10
"""Fewer kernels than this are not left out in turn."""

FAR_SPEED = 0.02
"""How much the misfit of a known target grows by each log unit that its speed differs: of two that
explain the kernels alike, the one of about the same speed is better."""

LEAST_SD = 0.01
"""Least spread of kernels around what explains them, in log units: times are no surer."""

COMPARED = 200
"""Kernels by which the known target that is most alike is found; more would tell no better."""

UNTESTED_WIDTH = 0.7
"""Half width of a 90 % interval in log units where nothing could be left out: known devices of one
framework differ by a factor of two either way."""

LEFT_OUT = "networks left out in ten folds, sums of their kernels"
LEFT_OUT_KERNELS = "a fifth of the kernels left out in turn"
NOT_TESTED = "too few kernels to leave any out: spread between known devices"


@dataclass(frozen=True)
class MeasuredKernels:
    """Kernels of one target with their times in microseconds and the network each belongs to."""

    table: KernelTable
    latency_us: np.ndarray
    network: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, object]]) -> MeasuredKernels | None:
        """From rows of the canonical table; None if there are none."""
        if not rows:
            return None
        if len(rows) > MAX_ROWS:
            places = np.linspace(0, len(rows) - 1, MAX_ROWS).astype(int)
            rows = [rows[i] for i in places]
        columns: dict[str, np.ndarray] = {
            name: np.array([row[name] for row in rows], dtype=float) for name in (*SHAPE, "batch")
        }
        columns["op"] = np.array([str(row["op"]) for row in rows], dtype=object)
        try:
            table = table_from_rows(columns)
        except PerfmodelError as error:
            first = rows[0]
            raise MeasurementError(
                f"{first['origin_file']}: kernels: {error.message}", error.hint
            ) from error
        times = np.array([row["latency_us"] for row in rows], dtype=float)
        return cls(table, times, np.array([str(row["model"]) for row in rows], dtype=object))

    def take(self, index: np.ndarray) -> MeasuredKernels:
        """The rows at `index`."""
        return MeasuredKernels(self.table.take(index), self.latency_us[index], self.network[index])


Learned = KernelPopulation | LearnedKernels | None
"""What is known of other devices' kernels: what they share alone, or each of them as well."""


@dataclass(frozen=True, kw_only=True)
class FittedKernels:
    """A predictor with its interval and error, and what it was made from."""

    predictor: Predictor
    interval: Interval
    error: FitError
    borrowed_from: str
    reason: str


@dataclass(frozen=True)
class _Start:
    """What a new target starts from: makes a predictor from kernels; its name, and why it."""

    fit: Callable[[MeasuredKernels], Predictor]
    source: str
    reason: str


def fit_kernels(
    rows: MeasuredKernels,
    target: Target,
    folder: ProfileFolder,
    like: str = "",
    networks: Sequence[MeasuredNetwork] = (),
    population: Learned = None,
) -> FittedKernels:
    """A predictor of `target` from its kernels; whole networks, if any, set what lies between.

    It starts from what the known targets of the framework share, or from the one that is most
    alike (`population`, or what ships), whichever better predicts kernels that are left out; where
    nothing is known of the framework, or `like` names a device, from one known target.
    """
    starts = _starts(rows, target, folder, like, population)
    tested = [_left_out(start, rows) for start in starts]
    # where nothing could be left out the first start is taken
    best = int(np.argmin([np.abs(ratios).mean() if len(ratios) else 0.0 for ratios, _ in tested]))
    start, (ratios, experiment) = starts[best], tested[best]
    known = None if like else _known_times(target, population)
    if known is not None and len(rows.latency_us) >= MIN_TESTED:
        start = _beside_kin(start, rows, target, known)
        ratios, experiment = _left_out(start, rows)
    predictor = start.fit(rows)
    if networks:
        predictor = _with_networks(predictor, networks)
    return FittedKernels(
        predictor=predictor,
        interval=expected_interval(ratios, UNTESTED_WIDTH, NOVELTY_SLOPE),
        error=_error(ratios, experiment),
        borrowed_from=start.source,
        reason=start.reason,
    )


def _starts(
    rows: MeasuredKernels, target: Target, folder: ProfileFolder, like: str, learned: Learned
) -> list[_Start]:
    """What a target may start from; the first is taken where no other is better."""
    given = learned.population if isinstance(learned, LearnedKernels) else learned
    shared = None if like else given or shipped_population(target)
    if shared is None:
        return [_nearest(rows, target, folder, like)]
    if isinstance(learned, LearnedKernels):
        known: list[tuple[Target, Predictor]] = list(learned.targets.items())
    else:
        known = [] if learned else _shipped_alike(target)
    others = [(t, p) for t, p in known if t.device != target.device and p.times_single_kernels]
    return [_from_all(shared, target), *(_from_one(rows, others) if others else ())]


def _known_times(target: Target, learned: Learned) -> KnownKernels | None:
    """What kernels took on the known targets of a framework on a unit."""
    given = learned.population if isinstance(learned, LearnedKernels) else learned
    shared = given or shipped_population(target)
    return None if shared is None else shared.known


def _beside_kin(
    start: _Start, rows: MeasuredKernels, target: Target, known: KnownKernels
) -> _Start:
    """The start, and the times of the target's nearest kin at its speed, each by how well it does.

    The start alone where it explains kernels that were left out of it better than the kin does: it
    is wrong now on this kernel and now on that, the kin on a whole kind of them.
    """

    folds = np.arange(len(rows.latency_us)) % FOLDS
    left_out = np.log(rows.latency_us / _cross_predicted(start, rows, folds, FOLDS))
    alone = max(float(left_out.var()), LEAST_SD**2)

    def fit(some: MeasuredKernels) -> Predictor:
        fitted = start.fit(some)
        near = known.nearest(some.table, some.latency_us, target.device)
        if near is None:
            return fitted
        share = alone / (alone + max(near.sd, LEAST_SD) ** 2)
        return RememberingPredictor(base=fitted, log_us=near.log_us, share=share)

    near = known.nearest(rows.table, rows.latency_us, target.device)
    if near is None or near.sd**2 >= alone:
        return start
    words = f"; beside it count the times of {near.target} at its speed"
    return _Start(fit, start.source, start.reason + words)


def _from_one(rows: MeasuredKernels, known: Sequence[tuple[Target, Predictor]]) -> list[_Start]:
    """The known target that is most alike: at another speed, or moved where kernels say so."""
    count = len(rows.latency_us)
    some = rows.take(np.unique(np.linspace(0, count - 1, min(count, COMPARED)).astype(int)))
    misfit, source, base = min(
        ((_misfit(p, some), str(t), p) for t, p in known), key=lambda found: found[:2]
    )
    reason = (
        f"of {len(known)} known targets it explains the kernels best, with "
        f"{100 * np.expm1(misfit):.0f} % misfit after one scale, and those that were left out "
        "better than what all of them share"
    )
    return [_Start(partial(fit, base), source, reason) for fit in (_scaled, _adapted)]


def _scaled(base: Predictor, rows: MeasuredKernels) -> Predictor:
    ratio = np.log(rows.latency_us / predicted_us(base, rows.table))
    return ScaledPredictor(base=base, log_factor=round(float(np.median(ratio)), 5))


def _shipped_alike(target: Target) -> list[tuple[Target, Predictor]]:
    """Measured targets of the same framework, unit and precision of the profiles that ship."""
    shipped, folder, wanted = builtin_folder(), ProfileFolder(), str(target).split("/")[1:4]
    same = [line.device for line in list_targets() if line.target.split("/")[1:4] == wanted]
    found: list[tuple[Target, Predictor]] = []
    for name in dict.fromkeys(same):
        file = folder.file_of(name)
        if file is not None and file.parent == shipped:
            measured = [t for t in folder.profile(name).targets if t.provenance.measurements > 0]
            alike = [t for t in measured if str(t.target).split("/")[1:4] == wanted]
            found += [(t.target, t.predictor) for t in alike]
    return found


def _from_all(population: KernelPopulation, target: Target) -> _Start:
    traits = target_traits(target)
    return _Start(
        lambda rows: population.calibrated(rows.table, traits, rows.latency_us),
        f"the known targets of {target.framework} on a {target.unit}",
        "they share physics and corrections, and what they differ in is learned from few kernels",
    )


def _nearest(rows: MeasuredKernels, target: Target, folder: ProfileFolder, like: str) -> _Start:
    """The known target whose kernels differ least from the measured ones, after one scale."""
    found = [
        (t, p)
        for t, p in _known(folder, like)
        if t.device != target.device and (not like or t.device == like)
    ]
    timed = [(t, p) for t, p in found if p.times_single_kernels]
    if like and not timed:
        raise MeasurementError(
            f"--like {like}: that device has no kernel-level model to borrow",
            "name a device with one, or leave --like out",
        )
    same = [(t, p) for t, p in timed if (t.framework, t.unit) == (target.framework, target.unit)]
    for words, near in (
        (f"{target.framework} on a {target.unit}", same),
        (f"any framework on a {target.unit}", [(t, p) for t, p in timed if t.unit == target.unit]),
        (
            f"any framework on a {target.unit}, measured in whole networks,",
            [(t, p) for t, p in found if t.unit == target.unit],
        ),
    ):
        if near:
            misfit, source, base = min(
                ((_misfit(p, rows), str(t), p) for t, p in near), key=lambda s: (s[0], s[1])
            )
            reason = (
                f"of {len(near)} targets with {words} it explains the kernels best: "
                f"{100 * np.expm1(misfit):.0f} % misfit after one scale"
            )
            return _Start(partial(_adapted, base), source, reason)
    blank = KernelPredictor(
        machine=target_traits(target).machine,
        cells={},
        families={},
        default=(0.0,) * len(TERMS),
        forests={},
        ranges={},
    )
    nothing = f"no known target runs on a {target.unit}"
    return _Start(partial(_adapted, blank), "the physics alone", nothing)


def _adapted(base: Predictor, rows: MeasuredKernels) -> Predictor:
    return base.adapted(rows.table, rows.latency_us)


def _known(folder: ProfileFolder, like: str) -> list[tuple[Target, Predictor]]:
    """Targets of the profiles that ship or are given, and of the device that `like` names.

    The other profiles in the user's folder are no evidence about new devices.
    """
    own = user_folder()
    found = []
    for name in folder.names():
        file = folder.file_of(name)
        is_own = file is not None and file.parent == own and not folder.is_named(name)
        if is_own and own != builtin_folder() and name != like:
            continue
        try:
            found += [(t.target, t.predictor) for t in folder.profile(name).targets]
        except ProfileError:
            continue  # a damaged file of somebody else must not stop this calibration
    return found


def predicted_us(predictor: Predictor, table: KernelTable) -> np.ndarray:
    """Microseconds of every kernel."""
    times: np.ndarray = predictor.parts_ms(table).sum(axis=1) * 1e3
    return times


def _misfit(predictor: Predictor, rows: MeasuredKernels) -> float:
    ratio = np.log(rows.latency_us / predicted_us(predictor, rows.table))
    middle = float(np.median(ratio))
    return float(np.median(np.abs(ratio - middle)) + FAR_SPEED * abs(middle))


def _with_networks(predictor: Predictor, networks: Sequence[MeasuredNetwork]) -> Predictor:
    """What whole networks take beyond their kernels is a fixed cost, never below zero."""
    beyond = [m.latency_ms - predictor.parts_ms(m.kernels).sum() for m in networks]
    return predictor.with_overhead(float(f"{max(float(np.median(beyond)), 0.0):.6g}"))


def _left_out(start: _Start, rows: MeasuredKernels) -> tuple[np.ndarray, str]:
    """log(measured / predicted) out of sample: sums by network, or kernels."""
    networks = sorted(set(rows.network.tolist()) - {""})
    if len(networks) >= MIN_NETWORKS:
        folds = min(len(networks), NETWORK_FOLDS)
        fold = {name: i % folds for i, name in enumerate(networks)}
        label = np.array([fold.get(n, -1) for n in rows.network])
        predicted = _cross_predicted(start, rows, label, folds)
        sums = [rows.network == name for name in networks]
        return np.array([np.log(rows.latency_us[s].sum() / predicted[s].sum()) for s in sums]), (
            LEFT_OUT
        )
    count = len(rows.latency_us)
    if count < MIN_TESTED:
        return np.zeros(0), NOT_TESTED
    predicted = _cross_predicted(start, rows, np.arange(count) % FOLDS, FOLDS)
    return np.log(rows.latency_us / predicted), LEFT_OUT_KERNELS


def _cross_predicted(
    start: _Start, rows: MeasuredKernels, label: np.ndarray, folds: int
) -> np.ndarray:
    """Microseconds of every row by a fit that did not see its fold; NaN in no fold."""
    out = np.full(len(label), np.nan)
    for fold in range(folds):
        held = label == fold
        fitted = start.fit(rows.take(np.flatnonzero(~held)))
        out[held] = predicted_us(fitted, rows.table.take(held))
    return out


def _error(ratios: np.ndarray, experiment: str) -> FitError:
    if not len(ratios):
        return expected_error(experiment, UNTESTED_WIDTH)
    return fit_error(experiment, ratios)
