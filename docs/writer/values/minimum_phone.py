"""The picture and the figures of docs/minimum-phone.md."""

from __future__ import annotations

from dataclasses import replace

from docs.writer.page import Made
from perfmodel.devices.market import phones
from perfmodel.devices.market_years import came_out, stated_year
from perfmodel.explore.market_minspec import market_minspec
from perfmodel.render.minspec import minspec_data, minspec_result
from perfmodel.render.result import ResultFigure


def years() -> dict[str, str]:
    """How many phones the catalogue lists, and how well their years are known."""
    listed = [phone for phone in phones() if "C" in phone.source]
    dated = [phone for phone in listed if stated_year(phone) is not None]
    guesses = [(phone.year, came_out(replace(phone, year=None))) for phone in dated]
    near = sum(guess is not None and abs(guess - year) <= 1 for year, guess in guesses if year)
    return {
        "MODELS": f"{len(listed):,}",
        "GUESSED": f"{100 * (1 - len(dated) / len(listed)):.0f} %",
        "WITHIN_A_YEAR": f"{100 * near / len(dated):.0f} %",
    }


def make() -> Made:
    """The share of phones that keep a limit, against the limit, and the figures of the text."""
    found = market_minspec("mobilenet_v3_small", 33.0, since=2019)
    parts = minspec_result(minspec_data(found)).parts
    figure = next(part for part in parts if isinstance(part, ResultFigure))
    return Made(years(), {"img/minimum-phone.svg": figure.draw()})
