"""Targets from whole networks that somebody measured on them: few rows a target, much borrowed.

What ships of published latencies is made by `learn_networks`, as is what the accuracy studies
judge. Errors come from leaving network families out everywhere (`network_pool`); networks that were
measured on a target are known there (`known_misfits`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.calibration.families import Misses, family_of_model, family_parts
from perfmodel.calibration.known_misfits import KNOWN_LOG, NetworkMisfits
from perfmodel.calibration.measured import NetworkTables, TargetRows, rows_by_target
from perfmodel.calibration.network_pool import (
    BY_SHEETS,
    Pool,
    PooledNetwork,
    base_framework,
    fitted,
    known_on,
    left_out,
    measured_shares,
    pools,
    work_precision,
)
from perfmodel.calibration.spread_by_kind import spread_by_kind
from perfmodel.cost_models.interval import (
    COVERAGE,
    NOVELTY_SLOPE,
    POOLED_CASES,
    FitError,
    Interval,
    beyond_novelty,
    conformal_quantile,
    fit_error,
)
from perfmodel.cost_models.plain_data import Range
from perfmodel.cost_models.width_by_kind import WidthByKind
from perfmodel.cost_models.work_model import JointEfficiencyModel
from perfmodel.cost_models.work_predictor import (
    EfficiencyPredictor,
    novelty_by_time,
    size_ranges,
    work_matrix,
)
from perfmodel.devices.profile import DeviceProfile, Provenance, TargetProfile, profiles_by_device
from perfmodel.errors import MeasurementError
from perfmodel.measurements.table import MeasurementTable
from perfmodel.target import Target

EXPERIMENT = "network family left out on every target"
UNTESTED = "one network family measured, nothing to leave out: error of its framework's targets"

UNTESTED_FACTOR = 1.5
"""How much wider than its pool's an interval is of a target of which nothing could be left out.

TensorRT's boards and cards that kept one family alone had 92 % of their other networks within
widths so many times those by the others' errors (224 cases), and 86 % without the factor."""

ENOUGH = 30
"""Left-out errors of one framework from which on other frameworks of the pool need not speak."""

LEAST_TIMES = 0.3
"""Multiple of the pool's standard deviation that a handful of errors cannot show a half width to be
smaller than: 90 % of a normal distribution take 1.6."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnedNetworks:
    """The measured targets, by device."""

    profiles: tuple[DeviceProfile, ...]


def learn_networks(
    table: MeasurementTable,
    *,
    at_most: MeasurementTable | None = None,
    families: Mapping[str, str] | None = None,
    networks: NetworkTables | None = None,
    folds: int = 0,
) -> LearnedNetworks:
    """Every target of a table of whole networks, each borrowing from those that are like it.

    `at_most` are rows whose latency the network alone stays below; `families` what a network is
    left out with (default: its zoo family, else its file). Intervals come of families left out, one
    at a time, or in `folds` parts. `networks` keeps what was read and fused for another call. Rows
    that cannot be used are left out. Raises `MeasurementError` where nothing is left.
    """
    groups = _groups(table, networks)
    bounds = _groups(at_most, networks) if at_most is not None else []
    if not groups:
        raise MeasurementError("no network of the table is known, so nothing is learned")
    named = families or {}
    rows = [*_pooled(groups, named, at_most=False), *_pooled(bounds, named, at_most=True)]
    by_target = {g.target: g for g in groups}
    targets = [t for pool in pools(rows) for t in _targets(pool, by_target, folds)]
    return LearnedNetworks(profiles=profiles_by_device(targets, "board"))


def _groups(table: MeasurementTable, networks: NetworkTables | None) -> list[TargetRows]:
    groups, _ = rows_by_target(table, skip_bad=True, networks=networks, pick="median")
    return [g for g in groups if g.measured]


def _pooled(
    groups: Sequence[TargetRows], families: Mapping[str, str], *, at_most: bool
) -> list[PooledNetwork]:
    return [
        PooledNetwork(
            target=g.target,
            family=families.get(m.name) or family_of_model(m.name),
            kernels=m.kernels,
            latency_ms=m.latency_ms,
            at_most=at_most,
        )
        for g in groups
        for m in g.measured
    ]


def _targets(pool: Pool, groups: Mapping[Target, TargetRows], folds: int) -> list[TargetProfile]:
    model = fitted(pool, np.ones(len(pool.rows), dtype=bool))
    unseen = left_out(pool, folds)
    framework = np.array([base_framework(r.target.framework) for r in pool.rows])
    novelty = _novelty(pool, model, framework, folds)
    beyond = beyond_novelty(unseen.log_ratio, novelty)
    found = np.isfinite(beyond)
    spread = spread_by_kind(unseen.at_risk[found], beyond[found])
    misses = Misses(beyond / spread.whole(unseen.at_risk), pool.families)
    # what others of its framework ran is no news for a target that borrows its costs from them
    ranges = {
        name: size_ranges([pool.rows[i].kernels for i in np.flatnonzero(framework == name)])
        for name in sorted(set(framework.tolist()))
    }
    made, by_sheets = [], None
    for number, target in enumerate(pool.targets):
        mine = (pool.target == number) & ~pool.bounds
        own = mine & found
        kin = base_framework(target.framework)
        alike = errors_for(unseen.log_ratio, framework == kin)
        one_family = len(set(pool.families[mine])) == 1 and pool.name in BY_SHEETS
        if one_family and by_sheets is None:
            by_sheets = fitted(pool, np.ones(len(pool.rows), dtype=bool), by_sheets=True)
        used = by_sheets if one_family and by_sheets is not None else model
        known = known_on(pool, used, np.flatnonzero(mine))
        strange = spread.times(strange_times(misses.of(own), misses.of(alike)))
        error = _error(unseen.log_ratio[own], unseen.log_ratio[alike])
        made.append(_profile(known, ranges[kin], strange, error, groups[target]))
    return made


def _novelty(
    pool: Pool, model: JointEfficiencyModel, framework: np.ndarray, folds: int
) -> np.ndarray:
    """How far outside what its framework ran of other families each row's network lies, (rows,)."""
    parts = family_parts(pool.families.tolist(), folds)
    out = np.zeros(len(pool.rows))
    for part, name in {*zip(parts.tolist(), framework.tolist(), strict=True)}:
        others = np.flatnonzero((framework == name) & (parts != part))
        ranges = size_ranges([*{id(k): k for k in (pool.rows[i].kernels for i in others)}.values()])
        for i in np.flatnonzero((framework == name) & (parts == part)).tolist():
            row, place = pool.rows[i], int(np.searchsorted(model.targets_, pool.target[i]))
            work = work_matrix(row.kernels, work_precision(row.target), model.log_cost_.shape[1])
            spent = work @ np.exp(model.log_cost_[place])[:, None]
            out[i] = novelty_by_time(ranges, row.kernels, spent)[0]
    return out


