"""Profiles from published whole-network latencies: few rows a target, much borrowed.

`perfmodel.learn_networks` makes them; here is which rows it sees, and what is known of the devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from perfmodel.calibration.learn_networks import UNTESTED_FACTOR
from perfmodel.calibration.network_pool import base_framework
from perfmodel.target import Target
from validation.data.published_networks import (
    PublishedTables,
    anchor_rows,
    learned,
    published_rows,
)
from validation.data.published_sources import FILES
from validation.data.soc_facts import SocFacts, facts_of, soc_facts
from validation.profiles.common import BuiltTarget, DeviceInfo
from validation.profiles.sheet_twins import sheet_twins

FOLDS = 10
"""Parts of the families that are left out together where errors are found: one at a time takes
three times as long and says the same."""

_SERVERS = ("xeon", "epyc")
_DESKTOPS = ("gtx", "titan", "rtx", "core-i", "tesla", "radeon")
_BOARDS = ("rk3399", "firefly", "raspberry", "dragonwing", "qcs", "qrd", "kirin-", "snapdragon-")


def build_published(data: Path) -> list[BuiltTarget]:
    """Every target of the published tables whose networks are known."""
    rows, _ = published_rows(data)
    anchors = anchor_rows(data)
    facts, names = soc_facts(data), titles(data)
    asked = {r.target for r in rows}
    built = [
        BuiltTarget(
            device_info(t.target.device, facts, names),
            t,
            _rank(t.target, t.provenance.measurements),
        )
        for profile in learned([*rows, *anchors], PublishedTables(), FOLDS)
        for t in profile.targets
        if t.target in asked
    ]
    return [*built, *sheet_twins(built, UNTESTED_FACTOR)]


def titles(data: Path) -> dict[str, tuple[str, str]]:
    """Name and chip of every device of the tables as its source writes them."""
    import csv

    from perfmodel.measurements.device_names import device_slug

    found = {}
    for name in reversed(FILES):
        with open(data / name, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                title = row["device"] or row["soc"]
                found[device_slug(row["device"], row["soc"])] = (title, row["soc"])
    return found


def device_info(
    device: str, facts: Mapping[str, SocFacts], names: Mapping[str, tuple[str, str]]
) -> DeviceInfo:
    """Title, kind and hardware facts of a device."""
    title, soc = names.get(device, (device, ""))
    known = facts_of(device, soc, facts)
    if known is None:
        return DeviceInfo(device, title, device_kind(device), soc)
    return DeviceInfo(
        device, title, device_kind(device), soc or known.soc, known.year, known.hardware
    )


def device_kind(device: str) -> str:
    """The kind of a device by its name; phones are the rest."""
    if device.startswith("jetson"):
        return "jetson"
    if any(part in device for part in _SERVERS):
        return "server"
    if device.startswith(_DESKTOPS):
        return "desktop"
    if device.startswith(("snapdragon-x-elite", "m3-max", "m1-max", "macbook")):
        return "laptop"
    if device.startswith(("snapdragon-", "kirin-")) and "qrd" not in device:
        return "phone"
    return "board" if any(part in device for part in _BOARDS) else "phone"


def _rank(target: Target, rows: int) -> tuple[int, ...]:
    """CPU first, then GPU; float before int8; the framework with most rows; most threads."""
    units = ("cpu", "gpu", "npu", "nnapi", "dsp", "dla")
    armv7 = target.framework != base_framework(target.framework)
    return (
        units.index(target.unit),
        int(target.precision == "int8"),
        int(armv7),
        -rows,
        -target.threads,
    )
