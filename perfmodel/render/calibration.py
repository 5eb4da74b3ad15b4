"""What `calibrate` answers: the profile that was made, how good it is, what to measure next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.measurements.evidence import FACETS
from perfmodel.render.result import Data, Result, ResultTable, plain
from perfmodel.render.text import percent
from perfmodel.runners.scaling import Scaling, work_of_many
from perfmodel.units import US_PER_MS

if TYPE_CHECKING:
    from perfmodel.calibration.from_device import DeviceCalibration
    from perfmodel.calibration.from_table import CalibratedTarget, Calibration
    from perfmodel.calibration.measured import TargetRows
    from perfmodel.measurements.table import BadRow

SHOWN_BAD_ROWS = 10
SHOWN_ROWS = 60


def calibration_data(
    result: Calibration, path: Path, left_out: Sequence[BadRow]
) -> dict[str, object]:
    """What was fitted, what was borrowed and how good it is: the JSON contract of `calibrate`."""
    return {
        "device": result.device.device,
        "profile": str(path),
        "targets": [_target(t) for t in result.targets],
        "left_out_rows": [str(b) for b in left_out],
    }


def _target(made: CalibratedTarget) -> dict[str, object]:
    interval = made.profile.interval
    return {
        "target": str(made.profile.target),
        "kind": made.profile.latency_kind,
        "networks": made.networks,
        "kernels": made.kernels,
        "borrowed_from": made.borrowed_from,
        "reason": made.reason,
        "evidence": {facet: list(places) for facet, places in made.evidence.items()},
        "error": plain(made.profile.error),
        "interval_factor": interval.around(1.0),
        "interval_coverage": interval.coverage,
    }


def calibration_result(data: Data, *, named: bool) -> Result:
    """Describe a calibration; `named` if the user said where the profile goes."""
    left, targets = data["left_out_rows"], data["targets"]
    option = f" --profile {data['profile']}" if named else ""
    best = "/".join(targets[0]["target"].split("/")[:2])
    return Result(
        title=f"Calibration of {data['device']}",
        answer=f"{data['device']}: {len(targets)} targets, profile in {data['profile']}",
        data=data,
        facts=[line for target in targets for line in _described(target)],
        warnings=_left_out(left),
        closing=(f"next: perfmodel predict mobilenet_v2 --on {best}{option}",),
    )


def calibrated_result(result: Calibration) -> Result:
    """Describe a calibration that was kept in no file."""
    targets = [plain(_target(t)) for t in result.targets]
    left = [str(row) for row in result.unused]
    name = result.device.device
    headers = ("target", "networks", "kernels", "borrowed from", "median error")
    rows = [
        (
            *(t["target"], t["networks"], t["kernels"], t["borrowed_from"] or "-"),
            percent(t["error"]["median"], 1),
        )
        for t in targets
    ]
    return Result(
        title=f"Calibration of {name}",
        answer=f"{name}: {len(targets)} targets",
        data={"device": name, "targets": targets, "left_out_rows": left},
        parts=(ResultTable(headers=headers, rows=rows),),
        warnings=_left_out(left),
    )


def _described(made: Data) -> list[str]:
    """A target's rows, what was borrowed and why, how good it is."""
    error, (low, high) = made["error"], made["interval_factor"]
    counts = [f"{made['networks']} networks"] if made["networks"] else []
    counts += [f"{made['kernels']} kernels"] if made["kernels"] else []
    said = "; ".join(f"{facet} from {' and '.join(at)}" for facet, at in made["evidence"].items())
    return [
        f"{made['target']} ({made['kind']}), from {' and '.join(counts)}",
        *(
            [f"  known: {said}"]
            if said and said.count("from table") < len(made["evidence"])
            else []
        ),
        f"  borrowed from {made['borrowed_from']}: {made['reason']}",
        f"  median error {percent(error['median'], 1)} ({error['experiment']}, {error['cases']} "
        f"cases); {percent(made['interval_coverage'])} interval {low:.2f} to {high:.2f} times the "
        "prediction",
    ]


def dry_run_data(
    used: tuple[Sequence[TargetRows], Sequence[BadRow]], bad: Sequence[BadRow]
) -> dict[str, object]:
    """The rows that a calibration would use, each with its target, place and evidence."""
    groups, unused = used
    return {
        "dry_run": True,
        "rows": [_used_row(group, row) for group in groups for row in group.rows],
        "left_out_rows": [str(b) for b in (*bad, *unused)],
    }


