"""Phones are found by what people write, and not by what means another or nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from perfmodel.devices.market import phones
from perfmodel.devices.market_names import latin, plain, same_maker
from perfmodel.devices.market_search import find, looks_like_a_phone, nearest_in_market

SPELLINGS = Path(__file__).parent / "phone_spellings.csv"


def test_two_hundred_spellings_find_the_right_phone() -> None:
    with open(SPELLINGS, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = [
        (row["written"], [p.title for p in find(row["written"]).phones])
        for row in rows
        if plain(row["means"]) not in {plain(p.title) for p in find(row["written"]).phones}
    ]
    assert wrong == []
    assert len(rows) >= 200


def test_market_names_find_themselves() -> None:
    sample = phones()[5::41]
    lost = [
        p.title
        for p in sample
        if plain(p.model) not in {plain(f.model) for f in find(p.title).phones}
    ]
    assert len(lost) <= 0.01 * len(sample), lost


def test_variants_of_a_region_are_told_apart_by_their_chip_or_code() -> None:
    assert {c.slug for c in find("Galaxy S22").chips} == {"exynos-2200", "snapdragon-8-gen-1"}
    for text, slug in (
        ("Galaxy S22 Exynos", "exynos-2200"),
        ("Galaxy S22 (Snapdragon 8 Gen 1)", "snapdragon-8-gen-1"),
        ("SM-S901B", "exynos-2200"),
        ("SM-S901U", "snapdragon-8-gen-1"),
    ):
        assert [c.slug for c in find(text).chips] == [slug]
    # two makers' rows of one name: what is offered must not be what was asked
    for name in ("Galaxy S22", "Redmi Note 8"):
        for choice in find(name).choices():
            assert len(find(choice).chips) == 1


def test_a_makers_own_row_goes_before_a_carriers() -> None:
    assert {p.brand for p in find("Xperia 1 V").phones} == {"Sony"}
    assert {p.brand for p in find("SM-N975U").phones} <= {"samsung"}
    assert {p.brand.lower() for p in find("AQUOS sense5G").phones}.isdisjoint({"kddi", "docomo"})
    assert {p.brand for p in find("KDDI Galaxy S9+").phones} == {"KDDI"}


def test_a_name_without_its_maker_is_every_phone_of_that_name() -> None:
    assert {"CUBOT P40", "HUAWEI P40"} <= set(find("P40").choices())
    assert {p.title for p in find("CUBOT P40").phones} == {"CUBOT P40"}
    assert {p.title for p in find("Spark 7").phones} == {"TECNO SPARK 7"}


@pytest.mark.parametrize(
    "text",
    ["", " ", "/", "Samsung", "xeon-gold-6133", "7399", "x" * 5000, "\t", "6026", "C+G"],
)
def test_what_names_no_phone_finds_none(text: str) -> None:
    assert not find(text).phones


def test_nearest_names_are_like_what_was_written() -> None:
    assert nearest_in_market("Pixl 8")[0] == "Google Pixel 8"
    assert "Snapdragon 778G" in nearest_in_market("snapdragon 779")
    assert nearest_in_market("") == []
    assert nearest_in_market("xeon-gold-6133") == []


def test_names_of_makers_lines_and_chips_look_like_phones() -> None:
    for text in ("Galaxy S99", "iphone99", "Xiaomi 99", "snapdragon 999", "小米 99"):
        assert looks_like_a_phone(text)
    for text in ("xeon-gold-6133", "jetson-orin-nano", "cudnn", "", "rtx-3090"):
        assert not looks_like_a_phone(text)


def test_words_of_other_scripts_become_latin() -> None:
    assert plain(latin("갤럭시 S23 울트라")) == "galaxys23ultra"
    assert plain(latin("红米 Note 12")) == "redminote12"
    assert plain("Galaxy S23+") == "galaxys23plus"
    assert plain("Moto_G (2nd) 5G/4G+\t") == "motog2nd5g4gplus"
    assert plain("Mi 9\N{NO-BREAK SPACE}SE\N{FULLWIDTH PLUS SIGN}") == "mi9seplus"
    assert same_maker("Redmi", "XIAOMI")
    assert not same_maker("Redmi", "samsung")
