"""Profiles and the market: the chip of a profile, and the profile of a phone by its market name.

A phone of the market is answered by what was measured on it, on another phone with its chip or on
the chip itself, and for the targets that nobody measured by its chip's spec sheet.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import lru_cache

from perfmodel.devices.facts import Traits
from perfmodel.devices.market import Chip, Phone, chip, chips
from perfmodel.devices.market_names import plain
from perfmodel.devices.market_search import Found, find
from perfmodel.devices.market_years import stated_year
from perfmodel.devices.profile import DeviceProfile, TargetProfile
from perfmodel.measurements.device_names import slug

FEWEST = 3
"""Measurements from which on a measured target answers before one of the spec sheet: fewer tell a
scale and no more (as for the default of a profile, validation/profiles/defaults.py)."""

STUDY_BUILDS = ("patched MNN", "Arm Compute Library graph examples")
"""Builds of libraries of 2019 that a study changed, or took of examples, to time kernels one by one
(`provenance.build`): an application runs on none of them, and newer libraries take a third."""

STUDIED = ("mnn", "acl")
"""Frameworks that spec sheets know by that study alone."""

BINS = ("-for-galaxy",)
"""Ends of slugs of chips that are a faster bin of the chip without it, by up to 5 % of clock."""


def chip_of(profile: DeviceProfile) -> Chip | None:
    """The market's chip of a profile's device; None where it is none, or nobody says which."""
    return chip_of_device(profile.device, profile.soc)


@lru_cache(maxsize=1024)
def chip_of_device(device: str, soc: str = "") -> Chip | None:
    """The chip by the processor that a source names, else by the device's own name."""
    named = chip(soc) if soc else None
    if named is not None:
        return named
    found = find(device).chips
    if len(found) == 1:
        return found[0]
    inside = [s for s in chips() if slug(device).startswith(f"{s}-")]
    return chips()[max(inside, key=len)] if inside else None


def year_of(profile: DeviceProfile) -> int | None:
    """The year a profile states, else that of its chip."""
    if profile.year is not None:
        return profile.year
    made = chip_of(profile)
    return None if made is None else made.year


def unbinned(name: str) -> str:
    """The slug of the chip that a slug is a bin of; its own where it is none."""
    return next((name.removesuffix(end) for end in BINS if name.endswith(end)), name)


def is_named_for(device: str, phones: Sequence[Phone]) -> bool:
    """Whether a device's name is the market name of one of these phones."""
    names = {plain(n) for p in phones for n in (p.model, p.title, *p.names)}
    return plain(device) in names


def market_profile(
    found: Found, measured: Sequence[DeviceProfile], spec: DeviceProfile | None
) -> DeviceProfile:
    """The profile that answers for what was found, which has one chip.

    `measured` are the profiles of its chip, the nearest to it first, `spec` the one of the chip's
    spec sheet. Of two targets that are alike the first counts, so that the spec sheet stands in
    for what nobody measured. Targets keep the names of the devices they were measured on, and the
    profile that of the phone's own, where it has one. Those that hardly anybody measured come last,
    builds of a study before them, and before those another phone's CPU with one thread.
    """
    made = found.chips[0]
    years = [year for p in found.phones if (year := stated_year(p)) is not None]
    everyone = [*measured, *([spec] if spec is not None else [])]
    targets: dict[tuple[object, ...], TargetProfile] = {}
    for profile in everyone:
        for t in profile.targets:
            key = t.target
            # NPUs' runtimes are updated in place; versions of a CPU's library stand side by side
            version = key.version if key.unit == "cpu" else ""
            kind = (key.unit, key.framework, version, key.precision, key.threads, key.cluster)
            targets.setdefault((*kind, t.latency_kind), t)
    name = found.phones[0].title if found.phones else ""
    own = {p.device for p in measured if is_named_for(p.device, found.phones)}
    listed = sorted(targets.values(), key=lambda t: hardly_chosen(t, own))
    return DeviceProfile(
        device=next((p.device for p in measured if p.device in own), made.slug),
        title=f"{name} ({made.name})" if name else made.name,
        kind="phone",
        targets=tuple(listed),
        soc=made.name,
        year=min(years) if years else made.year,
        hardware=everyone[0].hardware if everyone else {},
        traits=everyone[0].traits if everyone else Traits(),
        found_as=f"{name} has the chip {made.name}" if name else made.name,
    )


def hardly_chosen(target: TargetProfile, own: Container[str]) -> tuple[bool, bool, bool]:
    """Whether few measurements speak for a target; whether it is of a study's build; whether it
    leaves all cores but one idle, on another device than the phone's `own`."""
    few = 0 < target.provenance.measurements < FEWEST
    idle = target.target.unit == "cpu" and target.target.threads == 1
    return few, of_a_study(target), idle and target.target.device not in own


def of_a_study(target: TargetProfile) -> bool:
    """Whether a target was measured with one of `STUDY_BUILDS`, or a spec sheet says what they took
    elsewhere."""
    by_sheet = not target.provenance.measurements and target.target.framework in STUDIED
    return by_sheet or target.provenance.build in STUDY_BUILDS
