"""`calibrate --from adb`: from a phone (a stand-in) to a prediction, by commands alone."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from cli_folder import Perform

from perfmodel.formats.load import load
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.runners import progress
from tests.runners.test_device_runners import program


@pytest.fixture
def phone(perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Perform:
    """Commands beside a phone that runs MobileNet V1 in 40 ms."""
    tools = tmp_path / "tools"
    tools.mkdir()
    Path(program(tools, "fake_adb.py")).rename(tools / "adb")
    (tmp_path / "benchmark_model").write_bytes(b"\x7fELF")
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.setenv("FAKE_ADB_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("FAKE_ADB_SCENARIO", "")
    monkeypatch.setenv("FAKE_ADB_MEAN_US", json.dumps({"mobilenet_v1": 40_000.0}))
    return perform


ASKED = (
    "calibrate",
    "--from",
    "adb",
    "--device",
    "my-phone",
    "--benchmark-model",
    "benchmark_model",
)


@pytest.mark.parametrize("name", ["My Host", "../evil"])
@pytest.mark.parametrize("source", ["host", "adb", "cuda", "ssh:board", "rows.csv"])
def test_an_unusable_name_is_refused_before_anything_is_done(
    perform: Perform, tmp_path: Path, source: str, name: str
) -> None:
    done = perform("calibrate", "--from", source, "--device", name)
    assert done.code == 2
    assert f"--device {name!r} is no device name" in done.err
    assert not list(tmp_path.parent.glob("evil*"))


def test_a_phone_is_measured_and_then_predicts(phone: Perform) -> None:
    done = phone(*ASKED, "--model", "mobilenet_v1", "--json")
    assert done.code == 0, done.out + done.err
    assert done.json["finished"]
    assert done.json["targets"][0]["networks"] == 1
    assert Path(done.json["journal"]).is_file()
    answer = phone("predict", "mobilenet_v1", "--on", "my-phone/cpu", "--json").json
    assert answer["latency_ms"] == pytest.approx(40.0, rel=0.25)


def test_the_phone_is_then_validated(phone: Perform, tmp_path: Path) -> None:
    assert phone(*ASKED, "--model", "mobilenet_v1", "-o", "p.json").code == 0
    asked = ["validate", "adb", "--benchmark-model", "benchmark_model", "--profile", "p.json"]
    done = phone(*asked, "--model", "mobilenet_v1", "-o", "page.html")
    assert done.code == 0, done.err
    assert "adb: over 1 cases predictions are off by" in done.out
    assert "Farthest off" in (tmp_path / "page.html").read_text()
    [predicted] = json.loads((tmp_path / "page.predictions.json").read_text())["predictions"]
    assert predicted["model"] == "mobilenet_v1"


def test_a_folder_of_files_is_measured(phone: Perform, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write_tflite(load("mobilenet_v1@width=0.25"), tmp_path / "models" / "mobilenet_v1_small.tflite")
    done = phone(*ASKED, "--files", "models", "-o", "p.json")
    assert done.code == 0, done.err
    assert "my-phone: 1 targets, profile in p.json" in done.out
    assert "raw values: my-phone.journal.raw\n" in done.out
    assert list((tmp_path / "my-phone.journal.raw").glob("*.log"))
    assert "--profile p.json" in done.out


@pytest.mark.parametrize(
    ("scenario", "says"), [("none", "no phone"), ("unauthorized", "not authorised this computer")]
)
def test_without_a_phone_one_line_says_what_to_do(
    phone: Perform, monkeypatch: pytest.MonkeyPatch, scenario: str, says: str
) -> None:
    monkeypatch.setenv("FAKE_ADB_SCENARIO", scenario)
    done = phone(*ASKED, "--json")
    assert done.code == 2
    assert says in done.json["error"]["message"] + done.json["error"]["hint"]


def test_an_empty_folder_of_files_is_refused(phone: Perform, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert "holds no *.tflite file" in phone(*ASKED, "--files", "models").err
    ssh = phone("calibrate", "--from", "ssh:board", "--device", "b", "--files", "models")
    assert "holds no *.onnx file" in ssh.err


OF_TABLE = ("calibrate", "--from", "examples/ten_rows.csv", "--device", "my-phone")


@pytest.mark.parametrize(
    ("more", "steps"),
    [
        ((), ["reading", "checking", "my-phone/cpu/ncnn/float/t4@big: ", "fitting"]),
        (("--dry-run",), ["reading", "checking", "my-phone/cpu/ncnn/float/t4@big: "]),
        (("--suggest", "2", "--on", "my-phone/cpu/ncnn"), ["reading", "checking", "choosing"]),
    ],
)
def test_on_a_terminal_each_step_is_told_but_not_with_json(
    perform: Perform, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], steps: list[str]
) -> None:
    monkeypatch.setattr(progress, "_is_terminal", lambda _: True)
    # as if every command took a second
    monkeypatch.setattr(threading.Timer, "start", lambda timer: timer.function())
    told = perform(*OF_TABLE, *more)
    assert told.code == 0, told.err
    places = [told.err.index(step) for step in steps]
    assert places == sorted(places)
    assert "reading ten_rows.csv (1 of 1)" in told.err
    assert "checking 10 rows" in told.err
    if not more:
        assert "mobilenet_v1 (2 of 10 rows)" in told.err
        assert "fitting my-phone/cpu/ncnn/float/t4@big (1 of 1 targets)" in told.err
    assert told.err.endswith("\r")
    silent = perform(*OF_TABLE, *more, "--json")
    assert (silent.code, silent.err) == (0, "")
