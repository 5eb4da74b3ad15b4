"""Plans against brute force on random small graphs, and hand arithmetic."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from perfmodel.errors import PartitionError
from perfmodel.graph import Graph, Op, Tensor
from perfmodel.plans import segments
from perfmodel.plans.layers import Crossing, Layer, LayerGraph
from perfmodel.plans.optimal import (
    alternating_order,
    best_path,
    least_energy_path,
    sides_latency_ms,
    two_sides,
)
from perfmodel.plans.segments import (
    SegmentCosts,
    all_states,
    order_states,
    prefix_states,
    segment_costs,
)
from perfmodel.plans.units import SlowStorage, Transfer, Unit

TOUCHED_BYTES = 8
"""What each operator of a random graph works on: one number of fp32 that it reads, one it makes."""


def random_layers(generator: np.random.Generator, n: int, chain: bool) -> LayerGraph:
    """A random layer graph; times and sizes are small whole numbers so that sums are exact."""
    ops = tuple(Op(f"op{i}", "relu", (f"t{i - 1}",), (f"t{i}",)) for i in range(n))
    graph = Graph("random", {f"t{i}": Tensor(f"t{i}", (1,)) for i in range(-1, n)}, ops, (), ())
    readers: dict[int, set[int]] = {i: set() for i in range(-1, n)}
    for i in range(n):
        back = 1 if chain else int(generator.integers(1, 4))
        readers[max(-1, i - back)].add(i)
        if not chain and generator.random() < 0.4:
            readers[int(generator.integers(-1, i))].add(i)
    for i in range(n):
        if not readers[i]:
            readers[i].add(n)
    crossings = tuple(
        Crossing(f"t{i}", int(generator.integers(1, 50)) * 64, i, tuple(sorted(readers[i])))
        for i in range(-1, n)
        if readers[i]
    )
    weights = tuple(int(w) for w in generator.integers(0, 100, n))
    layers = tuple(Layer((i,), (i,), f"op{i}", "convolutional") for i in range(n))
    return LayerGraph(
        graph=graph,
        layers=layers,
        crossings=crossings,
        weights_bytes=weights,
        params=weights,
        largest_weight_bytes=weights,
    )


def random_units(generator: np.random.Generator, n: int, count: int) -> list[Unit]:
    units = []
    for number in range(count):
        times = generator.integers(1, 40, n).astype(float)
        if number and generator.random() < 0.3:
            times[generator.integers(0, n)] = np.inf
        transfer = Transfer(float(generator.integers(0, 6)), 64.0) if number else Transfer()
        memory = 250.0 if generator.random() < 0.2 and number else np.inf
        heavy = generator.random(n) < 0.2
        extra = np.where(heavy | np.isinf(times), 0.0, 2.0 * times)
        effect = SlowStorage(heavy=heavy, extra_ms=extra) if generator.random() < 0.5 else None
        units.append(
            Unit(
                name=f"u{number}",
                target=f"d/u{number}",
                layer_ms=times,
                layer_mj=generator.integers(1, 9, n).astype(float),
                dispatch_ms=float(generator.integers(0, 4)),
                cut_ms=float(generator.integers(0, 3)),
                memory_bytes=memory,
                inward=transfer,
                outward=transfer,
                moves_ends=bool(generator.random() < 0.5),
                storage=effect,
            )
        )
    return units


def segment_ms(layers: LayerGraph, unit: Unit, chosen: set[int], done: set[int]) -> float:
    """Cost of one segment from the definition, tensor by tensor."""
    n = len(layers)
    if sum(layers.weights_bytes[i] for i in chosen) + TOUCHED_BYTES > unit.memory_bytes:
        return np.inf
    total = unit.dispatch_ms + (unit.cut_ms if len(chosen) < n else 0.0)
    slow = unit.storage
    falls_back = slow is not None and any(slow.heavy[i] for i in chosen)
    for i in chosen:
        total += float(unit.layer_ms[i])
        if slow is not None and falls_back:
            total += float(slow.extra_ms[i])
    for c in layers.crossings:
        made_before = c.maker in done or (c.maker < 0 and unit.moves_ends)
        if made_before and any(r in chosen for r in c.readers):
            total += float(unit.inward.latency_ms(1, c.size_bytes))
        ends = [n] if n in c.readers and unit.moves_ends else []
        later = ends + [r for r in c.readers if r < n and r not in chosen and r not in done]
        if c.maker in chosen and later:
            total += float(unit.outward.latency_ms(1, c.size_bytes))
    return total


def brute_force(layers: LayerGraph, units: list[Unit], k: int, ordered: bool) -> float:
    """Least latency over every sequence of segments, from the definition."""
    n = len(layers)
    needs = {i: {a for a, b in layers.edges if b == i} for i in range(n)}

    def closed(state: frozenset[int]) -> bool:
        if ordered:
            return state == frozenset(range(len(state)))
        return all(needs[i] <= state for i in state)

    subsets = [
        frozenset(c)
        for size in range(n + 1)
        for c in itertools.combinations(range(n), size)
        if closed(frozenset(c))
    ]
    best = {frozenset(): 0.0}
    answer = np.inf
    for _ in range(k):
        following: dict[frozenset[int], float] = {}
        for state, cost in best.items():
            for bigger in subsets:
                if state < bigger:
                    chosen = set(bigger - state)
                    step = min(segment_ms(layers, u, chosen, set(state)) for u in units)
                    total = cost + step
                    if total < following.get(bigger, np.inf):
                        following[bigger] = total
        best = following
        answer = min(answer, best.get(frozenset(range(n)), np.inf))
    return answer


@pytest.fixture(params=[1, 12, 10**6])
def block_numbers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs are made for one end at a time, for some, for all."""
    monkeypatch.setattr(segments, "BLOCK_NUMBERS", request.param)


