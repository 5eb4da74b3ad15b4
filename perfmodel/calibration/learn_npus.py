"""NPU targets from the measurements of many of them: their profiles and what they have in common.

What ships of NPUs is made by `learn_npus`, as is what the accuracy studies judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.calibration.families import family_of_model, family_parts
from perfmodel.calibration.learn import MIN_NETWORKS
from perfmodel.calibration.measured import NetworkTables, TargetRows, rows_by_target, rules_of
from perfmodel.calibration.npu import (
    PRECISIONS,
    NpuNetworks,
    NpuPopulation,
    family_left_out,
    npu_precision,
    population_of,
)
from perfmodel.calibration.npu_new_chip import new_widths
from perfmodel.calibration.npu_predictors import KNOWN_LOG, predictor_of
from perfmodel.calibration.npu_target import is_npu
from perfmodel.cost_models.interval import (
    COVERAGE,
    NOVELTY_SLOPE,
    Interval,
    beyond_novelty,
    conformal_quantile,
    fit_error,
    share_to_hold,
    widths_by_group,
)
from perfmodel.cost_models.npu_model import NpuPlace
from perfmodel.cost_models.npu_terms import npu_work
from perfmodel.cost_models.work_predictor import novelty_by_time, size_ranges
from perfmodel.devices.profile import DeviceProfile, Provenance, TargetProfile, profiles_by_device
from perfmodel.errors import MeasurementError
from perfmodel.measurements.table import MeasurementTable
from perfmodel.target import QUANTISED

EXPERIMENT = "network family left out on every target"


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnedNpus:
    """The measured NPUs as devices, and as a base for new ones (`calibrate(population=...)`)."""

    profiles: tuple[DeviceProfile, ...]
    population: NpuPopulation


def learn_npus(
    table: MeasurementTable,
    *,
    chips: Mapping[str, str] | None = None,
    families: Mapping[str, str] | None = None,
    as_run: Mapping[str, str] | None = None,
    networks: NetworkTables | None = None,
    folds: int = 0,
) -> LearnedNpus:
    """The NPUs of a table: every device's targets, and what they teach of others.

    `chips` names the chip of a device, so that devices of one chip share its strengths (default:
    each is its own); `families` what a network is left out with (default: its zoo family, else its
    file). `as_run` names what `load` takes for all that ran, where a benchmark puts work of its own
    before a network: costs are learned of that, and the network is known by its time with it.
    Intervals come of families left out, one at a time, or in `folds` parts. `networks` keeps what
    was read and fused for another call. Rows that cannot be used are left out. Raises
    `MeasurementError` where no NPU has `MIN_NETWORKS` networks.
    """
    tables = networks or NetworkTables()
    groups, _ = rows_by_target(table, skip_bad=True, networks=tables, pick="median")
    kept = [
        g for g in groups if is_npu(g) and sum(m.batch == 1 for m in g.measured) >= MIN_NETWORKS
    ]
    kept.sort(key=lambda g: g.name)
    if not kept:
        raise MeasurementError(
            f"no NPU target has {MIN_NETWORKS} networks", "give rows of unit npu of known networks"
        )
    known = _networks_of(kept, families or {}, as_run or {}, tables)
    log_ms = np.full((len(kept), len(known.names)), np.nan)
    for i, group in enumerate(kept):
        for measured in group.measured:
            if measured.batch == 1:
                log_ms[i, known.names.index(measured.name)] = np.log(measured.latency_ms)
    places = [_place(g, chips or {}) for g in kept]
    tried = family_left_out(places, known, log_ms, folds)
    left = tried.log_ratio
    names = [str(g.target) for g in kept]
    population = population_of(names, places, known, log_ms, tried.shares)
    held = beyond_novelty(left, _novelty(population, known, folds))
    population = replace(
        population,
        strange_width=_strange_widths(places, known, held),
        new_widths=new_widths(population),
    )
    widths = _widths(places, known, held)
    targets = [
        _profile(group, population, i, left[i][np.isfinite(left[i])], float(widths[i]))
        for i, group in enumerate(kept)
    ]
    return LearnedNpus(profiles=_devices(targets), population=population)


def _networks_of(
    groups: Sequence[TargetRows],
    families: Mapping[str, str],
    as_run: Mapping[str, str],
    networks: NetworkTables,
) -> NpuNetworks:
    tables, ran = {}, {}
    for group in groups:
        for m in group.measured:
            if m.batch == 1 and m.name not in tables:
                tables[m.name] = ran[m.name] = m.kernels
                if m.name in as_run:
                    ran[m.name] = networks.get(as_run[m.name], 1, rules_of(group.target))
    names = tuple(sorted(tables))
    return NpuNetworks(
        names=names,
        families=tuple(families.get(n) or family_of_model(n) for n in names),
        tables=tuple(tables[n] for n in names),
        ran=tuple(ran[n] for n in names),
    )


def _place(group: TargetRows, chips: Mapping[str, str]) -> NpuPlace:
    target = group.target
    return NpuPlace(
        chip=chips.get(target.device, target.device),
        runtime=target.framework,
        precision=npu_precision(target.precision),
    )


def _of_precision(
    places: Sequence[NpuPlace], networks: NpuNetworks, left: np.ndarray, precision: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The targets of a precision, their misses and which of them each is, and a coverage.

    Misses of a family go together, so that they are worth fewer cases than they are: of few cases
    the share of the misses to cover is larger.
    """
    mine = np.flatnonzero([p.precision == precision for p in places])
    row, column = np.nonzero(np.isfinite(left[mine]))
    missed = left[mine][row, column]
    if not len(missed):
        return mine, missed, row, COVERAGE
    families = np.array(networks.families, dtype=object)[column]
    return mine, missed, row, share_to_hold(missed, families)


