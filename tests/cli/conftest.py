"""A folder with small files of every sort a command reads, and a way to run commands in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_folder import OPEN_SIZE, ROOT, UNCOVERED, Done, Perform, small_queue

from perfmodel.cli.app import run


@pytest.fixture
def perform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Perform:
    """Run a command in a folder of its own that holds the examples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
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
