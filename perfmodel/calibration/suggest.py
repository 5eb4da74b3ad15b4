"""What to measure next: the networks that teach most about a target, before any is timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from perfmodel.answer import Answer
from perfmodel.calibration.adapt import expected_covariance
from perfmodel.calibration.measured import NetworkTables, rows_by_target, rules_of
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.population import Population
from perfmodel.calibration.prior import prior_for
from perfmodel.cost_models.work_features import ALL_FEATURES
from perfmodel.devices.registry import ProfileFolder, ProfileSource
from perfmodel.errors import MeasurementError, TargetError, UncoveredOpError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.table import MeasurementTable
from perfmodel.target import Target, TargetQuery, parse_target

LARGEST_CANDIDATE_MACS = 30e9
"""Networks of the zoo beyond this take more than seconds on slow devices."""

MAX_CANDIDATES = 20_000


@dataclass(frozen=True)
class Suggestion:
    """A network worth measuring next: what is left to learn falls to `remaining_sd`, and why."""

    name: str
    remaining_sd: float
    reason: str


@dataclass(frozen=True)
class NextMeasurements(Answer, command="suggest"):
    """Networks worth measuring next on a target, and what is assumed before them."""

    target: str
    borrowed_from: str
    suggestions: tuple[Suggestion, ...]


def next_measurements(
    count: int,
    on: str,
    *,
    like: str = "",
    table: MeasurementTable | None = None,
    population: Population | None = None,
    profiles: Sequence[ProfileSource] = (),
    candidates: Sequence[str] = (),
    batch_size: int | None = None,
    networks: NetworkTables | None = None,
) -> NextMeasurements:
    """The `count` networks that teach most about target `on`, in order.

    `on` is a target of a device that may be new; its unit is the CPU unless it says another,
    framework and precision are those that answer there for a known device, else ncnn and float.
    `table` holds what was measured already. `candidates` are zoo specs or model
    files, at `batch_size` if it is given; left out, the networks of the zoo. No latency is looked
    at that is not in the table: the choice follows from the networks' work and from how known
    targets differ.
    """
    if count < 1:
        raise MeasurementError(f"{count} networks cannot be suggested", "ask for one or more")
    query = parse_target(on)
    target = _in_full(query, profiles)
    tables = networks or NetworkTables()
    measured: tuple[MeasuredNetwork, ...] = ()
    if table is not None:
        groups, _ = rows_by_target(
            table, device=target.device, skip_bad=True, networks=tables, pick="median"
        )
        measured = next((g.measured for g in groups if query.matches(g.target)), ())
    prior = prior_for(target, like=like, population=population, profiles=profiles)
    found = _candidates(target, candidates, batch_size, tables)
    chosen = suggest(found, prior.population, count, measured)
    return NextMeasurements(str(target), prior.like or prior.population.title, chosen)


def _in_full(query: TargetQuery, profiles: Sequence[ProfileSource]) -> Target:
    """The target that is asked about: what `predict` would answer by, where it has an answer."""
    unit = query.unit or "cpu"
    asked = "/".join((query.device, unit, query.framework, query.precision)).rstrip("/")
    framework, precision = query.framework or "ncnn", query.precision or "float"
    with suppress(TargetError):  # a new device, or one without this framework
        known = ProfileFolder(tuple(profiles)).resolve(asked).target.target
        framework, precision = known.framework, known.precision
    return Target(query.device, unit, framework, precision, query.threads, query.cluster)


def _candidates(
    target: Target, named: Sequence[str], batch_size: int | None, tables: NetworkTables
) -> dict[str, KernelTable]:
    rules = rules_of(target)
    if len(named) > MAX_CANDIDATES:
        raise TargetError(
            f"{len(named)} candidates are more than {MAX_CANDIDATES}", "give a sample"
        )
    if named:
        return {name: tables.get(name, batch_size or 1, rules) for name in named}
    return _zoo(rules, batch_size or 1, tables)


def _zoo(rules: str, batch_size: int, tables: NetworkTables) -> dict[str, KernelTable]:
    """Networks of the zoo that every device can run in seconds."""
    from perfmodel import zoo

    found = {}
    for name in zoo.mobile_names():
        try:
            table = tables.get(name, batch_size, rules)
        except UncoveredOpError:
            continue
        if table["macs"].sum() <= LARGEST_CANDIDATE_MACS:
            found[name] = table
    return found


def suggest(
    candidates: Mapping[str, KernelTable],
    population: Population,
    count: int,
    measured: Sequence[MeasuredNetwork] = (),
) -> tuple[Suggestion, ...]:
    """The `count` networks whose measurement most lowers the mean variance over all candidates.

    Greedy Bayesian design (I-optimal). Networks that were measured are not suggested again.
    """
    names = list(candidates)
    belief = expected_covariance([candidates[n] for n in names], population, list(measured))
    noise = population.noise_sd**2
    spread, shares = belief.covariance, belief.shares
    left = [i for i in range(len(names)) if not belief.measured[i]]
    chosen: list[Suggestion] = []
    while left and len(chosen) < count:
        gains = (spread[:, left] ** 2).mean(axis=0) / (np.diag(spread)[left] + noise)
        best = left[int(np.argmax(gains))]
        reason = _reason(shares[best], belief.cost_sd)
        column = spread[:, best]
        spread = spread - np.outer(column, column) / (column[best] + noise)
        remaining = float(np.sqrt(max(np.trace(spread), 0.0) / len(names)))
        chosen.append(Suggestion(names[best], remaining, reason))
        left.remove(best)
    return tuple(chosen)


_GROUP_WORDS = {
    "product": "matrix products",
    "weights": "streaming weights",
    "start": "starting kernels",
    "compute": "other arithmetic",
    "memory": "moving activations",
    "overhead": "fixed costs",
}


def _reason(share: np.ndarray, cost_sd: np.ndarray) -> str:
    """What the network spends its time on, and which of it is least known so far."""
    labels = [f.group or f.part for f in ALL_FEATURES[: len(share)]]
    shares = {w: float(share[[x == w for x in labels]].sum()) for w in dict.fromkeys(labels)}
    top = max(shares, key=lambda w: shares[w])
    feature = ALL_FEATURES[int(np.argmax(share * cost_sd))].name.replace("_", " ")
    return (
        f"{100 * shares[top]:.0f} % of its time goes to {_GROUP_WORDS[top]}; "
        f"it tells most about {feature}"
    )


__all__ = ["NextMeasurements", "Suggestion", "next_measurements", "suggest"]