@pytest.mark.parametrize("chain", [True, False])
@pytest.mark.usefixtures("block_numbers")
def test_dynamic_programming_finds_the_brute_force_optimum(chain: bool) -> None:
    generator = np.random.default_rng(7)
    solved = 0
    for _ in range(400):
        n, k = int(generator.integers(1, 6)), int(generator.integers(1, 4))
        layers = random_layers(generator, n, chain)
        units = random_units(generator, n, int(generator.integers(1, 4)))
        states = all_states(layers, 10_000)
        assert states is not None
        expected = brute_force(layers, units, k, ordered=False)
        costs = segment_costs(layers, states, units)
        if np.isinf(expected):
            with pytest.raises(PartitionError):
                best_path(costs, k)
            continue
        solved += 1
        assert best_path(costs, k).latency_ms == pytest.approx(expected, abs=1e-9)
    assert solved > 300


@pytest.mark.usefixtures("block_numbers")
def test_cuts_along_the_order_agree_with_brute_force_along_the_order() -> None:
    generator = np.random.default_rng(8)
    for _ in range(170):
        n, k = int(generator.integers(1, 8)), int(generator.integers(1, 4))
        layers = random_layers(generator, n, chain=False)
        units = random_units(generator, n, 2)
        costs = segment_costs(layers, prefix_states(layers), units)
        expected = brute_force(layers, units, k, ordered=True)
        if np.isfinite(expected):
            assert best_path(costs, k).latency_ms == pytest.approx(expected, abs=1e-9)


def test_the_parts_of_a_segment_add_up_to_its_cost_in_every_way_it_is_made() -> None:
    generator = np.random.default_rng(12)
    for _ in range(60):
        n = int(generator.integers(2, 7))
        layers = random_layers(generator, n, chain=False)
        units = random_units(generator, n, 3)
        units[1] = replace(units[1], active_mw=500.0, most_mw=900.0)
        every = all_states(layers, 10_000)
        assert every is not None
        for states in (every, prefix_states(layers), order_states(range(n))):
            costs = segment_costs(layers, states, units)
            for a, b in itertools.combinations(range(len(states)), 2):
                before = set(np.flatnonzero(states.member[a]).tolist())
                chosen = set(np.flatnonzero(states.member[b]).tolist()) - before
                for u, unit in enumerate(units):
                    if (states.member[a] & ~states.member[b]).any():
                        assert np.isinf(costs.latency_ms[u][a, b])
                        continue
                    parts = costs.parts(u, a, b)
                    expected = segment_ms(layers, unit, chosen, before)
                    assert parts.latency_ms == pytest.approx(expected)
                    assert costs.latency_ms[u][a, b] == pytest.approx(expected)
                    assert costs.energy_mj[u][a, b] == pytest.approx(parts.energy_mj)


