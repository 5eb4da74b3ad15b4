"""Errors that a user of perfmodel can meet; the command line turns each into exit code 2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

LONGEST_MESSAGE = 1_000
"""Characters of a message, and of a hint: some ten lines of a terminal. What is longer repeats what
stands in a damaged file."""

LONGEST_WORD = 400
"""Characters of a word of a message: a path may have as many, a number or a name has not."""


class PerfmodelError(Exception):
    """A problem with what the user gave us: says what, where and what to do.

    `message` says what and where; `hint` says what to do next (may be empty). Both are bounded (see
    `bounded`): of what is longer the beginning, which says where, and the end, which says why, are
    kept.
    """

    kind = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = bounded(message)
        self.hint = bounded(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # errors travel between processes: without this they would be made anew from the message
        # alone, which a class with more arguments refuses
        return _remade, (type(self), self.args, dict(self.__dict__))


def _remade(
    kind: type[PerfmodelError], arguments: tuple[Any, ...], attributes: Mapping[str, Any]
) -> PerfmodelError:
    """An error from what `__reduce__` kept of it."""
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


def bounded(text: str) -> str:
    """Text of at most `LONGEST_MESSAGE` characters, whose words have at most `LONGEST_WORD`."""
    words = [_cut(word, LONGEST_WORD) for word in text.split(" ")]
    return _cut(" ".join(words), LONGEST_MESSAGE)


def _cut(text: str, most: int) -> str:
    """Of a text longer than `most` characters three quarters from the beginning, then its end."""
    if len(text) <= most:
        return text
    first, mark = most * 3 // 4, " ... "
    return text[:first] + mark + text[len(text) - (most - first - len(mark)) :]


def printable(text: str) -> str:
    """Text with everything escaped that a terminal would obey instead of show.

    Names come from files: line ends, escape sequences and marks that turn the reading direction
    are written as `\\n`, `\\x1b`, `\\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ProfileWarning(UserWarning):
    """A profile or a folder of profiles that was left out: names it and says why."""


class OutputError(PerfmodelError):
    """A file that cannot be written: names it and says why."""

    kind = "output"


class ModelFileError(PerfmodelError):
    """A network file that cannot be read: names file, position and reason."""

    kind = "model_file"

    def __init__(self, path: object, position: str, reason: str, hint: str = "") -> None:
        super().__init__(f"{path}: {position}: {reason}", hint)
        self.path = str(path)
        self.position = position
        self.reason = reason


class GraphError(PerfmodelError):
    """A graph that makes no sense: unknown operator, shapes that do not fit, a cycle."""

    kind = "graph"


class UnknownModelError(PerfmodelError):
    """A model name that is neither in the zoo nor a file."""

    kind = "unknown_model"


class UncoveredOpError(PerfmodelError):
    """Operators whose cost is not modelled; nothing missing becomes zero."""

    kind = "uncovered_ops"


class TargetError(PerfmodelError):
    """A target string that no profile answers."""

    kind = "target"


class ProfileError(PerfmodelError):
    """A profile file that is damaged, of another version, or does not fit its schema."""

    kind = "profile"


class MeasurementError(PerfmodelError):
    """A measurement table or tool log that cannot be trusted: names file, row and reason."""

    kind = "measurement"


class PartitionError(PerfmodelError):
    """A partition that cannot be made: K, unit or constraint does not fit the graph."""

    kind = "partition"


class ScenarioError(PerfmodelError):
    """A scenario file or parameter that is impossible or unknown."""

    kind = "scenario"


class RunnerError(PerfmodelError):
    """A device or runtime that is absent or failed: says what is missing and how to attach it."""

    kind = "runner"


def nearest_names(
    name: str, known: Iterable[str], count: int = 3, cutoff: float = 0.5
) -> list[str]:
    """The known names most like `name`, best first.

    Letters and digits count, case and marks do not; `cutoff` is the least likeness, 0 to 1 (the
    ratio of `difflib`). Names that contain `name` follow those that are like it.
    """
    import difflib  # only a mistake needs it

    plain = {bare_name(k): k for k in known}
    key = bare_name(name)
    close = difflib.get_close_matches(key, list(plain), n=count, cutoff=cutoff)
    close += [p for p in plain if key and key in p and p not in close]
    return [plain[p] for p in close[:count]]


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or the whole list where nothing known is like `name`."""
    words = list(known)
    near = nearest_names(name, words, count=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(words)}"


def bare_name(name: str) -> str:
    """Letters and digits of a name, in lower case."""
    return "".join(c for c in name.lower() if c.isalnum())
