"""Networks whose family no target ran: what they miss, and how much wider they are for it."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.calibration.strange_networks import (
    StrangeNetworks,
    strange_networks,
    strange_width,
)
from perfmodel.cost_models.work_predictor import work_matrix
from tests.calibration.made_up import costs, network

TABLES = [network(seed) for seed in range(6)]
COSTS = np.array([costs(1), costs(2)])


def by_costs() -> np.ndarray:
    work = np.array([work_matrix(t, "fp32").sum(axis=0) for t in TABLES])
    return np.log(np.exp(COSTS) @ work.T)


def test_every_family_is_asked_of_fits_that_never_saw_it() -> None:
    left = []

    def costs_without(families: list[str]) -> np.ndarray:
        left.append(tuple(families))
        return COSTS

    log_ms = by_costs() + np.log([[1.0], [1.5]])
    log_ms[1, 4] = np.nan
    found = strange_networks(log_ms, list("aabbcd"), TABLES, "fp32", costs_without)
    assert left == [("a", "d"), ("b",), ("c",)]
    assert found.by_costs[0] == pytest.approx(0.0, abs=1e-9)
    assert found.by_costs[1, :4] == pytest.approx(np.log(1.5))
    assert np.isnan(found.missed[1, 4])
    assert found.typical == pytest.approx(np.median([0.0] * 6 + [np.log(1.5)] * 5), abs=1e-9)


def test_a_network_that_is_like_a_known_one_takes_its_misfit_and_is_no_stranger() -> None:
    """The first and the second are one network by other names: both take 1.4 times their costs."""
    tables = [TABLES[0], TABLES[0], *TABLES[2:]]
    work = np.array([work_matrix(t, "fp32").sum(axis=0) for t in tables])
    log_ms = np.log(np.exp(COSTS) @ work.T)
    log_ms[:, :2] += np.log(1.4)
    found = strange_networks(log_ms, list("abcdef"), tables, "fp32", lambda left: COSTS)
    assert found.by_costs[:, :2] == pytest.approx(np.log(1.4))
    assert found.missed[:, :2] == pytest.approx(0.0, abs=1e-4)
    assert found.strange[:2] == pytest.approx(0.0, abs=1e-4)
    assert found.strange[2:].min() > 0.5
    # it tells nothing of what strangers need
    assert len(found.beyond(0, 0.1)) == (found.strange > 0.5).sum()


def test_sizes_that_no_other_family_has_make_a_network_novel() -> None:
    large = network(3, batch=8)
    small = [network(3), network(3), network(3)]
    found = strange_networks(
        np.zeros((2, 4)), list("abcd"), [*small, large], "fp32", lambda left: COSTS
    )
    assert found.novelty[:, 3].min() > 0.5
    assert found.novelty[:, 1] == pytest.approx(0.0)


def test_only_what_the_target_and_novelty_do_not_hold_is_added() -> None:
    left = StrangeNetworks(
        by_costs=np.zeros((1, 4)),
        missed=np.array([[0.5, 0.5, 0.2, np.nan]]),
        novelty=np.array([[0.0, 0.2, 0.0, 0.0]]),
        strange=np.array([1.0, 0.8, 1.0, 1.0]),
    )
    # 0.3 of its own: 0.5 is the root of 0.3^2 + 0.4^2; novelty 0.2 holds 0.1 of the second, and
    # four fifths of what is added the remaining 0.1; the third is inside
    expected = [0.4, np.sqrt((0.3 + 0.1 / 0.8) ** 2 - 0.3**2), 0.0]
    assert left.beyond(0, 0.3) == pytest.approx(expected)


def test_a_network_that_is_held_anyway_needs_nothing_whatever_the_width() -> None:
    held = StrangeNetworks(
        by_costs=np.zeros((1, 3)),
        missed=np.zeros((1, 3)),
        novelty=np.zeros((1, 3)),
        strange=np.ones(3),
    )
    for own_log in np.linspace(0.001, 0.9, 300).tolist():
        assert held.beyond(0, own_log).tolist() == [0.0] * 3


def test_nine_of_ten_strangers_are_held_and_none_is_sure() -> None:
    assert strange_width([np.arange(1.0, 5.0), np.arange(5.0, 10.0)]) == 9.0
    assert strange_width([np.zeros(5)]) == 0.01
    assert strange_width([]) == strange_width([np.zeros(0)]) == 0.3
