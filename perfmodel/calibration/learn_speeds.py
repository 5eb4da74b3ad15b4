"""How fast targets run each kind of kernel, learned from whole networks on several targets at once.

The physics of `cost_models.efficiencies` with networks as measurements: the time of a network is
the sum of its kernels' times, and what tells a convolution's cost from a normalisation's is that
networks mix them differently. Targets (cards, modes of a framework) share what a kind of kernel
costs and differ by a few scales, so that networks measured on one teach the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models.efficiencies import (
    Efficiencies,
    Shrinkage,
    TimedKernels,
    fit_efficiencies,
)
from perfmodel.cost_models.hierarchy import log_times
from perfmodel.cost_models.kernel_population import TargetTraits, predictor_of
from perfmodel.cost_models.kernel_predictor import DIGITS, KernelPredictor, ranges_of
from perfmodel.cost_models.kernel_terms import LAUNCH, Work
from perfmodel.cost_models.plain_data import Range, joined_ranges
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable

LARGEST_LIMIT = 0.7
"""Clip of a learned correction; these predictors have none, but a file holds the bound."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TimedNetwork:
    """A network's kernels at the batch that was timed, on the target of that place, in ms."""

    kernels: KernelTable
    target: int
    latency_ms: float


def learn_speeds(
    measured: Sequence[TimedNetwork],
    targets: Sequence[TargetTraits],
    shrinkage: Shrinkage = Shrinkage(),  # noqa: B008  frozen
) -> list[KernelPredictor]:
    """A predictor of each target; raises `MeasurementError` where nothing is measured.

    Where the start of a kernel hides behind the one before it (overlap "launch": batches that fill
    a GPU), it cannot be learned: it stays what `targets` say (`TargetTraits.known_log`).
    """
    if not measured:
        raise MeasurementError("no network was measured, so nothing is learned")
    work = {_key(m, targets): targets[m.target].work(m.kernels) for m in measured}
    cells = tuple(sorted({str(c) for w in work.values() for c in w.cell}))
    seen = _observed(measured, targets, work, cells)
    fitted = fit_efficiencies(seen, cells, len(targets), shrinkage)
    if seen.overlap == "launch":
        fitted = _with_known_starts(fitted)
    made = []
    for place, traits in enumerate(targets):
        ranges: dict[str, Range] = {}
        for key in {_key(m, targets) for m in measured if m.target == place}:
            ranges = joined_ranges(ranges, ranges_of(work[key]))
        own = dict(sorted(ranges.items()))
        made.append(predictor_of(fitted, place, traits, {}, [], own, LARGEST_LIMIT, DIGITS))
    return made


def _key(network: TimedNetwork, targets: Sequence[TargetTraits]) -> tuple[int, TargetTraits]:
    return id(network.kernels), targets[network.target]


def _observed(
    measured: Sequence[TimedNetwork],
    targets: Sequence[TargetTraits],
    work: dict[tuple[int, TargetTraits], Work],
    cells: Sequence[str],
) -> TimedKernels:
    """Kernels that are alike in a network count as one of as many times the work."""
    place = {c: i for i, c in enumerate(cells)}
    alike = {key: _joined(w, place) for key, w in work.items()}
    parts = [alike[_key(m, targets)] for m in measured]
    count = [len(cell) for cell, _ in parts]
    overlaps = {t.machine.overlap for t in targets}
    if len(overlaps) > 1:
        raise MeasurementError(f"targets differ in overlap: {sorted(overlaps)}")
    return TimedKernels(
        cell=np.concatenate([cell for cell, _ in parts]),
        target=np.repeat([m.target for m in measured], count),
        terms=np.concatenate([terms for _, terms in parts]),
        log_us=log_times(np.array([1e3 * m.latency_ms for m in measured])),
        weight=np.ones(len(measured)),
        overlap=overlaps.pop(),
        member=np.repeat(np.arange(len(measured)), count),
    )


def _joined(work: Work, place: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Cell and terms of each distinct kernel; a time is proportional to its terms."""
    rows = np.column_stack([[place[c] for c in work.cell], work.terms])
    distinct, count = np.unique(rows, axis=0, return_counts=True)
    return distinct[:, 0].astype(np.int64), distinct[:, 1:] * count[:, None]


def _with_known_starts(fitted: Efficiencies) -> Efficiencies:
    """The costs with that of a kernel's start as it was given."""
    for effects in (
        fitted.term,
        fitted.family,
        fitted.cell,
        fitted.target_term,
        fitted.target_family,
        fitted.target_cell,
    ):
        effects[..., LAUNCH] = 0.0
    # the scale of a target is of all its terms
    fitted.target_term[:, LAUNCH] = -fitted.scale
    return fitted
