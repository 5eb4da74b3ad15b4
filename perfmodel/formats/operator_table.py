"""Tables of converters: what a reader or writer does with each operator type of its format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Converter = TypeVar("Converter")


def registering(
    table: dict[str, Converter],
) -> Callable[[str | Iterable[str]], Callable[[Converter], Converter]]:
    """A decorator factory: `@types("A B")` enters a converter in `table` under both names.

    The names may also be given as a list.
    """

    def types(names: str | Iterable[str]) -> Callable[[Converter], Converter]:
        def add(converter: Converter) -> Converter:
            listed = names.split() if isinstance(names, str) else names
            table.update(dict.fromkeys(listed, converter))
            return converter

        return add

    return types
