"""What commands share in printing: JSON of frozen results, options that name sizes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.cli import command_line
from perfmodel.errors import PerfmodelError


def print_json(value: Any) -> None:
    """Print a result as JSON, with the command that made it; NaN and infinities are refused."""
    data = plain(value)
    if isinstance(data, dict) and command_line.get():
        data.setdefault("reproduce", command_line.get())
    print(json.dumps(data, allow_nan=False))


def plain(value: Any) -> Any:
    """Frozen results as dicts and lists; numbers rounded to 9 significant digits."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value


def parse_sizes(pairs: Sequence[str]) -> dict[str, int]:
    """`["batch=4"]` as {"batch": 4}; raises `PerfmodelError` naming what is wrong."""
    sizes: dict[str, int] = {}
    for text in pairs:
        name, _, size = text.partition("=")
        if not name or not size.isdigit() or not 0 < int(size) <= 1_000_000:
            raise PerfmodelError(
                f"--dim {text!r} is not NAME=SIZE", "for example --dim sequence=128"
            )
        sizes[name] = int(size)
    return sizes
