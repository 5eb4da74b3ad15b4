"""What was measured answers without chips and spec sheets being looked up, and as if they had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel.devices import registry
from perfmodel.devices.answering import answering
from perfmodel.devices.energy import energy_rate
from perfmodel.devices.market import phones
from perfmodel.devices.profile import DeviceProfile, write_profile
from perfmodel.devices.registry import ProfileFolder, Resolved

STORED = ("", "fp32", "int8", "uint8", "w8a8")
FOLDER = ProfileFolder()
LONG_WAY = ProfileFolder.resolve


def named_profiles() -> list[str]:
    """Phones and chips of phones by the names of their profiles."""
    return [p.device for p in FOLDER.profiles() if p.kind == "phone"]


def market_names() -> list[str]:
    """A phone of the market with each measured chip, by its title."""
    titles = {p.chip: p.title for p in phones() if p.chip in FOLDER.by_chip}
    return list(titles.values())


def texts_of(name: str) -> Iterator[str]:
    """A device, its units, its frameworks and its targets."""
    try:
        targets = FOLDER.device(name).targets
    except registry.TargetError:
        return  # a name that is sold with several chips
    parts = [str(t.target).split("/")[1:] for t in targets]
    yield from dict.fromkeys("/".join([name, *p[:n]]) for n in (0, 1, 2, 4) for p in parts)


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The targets that are asked for the long way, while each device is read once."""
    whole: dict[str, DeviceProfile] = {}
    device, asked = ProfileFolder.device, []

    def read_once(folder: ProfileFolder, name: str) -> DeviceProfile:
        if folder is not FOLDER:
            return device(folder, name)
        if name not in whole:
            whole[name] = device(folder, name)
        return whole[name]

    def resolve(folder: ProfileFolder, text: str, stored: str = "") -> Resolved:
        asked.append(text)
        return LONG_WAY(folder, text, stored)

    monkeypatch.setattr(ProfileFolder, "device", read_once)
    monkeypatch.setattr(ProfileFolder, "resolve", resolve)
    return asked


@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("names", [named_profiles, market_names])
def test_the_short_way_to_a_target_finds_what_the_long_way_finds(
    names: object, every: int, looked_up: list[str]
) -> None:
    count = 0
    for name in names()[::every]:  # type: ignore[operator]
        for text in texts_of(name):
            for stored in STORED:
                count += 1
                before = len(looked_up)
                found = answering(FOLDER, text, stored)
                if len(looked_up) > before:
                    continue
                same = LONG_WAY(FOLDER, text, stored)
                assert str(found.target.target) == str(same.target.target), (text, stored)
                assert found.target.provenance == same.target.provenance
                assert found.precision_reason == same.precision_reason
                assert found.stands_for == same.stands_for
                assert found.device.device == same.device.device
                assert found.device.traits == same.device.traits
                assert energy_rate(found) == energy_rate(same)
    assert count - len(looked_up) > 20


def test_a_phone_is_not_looked_up_for_what_was_measured_on_it(looked_up: list[str]) -> None:
    for text in ("pixel-4", "Pixel 4/gpu", "Galaxy S23", "huawei-p40/cpu/mnn"):
        answering(FOLDER, text, "fp32")
    assert looked_up == []
    for text in ("iPhone 12/cpu", "jetson-nano"):
        answering(FOLDER, text, "fp32")
    assert looked_up == ["iPhone 12/cpu", "jetson-nano"]


def test_a_further_profile_of_the_same_phone_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked_up: list[str]
) -> None:
    other = replace(FOLDER.profile("pixel-3"), device="my-phone")
    answering(ProfileFolder((other,)), "pixel-4", "fp32")
    assert looked_up == ["pixel-4"]
    monkeypatch.setenv("PERFMODEL_PROFILES", str(tmp_path))
    write_profile(FOLDER.profile("pixel-3"), tmp_path / "pixel-3.json")
    answering(ProfileFolder(), "Pixel 4", "fp32")
    assert looked_up == ["pixel-4", "Pixel 4"]


@pytest.mark.parametrize(("measurements", "short"), [(2, False), (3, True)])
def test_what_hardly_anybody_measured_does_not_answer_by_itself(
    measurements: int, short: bool, monkeypatch: pytest.MonkeyPatch, looked_up: list[str]
) -> None:
    """Two measurements tell a scale and no more: another phone's of the chip come first."""
    own = FOLDER.profile("pixel-4")
    seen = tuple(
        replace(t, provenance=replace(t.provenance, measurements=measurements)) for t in own.targets
    )
    monkeypatch.setattr(registry, "_read", lambda _: replace(own, targets=seen))
    answering(FOLDER, "pixel-4", "fp32")
    assert looked_up == ([] if short else ["pixel-4"])
