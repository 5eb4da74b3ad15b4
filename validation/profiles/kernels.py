"""Profiles from kernel tables: phones (MNN, ACL), GPUs, Jetson AGX Xavier, small boards."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from perfmodel.devices.gpu_sheets import kind_of_card
from perfmodel.devices.gpu_specs import GPU_CARDS, GPU_SPECS
from perfmodel.devices.profile import TargetProfile
from perfmodel.measurements.device_names import device_slug
from validation.data.kernel_tables import read_phone_rows
from validation.profiles.common import BuiltTarget, DeviceInfo
from validation.profiles.kernel_targets import (
    build_board_profiles,
    build_gpu_profiles,
    build_jetson_profiles,
    build_phone_profiles,
    build_spec_profiles,
)

_BOARDS = {
    "iphone-6": ("iPhone 6", "phone"),
    "raspberry-pi-3b": ("Raspberry Pi 3", "board"),
    "jetson-agx-xavier": ("NVIDIA Jetson AGX Xavier", "jetson"),
}


def build_phones(data: Path) -> list[BuiltTarget]:
    """Every target of layers_phones.csv.gz."""
    frame = read_phone_rows(data)
    chips = {device_slug(d): s for d, s in zip(frame["device"], frame["soc"], strict=True)}
    return [
        _built(t, DeviceInfo(name, name.replace("-", " ").title(), "phone", chips[name]))
        for t in build_phone_profiles(data)
        if (name := t.target.device)
    ]


def build_gpus(data: Path) -> list[BuiltTarget]:
    """GPUs with kernel tables, then those with a data sheet alone; boards and the Jetson's GPU."""
    measured = build_gpu_profiles(data)
    known = {t.target.device for t in measured}
    listed = {name for name in GPU_SPECS if device_slug(name) in known}
    # boards that share power and memory with a CPU are far from the cards that were fitted:
    # they keep their plain data sheets (profiles_datasheets)
    boards = {name for name in GPU_SPECS if name.startswith("Jetson")}
    sheets = build_spec_profiles(data, measured=listed | boards)
    # the DLA has a builder of its own, which knows what it costs to reach it
    jetson = [t for t in build_jetson_profiles(data) if t.target.unit != "dla"]
    return [
        _built(t, _info(t.target.device))
        for t in _distinct([*measured, *sheets, *jetson, *build_board_profiles(data)])
    ]


def _distinct(profiles: Iterable[TargetProfile]) -> list[TargetProfile]:
    """The first of each target: measured ones come before data sheets."""
    found: dict[str, TargetProfile] = {}
    for profile in profiles:
        found.setdefault(str(profile.target), profile)
    return list(found.values())


def _info(device: str) -> DeviceInfo:
    if device in _BOARDS:
        title, kind = _BOARDS[device]
        return DeviceInfo(device, title, kind)
    for name in (*GPU_SPECS, *GPU_CARDS):
        if device_slug(name) == device:
            return DeviceInfo(device, name, kind_of_card(name))
    return DeviceInfo(device, device, "server")


def _built(profile: TargetProfile, info: DeviceInfo) -> BuiltTarget:
    target = profile.target
    order = ("mnn", "acl", "pytorch", "tensorrt")
    rank = (
        ("cpu", "gpu", "npu", "dla", "dsp", "nnapi").index(target.unit),
        order.index(target.framework) if target.framework in order else len(order),
        ("fp32", "float", "fp16", "tf32", "int8").index(target.precision),
        int(target.cluster == "little"),
        -target.threads,
    )
    return BuiltTarget(info, profile, rank)