def test_the_best_plan_is_found_without_all_segments_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three thousand layers have nine million segments, of which one matrix takes 72 MB."""

    def all_at_once(self: SegmentCosts) -> None:
        raise AssertionError("every segment")

    monkeypatch.setattr(SegmentCosts, "_dense", property(all_at_once))
    monkeypatch.setattr(segments, "BLOCK_NUMBERS", 4000)
    generator = np.random.default_rng(13)
    layers = random_layers(generator, 300, chain=True)
    costs = segment_costs(layers, prefix_states(layers), random_units(generator, 300, 1))
    shapes = [latency.shape for _, latency in costs.blocks()]
    assert sum(ends for _, ends in shapes) == 301
    assert max(rows * ends for rows, ends in shapes) <= 4000
    assert best_path(costs, 3).states[-1] == 300


def test_an_order_changes_sides_as_late_as_it_can() -> None:
    generator = np.random.default_rng(14)
    for _ in range(100):
        n = int(generator.integers(1, 12))
        layers = random_layers(generator, n, chain=False)
        far = [bool(f) for f in generator.random(n) < 0.5]
        order, side = [], False
        while len(order) < n:
            needs = {i: {a for a, b in layers.edges if b == i} for i in range(n)}
            ready = [i for i in range(n) if i not in order and needs[i] <= set(order)]
            mine = [i for i in ready if far[i] == side]
            if mine:
                order.append(mine[0])
            else:
                side = not side
        assert alternating_order(layers, far) == tuple(order)


def test_minimum_cut_finds_the_brute_force_assignment() -> None:
    generator = np.random.default_rng(9)
    for _ in range(1000):
        n = int(generator.integers(1, 8))
        layers = random_layers(generator, n, chain=False)
        near, far = random_units(generator, n, 2)
        up = Transfer(float(generator.integers(0, 9)), 64.0)
        down = Transfer(float(generator.integers(0, 9)), 128.0)
        best = min(
            sides_latency_ms(layers, side, near, far, up, down)
            for side in itertools.product((False, True), repeat=n)
        )
        found = two_sides(layers, near, far, up, down)
        assert found.latency_ms == pytest.approx(best, abs=1e-6)


def test_least_energy_under_a_deadline_agrees_with_brute_force() -> None:
    generator = np.random.default_rng(10)
    solved = 0
    for _ in range(300):
        n = int(generator.integers(2, 6))
        layers = random_layers(generator, n, chain=True)
        units = random_units(generator, n, 2)
        costs = segment_costs(layers, prefix_states(layers), units)
        deadline = float(generator.integers(20, 120))
        best = np.inf
        for count in range(1, 4):
            for inner in itertools.combinations(range(1, n), count - 1):
                states = (0, *inner, n)
                for units_of in itertools.product(range(2), repeat=count):
                    steps = list(zip(states, states[1:], units_of, strict=False))
                    ms = sum(float(costs.latency_ms[u][a, b]) for a, b, u in steps)
                    mj = sum(float(costs.energy_mj[u][a, b]) for a, b, u in steps)
                    if ms <= deadline:
                        best = min(best, mj)
        if np.isfinite(best):
            solved += 1
            assert least_energy_path(costs, 3, deadline).energy_mj == pytest.approx(best)
        else:
            with pytest.raises(PartitionError):
                least_energy_path(costs, 3, deadline)
    assert solved > 100


def test_two_segments_by_hand() -> None:
    """Three layers of 10 ms on the CPU or 1, 1, 50 on the GPU; tensors of 640 bytes at 64 a ms.

    All on the CPU: 30. GPU for two, then CPU, tensors of 64 bytes: 1 + 1, out 1, then 10 = 13; and
    1 more to bring the network's input in where the GPU's times do not hold that.
    """
    generator = np.random.default_rng(0)
    layers = random_layers(generator, 3, chain=True)
    small = tuple(Crossing(c.tensor, 64, c.maker, c.readers) for c in layers.crossings)
    layers = replace(layers, crossings=small)
    cpu = Unit(name="cpu", target="d/cpu", layer_ms=np.array([10.0, 10.0, 10.0]))
    wire = Transfer(0.0, 64.0)
    gpu = Unit(
        name="gpu",
        target="d/gpu",
        layer_ms=np.array([1.0, 1.0, 50.0]),
        inward=wire,
        outward=wire,
    )
    for ends, expected in ((False, 13.0), (True, 14.0)):
        units = [cpu, replace(gpu, moves_ends=ends)]
        path = best_path(segment_costs(layers, prefix_states(layers), units), 2)
        assert path.latency_ms == pytest.approx(expected)
        assert path.units == (1, 0)
        assert path.states == (0, 2, 3)
