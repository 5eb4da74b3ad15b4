"""What ships of spec sheets is learned by a public function, with chips left out where asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

import perfmodel
from perfmodel.calibration.from_spec import facts_key
from perfmodel.calibration.learn_sheets import ncnn_populations
from perfmodel.devices.sheet_data import MeasuredSheet, Sheets
from perfmodel.target import Target
from validation.data.sheets import device_facts

PHONE = "huawei-p40"
OLD = "snapdragon-675"
"""A phone that an old version of ncnn measured."""


@pytest.fixture(scope="module")
def facts() -> Mapping[str, MeasuredSheet]:
    """Sheets of eight devices, so that learning takes a second."""
    known = device_facts()
    devices = dict.fromkeys(s.target.device for s in known.values() if s.kind == "phone")
    some = [PHONE, OLD, *(d for d in devices if d not in (PHONE, OLD))][:8]
    return {k: s for k, s in known.items() if s.target.device in some}


@pytest.fixture(scope="module")
def learned(facts: Mapping[str, MeasuredSheet]) -> Sheets:
    return perfmodel.learn_sheets(facts, populations=ncnn_populations()[:2])


def test_a_chip_that_is_left_out_gives_neither_speed_nor_shape(
    facts: Mapping[str, MeasuredSheet], learned: Sheets
) -> None:
    chip = facts[facts_key(PHONE, "cpu")].chip
    less = perfmodel.learn_sheets(facts, populations=ncnn_populations()[:1], without={chip})
    assert chip in {s.chip for s in learned.known}
    assert {s.chip for s in less.known} == {s.chip for s in learned.known} - {chip}
    mine = {str(s.target) for s in learned.known if s.chip == chip}
    assert mine & {s.model for s in learned.shapes if isinstance(s.model, str)}
    assert not mine & {s.model for s in less.shapes if isinstance(s.model, str)}


def test_runs_in_integers_are_learned_as_old_as_those_in_floats(learned: Sheets) -> None:
    old = {s.target.precision for s in learned.known if s.target.device == OLD and s.old}
    assert old == {"float", "int8"}


def test_targets_are_answered_by_their_sheets_alone(
    facts: Mapping[str, MeasuredSheet], learned: Sheets
) -> None:
    target = Target("made", "cpu", "ncnn", "float", 4, "big")
    sheet = replace(facts[facts_key(PHONE, "cpu")], target=target, chip="made")
    slow = replace(
        sheet, target=replace(target, device="slow"), cores=_at_half_the_clock(sheet.cores)
    )
    unknown = replace(sheet, target=Target("made", "cpu", "darknet", "float", 4))
    profiles = perfmodel.sheet_profiles([sheet, slow, unknown], learned)
    assert [p.device for p in profiles] == ["made", "slow"]
    assert [str(t.target) for t in profiles[0].targets] == [str(target)]
    fast_ms, slow_ms = (
        perfmodel.predict("mobilenet_v2", f"{p.device}/cpu/ncnn", profiles=[p]).latency_ms
        for p in profiles
    )
    assert 1.5 < slow_ms / fast_ms < 2.2


def _at_half_the_clock(cores: str) -> str:
    clusters = [c.rpartition("@") for c in cores.split("+")]
    return "+".join(f"{name}@{float(clock) / 2:g}" for name, _, clock in clusters)
