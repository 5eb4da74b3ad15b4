"""Where answers go: stdout as text or JSON, and files that are checked before work starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfmodel.cli import command_line
from perfmodel.errors import PerfmodelError
from perfmodel.files import check_output, write_atomically
from perfmodel.render.result import Result, as_page, as_text, plain


def show(result: Result, as_json: bool) -> None:
    """Print a result as text or as JSON."""
    print(as_json_text(result.data) if as_json else as_text(result))


def as_json_text(data: Any) -> str:
    """A result's data as JSON, with the command that made it."""
    return json.dumps(_with_command(plain(data)), allow_nan=False)


def _with_command(data: Any) -> Any:
    if isinstance(data, dict) and command_line.get():
        return data | {"reproduce": data.get("reproduce") or command_line.get()}
    return data


def save(result: Result, path: Path) -> None:
    """Write a result as a page (.html) or as JSON (.json)."""
    if path.suffix == ".html":
        data = _with_command(plain(result.data))
        write_atomically(path, as_page(result, data.get("reproduce", "")))
    else:
        write_atomically(path, as_json_text(result.data) + "\n")


def check_outputs(*paths: Path | None, suffixes: Sequence[str] = ()) -> None:
    """Refuse outputs that could not be written, before anything runs.

    `suffixes` are the formats that these outputs are written in, where the name says the format.
    """
    for path in paths:
        if path is None:
            continue
        if suffixes and path.suffix not in suffixes:
            raise PerfmodelError(
                f"{path}: is written as {' or '.join(suffixes)}", "change the name's ending"
            )
        check_output(path)
