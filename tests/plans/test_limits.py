"""Memory of units: hand arithmetic of what segments hold, and brute force over plans that fit."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from made_up import Devices, chain
from test_optimal import random_layers, random_units

from perfmodel.errors import PartitionError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.kernels.fusion import kernel_of
from perfmodel.plans import limits
from perfmodel.plans.layers import LayerGraph, layer_graph
from perfmodel.plans.limits import with_limits, within_memory
from perfmodel.plans.memory import largest_over, segment_bytes, touched_bytes
from perfmodel.plans.optimal import best_path
from perfmodel.plans.plan import partition
from perfmodel.plans.problem import Problem
from perfmodel.plans.segments import all_states, prefix_states, segment_costs


def layered(widths: tuple[int, ...]) -> LayerGraph:
    graph = chain(widths)
    return layer_graph(graph, [kernel_of(graph, op) for op in graph.ops])


def test_a_segment_holds_its_weights_and_the_arena_of_a_network_of_its_own() -> None:
    # 1x1 convolutions on 100 pixels: 8 -> 16 -> 4 -> 2 channels, 400 bytes a channel, with biases
    layers = layered((8, 16, 4, 2))
    weights = [4 * (8 * 16 + 16), 4 * (16 * 4 + 4), 4 * (4 * 2 + 2)]
    assert list(layers.weights_bytes) == weights
    whole = segment_bytes(layers, np.array([True, True, True]))
    # the input lives to the end; 16 and 4 channels together are the most beside it, in 64 bytes
    assert whole == sum(weights) + 3200 + 6400 + 1600
    last = segment_bytes(layers, np.array([False, True, True]))
    # of a network of its own the 16 channels are the input, which lives to the end with the output
    assert last == sum(weights[1:]) + 6400 + 1600 + 800
    assert touched_bytes(layers).tolist() == [3200 + 6400, 6400 + 1600, 1600 + 800]


def test_what_one_operator_touches_is_never_more_than_the_segment_holds() -> None:
    builder = GraphBuilder("mixed")
    x = builder.input((1, 8, 8, 4))
    y = builder.binary("add", builder.conv(x, 4, 3), builder.conv(x, 4, 1))
    z = builder.reshape(builder.concat([y, builder.conv(y, 4, 3)]), (1, 512))
    graph = builder.build(builder.fc(z, 10))
    layers = layer_graph(graph, [kernel_of(graph, op) for op in graph.ops])
    touched = touched_bytes(layers)
    for a, b in itertools.combinations(range(len(layers) + 1), 2):
        chosen = np.zeros(len(layers), dtype=bool)
        chosen[a:b] = True
        held = segment_bytes(layers, chosen) - sum(layers.weights_bytes[a:b])
        assert touched[chosen].max() <= held


@pytest.mark.parametrize("width", [1, 3, 100])
def test_the_largest_of_each_segment(width: int) -> None:
    generator = np.random.default_rng(3)
    layers = random_layers(generator, 6, chain=False)
    values = generator.integers(1, 50, 6).astype(float)
    every = all_states(layers, 1000)
    assert every is not None
    for states in (prefix_states(layers), every):
        first = 0
        for block in largest_over(states, values, width):
            for a, b in itertools.product(range(block.shape[0]), range(block.shape[1])):
                chosen = states.member[first + b] & ~states.member[a]
                if (states.member[a] & ~states.member[first + b]).any():
                    continue
                assert block[a, b] == values[chosen].max(initial=0.0)
            first += block.shape[1]
        assert first == len(states)


def test_the_best_plan_within_memory_is_that_of_brute_force() -> None:
    generator = np.random.default_rng(4)
    solved = refused = shared = 0
    for _ in range(120):
        layers = random_layers(generator, int(generator.integers(2, 6)), chain=True)
        weights = tuple(int(w) for w in generator.integers(50, 400, len(layers)))
        layers = replace(layers, weights_bytes=weights)
        units = [
            replace(u, memory_bytes=float(generator.integers(200, 1500)), memory_scale=scale)
            for u, scale in zip(random_units(generator, len(layers), 2), (1.0, 0.5), strict=True)
        ]
        costs = segment_costs(layers, prefix_states(layers), units)
        best, free = np.inf, np.inf
        for k in (1, 2, 3):
            for inner in itertools.combinations(range(1, len(layers)), k - 1):
                steps = list(itertools.pairwise((0, *inner, len(layers))))
                for of in itertools.product(range(2), repeat=k):
                    ms = sum(
                        costs.parts(u, *step).latency_ms for u, step in zip(of, steps, strict=True)
                    )
                    if fits(layers, steps, of, units):
                        best = min(best, ms)
                    free = min(free, ms)
        if np.isfinite(best):
            solved += 1
            shared += best > free
            path, _ = within_memory(costs, lambda c: best_path(c, 3))
            assert path.latency_ms == pytest.approx(best)
        else:
            refused += 1
            with pytest.raises(PartitionError, match="no plan fits into memory"):
                within_memory(costs, lambda c: best_path(c, 3))
    assert min(solved, refused, shared) > 5


def fits(layers: LayerGraph, steps, of, units) -> bool:  # type: ignore[no-untyped-def]
    """Whether what each unit holds is within its memory, from the definition."""
    for u, unit in enumerate(units):
        mine = [step for step, v in zip(steps, of, strict=True) if v == u]
        weights, activations = 0.0, 0.0
        for a, b in mine:
            chosen = np.zeros(len(layers), dtype=bool)
            chosen[a:b] = True
            own = sum(layers.weights_bytes[a:b])
            weights += own
            activations = max(activations, segment_bytes(layers, chosen) - own)
        if unit.memory_scale * (weights + activations) > unit.memory_bytes:
            return False
    return True


def test_a_plan_says_what_its_parts_hold_of_what_they_may(devices: Devices) -> None:
    free = partition(
        chain((8, 256, 256, 8)), "test-phone/gpu", units=["cpu"], profiles=devices.paths
    )
    assert [s.memory_limit_bytes for s in free.segments] == [None] * free.k
    needed = free.segments[0].memory_bytes
    assert free.k == 1
    assert free.segments[0].target.startswith("test-phone/gpu")
    asked = {"profiles": devices.paths, "units": ["cpu"]}
    same = partition(chain((8, 256, 256, 8)), "test-phone/gpu", memory={"gpu": needed}, **asked)
    assert same.latency_ms == free.latency_ms
    assert same.segments[0].memory_limit_bytes == needed
    less = partition(chain((8, 256, 256, 8)), "test-phone/gpu", memory={"gpu": needed - 1}, **asked)
    assert less.latency_ms > free.latency_ms
    assert less.unpartitioned_ms == free.latency_ms
    assert any("in one piece the network would not fit" in note for note in less.notes)
    with pytest.raises(PartitionError) as error:
        partition(
            chain((8, 256, 256, 8)),
            "test-phone/gpu",
            profiles=devices.paths,
            by="layer-count",
            k=1,
            memory={"gpu": needed - 1},
        )
    assert "test-phone/gpu/tflite/fp32 may hold" in str(error.value)


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        ({"dla": 1e6}, "memory of 'dla': no such unit; units are gpu, cpu"),
        ({"gpu": 0.0}, "memory of 'gpu' must be above 0 bytes"),
        ({"gpu": float("inf")}, "memory of 'gpu' must be above 0 bytes"),
    ],
)
def test_limits_of_what_is_not_there_are_refused(
    devices: Devices, memory: dict[str, float], message: str
) -> None:
    with pytest.raises(PartitionError) as error:
        partition(
            chain((8, 8)), "test-phone/gpu", units=["cpu"], profiles=devices.paths, memory=memory
        )
    assert message in str(error.value)


def test_a_limit_may_name_a_full_target(devices: Devices) -> None:
    layers = layered((4, 4))
    unit = replace(random_units(np.random.default_rng(0), 1, 1)[0], memory_bytes=np.inf)
    limited = with_limits(Problem(layers, (unit,)), {"d/u0": 5.0})
    assert limited.units[0].memory_bytes == 5.0


def test_the_search_for_a_plan_that_fits_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_PLANS", 2)
    asked = []
    layers = layered((8, 16, 16, 16, 16, 16, 4))
    unit = replace(random_units(np.random.default_rng(0), 6, 1)[0], memory_bytes=20_000.0)
    unit = replace(unit, storage=None)
    costs = segment_costs(layers, prefix_states(layers), [unit])

    def solve(narrowed):  # type: ignore[no-untyped-def]
        asked.append(narrowed)
        return best_path(narrowed, 6)

    with pytest.raises(PartitionError, match="none of the best 2 plans fits into memory"):
        within_memory(costs, solve)
    assert len(asked) < 9


def test_a_sum_in_place_and_a_view_touch_no_memory_of_their_own() -> None:
    builder = GraphBuilder("in_place")
    x = builder.input((1, 4, 4, 4))  # 256 bytes
    y = builder.binary("add", builder.conv(x, 4, 1), builder.conv(x, 4, 1), name="sum")
    graph = builder.build(builder.fc(builder.reshape(y, (1, 64), name="view"), 4))
    layers = layer_graph(graph, [kernel_of(graph, op) for op in graph.ops])
    touched = dict(zip((layer.name for layer in layers.layers), touched_bytes(layers), strict=True))
    assert touched["sum"] == 256 + 256
    assert max(touched.values()) == 512
