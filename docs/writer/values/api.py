"""The list of docs/api.md: every public function and what it returns, for Sphinx to describe."""

from __future__ import annotations

import inspect

import perfmodel
from docs.writer.page import Made, on_lines


def entry(name: str) -> str:
    """What Sphinx is told of one public name."""
    directive = "autoclass" if inspect.isclass(getattr(perfmodel, name)) else "autofunction"
    return f"```{{eval-rst}}\n.. {directive}:: perfmodel.{name}\n```"


def make() -> Made:
    """The values of the page."""
    names = [name for name in perfmodel.__all__ if not name.startswith("_")]
    return Made({"NAMES": on_lines("\n\n".join(map(entry, names)))}, {})
