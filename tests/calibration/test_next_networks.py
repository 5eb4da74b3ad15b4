"""The planner prefers networks whose kernels are like those of interest and not yet known."""

from __future__ import annotations

import numpy as np

from perfmodel.calibration.next_networks import Planner
from perfmodel.graph.builder import GraphBuilder
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable


def chain(kernel: int, channels: int, size: int = 14) -> KernelTable:
    g = GraphBuilder("chain")
    x = g.input((1, size, size, channels))
    graph = g.build(g.conv(g.conv(x, channels, kernel), channels, kernel))
    return KernelTable.from_kernels(fuse(graph, "tflite-cpu"))


def test_a_network_like_those_of_interest_is_taken_first() -> None:
    candidates = [chain(1, 64), chain(3, 64), chain(3, 8)]
    planner = Planner([chain(3, 72)], candidates)
    assert planner.choose([], 1, np.ones(3, dtype=bool)) == [1]


def test_what_is_known_is_worth_less_than_what_is_not() -> None:
    candidates = [chain(3, 64), chain(3, 64), chain(1, 64)]
    planner = Planner([chain(3, 64), chain(1, 64)], candidates)
    first, second = planner.choose([], 2, np.ones(3, dtype=bool))
    assert {first, second} in ({0, 2}, {1, 2})


def test_the_unknown_shrinks_with_every_network_and_starts_at_all() -> None:
    candidates = [chain(3, 64), chain(3, 48), chain(1, 64)]
    planner = Planner([chain(3, 64)], candidates)
    shares = [planner.unknown(range(n)) for n in range(4)]
    assert shares[0] == 1.0
    assert shares[1] > shares[2] >= shares[3]


def test_only_allowed_candidates_are_chosen() -> None:
    planner = Planner([chain(3, 64)], [chain(3, 64), chain(3, 64)])
    assert planner.choose([], 5, np.array([False, True])) == [1]
