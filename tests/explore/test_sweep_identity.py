"""A sweep goes on only where the question and every file that it reads are the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_phones import MakePhone

from perfmodel.devices.registry import ProfileFolder
from perfmodel.errors import OutputError
from perfmodel.explore.sweep import whatif
from perfmodel.explore.sweep_identity import SweepIdentity, sweep_identity, words_of

NET = """7767517
2 2
Input data 0 1 data 0=224 1=224 2=3
Convolution conv 1 1 data conv 0={channels} 1=3 5=1 6={weights}
"""


def net(channels: int) -> str:
    return NET.format(channels=channels, weights=channels * 27)


SCENARIO = """
name = "one phone"
seed = 1
replications = 1

[link]
uplink = { kind = "trace", file = "link.csv", column = "downlink_mbps" }
downlink = { kind = "trace", file = "link.csv", column = "downlink_mbps" }
rtt_ms = 20

[task]
name = "frame"
policy = "device"

[task.workload]
kind = "periodic"
period_ms = 100
requests = 5

[task.on_device]
unit = "cpu"
model = "net.param"
target = "my-phone/cpu"
"""
TRACE = "time_s,downlink_mbps\n0,10\n1,{last}\n"


@pytest.fixture
def folder(phones: MakePhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network and a phone; the working directory."""
    phones("my-phone", {"cpu/tflite/fp32/t4": 5.0})
    phones("your-phone", {"cpu/tflite/fp32/t4": 6.0})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.param").write_text(net(8))
    return tmp_path


def change_net(folder: Path) -> str:
    (folder / "net.param").write_text(net(9))
    return "net.param"


def change_phone(folder: Path) -> str:
    path = folder / "profiles" / "my-phone.json"
    path.write_text(path.read_text().replace('"title":"', '"title":"New '))
    return "the profile of my-phone"


@pytest.mark.parametrize("change", [change_net, change_phone])
def test_a_prediction_sweep_does_not_go_on_over_changed_files(
    change: Callable[[Path], str], folder: Path
) -> None:
    def sweep(*, restart: bool = False) -> int:
        return whatif(
            model="net.param",
            target="my-phone/cpu",
            sets=["slowdown=1,2"],
            output="rows.csv",
            restart=restart,
        ).resumed_points

    assert [sweep(), sweep()] == [0, 2]
    name = change(folder)
    with pytest.raises(OutputError, match=f"changed since: {name}"):
        sweep()
    assert [sweep(restart=True), sweep()] == [0, 2]


def test_names_that_are_varied_count_too(folder: Path) -> None:
    (folder / "other.param").write_text(net(4))

    def sweep() -> int:
        return whatif(
            model="net.param",
            target="my-phone/cpu",
            sets=["model=net.param,other.param", "device=my-phone,your-phone"],
            output="rows.csv",
        ).resumed_points

    assert [sweep(), sweep()] == [0, 4]
    (folder / "other.param").write_text(net(5))
    path = folder / "profiles" / "your-phone.json"
    path.write_text(path.read_text().replace('"title":"', '"title":"New '))
    with pytest.raises(
        OutputError, match=r"changed since: other\.param, the profile of your-phone"
    ):
        sweep()


def test_a_profile_named_outright_counts_as_file_and_as_data(folder: Path) -> None:
    profile = ProfileFolder().device("my-phone")
    other = replace(profile, title="New")
    path = folder / "profiles" / "my-phone.json"
    asked = ("net.param", "my-phone/cpu")
    by_data = [sweep_identity(asked, folders=[Path()], profiles=[p]) for p in (profile, other)]
    assert by_data[0].contents != by_data[1].contents
    assert set(by_data[0].contents) == {"net.param", "the profile of my-phone"}
    by_file = sweep_identity(asked, folders=[Path()], profiles=[path])
    assert set(by_file.contents) == {"net.param", str(path)}
    # of the two files only one answers for the device
    assert by_file.difference(sweep_identity(asked, folders=[Path()], profiles=[]).to_dict())


def change_link(folder: Path) -> str:
    (folder / "link.csv").write_text(TRACE.format(last=11))
    return "link.csv"


@pytest.mark.parametrize("change", [change_net, change_phone, change_link])
def test_the_files_of_a_scenario_are_found_beside_it(
    change: Callable[[Path], str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "one.toml").write_text(SCENARIO)
    (folder / "link.csv").write_text(TRACE.format(last=10))
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    sets = ["task.workload.period_ms=100,200"]

    def sweep() -> int:
        return whatif("../one.toml", sets=sets, output="rows.csv").resumed_points

    assert [sweep(), sweep()] == [0, 2]
    name = change(folder)
    with pytest.raises(OutputError, match=f"changed since: {name}"):
        sweep()


def test_sizes_behind_the_name_of_a_file_do_not_hide_it(folder: Path) -> None:
    found = sweep_identity("net.param@data=1x3x8x8", folders=[Path()], profiles=[])
    (word,) = found.contents
    assert word == "net.param@data=1x3x8x8"
    change_net(folder)
    again = sweep_identity("net.param@data=1x3x8x8", folders=[Path()], profiles=[])
    assert again.contents[word] != found.contents[word]


def test_a_difference_is_told_in_words() -> None:
    one = SweepIdentity("q", {"a": "1", "b": "1", "c": "1", "d": "1"})
    assert one.difference({"sweep": "p", "contents": dict(one.contents)}) == (
        "another question was asked"
    )
    assert one.difference({"sweep": "q"}) == "it does not say from which files"
    assert one.difference({"sweep": "q", "contents": {}}) == "changed since: a, b, c and 1 more"
    # a file that is there no more, or that was not there
    gone = {**one.contents, "e": "1"}
    assert one.difference({"sweep": "q", "contents": gone}) == "changed since: e"
    assert one.difference(json.loads(json.dumps(one.to_dict()))) == ""


def test_every_word_is_looked_at_whatever_it_stands_in() -> None:
    data = {"a": ["b", ("c", {"d": "e"})], "f": 1, "g": None, "h": "i"}
    assert set(words_of(data)) == {"b", "c", "e", "i"}
