"""`doctor` tells what is here and what to do for the rest; it never fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_folder import Perform

from perfmodel.cli import checkup
from perfmodel.cli.commands import COMMANDS
from perfmodel.errors import RunnerError
from perfmodel.files import folder_prefix, left_folders


def program(monkeypatch: pytest.MonkeyPatch, **answers: str | Exception) -> None:
    """Programs that are installed here, and what each prints."""

    def run(arguments: list[str], **_: object) -> str:
        told = answers[Path(arguments[0]).name.replace("-", "_")]
        if isinstance(told, Exception):
            raise told
        return told

    def which(name: str) -> str | None:
        return f"/bin/{name}" if name.replace("-", "_") in answers else None

    monkeypatch.setattr("shutil.which", which)
    monkeypatch.setattr("perfmodel.runners.remote.run_program", run)


def of(perform: Perform, topic: str) -> dict[str, dict[str, str]]:
    """The checks of a topic by name."""
    done = perform("doctor", "--json")
    assert done.code == 0
    return {c["name"]: c for c in done.json["checks"] if c["topic"] == topic}


def test_what_is_missing_says_what_to_do(perform: Perform) -> None:
    done = perform("doctor", "--json").json
    for check in done["checks"]:
        assert check["state"] in ("here", "missing", "wrong")
        assert bool(check["todo"]) == (check["state"] != "here"), check
    assert {"program", "runtime", "extra", "package", "profiles", "phone", "cores"} <= {
        c["topic"] for c in done["checks"]
    }
    said = perform("doctor").out.splitlines()[0]
    here = sum(c["state"] == "here" for c in done["checks"])
    assert said.startswith(f"{here} of {len(done['checks'])} things are here, ")
    assert "doctor" in COMMANDS


def test_runtimes_and_extras_are_told_by_their_packages(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    has = {"ai-edge-litert": "2.1", "ncnn": "1.0", "distributed": "", "pyarrow": "15"}
    monkeypatch.setattr(checkup, "version_of", lambda name: has.get(name, ""))
    packages = {"": ["numpy"], "runtimes-ncnn": ["ncnn"], "dask": ["distributed"], "dev": ["ruff"]}
    monkeypatch.setattr(checkup, "packages_of_extras", lambda: packages)
    runtimes = of(perform, "runtime")
    assert runtimes["TFLite"]["found"] == "ai-edge-litert 2.1"
    assert runtimes["ncnn"]["state"] == "here"
    assert runtimes["PyTorch"]["state"] == "missing"
    assert runtimes["PyTorch"]["todo"] == "pip install 'perfmodel[torch,onnx]'"
    extras = of(perform, "extra")
    assert set(extras) == {"dask"}
    assert extras["dask"]["todo"] == "pip install 'perfmodel[dask]'"
    assert of(perform, "package")["pyarrow"]["found"] == "15"
    monkeypatch.setattr(checkup, "packages_of_extras", dict)
    assert of(perform, "extras")[""]["todo"] == "pip install -e ."


def test_extras_are_read_from_the_installed_package() -> None:
    found = checkup.packages_of_extras()
    assert "numpy" in found[""]
    assert found["runtimes-ncnn"] == ["ncnn"]
    assert "perfmodel" not in found["ci"]


def test_phones_are_told_by_their_state(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, adb="List of devices attached\nR58\tdevice\nX1\tunauthorized\n\n")
    monkeypatch.setenv("PERFMODEL_BENCHMARK_MODEL", "/nowhere")
    phones = of(perform, "phone")
    states = {name: check["state"] for name, check in phones.items()}
    assert states == {"adb": "here", "R58": "here", "X1": "wrong", "benchmark_model": "wrong"}
    assert "accept the USB debugging question" in phones["X1"]["todo"]
    assert "warning: phone X1: unauthorized; unlock it" in perform("doctor").out
    program(monkeypatch, adb="List of devices attached\n\n")
    monkeypatch.setenv("PERFMODEL_BENCHMARK_MODEL", __file__)
    phones = of(perform, "phone")
    assert phones["attached"]["state"] == "missing"
    assert phones["benchmark_model"]["state"] == "here"


def test_a_program_that_does_not_answer_is_told_as_wrong(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = RunnerError("adb did not finish within 1 s", "is the device still attached?")
    program(monkeypatch, adb=late, nvidia_smi="NVIDIA H100, 550.1\n", ssh="", chromium="")
    phone = of(perform, "phones")[""]
    assert (phone["state"], phone["todo"]) == ("wrong", "is the device still attached?")
    assert of(perform, "gpu")["NVIDIA H100"]["found"] == "driver 550.1"
    assert of(perform, "browser")["for pages"]["found"] == "/bin/chromium"
    assert of(perform, "jetson")["ssh"]["state"] == "missing"
    monkeypatch.setenv("PERFMODEL_SSH_HOST", "board")
    assert of(perform, "jetson")["board"]["state"] == "here"


def test_it_does_not_fail_where_a_look_does(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Iterator[Any]:
        raise OSError("no such thing")
        yield

    for look in ("_runtimes", "_shipped_profiles", "_cores", "_browser"):
        broken.__name__ = look
        monkeypatch.setattr(checkup, look, broken)
    done = perform("doctor")
    assert done.code == 0
    assert done.out.count("OSError: no such thing") >= 4


@pytest.mark.parametrize(("scaling", "state"), [(1.9, "here"), (1.2, "wrong")])
def test_cores_that_are_shared_are_told(
    scaling: float, state: str, perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setattr("perfmodel.runners.machine.busy_scaling", lambda *_, **__: scaling)
    cores = of(perform, "cores")["3"]
    assert cores["state"] == state
    assert cores["found"] == f"two busy processes do {scaling} times one's work now"
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    assert of(perform, "cores")["1"]["state"] == "here"


def test_own_profiles_are_read_and_damaged_ones_told(
    perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert of(perform, "profiles")["your own"]["state"] == "missing"
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("PERFMODEL_PROFILES", str(folder))
    words = "calibrate --from examples/ten_rows.csv --device sound"
    assert perform(*words.split()).code == 0
    (folder / "damaged.json").write_text("{}")
    own = of(perform, "profile of yours")
    assert {name: c["state"] for name, c in own.items()} == {"damaged": "wrong", "sound": "here"}
    assert own["sound"]["found"] == str(folder / "sound.json")
    assert of(perform, "profiles")["shipped"]["state"] == "here"
    monkeypatch.setattr("perfmodel.devices.profile_files.builtin_folder", lambda: folder)
    assert "damaged.json" in of(perform, "profiles")["shipped"]["found"]


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-S", "-c", "pass"])
    ended.wait()
    return ended.pid


def test_folders_of_killed_runs_are_told_and_removed_by_the_next_run(
    dead: int, perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    own = folder_prefix()
    left = own.replace(f"-{os.getpid()}-", f"-{dead}-") + "abc"
    assert left.startswith("perfmodel-")
    kept = {f"{own}abc", f"{left}.txt", "perfmodel-worker-abc", "perfmodel-00000000-1-x"}
    for name in {left, *kept} - {f"{left}.txt"}:
        (folder / name).mkdir()
    (folder / left / "file").touch()
    (folder / f"{left}.txt").touch()
    (folder / f"{left}-link").symlink_to(folder / f"{own}abc")
    assert [p.name for p in left_folders()] == [left]
    assert left in of(perform, "folders")["left behind"]["found"]
    folder_prefix()
    assert {p.name for p in folder.iterdir()} == {*kept, f"{left}-link"}
    assert of(perform, "folders") == {}
