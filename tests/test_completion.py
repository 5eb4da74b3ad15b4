"""Completion in a shell: the scripts that the command prints work in the real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ASK = {
    "bash": "source {script}; COMP_WORDS=(perfmodel pre); COMP_CWORD=1; "
    '_perfmodel_completion perfmodel; printf "%s\\n" "${{COMPREPLY[@]}}"',
    # the completion system of zsh needs a terminal; the function that it would call does not
    "zsh": "compdef() {{ :; }}; words=(perfmodel pre); CURRENT=2; "
    "_arguments() {{ print -- $*; }}; _describe() {{ print -- $*; }}; "
    "source {script}; _perfmodel_completion",
    "fish": "source {script}; complete -C 'perfmodel pre'",
}
"""By shell, what prints the completions of `perfmodel pre`."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which `perfmodel` is this checkout's command."""
    tool = tmp_path / "bin" / "perfmodel"
    tool.parent.mkdir()
    # the scripts name the program after the file that runs, as the installed command does
    tool.write_text(f"#!{sys.executable}\nfrom perfmodel.cli.app import main\nmain()\n")
    tool.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        # else typer asks which shell runs this test, and takes no name of a shell
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }


@pytest.mark.ci
@pytest.mark.parametrize("shell", ASK)
def test_the_shell_completes_a_command(
    shell: str, environment: dict[str, str], tmp_path: Path
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    shown = subprocess.run(
        ["perfmodel", "--show-completion", shell],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    script = tmp_path / f"completion.{shell}"
    script.write_text(shown.stdout)
    asked = subprocess.run(
        [shell, "-c", ASK[shell].format(script=script)],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert "predict" in asked.stdout, asked.stderr
    assert "simulate" not in asked.stdout
