"""Tables of a scenario as frozen dataclasses that check themselves, from TOML or from Python.

A field made with `number`, `whole`, `text`, `flag`, `law`, `subtable` or `subtables` knows how to
read and refuse its value. `read_table` adds what only a file can get wrong: wrong keys.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from perfmodel.errors import ScenarioError, nearest_hint
from perfmodel.sim.distributions import read_distribution

T = TypeVar("T", bound="Table")
Reader = Callable[[Any], Any]


@dataclass(frozen=True)
class Table:
    """A checked table; `table` is its name in a scenario file, for messages."""

    table: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None and item.default is None:
                continue
            try:
                object.__setattr__(self, item.name, item.metadata["read"](value))
            except ScenarioError as error:
                if isinstance(error, PlacedError):
                    raise
                name = f"{self.table}.{item.name}" if self.table else item.name
                raise PlacedError(f"{name} {error.message}", error.hint) from None
        self.check()

    def check(self) -> None:
        """Refuse values that do not fit together; `refuse` raises."""

    def refuse(self, message: str, hint: str = "") -> None:
        """Raise the error of this table."""
        raise PlacedError(f"[{self.table}] {message}" if self.table else message, hint)


class PlacedError(ScenarioError):
    """A ScenarioError whose message already says in which table."""


def read_table(cls: type[T], table: Mapping[str, Any]) -> T:
    """Make `cls` from the keys of a TOML table; unknown and missing keys are errors."""
    known = [item.name for item in fields(cls)]
    place = f"[{cls.table}] " if cls.table else ""
    for key in table:
        if key not in known:
            raise PlacedError(f"{place}unknown key {key!r}", nearest_hint(key, known))
    for item in fields(cls):
        required = item.default is MISSING and item.default_factory is MISSING
        if required and item.name not in table:
            raise PlacedError(f"{place}{item.name} is missing", "docs/scenarios.md lists every key")
    return cls(**table)


def _made(read: Reader, default: Any) -> Any:
    return field(default=default, metadata={"read": read})


def number(
    default: Any = MISSING,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Any:
    """A finite float field inside the given bounds."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ScenarioError(f"must be a number, got {value!r}")
        return float(_bounded(float(value), above, at_least, at_most))

    return _made(read, default)


def whole(default: Any = MISSING, *, at_least: int = 0) -> Any:
    """An integer field with a lower bound."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ScenarioError(f"must be a whole number, got {value!r}")
        return int(_bounded(value, None, at_least, None))

    return _made(read, default)


def _bounded(
    value: float, above: float | None, at_least: float | None, at_most: float | None
) -> float:
    if not math.isfinite(value):
        raise ScenarioError(f"must be finite, got {value!r}")
    if above is not None and not value > above:
        raise ScenarioError(f"must be > {above:g}, got {value!r}")
    if at_least is not None and value < at_least:
        raise ScenarioError(f"must be >= {at_least:g}, got {value!r}")
    if at_most is not None and value > at_most:
        raise ScenarioError(f"must be <= {at_most:g}, got {value!r}")
    return value


def text(default: Any = MISSING, *, choices: tuple[str, ...] = ()) -> Any:
    """A string field, one of `choices` where there are any."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ScenarioError(f"must be a text, got {value!r}")
        if choices and value not in choices:
            raise ScenarioError(f"cannot be {value!r}", nearest_hint(value, choices))
        return value

    return _made(read, default)


def flag(default: bool) -> Any:
    """A true/false field."""

    def read(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ScenarioError(f"must be true or false, got {value!r}")
        return value

    return _made(read, default)


def law(default: Any = MISSING, *, positive: bool = False) -> Any:
    """A number or a distribution table; with `positive` its mean must be above zero."""

    def read(value: Any) -> Any:
        law = read_distribution(value)
        if positive and not law.mean > 0:
            raise ScenarioError("must be > 0")
        return law

    made = default if default is MISSING or default is None else read_distribution(default)
    return _made(read, made)


def numbers(default: Any = None, *, above: float | None = None) -> Any:
    """A tuple of finite floats."""

    def read(value: Any) -> tuple[float, ...]:
        if not isinstance(value, (list, tuple)) or not value:
            raise ScenarioError(f"must be a list of at least one number, got {value!r}")
        for item in value:
            if isinstance(item, bool) or not isinstance(item, (int, float)):
                raise ScenarioError(f"must hold numbers only, got {item!r}")
        return tuple(float(_bounded(float(item), above, 0.0, None)) for item in value)

    return _made(read, default)


def subtable(cls: type[Table], default: Any = None) -> Any:
    """A field that holds another table; pass `cls()` as default where every key has one."""

    def read(value: Any) -> Table:
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise ScenarioError(f"must be a table, got {value!r}")
        return read_table(cls, value)

    return _made(read, default)


def subtables(cls: type[Table], default: Any = ()) -> Any:
    """A field that holds an array of tables; a single table counts as an array of one."""

    def read(value: Any) -> tuple[Table, ...]:
        items = [value] if isinstance(value, (Mapping, cls)) else value
        if not isinstance(items, (list, tuple)):
            raise ScenarioError(f"must be a table or an array of tables, got {value!r}")
        return tuple(
            item if isinstance(item, cls) else read_table(cls, _mapping(item)) for item in items
        )

    return _made(read, default)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ScenarioError(f"must hold tables, got {value!r}")
    return value


replace = dataclasses.replace
