"""Loading a measurement file: size limits, decompression, text, JSON; all failures in one class."""

from __future__ import annotations

import gzip
import io
import json
import math
import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from perfmodel.errors import MeasurementError
from perfmodel.measurements.readers.prefixes import without_prefix
from perfmodel.measurements.table import bad_input

MAX_FILE_BYTES = 200 * 10**6
"""Of the file, and of what a compressed file expands to."""
MAX_JSON_BYTES = 64 * 10**6
MAX_LOG_LINE = 10**5
"""No tool prints a longer line; a CSV row or JSON file may be longer."""

_JSON_START = re.compile(r"\s*(\{|\[\s*[\[\]{])")
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
"""A comma is a decimal one: no tool groups the digits of its figures."""


@dataclass(frozen=True)
class SourceText:
    """The text of a measurement file and the name to use in messages and in column `source`."""

    path: str
    text: str

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return Path(self.path).name

    @cached_property
    def looks_like_json(self) -> bool:
        """Whether the text starts as a JSON object or an array of them, as no log does."""
        return _JSON_START.match(self.text[:10_000]) is not None

    @cached_property
    def json(self) -> Any:
        """The parsed JSON; MeasurementError with line and column where it is damaged."""
        return parse_json(self.path, self.text)

    @cached_property
    def value(self) -> Any:
        """The parsed JSON; None for a text that is none, or damaged (`json` says where)."""
        if not self.looks_like_json:
            return None
        try:
            return self.json
        except MeasurementError:
            return None

    @property
    def entries(self) -> list[Any]:
        """The entries of a JSON array; [] where the text is no such thing."""
        return self.value if isinstance(self.value, list) else []

    @cached_property
    def lines(self) -> list[str]:
        """The lines of a log without what logcat and the like put before them.

        MeasurementError where one is longer than any tool prints.
        """
        lines = self.text.splitlines()
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_LOG_LINE:
                raise bad_input(self.path, number, f"a line of {len(line)} characters is no log")
        return [without_prefix(line) for line in lines]

    @cached_property
    def log(self) -> str:
        """The lines as one text; "" where one is longer than any tool prints."""
        try:
            return "\n".join(self.lines)
        except MeasurementError:
            return ""


def load_bytes(path: Path) -> bytes:
    """The file's bytes, decompressed where it is gzip; MeasurementError if too big or damaged."""
    try:
        if not path.is_file():
            raise MeasurementError(f"{path}: no such file", "give the path of a measurement file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise bad_input(path, 1, f"{size} bytes, the limit is {MAX_FILE_BYTES}", "split it")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise MeasurementError(f"{path}: cannot be read: {error}") from error
    return _gunzip(path, data) if data[:2] == b"\x1f\x8b" else data


def _gunzip(path: Path, data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise bad_input(path, 1, f"damaged gzip: {error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise bad_input(path, 1, f"expands to more than {MAX_FILE_BYTES} bytes", "split it")
    return content


def decode(path: Path | str, data: bytes) -> SourceText:
    """The file as text (UTF-8, or UTF-16 with its mark); MeasurementError for binary content."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise bad_input(path, line, f"not text: byte {error.start} is not {encoding}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise bad_input(path, line, "not text: it holds a zero byte")
    if not text.strip():
        raise bad_input(path, 1, "the file is empty")
    return SourceText(str(path), text)


def parse_json(path: str, text: str) -> Any:
    """Parsed JSON without NaN or infinity; MeasurementError with line and column."""
    if len(text) > MAX_JSON_BYTES:
        raise bad_input(path, 1, f"{len(text)} characters of JSON, the limit is {MAX_JSON_BYTES}")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        reason = f"column {error.colno}: not JSON: {error.msg}"
        raise bad_input(path, error.lineno, reason, "the file may be cut off") from error
    except RecursionError as error:
        raise bad_input(path, 1, "JSON nested too deeply to be a profile") from error
    except ValueError as error:
        raise bad_input(path, 1, f"not JSON: {error}") from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def number_in(text: str, path: str, line: int, column: str) -> float:
    """The number a cell or field of a log holds; MeasurementError naming line and column."""
    stripped = text.strip()
    value = (
        float(stripped.replace(",", "."))
        if len(stripped) < 64 and _NUMBER.fullmatch(stripped)
        else math.nan
    )
    if not math.isfinite(value):
        raise bad_input(path, line, f"column {column}: not a number: {stripped[:40]!r}")
    return value


def json_number(value: Any, path: str, line: int, column: str) -> float:
    """A number of a JSON file (old tools write them as strings), as `number_in`."""
    if isinstance(value, str):
        return number_in(value, path, line, column)
    if isinstance(value, bool) or not isinstance(value, int | float):
        shown = repr(value)[:40]
        raise bad_input(path, line, f"column {column}: not a number: {shown}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise bad_input(path, line, f"column {column}: not a number: too large")
    return number


def json_lines(text: str, marker: str) -> list[int]:
    """Line of each occurrence of `marker` in JSON text, to name entries of an array by line."""
    lines, line, position = [], 1, 0
    for found in re.finditer(re.escape(marker), text):
        line += text.count("\n", position, found.start())
        position = found.start()
        lines.append(line)
    return lines
