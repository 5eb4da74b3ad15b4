"""What `devices` answers: every target, how good its model is and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.devices.market_years import came_out, stated_year
from perfmodel.devices.profile import DeviceProfile
from perfmodel.devices.target_lines import target_lines
from perfmodel.render.result import Result, ResultTable, plain
from perfmodel.render.text import percent

if TYPE_CHECKING:
    from perfmodel.devices.market import Chip, Phone
    from perfmodel.devices.market_search import Found
    from perfmodel.devices.target_lines import TargetLine

HEADERS = ("target", "kind", "median error", "cases", "measured how", "source")
SOURCE_WIDTH = 60
SHEET = ("spec sheet", "", "how sure")
PHONES, CODES = 6, 8
"""Phones, and codes of each, that an answer names."""


def devices_result(lines: Sequence[TargetLine], found: Found | None = None) -> Result:
    """Describe the targets, and what was found in the market; data are the targets' lines.

    Where the market was asked, each line says which phones and chips `matched`.
    """
    matched = {"matched": _names(found)} if found else {}
    rows = [
        (
            x.target,
            x.kind,
            percent(x.median_error, 1),
            x.cases,
            x.experiment,
            x.source[:SOURCE_WIDTH],
        )
        for x in lines
    ]
    return Result(
        title="Targets",
        answer=f"{len(lines)} targets on {len({line.device for line in lines})} devices",
        data=[{**plain(line), **matched} for line in lines],
        facts=[
            fact for phone in (found.phones if found else ())[:PHONES] for fact in _phone(phone)
        ],
        parts=(
            *map(_chip, found.chips if found else ()),
            ResultTable(headers=HEADERS, rows=rows, optional=("source", "cases")),
        ),
    )


def known_targets_result(known: Any) -> Result:
    """Describe known targets, or those of one profile."""
    if isinstance(known, DeviceProfile):
        return devices_result(target_lines(known))
    return devices_result(known.targets, known.found)


def _names(found: Found) -> list[str]:
    """The phones that a text means, then the chips, as they are called."""
    return [*dict.fromkeys(p.title for p in found.phones), *(made.name for made in found.chips)]


def _phone(phone: Phone) -> list[str]:
    """A phone in a line."""
    low, high = phone.ram_mb or (0, 0)
    ram = f"{low:g} to {high:g} MiB of memory" if phone.ram_mb else "memory unknown"
    year = came_out(phone)
    dated = f"{year}" + ("" if stated_year(phone) else " (estimated)") if year else "year unknown"
    codes = ", ".join((*phone.devices, *phone.codes)[:CODES])
    return [f"{phone.title}: {ram}, {dated}; {codes}"]


def _chip(chip: Chip) -> ResultTable:
    """A chip's sheet, with how sure each field is."""
    fields = (
        ("part", ", ".join(chip.parts), ""),
        ("year", chip.year, "year"),
        ("CPU", chip.cores_text, "clusters"),
        ("half precision, dot product, int8 matrices", _vectors(chip), "fp16"),
        ("caches", chip.caches, "caches"),
        ("memory", _memory(chip), "mem_bandwidth_gbs"),
        ("GPU", _gpu(chip), "gpu_mhz"),
        ("GPU fp32", f"{chip.gpu_gflops:g} GFLOPS" if chip.gpu_gflops else "", "gpu_gflops"),
        ("NPU", _npu(chip), "npu"),
    )
    rows = [
        (name, value or "not known", chip.confidence(field) if field else "")
        for name, value, field in fields
    ]
    return ResultTable(title=f"{chip.name} ({chip.vendor})", headers=SHEET, rows=rows)


def _vectors(chip: Chip) -> str:
    said = {True: "yes", False: "no", None: "by revision"}
    return ", ".join(said[has] for has in (chip.fp16, chip.dotprod, chip.i8mm))


def _memory(chip: Chip) -> str:
    rate = f"{chip.mem_bandwidth_gbs:g} GB/s" if chip.mem_bandwidth_gbs else ""
    return " ".join(filter(None, (chip.mem_type, rate)))


def _gpu(chip: Chip) -> str:
    cores = f"{chip.gpu_cores} cores" if chip.gpu_cores else ""
    clock = f"{chip.gpu_mhz:g} MHz" if chip.gpu_mhz else ""
    return ", ".join(filter(None, (chip.gpu, cores, clock)))


def _npu(chip: Chip) -> str:
    tops = f"{chip.npu_tops:g} TOPS" if chip.npu_tops and "TOPS" not in chip.npu else ""
    return ", ".join(filter(None, (chip.npu, tops)))