def _novelty(population: NpuPopulation, networks: NpuNetworks, folds: int) -> np.ndarray:
    """How far outside the kernels of the families not left out with it each network lies.

    Shape (targets, networks), by the time that kernels take on each target.
    """
    parts = family_parts(networks.families, folds)
    cost = np.exp(population.log_cost[:, :-1])
    out = np.zeros((len(cost), len(parts)))
    for number in range(parts.max() + 1):
        others = [t for t, part in zip(networks.tables_ran, parts, strict=True) if part != number]
        ranges = size_ranges(others)
        for network in np.flatnonzero(parts == number).tolist():
            table = networks.tables_ran[network]
            for precision in sorted({p.precision for p in population.places}):
                mine = np.array([p.precision == precision for p in population.places])
                spent = npu_work(table, precision) @ cost[mine].T
                out[mine, network] = novelty_by_time(ranges, table, spent)
    return out


def _widths(places: Sequence[NpuPlace], networks: NpuNetworks, left: np.ndarray) -> np.ndarray:
    """Half width of the interval of a strange network on each target."""
    widths = np.zeros(len(places))
    for precision in sorted({p.precision for p in places}):
        mine, missed, row, coverage = _of_precision(places, networks, left, precision)
        widths[mine] = widths_by_group(missed, row, len(mine), coverage)
    return widths


def _strange_widths(
    places: Sequence[NpuPlace], networks: NpuNetworks, left: np.ndarray
) -> dict[str, float]:
    """Half width of the interval of a strange network on a new target, by precision."""
    found = {}
    for precision in PRECISIONS:
        mine, missed, _, coverage = _of_precision(places, networks, left, precision)
        if len(mine):
            found[precision] = round(conformal_quantile(np.abs(missed), coverage), 4)
    return found


def _profile(
    group: TargetRows, population: NpuPopulation, i: int, left: np.ndarray, width: float
) -> TargetProfile:
    predictor = predictor_of(
        population, population.places[i].precision, population.log_cost[i], population.log_ms[i]
    )
    correction = replace(predictor.correction, strange_log=max(width - KNOWN_LOG, 0.0))
    least = min(width, KNOWN_LOG)
    return TargetProfile(
        group.target,
        group.latency_kind,
        replace(predictor, correction=correction),
        Interval(COVERAGE, least, least, NOVELTY_SLOPE),
        fit_error(EXPERIMENT, left),
        Provenance(
            group.source,
            len(left),
            build=group.build[:200],
            note="networks it was measured with get their own misfit",
        ),
    )


def _devices(targets: Sequence[TargetProfile]) -> tuple[DeviceProfile, ...]:
    """The targets by device, floats first."""
    return tuple(
        replace(
            one, targets=tuple(sorted(one.targets, key=lambda t: t.target.precision in QUANTISED))
        )
        for one in profiles_by_device(targets, "board")
    )


__all__ = ["LearnedNpus", "learn_npus"]
