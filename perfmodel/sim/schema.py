"""What a field of a scenario may hold: declared once with the field, for files, --set and samples.

The tables of a scenario are frozen dataclasses whose fields are annotated with the declarations
here. pydantic walks the tables: nesting, missing and unknown keys; the declarations check values.
It is imported when a scenario is read, not before.
"""

from __future__ import annotations

import dataclasses
import math
import reprlib
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

from perfmodel.errors import ScenarioError, nearest_hint
from perfmodel.sim.distributions import LARGEST, SMALLEST, read_distribution

T = TypeVar("T", bound="SchemaTable")


class SchemaTable:
    """A table of a scenario; `table` is its name in a file, for messages.

    Made in Python it is not checked by itself: `read_table` does, as `simulate` does with what it
    is given. What does not fit together is refused at once.
    """

    table: ClassVar[str] = ""
    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "revalidate_instances": "always",
    }

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse values that do not fit together; `refuse` raises."""

    def refuse(self, message: str, hint: str = "") -> None:
        """Raise the error of this table."""
        raise ScenarioError(f"[{self.table}] {message}" if self.table else message, hint)


class Declared:
    """What a field may hold: `read` returns the value, or raises ScenarioError without its place.

    `allowed` says in words what that is, for the documentation.
    """

    @property
    def allowed(self) -> str:
        """What the field may hold, in words."""
        raise NotImplementedError

    def read(self, value: Any) -> Any:
        """The value as the field holds it."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import PydanticCustomError, core_schema

        def read(value: Any) -> Any:
            try:
                return self.read(value)
            except ScenarioError as error:
                told = {"message": error.message, "hint": error.hint}
                raise PydanticCustomError("declared", "{message}", told) from None

        return core_schema.no_info_plain_validator_function(read)


