"""What a measurement table says of each target: its networks, its kernels and how sure they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.calibration.agreement import one_time
from perfmodel.calibration.from_kernels import MeasuredKernels
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.errors import MeasurementError, PerfmodelError
from perfmodel.formats.load import named_from
from perfmodel.kernels import KernelTable
from perfmodel.kernels.fusion_rules import rules_on
from perfmodel.measurements.columns import SHAPE
from perfmodel.measurements.evidence import FACETS
from perfmodel.measurements.kernels import unusable_rows
from perfmodel.measurements.read import untold
from perfmodel.measurements.resolution import (
    resolutions_ms,
    rounding_variance,
    spread_variance,
)
from perfmodel.measurements.table import BadRow, MeasurementTable
from perfmodel.target import LATENCY_KINDS, PRECISIONS, SLUG, Target
from perfmodel.workload import load_at_batch, workload

MOST_PLACES = 5
"""Places that are named as the evidence of one facet of a target."""

MAX_NETWORKS = 1200
"""Networks beyond this number teach nothing that a sample of them does not."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TargetRows:
    """Rows of one target: networks as measured, single kernels, and where they come from.

    `processor` is the GPU that the driver names; `resolution_ms` the coarsest step of the times;
    `rows` are the rows that were used, with the columns of a measurement table.
    """

    target: Target
    processor: str
    latency_kind: str
    measured: tuple[MeasuredNetwork, ...]
    kernels: MeasuredKernels | None
    source: str
    build: str
    resolution_ms: float
    rows: tuple[Row, ...] = ()

    @property
    def name(self) -> str:
        """The target, told apart from another processor of the device."""
        return f"{self.target} ({self.processor})" if self.processor else str(self.target)

    def row_of(self, position: int) -> Row:
        """The first row that a network of `measured` was made of."""
        network = self.measured[position]
        return next(
            row
            for row in self.rows
            if _is_network(row) and _network(row) == (network.name, network.batch)
        )

    def without(self, positions: Collection[int]) -> TargetRows:
        """The group less some networks of `measured` and their rows."""
        if not positions:
            return self
        gone = {(self.measured[i].name, self.measured[i].batch) for i in positions}
        rows = [row for row in self.rows if not _is_network(row) or _network(row) not in gone]
        kept = [m for m in self.measured if (m.name, m.batch) not in gone]
        return replace(self, measured=tuple(kept), rows=tuple(rows))

    @property
    def evidence(self) -> dict[str, tuple[str, ...]]:
        """Where the rows' unit, precision ... come from, by facet; a table has its columns."""
        found: dict[str, dict[str, None]] = {}
        for row in [r for r in self.rows if _is_network(r)] or self.rows:
            for facet, where in row["origin_evidence"] or [(f, "table") for f in FACETS]:
                found.setdefault(facet, {})[where.partition(", line ")[0]] = None
        return {facet: tuple(places)[:MOST_PLACES] for facet, places in found.items()}


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
    return rules_on(target.framework, target.unit)


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


@dataclass
class _Asked:
    """How rows are taken, and those that were not.

    `unknown` are rows whose network is not known: an error only where nothing is left.
    """

    skip_bad: bool
    pick: str
    networks: NetworkTables
    doing: Callable[[str], None]
    unused: list[BadRow] = field(default_factory=list)
    unknown: list[tuple[Row, PerfmodelError]] = field(default_factory=list)

    def refuse(self, row: Row, error: PerfmodelError) -> None:
        """List the row, or raise `MeasurementError` with its place."""
        if not self.skip_bad:
            place = BadRow(str(row["origin_file"]), int(row["origin_line"]), error.message)
            hint = error.hint or "--skip-bad leaves such rows out"
            raise MeasurementError(str(place), hint) from error
        self.leave_out(row, error.message)

    def leave_out(self, row: Row, reason: str) -> None:
        """List the row."""
        self.unused.append(BadRow(str(row["origin_file"]), int(row["origin_line"]), reason))


