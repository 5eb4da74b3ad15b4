"""Reading a result that a command printed with `--json`, and finding out which command it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfmodel.errors import PerfmodelError

MAX_BYTES = 200_000_000
_SIGNS = (
    ("whatif", ("effects", "front", "summary")),
    ("select", ("chosen", "candidates", "budget")),
    ("minspec", ("requirement", "passing", "failing")),
    ("suite", ("suite", "tests", "generations")),
    ("compare", ("models", "targets", "cells")),
    ("partition", ("criterion", "segments", "unpartitioned_ms")),
    ("simulate", ("scenario", "cases", "steps_ms")),
    ("validate", ("experiment", "cases", "mape")),
    ("predict", ("model", "target", "latency_ms", "interval_ms")),
)
"""Keys by which a result tells what it is; the first that fits."""


def read_result(path: Path) -> dict[str, Any]:
    """The JSON object of a result file; raises `PerfmodelError` that says what is wrong."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PerfmodelError(f"{path}: larger than any result ({MAX_BYTES} bytes)")
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise PerfmodelError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise PerfmodelError(
            f"{path}: not JSON: {error}", "make one with --json, as in perfmodel predict ... --json"
        ) from None
    if not isinstance(data, dict):
        raise PerfmodelError(f"{path}: not a result of perfmodel, but a {type(data).__name__}")
    if set(data) == {"error"}:
        raise PerfmodelError(f"{path}: holds an error, no result: {data['error']!r:.200}")
    return data


def kind_of(data: Mapping[str, Any]) -> str:
    """Which command's result this is; raises `PerfmodelError` if none's."""
    for kind, keys in _SIGNS:
        if all(key in data for key in keys):
            return kind
    known = ", ".join(kind for kind, _ in _SIGNS)
    raise PerfmodelError("this JSON is no result of perfmodel", f"results are those of {known}")
