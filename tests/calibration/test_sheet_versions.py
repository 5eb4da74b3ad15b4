"""Which measured targets were run by versions of ncnn that did not use wide units yet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfmodel.calibration.from_spec import Facts, sheets_of, shipped_facts, with_versions
from perfmodel.calibration.learn_sheets import ncnn_populations
from perfmodel.calibration.population import Population
from perfmodel.devices.sheet_data import shipped_sheets

OLD, NEW = "snapdragon-675/cpu", "snapdragon-855-plus/cpu"


@pytest.fixture(scope="module")
def populations() -> dict[str, Population]:
    return {f"{p.unit} {p.precision}": p for p in ncnn_populations()}


@pytest.fixture(scope="module")
def unknown() -> Facts:
    """Sheets of both devices that do not say by which version they were measured."""
    return {key: replace(shipped_facts()[key], old=False) for key in (OLD, NEW)}


def old_ones(population: Population, facts: Facts) -> set[str]:
    found = sheets_of(population, facts)
    return {f"{s.target.device}/cpu" for s in found if s is not None and s.old} & {OLD, NEW}


def test_the_newest_networks_tell_old_runs(
    populations: dict[str, Population], unknown: Facts
) -> None:
    assert old_ones(populations["cpu float"], unknown) == {OLD}
    dated = with_versions(unknown, list(populations.values()))
    assert {key: sheet.old for key, sheet in dated.items()} == {OLD: True, NEW: False}


def test_runs_in_integers_are_as_old_as_the_devices_runs_in_floats(
    populations: dict[str, Population], unknown: Facts
) -> None:
    """No network that int8 was measured with is new enough to tell."""
    assert old_ones(populations["cpu int8"], unknown) == set()
    dated = with_versions(unknown, [populations["cpu float"]])
    assert old_ones(populations["cpu int8"], dated) == {OLD}
    # versions of another framework are not told apart
    other = populations["cpu int8"]
    named = tuple(name.replace("/ncnn/", "/tflite/") for name in other.names)
    assert old_ones(replace(other, names=named), dated) == set()


def test_shipped_sheets_say_which_are_old() -> None:
    assert {key: shipped_facts()[key].old for key in (OLD, NEW)} == {OLD: True, NEW: False}
    runs = [s for s in shipped_sheets().known if f"{s.target.device}/{s.target.unit}" == OLD]
    assert {s.target.precision for s in runs} == {"float", "int8"}
    assert all(s.old for s in runs)


def test_a_device_that_another_framework_measured_too_is_as_old_as_ncnns_runs() -> None:
    both = {s.target.device for s in shipped_sheets().known if s.target.framework != "ncnn"}
    for s in shipped_sheets().known:
        if s.target.device in both and s.target.framework == "ncnn" and s.target.unit == "cpu":
            assert shipped_facts()[f"{s.target.device}/cpu"].old == s.old
