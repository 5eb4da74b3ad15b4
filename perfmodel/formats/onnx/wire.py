"""Protobuf's wire format over a mapped file, for ONNX: fields are stepped over, not loaded.

Only field headers and small constants are touched, so gigabytes of inline weights cost nothing.
Format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from typing import TypeAlias

from perfmodel.errors import ModelFileError
from perfmodel.formats.limits import (
    MAX_FIELDS,
    MAX_FOLDED_ELEMENTS,
    MAX_NAME,
    MAX_NUMBERS,
    MAX_TEXT_TOTAL,
)

Span: TypeAlias = tuple[int, int]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

LARGE_FIELD = 2**20
"""Bytes from which on a field is weights."""

LARGE_FIELDS_HELD = 8
"""Large fields that are stepped over before the pages around their headers are given back."""


def open_onnx(path: str | os.PathLike[str]) -> Wire:
    """Map a file for reading."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise ModelFileError(path, "file", "empty")
            return Wire(path, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(path, "file", f"cannot be read: {reason}") from None


class Wire:
    """Bounds-checked reading of protobuf fields from a mapped file."""

    def __init__(self, path: str | os.PathLike[str], buffer: mmap.mmap | bytes) -> None:
        self.path = path
        self.buffer = buffer
        self.fields_left = MAX_FIELDS
        self.numbers_left = MAX_NUMBERS
        self.text_left = MAX_TEXT_TOTAL
        self._large = 0

    def error(self, position: int, reason: str) -> ModelFileError:
        """The error for a byte position."""
        return ModelFileError(self.path, f"byte {position}", reason, "is this an ONNX file?")

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """An unsigned integer of up to 64 bits and the position after it."""
        result = shift = 0
        while position < end:
            byte = self.buffer[position]
            position += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result & 0xFFFFFFFFFFFFFFFF, position
            shift += 7
            if shift > 63:
                break
        raise self.error(position, "a broken integer")

    def fields(self, span: Span) -> Iterator[tuple[int, int, int, int]]:
        """Fields in a message: number, wire type, and (value, position) or (start, end)."""
        position, end = span
        while position < end:
            self.fields_left -= 1
            if self.fields_left < 0:
                raise self.error(position, f"more than {MAX_FIELDS} fields")
            at = position
            tag, position = self.varint(position, end)
            number, kind = tag >> 3, tag & 7
            if kind == BYTES:
                length, start = self.varint(position, end)
                position = start + length
                if position > end:
                    raise self.error(at, f"a field of {length} bytes passes the end")
                if length >= LARGE_FIELD:
                    self._give_back()
                yield number, kind, start, position
            elif kind == VARINT:
                value, position = self.varint(position, end)
                yield number, kind, value, at
            elif kind in (FIXED32, FIXED64):
                start, position = position, position + (4 if kind == FIXED32 else 8)
                if position > end:
                    raise self.error(at, "a number passes the end")
                yield number, kind, start, position
            else:
                raise self.error(at, f"wire type {kind}")

    def _give_back(self) -> None:
        """Leave pages to the system that were mapped only because a header lies among them.

        Where files are cached in huge pages, each touched byte maps 2 MiB.
        """
        self._large += 1
        held = self.buffer
        mapped = isinstance(held, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED")
        if mapped and self._large % LARGE_FIELDS_HELD == 0:
            held.madvise(mmap.MADV_DONTNEED)  # type: ignore[union-attr]

    def text(self, start: int, end: int) -> str:
        """A short UTF-8 string."""
        if end - start > MAX_NAME:
            raise self.error(start, f"a name longer than {MAX_NAME} bytes")
        self.text_left -= end - start
        if self.text_left < 0:
            raise self.error(start, f"more than {MAX_TEXT_TOTAL} bytes of names")
        try:
            return bytes(self.buffer[start:end]).decode("utf-8")
        except UnicodeDecodeError:
            raise self.error(start, "a name that is no text (UTF-8)") from None

    def packed(self, kind: int, first: int, second: int, into: list[int], most: int) -> None:
        """Append a repeated integer field, packed or not; at most `most` in all."""
        before = len(into)
        if kind == VARINT:
            into.append(signed(first))
        elif kind == BYTES:
            position = first
            while position < second:
                if len(into) >= most:
                    raise self.error(position, f"a list of more than {most} integers")
                value, position = self.varint(position, second)
                into.append(signed(value))
        if len(into) > most:
            raise self.error(first, f"a list of more than {most} integers")
        self.spend(first, len(into) - before)

    def spend(self, position: int, numbers: int) -> None:
        """Count decoded numbers; no real network lists as many as the limit."""
        self.numbers_left -= numbers
        if self.numbers_left < 0:
            raise self.error(position, f"more than {MAX_NUMBERS} numbers in lists")

    def floats(self, kind: int, start: int, end: int) -> list[float]:
        """A repeated float field, packed or not."""
        if kind not in (BYTES, FIXED32) or (end - start) % 4:
            raise self.error(start, "a broken list of numbers")
        if end - start > 4 * MAX_FOLDED_ELEMENTS:
            raise self.error(start, f"a list of more than {MAX_FOLDED_ELEMENTS} numbers")
        self.spend(start, (end - start) // 4)
        return list(struct.unpack(f"<{(end - start) // 4}f", self.buffer[start:end]))


def signed(value: int) -> int:
    """Two's complement of 64 bits."""
    return value - (1 << 64) if value >= 1 << 63 else value
