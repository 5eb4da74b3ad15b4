"""A population from the measurements of many devices: what `calibrate` borrows from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from perfmodel.calibration.adapt import adapt
from perfmodel.calibration.families import blocks_of, family_of_model
from perfmodel.calibration.from_spec import sheets_of, shipped_facts, start_from_sheet
from perfmodel.calibration.measured import NetworkTables, TargetRows, rows_by_target
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.population import Population, precision_class
from perfmodel.calibration.strange_networks import (
    StrangeNetworks,
    strange_networks,
    strange_width,
)
from perfmodel.cost_models.interval import conformal_quantile
from perfmodel.cost_models.likeness import SAME_NETWORK, descriptions, distances
from perfmodel.cost_models.work_features import features_of
from perfmodel.cost_models.work_predictor import size_ranges, work_matrix
from perfmodel.devices.sheet_data import MeasuredSheet
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.table import MeasurementTable

MIN_NETWORKS = 3
"""A target with fewer networks teaches nothing about how kinds of work differ."""

MIN_RUNS = 5
"""A network that fewer targets ran has no spread to learn; its times still teach costs."""

MIN_TARGETS = 5
"""Targets from which on their spread says how targets differ."""

NEAREST = 6
"""Nearest targets of other devices whose departures make the spread between kin.

Of 1, 3, 6 and 10 the best for targets left out within the training devices."""

SHARED_NETWORKS = 8
"""Networks that two targets must both have run before their difference counts."""

COST_SHRINKAGE, TIME_SHRINKAGE = 0.1, 0.2
"""Shares of a covariance off its diagonal that are cut: few targets ran each pair of networks."""

LARGEST_COST_GAP, LARGEST_TIME_GAP = 2.0, 0.7
"""Departures between kin are cut there, in log units: beyond it is a fault of one run."""

NOISE_SD = 0.03
"""Log spread of one careful measurement; 0.03 and 0.06 predict targets left out equally well."""

COUNTS = (0, 1, 3, 5, 10, 16)
"""Numbers of measurements at which intervals are calibrated; between them it is interpolated."""

MOST_JUDGED = 60
"""Targets used for calibrating, drawn at random: enough for a 90 % quantile, soon done."""

SPREADS: Mapping[str, Mapping[str, float]] = {"gpu": {"hardware_sd": 0.6, "starts": 1.6}}
"""Prior spreads where they are not the estimator's: GPUs differ more from one another than CPUs do,
in the time to start a kernel most of all.

