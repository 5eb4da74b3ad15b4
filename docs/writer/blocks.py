"""The code blocks of a page, and which of them run."""

from __future__ import annotations

from dataclasses import dataclass

NOT_RUN = "<!-- not run: "
"""On the line before a block: it does not run, for the reason that follows."""

LANGUAGES = ("bash", "sh", "python", "console")


@dataclass(frozen=True)
class Block:
    """A block that runs: the number of its first fence's line, its language and its lines."""

    line: int
    language: str
    lines: tuple[str, ...]

    @property
    def code(self) -> str:
        """What runs; of a console block the commands alone."""
        if self.language != "console":
            return "\n".join(self.lines)
        return "\n".join(exchange.command for exchange in exchanges(self.lines))


@dataclass(frozen=True)
class Exchange:
    """A command of a console block and what the page says it prints."""

    command: str
    printed: tuple[str, ...]


def blocks(page: str, left_out: tuple[str, ...] = ()) -> list[Block]:
    """The blocks of a page that run, but for those after a line that is in `left_out`.

    A block tagged bash, sh, python or console runs, and an untagged one that starts with a command
    of perfmodel.
    """
    lines, found, before, i = page.splitlines(), [], "", 0
    while i < len(lines):
        if lines[i].startswith("```"):
            end = next(j for j in range(i + 1, len(lines)) if lines[j].startswith("```"))
            language = lines[i][3:].strip() or _untagged(lines[i + 1 : end])
            runs = language in LANGUAGES and not before.startswith(NOT_RUN)
            if runs and before not in left_out:
                found.append(Block(i + 1, language, tuple(lines[i + 1 : end])))
            i, before = end, ""
        elif lines[i].strip():
            before = lines[i].strip()
        i += 1
    return found


def _untagged(code: list[str]) -> str:
    if code and code[0].startswith("$ "):
        return "console"
    starts = ("perfmodel ", "python -m perfmodel")
    return "bash" if code and code[0].startswith(starts) else ""


def exchanges(lines: tuple[str, ...]) -> list[Exchange]:
    """The commands of a console block, each after `$ `, with the lines that follow it."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return [Exchange(command, tuple(printed)) for command, printed in found]
