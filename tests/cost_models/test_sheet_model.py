"""The speed of a target from its sheet: against the formulas written out, and what must hold."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.cost_models.sheet_model import KnownRow, SheetModel, SheetRow

FEATURES = {"clock": (-1.0, 0.1)}
LEVELS = {"core": 0.3, "chip": 0.2}


def row(chip: str, core: str, clock: float, memory_ms: float = 0.0) -> SheetRow:
    return SheetRow(
        name=chip,
        chip=chip,
        features={"clock": float(np.log(clock))},
        effects={"core": (core, 1.0), "chip": (chip, 1.0)},
        memory_ms=memory_ms,
    )


def model(*known: tuple[SheetRow, float]) -> SheetModel:
    rows = tuple(KnownRow(row=r, log_ms=y, variance=0.01) for r, y in known)
    return SheetModel(known=rows, features=FEATURES, levels=LEVELS)


def test_nothing_known_gives_the_prior() -> None:
    said = model().expect([row("new", "a", 2.0)])
    assert said.log_ms[0] == pytest.approx(5.0 - np.log(2.0))
    # slope 0.1 x ln 2, core 0.3, chip 0.2, noise 0.1
    assert said.sd[0] == pytest.approx(np.sqrt((0.1 * np.log(2)) ** 2 + 0.09 + 0.04 + 0.01))


def test_one_known_target_against_the_formula() -> None:
    """Same core, other chip, clock 1: gain is 0.3^2 over 0.3^2 + 0.2^2 + 0.1^2."""
    said = model((row("old", "a", 1.0), 6.0)).expect([row("new", "a", 1.0)])
    gain = 0.09 / (0.09 + 0.04 + 0.01)
    assert said.log_ms[0] == pytest.approx(5.0 + gain * 1.0)
    assert said.sd[0] == pytest.approx(np.sqrt(0.13 - gain * 0.09 + 0.01))
    assert said.leans[0, 0] == pytest.approx(0.09 / 0.13)


def test_a_measurement_moves_the_other_targets_of_its_chip_most() -> None:
    start = model((row("old", "a", 1.0), 5.0))
    more = start.with_known([KnownRow(row=row("new", "a", 1.0), log_ms=5.5, variance=0.01)])
    asked = [row("new", "b", 1.0), row("other", "a", 1.0), row("stranger", "c", 1.0)]
    moved = more.expect(asked).log_ms - start.expect(asked).log_ms
    assert moved[0] > 0.05
    assert moved[1] > 0.05
    assert moved[2] == pytest.approx(0.0)
    assert (more.expect(asked).sd <= start.expect(asked).sd + 1e-12).all()


def test_memory_does_not_hurry_with_the_clock() -> None:
    known = model((row("old", "a", 1.0, 50.0), np.log(150.0)))
    slow, fast = np.exp(
        known.expect([row("new", "a", 1.0, 50.0), row("new", "a", 2.0, 50.0)]).log_ms
    )
    assert fast - 50.0 == pytest.approx((slow - 50.0) / 2, rel=0.01)


def test_the_part_that_is_memory_is_surer() -> None:
    bare, waiting = model().expect([row("new", "a", 1.0), row("new", "a", 1.0, 100.0)]).sd
    # arithmetic is exp(5) of exp(5) + 100 ms
    assert waiting == pytest.approx(bare * np.exp(5.0) / (np.exp(5.0) + 100.0))


def test_an_odd_run_loses_its_weight() -> None:
    rows = [(row(f"c{i}", "a", 1.0), 5.0) for i in range(6)]
    odd = model(*rows, (row("odd", "a", 1.0), 8.0)).robust()
    assert odd.known[-1].variance > 1.0
    assert odd.known[0].variance == pytest.approx(0.01)
    said = odd.expect([row("new", "a", 1.0)])
    assert said.log_ms[0] == pytest.approx(5.0, abs=0.15)


def test_a_chip_left_out_is_gone() -> None:
    known = model((row("old", "a", 1.0), 6.0), (row("odd", "b", 1.0), 7.0))
    assert [k.row.chip for k in known.without_chip("odd").known] == ["old"]


def test_whom_it_leans_on_may_leave_levels_out() -> None:
    known = model((row("same", "b", 1.0), 6.0), (row("other", "a", 1.0), 6.0))
    leans = known.expect([row("same", "a", 1.0)], apart_from=("chip",)).leans
    assert leans[0].tolist() == pytest.approx([0.0, 1.0])
