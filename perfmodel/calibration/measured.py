"""What a measurement table says of each target: its networks, its kernels and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.calibration.from_kernels import MeasuredKernels
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.devices.profile import LATENCY_KINDS
from perfmodel.errors import MeasurementError, PerfmodelError
from perfmodel.kernels import KernelTable
from perfmodel.measurements.resolution import (
    resolutions_ms,
    rounding_variance,
    spread_variance,
)
from perfmodel.measurements.table import BadRow, MeasurementTable
from perfmodel.target import PRECISIONS, SLUG, Target
from perfmodel.workload import load_at_batch, workload

MAX_NETWORKS = 1200
"""Networks beyond this number teach nothing that a sample of them does not."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TargetRows:
    """Rows of one target: networks as measured, single kernels, and where they come from.

    `processor` is the GPU that the driver names; `resolution_ms` the coarsest step of the times.
    """

    target: Target
    processor: str
    latency_kind: str
    measured: tuple[MeasuredNetwork, ...]
    kernels: MeasuredKernels | None
    source: str
    build: str
    resolution_ms: float

    @property
    def name(self) -> str:
        """The target, told apart from another processor of the device."""
        return f"{self.target} ({self.processor})" if self.processor else str(self.target)


@dataclass
class NetworkTables:
    """Fused networks by name, batch and rules, each made once; share one between calls."""

    tables: dict[tuple[str, int, str], KernelTable] = field(default_factory=dict)

    def get(self, model: str, batch: int, rules: str) -> KernelTable:
        """Kernels of a zoo network or a file; raises `PerfmodelError`."""
        key = (model, batch, rules)
        if key not in self.tables:
            self.tables[key] = workload(load_at_batch(model, batch), rules).table
        return self.tables[key]


def rules_of(target: Target) -> str:
    """Fusion rules of a target's framework."""
    if target.framework == "tflite":
        return "tflite-cpu" if target.unit == "cpu" else "tflite-gpu"
    return target.framework


def target_of(row: Mapping[str, object], device: str) -> Target:
    """The target that a row measured on `device`; raises `MeasurementError`."""
    precision = str(row["precision"] or "float")
    if precision not in PRECISIONS:
        raise MeasurementError(
            f"precision {precision!r} has no target", f"known: {', '.join(PRECISIONS)}"
        )
    framework, unit = str(row["framework"]), str(row["unit"])
    if not SLUG.fullmatch(framework):
        raise MeasurementError(f"framework {framework!r} is no framework name")
    threads = float(str(row["threads"]))
    cpu = unit == "cpu"
    count = int(threads) if cpu and threads == threads else 0
    return Target(device, unit, framework, precision, count, str(row["affinity"]) if cpu else "")


def model_of(row: Mapping[str, object]) -> str:
    """The zoo name of a row's model, or its path beside the table."""
    model = str(row["model"])
    beside = Path(str(row["origin_file"])).parent / model
    return str(beside) if Path(model).suffix and beside.is_file() else model


def rows_by_target(
    table: MeasurementTable,
    *,
    device: str = "",
    skip_bad: bool = False,
    networks: NetworkTables | None = None,
) -> tuple[list[TargetRows], list[BadRow]]:
    """Rows by target, in the order of the table, and the rows that were not used.

    All rows are taken for `device`'s if it is given. Rows of a latency kind other than the
    target's main one are listed; others raise `MeasurementError` unless `skip_bad`.
    """
    found: dict[tuple[Target, str], list[Row]] = {}
    unused: list[BadRow] = []
    steps = resolutions_ms(table)
    records: list[Row] = table.frame.to_dict("records")  # type: ignore[assignment]
    for row, step in zip(records, steps, strict=True):
        row["resolution_ms"] = float(step)
        if row["tokens_per_s"] == row["tokens_per_s"]:
            reason = "left out: tokens per second, of which no latency can be made"
            unused.append(BadRow(str(row["origin_file"]), int(row["origin_line"]), reason))
            continue
        try:
            target = target_of(row, device or str(row["device"]))
        except MeasurementError as error:
            _refuse(row, error, skip_bad, unused)
            continue
        processor = "" if target.unit == "cpu" else short_processor(str(row["processor"]))
        found.setdefault((target, processor), []).append(row)
    tables = networks or NetworkTables()
    made = [
        _target_rows(target, processor, rows, tables, skip_bad, unused)
        for (target, processor), rows in found.items()
    ]
    return [group for group in made if group.measured or group.kernels], unused


