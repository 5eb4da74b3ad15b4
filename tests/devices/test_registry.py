"""Where profiles are found, who wins, and what is said where there is none."""

from __future__ import annotations

import json
import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel.devices.profile import DeviceProfile, read_profile, write_profile
from perfmodel.devices.registry import (
    INDEX_NAME,
    ProfileFolder,
    builtin_folder,
    list_targets,
)
from perfmodel.devices.target_lines import index_text
from perfmodel.devices.user_profiles import user_folder
from perfmodel.errors import ProfileError, ProfileWarning, TargetError

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


@pytest.mark.parametrize(("unit", "called"), [("TPU", "npu"), ("metal", "gpu")])
def test_a_makers_word_for_a_unit_is_told_the_word_here(unit: str, called: str) -> None:
    with pytest.raises(TargetError, match="is none of cpu") as raised:
        ProfileFolder().resolve(f"{KNOWN}/{unit}")
    assert raised.value.hint == f"it is called {called} here"


def damaged(how: str) -> str:
    """The text of a profile file that cannot be used."""
    whole = (builtin_folder() / f"{KNOWN}.json").read_text()
    if how == "no JSON":
        return whole[: len(whole) // 2]
    if how == "no profile":
        return "{}"
    if how == "another device":
        return whole.replace(KNOWN, "another-phone")
    data = json.loads(whole)
    data["targets"][0]["model"] = {"kind": data["targets"][0]["model"]["kind"]}
    return json.dumps(data)  # a cost model without its numbers, read when it is asked for


HOW = ("no JSON", "no profile", "another device", "no cost model")


@pytest.mark.parametrize("how", HOW)
def test_a_users_file_that_cannot_be_used_is_named_and_the_shipped_one_answers(
    how: str, own_folder: Path
) -> None:
    (own_folder / f"{KNOWN}.json").write_text(damaged(how))
    shipped = read_profile(builtin_folder() / f"{KNOWN}.json")
    with pytest.warns(ProfileWarning, match=rf"own/{KNOWN}\.json.*it is left out"):
        found = ProfileFolder().device(KNOWN)
    assert (found.device, found.title) == (KNOWN, shipped.title)
    with pytest.warns(ProfileWarning, match=rf"own/{KNOWN}\.json"):
        assert ProfileFolder().paths()[KNOWN].parent == builtin_folder()


@pytest.mark.parametrize("how", HOW)
def test_a_device_of_which_there_is_only_a_file_that_cannot_be_used_is_unknown(
    how: str, own_folder: Path
) -> None:
    (own_folder / "mine.json").write_text(damaged(how))
    with (
        pytest.warns(ProfileWarning),
        pytest.raises(TargetError, match=r"no profile of a device 'mine': .*own/mine\.json"),
    ):
        ProfileFolder().device("mine")
    with pytest.warns(ProfileWarning, match=r"own/mine\.json"):
        assert "mine" not in ProfileFolder().names()
    with pytest.warns(ProfileWarning):
        assert all(line.device != "mine" for line in list_targets())


def test_one_file_that_cannot_be_used_leaves_the_others(own_folder: Path) -> None:
    write_profile(_renamed("mine", "my-phone"), own_folder / "my-phone.json")
    (own_folder / "broken.json").write_text("{}")
    (own_folder / "folder.json").mkdir()
    (own_folder / ".hidden.json").write_text("{}")
    with pytest.warns(ProfileWarning) as told:
        names = ProfileFolder().names()
    assert {"my-phone", KNOWN} <= set(names)
    assert not {"broken", "folder", ".hidden"} & set(names)
    first, second = sorted(str(w.message) for w in told)
    assert first.startswith(f"{own_folder}/broken.json")
    assert second.startswith(f"{own_folder}/folder.json: no ordinary file")


def test_a_pipe_among_the_profiles_is_not_waited_for(own_folder: Path) -> None:
    os.mkfifo(own_folder / f"{KNOWN}.json")
    with pytest.warns(ProfileWarning, match="no ordinary file"):
        assert ProfileFolder().device(KNOWN).device == KNOWN


@pytest.mark.parametrize("call", ["listdir", "lstat"])
def test_a_folder_that_may_not_be_read_is_named_and_left_out(
    call: str, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(os, call)

    def closed(path: str | Path, *more: object, **named: object) -> object:
        if str(path).startswith(str(own_folder)):
            raise PermissionError(13, "Permission denied")
        return real(path, *more, **named)

    write_profile(_renamed("mine"), own_folder / f"{KNOWN}.json")
    monkeypatch.setattr(os, call, closed)
    asked = ProfileFolder()
    find = asked.names if call == "listdir" else lambda: (asked.device(KNOWN).device,)
    with pytest.warns(ProfileWarning, match=rf"{own_folder}.*(listed|read): Permission denied"):
        names = find()
    monkeypatch.undo()
    assert KNOWN in names


def test_a_file_in_place_of_the_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PERFMODEL_PROFILES", str(tmp_path / "file"))
    with pytest.warns(ProfileWarning, match="Not a directory"):
        assert KNOWN in ProfileFolder().names()
    assert ProfileFolder().device(KNOWN).device == KNOWN


def test_a_profile_named_outright_may_have_any_name_but_must_be_sound(
    own_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "named.json").write_text(damaged("another device"))
    assert ProfileFolder((tmp_path / "named.json",)).device("another-phone").title
    (tmp_path / "named.json").write_text("{}")
    with pytest.raises(ProfileError, match=r"named\.json"):
        ProfileFolder((tmp_path / "named.json",)).device("another-phone")


def nobody(*_: object) -> None:
    raise KeyError("uid not found")


@pytest.mark.parametrize("home", [None, ""])
def test_without_a_home_there_is_no_folder_and_the_shipped_profiles_answer(
    home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PERFMODEL_PROFILES", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert user_folder() is None
    assert ProfileFolder().device(KNOWN).device == KNOWN
    assert KNOWN in ProfileFolder().names()
    # the XDG standard: a relative folder is to be ignored
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert user_folder() is None
    monkeypatch.setenv("HOME", "/home/me")
    assert user_folder() == Path("/home/me/.config/perfmodel/profiles")


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


def test_a_market_name_is_answered_by_what_was_measured_on_its_chip(own_folder: Path) -> None:
    found = ProfileFolder().resolve("Galaxy S23/gpu")
    assert found.target.target.device == "snapdragon-8-gen-2"
    assert found.target.target.unit == "gpu"
    assert found.stands_for == (
        "Samsung Galaxy S23 has the chip Snapdragon 8 Gen 2 for Galaxy, "
        "measured as snapdragon-8-gen-2"
    )
    named = ProfileFolder().resolve("snapdragon-8-gen-2/gpu")
    assert (named.target, named.stands_for) == (found.target, "")


def test_a_phone_measured_itself_goes_before_others_of_its_chip(own_folder: Path) -> None:
    assert ProfileFolder().resolve("Xiaomi Mi 9").target.target.device == "xiaomi-mi-9"
    assert ProfileFolder().resolve("Google Pixel 4").target.target.device == "pixel-4"
    assert ProfileFolder().resolve("SDM845").target.target.device == "snapdragon-845"


def test_a_measured_phone_has_the_other_units_of_the_chip_it_was_measured_with() -> None:
    """The Galaxy S24 is sold with two chips; its NPU was measured with Qualcomm's."""
    folder = ProfileFolder()
    assert str(folder.resolve("samsung-galaxy-s24").target.target).startswith("samsung-galaxy-s24/")
    for unit in ("cpu", "gpu"):
        found = folder.resolve(f"samsung-galaxy-s24/{unit}")
        assert found.target.target.device.startswith("snapdragon-8-gen-3")
        assert found.stands_for.startswith("Samsung Galaxy S24 has the chip Snapdragon 8 Gen 3")


def test_a_studys_build_of_a_library_answers_only_where_it_is_asked_for(own_folder: Path) -> None:
    """Snapdragon 855 itself was timed with MNN of 2019 alone, phones with it by what they ship."""

    def answers(text: str) -> str:
        return str(ProfileFolder().resolve(text).target.target)

    for name in ("snapdragon-855", "SM8150"):
        assert answers(name) == "pixel-4/gpu/tflite/fp16"
    assert answers("snapdragon-855/cpu/ncnn").startswith("snapdragon-855/cpu/ncnn/float")
    # measured ones before those that the spec sheet says of the same build
    assert answers("snapdragon-855/cpu/mnn") == "snapdragon-855/cpu/mnn/fp32/t2@big"
    assert answers("huawei-mate-20").startswith("huawei-mate-20/cpu/paddle-lite")


def test_a_phone_is_answered_alike_whatever_it_is_called(own_folder: Path) -> None:
    """Its own profile knew its NPU alone where its market name knew all of it."""
    folder = ProfileFolder()
    known = folder.device("samsung-galaxy-s23")
    assert {t.target.unit for t in folder.profile("samsung-galaxy-s23").targets} == {"npu"}
    assert {"cpu", "gpu", "npu"} <= {t.target.unit for t in known.targets}
    for name in ("Samsung Galaxy S23", "Galaxy S23", "galaxy-s23"):
        assert folder.device(name) == known
    # its own targets need no word of why they answer, another device's and the sheet's do
    assert folder.resolve("Galaxy S23/npu").stands_for == ""
    assert folder.resolve("samsung-galaxy-s23/gpu").stands_for.endswith("as snapdragon-8-gen-2")
    # what a sheet says of a chip with a profile of its own is found by the name that is printed
    for target in folder.device("honor-v10").targets:
        assert folder.resolve(str(target.target)).target.target == target.target
    # a board or a chip that is no phone's name stays as it is
    for name in ("jetson-nano", "snapdragon-8-gen-2"):
        assert folder.device(name) == folder.profile(name)


def test_a_profile_of_another_chip_than_its_phones_stays_alone(own_folder: Path) -> None:
    name = "samsung-galaxy-s23"
    other = replace(_renamed("mine", name), kind="phone", soc="Kirin 970")
    write_profile(other, own_folder / f"{name}.json")
    assert ProfileFolder().device(name) == ProfileFolder().profile(name)


def test_a_name_of_several_phones_is_asked_about(own_folder: Path) -> None:
    with pytest.raises(TargetError) as caught:
        ProfileFolder().resolve("Galaxy S9+/cpu")
    assert "'Samsung Galaxy S9+ (Snapdragon 845)'" in caught.value.hint
    assert "'Samsung Galaxy S9+ (Exynos 9810)'" in caught.value.hint
    told = ProfileFolder().resolve("Samsung Galaxy S9+ (Snapdragon 845)/cpu")
    assert told.target.target.device == "samsung-galaxy-s9-plus"


def test_names_near_a_phones_are_of_phones(own_folder: Path) -> None:
    with pytest.raises(TargetError) as caught:
        ProfileFolder().resolve("Galaxy S99")
    named = caught.value.hint.removeprefix("nearest: ").split("; ")[0].split(", ")
    assert all("galaxy" in name.lower() for name in named)
    with pytest.raises(TargetError, match="xeon-gold-6133"):
        ProfileFolder().resolve("xeon-gold-6134")


def test_a_star_is_every_unit_or_framework_of_a_phone(own_folder: Path) -> None:
    folder = ProfileFolder()
    assert folder.expand("Pixel 4/cpu") == ["Pixel 4/cpu"]
    units = {t.target.unit for t in folder.device("pixel-4").targets}
    assert {f"pixel-4/{unit}" for unit in units} <= set(folder.expand("pixel-4/*"))
    # a study's libraries come behind what its chip's spec sheet says of others
    found = folder.expand("huawei-p40/cpu/*")
    assert found[0] == "huawei-p40/cpu/ncnn"
    assert found[-2:] == ["huawei-p40/cpu/mnn", "huawei-p40/cpu/acl"]
    with pytest.raises(TargetError, match="is several targets"):
        folder.resolve("pixel-4/*")
    with pytest.raises(TargetError, match="has no target"):
        folder.expand("pixel-4/dla/*")


def test_a_chip_answers_by_all_its_cores_and_by_what_more_than_one_network_tells() -> None:
    """Snapdragon 865 was answered by one thread of a phone, 8 Elite Gen 5 by one network's time."""
    folder = ProfileFolder()
    cpu = folder.resolve("Snapdragon 865/cpu").target
    assert cpu.target.threads > 1
    for name in ("Snapdragon 865", "Snapdragon 8 Elite Gen 5"):
        first, *_ = folder.device(name).targets
        assert first.provenance.measurements not in (1, 2)
    # what was measured is still there, behind
    few = [t.provenance.measurements for t in folder.device("Snapdragon 8 Elite Gen 5").targets]
    assert 1 in few
    assert min(few[: few.index(1)]) == 0