def rows_by_target(
    table: MeasurementTable,
    *,
    device: str = "",
    skip_bad: bool = False,
    networks: NetworkTables | None = None,
    pick: str = "",
    doing: Callable[[str], None] = untold,
) -> tuple[list[TargetRows], list[BadRow]]:
    """Rows by target, in the order of the table, and the rows that were not used.

    All rows are taken for `device`'s if it is given. `pick` (min, median, newest) decides between
    measurements of a network that disagree; `doing` is told each step. Rows of a latency kind
    other than the target's main one, rows of unknown networks beside known ones and rows of logs
    that no time of a kernel can be made of are listed; others raise `MeasurementError` unless
    `skip_bad`.
    """
    asked = _Asked(skip_bad, pick, networks or NetworkTables(), doing)
    found: dict[tuple[Target, str], list[Row]] = {}
    steps = resolutions_ms(table)
    records: list[Row] = table.frame.to_dict("records")  # type: ignore[assignment]
    for row, step in zip(records, steps, strict=True):
        row["resolution_ms"] = float(step)
        if row["tokens_per_s"] == row["tokens_per_s"]:
            asked.leave_out(row, "left out: tokens per second, of which no latency can be made")
            continue
        try:
            target = target_of(row, device or str(row["device"]))
        except MeasurementError as error:
            if _is_of_log(row):
                asked.leave_out(row, f"left out: {error.message}")
            else:
                asked.refuse(row, error)
            continue
        processor = "" if target.unit == "cpu" else short_processor(str(row["processor"]))
        found.setdefault((target, processor), []).append(row)
    _join_unnamed(found)
    _leave_out_strays(found, asked)
    made = [_target_rows(*key, rows, asked) for key, rows in found.items() if rows]
    groups = [group for group in made if group.measured or group.kernels]
    for row, unknown in asked.unknown:
        if not groups and (not skip_bad or _is_of_log(row)):
            raise _unknown_network(row, unknown)
        hint = f" ({unknown.hint})" if unknown.hint else ""
        asked.leave_out(row, f"left out: {unknown.message}{hint}")
    return groups, asked.unused


def _unknown_network(row: Row, error: PerfmodelError) -> MeasurementError:
    place = BadRow(str(row["origin_file"]), int(row["origin_line"]), error.message)
    name = str(row["source_model"] or row["model"])
    of_log = f"say what it is: --model {name[:80]}=ZOO_OR_FILE"
    return MeasurementError(str(place), of_log if _is_of_log(row) else error.hint)


def _is_of_log(row: Row) -> bool:
    return bool(row["origin_evidence"])


def _network(row: Row) -> tuple[str, int]:
    """The name or path of a row's network, paths beside its file looked up, and its batch."""
    batch = float(row["batch"])
    folder = Path(str(row["origin_file"])).parent
    return named_from(str(row["model"]), folder), int(batch) if batch == batch else 1


def _is_network(row: Row) -> bool:
    return bool(row["latency_ms"] == row["latency_ms"])


def _join_unnamed(found: dict[tuple[Target, str], list[Row]]) -> None:
    """Rows that name no processor are of the only one that others of their target name: trtexec's
    log names the GPU, the file of its runs does not."""
    for target in {target for target, _ in found}:
        named = [name for other, name in found if other == target and name]
        if len(named) == 1 and (target, "") in found:
            found[target, named[0]] += found.pop((target, ""))


def _leave_out_strays(found: dict[tuple[Target, str], list[Row]], asked: _Asked) -> None:
    """Kernels of a log that ran elsewhere than its networks are no target of their own."""
    homes: dict[str, set[Target]] = {}
    for (target, _), rows in found.items():
        for row in rows:
            if _is_of_log(row) and _is_network(row):
                homes.setdefault(str(row["origin_file"]), set()).add(target)
    for (target, processor), rows in found.items():
        kept = []
        for row in rows:
            home = homes.get(str(row["origin_file"]), {target})
            if target in home or not _is_of_log(row):
                kept.append(row)
            else:
                asked.leave_out(
                    row, f"left out: a kernel on {target}, the network is on {min(map(str, home))}"
                )
        found[target, processor] = kept


def short_processor(name: str) -> str:
    """A driver's name of a GPU without its vendor or the layer between."""
    for prefix in ("NVIDIA ", "Microsoft Direct3D12 "):
        name = name.removeprefix(prefix)
    return name