def short_processor(name: str) -> str:
    """A driver's name of a GPU without its vendor or the layer between."""
    for prefix in ("NVIDIA ", "Microsoft Direct3D12 "):
        name = name.removeprefix(prefix)
    return name


def _refuse(row: Mapping[str, object], error: PerfmodelError, skip: bool, to: list[BadRow]) -> None:
    bad = BadRow(str(row["origin_file"]), int(str(row["origin_line"])), error.message)
    if not skip:
        raise MeasurementError(str(bad), error.hint or "--skip-bad leaves such rows out") from error
    to.append(bad)


def _target_rows(
    target: Target,
    processor: str,
    rows: Sequence[Row],
    networks: NetworkTables,
    skip_bad: bool,
    unused: list[BadRow],
) -> TargetRows:
    kinds = {str(r["kind"] or "steady") for r in rows}
    kind = next(k for k in ("steady", *LATENCY_KINDS) if k in kinds)
    chosen = [r for r in rows if str(r["kind"] or "steady") == kind]
    for r in rows:
        if str(r["kind"] or "steady") != kind:
            reason = f"left out: kind {r['kind']} beside {kind} rows of {target}"
            unused.append(BadRow(str(r["origin_file"]), int(r["origin_line"]), reason))
    sources = sorted({str(r["source"]) for r in chosen} - {""})
    files = sorted({Path(str(r["origin_file"])).name for r in chosen})
    steps = [r["resolution_ms"] for r in chosen if r["latency_ms"] == r["latency_ms"]]
    return TargetRows(
        target=target,
        processor=processor,
        latency_kind=kind,
        measured=_measured(chosen, target, networks, skip_bad, unused),
        kernels=MeasuredKernels.of([r for r in chosen if r["latency_us"] == r["latency_us"]]),
        source=("; ".join(sources[:3]) or ", ".join(files))[:1900],
        build=", ".join(sorted({str(r["build"]) for r in chosen} - {""}))[:500],
        resolution_ms=max(steps, default=0.0),
    )


def _measured(
    rows: Sequence[Row],
    target: Target,
    networks: NetworkTables,
    skip_bad: bool,
    unused: list[BadRow],
) -> tuple[MeasuredNetwork, ...]:
    """Median latency of each network; several runs of one network are one measurement."""
    times: dict[tuple[str, int], list[tuple[float, float]]] = {}
    tables: dict[tuple[str, int], KernelTable] = {}
    for row in rows:
        latency, batch = float(row["latency_ms"]), float(row["batch"])
        if latency != latency:
            continue
        key = (model_of(row), int(batch) if batch == batch else 1)
        try:
            tables[key] = networks.get(*key, rules_of(target))
        except PerfmodelError as error:
            _refuse(row, error, skip_bad, unused)
            continue
        variance = rounding_variance(row["resolution_ms"], latency) + spread_variance(row)
        times.setdefault(key, []).append((latency, variance))
    made = [_one_network(key, tables[key], values) for key, values in times.items()]
    if len(made) > MAX_NETWORKS:
        order = np.argsort([m.latency_ms for m in made])
        kept = order[np.linspace(0, len(order) - 1, MAX_NETWORKS).astype(int)]
        made = [made[i] for i in sorted(set(kept.tolist()))]
    return tuple(made)


def _one_network(
    key: tuple[str, int], table: KernelTable, values: Sequence[tuple[float, float]]
) -> MeasuredNetwork:
    latency = float(np.median([v for v, _ in values]))
    return MeasuredNetwork(key[0], table, latency, float(np.median([v for _, v in values])))


def largest_processor(groups: Sequence[TargetRows]) -> tuple[list[TargetRows], list[TargetRows]]:
    """Of targets that differ by processor only, the one with most networks; and the others."""
    best: dict[Target, TargetRows] = {}
    for group in groups:
        other = best.get(group.target)
        if other is None or len(group.measured) > len(other.measured):
            best[group.target] = group
    kept = [g for g in groups if best[g.target] is g]
    return kept, [g for g in groups if best[g.target] is not g]
