"""A phone's own measurements answer without its chip being looked up, and as if it had been."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel.devices.energy import energy_rate
from perfmodel.devices.profile import DeviceProfile, write_profile
from perfmodel.devices.registry import ProfileFolder

STORED = ("", "fp32", "int8", "uint8", "w8a8")
FOLDER = ProfileFolder()


def phones(every: int) -> Iterator[DeviceProfile]:
    """Profiles of phones, one in so many."""
    yield from [p for p in FOLDER.profiles() if p.kind == "phone"][::every]


def texts_of(phone: DeviceProfile) -> list[str]:
    """A phone, its units, its frameworks and its targets."""
    parts = [str(t.target).split("/") for t in phone.targets]
    return list(dict.fromkeys("/".join(p[:n]) for n in (1, 2, 3, 5) for p in parts))


@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
def test_the_short_way_to_a_phones_target_finds_what_the_long_way_finds(
    every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: dict[str, DeviceProfile] = {}
    long_way = ProfileFolder.device

    def device(folder: ProfileFolder, name: str) -> DeviceProfile:
        if name not in whole:
            whole[name] = long_way(folder, name)
        return whole[name]

    monkeypatch.setattr(ProfileFolder, "device", device)
    short = 0
    for phone in phones(every):
        for text in texts_of(phone):
            for stored in STORED:
                found, same = FOLDER.answering(text, stored), FOLDER.resolve(text, stored)
                assert found.target is same.target, (text, stored)
                assert found.precision_reason == same.precision_reason
                assert found.stands_for == same.stands_for
                assert found.device.device == same.device.device
                assert found.device.traits == same.device.traits
                assert energy_rate(found) == energy_rate(same)
                short += not found.device.found_as and bool(same.device.found_as)
    assert short > 20


def test_the_chip_of_a_phone_is_not_looked_up_for_what_was_measured_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ProfileFolder, "device", lambda *_: pytest.fail("the chip is looked up"))
    assert FOLDER.answering("pixel-4", "fp32").target.target.device == "pixel-4"
    assert FOLDER.answering("Pixel 4/gpu").target.target.device == "pixel-4"


def test_a_further_profile_of_the_same_phone_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    long_way = ProfileFolder.device

    def device(folder: ProfileFolder, name: str) -> DeviceProfile:
        looked_up.append(name)
        return long_way(folder, name)

    monkeypatch.setattr(ProfileFolder, "device", device)
    other = replace(FOLDER.profile("pixel-3"), device="my-phone")
    ProfileFolder((other,)).answering("pixel-4", "fp32")
    monkeypatch.setenv("PERFMODEL_PROFILES", str(tmp_path))
    write_profile(FOLDER.profile("pixel-3"), tmp_path / "pixel-3.json")
    ProfileFolder().answering("pixel-4", "fp32")
    assert looked_up.count("pixel-4") == 2


def test_what_hardly_anybody_measured_does_not_answer_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two measurements tell a scale and no more: another phone's of the chip come first."""
    own = FOLDER.profile("pixel-4")
    few = tuple(replace(t, provenance=replace(t.provenance, measurements=2)) for t in own.targets)
    monkeypatch.setattr("perfmodel.devices.registry._read", lambda _: replace(own, targets=few))
    assert FOLDER._own_target("pixel-4", "fp32") is None
    enough = tuple(
        replace(t, provenance=replace(t.provenance, measurements=3)) for t in own.targets
    )
    monkeypatch.setattr("perfmodel.devices.registry._read", lambda _: replace(own, targets=enough))
    assert FOLDER._own_target("pixel-4", "fp32") is not None
