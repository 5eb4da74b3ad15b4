"""Bounds-checked access to a FlatBuffers file, without its schema module and without copying.

Only what is asked for is touched, so that a file of many gigabytes costs a few pages. Every read
is checked and counted: a damaged or hostile file gives `ModelFileError`, never a crash, a long
wait or a large allocation. Layout: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from perfmodel.errors import ModelFileError

_U16 = struct.Struct("<H")
_I32 = struct.Struct("<i")
_U32 = struct.Struct("<I")
_FORMATS = {code: struct.Struct("<" + code) for code in "bBhHiIqQf"}

MAX_STRING_BYTES = 1 << 16
MAX_ITEMS = 600_000
MAX_CHARACTERS = 1 << 23
"""List elements and string bytes read from one file, all together (shared ones count again)."""
_ITEMS_OF_A_TABLE = 4


class FlatFile:
    """The bytes of a FlatBuffers file: `buffer` is a memory map or bytes, `path` names it."""

    def __init__(self, path: Path | str, buffer: mmap.mmap | bytes) -> None:
        self.path = path
        self.buffer = buffer
        self.size = len(buffer)
        self._items = 0
        self._characters = 0

    def error(self, position: int | str, reason: str) -> ModelFileError:
        """The error for a byte position (or a place described in words)."""
        where = f"byte {position}" if isinstance(position, int) else position
        return ModelFileError(self.path, where, reason, "the file is damaged or of another kind")

    def check(self, position: int, size: int) -> None:
        """Raise unless `size` bytes at `position` lie inside the file."""
        if position < 0 or position + size > self.size:
            raise self.error(position, f"{size} bytes wanted, the file ends at byte {self.size}")

    def spend(self, position: int, items: int = 0, characters: int = 0) -> None:
        """Count what is decoded; raise where a file asks for more than any real network holds."""
        self._items += items
        self._characters += characters
        if self._items > MAX_ITEMS:
            raise self.error(position, f"more than {MAX_ITEMS} list items in all")
        if self._characters > MAX_CHARACTERS:
            raise self.error(position, f"more than {MAX_CHARACTERS} characters of names in all")

    def u16(self, position: int) -> int:
        """Unsigned 16-bit integer at `position`."""
        self.check(position, 2)
        return int(_U16.unpack_from(self.buffer, position)[0])

    def u32(self, position: int) -> int:
        """Unsigned 32-bit integer at `position`."""
        self.check(position, 4)
        return int(_U32.unpack_from(self.buffer, position)[0])

    def root(self) -> Table:
        """The table that the file's first word points to."""
        return Table(self, self.u32(0))


class Table:
    """One table of a file; fields are asked for by their slot, the schema's field number."""

    __slots__ = ("_vtable", "_vtable_size", "file", "position")

    def __init__(self, file: FlatFile, position: int) -> None:
        file.check(position, 4)
        self.file = file
        self.position = position
        self._vtable = position - _I32.unpack_from(file.buffer, position)[0]
        self._vtable_size = file.u16(self._vtable)
        if self._vtable_size < 4 or self._vtable_size % 2:
            raise file.error(self._vtable, f"table header of {self._vtable_size} bytes")
        file.check(self._vtable, self._vtable_size)

    def field(self, slot: int) -> int:
        """Byte position of a field, 0 if the table leaves it out."""
        entry = 4 + 2 * slot
        if entry + 2 > self._vtable_size:
            return 0
        offset = _U16.unpack_from(self.file.buffer, self._vtable + entry)[0]
        return self.position + offset if offset else 0

    def number(self, slot: int, code: str, default: int = 0) -> int:
        """An integer field; `code` is its letter in the `struct` module."""
        position = self.field(slot)
        if not position:
            return default
        layout = _FORMATS[code]
        self.file.check(position, layout.size)
        return int(layout.unpack_from(self.file.buffer, position)[0])

    def i8(self, slot: int, default: int = 0) -> int:
        """A byte field (enumerations, flags)."""
        return self.number(slot, "b", default)

    def i32(self, slot: int, default: int = 0) -> int:
        """A signed 32-bit field."""
        return self.number(slot, "i", default)

    def real(self, slot: int, default: float = 0.0) -> float:
        """A 32-bit float field."""
        position = self.field(slot)
        if not position:
            return default
        self.file.check(position, 4)
        return float(_FORMATS["f"].unpack_from(self.file.buffer, position)[0])

    def table(self, slot: int) -> Table | None:
        """A nested table, None if left out."""
        position = self.field(slot)
        return Table(self.file, position + self.file.u32(position)) if position else None

    def vector(self, slot: int, item_size: int) -> tuple[int, int]:
        """(byte position of the first item, number of items) of a vector; (0, 0) if left out."""
        position = self.field(slot)
        if not position:
            return 0, 0
        start = position + self.file.u32(position)
        length = self.file.u32(start)
        self.file.check(start + 4, length * item_size)
        return start + 4, length

    def ints(self, slot: int) -> tuple[int, ...]:
        """A vector of signed 32-bit integers."""
        start, length = self.vector(slot, 4)
        self.file.spend(start, length)
        return struct.unpack_from(f"<{length}i", self.file.buffer, start)

    def tables(self, slot: int) -> list[Table]:
        """A vector of tables."""
        start, length = self.vector(slot, 4)
        self.file.spend(start, _ITEMS_OF_A_TABLE * length)
        offsets = struct.unpack_from(f"<{length}I", self.file.buffer, start)
        return [Table(self.file, start + 4 * i + o) for i, o in enumerate(offsets)]

    def blob(self, slot: int) -> bytes:
        """A vector of bytes, at most `MAX_STRING_BYTES` of them; empty if left out."""
        start, length = self.vector(slot, 1)
        self.file.spend(start, characters=min(length, MAX_STRING_BYTES))
        return bytes(self.file.buffer[start : start + min(length, MAX_STRING_BYTES)])

    def text(self, slot: int) -> str:
        """A string field, "" if left out; bytes that are not UTF-8 are replaced."""
        start, length = self.vector(slot, 1)
        if length > MAX_STRING_BYTES:
            raise self.file.error(start, f"a name of {length} bytes")
        self.file.spend(start, characters=length)
        return bytes(self.file.buffer[start : start + length]).decode("utf-8", "replace")


def open_flat(path: Path | str, identifier: bytes) -> FlatFile:
    """Map a file whose bytes 4 to 8 are `identifier`; raises `ModelFileError` if it cannot be."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(8)
            if len(head) < 8:
                raise ModelFileError(path, f"byte {len(head)}", "the file ends here")
            if head[4:8] != identifier:
                raise ModelFileError(
                    path, "byte 4", f"file mark is {head[4:8]!r}, expected {identifier!r}"
                )
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(path, "file", reason) from error
    if hasattr(mmap, "MADV_RANDOM"):
        # weights lie between the tables: reading ahead would only fill memory with them
        mapped.madvise(mmap.MADV_RANDOM)
    return FlatFile(path, mapped)
