"""The options of a tool's command line, where a log shows it above what the tool printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

MAX_COMMAND = 20_000
"""No shell takes a command that anyone would write longer than this in characters."""

_SWITCH = re.compile(r"--?[A-Za-z][\w-]{0,60}")


def command_of(lines: Iterable[str], tool: str) -> Mapping[str, str] | None:
    """The options of the first line that calls `tool`, by name without dashes; None if none does.

    A switch without a value is "true"; the arguments that belong to no option stand under "".
    """
    for line in lines:
        if tool in line and len(line) <= MAX_COMMAND:
            words = _words(line)
            called = [i for i, word in enumerate(words) if _is_call(word, tool)]
            if called:
                return options_of(words[called[0] + 1 :])
    return None


def options_in(command: str) -> dict[str, str]:
    """The options of a line that is a command; words quoted together are options of their own."""
    words = _words(command[:MAX_COMMAND])
    return options_of(
        part for word in words for part in (word.split() if " --" in word else [word])
    )


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line.replace("\\", "/"))
    except ValueError:
        return line.split()


def _is_call(word: str, tool: str) -> bool:
    name = word.rsplit("/", 1)[-1]
    return name in (tool, f"{tool}.exe")


def options_of(words: Iterable[str]) -> dict[str, str]:
    """Options of the words behind a program's name: `--name=value`, `--name value`, `-n value`."""
    found: dict[str, str] = {"": ""}
    pending = ""
    for word in words:
        name, equals, value = word.partition("=")
        if _SWITCH.fullmatch(name):
            pending = "" if equals else name.lstrip("-")
            found[name.lstrip("-")] = value if equals else "true"
        elif pending:
            found[pending], pending = word, ""
        else:
            found[""] = f"{found['']} {word}".strip()
    return found


def is_on(options: Mapping[str, str], name: str) -> bool:
    """Whether a switch is given and not turned off."""
    return options.get(name, "false").lower() in ("true", "1", "yes", "on")
