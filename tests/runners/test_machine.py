"""How far busy processes of this machine get in each other's way."""

from __future__ import annotations

import sys

import pytest

from perfmodel.errors import RunnerError
from perfmodel.runners import machine
from perfmodel.runners.machine import busy_scaling, shares_cores


def test_the_best_of_three_counts_for_one_process_and_for_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = iter([90.0, 100.0, 80.0, 150.0, 160.0, 170.0])
    asked: list[tuple[int, float]] = []

    def work(processes: int, seconds: float) -> float:
        asked.append((processes, seconds))
        return next(told)

    monkeypatch.setattr(machine, "_work", work)
    assert busy_scaling(2, 0.5) == pytest.approx(1.7)
    assert asked == [(1, 0.5)] * 3 + [(2, 0.5)] * 3


def test_processes_do_work_and_several_are_counted_together() -> None:
    # a hundredth of a second holds many rounds of a few microseconds
    assert machine._work(1, 0.01) > 0
    assert machine._work(2, 0.01) > 0


def test_two_processes_share_a_core_below_half_of_a_second_ones_work() -> None:
    assert shares_cores(1.09, 2)
    assert shares_cores(1.49, 2)
    assert not shares_cores(1.5, 2)
    assert shares_cores(2.4, 4)
    assert not shares_cores(2.5, 4)


def test_a_machine_that_starts_no_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(RunnerError, match="could not be probed"):
        machine._work(1, 0.01)
