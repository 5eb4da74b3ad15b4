"""What the builders of shipped profiles share: a target with its device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from perfmodel.devices.profile import Fact, TargetProfile


@dataclass(frozen=True)
class DeviceInfo:
    """What is known of a device beside its targets; empty where the source does not say."""

    device: str
    title: str
    kind: str
    soc: str = ""
    year: int | None = None
    hardware: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True)
class BuiltTarget:
    """One fitted target and the device it belongs to; lower `rank` comes first in the profile."""

    info: DeviceInfo
    profile: TargetProfile
    rank: tuple[int, ...] = (0,)
