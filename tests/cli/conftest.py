"""A folder with small files of every sort a command reads, and a way to run commands in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_folder import OPEN_SIZE, ROOT, UNCOVERED, VALIDATION, Done, Perform, small_queue

from perfmodel.cli import validate
from perfmodel.cli.app import run
from perfmodel.render.validation import validation_result


def no_program(arguments: list[str], **_: object) -> str:
    """What adb and nvidia-smi print where nothing is attached."""
    return ""


@pytest.fixture
def perform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Perform:
    """Run a command in a folder of its own that holds the examples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    # what doctor looks at is not this machine, whose answers change and take their time
    monkeypatch.setattr("perfmodel.runners.machine.busy_scaling", lambda *_, **__: 1.9)
    monkeypatch.setattr("perfmodel.runners.remote.run_program", no_program)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "odd.param").write_text(UNCOVERED)
    (tmp_path / "open.param").write_text(OPEN_SIZE)
    (tmp_path / "queue.toml").write_text(small_queue())

    def one(*arguments: str) -> Done:
        capsys.readouterr()
        code = run(list(arguments))
        shown = capsys.readouterr()
        return Done(code, shown.out, shown.err)

    return one


@pytest.fixture
def files(perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Perform:
    """The commands with a result file, and a validation that measures nothing."""
    (tmp_path / "result.json").write_text(json.dumps(VALIDATION).replace("NaN", "null"))
    monkeypatch.setitem(validate.EXPERIMENTS, "host", lambda _: validation_result(VALIDATION))  # type: ignore[arg-type]
    return perform
