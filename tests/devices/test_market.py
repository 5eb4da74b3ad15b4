"""The market's tables: what a chip's and a phone's record holds, and names of chips."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfmodel.devices.market import CHIP_FILE, PHONE_FILE, SOURCES, Cluster, chip, chips, phones
from perfmodel.devices.market_years import GUESSED_WITHIN_A_YEAR, came_out, stated_year


def test_a_chip_holds_its_spec_sheet() -> None:
    found = chip("Snapdragon 778G")
    assert found is not None
    assert found.clusters == (
        Cluster(1, "Cortex-A78", 2400),
        Cluster(3, "Cortex-A78", 2200),
        Cluster(4, "Cortex-A55", 1900),
    )
    assert found.cores_text == "1xCortex-A78@2.4+3xCortex-A78@2.2+4xCortex-A55@1.9"
    assert (found.fp16, found.dotprod, found.i8mm) == (True, True, False)
    assert (found.gpu, found.gpu_mhz, found.gpu_gflops) == ("Adreno 642L", 550, 844.8)
    assert found.gpu_gflops == found.gpu_lanes_per_core * 2 * found.gpu_mhz / 1e3  # type: ignore[operator]
    assert found.mem_bandwidth_gbs == 32 / 8 * 2 * 3200 / 1e3
    assert (found.npu_tops, found.grade, found.year) == (12, "middle", 2021)


def test_every_field_says_how_sure_it_is() -> None:
    found = chip("Snapdragon 778G")
    assert found is not None
    assert found.confidence("clusters") == "several sources"
    assert found.confidence("gpu_gflops") == "one source"
    assert found.confidence("fp16") == "general knowledge"
    assert found.confidence("core_mw") == "not known"
    letters = {x for c in chips().values() for s in c.sources.values() for x in s if x.isupper()}
    assert {"C", "G", "S"} <= letters & set(SOURCES)


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("snapdragon 778g", "snapdragon-778g"),
        ("Qualcomm Snapdragon 778G 5G", "snapdragon-778g"),
        ("SM7325", "snapdragon-778g"),
        ("sm8550-ab", "snapdragon-8-gen-2"),
        ("SM8550-AB Snapdragon 8 Gen 2", ""),
        ("Snapdragon 855 (SM8150)", "snapdragon-855"),
        ("Snapdragon 855+ (SM8150-AC)", "snapdragon-855-plus"),
        ("snapdragon-855-plus", "snapdragon-855-plus"),
        ("sd870", "snapdragon-870"),
        ("Dimensity 9300", "dimensity-9300"),
        ("MT6989", "dimensity-9300"),
        ("天玑 9300", "dimensity-9300"),
        ("骁龙 8 Gen 2", "snapdragon-8-gen-2"),
        ("Google Tensor G3", "tensor-g3"),
        ("Exynos 2200", "exynos-2200"),
        ("엑시노스 2200", "exynos-2200"),
        ("A15", "apple-a15-bionic"),
        ("Apple A15", "apple-a15-bionic"),
        ("Apple A7 (APL0698)", "apple-a7"),
        ("Kirin 990 5G", "kirin-990-5g"),
        ("Kirin 990", "kirin-990"),
        ("MSM8974", "snapdragon-800"),
        ("Snapdragon", ""),
        ("xeon-gold-6133", ""),
        ("", ""),
    ],
)
def test_a_chip_is_found_as_people_write_it(text: str, slug: str) -> None:
    found = chip(text)
    assert ("" if found is None else found.slug) == slug


def test_every_chip_finds_itself_and_every_phone_has_one() -> None:
    assert [
        c.slug for c in chips().values() if chip(c.name) is not c or chip(c.slug) is not c
    ] == []
    assert {p.chip for p in phones()} - set(chips()) == {""}
    assert sum(not p.chip for p in phones()) < 0.003 * len(phones())


def test_a_phone_holds_its_names_and_memory() -> None:
    found = next(p for p in phones() if p.model == "Galaxy S23")
    assert found.title == "Samsung Galaxy S23"
    assert "SM-S911B" in found.codes
    assert "dm1q" in found.devices
    assert found.ram_mb == (7399, 7425)
    assert (found.chip, found.year, found.sdk) == ("snapdragon-8-gen-2-for-galaxy", 2023, 33)


def test_tables_are_small_and_hold_no_prices() -> None:
    assert CHIP_FILE.stat().st_size + PHONE_FILE.stat().st_size <= 1_500_000
    assert "price" not in PHONE_FILE.read_text(encoding="utf-8").split("\n")[0]


def test_a_phone_is_dated_by_its_chip_and_android_as_well_as_is_said() -> None:
    dated = [p for p in phones() if stated_year(p) is not None and "C" in p.source]
    guesses = [(p.year, came_out(replace(p, year=None))) for p in dated]
    near = sum(guess is not None and abs(guess - year) <= 1 for year, guess in guesses if year)
    assert near / len(dated) == pytest.approx(GUESSED_WITHIN_A_YEAR, abs=0.005)


def test_the_year_of_a_later_namesake_is_not_believed() -> None:
    old = next(p for p in phones() if (p.title, p.chip) == ("vivo Y31", "snapdragon-410"))
    assert (old.year, old.sdk, stated_year(old), came_out(old)) == (2021, 22, None, 2015)
    three = replace(old, year=2018)
    assert (stated_year(three), came_out(three)) == (2018, 2018)
    four = replace(old, year=2019)
    assert (stated_year(four), came_out(four)) == (None, 2015)
    # a phone whose makers kept an old Android on a new chip
    assert came_out(replace(old, chip="snapdragon-888", year=2021)) == 2021
    unknown = replace(old, chip="", sdk=None)
    assert came_out(unknown) == 2021


@pytest.mark.parametrize(
    ("phone", "chip"),
    [
        ("Pixel 7a", "tensor-g2"),
        ("POCO M5", "helio-g99"),
        ("Redmi 11 Prime", "helio-g99"),
        ("Redmi K50", "dimensity-8100"),
        ("Redmi K50 Pro", "dimensity-9000"),
    ],
)
def test_a_phone_that_the_catalogue_has_wrong_has_its_own_chip(phone: str, chip: str) -> None:
    assert [p.chip for p in phones() if p.model == phone] == [chip]
