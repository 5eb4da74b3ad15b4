"""The sheets of devices that were measured: chips of the market, and boards by their vendors'."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from perfmodel.calibration.device_kinds import shipped_kinds
from perfmodel.calibration.from_spec import facts_key
from perfmodel.devices.market import chips
from perfmodel.devices.sheet_data import MeasuredSheet
from perfmodel.devices.spec_sheet import silicon
from perfmodel.target import Target

FOLDER = Path(__file__).resolve().parent


@lru_cache(maxsize=1)
def device_facts() -> Mapping[str, MeasuredSheet]:
    """The sheets of measured devices by `facts_key`, without a speed."""
    with (FOLDER / "ncnn_devices.csv").open(newline="") as file:
        cores = {row["device"]: row["cores"] for row in csv.DictReader(file)}
    found: dict[str, MeasuredSheet] = {}
    with (FOLDER / "spec_sheets.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for unit in ("cpu", "gpu"):
                sheet = _facts(row, cores, Target(row["device"], unit, "", ""))
                found[facts_key(row["device"], unit)] = sheet
    return found


def _facts(row: Mapping[str, str], cores: Mapping[str, str], target: Target) -> MeasuredSheet:
    chip = chips().get(row["chip"])
    cpu = target.unit == "cpu"
    kind = shipped_kinds().get(target.device, "board")
    if chip is not None:
        return MeasuredSheet(
            target=target,
            chip=silicon(chip),
            title=chip.name,
            kind=kind,
            cores=chip.cores_text if cpu else "",
            gpu="" if cpu else chip.gpu,
            gflops=0.0 if cpu else chip.gpu_gflops or 0.0,
            memory_gbs=chip.mem_bandwidth_gbs,
        )
    return MeasuredSheet(
        target=target,
        chip=row["chip"],
        title=row["chip"],
        kind=kind,
        cores=(row["cores"] or cores.get(target.device, "")) if cpu else "",
        gpu="" if cpu else row["gpu"],
        gflops=0.0 if cpu else float(row["gpu_gflops"] or 0.0),
        memory_gbs=float(row["memory_gbs"]) if row["memory_gbs"] else None,
    )
