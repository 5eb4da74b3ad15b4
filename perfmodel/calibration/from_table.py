"""Calibration: a measurement table in, the profile of a device out; from one row to thousands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.answer import Answer
from perfmodel.calibration.adapt import Adaptation, Start, adapt
from perfmodel.calibration.beside_sheet import named_chip, targets_beside
from perfmodel.calibration.families import FEWEST_BLOCKS, blocks_of, family_of_model
from perfmodel.calibration.from_kernels import Learned, fit_kernels
from perfmodel.calibration.from_spec import start_from_sheet
from perfmodel.calibration.measured import (
    NetworkTables,
    TargetRows,
    largest_processor,
    rows_by_target,
)
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.npu import NpuPopulation
from perfmodel.calibration.npu_target import CalibratedTarget, is_npu, npu_target, origin
from perfmodel.calibration.plausible_rows import implausible
from perfmodel.calibration.population import Population, precision_class
from perfmodel.calibration.prior import Prior, known_population, prior_for
from perfmodel.cost_models.interval import (
    NOVELTY_SLOPE,
    FitError,
    expected_error,
    expected_interval,
    fit_error,
)
from perfmodel.cost_models.plain_data import joined_ranges
from perfmodel.cost_models.work_predictor import EfficiencyPredictor, size_ranges
from perfmodel.devices.profile import DeviceProfile, Provenance, TargetProfile
from perfmodel.devices.registry import ProfileFolder, ProfileSource
from perfmodel.devices.sheet_data import MeasuredSheet
from perfmodel.errors import MeasurementError
from perfmodel.measurements.read import untold
from perfmodel.measurements.table import BadRow, MeasurementTable
from perfmodel.target import QUANTISED, Target, check_device

EACH_FAMILY = "each network family left out in turn"
EACH_NETWORK = "each network left out in turn; all are of one or two families"
NOT_TESTED = "too few networks to leave any out: spread that the model expects"

Populations = Population | NpuPopulation | Sequence[Population | NpuPopulation] | None


@dataclass(frozen=True)
class Calibration(Answer, command="calibrate"):
    """A device's new profile with what was borrowed, and the rows that were not used."""

    device: DeviceProfile
    targets: tuple[CalibratedTarget, ...]
    unused: tuple[BadRow, ...]


def calibrate(
    table: MeasurementTable,
    *,
    device: str,
    like: str = "",
    population: Populations = None,
    kernels: Learned = None,
    profiles: Sequence[ProfileSource] = (),
    cores: str = "",
    pick: str = "",
    trusted: bool = False,
) -> DeviceProfile:
    """The profile of `device` from its measurements; see `calibrate_device`."""
    return calibrate_device(
        table,
        device=device,
        like=like,
        population=population,
        kernels=kernels,
        profiles=profiles,
        cores=cores,
        pick=pick,
        trusted=trusted,
    ).device


def calibrate_device(
    table: MeasurementTable,
    *,
    device: str,
    like: str = "",
    kind: str = "phone",
    title: str = "",
    skip_bad: bool = False,
    population: Populations = None,
    kernels: Learned = None,
    profiles: Sequence[ProfileSource] = (),
    cores: str = "",
    chip: str = "",
    networks: NetworkTables | None = None,
    pick: str = "",
    trusted: bool = False,
    doing: Callable[[str], None] = untold,
) -> Calibration:
    """Fit every target that `table` measures, borrowing from known targets what it cannot show.

    `population` is what is known of other devices, one or several (`learn_population`), `kernels`
    of those whose kernels were measured (all that `learn_kernels` gives, or its population alone);
    left out, it is what ships.
    `like` names a known device to start from, which may be one of `profiles`; `cores` the CPU's
    as a spec sheet writes them (4xCortex-A76@2.4+4xCortex-A55@1.8), `chip` the market's chip, whose
    unmeasured targets then come from its sheet, moved by what was measured. `networks` keeps what
    was read and fused for another call; `pick` (min, median, newest) decides between measurements
    of one network that disagree; times that are `trusted` (measured by the caller, or of a study)
    are not compared with those of known devices; `doing` is told each step in words.
    Raises `MeasurementError` (file, line, reason) for rows that cannot be used, unless `skip_bad`.
    """
    check_device(device)
    market = named_chip(chip) if chip else None
    cores = cores or (market.cores_text if market else "")
    groups, unused = rows_by_target(
        table, device=device, skip_bad=skip_bad, networks=networks, pick=pick, doing=doing
    )
    if not groups:
        raise _nothing_used(unused)
    groups, others = largest_processor(groups)
    unused += [_other_processor(g) for g in others]
    if population is None and kernels is None and not trusted:
        groups = _plausible(groups, kind, skip_bad, unused)
    made = []
    for number, group in enumerate(groups, 1):
        doing(f"fitting {group.name} ({number} of {len(groups)} targets)")
        made.append(
            npu_target(group, _given_npus(population))
            if is_npu(group, like)
            else _from_networks(group, like, population, profiles, cores, kind)
            if group.kernels is None
            else _from_kernels(group, like, profiles, kernels)
        )
    ranked = tuple(sorted(made, key=_rank))
    beside = targets_beside(market, device, groups) if market else ()
    targets = (*(m.profile for m in ranked), *beside)
    soc = market.name if market else ""
    profile = DeviceProfile(device, title or device, kind, targets, soc=soc)
    return Calibration(profile, ranked, tuple(unused))


