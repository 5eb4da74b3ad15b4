"""A folder in which the blocks of a page run, one after another, as a reader would run them.

Shown is what goes to stdout, and what goes to stderr where a command fails: progress is not.

A line that is one plain command of perfmodel runs in this process, which spares the start of
Python; all else runs in bash. Commands that a page shows may end in `| head -N`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs.writer.blocks import Block, exchanges

ROOT = Path(__file__).resolve().parent.parent.parent
HEAD = re.compile(r"(.*\S) *\| *head -(\d+)")
SHELL_SIGNS = re.compile(r"[|&;<>$`\\]")
"""A command with one of these outside quotes is for a shell."""


class BlockFailed(Exception):
    """A command of a page failed: the place, the command and what it printed."""


@dataclass(frozen=True)
class Folder:
    """A folder with the examples in it, and tools named perfmodel and python."""

    path: Path

    def run(self, block: Block, where: str) -> list[str]:
        """Run a block; returns the lines that it has with what its commands print now.

        `where` names the page in a failure. Raises `BlockFailed` where a command of a bash or
        python block fails; in a console block a failure is what is shown.
        """
        with self._inside():
            if block.language == "console":
                return self._console(block)
            if block.language == "python":
                code, printed = self._python(block.code)
            elif all(words(line) for line in block.lines):
                code, printed = self._commands(list(block.lines))
            else:
                code, printed = self._bash(block.code)
        if code:
            raise BlockFailed(f"{where}:{block.line}:\n{block.code}\n{printed[-2000:]}")
        return list(block.lines)

    def _console(self, block: Block) -> list[str]:
        lines = []
        for exchange in exchanges(block.lines):
            kept = HEAD.fullmatch(exchange.command)
            command = kept.group(1) if kept else exchange.command
            runs = self._commands([command]) if words(command) else self._bash(command)
            printed = runs[1].rstrip("\n").splitlines()
            shown = printed[: int(kept.group(2))] if kept else printed
            lines += ["$ " + exchange.command, *(line.rstrip() for line in shown)]
        return lines

    def _commands(self, lines: list[str]) -> tuple[int, str]:
        """Run commands of perfmodel in this process up to the first that fails."""
        from perfmodel.cli.app import run

        answers, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(answers), contextlib.redirect_stderr(errors):
            for line in lines:
                if code := run(words(line)):
                    return code, answers.getvalue() + errors.getvalue()
        return 0, answers.getvalue()

    def _bash(self, code: str) -> tuple[int, str]:
        return self._process(["bash", "-euo", "pipefail", "-c", code])

    def _python(self, code: str) -> tuple[int, str]:
        return self._process([sys.executable, "-c", code])

    def _process(self, command: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=300
        )
        return done.returncode, done.stdout + (done.stderr if done.returncode else "")

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        """Work in the folder, with its tools before all others and no settings of the user."""
        old, here = dict(os.environ), Path.cwd()
        os.environ.update(
            PATH=f"{self.path / 'bin'}{os.pathsep}{old.get('PATH', os.defpath)}",
            PYTHONPATH=os.pathsep.join([str(ROOT), old.get("PYTHONPATH", "")]).rstrip(os.pathsep),
            XDG_CONFIG_HOME=str(self.path / "config"),
            OMP_NUM_THREADS="1",
            COLUMNS="100",
        )
        os.chdir(self.path)
        try:
            yield
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(old)


def make_folder(path: Path) -> Folder:
    """Furnish an empty folder."""
    (path / "examples").symlink_to(ROOT / "examples")
    tools = path / "bin"
    tools.mkdir()
    for name, arguments in (("perfmodel", "-m perfmodel"), ("python", "")):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        tool.chmod(0o755)
    return Folder(path)


def words(line: str) -> list[str]:
    """The arguments of a plain command of perfmodel, or none if the line is anything else."""
    outside_quotes = re.sub(r"'[^']*'|\"[^\"$`\\]*\"", "", line)
    if not line.startswith("perfmodel ") or SHELL_SIGNS.search(outside_quotes):
        return []
    return shlex.split(line)[1:]
