"""Targets from whole networks that somebody measured on them: few rows a target, much borrowed.

What ships of published latencies is made by `learn_networks`, as is what the accuracy studies
judge. Errors come from leaving network families out everywhere (`network_pool`); networks that were
measured on a target are known there (`known_misfits`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.calibration.families import family_of_model
from perfmodel.calibration.known_misfits import NetworkMisfits, split_width
from perfmodel.calibration.measured import NetworkTables, TargetRows, rows_by_target
from perfmodel.calibration.network_pool import (
    Pool,
    PooledNetwork,
    base_framework,
    fitted,
    known_on,
    left_out_log_ratio,
    pools,
    work_precision,
)
from perfmodel.cost_models.interval import (
    COVERAGE,
    MEDIAN_SD,
    NORMAL_90,
    NOVELTY_SLOPE,
    POOLED_CASES,
    FitError,
    Interval,
    conformal_quantile,
    fit_error,
    spread_of,
)
from perfmodel.cost_models.plain_data import Range
from perfmodel.cost_models.work_predictor import EfficiencyPredictor, size_ranges
from perfmodel.devices.profile import DeviceProfile, Provenance, TargetProfile
from perfmodel.errors import MeasurementError
from perfmodel.measurements.table import MeasurementTable
from perfmodel.target import Target

EXPERIMENT = "network family left out on every target"
UNTESTED = "one network family measured, nothing to leave out: error of its framework's targets"

UNTESTED_FACTOR = 1.5
"""How much wider than its pool's an interval is of a target of which nothing could be left out.

Tested targets that kept one family alone had 91, 89, 93 and 91 % of their other networks within
such an interval (the pools in their order, 544, 143, 104 and 480 cases); 82, 76, 86 and 78 %
without the factor."""

ENOUGH = 30
"""Left-out errors of one framework from which on other frameworks of the pool need not speak."""

WIDENED: Mapping[str, float] = {"cuda": 1.3, "cpu": 1.3}
"""What intervals need beyond the spread of left-out errors by pool, as a factor.

Networks of a family err together, so their errors say less than as many others would. With all
errors of a family taken out, the intervals cover 89, 89, 88 and 93 % of that family's networks on
NVIDIA's GPUs, mobile GPUs, CPUs and NPUs (292, 91, 396 and 55 cases); 78 and 82 % on NVIDIA's GPUs
and CPUs without the factor."""

LEAST_WIDTH = 0.02
"""Half width in log units that a handful of errors cannot show to be smaller."""


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
    return LearnedNetworks(profiles=by_device(targets))


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
    left_out = left_out_log_ratio(pool, folds)
    framework = np.array([base_framework(r.target.framework) for r in pool.rows])
    # what others of its framework ran is no news for a target that borrows its costs from them
    ranges = {
        name: size_ranges([pool.rows[i].kernels for i in np.flatnonzero(framework == name)])
        for name in sorted(set(framework.tolist()))
    }
    made = []
    for number, target in enumerate(pool.targets):
        mine = (pool.target == number) & ~pool.bounds
        own = left_out[mine & np.isfinite(left_out)]
        kin = base_framework(target.framework)
        tested = errors_for(left_out, framework == kin)
        known = known_on(pool, model, np.flatnonzero(mine))
        made.append(_profile(pool.name, known, ranges[kin], own, tested, groups[target]))
    return made


def _profile(
    pool: str,
    known: tuple[NetworkMisfits, np.ndarray],
    ranges: Mapping[str, Range],
    own: np.ndarray,
    tested: np.ndarray,
    group: TargetRows,
) -> TargetProfile:
    """A target of a pool: its networks and costs, left-out errors of its own and of its kin."""
    networks, log_cost = known
    width, strange_log = split_width(strange_width(own, tested, pool), networks.left(log_cost))
    return TargetProfile(
        group.target,
        "steady",
        EfficiencyPredictor(
            log_cost=tuple(float(v) for v in log_cost),
            correction=networks.correction(log_cost, strange_log),
            precision=work_precision(group.target),
            ranges=ranges,
        ),
        Interval(COVERAGE, round(width, 4), round(width, 4), NOVELTY_SLOPE),
        _error(own, tested),
        _provenance(group),
    )


def errors_for(left_out: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Errors that speak for a target: those of its framework if they are many, else its pool's."""
    known = np.isfinite(left_out)
    return left_out[known & alike] if (known & alike).sum() >= ENOUGH else left_out[known]


def strange_width(own: np.ndarray, tested: np.ndarray, pool: str = "") -> float:
    """Half width of the log interval of a network that a target knows nothing like.

    The width by the target's `own` left-out errors, shrunk towards that by the errors that speak
    for it, and what networks of one family that err together need (`WIDENED`).
    """
    if not len(tested):
        raise MeasurementError(
            "every target has networks of one family, so no error is known",
            "measure networks of another family",
        )
    theirs = WIDENED.get(pool, 1.0) * _width(tested)
    if not len(own):
        # nothing but a scale of its own: the pool's spread, and room for not knowing better
        return UNTESTED_FACTOR * theirs
    share = len(own) / (len(own) + POOLED_CASES)
    mine = WIDENED.get(pool, 1.0) * _width(own)
    return float(np.exp(share * np.log(mine) + (1 - share) * np.log(theirs)))


def _width(log_ratio: np.ndarray) -> float:
    """The width that covers the errors and the one that a normal distribution of their spread
    needs, in the (geometric) middle: one odd family makes a third of a target's errors."""
    covers = conformal_quantile(np.abs(log_ratio))
    normal = spread_of(log_ratio) * NORMAL_90 / MEDIAN_SD
    return max(float(np.sqrt(covers * normal)), LEAST_WIDTH)


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


def by_device(targets: Sequence[TargetProfile]) -> tuple[DeviceProfile, ...]:
    """The targets as profiles, one a device, in their order."""
    found: dict[str, list[TargetProfile]] = {}
    for made in targets:
        found.setdefault(made.target.device, []).append(made)
    return tuple(DeviceProfile(name, name, "board", tuple(its)) for name, its in found.items())


__all__ = ["LearnedNetworks", "learn_networks"]
