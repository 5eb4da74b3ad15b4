"""What is known of a phone beside its latencies: its processor's year, class and core power."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from perfmodel.devices.profile import DeviceProfile

SOC_FILE = Path(__file__).parent / "socs.csv"
"""Processors of phones; written by validation/profiles/soc_table.py, each row with its sources."""

CLASSES = ("entry", "middle", "top")
"""Classes of phones from cheap to dear: the series its processor belongs to."""


@dataclass(frozen=True, kw_only=True)
class Soc:
    """A phone processor; None where no source says.

    `clusters` are (cores, mW of one busy core at its highest clock), slow to fast; empty where
    nobody has measured.
    """

    slug: str
    soc: str
    year: int | None
    grade: str
    phones: tuple[str, ...]
    clusters: tuple[tuple[int, float], ...]
    source: str


UNKNOWN = Soc(
    slug="",
    soc="",
    year=None,
    grade="unknown",
    phones=(),
    clusters=(),
    source="",
)


def soc_slug(text: str) -> str:
    """`Snapdragon 855+ (SM8150-AC)` as `snapdragon-855-plus`."""
    plain = text.split(" (")[0].lower().replace("+", "-plus")
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return re.sub(r"^(qualcomm|samsung|hisilicon|mediatek|google|huawei)-", "", slug)


@lru_cache(maxsize=1)
def socs() -> dict[str, Soc]:
    """Every processor known, by slug."""
    with open(SOC_FILE, encoding="utf-8", newline="") as file:
        return {row["slug"]: _soc(row) for row in csv.DictReader(file)}


def _soc(row: dict[str, str]) -> Soc:
    return Soc(
        slug=row["slug"],
        soc=row["soc"],
        year=int(row["year"]) if row["year"] else None,
        grade=row["class"],
        phones=tuple(p.strip() for p in row["phones"].split(";") if p.strip()),
        clusters=tuple(
            (int(cores), float(milliwatts))
            for cores, milliwatts in (c.split("x") for c in row["core_mw"].split(";") if c)
        ),
        source=row["source"],
    )


@lru_cache(maxsize=1)
def _by_phone() -> dict[str, Soc]:
    return {_letters(phone): soc for soc in socs().values() for phone in soc.phones}


def _letters(phone: str) -> str:
    """`Mi 9` and `mi-9` as `mi9`: sources do not agree on where a phone's name has spaces."""
    return soc_slug(phone).replace("-", "")


def soc_of(device: str, soc: str = "") -> Soc:
    """The processor of a device, by its stated processor or its own name; `UNKNOWN` if neither."""
    for text in (soc, device):
        slug = soc_slug(text) if text else ""
        found = socs().get(slug) or (_by_phone().get(_letters(text)) if text else None)
        if found is not None:
            return found
    slug = soc_slug(device)
    inside = [s for s in socs() if slug.startswith(f"{s}-")]
    return socs()[max(inside, key=len)] if inside else UNKNOWN


def phone_of(profile: DeviceProfile) -> Soc:
    """The processor of a profile's device."""
    return soc_of(profile.device, profile.soc)


def year_of(profile: DeviceProfile) -> int | None:
    """The year a profile states, else that of its processor."""
    return profile.year if profile.year is not None else phone_of(profile).year
