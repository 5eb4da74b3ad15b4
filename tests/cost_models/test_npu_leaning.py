"""Networks lean to what networks that spend their time alike take; by hand."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.cost_models.network_correction import LARGEST_LOG
from perfmodel.cost_models.npu_known import TimedNetworks
from perfmodel.cost_models.npu_leaning import LENGTH, NOISE, leanings, pulls, roots_of_shares
from perfmodel.cost_models.npu_terms import NPU_TERM_NAMES

TERMS = len(NPU_TERM_NAMES)


def test_a_network_spends_shares_of_its_time_whatever_its_size() -> None:
    roots = roots_of_shares(np.array([[1.0, 3.0], [2.0, 6.0], [0.0, 0.0]]))
    assert roots[0] == pytest.approx([0.5, np.sqrt(0.75)])
    assert roots[1] == pytest.approx(roots[0])
    assert roots[2].tolist() == [0.0, 0.0]


def test_one_known_network_pulls_its_like_most_of_the_way_and_others_less() -> None:
    known = np.array([[1.0, 0.0]])
    turned = np.array([np.cos(0.3), np.sin(0.3)])
    asked = np.array([[1.0, 0.0], turned, [0.0, 1.0]])
    found = leanings(asked, known, pulls(known, np.array([0.3])))
    own = 0.3 / (1 + NOISE**2)
    apart = 2 * np.sin(0.15)
    assert found[0] == pytest.approx(own)
    assert found[1] == pytest.approx(own * np.exp(-0.5 * (apart / LENGTH) ** 2))
    assert abs(found[2]) < 0.01


def test_known_networks_that_contradict_each_other_say_their_mean() -> None:
    known = np.array([[1.0, 0.0], [1.0, 0.0]])
    found = leanings(known[:1], known, pulls(known, np.array([[0.3, -0.3], [0.2, 0.4]])))
    assert found[:, 0] == pytest.approx([0.0, 0.6 / (2 + NOISE**2)])


def test_a_network_on_a_path_of_its_own_pulls_nobody() -> None:
    known = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = pulls(known, np.array([0.7, 0.2]))
    assert found == pytest.approx([0.0, 0.2 / (1 + NOISE**2)], abs=1e-6)
    # by the median of targets; what one target misses by more counts as much as the bound
    several = pulls(known[:1], np.array([[0.1], [0.2], [3.0]]))
    assert several[:, 0] == pytest.approx(np.array([0.1, 0.2, LARGEST_LOG]) / (1 + NOISE**2))


def test_networks_lean_as_far_as_the_target_says() -> None:
    work = np.zeros((2, TERMS))
    work[0, 0], work[1, 1] = 2.0, 5.0
    known = TimedNetworks(work=work, beyond=np.array([0.4, -0.2]), lean=0.5)
    asked = np.zeros((1, TERMS))
    asked[0, 0] = 7.0
    half = known.at(np.zeros(TERMS)).leaning(asked)
    assert half == pytest.approx([0.5 * 0.4 / (1 + NOISE**2)], abs=0.005)
    none = TimedNetworks(work=work, beyond=known.beyond).at(np.zeros(TERMS))
    assert none.leaning(asked).tolist() == [0.0]