@dataclass(frozen=True)
class Domain(Declared):
    """A number in a unit, within bounds, perhaps a whole one.

    Whatever its bounds, no number is beyond `LARGEST`, and one above zero is at least `SMALLEST`.
    """

    unit: str = ""
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    whole: bool = False

    @property
    def allowed(self) -> str:
        bounds = [
            f"{sign} {bound:.12g}"
            for sign, bound in ((">", self.above), (">=", self.at_least), ("<=", self.at_most))
            if bound is not None
        ]
        kind = "whole number" if self.whole else self.unit or "number"
        return f"{kind} {' and '.join(bounds)}".strip()

    def read(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            kind = "a whole number" if self.whole else "a number"
            raise ScenarioError(f"must be {kind}, got {_shown(value)}")
        wrong = self.refusal(value)
        if wrong:
            raise ScenarioError(f"must be {wrong}, got {_shown(value)}")
        return value if self.whole else float(value)

    def refusal(self, value: float) -> str:
        """What a number would have to be and is not; empty if it may be."""
        if not abs(value) <= sys.float_info.max:
            return "finite"
        if self.above is not None and not value > self.above:
            return f"> {self.above:.12g}"
        if self.above == 0 and value < SMALLEST:
            return f">= {SMALLEST:g}"
        if self.at_least is not None and value < self.at_least:
            return f">= {self.at_least:.12g}"
        if self.at_most is not None and value > self.at_most:
            return f"<= {self.at_most:.12g}"
        if not self.whole and abs(value) > LARGEST:
            return f"{'<=' if value > 0 else '>='} {math.copysign(LARGEST, value):g}"
        return ""


@dataclass(frozen=True)
class Quantity(Declared):
    """A number >= 0 in a unit, or a distribution of it; with `positive` its mean is above zero."""

    unit: str
    positive: bool = False

    @property
    def allowed(self) -> str:
        return f"{self.unit} {'> 0' if self.positive else '>= 0'}, or a distribution"

    @property
    def domain(self) -> Domain:
        """The domain of a draw."""
        return Domain(self.unit, at_least=0)

    def read(self, value: Any) -> Any:
        law = read_distribution(value)
        if self.positive and not law.mean > 0:
            raise ScenarioError(f"must be > 0, got {_shown(value)}")
        return law


@dataclass(frozen=True)
class OneOf(Declared):
    """One of some words."""

    choices: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return ", ".join(self.choices)

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ScenarioError(f"must be a text, got {_shown(value)}")
        if value not in self.choices:
            raise ScenarioError(f"cannot be {value!r}", nearest_hint(value, self.choices))
        return value


@dataclass(frozen=True)
class Exactly(Declared):
    """A value of one type, named in words."""

    type: type
    words: str

    @property
    def allowed(self) -> str:
        return self.words

    def read(self, value: Any) -> Any:
        if not isinstance(value, self.type):
            raise ScenarioError(f"must be {self.words}, got {_shown(value)}")
        return value


class OneOrMore:
    """An array of tables; a single table counts as an array of one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def listed(value: Any) -> Any:
            return [value] if isinstance(value, (Mapping, SchemaTable)) else value

        return core_schema.no_info_before_validator_function(listed, handler(source))


Text = Annotated[str, Exactly(str, "a text")]
Flag = Annotated[bool, Exactly(bool, "true or false")]


def read_table(cls: type[T], table: Mapping[str, Any] | T) -> T:
    """Make `cls` of the keys of a TOML table, or check one that was made in Python.

    Raises ScenarioError with the path of the field, its value, what is allowed, and the nearest
    known key for an unknown one.
    """
    from pydantic import ValidationError

    try:
        made: T = _adapter(cls).validate_python(table)
        return made
    except ValidationError as error:
        raise _refusal(cls, table, error) from None


_ADAPTERS: dict[type, Any] = {}


def _adapter(cls: type) -> Any:
    from pydantic import TypeAdapter

    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return _ADAPTERS[cls]


def _refusal(cls: type[SchemaTable], table: Any, error: Any) -> ScenarioError:
    """The first of pydantic's errors in our words; an unknown key may be why another is missing."""
    errors = error.errors(include_url=False)
    unknown = [item for item in errors if item["type"] == "unexpected_keyword_argument"]
    first = (unknown or errors)[0]
    parts = _path(table, first["loc"])
    path, key = ".".join((*_outside(cls), *parts)), str(first["loc"][-1]) if first["loc"] else ""
    parent = ".".join((*_outside(cls), *parts[:-1]))
    place = f"[{parent}] " if parent else ""
    if unknown:
        inner = table_at(cls, parts[:-1])
        known = [item.name for item in dataclasses.fields(inner)] if inner else []  # type: ignore[arg-type]
        return ScenarioError(f"{place}unknown key {key!r}", nearest_hint(key, known))
    if first["type"] == "missing":
        return ScenarioError(f"{place}{key} is missing", "docs/scenarios.md lists every key")
    if first["type"] == "declared":
        return ScenarioError(f"{path} {first['ctx']['message']}", first["ctx"]["hint"])
    kind = {"dataclass_type": "a table", "tuple_type": "a list"}.get(first["type"])
    words = f"must be {kind}" if kind else first["msg"]
    return ScenarioError(f"{path} {words}, got {_shown(first['input'])}".strip())


def _outside(cls: type[SchemaTable]) -> list[str]:
    return cls.table.split(".") if cls.table else []


def _path(table: Any, place: Sequence[str | int]) -> list[str]:
    """A place in the tables as the parts of a dotted path; arrays of one need no index."""
    parts = []
    for step in place:
        if not isinstance(step, int):
            parts.append(step)
        elif isinstance(table, (list, tuple)) and len(table) > 1:
            parts.append(str(step))
        if isinstance(table, (list, tuple)) and isinstance(step, int):
            table = table[step]
        elif isinstance(step, str):
            table = table.get(step) if isinstance(table, Mapping) else getattr(table, step, None)
    return parts


def _shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    return reprlib.repr(value)


def table_at(cls: type[SchemaTable], parts: Sequence[str]) -> type[SchemaTable] | None:
    """The class of the table that a path leads to; None where it leads to a value or nowhere."""
    found = _walk(cls, parts)
    return found if isinstance(found, type) and issubclass(found, SchemaTable) else None


def declared_at(cls: type[SchemaTable], path: str) -> Declared | None:
    """What the field at a dotted path may hold; None for tables, arrays and unknown paths."""
    found = _walk(cls, path.split("."))
    return found if isinstance(found, Declared) else None


def _walk(cls: type[SchemaTable], parts: Sequence[str]) -> Any:
    """The table class or the declaration at the end of a path."""
    place: Any = cls
    array = False
    for part in parts:
        if isinstance(place, Quantity):
            place = place.domain  # a number of the distribution's table
        elif isinstance(place, type) and part in _hints(place):
            place, array = _inner(_hints(place)[part])
        elif not (array and isinstance(place, type)):
            return None
        else:
            array = False  # an index or a name in an array of tables
    return place


@cache
def _hints(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {item.name: hints[item.name] for item in dataclasses.fields(cls)}


def _inner(hint: Any) -> tuple[Any, bool]:
    """The table class or declaration of an annotation, and whether it is an array of it."""
    if get_origin(hint) in (Union, types.UnionType):
        return _inner(next(arg for arg in get_args(hint) if arg is not types.NoneType))
    if get_origin(hint) is Annotated:
        declared = [item for item in hint.__metadata__ if isinstance(item, Declared)]
        return (declared[0], False) if declared else _inner(get_args(hint)[0])
    if get_origin(hint) is tuple:
        return _inner(get_args(hint)[0])[0], True
    return hint, False