def _target_rows(target: Target, processor: str, rows: Sequence[Row], asked: _Asked) -> TargetRows:
    kinds = {str(r["kind"] or "steady") for r in rows}
    kind = next(k for k in ("steady", *LATENCY_KINDS) if k in kinds)
    chosen = []
    for r in rows:
        if str(r["kind"] or "steady") == kind:
            chosen.append(r)
        else:
            asked.leave_out(r, f"left out: kind {r['kind']} beside {kind} rows of {target}")
    measured, of_networks = _measured([r for r in chosen if _is_network(r)], target, asked)
    kernels = _usable_kernels([r for r in chosen if r["latency_us"] == r["latency_us"]], asked)
    used = (*of_networks, *kernels)
    sources = sorted({str(r["source"]) for r in chosen} - {""})
    files = sorted({Path(str(r["origin_file"])).name for r in chosen})
    steps = [r["resolution_ms"] for r in chosen if _is_network(r)]
    return TargetRows(
        target=target,
        processor=processor,
        latency_kind=kind,
        measured=measured,
        kernels=MeasuredKernels.of(kernels),
        source=("; ".join(sources[:3]) or ", ".join(files))[:1900],
        build=", ".join(sorted({str(r["build"]) for r in chosen} - {""}))[:500],
        resolution_ms=max(steps, default=0.0),
        rows=used,
    )


def _usable_kernels(rows: Sequence[Row], asked: _Asked) -> list[Row]:
    """The rows of logs that are kernels with their sizes, the rest listed; all rows of tables."""
    of_logs = [i for i, row in enumerate(rows) if _is_of_log(row)]
    if not of_logs:
        return list(rows)
    columns = {c: np.array([rows[i][c] for i in of_logs], dtype=float) for c in (*SHAPE, "batch")}
    columns["op"] = np.array([str(rows[i]["op"]) for i in of_logs], dtype=object)
    bad = {of_logs[place]: reason for place, reason in unusable_rows(columns).items()}
    for place, reason in bad.items():
        asked.leave_out(rows[place], f"left out: {reason}")
    return [row for place, row in enumerate(rows) if place not in bad]


def _measured(
    rows: Sequence[Row], target: Target, asked: _Asked
) -> tuple[tuple[MeasuredNetwork, ...], list[Row]]:
    """One time of each network, of all its runs, and the rows that it is made of."""
    runs: dict[tuple[str, int], list[Row]] = {}
    tables: dict[tuple[str, int], KernelTable] = {}
    for number, row in enumerate(rows, 1):
        key = _network(row)
        asked.doing(f"{target}: {Path(key[0]).name} ({number} of {len(rows)} rows)")
        try:
            tables[key] = asked.networks.get(*key, rules_of(target))
        except PerfmodelError as error:
            asked.unknown.append((row, error))
            continue
        runs.setdefault(key, []).append(row)
    made, used = [], []
    for key, its_rows in runs.items():
        try:
            latency = one_time(its_rows, asked.pick, key[0], str(target))
        except MeasurementError as error:
            if not asked.skip_bad:
                raise
            for row in its_rows:
                asked.leave_out(row, error.message)
            continue
        made.append(
            MeasuredNetwork(key[0], tables[key], latency, _variance(its_rows), batch=key[1])
        )
        used += its_rows
    if len(made) > MAX_NETWORKS:
        order = np.argsort([m.latency_ms for m in made])
        kept = order[np.linspace(0, len(order) - 1, MAX_NETWORKS).astype(int)]
        made = [made[i] for i in sorted(set(kept.tolist()))]
    return tuple(made), used


def _variance(rows: Sequence[Row]) -> float:
    """Variance of a network's log latency beyond repeated careful measurements."""
    return float(
        np.median(
            [
                rounding_variance(row["resolution_ms"], float(row["latency_ms"]))
                + spread_variance(row)
                for row in rows
            ]
        )
    )


def largest_processor(groups: Sequence[TargetRows]) -> tuple[list[TargetRows], list[TargetRows]]:
    """Of targets that differ by processor only, the one with most networks; and the others."""
    best: dict[Target, TargetRows] = {}
    for group in groups:
        other = best.get(group.target)
        if other is None or len(group.measured) > len(other.measured):
            best[group.target] = group
    kept = [g for g in groups if best[g.target] is g]
    return kept, [g for g in groups if best[g.target] is not g]
