"""How finely times were written down is read off their digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.resolution import (
    decimals,
    resolutions_ms,
    rounding_variance,
    spread_variance,
)

HEADER = "device,unit,framework,precision,threads,source,model,latency_ms\n"


def rows(path: Path, *lines: str) -> np.ndarray:
    path.write_text(HEADER + "\n".join(lines) + "\n")
    return resolutions_ms(read_measurements([path])[0])


@pytest.mark.parametrize(("value", "digits"), [(20.0, 0), (3.5, 1), (3.25, 2), (0.1234567, 4)])
def test_decimals_are_those_that_were_written(value: float, digits: int) -> None:
    assert decimals(value) == digits


def test_whole_milliseconds_are_recognised_by_all_rows_of_a_source(tmp_path: Path) -> None:
    found = rows(
        tmp_path / "t.csv",
        "a,cpu,tflite,fp32,4,paper,resnet18,40",
        "a,cpu,tflite,fp32,4,paper,resnet50,120",
        "a,cpu,tflite,fp32,4,blog,resnet18,41.5",
        "a,cpu,tflite,fp32,4,blog,resnet50,120",
        "b,cpu,tflite,fp32,4,paper,resnet18,39.1234",
    )
    assert found == pytest.approx([1.0, 1.0, 0.1, 0.1, 0.0])


def test_rounding_adds_the_variance_of_a_uniform_law() -> None:
    """Simulated: times are rounded to whole milliseconds and compared with what they were."""
    rng = np.random.default_rng(0)
    exact = 8.0 + rng.random(200_000)
    seen = np.var(np.log(exact) - np.log(np.floor(exact) + 0.5))
    assert rounding_variance(1.0, 8.5) == pytest.approx(seen, rel=0.01)


def test_a_fine_time_has_none_and_a_time_of_zero_is_not_certain() -> None:
    assert rounding_variance(0.0, 5.0) == 0.0
    assert rounding_variance(1.0, 1e-3) == pytest.approx(1.0 / 3.0)


@pytest.mark.parametrize(
    ("low", "mean", "high", "spread"),
    [
        (10.0, 12.0, float("nan"), np.log(1.2)),
        (float("nan"), 10.0, 15.0, np.log(1.5)),
        (10.0, 11.0, 16.5, np.log(1.5)),
        (float("nan"), float("nan"), 12.0, np.log(1.2)),
        (float("nan"), float("nan"), float("nan"), 0.0),
        (12.0, 10.0, float("nan"), 0.0),
        (1.0, 1000.0, float("nan"), 1.0),
    ],
)
def test_the_spread_of_the_runs_joins_the_variance(
    low: float, mean: float, high: float, spread: float
) -> None:
    row = {"latency_ms": 10.0, "min_ms": low, "mean_ms": mean, "p90_ms": high}
    assert spread_variance(row) == pytest.approx((0.3 * spread) ** 2)
