"""Reading numbers, text and tables of a stranger's file, each with the name of what is wrong.

Every function returns the value checked and raises `ProfileError` that names the field. They are
plain functions, not a schema library: a profile holds thousands of numbers, and a command that
needs one of fifty models must not wait for the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from perfmodel.errors import ProfileError

Range = tuple[tuple[float, ...], tuple[float, ...]]
"""Lowest and highest value of some features."""


def only(data: Mapping[str, Any], known: Collection[str], needed: Collection[str] = ()) -> None:
    """Refuse fields that are not known, and miss those that are needed."""
    extra = sorted(set(data) - set(known))
    if extra:
        raise ProfileError(f"{extra[0]:.60}: unknown field; known: {', '.join(sorted(known))}")
    missing = sorted(set(needed) - set(data))
    if missing:
        raise ProfileError(f"{missing[0]}: is missing")


def number(value: Any, where: str, low: float, high: float) -> float:
    """A number from `low` to `high`; no NaN, and true is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProfileError(f"{where}: must be a number, got {value!r:.60}")
    if not low <= value <= high:
        raise ProfileError(f"{where}: must lie in {low:g} to {high:g}, got {value!r:.60}")
    return float(value)


def numbers(value: Any, where: str, length: int, low: float, high: float) -> tuple[float, ...]:
    """A list of `length` numbers, each from `low` to `high`."""
    if not isinstance(value, (list, tuple)) or len(value) != length:
        raise ProfileError(f"{where}: must be a list of {length} numbers")
    return tuple(number(v, where, low, high) for v in value)


def flag(value: Any, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ProfileError(f"{where}: must be true or false, got {value!r:.60}")
    return value


def choice(value: Any, where: str, choices: Collection[str]) -> str:
    """One of some words."""
    if not isinstance(value, str) or value not in choices:
        raise ProfileError(f"{where}: must be one of {', '.join(choices)}, got {value!r:.60}")
    return value


def table(value: Any, where: str, most: int) -> dict[str, Any]:
    """An object of at most `most` entries."""
    if not isinstance(value, dict) or len(value) > most:
        raise ProfileError(f"{where}: must be an object of at most {most} entries")
    return value


def rows(
    value: Any, where: str, most: int, length: int, limit: float
) -> dict[str, tuple[float, ...]]:
    """A list of `length` numbers, at most `limit` either way of zero, for each name."""
    return {
        name: numbers(row, f"{where}.{name:.40}", length, -limit, limit)
        for name, row in table(value, where, most).items()
    }


def ranges(value: Any, where: str, most: int, length: int, limit: float) -> dict[str, Range]:
    """[low, high] for each name, each a list of `length` numbers."""
    out: dict[str, Range] = {}
    for name, pair in table(value, where, most).items():
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise ProfileError(f"{where}.{name:.40}: must be [low, high]")
        low, high = (numbers(side, f"{where}.{name:.40}", length, -limit, limit) for side in pair)
        out[name] = (low, high)
    return out


def names(value: Any, where: str) -> Sequence[str]:
    """A list of words."""
    if not isinstance(value, list) or not all(isinstance(n, str) for n in value):
        raise ProfileError(f"{where}: must be a list of names")
    return value


def joined_ranges(one: Mapping[str, Range], other: Mapping[str, Range]) -> dict[str, Range]:
    """The widest range of each name."""
    out = dict(one)
    for name, (low, high) in other.items():
        if name in out:
            low = tuple(min(a, b) for a, b in zip(low, out[name][0], strict=True))
            high = tuple(max(a, b) for a, b in zip(high, out[name][1], strict=True))
        out[name] = (low, high)
    return out
