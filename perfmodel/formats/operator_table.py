"""Tables of converters: what a reader does with each operator type of its format."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Converter = TypeVar("Converter")


def registering(table: dict[str, Converter]) -> Callable[[str], Callable[[Converter], Converter]]:
    """A decorator factory: `@types("A B")` enters a converter in `table` under both names."""

    def types(names: str) -> Callable[[Converter], Converter]:
        def add(converter: Converter) -> Converter:
            table.update(dict.fromkeys(names.split(), converter))
            return converter

        return add

    return types
