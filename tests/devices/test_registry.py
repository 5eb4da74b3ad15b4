"""Where profiles are found, who wins, and what is said where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel.devices.profile import DeviceProfile, read_profile, write_profile
from perfmodel.devices.registry import (
    INDEX_NAME,
    ProfileFolder,
    builtin_folder,
    index_text,
    list_targets,
    user_folder,
)
from perfmodel.errors import ProfileError, TargetError

KNOWN = "snapdragon-855-plus"


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("PERFMODEL_PROFILES", str(folder))
    return folder


def _renamed(title: str, device: str = KNOWN) -> DeviceProfile:
    profile = read_profile(builtin_folder() / f"{KNOWN}.json")
    targets = tuple(replace(t, target=replace(t.target, device=device)) for t in profile.targets)
    return replace(profile, device=device, title=title, targets=targets)


def test_the_users_profile_wins_over_the_shipped_one(own_folder: Path) -> None:
    write_profile(_renamed("mine"), own_folder / f"{KNOWN}.json")
    assert ProfileFolder().device(KNOWN).title == "mine"


def test_a_named_file_wins_over_the_users_folder(own_folder: Path, tmp_path: Path) -> None:
    write_profile(_renamed("mine"), own_folder / f"{KNOWN}.json")
    write_profile(_renamed("named"), tmp_path / "any-name.json")
    assert ProfileFolder((tmp_path / "any-name.json",)).device(KNOWN).title == "named"


def test_a_changed_file_is_read_again(own_folder: Path) -> None:
    path = own_folder / f"{KNOWN}.json"
    write_profile(_renamed("first"), path)
    assert ProfileFolder().device(KNOWN).title == "first"
    write_profile(_renamed("second version"), path)
    assert ProfileFolder().device(KNOWN).title == "second version"


def test_the_user_folder_follows_the_config_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERFMODEL_PROFILES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somewhere")
    assert user_folder() == Path("/somewhere/perfmodel/profiles")


def test_an_unknown_device_names_the_nearest(own_folder: Path) -> None:
    with pytest.raises(TargetError, match=KNOWN):
        ProfileFolder().resolve("snapdragon-855-pluss/cpu")


def test_an_unknown_target_names_what_the_device_has(own_folder: Path) -> None:
    with pytest.raises(TargetError, match=f"{KNOWN}/cpu/ncnn"):
        ProfileFolder().resolve(f"{KNOWN}/cpu/tensorrt")


def test_parts_left_out_take_the_devices_default(own_folder: Path) -> None:
    profile = ProfileFolder().device(KNOWN)
    assert ProfileFolder().resolve(KNOWN).target == profile.targets[0]
    gpu = ProfileFolder().resolve(f"{KNOWN}/gpu").target
    assert gpu == next(t for t in profile.targets if t.target.unit == "gpu")


@pytest.mark.parametrize("text", ["", "/cpu", "a b/cpu", "x/cpu/ncnn/fp32/t4/more", "x/cpu/y/fp99"])
def test_a_malformed_target_is_an_error(own_folder: Path, text: str) -> None:
    with pytest.raises(TargetError):
        ProfileFolder().resolve(text)


def test_a_damaged_profile_of_the_user_is_named(own_folder: Path) -> None:
    (own_folder / "broken.json").write_text("{}")
    with pytest.raises(ProfileError, match=r"broken\.json"):
        ProfileFolder().device("broken")
    assert ProfileFolder().device(KNOWN).device == KNOWN


def test_the_index_agrees_with_the_shipped_files() -> None:
    folder = builtin_folder()
    profiles = [read_profile(p) for p in sorted(folder.glob("*.json")) if p.name != INDEX_NAME]
    rows = json.loads(index_text(profiles))
    shipped = json.loads((folder / INDEX_NAME).read_text())
    by_target = {row["target"]: row for row in rows}
    assert {row["target"]: row for row in shipped} == by_target
    assert len(by_target) == len(rows)


def test_every_shipped_file_is_named_after_its_device() -> None:
    for path in builtin_folder().glob("*.json"):
        if path.name != INDEX_NAME:
            assert read_profile(path).device == path.stem


def test_listing_includes_the_users_targets(own_folder: Path) -> None:
    write_profile(_renamed("mine", "my-phone"), own_folder / "my-phone.json")
    lines = list_targets()
    assert any(line.device == "my-phone" for line in lines)
    assert any(line.device == KNOWN for line in lines)
