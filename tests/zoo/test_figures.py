"""The tables of published figures: what is printed, as numbers."""

from __future__ import annotations

import csv
from importlib import resources

import pytest

from perfmodel import zoo
from perfmodel.zoo.figures import printed_number


@pytest.mark.parametrize(
    ("text", "value", "rounding"),
    [
        ("569M", 569e6, 1e6),
        ("4.24M", 4.24e6, 0.01e6),
        ("15.5G", 15.5e9, 0.1e9),
        ("73K", 73e3, 1e3),
        ("25,557,032", 25_557_032, 0),
        # 29 MiB of 32-bit numbers: 29 * 1,048,576 / 4
        ("29MiB", 7_602_176, 262_144),
    ],
)
def test_a_printed_number_has_a_value_and_its_last_digit(
    text: str, value: float, rounding: float
) -> None:
    found, unit = printed_number(text)
    assert found == pytest.approx(value, rel=1e-12)
    assert unit == pytest.approx(rounding, rel=1e-12)


def test_what_is_not_printed_has_no_value() -> None:
    assert printed_number("") == (None, 0.0)


@pytest.mark.parametrize("table", ["published_figures.csv", "accuracy.csv"])
def test_every_row_is_of_a_network_of_the_zoo_and_none_is_there_twice(table: str) -> None:
    text = resources.files("perfmodel.zoo").joinpath(table).read_text(encoding="utf-8")
    rows = [tuple(row.items()) for row in csv.DictReader(text.splitlines())]
    assert {dict(row)["network"] for row in rows} <= set(zoo.names())
    assert len(set(rows)) == len(rows) >= 125


def test_the_first_published_figure_is_of_the_default_parameters() -> None:
    first = zoo.entry("mobilenet_v1").published[0]
    assert (first.macs, first.params, first.parameters) == (569e6, 4.24e6, "")
    assert first.macs_rounding == 1e6
    assert first.source.startswith("https://github.com/tensorflow/models")


def test_accuracies_are_by_variant_and_precision() -> None:
    known = {(a.parameters, a.precision): a.value for a in zoo.entry("mobilenet_v1").accuracy}
    assert known["", "float"] == 71.0
    assert known["", "int8"] == 70.0
    assert known["width=0.5,resolution=160", "float"] == 59.0
