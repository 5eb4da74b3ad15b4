"""Profiles of the NPUs of Rockchip's chips, from the times of Rockchip's own model zoo.

Boards of a chip run as the chip does: each board that has a profile of its own gets the chip's
target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from perfmodel.calibration.learn_npus import LearnedNpus, learn_npus
from perfmodel.devices.profile import DeviceProfile, TargetProfile
from validation.data.rockchip import families, newest_rows, table_of
from validation.profiles.common import BuiltTarget, DeviceInfo

NOTE = "one core of the NPU at its highest clock, without work before and after"


@dataclass(frozen=True)
class NpuChip:
    """A chip: its title, year, and boards of it that have profiles.

    `on_market` are the chips that the market's sheets know, which answer for the rest of them: it
    has no profile of its own then, but one of its NPU among the populations (`devices.npu_sheets`).
    """

    title: str
    year: int
    boards: Sequence[str] = ()
    on_market: Sequence[str] = ()


CHIPS = {
    "rk3588": NpuChip(
        *("Rockchip RK3588", 2022),
        boards=("rk3588", "rk3588-b", "orangepi-5", "orangepi-5-plus", "station-m3-rk3588s"),
        on_market=("rk3588",),
    ),
    "rk3576": NpuChip("Rockchip RK3576", 2024),
    "rk3568": NpuChip(
        *("Rockchip RK3566 / RK3568", 2021),
        boards=("rock3a-rk3568", "station-m2-rk3566", "station-p2-rk3568"),
        on_market=("rk3566", "rk3568"),
    ),
    "rk3562": NpuChip("Rockchip RK3562", 2023, on_market=("rk3562",)),
    "rv1126": NpuChip("Rockchip RV1126", 2020),
    "rv1109": NpuChip("Rockchip RV1109", 2020),
    "rk1808": NpuChip("Rockchip RK1808", 2019),
}
"""By slug."""


@lru_cache(maxsize=2)
def learned(data: Path) -> LearnedNpus:
    """What the rows of all chips teach."""
    return learn_npus(table_of(newest_rows(data)), families=families())


def build_rockchip(data: Path) -> list[BuiltTarget]:
    """The NPUs of boards, and of chips that no market's sheet knows."""
    made = {p.device: p.targets[0] for p in learned(data).profiles}
    return [
        _built(made[slug], device, chip)
        for slug, chip in CHIPS.items()
        for device in (*chip.boards, *(() if chip.on_market else (slug,)))
    ]


def market_npus(data: Path) -> dict[str, DeviceProfile]:
    """The NPU of every chip that the market's sheets know, by the chip's slug."""
    made = {p.device: p.targets[0] for p in learned(data).profiles}
    return {
        name: DeviceProfile(
            name, chip.title, "board", (_built(made[slug], name, chip).profile,), chip.title
        )
        for slug, chip in CHIPS.items()
        for name in chip.on_market
    }


def _built(profile: TargetProfile, device: str, chip: NpuChip) -> BuiltTarget:
    note = NOTE if device == profile.target.device else f"{NOTE}; times of the chip ({chip.title})"
    named = replace(
        profile,
        target=replace(profile.target, device=device),
        provenance=replace(profile.provenance, note=note),
    )
    return BuiltTarget(DeviceInfo(device, chip.title, "board", chip.title, chip.year), named, (0,))
