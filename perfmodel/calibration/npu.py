"""Measured NPU targets and what they have in common: costs and misfits of networks.

A population holds every measured NPU target with its costs and its times of the same networks, as a
base for new ones (`npu_adapt`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from perfmodel.calibration.families import family_parts
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.cost_models.likeness import SAME_NETWORK, are_same, descriptions
from perfmodel.cost_models.npu_leaning import leanings, pulls, roots_of_shares
from perfmodel.cost_models.npu_model import NpuPlace, NpuTimes, fit_npu_costs
from perfmodel.cost_models.npu_plain import FEWEST, blended, plain_costs
from perfmodel.cost_models.npu_predictor import COST_NAMES, network_work
from perfmodel.cost_models.npu_terms import WEIGHT_BYTES
from perfmodel.cost_models.plain_data import Range
from perfmodel.cost_models.work_predictor import size_ranges, work_matrix
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable

PRECISIONS = ("fp16", "w8a8", "w8a16")

SHARES = tuple(i / 10 for i in range(11))
"""What four numbers may say of a time, of which the best is chosen by families left out."""

LARGEST_MISS = 0.3
"""Log miss from which on shares are judged alike: larger ones are of a compiler's paths, which no
share mends."""

DRAWS = 200
"""Drawings of families that a share is the mean of: ten times as many move AI Hub's by 0.1 at
most."""

FEWEST_LEANED = 20
"""Networks of a precision from which on others lean to them (`npu_leaning`): Rockchip's 15, most of
them YOLO, are missed by 11.9 % where they do and by 10.6 where not, left out in turn; AI Hub's
least precision has 37."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuNetworks:
    """Networks that targets were measured with: kernels, names and families, in one order.

    `ran` are the kernels that ran where a benchmark puts work of its own before some of them; None
    where they ran alone.
    """

    names: tuple[str, ...]
    families: tuple[str, ...]
    tables: tuple[KernelTable, ...]
    ran: tuple[KernelTable, ...] | None = None

    @property
    def tables_ran(self) -> tuple[KernelTable, ...]:
        """Kernels of all that ran with each."""
        return self.tables if self.ran is None else self.ran

    def work(self, precision: str) -> np.ndarray:
        """Work of each alone, shape (networks, costs)."""
        return np.array([network_work(t, precision) for t in self.tables])

    def work_ran(self, precision: str) -> np.ndarray:
        """Work of all that ran with each, shape (networks, costs)."""
        if self.ran is None:
            return self.work(precision)
        return np.array([network_work(t, precision) for t in self.ran])


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuPopulation:
    """Measured NPU targets as a base for new ones.

    `names` are those of targets, `places` what they share. `log_cost` has shape (targets, costs);
    `log_ms` (targets, networks) holds log times: `measured` ones, and what the target's costs and
    the network's misfit on other targets say for the rest. `anchors`, `described_by` and `work`
    (by precision) describe the networks, `work_ran` all that ran when they were measured, `ranges`
    their kernels. `strange_width` is the half width of the 90 % interval of a network whose family
    nobody measured, by precision, `new_widths` that of a network on a new chip, by how many were
    measured on it (`npu_new_chip`).
    """

    names: tuple[str, ...]
    places: tuple[NpuPlace, ...]
    networks: tuple[str, ...]
    anchors: np.ndarray
    described_by: np.ndarray
    work: dict[str, np.ndarray]
    work_ran: dict[str, np.ndarray]
    log_cost: np.ndarray
    log_ms: np.ndarray
    measured: np.ndarray
    ranges: dict[str, Range]
    strange_width: dict[str, float]
    new_widths: dict[int, float] = field(default_factory=dict)

    def known(self, precision: str) -> np.ndarray:
        """Networks that some target of a precision was measured with, shape (networks,)."""
        mine = [p.precision == precision for p in self.places]
        return np.asarray(self.measured[mine].any(axis=0))

    def without(self, chips: Sequence[str]) -> NpuPopulation:
        """The population less the targets of some chips."""
        kept = np.array([p.chip not in chips for p in self.places])
        return replace(
            self,
            names=tuple(n for n, k in zip(self.names, kept, strict=True) if k),
            places=tuple(p for p, k in zip(self.places, kept, strict=True) if k),
            log_cost=self.log_cost[kept],
            log_ms=self.log_ms[kept],
            measured=self.measured[kept],
        )