def _profile(
    known: tuple[NetworkMisfits, np.ndarray],
    ranges: Mapping[str, Range],
    strange: WidthByKind,
    error: FitError,
    group: TargetRows,
) -> TargetProfile:
    """A target of a pool: its networks and costs, and how wide `strange` networks are."""
    networks, log_cost = known
    measured = tuple(measured_shares(networks, log_cost).tolist())
    return TargetProfile(
        group.target,
        "steady",
        EfficiencyPredictor(
            log_cost=tuple(float(v) for v in log_cost),
            correction=networks.told(log_cost),
            precision=work_precision(group.target),
            ranges=ranges,
            strange=replace(strange, known_log=KNOWN_LOG, measured=measured),
        ),
        Interval(COVERAGE, round(KNOWN_LOG, 4), round(KNOWN_LOG, 4), NOVELTY_SLOPE),
        error,
        _provenance(group),
    )


def errors_for(log_ratio: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Which errors speak for a target (a mask): those of its framework if they are many, else its
    pool's."""
    known = np.isfinite(log_ratio)
    return known & alike if (known & alike).sum() >= ENOUGH else known


def times_to_hold(misses: Misses) -> float:
    """How many times the spread expected of each miss holds nine of ten of further families."""
    return max(conformal_quantile(np.abs(misses.known), misses.held), LEAST_TIMES)


def strange_times(own: Misses, tested: Misses) -> float:
    """How many times its pool's spread is the half width of what a target knows nothing like.

    Misses are in the spread that is expected of each. By the target's `own` left-out errors, shrunk
    towards those of the errors that speak for it.
    """
    cases = len(own.log_ratio)
    if not cases:
        # nothing but a scale of its own: the pool's spread, and room for not knowing better
        return UNTESTED_FACTOR * times_to_hold(tested)
    share = cases / (cases + POOLED_CASES)
    mine, pooled = np.log(times_to_hold(own)), np.log(times_to_hold(tested))
    return float(np.exp(share * mine + (1 - share) * pooled))


def _error(own: np.ndarray, tested: np.ndarray) -> FitError:
    if len(own):
        return fit_error(EXPERIMENT, -own)
    return replace(fit_error(UNTESTED, -tested), cases=0)


def _provenance(group: TargetRows) -> Provenance:
    sources = sorted({str(row["source"]) for row in group.rows})
    shown = "; ".join(sources[:3]) + (f" and {len(sources) - 3} more" if len(sources) > 3 else "")
    return Provenance(
        f"published: {shown}"[:1900],
        len(group.rows),
        build=group.build,
        note="shape of the costs borrowed from the targets of its pool",
    )


__all__ = ["LearnedNetworks", "learn_networks"]