Chosen on every second family of ncnn_e2e.csv, left out: GPUs miss 15.6 % at the median with the
spread of starts as wide as all others and without `sum_lengths`, 13.4 % with that, 12.8 % with
both; the other families 13.7, 12.4 and 12.5 %."""


@dataclass(frozen=True, eq=False)
class Campaign:
    """Targets and networks as a matrix: `log_ms` (targets, networks), NaN where not measured."""

    groups: tuple[TargetRows, ...]
    names: tuple[str, ...]
    families: tuple[str, ...]
    tables: tuple[KernelTable, ...]
    log_ms: np.ndarray

    @property
    def precision(self) -> str:
        """The class of precisions of its targets."""
        return precision_class(self.groups[0].target.precision)

    @property
    def work_precision(self) -> str:
        """The precision that sets the bytes of a weight."""
        return "int8" if self.precision == "int8" else "fp32"

    @cached_property
    def work(self) -> np.ndarray:
        """Work by network and feature."""
        paid = len(features_of(self.groups[0].target.unit))
        rows = [work_matrix(t, self.work_precision, paid).sum(axis=0) for t in self.tables]
        return np.array(rows)


def learn_population(
    table: MeasurementTable,
    *,
    framework: str,
    unit: str,
    precision: str = "float",
    networks: NetworkTables | None = None,
    cores: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Population:
    """The population of all targets of a framework, unit and precision class in a table.

    `cores` gives the cores of a device as spec sheets write them (`devices.cpu_specs`); `networks`
    keeps what was read and fused for another call. Rows that cannot be used are left out. Raises
    `MeasurementError` if fewer than `MIN_TARGETS` targets have `MIN_NETWORKS` networks.
    """
    chosen = table.networks.where(framework=framework, unit=unit)
    groups, _ = rows_by_target(chosen, skip_bad=True, networks=networks, pick="median")
    campaign = _campaign([g for g in groups if precision_class(g.target.precision) == precision])
    beside = _beside(campaign, groups)
    learned = _learned(campaign, beside, framework, unit, precision)
    learned = replace(learned, cores=tuple((cores or {}).get(d, "") for d in _devices(learned)))
    strange = _strange(campaign, beside, unit)
    learned = replace(learned, strange_sd=max(1.4826 * strange.typical, 0.02))
    learned = replace(learned, width_factors=_width_factors(learned, campaign, seed))
    return replace(learned, strange_width=_strange_width(learned, campaign, strange, seed))


def _campaign(groups: Sequence[TargetRows]) -> Campaign:
    kept = [g for g in groups if g.latency_kind == "steady" and len(g.measured) >= MIN_NETWORKS]
    kept.sort(key=lambda g: g.name)
    if len(kept) < MIN_TARGETS:
        raise MeasurementError(
            f"{len(kept)} targets with {MIN_NETWORKS} networks are too few to learn from",
            f"measure {MIN_TARGETS} or more, or borrow from a population that ships",
        )
    place: dict[int, int] = {}
    names: list[str] = []
    tables: list[KernelTable] = []
    for network in sorted((m for g in kept for m in g.measured), key=lambda m: m.name):
        if id(network.kernels) not in place:
            found = _same(network.kernels, tables)
            if found == len(tables):
                tables.append(network.kernels)
                names.append(network.name)
            place[id(network.kernels)] = found
    log_ms = np.full((len(kept), len(tables)), np.nan)
    for t, group in enumerate(kept):
        times: dict[int, list[float]] = {}
        for m in group.measured:
            times.setdefault(place[id(m.kernels)], []).append(np.log(m.latency_ms))
        for n, values in times.items():
            log_ms[t, n] = np.median(values)
    families = tuple(family_of_model(n) for n in names)
    return Campaign(tuple(kept), tuple(names), families, tuple(tables), log_ms)


def _same(table: KernelTable, known: Sequence[KernelTable]) -> int:
    """Place of the known network that is the same one by its work, else the number of them."""
    if not known:
        return 0
    far = distances(descriptions([table]), descriptions(known))[0]
    total = table["macs"].sum()
    for place in np.flatnonzero(far < SAME_NETWORK).tolist():
        if abs(known[place]["macs"].sum() - total) <= SAME_NETWORK * total:
            return int(place)
    return len(known)


def _beside(campaign: Campaign, groups: Sequence[TargetRows]) -> Campaign | None:
    """The float targets of the hardware whose quantised targets are learned; None if too few.

    The same cores ran more networks in float than quantised, and what float networks take tells
    of light kernels, of starts and of caches in both.
    """
    if campaign.precision != "int8":
        return None
    hardware = {_hardware(g) for g in campaign.groups}
    same = [
        g
        for g in groups
        if precision_class(g.target.precision) == "float" and _hardware(g) in hardware
    ]
    try:
        return _campaign(same)
    except MeasurementError:
        return None


def _hardware(group: TargetRows) -> tuple[str, int, str, str]:
    target = group.target
    return (target.device, target.threads, target.cluster, group.processor)


def _fitted_costs(
    campaign: Campaign, beside: Campaign | None, unit: str, left: Sequence[str] = ()
) -> np.ndarray:
    """Log costs of a campaign's targets, shape (targets, features), from all families but some.

    Targets of the same hardware in another precision (`beside`) share what is the hardware's.
    """
    from perfmodel.cost_models.work_model import JointEfficiencyModel

    every = [campaign] if beside is None else [campaign, beside]
    hardware = list(dict.fromkeys(_hardware(g) for c in every for g in c.groups))
    rows, times, before = [], [], 0
    for place, one in enumerate(every):
        seen = ~np.isin(one.families, list(left))
        target, network = np.nonzero(np.isfinite(one.log_ms) & seen[None, :])
        own = target
        if beside is not None:
            own = np.array([hardware.index(_hardware(g)) for g in one.groups])[target]
        codes = np.column_stack([before + target, own, np.full_like(target, place)])
        rows.append(np.hstack([codes, one.work[network]]))
        times.append(np.exp(one.log_ms[target, network]))
        before += len(one.groups)
    model = JointEfficiencyModel()
    model.set_params(**SPREADS.get(unit, {}))
    model.fit(np.vstack(rows), np.concatenate(times))
    costs = np.full((before, campaign.work.shape[1]), np.nan)
    costs[model.targets_] = model.log_cost_
    return costs[: len(campaign.groups)]


def _learned(
    campaign: Campaign, beside: Campaign | None, framework: str, unit: str, precision: str
) -> Population:
    work = campaign.work
    costs = _fitted_costs(campaign, beside, unit)
    measured = np.isfinite(campaign.log_ms)
    known = np.flatnonzero(measured.sum(axis=0) >= min(MIN_RUNS, len(campaign.groups)))
    fitted = np.log(np.exp(costs) @ work.T)
    misfit = np.where(measured, campaign.log_ms - fitted, np.nan)[:, known]
    log_ms = np.where(
        measured[:, known],
        campaign.log_ms[:, known],
        fitted[:, known] + np.nanmedian(misfit, axis=0),
    )
    devices = np.array([g.target.device for g in campaign.groups])
    shapes = costs - np.log(np.exp(costs) @ work[known].T).mean(axis=1)[:, None]
    return Population(
        framework=framework,
        unit=unit,
        precision=precision,
        names=tuple(g.name for g in campaign.groups),
        networks=tuple(campaign.names[n].rsplit("/", 1)[-1] for n in known),
        anchors=np.round(descriptions([campaign.tables[n] for n in known]), 5),
        work=work[known],
        log_cost=costs,
        log_ms=log_ms,
        measured=measured[:, known],
        spread=kin_spread(costs, log_ms, measured[:, known], devices),
        wide=np.cov(shapes.T),
        noise_sd=NOISE_SD,
        strange_sd=1.0,
        strange_width=1.0,
        ranges=size_ranges(campaign.tables),
    )


def kin_spread(
    log_cost: np.ndarray, log_ms: np.ndarray, measured: np.ndarray, devices: np.ndarray
) -> np.ndarray:
    """Covariance of what tells targets from their nearest kin on other devices.

    Departures of log costs and of log times, the difference of scale taken out; entries come from
    the pairs of targets that were both measured, shrunk towards the diagonal.
    """
    found = [_departures(t, log_cost, log_ms, measured, devices) for t in range(len(log_cost))]
    rows = np.vstack([f for f in found if len(f)] or [np.zeros((1, _width(log_cost, log_ms)))])
    seen = np.isfinite(rows).astype(float)
    filled = np.where(seen > 0, rows, 0.0)
    pairs = filled.T @ filled / np.maximum(seen.T @ seen, 1.0)
    features = log_cost.shape[1]
    share = np.full(len(pairs), 1.0 - TIME_SHRINKAGE)
    share[:features] = 1.0 - COST_SHRINKAGE
    shrunk = pairs * np.sqrt(np.outer(share, share))
    np.fill_diagonal(shrunk, np.diag(pairs))
    values, vectors = np.linalg.eigh(shrunk)
    positive: np.ndarray = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return positive


def _width(log_cost: np.ndarray, log_ms: np.ndarray) -> int:
    return log_cost.shape[1] + log_ms.shape[1]


def _departures(
    target: int, log_cost: np.ndarray, log_ms: np.ndarray, measured: np.ndarray, devices: np.ndarray
) -> np.ndarray:
    """How the nearest targets of other devices differ from one, shape (nearest, costs + times)."""
    both = measured & measured[target]
    need = min(SHARED_NETWORKS, measured.shape[1])
    others = np.flatnonzero((both.sum(axis=1) >= need) & (devices != devices[target]))
    if not len(others) or not need:
        return np.zeros((0, _width(log_cost, log_ms)))
    gap = np.where(both, log_ms - log_ms[target], np.nan)[others]
    scale = np.nanmedian(gap, axis=1, keepdims=True)
    distance = np.nanmean(np.minimum(np.abs(gap - scale), 0.5), axis=1)
    near = np.argsort(distance, kind="stable")[:NEAREST]
    times = np.clip(gap[near] - scale[near], -LARGEST_TIME_GAP, LARGEST_TIME_GAP)
    costs = log_cost[others[near]] - log_cost[target] - scale[near]
    return np.hstack([np.clip(costs, -LARGEST_COST_GAP, LARGEST_COST_GAP), times])


def _strange(campaign: Campaign, beside: Campaign | None, unit: str) -> StrangeNetworks:
    return strange_networks(
        campaign.log_ms,
        campaign.families,
        campaign.tables,
        campaign.work_precision,
        lambda left: _fitted_costs(campaign, beside, unit, left),
    )


def _strange_width(
    population: Population, campaign: Campaign, strange: StrangeNetworks, seed: int
) -> float:
    """What a strange network adds, as the root of a sum of squares, to a target's own half width.

    So that 90 % of the networks whose family no target had run are inside. A target that errs much
    already needs less for being asked a strange network, and one that strays as many times as far
    as others as many times more.
    """
    tables = dict(zip(campaign.names, campaign.tables, strict=True))
    devices = np.array(_devices(population))
    beyond = []
    for target in np.random.default_rng(seed).permutation(len(campaign.log_ms))[:MOST_JUDGED]:
        if not np.isfinite(strange.missed[target]).any():
            continue
        places = np.flatnonzero(np.isfinite(campaign.log_ms[target]))
        measured = [
            MeasuredNetwork(name, tables[name], float(np.exp(campaign.log_ms[target, n])))
            for n, name in ((n, campaign.names[n]) for n in places)
        ]
        others = population.without(devices == devices[target])
        made = adapt(measured, others, None, blocks_of(measured))
        beyond.append(strange.beyond(int(target), made.half_width_log) / made.strayed)
    return strange_width(beyond)


def _width_factors(population: Population, campaign: Campaign, seed: int) -> dict[int, float]:
    """How many standard deviations (of `Adaptation.half_width_log`) hold 90 %, by measurements.

    Targets are left out with their device and adapted from a few of their networks by what the
    other devices teach; the rest of their networks tell by how much they miss. Without a
    measurement they start as a user's target does, from their spec sheets, where any is known.
    """
    rng = np.random.default_rng(seed)
    devices = np.array(_devices(population))
    picked = rng.permutation(len(population.names))[:MOST_JUDGED]
    known = _known_tables(population, campaign)
    # nobody says of a device that is not measured which version would run on it
    sheets = [s and replace(s, old=False) for s in sheets_of(population, shipped_facts())]
    if len({d for d, s in zip(devices, sheets, strict=True) if s is not None}) < 2:
        sheets = [None] * len(sheets)  # one left out would leave none to start from
    factors = {}
    for count in COUNTS:
        with_sheet = [t for t in picked if sheets[t] is not None]
        asked = with_sheet if with_sheet and not count else picked
        misses = [
            miss
            for t in asked
            for miss in _misses(
                population, devices, int(t), known, rng, count, None if count else sheets[t]
            )
        ]
        if misses:
            factors[count] = conformal_quantile(np.array(misses))
    return factors


def _known_tables(population: Population, campaign: Campaign) -> list[KernelTable]:
    short = [n.rsplit("/", 1)[-1] for n in campaign.names]
    return [campaign.tables[short.index(n)] for n in population.networks]


def _misses(
    population: Population,
    devices: np.ndarray,
    target: int,
    tables: Sequence[KernelTable],
    rng: np.random.Generator,
    count: int,
    sheet: MeasuredSheet | None,
) -> list[float]:
    """|log error| in standard deviations of the networks that were not drawn."""
    order = rng.permutation(np.flatnonzero(population.measured[target]))
    if len(order) < count + 3:
        return []
    own = population.log_ms[target]
    drawn = [
        MeasuredNetwork(population.networks[n], tables[n], float(np.exp(own[n])))
        for n in order[:count]
    ]
    others = population.without(devices == devices[target])
    start = None if sheet is None else start_from_sheet(sheet, others)
    adapted = adapt(drawn, others, start, blocks_of(drawn))
    rest = order[count:]
    known = (
        np.log(population.work[rest] @ np.exp(adapted.log_cost)) + adapted.correction.misfits[rest]
    )
    one = adapted.half_width_log / others.width_factor(count)
    return [float(m) for m in np.abs(known - own[rest]) / one]


def _devices(population: Population) -> list[str]:
    return [name.split("/")[0] for name in population.names]
