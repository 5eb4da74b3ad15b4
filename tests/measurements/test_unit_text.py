"""Conversions and number formatting."""

from __future__ import annotations

import pytest

from perfmodel import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10min", 600),
        ("3min", 180),
        ("90s", 90),
        ("1h30min", 5400),
        ("250ms", 0.25),
        ("1.5 h", 5400),
    ],
)
def test_durations_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert units.parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "min", "-3min", "3 minutes", "0s", "1e3s", "nan s"])
def test_durations_without_a_unit_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a number and a unit"):
        units.parse_duration_s(text)


def test_decimal_and_binary_sizes_differ() -> None:
    assert units.parse_bytes("12 MB") == 12_000_000
    assert units.parse_bytes("12 MiB") == 12 * 1024 * 1024
    assert units.format_bytes(13_978_600) == "14.0 MB"
    assert units.format_bytes(14 * 2**20, binary=True) == "14.0 MiB"
    assert units.format_bytes(2**30) == "1.07 GB"
    with pytest.raises(ValueError, match="KiB"):
        units.parse_bytes("12 megs")


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0.0123, "12.3 us"),
        (0.9996, "1.00 ms"),
        (16.5446, "16.5 ms"),
        (999.7, "1000 ms"),
        (25_000, "25.0 s"),
        (600_000, "10.0 min"),
        (float("nan"), "not known"),
    ],
)
def test_latencies_read_naturally(ms: float, text: str) -> None:
    assert units.format_ms(ms) == text


@pytest.mark.parametrize(
    ("count", "text"), [(950, "950"), (5.713e9, "5.71 G"), (999_900, "1.00 M"), (1.2e3, "1.20 k")]
)
def test_counts_have_decimal_prefixes(count: float, text: str) -> None:
    assert units.format_count(count) == text


def test_a_link_of_8_mbps_carries_a_million_bytes_per_second() -> None:
    assert units.mbps_to_bytes_per_s(8) == 1e6
