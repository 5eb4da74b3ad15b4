"""TOML on every supported Python: the standard library's reader, or tomli on 3.10."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from perfmodel.errors import ScenarioError

_reader = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file; raises ScenarioError that names the file and the place."""
    try:
        with path.open("rb") as file:
            return dict(_reader.load(file))
    except OSError as error:
        raise ScenarioError(f"{path}: cannot read: {error.strerror or error}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: not a TOML file: {error}") from None


def parse_value(text: str) -> Any:
    """The value that a text means in TOML, such as a table in braces; ScenarioError otherwise."""
    try:
        return _reader.loads(f"value = {text}")["value"]
    except (ValueError, KeyError) as error:
        raise ScenarioError(f"{text!r} is no TOML value: {error}") from None
