"""Text for people: tables line up, bars have their length, nothing steers a terminal."""

from __future__ import annotations

import pytest

from perfmodel.errors import printable
from perfmodel.render.text import bar, chance, percent, table


def test_a_table_lines_up_with_numbers_to_the_right() -> None:
    shown = table(("name", "ms", "share"), [("a", "1.5", "3 %"), ("longer", "10.25", "100 %")])
    assert shown.splitlines() == [
        "name       ms  share",
        "------  -----  -----",
        "a         1.5    3 %",
        "longer  10.25  100 %",
    ]


@pytest.mark.parametrize(
    ("cells", "to_the_right"),
    [
        (["1", "20"], True),
        (["1,000", "-2.5"], True),
        (["1.5e-5", "2"], True),
        (["<1 %", "≥90 %"], True),
        (["12 ms", "-"], True),
        (["", "7"], True),
        (["2.5*", "?"], True),
        (["12 ms to 14 ms", "3 ms to 4 ms"], False),
        (["48 % of the time", "2"], False),
        (["1x2x3", "4"], False),
        (["v2", "v3"], False),
        (["1.2.3", "4"], False),
    ],
)
def test_a_column_of_numbers_is_told_from_one_of_words(
    cells: list[str], to_the_right: bool
) -> None:
    header = "a header that is wider"
    lines = table((header, "x"), [(c, "x") for c in cells]).splitlines()[2:]
    assert [line.startswith(" ") for line in lines] == [to_the_right] * 2


def test_an_empty_table_has_its_headers() -> None:
    assert table(("a", "b"), []).splitlines() == ["a  b", "-  -"]


@pytest.mark.parametrize(
    ("share", "length"), [(0.0, 0), (0.001, 1), (0.5, 12), (0.49, 12), (1.0, 24), (2.0, 24)]
)
def test_a_bar_is_as_long_as_its_share(share: float, length: int) -> None:
    assert bar(share) == "█" * length
    assert bar(-1.0) == ""


def test_shares_are_percent_and_a_missing_one_is_a_dash() -> None:
    assert [percent(0.123), percent(0.123, 1), percent(None)] == ["12 %", "12.3 %", "-"]


@pytest.mark.parametrize(
    ("probability", "says"),
    [
        (1.0, "over 99 %"),
        (0.991, "over 99 %"),
        (0.99, "99 %"),
        (0.5, "50 %"),
        (0.01, "1 %"),
        (0.009, "under 1 %"),
        (0.0, "under 1 %"),
    ],
)
def test_a_chance_is_never_certain(probability: float, says: str) -> None:
    assert chance(probability) == says


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 12 µs ≤ 3", "plain text, 12 µs ≤ 3"),
        ("a\nb", "a\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202eback", "\\u202eback"),
        ("\x07", "\\x07"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert table(("h",), [(text,)]).splitlines()[2] == shown


ROWS = [("network_of_a_long_name", "a text of some forty characters, or more", "1.5", "a note")]
WIDE = ("network", "why", "ms", "note")


@pytest.mark.parametrize(
    ("width", "optional", "shown"),
    [
        (None, ("note",), "network_of_a_long_name  a text of some forty characters, or more  1.5"),
        (77, ("note",), "network_of_a_long_name  a text of some forty characters, or more  1.5"),
        (76, (), "network_of_a_long_name  a text of some forty characters, or mo…  1.5  a note"),
        (58, ("note",), "network_of_a_long_name  a text of some forty charact…  1.5"),
        (65, ("note",), "network_of_a_long_name  a text of some forty charac…  1.5  a note"),
        (64, ("note",), "network_of_a_long_name  a text of some forty characters, o…  1.5"),
        (50, ("note", "ms"), "network_of_a_long_name  a text of some forty char…"),
        (50, (), "network_of_a_long_…  a text of some …  1.5  a note"),
        (20, (), "network_of_a_lo…  a text of some …  1.5  a note"),
    ],
)
def test_a_table_loses_what_is_optional_then_the_ends_of_its_texts(
    width: int | None, optional: tuple[str, ...], shown: str
) -> None:
    lines = table(WIDE, ROWS, width=width, optional=optional).splitlines()
    assert lines[2].startswith(shown)
    assert ("note" in lines[0]) == ("a note" in lines[2])
    assert len(lines) == (3 if width in (None, 77) else 4)


def test_a_narrow_table_says_what_is_missing() -> None:
    lines = table(WIDE, ROWS, width=58, optional=("note",)).splitlines()
    said = "(without note and with texts cut to fit 58 characters; --json has all)"
    assert lines[3] == said
    assert {len(line) for line in lines[1:3]} == {58}
    bars = table(("a", ""), [("x" * 40, "#" * 20)], width=50, optional=("",)).splitlines()
    assert bars == ["a", "-" * 40, "x" * 40]
