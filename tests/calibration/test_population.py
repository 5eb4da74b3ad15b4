"""A population is data: written, read, checked, and interpolated where it was calibrated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel.calibration.population import (
    from_dict,
    precision_class,
    read_population,
    shipped_population,
    to_dict,
    write_population,
)
from perfmodel.errors import ProfileError
from perfmodel.target import Target
from tests.calibration.made_up import network, population

SMALL = replace(population([network(i) for i in range(5)], 6), width_factors={0: 2.0, 3: 1.0})


def test_a_population_survives_its_file(tmp_path: Path) -> None:
    path = write_population(SMALL, tmp_path)
    read = read_population(path)
    assert path.name == "networks-ncnn-cpu-float.json"
    assert (read.names, read.networks, read.width_factors) == (
        SMALL.names,
        SMALL.networks,
        SMALL.width_factors,
    )
    for name in ("log_cost", "log_ms", "anchors"):
        assert getattr(read, name) == pytest.approx(getattr(SMALL, name), abs=1e-4)
    assert read.measured.dtype == bool
    first = path.read_bytes()
    assert write_population(SMALL, tmp_path).read_bytes() == first


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("features", ["direct_macs"], "another version"),
        ("log_cost", [[1.0, 2.0]], "log_cost"),
        ("log_ms", "soon", "log_ms"),
        ("work", [[float("nan")] * 3], "work"),
        ("names", [], "names"),
        ("names", 7, "names"),
        ("cores", ["4xCortex-A76@2"], "cores"),
        ("noise_sd", 0.0, "noise_sd"),
        ("strange_sd", True, "strange_sd"),
        ("width_factors", {"many": 1.0}, "width_factors"),
        ("width_factors", {"3": -1.0}, "3"),
        ("ranges", [], "ranges"),
        ("surprise", 1, "unknown field"),
    ],
)
def test_damaged_data_are_refused_with_the_field(field: str, value: Any, said: str) -> None:
    with pytest.raises(ProfileError, match=said):
        from_dict({**to_dict(SMALL), field: value})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "perfmodel-population"}', "[" * 9999])
def test_a_file_that_is_none_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(ProfileError, match=r"p\.json"):
        read_population(path)


def test_a_file_beyond_the_size_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"format": "x" * 8_000_001}))
    with pytest.raises(ProfileError, match="more than a population may have"):
        read_population(path)


def test_width_factors_are_interpolated_on_a_logarithmic_scale() -> None:
    assert SMALL.width_factor(0) == 2.0
    assert SMALL.width_factor(3) == SMALL.width_factor(50) == 1.0
    # log1p(1) is half of log1p(3)
    assert SMALL.width_factor(1) == pytest.approx(1.5)


def test_without_leaves_out_the_masked_targets_only() -> None:
    left = SMALL.without(np.arange(6) == 2)
    assert left.names == SMALL.names[:2] + SMALL.names[3:]
    assert left.log_ms.tolist() == np.delete(SMALL.log_ms, 2, axis=0).tolist()
    assert len(left.measured) == len(left.log_cost) == 5


@pytest.mark.parametrize(
    ("unit", "precision"), [("cpu", "float"), ("cpu", "int8"), ("gpu", "fp16")]
)
def test_the_populations_of_ncnn_ship(unit: str, precision: str) -> None:
    found = shipped_population(Target("x", unit, "ncnn", precision, 4, ""))
    assert found is not None
    assert (found.unit, found.precision) == (unit, precision_class(precision))
    assert len(found.names) > 40
    assert 1.0 < found.width_factor(10) < 3.0


def test_another_framework_has_none() -> None:
    assert shipped_population(Target("x", "cpu", "testware", "fp32", 4, "")) is None
