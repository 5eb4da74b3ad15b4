"""Published accuracy of a network of the zoo, by its parameters and precision."""

from __future__ import annotations

from functools import lru_cache

from perfmodel import zoo
from perfmodel.errors import PerfmodelError
from perfmodel.target import QUANTISED
from perfmodel.zoo import Accuracy

NO_MATTER = ("batch",)
"""Parameters that change no accuracy."""


@lru_cache(maxsize=4096)
def accuracy_of(spec: str, precision: str) -> Accuracy | None:
    """The published accuracy of a zoo spec at a target's precision; None where none is known.

    An int8 target needs a figure of the quantised network; all float precisions share one.
    """
    try:
        entry = zoo.entry(spec)
        wanted = _meaning(spec)
    except PerfmodelError:
        return None
    kind = "int8" if precision in QUANTISED else "float"
    for row in entry.accuracy:
        published = f"{entry.name}@{row.parameters}" if row.parameters else entry.name
        if row.precision == kind and _meaning(published) == wanted:
            return row
    return None


def _meaning(spec: str) -> tuple[tuple[str, object], ...]:
    _, given = zoo.parse_spec(spec)
    values = zoo.entry(spec).resolve(given)
    return tuple((k, v) for k, v in values.items() if k not in NO_MATTER)
