"""The picture of docs/minimum-phone.md."""

from __future__ import annotations

from docs.writer.page import Made
from perfmodel.explore.market_minspec import market_minspec
from perfmodel.render.minspec import minspec_data, minspec_result
from perfmodel.render.result import ResultFigure


def make() -> Made:
    """The share of phones that keep a limit, against the limit."""
    found = market_minspec("mobilenet_v3_small", 33.0, since=2019)
    parts = minspec_result(minspec_data(found)).parts
    figure = next(part for part in parts if isinstance(part, ResultFigure))
    return Made({}, {"img/minimum-phone.svg": figure.draw()})
