"""The arena: against liveness by hand, a brute-force optimum and its own invariants."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from perfmodel.graph import Graph, GraphBuilder
from perfmodel.kernels import memory, plan_memory
from perfmodel.kernels.memory import Lifetime, lifetimes, max_live_bytes, pack
from perfmodel.workload import workload


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


def packed_one_by_one(lives: dict[str, Lifetime], alignment: int) -> dict[str, int]:
    """TensorFlow Lite's planner as its source tells it, tensor by tensor."""
    end = max(life.last_op for life in lives.values())

    def turn(name: str) -> tuple[bool, int, int]:
        life = lives[name]
        return (life.first_op, life.last_op) != (0, end), -life.size_bytes, life.first_op

    offsets = {n: 0 for n in lives if not lives[n].size_bytes}
    for name in sorted((n for n in lives if lives[n].size_bytes), key=turn):
        placed = [o for o in offsets if lives[o].size_bytes and lives[o].overlaps(lives[name])]
        cursor, best, least = 0, -1, 0
        for other in sorted(placed, key=offsets.__getitem__):
            room = offsets[other] - cursor
            if room >= lives[name].size_bytes and (best < 0 or room < least):
                best, least = cursor, room
            stop = offsets[other] + lives[other].size_bytes
            cursor = max(cursor, -(-stop // alignment) * alignment)
        offsets[name] = cursor if best < 0 else best
    return offsets


@pytest.mark.parametrize("scale", [1, 10**17])
@pytest.mark.parametrize("seed", range(15))
def test_the_arena_is_that_of_the_planner_tensor_by_tensor(seed: int, scale: int) -> None:
    rng = np.random.default_rng(200 + seed)
    lives = random_lives(rng, 60, 40)
    lives |= {f"odd{i}": Lifetime(int(rng.integers(0, 200)), 0, 39) for i in range(3)}
    lives = {n: Lifetime(v.size_bytes * scale, v.first_op, v.last_op) for n, v in lives.items()}
    for alignment in (1, 64):
        assert pack(lives, alignment) == packed_one_by_one(lives, alignment)


def test_the_arena_of_many_tensors_looks_at_no_pair_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten thousand operators have fifty million pairs of tensors."""

    def looked_at(self: Lifetime, other: Lifetime) -> bool:
        raise AssertionError("a pair")

    monkeypatch.setattr(Lifetime, "overlaps", looked_at)
    lives = {f"t{i}": Lifetime(64, i, i + 1) for i in range(2000)}
    assert set(pack(lives).values()) == {0, 64}


def test_frameworks_that_run_the_same_graph_share_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    plan = memory.plan_memory
    monkeypatch.setattr(memory, "plan_memory", lambda graph: asked.append(graph) or plan(graph))
    graph = chain(2, 8, 16, 4, 1)
    works = [workload(graph, rules) for rules in ("ncnn", "tflite-cpu", "tflite-gpu")]
    assert len({work.peak_activation_bytes for work in works}) == 1
    assert len(asked) == 1
    assert asked[0] is works[0].graph
    changed = dataclasses.replace(graph, name="another")
    assert workload(changed, "ncnn").peak_activation_bytes == works[0].peak_activation_bytes
    assert len(asked) == 2
