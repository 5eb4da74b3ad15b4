"""A user's table of prices: device,price, by any name that the market knows."""

from __future__ import annotations

import csv
import io
import math
import reprlib
from collections.abc import Mapping
from pathlib import Path

from perfmodel.devices.market import Phone
from perfmodel.devices.market_search import find
from perfmodel.errors import PerfmodelError
from perfmodel.files import read_text_file

PRICED_BY = "the cheapest phone first, by the prices given"
MAX_BYTES, MAX_ROWS = 16_000_000, 100_000
MOST = 1e9  # of a currency; a price beyond it is a mistake


def read_prices(path: Path | None) -> Mapping[Phone, float]:
    """The least price of each phone that a table names; nothing without a table.

    Raises `PerfmodelError` with file and row for a phone that the market does not know and for what
    is no price. A name of several phones prices all of them.
    """
    if path is None:
        return {}
    text = read_text_file(path, "these prices", most_bytes=MAX_BYTES, error=PerfmodelError)
    reader = csv.DictReader(line for line in io.StringIO(text, newline="") if line[:1] != "#")
    if {"device", "price"} - set(reader.fieldnames or ()):
        raise PerfmodelError(f"{path}: no columns device,price", "prices have device,price")
    prices: dict[Phone, float] = {}
    for number, row in enumerate(reader, 1):
        where = f"{path}: row {number}"
        if number > MAX_ROWS:
            raise PerfmodelError(f"{path}: more than {MAX_ROWS} rows")
        price = _price(row["price"], where)
        named = find(row["device"] or "").phones
        if not named:
            raise PerfmodelError(
                f"{where}: {reprlib.repr(row['device'])} is no phone of the market"
            )
        for phone in named:
            prices[phone] = min(price, prices.get(phone, math.inf))
    if not prices:
        raise PerfmodelError(f"{path}: holds no price", "a row is device,price")
    return prices


def _price(text: str | None, where: str) -> float:
    try:
        price = float(text or "")
    except ValueError:
        price = -1.0
    if not 0 < price <= MOST:
        raise PerfmodelError(f"{where}: {reprlib.repr(text)} is no price")
    return price
