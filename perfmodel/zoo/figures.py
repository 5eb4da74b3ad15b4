"""Published MACs, parameters and accuracies of the networks, from two tables with their sources.

published_figures.csv holds figures as they are printed ("569M"), pack/published.csv those of the
networks of the pack, accuracy.csv accuracies; they are read when they are asked for.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

_UNITS = {"K": 1e3, "M": 1e6, "G": 1e9}
_FLOATS_OF_MEBIBYTE = 2**20 // 4
"""Parameters in a mebibyte of a file of 32-bit numbers, for networks published by their file."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """MACs and parameters as printed in a source, for one choice of parameters.

    `parameters` are those that differ from the entry's defaults, as in a spec ("width=0.5").
    `macs_rounding` and `params_rounding` are one unit of the last printed digit (sources
    round or cut). `note` explains a difference of more than 1 % between the source and our count.
    """

    source: str
    macs: float | None = None
    params: float | None = None
    parameters: str = ""
    macs_rounding: float = 0.0
    params_rounding: float = 0.0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """A published accuracy of one variant.

    `metric` is for example "imagenet_top1" (percent); `precision` is float or int8; `parameters` as
    in `Published`.
    """

    parameters: str
    precision: str
    metric: str
    value: float
    source: str


def published_figures(network: str) -> tuple[Published, ...]:
    """What sources print about a network of the zoo, in the order of the table."""
    return _published().get(network, ())


def published_accuracy(network: str) -> tuple[Accuracy, ...]:
    """Published accuracies of a network of the zoo, in the order of the table."""
    return _accuracy().get(network, ())


@cache
def _published() -> dict[str, tuple[Published, ...]]:
    found: dict[str, list[Published]] = {}
    for row in (*_rows("published_figures.csv"), *_rows("pack/published.csv")):
        macs, macs_rounding = printed_number(row["macs"])
        params, params_rounding = printed_number(row["params"])
        made = Published(
            source=row["source"],
            macs=macs,
            params=params,
            parameters=row["parameters"],
            macs_rounding=macs_rounding,
            params_rounding=params_rounding,
            note=row["note"],
        )
        found.setdefault(row["network"], []).append(made)
    return {name: tuple(rows) for name, rows in found.items()}


@cache
def _accuracy() -> dict[str, tuple[Accuracy, ...]]:
    found: dict[str, list[Accuracy]] = {}
    for row in _rows("accuracy.csv"):
        made = Accuracy(
            parameters=row["parameters"],
            precision=row["precision"],
            metric=row["metric"],
            value=float(row["value"]),
            source=row["source"],
        )
        found.setdefault(row["network"], []).append(made)
    return {name: tuple(rows) for name, rows in found.items()}


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = resources.files("perfmodel.zoo").joinpath(name).read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines())


def printed_number(text: str) -> tuple[float | None, float]:
    """Value and one unit of the last digit of "569M", "4.24M", "15.5G", "25,557,032" or "29MiB".

    The last is a file of 32-bit numbers. No text is None; a number with every digit has no
    rounding.
    """
    if not text:
        return None, 0.0
    if text.endswith("MiB"):
        digits, unit = text.removesuffix("MiB"), float(_FLOATS_OF_MEBIBYTE)
    else:
        digits, unit = text.rstrip("".join(_UNITS)).replace(",", ""), _UNITS.get(text[-1], 1.0)
    decimals = len(digits.partition(".")[2])
    return float(digits) * unit, 0.0 if unit == 1.0 else unit / 10**decimals
