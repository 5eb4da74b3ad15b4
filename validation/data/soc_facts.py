"""Hardware facts of chips, and of devices named after them or known to hold them."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from perfmodel.devices.profile import Fact
from perfmodel.measurements.device_names import device_slug, slug

NUMBERS = ("process_nm", "gpu_fp32_gflops", "gpu_fp16_gflops", "npu_tops", "mem_bw_gbs")
TEXTS = ("cpu_clusters", "gpu", "mem_type")

_MAKERS = ("", "xiaomi-", "samsung-", "huawei-", "google-")
"""Phones of the table stand without their maker."""


@dataclass(frozen=True)
class SocFacts:
    """A chip: name, year (None where no source says), facts with sources."""

    soc: str
    year: int | None
    hardware: Mapping[str, Fact] = field(default_factory=dict)


def soc_facts(data: Path) -> dict[str, SocFacts]:
    """Facts by slug of the chip (as it is written and without its part number) and of its phones.

    Where two chips claim a phone the first in the table keeps it.
    """
    found: dict[str, SocFacts] = {}
    phones: dict[str, SocFacts] = {}
    with open(data / "soc_specs.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            facts = _facts(row)
            plain = re.sub(r"\(.*?\)", "", row["soc"])
            for name in (row["soc"], plain, plain.removeprefix("Apple ")):
                found.setdefault(slug(name), facts)
            for phone in row["phones"].split(";"):
                if slug(phone) and slug(phone) not in ("developer-kit", "seed-004-test-phone"):
                    for maker in _MAKERS:
                        phones.setdefault(device_slug(maker + slug(phone)), facts)
    return {**phones, **found}


def _facts(row: Mapping[str, str]) -> SocFacts:
    source = f"soc_specs.csv: {row['source']}"
    hardware = {n: Fact(float(row[n]), source) for n in NUMBERS if row[n].strip()}
    hardware |= {n: Fact(row[n], source) for n in TEXTS if row[n].strip()}
    year = int(row["year"]) if row["year"].strip() else None
    return SocFacts(row["soc"], year, dict(sorted(hardware.items())))


def facts_of(device: str, soc: str, facts: Mapping[str, SocFacts]) -> SocFacts | None:
    """Facts of a device by its chip as a source names it, else by its own name."""
    by_chip = facts.get(slug(re.sub(r"\(.*?\)", "", soc))) if soc else None
    return by_chip or facts.get(device)
