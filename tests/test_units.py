"""Numbers as text."""

from __future__ import annotations

import pytest

from perfmodel.units import format_short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (21.0, "21"),
        (5.254, "5.25"),
        (0.0366, "0.0366"),
        (999.4, "999"),
        (999.6, "1000"),
        (5757.0, "5760"),
        (1.25e6, "1250000"),
        (0.0, "0"),
    ],
)
def test_a_short_number_has_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert format_short(value) == text
