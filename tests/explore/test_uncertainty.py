"""The log-normal law through an interval."""

from __future__ import annotations

import pytest

from perfmodel.explore.latency_law import LatencyLaw


def test_the_bounds_of_a_90_percent_interval_are_its_5th_and_95th_percentile() -> None:
    law = LatencyLaw.of(10.0, 8.0, 15.0, 0.9)
    assert law.percentile_ms(5) == pytest.approx(8.0)
    assert law.percentile_ms(50) == pytest.approx(10.0)
    assert law.percentile_ms(95) == pytest.approx(15.0)


def test_the_99th_percentile_by_hand() -> None:
    # z(99) / z(95) = 2.3263 / 1.6449 = 1.41428; 10 x 1.5 ^ 1.41428 = 17.743
    assert LatencyLaw.of(10.0, 8.0, 15.0).percentile_ms(99) == pytest.approx(17.743, rel=1e-4)


@pytest.mark.parametrize("percentile", [1, 20, 50, 80, 99])
def test_the_chance_is_the_inverse_of_the_percentile(percentile: float) -> None:
    law = LatencyLaw.of(3.0, 2.0, 9.0, 0.8)
    assert law.chance_within(law.percentile_ms(percentile)) == pytest.approx(percentile / 100)


def test_a_certain_latency_is_within_or_not() -> None:
    law = LatencyLaw.of(10.0, 10.0, 10.0)
    assert (law.chance_within(10.0), law.chance_within(9.999)) == (1.0, 0.0)
