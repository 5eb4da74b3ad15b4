"""Learning what spec sheets tell, and a target's start from its own sheet.

`sheets_from` makes what `devices.spec_sheet` answers from: measured targets with their sheets,
shapes of costs by kind of processor, and how wrong sheets are when a chip is left out.
`start_from_sheet` is where `calibrate` begins, with any number of measurements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from perfmodel.calibration.adapt import Start, adapt
from perfmodel.calibration.device_kinds import shipped_kinds
from perfmodel.calibration.population import Population
from perfmodel.cost_models.interval import conformal_quantile
from perfmodel.cost_models.sheet_model import KnownRow, SheetModel
from perfmodel.devices.cpu_specs import GENERATIONS
from perfmodel.devices.sheet_bounds import Bounds, expect_bounded
from perfmodel.devices.sheet_data import (
    MeasuredSheet,
    Shape,
    SheetError,
    Sheets,
    apart,
    kin_of,
    shipped_sheets,
)
from perfmodel.devices.sheet_rows import FEATURES, LEVELS, target_class
from perfmodel.errors import ProfileError
from perfmodel.target import Target, full_target

NEWEST_NETWORKS = ("FastestDet",)
"""Networks that benchncnn gained last (2022): a run without them is of an older version."""

VERSIONED = "ncnn"
"""The framework of which versions are told apart."""

Facts = Mapping[str, MeasuredSheet]
"""What is known of devices beside their targets, by `facts_key`."""


@lru_cache(maxsize=1)
def shipped_facts() -> Facts:
    """The sheets of the devices whose measurements ship; those of ncnn say which are old."""
    known = sorted(shipped_sheets().known, key=lambda s: s.target.framework == VERSIONED)
    return {facts_key(s.target.device, s.target.unit): s for s in known}


THREAD_SCALE = 1.0
"""How fast a known target's weight for the shape falls with the logarithm of threads."""

LEAST_WEIGHT = 1e-3
NEIGHBOUR = 0.1
"""Weight in a shape of a target whose core is of the next generation: a kind that one device alone
has would else have the oddities of its one run."""

LEAST_FACTOR = 1.3
"""Standard deviations that hold 90 % are never fewer: chips are few."""


def facts_key(device: str, unit: str) -> str:
    """A device has one sheet for its CPU and one for its GPU."""
    return f"{device}/{unit}"


def sheets_of(population: Population, facts: Facts) -> list[MeasuredSheet | None]:
    """The sheet of every target of a population with its speed, None where it has none.

    Cores that `facts` do not know are those of the population itself. Whether a run was of an old
    version is told by its networks, else by the facts of its device.
    """
    old = _old(population)
    cores = population.cores or ("",) * len(population.names)
    found: list[MeasuredSheet | None] = []
    for place, (name, own) in enumerate(zip(population.names, cores, strict=True)):
        target = _target(name)
        known = facts.get(facts_key(target.device, target.unit))
        if known is None and not own:
            found.append(None)
            continue
        kind = shipped_kinds().get(target.device, "board")
        sheet = known or MeasuredSheet(
            target=target, chip=target.device, title=target.device, kind=kind, cores=own
        )
        speed = float(population.log_ms[place].mean()) if len(population.networks) else 0.0
        is_old = sheet.old and target.framework == VERSIONED if old is None else bool(old[place])
        sheet = replace(sheet, target=target, old=is_old, log_ms=speed)
        found.append(sheet if _usable(sheet) else None)
    return found


def _target(name: str) -> Target:
    return full_target(name.partition(" ")[0])


def _usable(sheet: MeasuredSheet) -> bool:
    try:
        sheet.row()
    except ProfileError:
        return False
    return True


def with_versions(facts: Facts, populations: Sequence[Population]) -> Facts:
    """The same facts, `old` where a population shows that a device was measured long ago."""
    found = dict(facts)
    for population in populations:
        old = _old(population)
        for name, is_old in zip(population.names, () if old is None else old, strict=False):
            target = _target(name)
            key = facts_key(target.device, target.unit)
            if key in found:
                found[key] = replace(found[key], old=bool(is_old))
    return found


