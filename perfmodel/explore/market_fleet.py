"""A fleet's rows against the market: what becomes of each, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from perfmodel.devices.market import Phone
from perfmodel.devices.market_profiles import chip_of_device
from perfmodel.devices.market_search import Found, find
from perfmodel.explore.fleet import FleetShare, read_fleet

NAMED = 3
"""Phones that a row names."""

PASS, BORDER, FAIL, UNKNOWN = "pass", "border", "fail", "unknown"


class Verdict(NamedTuple):
    """What becomes of a phone: pass, border, fail or unknown; why; and its chance to pass."""

    verdict: str
    why: str = ""
    chance: float = 0.0


NO_TARGET = Verdict(UNKNOWN, "its chip's spec sheet tells too little")


@dataclass(frozen=True, kw_only=True)
class FleetRow:
    """A row of a fleet: what it was found as, what becomes of it and why; `share` is of 1, `chance`
    that of one of its phones to pass. `price` is the least of its phones, where prices are given.
    """

    device: str
    share: float
    verdict: str
    why: str
    phone: str = ""
    chip: str = ""
    chance: float = 0.0
    price: float | None = None


def fleet_rows(
    path: Path,
    of_phone: Callable[[Phone], Verdict],
    of_chip: Mapping[str, Verdict],
    priced: Mapping[Phone, float],
) -> tuple[FleetRow, ...]:
    """Every device of a fleet, in order; a name that the market does not know is unknown.

    A phone that is sold with several chips is told by what all of them have in common, and is
    unknown where they differ.
    """
    return tuple(
        _row(device, share, of_phone, of_chip, priced)
        for device, share in read_fleet(path).shares.items()
    )


def _row(
    device: str,
    share: float,
    of_phone: Callable[[Phone], Verdict],
    of_chip: Mapping[str, Verdict],
    priced: Mapping[Phone, float],
) -> FleetRow:
    found = find(device)
    if not found:
        made = chip_of_device(device)
        found = Found(device, chip=made)
    if not found:
        return FleetRow(device=device, share=share, verdict=UNKNOWN, why="no phone of this name")
    verdicts = _verdicts(found, of_phone, of_chip)
    different = {v.verdict for v in verdicts}
    least = min(verdicts, key=lambda v: v.chance)
    verdict, why = least.verdict, least.why
    if len(different) > 1:
        named = zip(found.choices(), verdicts, strict=False)
        said = "; ".join(f"{name}: {v.verdict}" for name, v in named)
        verdict, why = UNKNOWN, f"which one is not said ({said})"
    return FleetRow(
        device=device,
        share=share,
        verdict=verdict,
        why=why,
        phone=", ".join(dict.fromkeys(p.title for p in found.phones[:NAMED])),
        chip=", ".join(c.name for c in found.chips),
        chance=math.fsum(v.chance for v in verdicts) / len(verdicts),
        price=min((priced[p] for p in found.phones if p in priced), default=None),
    )


def _verdicts(
    found: Found, of_phone: Callable[[Phone], Verdict], of_chip: Mapping[str, Verdict]
) -> list[Verdict]:
    if found.chip is not None:
        return [of_chip.get(found.chip.slug, NO_TARGET)]
    return [of_phone(phone) for phone in found.phones]


def share_of_rows(name: Path | str, rows: Sequence[FleetRow]) -> FleetShare:
    """The parts of a fleet that pass, fail (or are at the border) and are unknown; they add up."""
    passing, unknown = (math.fsum(r.share for r in rows if r.verdict == v) for v in (PASS, UNKNOWN))
    failing = math.fsum(r.share for r in rows if r.verdict in (FAIL, BORDER))
    hoped = math.fsum(r.share * r.chance for r in rows if r.verdict != UNKNOWN)
    known = passing + failing
    return FleetShare(
        fleet=Path(name).stem,
        example=False,
        passing=passing,
        failing=failing,
        unknown=unknown,
        expected=hoped / known if known else 0.0,
    )
