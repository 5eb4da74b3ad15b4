"""What a measurement's file says of how it was measured, and where it says so.

A reader never fills in what is merely usual: a facet that nothing states stays empty, and whoever
needs it asks (`perfmodel.measurements.questions`).
"""

from __future__ import annotations

from dataclasses import dataclass

FACETS = ("unit", "framework", "precision", "threads", "batch", "kind")
"""Columns that tell what was measured. Each value of a log's row names its evidence."""

LOG = "log"
COMMAND = "command line"
FILE_NAME = "file name"
MODEL_NAME = "model name"
TOOL = "tool"
"""What the tool that writes such files always does: `benchncnn` runs ncnn, with batch 1."""
OPTION = "option"


@dataclass(frozen=True)
class Said:
    """A value of a facet and where it comes from: "log, line 3", "command line", "tool"."""

    value: str | float
    where: str


def in_log(value: str | float, line: int) -> Said:
    """A value that a line of the log states."""
    return Said(value, f"{LOG}, line {line}")


def in_command(value: str | float) -> Said:
    """A value of the command line that the log (or a line above it) shows."""
    return Said(value, COMMAND)


def by_name(value: str | float, name: str) -> Said:
    """A value that the model's name states, such as `_quant`."""
    return Said(value, f"{MODEL_NAME} {name[:80]}")


def by_tool(value: str | float) -> Said:
    """A value that holds for every run of the tool."""
    return Said(value, TOOL)


Evidence = tuple[tuple[str, str], ...]
"""Pairs of a facet and where its value comes from, in the order of `FACETS`."""


def with_evidence(evidence: Evidence, facet: str, where: str) -> Evidence:
    """The evidence with that of one facet replaced or added."""
    told = {**dict(evidence), facet: where}
    return tuple((name, told[name]) for name in FACETS if name in told)
