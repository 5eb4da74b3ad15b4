"""What a measurement's file says of how it was measured, and where it says so.

A reader never fills in what is merely usual: a facet that nothing states stays empty, and whoever
needs it asks (`perfmodel.measurements.facets`).
"""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.zoo.published_names import precision_in

FACETS = ("unit", "framework", "precision", "threads", "batch", "kind")
"""Columns that tell what was measured. Each value of a log's row names its evidence."""

LOG = "log"
COMMAND = "command line"
FILE_NAME = "file name"
MODEL_NAME = "model name"
TOOL = "tool"
"""What the tool that writes such files always does: `benchncnn` runs ncnn, with batch 1."""
DEFAULT = "default of the tool"
"""What a tool does unless it is told otherwise, where it prints or shows what it is told."""
OPTION = "option"
FILE = "file"
"""The file that the caller names as the network of a log: how it is stored, and for which batch."""
OWN_INPUT = f"{DEFAULT}, the model's own input"
"""Where a tool gives a model inputs of its own sizes; a batch of 1 unless the file says more."""

WEAK = (FILE, FILE_NAME, MODEL_NAME, DEFAULT)
"""Evidence that an option overrules; what a log or a command line says, none does."""


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


def by_own_input() -> Said:
    """The batch of a model that a tool runs as it is."""
    return Said(1.0, OWN_INPUT)


def by_default(value: str | float, why: str) -> Said:
    """A value that the tool's documented default sets, since nothing in the log changes it."""
    return Said(value, f"{DEFAULT}, {why}")


_PRECISION_OF_MARK = {
    "quant": "int8",
    "quantized": "int8",
    "int8": "int8",
    "full_integer_quant": "int8",
    "integer_quant": "int8",
    "w8a8": "int8",
    "uint8": "uint8",
    "float": "fp32",
    "float32": "fp32",
    "fp32": "fp32",
    "float16": "fp16",
    "fp16": "fp16",
    "bf16": "bf16",
    "w8a16": "w8a16",
}
"""Precision that a mark in a model's name stands for; marks of none (int4) are asked about."""


def precision_of_name(name: str) -> str:
    """The table's precision that a model's name states (`_quant`, `_fp16`); "" where none does.

    Marks that contradict each other, or that no precision of the table stands for, state none.
    """
    marks = precision_in(name)
    meant = {_PRECISION_OF_MARK.get(mark, "") for mark in marks.split("+")}
    return meant.pop() if len(meant) == 1 else ""


Evidence = tuple[tuple[str, str], ...]
"""Pairs of a facet and where its value comes from, in the order of `FACETS`."""


def with_evidence(evidence: Evidence, facet: str, where: str) -> Evidence:
    """The evidence with that of one facet replaced or added."""
    told = {**dict(evidence), facet: where}
    return tuple((name, told[name]) for name in FACETS if name in told)