def _used_row(group: TargetRows, row: Data) -> dict[str, object]:
    network = row["latency_ms"] == row["latency_ms"]
    evidence = dict(row["origin_evidence"])
    return {
        "file": row["origin_file"],
        "line": int(row["origin_line"]),
        "target": group.name,
        "kind": group.latency_kind,
        "model": row["model"],
        "source_model": row["source_model"],
        "batch": int(row["batch"]) if row["batch"] == row["batch"] else None,
        "kernel": None if network else row["layer"] or row["op"],
        "latency_ms": row["latency_ms"] if network else row["latency_us"] / US_PER_MS,
        "statistic": row["statistic"],
        "evidence": evidence or dict.fromkeys(FACETS, "table"),
    }


def dry_run_result(data: Data) -> Result:
    """Describe the rows that would be used, and those that would not."""
    rows = [
        (
            f"{Path(row['file']).name}:{row['line']}",
            row["target"],
            row["kernel"] or row["model"],
            row["batch"] or "",
            f"{row['latency_ms']:.4g} ms",
            "; ".join(f"{facet}: {where}" for facet, where in row["evidence"].items()),
        )
        for row in data["rows"]
    ]
    headers = ("row", "target", "network or kernel", "batch", "latency", "evidence")
    return Result(
        title="Rows of a calibration",
        answer=f"{len(rows)} rows would be used; nothing is written",
        data=data,
        warnings=_left_out(data["left_out_rows"]),
        parts=(ResultTable(headers=headers, rows=rows, text_rows=SHOWN_ROWS),),
    )


def _left_out(rows: Sequence[str]) -> list[str]:
    """The first rows that were not used, and how many there are."""
    if not rows:
        return []
    shown = [
        text if "left out: " in text else f"left out: {text}" for text in rows[:SHOWN_BAD_ROWS]
    ]
    more = (
        f"; here are the first {SHOWN_BAD_ROWS}, --json has all" if len(rows) > len(shown) else ""
    )
    return [f"{len(rows)} rows are left out{more}", *shown]


def device_calibration_result(made: DeviceCalibration, path: Path, *, named: bool) -> Result:
    """Describe a calibration of an attached device: its profile, and what was measured for it."""
    measured, calibration = made.measured, made.calibration
    data = calibration_data(calibration, path, calibration.unused) | {
        "journal": str(made.journal),
        "finished": measured.finished,
        "failures": list(measured.failures),
        "warnings": list(measured.warnings),
        "facts": dict(measured.facts),
        "files": [str(f) for f in measured.files],
    }
    result = calibration_result(data, named=named)
    ended = "" if measured.finished else "; the budget ended first: the same command goes on"
    # a delegate or precision has a journal and a folder of its own
    raw = ", ".join(sorted({str(f.parent) for f in measured.files})) or str(made.journal)
    return replace(
        result,
        warnings=(*result.warnings, *measured.warnings, *measured.failures),
        closing=(f"raw values: {raw}{ended}", *result.closing),
    )


def host_calibration_result(data: Data) -> Result:
    """Describe a calibration of this machine."""
    data = plain(data)
    rows = [
        (
            t["target"],
            t["networks"],
            percent(t["error_median"], 1),
            percent(t["error_mean"], 1),
            percent(t["within_10"]),
        )
        for t in data["targets"]
    ]
    headers = ("target", "networks", "median error", "mean error", "within 10 %")
    return Result(
        title="Calibration of this machine",
        answer=f"{data['samples']} networks with {data['kernels']} kernels measured in "
        f"{data['measuring_s']:.0f} s; errors are those of networks left out of the fit",
        data=data,
        facts=[
            f"{work_of_many(threads, Scaling(**found))} on this machine"
            for threads, found in data["scaling"].items()
        ],
        warnings=[data["warning"]] if data["warning"] else [],
        parts=(ResultTable(headers=headers, rows=rows),),
        closing=(
            f"profile: {data['profile']}",
            f"raw values: {data['journal']} (the same command with a larger --budget goes on from "
            "it)",
            *(f"not used: {count} ({reason})" for reason, count in data["lost"].items()),
            *(f"no target {setup}: {reason}" for setup, reason in data["not_fitted"].items()),
        ),
    )


def suggestions_result(answer: Any) -> Result:
    """Describe which networks to measure next: what each teaches, how uncertain the rest stays."""
    data = plain(answer)
    rows = [
        (number, one["name"], one["reason"], percent(one["remaining_sd"]))
        for number, one in enumerate(data["suggestions"], 1)
    ]
    headers = ("", "network", "why", "others then known to")
    return Result(
        title=f"What to measure next on {data['target']}",
        answer=f"measure these {len(rows)} next on {data['target']} (before them, costs are those "
        f"of {data['borrowed_from']})",
        data=data,
        facts=("others then known to: one standard deviation of what their latency may be",),
        parts=(ResultTable(headers=headers, rows=rows),),
        closing=("then: perfmodel calibrate --from YOUR_TABLE.csv --device NAME",),
    )
