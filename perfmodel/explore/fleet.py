"""A fleet: which phones an app's users hold, as a CSV of shares."""

from __future__ import annotations

import csv
import io
import math
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from perfmodel.devices.market_profiles import chip_of_device, unbinned
from perfmodel.errors import PerfmodelError
from perfmodel.files import read_text_file

EXAMPLE_FLEET = Path(__file__).parent / "example_fleet.csv"
"""A made-up fleet to try things on. Its shares are nobody's market figures."""

MAX_ROWS = 100_000
MAX_BYTES = 16_000_000
MOST_USERS = 1e12  # of a phone; whole fleets add up to finite numbers


@dataclass(frozen=True)
class Fleet:
    """Share of users by phone, as shares of 1; `example` says that the shares are made up."""

    name: str
    shares: Mapping[str, float]
    example: bool = False


@dataclass(frozen=True, kw_only=True)
class FleetShare:
    """What part of a fleet passes; `unknown` is the part that no profile answers for.

    `expected` weighs each phone by its chance to pass, over the part that is known.
    """

    fleet: str
    example: bool
    passing: float
    failing: float
    unknown: float
    expected: float


def read_fleet(path: Path | None = None) -> Fleet:
    """Read a CSV with columns device,share; the built-in example without a path.

    Shares may be of 1, in percent or counts of users: they are divided by their sum. Raises
    `PerfmodelError` with file and line.
    """
    place = EXAMPLE_FLEET if path is None else path
    shares: dict[str, float] = {}
    text = read_text_file(place, "this fleet", most_bytes=MAX_BYTES, error=PerfmodelError)
    lines = io.StringIO(text, newline="")
    reader = csv.DictReader(line for line in lines if not line.startswith("#"))
    try:
        missing = {"device", "share"} - set(reader.fieldnames or ())
        if missing:
            raise PerfmodelError(
                f"{place}: no column {sorted(missing)[0]!r}", "a fleet has device,share"
            )
        for number, row in enumerate(reader, 1):
            if number > MAX_ROWS:
                raise PerfmodelError(f"{place}: more than {MAX_ROWS} rows")
            device, share = _row(row, f"{place}: row {number}")
            shares[device] = shares.get(device, 0.0) + share
    except csv.Error as error:
        raise PerfmodelError(f"{place}: not a table: {error}") from None
    total = math.fsum(shares.values())
    if total <= 0:
        raise PerfmodelError(f"{place}: the shares add up to nothing", "give share > 0")
    return Fleet(place.stem, {d: s / total for d, s in shares.items()}, path is None)


def _row(row: Mapping[str, str | None], where: str) -> tuple[str, float]:
    device, text = (row["device"] or "").strip(), (row["share"] or "").strip().rstrip("%")
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not device or not 0 <= share <= MOST_USERS:
        raise PerfmodelError(
            f"{where}: {reprlib.repr(device)},{reprlib.repr(text)} is no device and share >= 0"
        )
    return device, share


def known_as(device: str, names: Collection[str]) -> str | None:
    """The profile that stands for a fleet's device: its own, else one with the same processor."""
    slug = device.strip().lower().replace(" ", "-")
    if slug in names:
        return slug
    made = chip_of_device(device)
    if made is None:
        return None
    plain = unbinned(made.slug)
    chips = {n: found.slug for n in names if (found := chip_of_device(n)) is not None}
    same = [n for n, chip in chips.items() if unbinned(chip) == plain]
    return plain if plain in same else min(same, default=None)


def fleet_share(fleet: Fleet, chance: Mapping[str, float], passing: Collection[str]) -> FleetShare:
    """Shares that pass, fail and are unknown; `chance` holds every phone that was answered."""
    passed = failed = expected = 0.0
    for device, share in fleet.shares.items():
        name = known_as(device, chance)
        if name is None:
            continue
        expected += share * chance[name]
        if name in passing:
            passed += share
        else:
            failed += share
    known = passed + failed
    return FleetShare(
        fleet=fleet.name,
        example=fleet.example,
        passing=passed,
        failing=failed,
        unknown=max(0.0, 1.0 - known),
        expected=expected / known if known else 0.0,
    )
