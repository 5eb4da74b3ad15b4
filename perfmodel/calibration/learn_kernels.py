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
from perfmodel.cost_models.kernel_population import KernelPopulation, TargetTraits
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import Machine
from perfmodel.cost_models.known_kernels import KnownKernels
from perfmodel.cost_models.predictor import Predictor
from perfmodel.devices.gpu_sheets import sheet_traits, sheets_by_device
from perfmodel.devices.kernel_populations import EAGER, LIBRARIES
from perfmodel.devices.profile import DeviceProfile
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.columns import SHAPE
from perfmodel.measurements.kernels import table_from_rows
from perfmodel.measurements.table import MeasurementTable
from perfmodel.target import PRECISIONS, Target

if TYPE_CHECKING:
    from perfmodel.cost_models.kernel_model import KernelModel, KernelRows

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
    sheets = sheets_by_device()
    by_sheet = all(t.unit == "gpu" and t.device in sheets for t in listed)
    own = None
    if by_sheet:
        own = gpu_model(seed) if listed[0].framework == EAGER else library_model(seed)
    shared = spec_model(seed) if by_sheet else phone_model(seed)
    times = rows.column("latency_us")
    if shared_only:
        return LearnedKernels(population=shared.fit(kernels, times).population(), targets={})
    found = learn(kernels, times, listed, shared, own)
    if by_sheet:
        return found
    known = KnownKernels.of(kernels.table, kernels.target, [str(t) for t in listed], times)
    return replace(found, population=replace(found.population, known=known))


def learn(
    kernels: KernelRows,
    latency_us: np.ndarray,
    targets: Sequence[Target],
    shared: KernelModel,
    own: KernelModel | None = None,
) -> LearnedKernels:
    """Fit the shared part, and the targets by `own` where they are modelled apart."""
    fitted = shared.fit(kernels, latency_us)
    each = fitted if own is None else own.fit(kernels, latency_us)
    return LearnedKernels(
        population=fitted.population(),
        targets={t: each.predictor(i) for i, t in enumerate(targets)},
    )


def _records(table: MeasurementTable) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [*table.frame.to_dict("records")]  # type: ignore[list-item]
    return records


def predict_kernels(table: MeasurementTable, profile: DeviceProfile) -> np.ndarray:
    """Microseconds of every kernel row of a table by the target of `profile` that the row names.

    Shape (rows,), NaN where the profile has no such target; times in the table are not looked at.
    """
    return _predicted(table, {t.target: t.predictor for t in profile.targets})


def _predicted(table: MeasurementTable, known: Mapping[Target, Predictor]) -> np.ndarray:
    rows = table.kernels
    targets, kernels = [kernel_target(r) for r in _records(rows)], kernel_columns(rows)
    out = np.full(len(rows), np.nan)
    for target in dict.fromkeys(targets):
        if target in known:
            mine = np.flatnonzero([t == target for t in targets])
            out[mine] = known[target].parts_ms(kernels.take(mine)).sum(axis=1) * 1e3
    return out
