"""TOML on every supported Python: the standard library's reader, or tomli on 3.10."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from perfmodel.errors import ScenarioError
from perfmodel.files import read_text_file

MAX_TOML_BYTES = 4_000_000
"""Of a scenario: far above any that is written by hand, and read in a second; long lists of times
lie in files of their own."""

MAX_NESTING = 32
"""Of tables and lists; the deepest key of a scenario is at 5."""

MAX_BITS = 1024
"""Of whole numbers: those above 1.8e308 cannot be calculated with, nor always be printed."""

TOO_DEEP = f"tables and lists are nested more than {MAX_NESTING} deep"

_reader = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file; raises ScenarioError that names the file and the place."""
    text = read_text_file(path, "this file", most_bytes=MAX_TOML_BYTES, error=ScenarioError)
    try:
        tables = dict(_reader.loads(text))
    except RecursionError:
        raise ScenarioError(f"{path}: {TOO_DEEP}") from None
    except ValueError as error:
        raise ScenarioError(f"{path}: not a TOML file: {error}") from None
    wrong = _unusable(tables)
    if wrong:
        raise ScenarioError(f"{path}: {wrong}")
    return tables


def parse_value(text: str) -> Any:
    """The value that a text means in TOML, such as a table in braces; ScenarioError otherwise."""
    try:
        value = _reader.loads(f"value = {text}")["value"]
    except RecursionError:
        raise ScenarioError(f"{text[:60]!r}: {TOO_DEEP}") from None
    except (ValueError, KeyError) as error:
        raise ScenarioError(f"{text[:60]!r} is no TOML value: {error}") from None
    wrong = _unusable(value)
    if wrong:
        raise ScenarioError(f"{text[:60]!r}: {wrong}")
    return value


def _unusable(value: Any) -> str:
    """What nobody could work with in tables of any depth; empty if nothing. Walks without calls."""
    level = [value]
    for _ in range(MAX_NESTING):
        if any(isinstance(item, int) and item.bit_length() > MAX_BITS for item in level):
            return f"a whole number of more than {MAX_BITS} bits"
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return ""
    return TOO_DEEP


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
