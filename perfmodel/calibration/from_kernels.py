"""A new target from single kernels: a known target's physics, shifted where the kernels say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.calibration.borrow import MeasuredNetwork
from perfmodel.cost_models.interval import (
    FitError,
    Interval,
    expected_error,
    expected_interval,
    fit_error,
)
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import (
    RANGE_FEATURES,
    TERMS,
    Machine,
    combine,
    family_of,
    work_of,
)
from perfmodel.devices.registry import ProfileFolder
from perfmodel.errors import MeasurementError, PerfmodelError, ProfileError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.columns import SHAPE
from perfmodel.measurements.kernels import table_from_rows
from perfmodel.target import Target

SPEED_SD, TERM_SD, FAMILY_SD, CELL_SD = 1.5, 0.4, 0.3, 0.3
"""How far a new target departs from a known one, in log units: in its speed, in a term of the
time (compute, memory, launch), in a family of kernels, in one kind of kernel."""

NOISE_SD = 0.15
HUBER = 2.0
STEPS = 6
MAX_ROWS = 20_000
FOLDS = 5
MIN_TESTED = 10
"""Fewer kernels than this are not left out in turn."""

UNTESTED_WIDTH = 0.7
NOVELTY_SLOPE = 0.5
LEFT_OUT = "each network's kernels left out in turn"
LEFT_OUT_KERNELS = "a fifth of the kernels left out in turn"
NOT_TESTED = "too few kernels to leave any out: spread between known devices"


@dataclass(frozen=True)
class KernelRowsOf:
    """Kernels of one target with their times in microseconds and the network each belongs to."""

    table: KernelTable
    latency_us: np.ndarray
    network: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, object]]) -> KernelRowsOf | None:
        """From rows of the canonical table; None if there are none."""
        if not rows:
            return None
        if len(rows) > MAX_ROWS:
            places = np.linspace(0, len(rows) - 1, MAX_ROWS).astype(int)
            rows = [rows[i] for i in places]
        columns: dict[str, np.ndarray] = {
            name: np.array([row[name] for row in rows], dtype=float) for name in (*SHAPE, "batch")
        }
        columns["op"] = np.array([str(row["op"]) for row in rows], dtype=object)
        try:
            table = table_from_rows(columns)
        except PerfmodelError as error:
            first = rows[0]
            raise MeasurementError(
                f"{first['origin_file']}: kernels: {error.message}", error.hint
            ) from error
        times = np.array([row["latency_us"] for row in rows], dtype=float)
        return cls(table, times, np.array([str(row["model"]) for row in rows], dtype=object))

    def take(self, index: np.ndarray) -> KernelRowsOf:
        """The rows at `index`."""
        return KernelRowsOf(self.table.take(index), self.latency_us[index], self.network[index])


@dataclass(frozen=True)
class FittedKernels:
    """A predictor with its interval and error, and what it was made from."""

    predictor: KernelPredictor
    interval: Interval
    error: FitError
    borrowed_from: str
    reason: str


def fit_kernels(
    rows: KernelRowsOf,
    target: Target,
    folder: ProfileFolder,
    like: str = "",
    networks: Sequence[MeasuredNetwork] = (),
) -> FittedKernels:
    """A predictor of `target` from its kernels; whole networks, if any, set what lies between."""
    base, source, reason = _base(rows, target, folder, like)
    predictor = shifted(base, rows)
    if networks:
        predictor = _with_networks(predictor, networks)
    ratios, experiment = _left_out(base, rows)
    interval = expected_interval(ratios, UNTESTED_WIDTH, NOVELTY_SLOPE)
    return FittedKernels(predictor, interval, _error(ratios, experiment), source, reason)


def _base(
    rows: KernelRowsOf, target: Target, folder: ProfileFolder, like: str
) -> tuple[KernelPredictor, str, str]:
    """The known target whose kernels differ least from the measured ones, after one scale."""
    found = [
        (t, p)
        for t, p in _kernel_targets(folder)
        if t.device != target.device and (not like or t.device == like)
    ]
    if like and not found:
        raise MeasurementError(
            f"--like {like}: that device has no kernel-level model to borrow",
            "name a device with one, or leave --like out",
        )
    for words, test in (
        (
            f"{target.framework} on a {target.unit}",
            lambda t: (t.framework, t.unit) == (target.framework, target.unit),
        ),
        (f"any framework on a {target.unit}", lambda t: t.unit == target.unit),
    ):
        near = [(t, p) for t, p in found if test(t)]
        if near:
            scored = [(_misfit(p, rows), str(t), p) for t, p in near]
            misfit, source, base = min(scored, key=lambda s: (s[0], s[1]))
            reason = (
                f"of {len(near)} targets with {words} it explains the kernels best: "
                f"{100 * np.expm1(misfit):.0f} % misfit after one scale"
            )
            return base, source, reason
    blank = KernelPredictor(
        Machine(precision=target.precision if target.precision != "float" else "fp32"),
        {},
        {},
        (0.0,) * len(TERMS),
        {},
        {},
    )
    return blank, "the physics alone", f"no known target runs kernels on a {target.unit}"


def _kernel_targets(folder: ProfileFolder) -> list[tuple[Target, KernelPredictor]]:
    found = []
    for name in folder.names():
        try:
            found += [
                (t.target, t.predictor)
                for t in folder.device(name).targets
                if isinstance(t.predictor, KernelPredictor)
            ]
        except ProfileError:
            continue  # a damaged file of somebody else must not stop this calibration
    return found


def predicted_us(predictor: KernelPredictor, table: KernelTable) -> np.ndarray:
    """Microseconds of every kernel."""
    times: np.ndarray = predictor.parts_ms(table).sum(axis=1) * 1e3
    return times


def _misfit(predictor: KernelPredictor, rows: KernelRowsOf) -> float:
    ratio = np.log(rows.latency_us / predicted_us(predictor, rows.table))
    middle = float(np.median(ratio))
    return float(np.median(np.abs(ratio - middle)) + 0.02 * abs(middle))


@dataclass(frozen=True)
class _Design:
    """Which shifts act on which kernel: one of all, by term, by family and term, by cell and term.

    `owner` has shape (kernels, terms, 4): the column of each of the four shifts.
    """

    owner: np.ndarray
    sd: np.ndarray
    cells: tuple[str, ...]
    families: tuple[str, ...]


def _design(cell: np.ndarray) -> _Design:
    cells = tuple(sorted(set(cell.tolist())))
    families = tuple(sorted({family_of(c) for c in cells}))
    width, n = len(TERMS), len(cell)
    c = np.array([cells.index(x) for x in cell])
    f = np.array([families.index(family_of(x)) for x in cell])
    term = np.broadcast_to(np.arange(width), (n, width))
    first_family, first_cell = 1 + width, 1 + width + width * len(families)
    owner = np.stack(
        [
            np.zeros((n, width), dtype=int),
            1 + term,
            first_family + f[:, None] * width + term,
            first_cell + c[:, None] * width + term,
        ],
        axis=2,
    )
    sizes = (1, width, width * len(families), width * len(cells))
    sd = np.repeat([SPEED_SD, TERM_SD, FAMILY_SD, CELL_SD], sizes)
    return _Design(owner, sd, cells, families)


def shifted(base: KernelPredictor, rows: KernelRowsOf) -> KernelPredictor:
    """The predictor with its log costs moved towards what the kernels took (robust ridge)."""
    work = work_of(rows.table, base.machine)
    design = _design(work.cell)
    start = np.array([base.log_costs(c) for c in design.cells])
    place = np.array([design.cells.index(c) for c in work.cell])
    log_us = np.log(rows.latency_us)
    shift = np.zeros(len(design.sd))
    kernel = np.arange(len(log_us))[:, None]
    for _ in range(STEPS):
        moved = start[place] + shift[design.owner].sum(axis=2)
        spent = np.exp(moved) * work.terms
        total, slope = combine(spent, base.machine.overlap)
        left = log_us - np.log(total) - base.correction(work, spent, total)
        share = spent * slope / total[:, None]
        matrix = np.zeros((len(log_us), len(shift)))
        for level in range(design.owner.shape[2]):
            np.add.at(matrix, (kernel, design.owner[:, :, level]), share)
        aim = left + matrix @ shift
        weight = np.minimum(1.0, HUBER * NOISE_SD / np.maximum(np.abs(left), 1e-9))
        scaled = matrix * design.sd
        normal = (scaled * weight[:, None]).T @ scaled + np.eye(len(shift)) * NOISE_SD**2
        new = design.sd * np.linalg.solve(normal, (scaled * weight[:, None]).T @ aim)
        if np.abs(new - shift).max() < 1e-5:
            shift = new
            break
        shift = new
    return _moved(base, design, shift, start, work.features[:, RANGE_FEATURES], work.cell)


def _moved(
    base: KernelPredictor,
    design: _Design,
    shift: np.ndarray,
    start: np.ndarray,
    sizes: np.ndarray,
    cell: np.ndarray,
) -> KernelPredictor:
    """The base with what was learned: everywhere its speed, where measured its kinds of kernel."""
    width = len(TERMS)
    general = shift[0] + shift[1 : 1 + width]
    end = 1 + width + width * len(design.families)
    by_family = shift[1 + width : end].reshape(-1, width)
    by_cell = shift[end:].reshape(-1, width)
    families = {k: tuple(_rounded(np.array(v) + general)) for k, v in base.families.items()}
    for f, move in zip(design.families, by_family, strict=True):
        origin = np.array(base.families.get(f, base.default))
        families[f] = tuple(_rounded(origin + general + move))
    cells = {}
    family_move = dict(zip(design.families, by_family, strict=True))
    for name, log in base.cells.items():
        move = general + family_move.get(family_of(name), np.zeros(width))
        cells[name] = tuple(_rounded(np.array(log) + move))
    ranges = dict(base.ranges)
    for i, name in enumerate(design.cells):
        first = int(np.flatnonzero(cell == name)[0])
        row = (design.owner[first, 0, 2] - 1 - width) // width
        cells[name] = tuple(_rounded(start[i] + general + by_family[row] + by_cell[i]))
        low, high = sizes[cell == name].min(axis=0), sizes[cell == name].max(axis=0)
        if name in ranges:
            low = np.minimum(low, ranges[name][0])
            high = np.maximum(high, ranges[name][1])
        ranges[name] = (tuple(_rounded(low)), tuple(_rounded(high)))
    default = tuple(_rounded(np.array(base.default) + general))
    return replace(base, cells=cells, families=families, default=default, ranges=ranges)


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{v:.6g}") for v in values]


def _with_networks(
    predictor: KernelPredictor, networks: Sequence[MeasuredNetwork]
) -> KernelPredictor:
    """What whole networks take beyond their kernels is a fixed cost, never below zero."""
    beyond = [m.latency_ms - predictor.parts_ms(m.kernels).sum() for m in networks]
    return replace(predictor, overhead_ms=float(f"{max(float(np.median(beyond)), 0.0):.6g}"))


def _left_out(base: KernelPredictor, rows: KernelRowsOf) -> tuple[np.ndarray, str]:
    """log(measured / predicted) out of sample: sums by network, or kernels."""
    n = len(rows.latency_us)
    networks = sorted(set(rows.network.tolist()) - {""})
    if len(networks) >= 3:
        ratios = []
        for name in networks[:40]:
            held = rows.network == name
            fitted = shifted(base, rows.take(np.flatnonzero(~held)))
            mine = rows.take(np.flatnonzero(held))
            predicted = predicted_us(fitted, mine.table).sum()
            ratios.append(np.log(mine.latency_us.sum() / predicted))
        return np.array(ratios), LEFT_OUT
    if n < MIN_TESTED:
        return np.zeros(0), NOT_TESTED
    out = np.zeros(n)
    for fold in range(FOLDS):
        held = np.arange(n) % FOLDS == fold
        fitted = shifted(base, rows.take(np.flatnonzero(~held)))
        mine = rows.take(np.flatnonzero(held))
        out[held] = np.log(mine.latency_us / predicted_us(fitted, mine.table))
    return out, LEFT_OUT_KERNELS


def _error(ratios: np.ndarray, experiment: str) -> FitError:
    if not len(ratios):
        return expected_error(experiment, UNTESTED_WIDTH)
    return fit_error(experiment, ratios)
