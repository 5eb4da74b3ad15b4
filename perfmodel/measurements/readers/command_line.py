"""The options of a tool's command line, where a log shows it above what the tool printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

MAX_COMMAND = 20_000
"""No shell takes a command that anyone would write longer than this in characters."""

MAX_LINES = 60
"""Lines that one command goes on over."""

_GOES_ON = ("\\", "^", "`")
"""What the shells of Unix, Windows and PowerShell end a line with that goes on in the next."""
_SWITCH = re.compile(r"--?[A-Za-z][\w-]{0,60}")


def command_of(lines: Sequence[str], tool: str) -> Mapping[str, str] | None:
    """The options of the first line that calls `tool`, by name without dashes; None if none does.

    A switch without a value is "true"; the arguments that belong to no option stand under "".
    """
    found = (command_at(lines, index, tool) for index in range(len(lines)))
    return next((options for options in found if options is not None), None)


def command_at(lines: Sequence[str], index: int, tool: str) -> Mapping[str, str] | None:
    """The options of the call of `tool` that starts in a line and may go on in the next ones."""
    if tool not in lines[index]:
        return None
    text = lines[index].rstrip()
    for line in lines[index + 1 : index + MAX_LINES]:
        if not text.endswith(_GOES_ON):
            break
        text = f"{text[:-1]} {line.strip()}"
    if len(text) > MAX_COMMAND:
        return None
    words = _words(text.rstrip("".join(_GOES_ON)))
    # A shell on the device gets its command in quotes: adb shell "tool --option".
    words = [part for word in words for part in (_words(word) if tool in word else [word])]
    called = next((i for i, word in enumerate(words) if _is_call(word, tool)), None)
    return None if called is None else options_of(words[called + 1 :])


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
