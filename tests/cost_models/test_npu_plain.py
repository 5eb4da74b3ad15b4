"""Four numbers a target: found again where they made the times, and mixed with costs by kind."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.cost_models.npu_plain import COLUMNS, blended, plain_costs
from perfmodel.cost_models.npu_predictor import COST_NAMES, NO_COST


def test_four_numbers_that_made_the_times_are_found_again() -> None:
    work = np.random.default_rng(0).lognormal(0, 1, (12, len(COST_NAMES)))
    true = np.array([2.0, 0.5, 1.5, 0.25])
    found = plain_costs(work, work[:, COLUMNS] @ true)
    assert np.exp(found[COLUMNS]) == pytest.approx(true, rel=1e-6)
    assert [COST_NAMES[i] for i in COLUMNS] == ["macs", "moved", "weights", "call"]
    others = np.delete(found, COLUMNS)
    assert (others == NO_COST).all()


def test_a_number_that_would_be_negative_costs_nothing() -> None:
    work = np.zeros((3, len(COST_NAMES)))
    work[:, COLUMNS[0]], work[:, COLUMNS[1]] = [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]
    found = plain_costs(work, np.array([1.0, 2.0, 3.0]))
    assert np.exp(found[COLUMNS]) == pytest.approx([1.0, 0, 0, 0], abs=1e-8)


def test_a_blend_takes_its_share_of_either_time() -> None:
    rng = np.random.default_rng(1)
    kind, plain, work = (rng.normal(size=len(COST_NAMES)) for _ in range(3))
    work = np.exp(work)
    mixed = work @ np.exp(blended(kind, plain, 0.3))
    assert mixed == pytest.approx(0.7 * work @ np.exp(kind) + 0.3 * work @ np.exp(plain))
    assert blended(kind, plain, 0.0) is kind
    assert blended(kind, plain, 1.0) == pytest.approx(plain)
