"""Errors that a user of perfmodel can meet; the command line turns each into exit code 2."""

from __future__ import annotations


class PerfmodelError(Exception):
    """A problem with what the user gave us: says what, where and what to do.

    `message` says what and where; `hint` says what to do next (may be empty).
    """

    kind = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


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