def calibrate_from_sheet(
    device: str,
    cores: str,
    *,
    threads: int = 4,
    cluster: str = "",
    framework: str = "ncnn",
    precision: str = "float",
    population: Populations = None,
    kind: str = "phone",
) -> DeviceProfile:
    """The profile of a CPU target that nobody has measured, from its cores and clocks.

    `cores` is written as 4xCortex-A76@2.4+4xCortex-A55@1.8 (GHz), from big to little. Raises
    `ProfileError` for cores that are not known.
    """
    check_device(device)
    target = Target(device, "cpu", framework, precision, threads, cluster)
    prior = prior_for(target, population=_matching(population, target))
    start = _sheet_start(cores, target, prior, kind)
    fitted = adapt((), prior.population, start)
    profile = TargetProfile(
        target,
        "steady",
        _predictor(fitted, (), fitted),
        expected_interval(np.zeros(0), fitted.half_width_log, NOVELTY_SLOPE),
        expected_error(NOT_TESTED, fitted.half_width_log),
        Provenance(f"spec sheet: {cores}", 0, note=f"costs of {prior.population.title}"),
    )
    return DeviceProfile(device, device, kind, (profile,))


def used_rows(
    table: MeasurementTable,
    *,
    device: str,
    kind: str = "phone",
    skip_bad: bool = False,
    pick: str = "",
    doing: Callable[[str], None] = untold,
) -> tuple[list[TargetRows], list[BadRow]]:
    """What `calibrate_device` would learn from, target by target, and the rows it would not use.

    Raises `MeasurementError` as it does.
    """
    check_device(device)
    groups, unused = rows_by_target(table, device=device, skip_bad=skip_bad, pick=pick, doing=doing)
    if not groups:
        raise _nothing_used(unused)
    kept, others = largest_processor(groups)
    unused += [_other_processor(g) for g in others]
    return _plausible(kept, kind, skip_bad, unused), unused


def _plausible(
    groups: Sequence[TargetRows], kind: str, skip_bad: bool, unused: list[BadRow]
) -> list[TargetRows]:
    """The groups without networks that no known device of the kind would measure so.

    Raises `MeasurementError` for the first of them unless `skip_bad`, which lists them.
    """
    kept = []
    for group in groups:
        if is_npu(group):
            kept.append(group)
            continue
        known = known_population(group.target, kind)
        threads = group.target.threads
        faults = implausible(group.measured, known, kind=kind, threads=threads)
        for position, reason in faults.items():
            row = group.row_of(position)
            bad = BadRow(str(row["origin_file"]), int(row["origin_line"]), reason)
            if not skip_bad:
                raise MeasurementError(
                    str(bad),
                    f"mend the file, name another --kind than {kind} where the device is one, "
                    "or leave such rows out with --skip-bad",
                )
            unused.append(bad)
        group = group.without(faults)
        if group.measured or group.kernels:
            kept.append(group)
    if not kept:
        raise _nothing_used(unused)
    return kept


def _nothing_used(unused: Sequence[BadRow]) -> MeasurementError:
    first = f": {unused[0]}" if unused else ""
    return MeasurementError(f"no row can be used{first}", "docs/calibrate.md says what is")


def _rank(made: CalibratedTarget) -> tuple[object, ...]:
    t = made.profile.target
    units = ("cpu", "gpu", "npu", "nnapi", "dsp", "dla")
    return (
        units.index(t.unit),
        t.precision in QUANTISED,
        -(made.networks + made.kernels),
        -t.threads,
    )


def _other_processor(group: TargetRows) -> BadRow:
    reason = f"left out: {group.processor} beside another processor of {group.target}"
    return BadRow(group.source, 0, reason)