def _old(population: Population) -> np.ndarray | None:
    """Which targets ran none of the networks that only newer versions know; None where nothing
    tells, as no target ran any."""
    plain = [n.rpartition("/")[2].removesuffix(".param") for n in population.networks]
    newest = np.array([n in NEWEST_NETWORKS for n in plain], dtype=bool)
    if not newest.any():
        return None
    return np.logical_not(population.measured[:, newest].any(axis=1))


def model_of(sheets: Sequence[MeasuredSheet]) -> SheetModel:
    """The model of overall speed of some measured targets, robust to odd ones."""
    if not sheets:
        raise ProfileError(
            "no known target has a spec sheet to compare with",
            "measure one network, or name a known device with --like",
        )
    known = tuple(KnownRow(row=s.row(), log_ms=s.log_ms, variance=1.0) for s in sheets)
    # class means are free: the base only has to be near
    return SheetModel(known=known, features=FEATURES, levels=LEVELS).robust()


def start_from_sheet(sheet: MeasuredSheet, known: Population, facts: Facts | None = None) -> Start:
    """What a sheet tells before any measurement of a target like those of a population.

    Raises `ProfileError` if no target of the population has a sheet.
    """
    theirs = sheets_of(known, shipped_facts() if facts is None else facts)
    have = [i for i, s in enumerate(theirs) if s is not None]
    model = model_of([s for s in theirs if s is not None])
    bounds = Bounds.of([s for s in theirs if s is not None])
    expected = expect_bounded(model, bounds, [sheet])
    weights = np.full(len(known.names), LEAST_WEIGHT)
    weights[have] += shape_weights(sheet, [s for s in theirs if s], expected.leans[0])
    return Start(
        weights=weights / weights.sum(),
        log_scale=float(expected.log_ms[0]),
        scale_sd=float(expected.sd[0]),
    )


def shape_weights(
    sheet: MeasuredSheet, known: Sequence[MeasuredSheet], leans: np.ndarray
) -> np.ndarray:
    """How much every known target says of the shape of one's costs, shape (known,)."""
    mine = np.log(max(sheet.target.threads, 1))
    theirs = np.log([max(s.target.threads, 1) for s in known])
    weights: np.ndarray = leans**2 * np.exp(-0.5 * ((theirs - mine) / THREAD_SCALE) ** 2)
    return weights


def population_shapes(population: Population, facts: Facts) -> list[Shape]:
    """Shapes of a population's costs: one a kind of processor, and for one and more threads."""
    theirs = [s for s in sheets_of(population, facts) if s is not None]
    kinds: dict[tuple[str, int], list[MeasuredSheet]] = {}
    for s in theirs:
        if s.target.unit == "gpu" or kin_of(s) in GENERATIONS:
            kinds.setdefault((kin_of(s), 1 if s.target.threads == 1 else 4), []).append(s)
    shapes = []
    for (kin, threads), members in sorted(kinds.items()):
        fitted = adapt((), population, _typical(kin, members, theirs, population))
        predictor = fitted.predictor
        factor, _ = predictor.correction.of_described(population.anchors)
        log_ms = np.log(population.work @ np.exp(np.array(predictor.log_cost))) + factor
        place = target_class(members[0].target)
        shapes.append(
            Shape(place=place, kin=kin, threads=threads, log_ms=log_ms.mean(), model=predictor)
        )
    return shapes


def _typical(
    kin: str,
    members: Sequence[MeasuredSheet],
    all_sheets: Sequence[MeasuredSheet],
    population: Population,
) -> Start:
    """A target in the middle of some; those of kinds that resemble theirs count a little."""
    own = {str(s.target) for s in members}
    worth = {
        str(s.target): 1.0 if str(s.target) in own else NEIGHBOUR ** max(apart(kin_of(s), kin), 1.0)
        for s in all_sheets
    }
    names = [str(_target(n)) for n in population.names]
    weights = np.array([max(worth.get(n, 0.0), LEAST_WEIGHT) for n in names])
    speed = float(np.median([s.log_ms for s in members]))
    return Start(weights=weights / weights.sum(), log_scale=speed, scale_sd=0.05)


