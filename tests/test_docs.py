"""Every command and code block of the README and of docs/ runs.

A block tagged bash, sh or python runs, and an untagged one that starts with a command
(`perfmodel ...`, or lines after `$ `). Blocks of a page run in order in one folder that holds the
examples. `<!-- not run: REASON -->` on the line before a block leaves it out; the README's main and
tests commands are run where the package is checked.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ELSEWHERE = ("<!-- main -->", "<!-- tests -->")
LANGUAGES = ("bash", "sh", "python")


@dataclass(frozen=True)
class Block:
    """A runnable block: its place in the page, language and code."""

    line: int
    language: str
    code: str


def blocks(page: str) -> list[Block]:
    """The blocks of a page that run."""
    lines, found, before, i = page.splitlines(), [], "", 0
    while i < len(lines):
        if lines[i].startswith("```"):
            end = next(j for j in range(i + 1, len(lines)) if lines[j].startswith("```"))
            block = _block(i + 1, lines[i][3:].strip(), lines[i + 1 : end])
            if block and not before.startswith("<!-- not run: ") and before not in ELSEWHERE:
                found.append(block)
            i, before = end, ""
        elif lines[i].strip():
            before = lines[i].strip()
        i += 1
    return found


def _block(line: int, language: str, code: list[str]) -> Block | None:
    if language in LANGUAGES:
        return Block(line, language, "\n".join(code))
    asked = [c[2:] for c in code if c.startswith("$ ")]
    if not asked and code and code[0].startswith(("perfmodel ", "python -m perfmodel")):
        asked = code
    return Block(line, "bash", "\n".join(asked)) if asked and not language else None


def read(page: Path) -> list[Block]:
    """The blocks of a file; pages that are templates of others have none of their own."""
    return [] if page.name.endswith(".in.md") else blocks(page.read_text(encoding="utf-8"))


def test_blocks_are_found_and_left_out_by_the_rule() -> None:
    page = "```bash\na\n```\n<!-- not run: slow -->\n```sh\nb\n```\n"
    page += "```\n$ c\nd\n```\n```json\ne\n```\n"
    assert [(b.line, b.language, b.code) for b in blocks(page)] == [
        (1, "bash", "a"),
        (8, "bash", "c"),
    ]


LONG = {"add-a-device.md", "minimum-phone.md", "partition.md", "python-api.md", "what-if.md"}
"""Pages whose blocks take seconds each: they run with the slow tests."""


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] if p.name in LONG else []) for p in PAGES if read(p)],
    ids=lambda p: p.name,
)
def test_every_block_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, words in (("perfmodel", "-m perfmodel"), ("python", "")):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        tool.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(":"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "OMP_NUM_THREADS": "1",
    }
    for command, code, where in _programs(page):
        done = subprocess.run(
            [*command, code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, (
            f"{where}:\n{code}\n{done.stdout[-800:]}\n{done.stderr[-2000:]}"
        )


def _programs(page: Path) -> list[tuple[list[str], str, str]]:
    """(interpreter, code, place): the bash blocks of a page, then its Python blocks as one."""
    found = read(page)
    shell = ["bash", "-euo", "pipefail", "-c"]
    programs = [
        (shell, b.code, f"{page.name}:{b.line}") for b in found if b.language in ("bash", "sh")
    ]
    python = [b.code for b in found if b.language == "python"]
    if python:
        programs.append(([sys.executable, "-c"], "\n".join(python), page.name))
    return programs


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
