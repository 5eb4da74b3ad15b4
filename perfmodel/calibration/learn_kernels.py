"""Learning from kernels measured on many devices: what they share, and each of them.

The shared part (`KernelPopulation`) is what `calibrate` starts from where a new device has some
kernels or whole networks measured, and what predicts a GPU from its data sheet alone. The
populations that ship lie in hw_profiles/populations and are made by these functions, which the
accuracy studies call with the devices under test left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.calibration.kernel_settings import (
    gpu_model,
    library_model,
    phone_model,
    spec_model,
)
from perfmodel.cost_models.interval import COVERAGE, Interval, beyond_novelty, fit_error
from perfmodel.cost_models.kernel_population import (
    KernelPopulation,
    SheetLeftOut,
    TargetTraits,
)
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import Machine
from perfmodel.cost_models.kernel_widths import KernelWidths, kinds_of
from perfmodel.cost_models.known_kernels import KnownKernels
from perfmodel.cost_models.predictor import Predictor
from perfmodel.devices.gpu_sheets import sheet_traits, sheets_by_device
from perfmodel.devices.gpu_specs import gpu_family
from perfmodel.devices.kernel_populations import EAGER, LIBRARIES
from perfmodel.devices.profile import DeviceProfile
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.columns import SHAPE
from perfmodel.measurements.kernels import table_from_rows
from perfmodel.measurements.table import MeasurementTable
from perfmodel.target import PRECISIONS, Target

if TYPE_CHECKING:
    from perfmodel.cost_models.kernel_model import KernelRows

MOST_LEFT_OUT = 6_000
QUICK = {"trees": 100, "learning_rate": 0.14}
"""Kernels, and trees with steps twice as long, by which cards that were left out are judged: a fit
as long as the one that ships takes four times as long."""

SHEET_SLOPE = 1.0
"""How much wider in log units an interval is for a log unit of novelty, where nothing of the card
was measured: fully."""

SHEETS_LEFT_OUT = "card left out, data sheet alone, single kernels"

NO_TIMES = "the table has no kernel times"


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnedKernels:
    """The shared part of one framework on one unit, and a predictor of each target measured."""

    population: KernelPopulation
    targets: Mapping[Target, KernelPredictor]

    def predict_us(self, table: MeasurementTable) -> np.ndarray:
        """Microseconds of every kernel row of a table, NaN where its target was not learned."""
        return _predicted(table, self.targets)


def target_traits(target: Target) -> TargetTraits:
    """What is known of a target before it is measured: by data sheet, or by unit and framework.

    A phone's GPU polls for the end of each kernel, so its launch overlaps the work; the Arm
    Compute Library picks Winograd's algorithm by rules of its own (`kernels.winograd`).
    """
    sheet = sheets_by_device().get(target.device) if target.unit == "gpu" else None
    if sheet is not None:
        return sheet_traits(sheet, target)
    machine = Machine(
        precision="fp32" if target.precision == "float" else target.precision,
        winograd="acl" if target.framework == "acl" else "best",
        overlap="launch" if target.unit == "gpu" else "none",
    )
    threads = float(max(target.threads, 1))
    return TargetTraits(str(target), machine, traits=(threads, float(target.cluster == "little")))


def kernel_target(row: Mapping[str, object]) -> Target:
    """The target of a row of the canonical table; raises `MeasurementError`."""
    precision = str(row["precision"] or "float")
    plain = "fp16" if precision == "fp16_tc" else precision
    if plain not in PRECISIONS:
        raise MeasurementError(f"precision {precision!r} has no target")
    unit, threads = str(row["unit"]), float(str(row["threads"]))
    cpu = unit == "cpu"
    return Target(
        str(row["device"]),
        unit,
        str(row["framework"]),
        plain,
        int(threads) if cpu and threads == threads else 0,
        str(row["affinity"]) if cpu else "",
    )


def kernel_columns(rows: MeasurementTable) -> KernelTable:
    """The kernels of a table's rows, in order; raises `MeasurementError` naming a bad row."""
    columns = {name: rows.column(name) for name in (*SHAPE, "batch", "op", "layer")}
    return table_from_rows(columns)


def learn_kernels(
    table: MeasurementTable, *, seed: int = 0, shared_only: bool = False
) -> LearnedKernels:
    """Learn from the kernel rows of one framework on one unit of several devices.

    GPUs that have a data sheet share what the sheets leave open and have trees of their own;
    other targets share physics and trees. `shared_only` leaves out the targets, which take most of
    the time of GPUs, for devices that are not among them. Raises `MeasurementError` if the rows
    are of several frameworks or units, or if there are none.
    """
    rows = table.kernels
    if not len(rows):
        raise MeasurementError(NO_TIMES, "kernel rows have op, sizes and latency_us")
    targets = [kernel_target(row) for row in _records(rows)]
    listed = tuple(dict.fromkeys(targets))
    kinds = {("gpu libraries" if t.framework in LIBRARIES else t.framework, t.unit) for t in listed}
    if len(kinds) > 1:
        shown = ", ".join(sorted(f"{f} on {u}" for f, u in kinds))
        raise MeasurementError(f"one framework on one unit at a time, the table has {shown}")
    place = {target: i for i, target in enumerate(listed)}
    from perfmodel.cost_models.kernel_model import KernelRows

    kernels = KernelRows(
        table=kernel_columns(rows),
        target=np.array([place[t] for t in targets]),
        targets=tuple(target_traits(t) for t in listed),
    )
    times = rows.column("latency_us")
    sheets = sheets_by_device()
    if all(t.unit == "gpu" and t.device in sheets for t in listed):
        return _learn_cards(kernels, times, listed, seed, shared_only)
    fitted = phone_model(seed).fit(kernels, times)
    if shared_only:
        return LearnedKernels(population=fitted.population(), targets={})
    known = KnownKernels.of(kernels.table, kernels.target, [str(t) for t in listed], times)
    return LearnedKernels(
        population=replace(fitted.population(), known=known),
        targets={t: fitted.predictor(i) for i, t in enumerate(listed)},
    )


