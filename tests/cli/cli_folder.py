"""What tests of commands share: small files, and what a command did."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

UNCOVERED = """7767517
3 3
Input data 0 1 data 0=224 1=224 2=3
Convolution conv 1 1 data conv 0=64 1=3 5=1 6=1728
Mystery odd 1 1 conv odd -23330=4,3,222,222,64
"""
"""A network of ncnn with a layer that nobody knows."""

OPEN_SIZE = """7767517
2 2
Input data 0 1 data
Convolution conv 1 1 data conv 0=64 1=3 5=1 6=1728
"""
"""A network of ncnn whose file does not say how large its input is."""


def small_queue() -> str:
    """The textbook's queue with few requests."""
    text = (ROOT / "examples" / "mm1.toml").read_text()
    for long, short in (
        ("requests = 305_000", "requests = 300"),
        ("warmup_requests = 5000", "warmup_requests = 10"),
        ("replications = 8", "replications = 2"),
    ):
        assert long in text
        text = text.replace(long, short)
    return text


@dataclass(frozen=True)
class Done:
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """What it printed, read as JSON."""
        return json.loads(self.out)


Perform = Callable[..., Done]
