"""The predictor of an NPU target from its costs and its times of the population's networks.

Known networks are answered by their time; others by costs, by networks that spend their time alike
(`npu_leaning`) and by those that are alike (`network_correction`), as far as laws allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.calibration import npu
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.npu import NpuPopulation, recognised
from perfmodel.cost_models.likeness import descriptions
from perfmodel.cost_models.network_correction import (
    LARGEST_LOG,
    LEAST_GROWTH,
    MAX_ANCHORS,
    WIDTHS,
    NetworkCorrection,
    lawful_along,
)
from perfmodel.cost_models.npu_known import LARGEST_BEYOND, TimedNetworks, log_total
from perfmodel.cost_models.npu_predictor import NpuPredictor, network_work
from perfmodel.cost_models.npu_terms import NPU_TERMS
from perfmodel.cost_models.work_predictor import work_matrix

KNOWN_LOG = 0.15
"""Half width of the 90 % interval of a network that was measured, in log units: jobs repeat within
a few percent, and one in ten runs on a chip in another state of power (SA8775P)."""

LEAST_SHARE = 0.05
"""Least share of a known time that kernels take, where calls of the NPU are fitted to take more
than a network of little work."""

LEANS = (1.0, 0.8, 0.6, 0.4, 0.2)
"""How far networks may follow those that spend their time alike: as far as laws allow."""

_WIDTH_POWER = np.array(
    [{"product": 2.0, "memory": 2.0, "vector": 1.0}.get(t.group, 0.0) for t in NPU_TERMS]
)
"""How work grows with the channels, as in `network_correction`."""

_GROWTH = {"fp16": 1.0, "w8a8": 1.0, "w8a16": 0.3}
"""Largest power of the channels that a time is taken to grow by where misfits are judged: tiles are
padded and a few layers hold most of the time, so that it grows less than the work does. The largest
of 0.3, 0.5, 1 and 2 at which no chain of networks in tests/test_laws.py takes less for more work on
any of the 85 targets; w8a16 strays most from its costs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Timed:
    """Networks with a time on one target: descriptions, features, work and log ms of each.

    `work_ran` is that of all that ran with them when they were measured.
    """

    anchors: np.ndarray
    described_by: np.ndarray
    work: np.ndarray
    work_ran: np.ndarray
    log_ms: np.ndarray


def _timed(
    population: NpuPopulation,
    precision: str,
    log_ms: np.ndarray,
    own: Sequence[MeasuredNetwork],
) -> _Timed:
    """The networks that the population knows in a precision, and measured ones that it does not."""
    known = population.known(precision)
    strangers = [m for m in own if not (recognised(population, precision, m) & known).any()]
    strangers = strangers[: MAX_ANCHORS - int(known.sum())]
    anchors, described_by = population.anchors[known], population.described_by[known]
    work, ran = population.work[precision][known], population.work_ran[precision][known]
    times = log_ms[known]
    if strangers:
        tables = [m.kernels for m in strangers]
        more = np.array([work_matrix(t, "fp32").sum(axis=0) for t in tables])
        anchors = np.vstack([anchors, descriptions(tables)])
        described_by = np.vstack([described_by, more])
        alone = [network_work(t, precision) for t in tables]
        work, ran = np.vstack([work, alone]), np.vstack([ran, alone])
        times = np.append(times, np.log([m.latency_ms for m in strangers]))
    return _Timed(anchors=anchors, described_by=described_by, work=work, work_ran=ran, log_ms=times)


def predictor_of(
    population: NpuPopulation,
    precision: str,
    log_cost: np.ndarray,
    log_ms: np.ndarray,
    own: Sequence[MeasuredNetwork] = (),
) -> NpuPredictor:
    """The predictor of a target from its costs and its times of the population's networks.

    `own` are networks measured on it that the population does not know.
    """
    timed = _timed(population, precision, log_ms, own)
    cost, work, ran = log_cost[:-1], timed.work[:, :-1], timed.work_ran[:, :-1]
    call = timed.work[:, -1] * np.exp(log_cost[-1])
    rest = np.maximum(np.exp(timed.log_ms) - call, LEAST_SHARE * np.exp(timed.log_ms))
    beyond, ran_beyond = (
        np.clip(np.log(rest) - log_total(w * np.exp(cost)), -LARGEST_BEYOND, LARGEST_BEYOND)
        for w in (work, ran)
    )
    timed_networks = TimedNetworks(
        work=work, beyond=beyond, ran_beyond=None if (work == ran).all() else ran_beyond
    )
    power = np.minimum(_WIDTH_POWER, _GROWTH[precision])
    wide = work[:, None, :] * WIDTHS[:, None] ** power * np.exp(cost)
    known, log_wide = _lawfully_leaning(timed_networks, cost, wide)
    own_misfit = ran_beyond - known.at(cost).leaning(ran * np.exp(cost))
    correction = lawful_along(
        NetworkCorrection(
            anchors=timed.anchors, misfits=np.clip(own_misfit, -LARGEST_LOG, LARGEST_LOG)
        ),
        timed.described_by,
        log_wide,
    )
    strange = max(population.strange_width.get(precision, KNOWN_LOG) - KNOWN_LOG, 0.0)
    return NpuPredictor(
        log_cost=tuple(float(c) for c in log_cost),
        precision=precision,
        ranges=population.ranges,
        correction=replace(correction, strange_log=strange),
        known=known,
    )


def _lawfully_leaning(
    known: TimedNetworks, log_cost: np.ndarray, wide: np.ndarray
) -> tuple[TimedNetworks, np.ndarray]:
    """Known networks that others follow as far as none of them is hardly slower for more channels,
    and where there are enough of them.

    `wide` are the ms by term of each at the widths `WIDTHS`, shape (networks, WIDTHS, terms). The
    second result are the log times of these, shape (networks, WIDTHS).
    """
    by_costs = np.log(wide.sum(axis=2))
    if len(known.beyond) < npu.FEWEST_LEANED:
        return known, by_costs
    full = replace(known, lean=1.0).at(log_cost)
    leaning = full.leaning(wide.reshape(-1, wide.shape[2])).reshape(by_costs.shape)
    least = LEAST_GROWTH * np.diff(by_costs, axis=1)
    for lean in LEANS:
        log_wide = by_costs + lean * leaning
        if (np.diff(log_wide, axis=1) >= least).all():
            return replace(known, lean=lean), log_wide
    return known, by_costs
