"""The minimum phone over the market: verdicts, shares, order, memory, fleets, prices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel.devices.market import Phone, chips, phones
from perfmodel.devices.market_search import find
from perfmodel.devices.market_years import came_out
from perfmodel.errors import PerfmodelError
from perfmodel.explore.market_minspec import MarketMinSpec, _newest, market_minspec
from perfmodel.explore.memory_gate import MB_OF_MIB, RUNTIME_MB, free_mb, lacks_memory
from perfmodel.units import format_ms

SINCE = 2023


@pytest.fixture(scope="module")
def answer() -> MarketMinSpec:
    return market_minspec("mobilenet_v3_small", 4.0, since=SINCE, every_phone=True)


def phone(ram_mb: float, brand: str = "x") -> Phone:
    return Phone(
        brand=brand,
        model="m",
        names=(),
        devices=(),
        codes=(),
        chip="snapdragon-888",
        ram_mb=(ram_mb, 2 * ram_mb),
        sdk=30,
        year=None,
        source="C",
        year_source="",
    )


def test_every_phone_is_counted_once_and_shares_add_up(answer: MarketMinSpec) -> None:
    asked = [p for p in phones() if (came_out(p) or SINCE) >= SINCE]
    assert sum(answer.counts.values()) == len(asked) == len(answer.rows)
    share = answer.fleet
    assert share.passing + share.failing + share.unknown == pytest.approx(1.0)
    assert share.passing == answer.counts["pass"] / len(asked)
    assert sum(r.verdict == "pass" for r in answer.rows) == answer.counts["pass"]
    assert 0 < answer.counts["pass"] < len(asked)
    assert 0 < share.passing <= share.expected <= 1


def test_verdicts_follow_the_percentile_and_the_chance(answer: MarketMinSpec) -> None:
    assert all(a.latency_ms <= 4.0 and a.chance >= 0.949 for a in answer.passing)
    assert all(0.05 < a.chance < 0.951 for a in answer.border)
    assert {a.device for a in answer.border} <= {a.device for a in answer.failing}
    apart = [a for a in answer.failing if a.verdict == "fail"]
    assert all(a.chance <= 0.051 for a in apart)
    assert apart


def test_what_another_limit_fails_no_chance_of_the_latency_helps() -> None:
    asked = market_minspec("mobilenet_v3_small", 1000.0, max_memory_mb=1.0, since=2025)
    failing = [a for a in asked.failing if a.reason.startswith("memory")]
    assert any(a.chance > 0.5 for a in failing)
    assert {a.verdict for a in failing} == {"fail"}
    assert (asked.border, asked.fleet.expected) == ((), 0.0)


def test_a_precision_that_is_named_is_no_lack_of_others() -> None:
    named = market_minspec("mobilenet_v3_small", 4.0, since=2025, precision="int8")
    assert {a.precision for a in (*named.passing, *named.failing)} == {"int8"}
    reasons = {a.precision_reason for a in (*named.passing, *named.failing)}
    assert all("quantised version in int8" in reason for reason in reasons)
    assert not any("no other target" in reason for reason in reasons)


def test_the_oldest_chip_comes_first_and_the_answer_says_so(answer: MarketMinSpec) -> None:
    years = [a.year for a in answer.passing]
    assert years == sorted(y for y in years if y is not None)
    assert answer.minimum == answer.passing[0]
    assert "oldest" in answer.order
    assert answer.slowest is not None
    assert answer.slowest.latency_ms == max(a.latency_ms for a in answer.passing)


def test_measured_chips_answer_measured_and_others_from_their_sheets(answer: MarketMinSpec) -> None:
    everyone = {a.device: a for a in (*answer.passing, *answer.failing)}
    assert everyone["tensor-g3"].basis.startswith("from its spec sheet")
    assert any(a.basis.startswith("measured as") for a in everyone.values())


def test_the_curve_rises_to_the_share_of_the_limit(answer: MarketMinSpec) -> None:
    limits = [x for x, _ in answer.curve]
    shares = [y for _, y in answer.curve]
    assert limits == sorted(limits)
    assert shares == sorted(shares)
    at_limit = max(y for x, y in answer.curve if x <= 4.0)
    assert at_limit == pytest.approx(answer.fleet.passing)


def test_a_phone_needs_memory_beside_the_system_and_the_runtime() -> None:
    assert free_mb(phone(4000)) == pytest.approx((4000 - 944) * MB_OF_MIB)
    assert free_mb(phone(1000)) == pytest.approx((1000 - 512) * MB_OF_MIB)
    assert free_mb(phone(4096, "Apple")) == pytest.approx(0.375 * 4096 * MB_OF_MIB)
    free = (1000 - 512) * MB_OF_MIB
    assert not lacks_memory(phone(1000), free - RUNTIME_MB - 1)
    assert lacks_memory(phone(1000), free - RUNTIME_MB + 1)


def test_a_fleets_rows_are_told_apart_and_add_up(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.csv"
    fleet.write_text(
        "device,share\nGalaxy S23,40\nSM-A525F,10\nHelio G99,20\nGalaxy S22,5\nno such phone,25\n"
    )
    prices = tmp_path / "prices.csv"
    prices.write_text("device,price\nGalaxy S23,799\n")
    found = market_minspec("mobilenet_v3_small", 10.0, since=2023, fleet=fleet, prices=prices)
    rows = {r.device: r for r in found.rows}
    quick = next(p for p in found.passing if p.title == "Snapdragon 8 Gen 2 for Galaxy")
    assert list(rows) == ["Galaxy S23", "SM-A525F", "Helio G99", "Galaxy S22", "no such phone"]
    assert rows["no such phone"].verdict == "unknown"
    assert rows["Galaxy S23"].verdict == "pass"
    assert rows["Galaxy S23"].chip == "Snapdragon 8 Gen 2 for Galaxy"
    assert rows["Galaxy S23"].why.startswith(f"{format_ms(quick.latency_ms)} on its {quick.unit}")
    assert all(r.why for r in found.rows)
    assert {r.device: r.price for r in found.rows if r.price is not None} == {"Galaxy S23": 799}
    assert rows["Galaxy S22"].chip == "Snapdragon 8 Gen 1, Exynos 2200"
    share = found.fleet
    assert share.passing + share.failing + share.unknown == pytest.approx(1.0)
    assert share.unknown >= 0.25


def test_prices_put_the_cheapest_first(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text("device,price\nGalaxy S23,799\nPixel 8,499\niPhone 15,600\n")
    found = market_minspec("mobilenet_v3_small", 33.0, since=2023, prices=prices)
    assert [a.price for a in found.passing[:3]] == [499, 600, 799]
    assert found.minimum is not None
    assert found.minimum.device == "tensor-g3"
    assert "cheapest" in found.order
    prices.write_text("device,price\nno such phone,5\n")
    with pytest.raises(PerfmodelError, match="row 1"):
        market_minspec("mobilenet_v3_small", 33.0, prices=prices)
    prices.write_text("device,price\nPixel 8,-5\n")
    with pytest.raises(PerfmodelError, match="no price"):
        market_minspec("mobilenet_v3_small", 33.0, prices=prices)


def test_a_year_that_no_source_says_is_that_of_chip_and_android() -> None:
    galaxy = find("Galaxy S23").phones[0]
    assert came_out(galaxy) == 2023
    assert chips()["snapdragon-888"].year == 2020
    assert came_out(phone(4000)) == 2020


def test_examples_are_the_newest_phones_none_named_twice() -> None:
    made = [
        replace(phone(4096), model=model, year=year)
        for model, year in (("b", 2020), ("a", 2020), ("c", 2019), ("b", 2021), ("z", 2018))
    ]
    assert _newest(made) == ("x b", "x a", "x c")
    assert _newest([*made, replace(made[2], source="C+G")]) == ("x c", "x b", "x a")
    assert _newest(made[:1] * 2) == ("x b",)
    assert _newest([]) == ()