def _learn_cards(
    kernels: KernelRows,
    latency_us: np.ndarray,
    targets: Sequence[Target],
    seed: int,
    shared_only: bool,
) -> LearnedKernels:
    population = sheet_population(kernels, latency_us, targets, seed)
    if shared_only:
        return LearnedKernels(population=population, targets={})
    model = gpu_model(seed) if targets[0].framework == EAGER else library_model(seed)
    own = model.fit(kernels, latency_us)
    each = {t: own.predictor(i) for i, t in enumerate(targets)}
    return LearnedKernels(population=population, targets=each)


def sheet_population(
    kernels: KernelRows, latency_us: np.ndarray, targets: Sequence[Target], seed: int = 0
) -> KernelPopulation:
    """What cards that have data sheets share, and how wrong a sheet alone is.

    Each family of cards is left out of a fit to some of the others' kernels; `left_out` is None
    where there is no other family.
    """
    population = spec_model(seed).fit(kernels, latency_us).population()
    return replace(population, left_out=_cards_left_out(kernels, latency_us, targets, seed))


def _cards_left_out(
    kernels: KernelRows, latency_us: np.ndarray, targets: Sequence[Target], seed: int
) -> SheetLeftOut | None:
    names = [gpu_family(sheets_by_device()[t.device].name) for t in targets]
    if len(set(names)) == 1:
        return None
    some = np.unique(np.linspace(0, len(kernels) - 1, MOST_LEFT_OUT).astype(np.int64))
    tried, measured = kernels.take(some), latency_us[some]
    family = np.array(names, dtype=object)[tried.target]
    misses, novelty = np.empty((2, len(tried)))
    kind = np.empty(len(tried), dtype=object)
    for left in sorted(set(names)):
        others = np.flatnonzero(family != left)
        model = spec_model(seed).set_params(**QUICK).fit(tried.take(others), measured[others])
        population = model.population()
        for place in sorted(set(tried.target[family == left].tolist())):
            mine = np.flatnonzero(tried.target == place)
            traits, asked = kernels.targets[place], tried.table.take(mine)
            predictor = population.unmeasured(traits)
            said = predictor.parts_ms(asked).sum(axis=1) * 1e3
            misses[mine] = np.log(measured[mine] / said)
            novelty[mine] = predictor.novelty(asked)
            kind[mine] = kinds_of(traits.work(asked))
    held = beyond_novelty(misses, novelty, SHEET_SLOPE)
    return SheetLeftOut(
        interval=Interval(COVERAGE, 0.0, 0.0, SHEET_SLOPE),
        error=fit_error(SHEETS_LEFT_OUT, misses),
        widths=KernelWidths.of(held, kind, tried.target, family),
    )


def _records(table: MeasurementTable) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [*table.frame.to_dict("records")]  # type: ignore[list-item]
    return records


def predict_kernels(table: MeasurementTable, profile: DeviceProfile) -> np.ndarray:
    """Microseconds of every kernel row of a table by the target of `profile` that the row names.

    Shape (rows,), NaN where the profile has no such target; times in the table are not looked at.
    """
    return _predicted(table, {t.target: t.predictor for t in profile.targets})


def kernel_bounds(table: MeasurementTable, profile: DeviceProfile) -> np.ndarray:
    """90 % intervals of `predict_kernels`, microseconds, shape (rows, 2).

    Each kernel is told as a network of it alone is; NaN where the profile has no such target.
    """
    rows = table.kernels
    targets, kernels = [kernel_target(r) for r in _records(rows)], kernel_columns(rows)
    known = {t.target: t for t in profile.targets}
    out = np.full((len(rows), 2), np.nan)
    for target in dict.fromkeys(t for t in targets if t in known):
        mine = np.flatnonzero([t == target for t in targets])
        asked, fitted = kernels.take(mine), known[target]
        said = fitted.predictor.parts_ms(asked).sum(axis=1)
        extra = fitted.interval.extra_log(said, fitted.predictor.novelty(asked))
        if isinstance(fitted.predictor, KernelPredictor):
            extra = extra + fitted.predictor.unsure_log(asked, np.arange(len(mine)))
        below, above = fitted.interval.low_log, fitted.interval.high_log
        sides = np.column_stack([-below - extra, above + extra])
        out[mine] = said[:, None] * np.exp(sides) * 1e3
    return out


def _predicted(table: MeasurementTable, known: Mapping[Target, Predictor]) -> np.ndarray:
    rows = table.kernels
    targets, kernels = [kernel_target(r) for r in _records(rows)], kernel_columns(rows)
    out = np.full(len(rows), np.nan)
    for target in dict.fromkeys(targets):
        if target in known:
            mine = np.flatnonzero([t == target for t in targets])
            out[mine] = known[target].parts_ms(kernels.take(mine)).sum(axis=1) * 1e3
    return out