def sheets_from(
    measured: Sequence[MeasuredSheet],
    shapes: Sequence[Shape],
    network_sd: Mapping[str, float],
) -> Sheets:
    """What ships of spec sheets, from measured targets with their sheets and speeds.

    `network_sd` is the spread of single networks around a target's speed by class of targets
    (`sheet_rows.target_class`); classes without it are not offered. How wrong the speed is is
    measured on phones, each chip left out in turn.
    """
    model = model_of(measured)
    known = tuple(
        replace(s, variance=k.variance) for s, k in zip(measured, model.known, strict=True)
    )
    misses, sds = chips_left_out(known)
    phone = np.array([s.kind == "phone" for s in known])
    units = np.array([s.target.unit for s in known], dtype=object)
    places = np.array([target_class(s.target) for s in known], dtype=object)
    errors = {}
    for place, spread in network_sd.items():
        pool = phone & (units == place.partition("/")[0])
        own = pool & (places == place)
        chips = len({s.chip for s, mine in zip(known, own, strict=True) if mine})
        share = chips / (chips + POOLED_CHIPS)
        factors = [_factor(misses[rows], sds[rows], spread) for rows in (own, pool) if rows.any()]
        factor = share * factors[0] + (1.0 - share) * factors[-1]
        judged = own if own.any() else pool
        relative = np.abs(np.expm1(-_with_networks(misses[judged], spread)))
        errors[place] = SheetError(
            network_sd=spread,
            factor=max(factor, LEAST_FACTOR),
            cases=int(judged.sum()),
            median=float(np.median(relative)),
            within_20=float((relative <= 0.2).mean()),
        )
    return Sheets(known=known, shapes=tuple(shapes), errors=errors)


POOLED_CHIPS = 4.0
"""Phones' chips of a class of its own from which on they set its intervals as much as those of all
frameworks on the unit."""

NORMAL_POINTS = np.array(
    [-1.645, -1.036, -0.674, -0.385, -0.126, 0.126, 0.385, 0.674, 1.036, 1.645]
)
"""Quantiles of a normal distribution from 5 to 95 % in steps of a tenth."""


def _with_networks(misses: np.ndarray, network_sd: float) -> np.ndarray:
    """Misses of single networks where those of the overall speed are known."""
    all_misses: np.ndarray = (misses[:, None] + network_sd * NORMAL_POINTS).ravel()
    return all_misses


def _factor(misses: np.ndarray, sds: np.ndarray, network_sd: float) -> float:
    """Standard deviations that hold 90 % of single networks."""
    total = np.repeat(np.hypot(sds, network_sd), len(NORMAL_POINTS))
    return conformal_quantile(np.abs(_with_networks(misses, network_sd)) / total)


def chips_left_out(known: Sequence[MeasuredSheet]) -> tuple[np.ndarray, np.ndarray]:
    """log(measured / expected) of every target with its chip left out, and the standard deviation
    that was expected; NaN for chips that are no phones'. Shapes (known,)."""
    model = SheetModel(
        known=tuple(KnownRow(row=s.row(), log_ms=s.log_ms, variance=s.variance) for s in known),
        features=FEATURES,
        levels=LEVELS,
    )
    misses, sds = np.full(len(known), np.nan), np.full(len(known), np.nan)
    for chip in sorted({s.chip for s in known if s.kind == "phone"}):
        mine = [i for i, s in enumerate(known) if s.chip == chip]
        others = Bounds.of([s for s in known if s.chip != chip])
        said = expect_bounded(model.without_chip(chip), others, [known[i] for i in mine])
        misses[mine] = np.array([known[i].log_ms for i in mine]) - said.log_ms
        sds[mine] = said.sd
    return misses, sds


def is_phones(sheet: MeasuredSheet) -> bool:
    """Whether a target says something of phones: of their cores or GPUs, and not of a server."""
    if sheet.target.unit == "gpu":
        return True
    return kin_of(sheet) in GENERATIONS and sheet.target.threads <= 8


__all__ = [
    "chips_left_out",
    "facts_key",
    "is_phones",
    "model_of",
    "population_shapes",
    "sheets_from",
    "sheets_of",
    "start_from_sheet",
    "with_versions",
]
