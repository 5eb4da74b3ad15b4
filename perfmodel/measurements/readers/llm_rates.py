"""What the readers of language-model benchmarks share: one row for a rate of tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from perfmodel.measurements.evidence import Said, by_tool, in_log
from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.table import BadRow

_TEST = re.compile(r"(?:pp ?(\d{1,8}))?\+?(?:tg ?(\d{1,8}))?(?: ?@ ?d(\d{1,8}))?")
_CPU = ("cpu", "blas", "accelerate", "zendnn")
_GPU = ("cuda", "vulkan", "metal", "opencl", "sycl", "rocm", "hip", "musa", "webgpu", "kompute")


def rate_row(
    source: SourceText,
    line: int,
    *,
    kind: str,
    tokens: float,
    tokens_per_s: float,
    common: Mapping[str, Any],
) -> dict[str, Any]:
    """A row of `tokens` read (`prefill`) or written (`decode`) at `tokens_per_s`."""
    return {
        "line": line,
        **common,
        "kind": in_log(kind, line),
        "batch": by_tool(1.0),
        "tokens": tokens,
        "tokens_per_s": tokens_per_s,
        "statistic": "mean",
    }


def test_named(name: str) -> tuple[float, float, float] | None:
    """Tokens read, written and already in the context by a test's name: pp512, tg128 @ d4096."""
    match = _TEST.fullmatch(name.strip())
    if match is None or not (match.group(1) or match.group(2)):
        return None
    read, written, depth = (float(group or 0) for group in match.groups())
    return read, written, depth


def mixed(source: SourceText, line: int) -> BadRow:
    """A test that reads and writes in one: its rate is of neither."""
    return BadRow(source.path, line, "left out: one rate for reading and writing together")


def unit_of_backend(backend: str, line: int) -> Said | None:
    """The unit of a back end as llama.cpp and MNN name them; None for one that is not known."""
    names = [name.strip().lower() for name in backend.split(",") if name.strip()]
    if "rpc" in names:
        return None  # another machine, of which nothing is said
    if any(name.startswith(_GPU) for name in names):
        return in_log("gpu", line)
    return in_log("cpu", line) if names and all(n.startswith(_CPU) for n in names) else None