def _from_kernels(
    group: TargetRows,
    like: str,
    profiles: Sequence[ProfileSource],
    kernels: Learned,
) -> CalibratedTarget:
    assert group.kernels is not None
    # profiles of the user's own count only where one of them is named
    folder = ProfileFolder(tuple(profiles) if like else ())
    made = fit_kernels(group.kernels, group.target, folder, like, group.measured, kernels)
    count = len(group.kernels.latency_us)
    profile = TargetProfile(
        group.target,
        group.latency_kind,
        made.predictor,
        made.interval,
        made.error,
        origin(group, count, ""),
    )
    return CalibratedTarget(
        profile, made.borrowed_from, made.reason, len(group.measured), count, group.evidence
    )


def _from_networks(
    group: TargetRows,
    like: str,
    population: Populations,
    profiles: Sequence[ProfileSource],
    cores: str,
    kind: str,
) -> CalibratedTarget:
    target = group.target
    prior = prior_for(
        target, like=like, population=_matching(population, target), profiles=profiles, kind=kind
    )
    start = prior.start
    if cores and target.unit == "cpu" and not like:
        start = _sheet_start(cores, target, prior, kind)
    fitted = adapt(group.measured, prior.population, start)
    judged = _judged(group, prior.population, start)
    source, reason = _borrowed(fitted, prior)
    profile = TargetProfile(
        target,
        group.latency_kind,
        _predictor(fitted, group.measured, judged),
        expected_interval(np.zeros(0), judged.half_width_log, NOVELTY_SLOPE),
        _error(judged, group.measured),
        origin(group, len(group.measured), f"borrowed from {source}"),
    )
    return CalibratedTarget(profile, source, reason, len(group.measured), 0, group.evidence)


def _given_npus(population: Populations) -> NpuPopulation | None:
    """The population of NPUs among the given ones."""
    given = population if isinstance(population, Sequence) else [population]
    return next((p for p in given if isinstance(p, NpuPopulation)), None)


def _matching(population: Populations, target: Target) -> Population | None:
    """Of the given populations the one that has most in common with a target."""
    if population is None:
        return None
    every = population if isinstance(population, Sequence) else [population]
    given = [p for p in every if isinstance(p, Population)]
    precision = precision_class(target.precision)
    fitting = [p for p in given if p.unit == target.unit]
    if not fitting:
        raise MeasurementError(
            f"no given population is of a {target.unit}, which rows of {target} need",
            "leave `population` out to borrow from what ships",
        )
    return min(fitting, key=lambda p: (p.precision != precision, p.framework != target.framework))


def _sheet_start(cores: str, target: Target, prior: Prior, kind: str) -> Start:
    sheet = MeasuredSheet(
        target=target, chip=target.device, title=target.device, kind=kind, cores=cores
    )
    return start_from_sheet(sheet, prior.population)


def _borrowed(fitted: Adaptation, prior: Prior) -> tuple[str, str]:
    """Whom the target resembles and why, in words."""
    title = prior.population.title
    if prior.like:
        return prior.like, f"asked for by --like; how targets differ from {title}"
    name, weight = fitted.nearest
    if fitted.measurements < 2:
        return f"the median of {title}", "one measurement says how fast it is, not whom it is like"
    share = f"{100 * weight:.0f} %"
    return name, f"of {title} it explains the measurements best, with {share} of the weight"


def _predictor(
    fitted: Adaptation, measured: Sequence[MeasuredNetwork], judged: Adaptation
) -> EfficiencyPredictor:
    """The adapted costs; what was borrowed and what was measured both count as known sizes.

    How much wider the interval of a strange network is depends on how wide that of known ones is.
    """
    made = fitted.predictor
    own = size_ranges([m.kernels for m in measured])
    return replace(
        made,
        ranges=joined_ranges(made.ranges, own),
        correction=replace(made.correction, strange_log=judged.strange_log),
    )


def _judged(group: TargetRows, population: Population, start: Start | None) -> Adaptation:
    """The adaptation that says how good the target is: its own device may be no witness."""
    blocks, device = blocks_of(group.measured), f"{group.target.device}/"
    mine = np.array([name.startswith(device) for name in population.names])
    weights = np.ones(len(mine)) if start is None else start.weights
    if mine.any() and weights[~mine].sum() > 0:
        population = population.without(mine)
        start = None if start is None else replace(start, weights=start.weights[~mine])
    return adapt(group.measured, population, start, blocks)


def _error(judged: Adaptation, measured: Sequence[MeasuredNetwork]) -> FitError:
    if not len(judged.left_out):
        return expected_error(NOT_TESTED, judged.half_width_log)
    families = len({family_of_model(m.name) for m in measured})
    return fit_error(EACH_FAMILY if families >= FEWEST_BLOCKS else EACH_NETWORK, judged.left_out)


__all__ = [
    "CalibratedTarget",
    "Calibration",
    "calibrate",
    "calibrate_device",
    "calibrate_from_sheet",
]