def npu_precision(precision: str) -> str:
    """The precision whose terms a target's are: `int8` is w8a8, every float runs as fp16."""
    if precision in WEIGHT_BYTES and precision != "int8":
        return precision
    return "w8a8" if precision in ("int8", "uint8") else "fp16"


def without_folder(network: str) -> str:
    """A network's name, of a file without its folder: where files lie is known on one machine."""
    return Path(network).name if Path(network).is_file() else network


def population_of(
    names: Sequence[str],
    places: Sequence[NpuPlace],
    networks: NpuNetworks,
    log_ms: np.ndarray,
    shares: Mapping[str, float] | None = None,
) -> NpuPopulation:
    """The population of measured targets; `log_ms` (targets, networks) is NaN where not measured.

    `shares`, by precision, is what four numbers say of a time (`FamiliesLeftOut`); nothing if left
    out. Raises `MeasurementError` without any measurement.
    """
    measured = np.isfinite(log_ms)
    if not measured.any():
        raise MeasurementError("no NPU target was measured", "give rows of unit npu")
    work = {p: networks.work_ran(p) for p in PRECISIONS}
    log_cost = npu_costs(places, work, log_ms).blended(places, shares or {})
    modelled = modelled_log_ms(places, work, log_cost)
    misfit = shared_misfits(places, np.where(measured, log_ms - modelled, np.nan))
    return NpuPopulation(
        names=tuple(names),
        places=tuple(places),
        networks=tuple(without_folder(n) for n in networks.names),
        anchors=descriptions(networks.tables),
        described_by=np.array([work_matrix(t, "fp32").sum(axis=0) for t in networks.tables]),
        work={p: networks.work(p) for p in PRECISIONS},
        work_ran=work,
        log_cost=log_cost,
        log_ms=np.where(measured, log_ms, modelled + misfit),
        measured=measured,
        ranges=size_ranges(networks.tables_ran),
        strange_width={},
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuFit:
    """Log costs of targets by kinds of work and by four numbers, shape (targets, costs) each.

    The latter are NaN for a target of too few networks.
    """

    by_kind: np.ndarray
    plain: np.ndarray

    def blended(self, places: Sequence[NpuPlace], shares: Mapping[str, float]) -> np.ndarray:
        """Log costs with the share of each precision by four numbers."""
        found = self.by_kind.copy()
        for i, place in enumerate(places):
            if np.isfinite(self.plain[i]).all():
                share = shares.get(place.precision, 0.0)
                found[i] = blended(self.by_kind[i], self.plain[i], share)
        return found


def npu_costs(
    places: Sequence[NpuPlace], work: dict[str, np.ndarray], log_ms: np.ndarray
) -> NpuFit:
    """Log costs of targets from their measured times."""
    target, network = np.nonzero(np.isfinite(log_ms))
    pairs = zip(target.tolist(), network.tolist(), strict=True)
    rows = np.array([work[places[t].precision][n] for t, n in pairs])
    ms = np.exp(log_ms[target, network])
    seen = NpuTimes(target=target, network=network, work=rows, latency_ms=ms)
    plain = np.full((len(places), len(COST_NAMES)), np.nan)
    for i in range(len(places)):
        mine = target == i
        if mine.sum() >= FEWEST:
            plain[i] = plain_costs(rows[mine], ms[mine])
    return NpuFit(by_kind=fit_npu_costs(places, seen).log_cost, plain=plain)


def modelled_log_ms(
    places: Sequence[NpuPlace], work: dict[str, np.ndarray], log_cost: np.ndarray
) -> np.ndarray:
    """Log times by costs alone, shape (targets, networks)."""
    rows = [np.log(work[p.precision] @ np.exp(c)) for p, c in zip(places, log_cost, strict=True)]
    return np.array(rows)


def shared_misfits(places: Sequence[NpuPlace], misfit: np.ndarray) -> np.ndarray:
    """What each network takes beyond its costs on other targets of the precision, 0 if unknown."""
    out = np.zeros_like(misfit)
    for precision in {p.precision for p in places}:
        mine = np.array([p.precision == precision for p in places])
        known = np.isfinite(misfit[mine]).any(axis=0)
        out[np.ix_(mine, known)] = np.nanmedian(misfit[np.ix_(mine, known)], axis=0)
    return out


def leaned(
    places: Sequence[NpuPlace],
    work: dict[str, np.ndarray],
    log_cost: np.ndarray,
    misfit: np.ndarray,
) -> np.ndarray:
    """Log factors by how networks spend their time (`npu_leaning`), shape (targets, networks).

    `misfit` is what networks take beyond their costs, of that shape, NaN where not measured. Time
    is shared out by the mean costs of the targets of a precision.
    """
    out = np.zeros_like(misfit)
    filled = np.where(np.isfinite(misfit), misfit, shared_misfits(places, misfit))
    for precision in {p.precision for p in places}:
        mine = np.array([p.precision == precision for p in places])
        known = np.isfinite(misfit[mine]).any(axis=0)
        if known.sum() >= FEWEST_LEANED:
            costs = np.exp(log_cost[mine, :-1])
            costs = (costs / costs.sum(axis=1, keepdims=True)).mean(axis=0)
            spent = roots_of_shares(work[precision][:, :-1] * costs)
            pulled = pulls(spent[known], filled[np.ix_(mine, known)])
            out[mine] = leanings(spent, spent[known], pulled)
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class FamiliesLeftOut:
    """What comes of network families left out of a fit on every target.

    `log_ratio` holds log(measured / predicted), shape (targets, networks), NaN where not measured;
    `shares`, by precision, how much of a time four numbers say (`npu_plain`): that which misses
    least.
    """

    log_ratio: np.ndarray
    shares: dict[str, float]


def family_left_out(
    places: Sequence[NpuPlace], networks: NpuNetworks, log_ms: np.ndarray, folds: int = 0
) -> FamiliesLeftOut:
    """Misses of networks whose family is left out on every target, and the best shares.

    Families are left out one at a time, or `folds` parts of them where it is above 0.
    """
    work = {p: networks.work_ran(p) for p in PRECISIONS}
    parts, families = (family_parts(networks.families, n) for n in (folds, 0))
    # of every share, as if all precisions had it
    missed = np.full((len(SHARES), *log_ms.shape), np.nan)
    for number in range(parts.max() + 1):
        held = parts == number
        seen = np.where(held[None, :], np.nan, log_ms)
        fit = npu_costs(places, work, seen)
        asked = np.isfinite(log_ms) & held[None, :]
        for out, share in zip(missed, SHARES, strict=True):
            costs = fit.blended(places, dict.fromkeys(PRECISIONS, share))
            modelled = modelled_log_ms(places, work, costs)
            leaning = leaned(places, work, costs, seen - modelled)
            out[asked] = (log_ms - modelled - leaning)[asked]
    shares, log_ratio = {}, np.full(log_ms.shape, np.nan)
    for precision in sorted({p.precision for p in places}):
        mine = np.array([p.precision == precision for p in places])
        if np.isfinite(missed[:, mine]).any():
            best = _steady_best(missed[:, mine], families)
            shares[precision], log_ratio[mine] = SHARES[best], missed[best][mine]
    return FamiliesLeftOut(log_ratio=log_ratio, shares=shares)


def _steady_best(missed: np.ndarray, family: np.ndarray) -> int:
    """Which share misses least, of log misses (shares, targets, networks), NaN where not measured.

    `family` numbers each network's, shape (networks,). Of few families one decides which share that
    is, and the next one that is left out moves it from none to all. So families are drawn again and
    again (bootstrap) and the answer is the mean of the shares that miss least, rounded to one of
    them.
    """
    measured = np.isfinite(missed[0]).any(axis=0)
    sizes = np.nansum(np.minimum(np.abs(missed), LARGEST_MISS), axis=1)
    seen = np.unique(family[measured])
    by_family = np.array([sizes[:, family == number].sum(axis=1) for number in seen])
    drawn = np.random.default_rng(0).choice(len(seen), (DRAWS, len(seen)))
    best = by_family[drawn].sum(axis=1).argmin(axis=1)
    share = np.array(SHARES)[best].mean()
    return int(np.argmin(np.abs(np.array(SHARES) - share)))


def recognised(population: NpuPopulation, precision: str, measured: MeasuredNetwork) -> np.ndarray:
    """Whether each network of the population is the measured one, of its size, (networks,)."""
    own, known = network_work(measured.kernels, precision), population.work[precision]
    size = np.abs(own.sum() / known.sum(axis=1) - 1.0) < SAME_NETWORK
    same: np.ndarray = are_same(descriptions([measured.kernels]), population.anchors)[0] & size
    return same
