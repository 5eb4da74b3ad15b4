"""The arena: against liveness by hand, a brute-force optimum and its own invariants."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from perfmodel.graph import Graph, GraphBuilder
from perfmodel.kernels import plan_memory
from perfmodel.kernels.memory import Lifetime, lifetimes, max_live_bytes, pack


def chain(*channels: int) -> Graph:
    b = GraphBuilder("chain")
    y = b.input((1, 4, 4, channels[0]))
    for c in channels[1:]:
        y = b.conv(y, c, 1)
    return b.build(y)


def test_a_chain_holds_the_input_and_two_neighbours() -> None:
    # 64 bytes a channel (16 pixels * 4 bytes): the input (2) stays, then 8 + 16 live together
    graph = chain(2, 8, 16, 4, 1)
    plan = plan_memory(graph)
    assert plan.max_live_bytes == 64 * (2 + 8 + 16)
    assert plan.arena_bytes == plan.max_live_bytes


def test_a_skip_connection_stays_alive() -> None:
    b = GraphBuilder("skip")
    x = b.input((1, 4, 4, 1))
    y = b.conv(x, 8, 1, name="y")
    z = b.conv(b.conv(y, 16, 1, name="wide"), 8, 1, name="z")
    graph = b.build(b.conv(b.binary("maximum", y, z), 1, 1))
    # the input 1, y 8, wide 16 and z 8 while z is made
    assert plan_memory(graph).max_live_bytes == 64 * (1 + 8 + 16 + 8)


def test_views_and_in_place_sums_take_no_memory_of_their_own() -> None:
    b = GraphBuilder("views")
    x = b.input((1, 4, 4, 1))
    y = b.conv(x, 8, 1)
    y = b.binary("add", y, b.conv(x, 8, 1))
    y = b.reshape(y, (1, 128))
    graph = b.build(b.fc(y, 2))
    shared, apart = plan_memory(graph), plan_memory(graph, share=False)
    assert shared.max_live_bytes == 64 * (1 + 8 + 8)
    assert apart.max_live_bytes == 64 * (1 + 8 + 8 + 8)


def test_an_operand_that_is_read_again_is_not_overwritten() -> None:
    b = GraphBuilder("again")
    y = b.conv(b.input((1, 4, 4, 1)), 8, 1, name="y")
    z = b.binary("add", y, y, name="z")
    graph = b.build(b.concat([y, z], name="out"))
    assert plan_memory(graph).offsets["y"] != plan_memory(graph).offsets["z"]


def random_lives(rng: np.random.Generator, count: int, ops: int) -> dict[str, Lifetime]:
    first = rng.integers(0, ops, count)
    last = np.minimum(ops - 1, first + rng.integers(0, 4, count))
    size = 64 * rng.integers(1, 9, count)
    return {
        f"t{i}": Lifetime(int(s), int(a), int(z))
        for i, (s, a, z) in enumerate(zip(size, first, last, strict=True))
    }


def arena_of(lives: dict[str, Lifetime], offsets: dict[str, int]) -> int:
    return max(offsets[n] + lives[n].size_bytes for n in lives)


def best_arena(lives: dict[str, Lifetime]) -> int:
    """The optimum: lowest fit in the best of all orders (a bottom-left packing is one of them)."""
    best = 1 << 62
    for order in itertools.permutations(lives):
        offsets: dict[str, int] = {}
        for name in order:
            taken = sorted(
                (offsets[o], offsets[o] + lives[o].size_bytes)
                for o in offsets
                if lives[o].overlaps(lives[name])
            )
            cursor = 0
            for low, high in taken:
                if low - cursor >= lives[name].size_bytes:
                    break
                cursor = max(cursor, high)
            offsets[name] = cursor
        best = min(best, arena_of(lives, offsets))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_greedy_arena_is_close_to_the_brute_force_optimum(seed: int) -> None:
    lives = random_lives(np.random.default_rng(seed), 6, 8)
    arena = arena_of(lives, pack(lives))
    optimum = best_arena(lives)
    assert max_live_bytes(lives) <= optimum <= arena
    assert arena <= 1.35 * optimum


@pytest.mark.parametrize("seed", range(20))
def test_tensors_that_live_together_never_overlap(seed: int) -> None:
    lives = random_lives(np.random.default_rng(100 + seed), 40, 30)
    offsets = pack(lives)
    for a, b in itertools.combinations(lives, 2):
        if lives[a].overlaps(lives[b]):
            apart = (
                offsets[a] + lives[a].size_bytes <= offsets[b]
                or offsets[b] + lives[b].size_bytes <= offsets[a]
            )
            assert apart, (a, b)
    assert arena_of(lives, offsets) >= max_live_bytes(lives)


def test_lifetimes_end_with_the_last_reader() -> None:
    graph = chain(1, 2, 3)
    assert {n: (v.first_op, v.last_op) for n, v in lifetimes(graph).items()} == {
        "input_0": (0, 1),
        "conv2d_0": (0, 1),
        "conv2d_1": (1, 1),
    }
