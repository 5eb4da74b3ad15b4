"""NPU targets: what measured ones teach, and a new one from a few networks.

A population holds every measured NPU target with its costs and its times of the same networks. A
new target is a mixture of the known ones of its precision, each scaled to the measurements and
weighed by how evenly it then explains them: chips of one family differ little but in speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.cost_models.hierarchy import log_times
from perfmodel.cost_models.likeness import SAME_NETWORK, descriptions, distances, interpolation
from perfmodel.cost_models.network_correction import (
    LARGEST_LOG,
    WIDTHS,
    NetworkCorrection,
    lawful_along,
)
from perfmodel.cost_models.npu_model import NpuPlace, NpuTimes, fit_npu_costs
from perfmodel.cost_models.npu_predictor import NpuPredictor, network_work
from perfmodel.cost_models.npu_terms import NPU_TERMS, WEIGHT_BYTES
from perfmodel.cost_models.plain_data import Range
from perfmodel.cost_models.work_predictor import size_ranges, work_matrix
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable

PRECISIONS = ("fp16", "w8a8", "w8a16")

EVEN_SD, EVEN_CASES = 0.08, 3.0
"""How evenly a known target of another chip explains a new one's times, in log units, and how many
measurements that is worth: the median target left out of AI Hub's (aihub.csv.gz)."""

SPEED_SD = 0.3
"""How much faster or slower known targets may be before they count less, in log units: a chip of
about the same speed is most often one of the same generation."""

KNOWN_LOG = 0.15
"""Half width of the 90 % interval of a network that was measured, in log units: jobs repeat within
a few percent, and one in ten runs on a chip in another state of power (SA8775P)."""

_WIDTH_POWER = np.array(
    [{"product": 2.0, "memory": 2.0, "vector": 1.0}.get(t.group, 0.0) for t in NPU_TERMS] + [0.0]
)
"""How work grows with the channels, as in `network_correction`."""

