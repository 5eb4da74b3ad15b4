"""A page with its figures written anew: printed outputs, and values between marks.

`<!-- =NAME -->` and `<!-- / -->` enclose a value that the page's module in docs/writer/values
makes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.writer import stand_ins
from docs.writer.blocks import Block, blocks
from docs.writer.folder import ROOT, Folder, make_folder

DOCS = ROOT / "docs"
MARK = re.compile(r"(<!-- =(\w+) -->)(.*?)(<!-- / -->)", re.DOTALL)
PICTURE = re.compile(r"!\[[^\]]*\]\((?:\.\./)?(img/[\w.-]+\.svg)\)")
ELSEWHERE = ("<!-- main -->", "<!-- tests -->")
"""Before the README's two commands, which run where the package is checked."""


@dataclass(frozen=True)
class Made:
    """What a module of docs/writer/values makes: values by name, pictures by path in docs/."""

    values: Mapping[str, str]
    pictures: Mapping[str, str]
    """SVG, without an empty line at the end."""


def on_lines(value: str) -> str:
    """A value of several lines, set off by blank ones so that Markdown sees it apart."""
    return f"\n\n{value}\n\n"


def rewritten(page: Path) -> tuple[str, Mapping[str, str]]:
    """The text of a page with its figures of today, and its pictures.

    Every block that runs is run; a picture that a command of the page writes under the name of one
    that the page shows is that picture. Raises `BlockFailed`, or KeyError for a mark that nobody
    fills.
    """
    text = page.read_text(encoding="utf-8")
    made = make(page)
    text = MARK.sub(lambda found: found[1] + made.values[found[2]] + found[4], text)
    with TemporaryDirectory() as scratch:
        folder = make_folder(Path(scratch))
        if stand_ins.MARK in text:
            stand_ins.furnish(folder.path)
        text = printed_anew(text, page.name, folder)
        drawn = {shown: folder.path / Path(shown).name for shown in PICTURE.findall(text)}
        pictures = {
            shown: path.read_text().rstrip() for shown, path in drawn.items() if path.exists()
        }
    return text, {**pictures, **made.pictures}


def printed_anew(text: str, name: str, folder: Folder) -> str:
    """A page's text with the outputs of its console blocks as they are today.

    `name` is the page's, for the words of a failure. Its Python blocks run last, as one program.
    """
    lines, grown = text.splitlines(), 0
    found = blocks(text, ELSEWHERE)
    for block in found:
        if block.language == "python":
            continue
        now, start = folder.run(block, name), block.line + grown
        lines[start : start + len(block.lines)] = now
        grown += len(now) - len(block.lines)
    together = [block for block in found if block.language == "python"]
    if together:
        lines_of_all = tuple(line for block in together for line in block.lines)
        folder.run(Block(together[0].line, "python", lines_of_all), name)
    return "\n".join(lines) + "\n"


def make(page: Path) -> Made:
    """What the page's module makes; nothing where it has none."""
    module = page.stem.replace("-", "_")
    if page.parent != DOCS or not (DOCS / "writer" / "values" / f"{module}.py").exists():
        return Made({}, {})
    made: Made = import_module(f"docs.writer.values.{module}").make()
    return made


def all_pages() -> list[Path]:
    """The README and every page of docs/, those of other languages too."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