_GROWTH = {"fp16": 1.0, "w8a8": 1.0, "w8a16": 0.3}
"""Largest power of the channels that a time is taken to grow by where misfits are judged: tiles are
padded and a few layers hold most of the time, so that it grows less than the work does. The largest
of 0.3, 0.5, 1 and 2 at which no chain of networks in tests/test_laws.py takes less for more work on
any of the 85 targets; w8a16 strays most from its costs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuNetworks:
    """Networks that targets were measured with: kernels, names and families, in one order."""

    names: tuple[str, ...]
    families: tuple[str, ...]
    tables: tuple[KernelTable, ...]

    def work(self, precision: str) -> np.ndarray:
        """Work of each, shape (networks, costs)."""
        return np.array([network_work(t, precision) for t in self.tables])


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuPopulation:
    """Measured NPU targets as a base for new ones.

    `names` are those of targets, `places` what they share. `log_cost` has shape (targets, costs);
    `log_ms` (targets, networks) holds log times: `measured` ones, and what the target's costs and
    the network's misfit on other targets say for the rest. `anchors`, `described_by` and `work`
    (by precision) describe the networks, `ranges` their kernels. `strange_width` is the half width
    of the 90 % interval of a network whose family nobody measured, by precision.
    """

    names: tuple[str, ...]
    places: tuple[NpuPlace, ...]
    networks: tuple[str, ...]
    anchors: np.ndarray
    described_by: np.ndarray
    work: dict[str, np.ndarray]
    log_cost: np.ndarray
    log_ms: np.ndarray
    measured: np.ndarray
    ranges: dict[str, Range]
    strange_width: dict[str, float]

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
    names: Sequence[str], places: Sequence[NpuPlace], networks: NpuNetworks, log_ms: np.ndarray
) -> NpuPopulation:
    """The population of measured targets; `log_ms` (targets, networks) is NaN where not measured.

    Raises `MeasurementError` without any measurement.
    """
    measured = np.isfinite(log_ms)
    if not measured.any():
        raise MeasurementError("no NPU target was measured", "give rows of unit npu")
    work = {p: networks.work(p) for p in PRECISIONS}
    log_cost = npu_costs(places, work, log_ms)
    modelled = modelled_log_ms(places, work, log_cost)
    misfit = shared_misfits(places, np.where(measured, log_ms - modelled, np.nan))
    return NpuPopulation(
        names=tuple(names),
        places=tuple(places),
        networks=tuple(without_folder(n) for n in networks.names),
        anchors=descriptions(networks.tables),
        described_by=np.array([work_matrix(t, "fp32").sum(axis=0) for t in networks.tables]),
        work=work,
        log_cost=log_cost,
        log_ms=np.where(measured, log_ms, modelled + misfit),
        measured=measured,
        ranges=size_ranges(networks.tables),
        strange_width={},
    )


def npu_costs(
    places: Sequence[NpuPlace], work: dict[str, np.ndarray], log_ms: np.ndarray
) -> np.ndarray:
    """Log costs of targets, shape (targets, costs), from their measured times."""
    target, network = np.nonzero(np.isfinite(log_ms))
    pairs = zip(target.tolist(), network.tolist(), strict=True)
    rows = np.array([work[places[t].precision][n] for t, n in pairs])
    seen = NpuTimes(
        target=target, network=network, work=rows, latency_ms=np.exp(log_ms[target, network])
    )
    return fit_npu_costs(places, seen).log_cost


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


def family_left_out(
    places: Sequence[NpuPlace], networks: NpuNetworks, log_ms: np.ndarray, folds: int = 0
) -> np.ndarray:
    """log(measured / predicted) with a network's family left out on every target; NaN elsewhere.

    Families are left out one at a time, or `folds` parts of them where it is above 0.
    """
    work = {p: networks.work(p) for p in PRECISIONS}
    kinds = sorted(set(networks.families))
    part = {family: i % (folds or len(kinds)) for i, family in enumerate(kinds)}
    parts = np.array([part[family] for family in networks.families])
    out = np.full(log_ms.shape, np.nan)
    for number in sorted(set(part.values())):
        held = parts == number
        seen = np.where(held[None, :], np.nan, log_ms)
        predicted = modelled_log_ms(places, work, npu_costs(places, work, seen))
        asked = np.isfinite(log_ms) & held[None, :]
        out[asked] = (log_ms - predicted)[asked]
    return out


def predictor_of(
    population: NpuPopulation, precision: str, log_cost: np.ndarray, log_ms: np.ndarray
) -> NpuPredictor:
    """The predictor of a target from its costs and its times of the population's networks."""
    known = population.known(precision)
    work = population.work[precision][known]
    misfits = np.clip(log_ms[known] - np.log(work @ np.exp(log_cost)), -LARGEST_LOG, LARGEST_LOG)
    power = np.minimum(_WIDTH_POWER, _GROWTH[precision])
    wide = work[:, None, :] * WIDTHS[:, None] ** power
    correction = lawful_along(
        NetworkCorrection(anchors=population.anchors[known], misfits=misfits),
        population.described_by[known],
        np.log(wide @ np.exp(log_cost)),
    )
    strange = max(population.strange_width.get(precision, KNOWN_LOG) - KNOWN_LOG, 0.0)
    return NpuPredictor(
        log_cost=tuple(float(c) for c in log_cost),
        precision=precision,
        ranges=population.ranges,
        correction=replace(correction, strange_log=strange),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuAdaptation:
    """A new target: its costs and times of the population's networks, and whom it is like.

    `left_out` holds log(measured / predicted) of each measurement had it not been made.
    """

    log_cost: np.ndarray
    log_ms: np.ndarray
    weights: np.ndarray
    left_out: np.ndarray


def adapt_npu(
    population: NpuPopulation,
    measured: Sequence[MeasuredNetwork],
    precision: str,
    runtime: str = "",
) -> NpuAdaptation:
    """A new target of `precision` from measurements of it; raises `MeasurementError`.

    Targets of the same runtime count where there are any. At least one measurement is needed.
    """
    if not measured:
        raise MeasurementError("no network was measured", "measure one, or give the chip's sheet")
    own = log_times(np.array([m.latency_ms for m in measured]))
    chosen = _comparable(population, precision, runtime)
    known = _times_of(population, measured, chosen, precision)
    offset, weights = _weighed(own - known)
    log_cost = np.average(population.log_cost[chosen] + offset[:, None], axis=0, weights=weights)
    log_ms = np.average(population.log_ms[chosen] + offset[:, None], axis=0, weights=weights)
    left = np.zeros(len(own))
    for i in range(len(own)):
        rest = np.arange(len(own)) != i
        if rest.any():
            shift, share = _weighed((own - known)[:, rest])
            left[i] = own[i] - np.average(known[:, i] + shift, weights=share)
    everyone = np.zeros(len(population.names))
    everyone[chosen] = weights
    return NpuAdaptation(log_cost=log_cost, log_ms=log_ms, weights=everyone, left_out=left)


def _comparable(population: NpuPopulation, precision: str, runtime: str) -> np.ndarray:
    """Known targets to compare with: of the precision, and of the runtime if there are any."""
    same = np.array([p.precision == precision for p in population.places])
    if not same.any():
        raise MeasurementError(
            f"no known NPU target of precision {precision}", f"known: {', '.join(PRECISIONS)}"
        )
    also = same & np.array([p.runtime == runtime for p in population.places])
    return np.flatnonzero(also if also.any() else same)


def _times_of(
    population: NpuPopulation,
    measured: Sequence[MeasuredNetwork],
    chosen: np.ndarray,
    precision: str,
) -> np.ndarray:
    """Log times of the measured networks on known targets, shape (targets, measured)."""
    described = descriptions([m.kernels for m in measured])
    near = distances(described, population.anchors)
    weights, _ = interpolation(described, population.anchors)
    work = np.array([network_work(m.kernels, precision) for m in measured])
    costs = population.log_cost[chosen]
    modelled = np.log(np.exp(costs) @ work.T)
    known_work = population.work[precision]
    misfit = population.log_ms[chosen] - np.log(np.exp(costs) @ known_work.T)
    out = modelled + np.clip(misfit @ weights.T, -LARGEST_LOG, LARGEST_LOG)
    for i, row in enumerate(near):
        best = int(np.argmin(row))
        size = work[i].sum() / known_work[best].sum()
        if row[best] < SAME_NETWORK and abs(size - 1.0) < SAME_NETWORK:
            out[:, i] = population.log_ms[chosen, best]
    return out


def _weighed(gap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale of each known target (log) and its weight, from log gaps (targets, measured)."""
    offset = np.median(gap, axis=1)
    rest = np.minimum(np.abs(gap - offset[:, None]), 5 * EVEN_SD) ** 2
    count = gap.shape[1]
    spread = rest.sum(axis=1) + EVEN_CASES * EVEN_SD**2
    log_weight = -0.5 * (count - 1 + EVEN_CASES) * np.log(spread) - 0.5 * (offset / SPEED_SD) ** 2
    weights = np.exp(log_weight - log_weight.max())
    return offset, weights / weights.sum()
