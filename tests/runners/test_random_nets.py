"""What random recurrent layers and image networks are drawn to cover."""

from __future__ import annotations

import numpy as np

from perfmodel.graph.ir import Graph
from perfmodel.kernels import macs
from perfmodel.runners.random_blocks import Draw
from perfmodel.runners.random_micro import MICRO_MACS, is_micro, random_micro
from perfmodel.runners.random_nets import (
    MAX_MACS,
    _stage,
    random_image,
    random_named,
    random_network,
    random_recurrent,
    random_staged,
)

SEEDS = range(400)


def drawn() -> list[tuple[int, int, int, int]]:
    """Steps, features, hidden units and directions of each layer."""
    found = []
    for seed in SEEDS:
        graph = random_recurrent(seed)
        (op,) = graph.ops
        _, steps, features = graph.tensors[graph.inputs[0]].shape
        found.append((steps, features, op.attrs["hidden"], op.attrs["directions"]))
    return found


def test_narrow_layers_wide_ones_and_single_steps_are_all_common() -> None:
    layers = drawn()
    cases = {
        "narrow": sum(h <= 128 and f <= 320 for _, f, h, _ in layers),
        "very narrow": sum(h <= 32 for _, _, h, _ in layers),
        "wide": sum(h > 256 for _, _, h, _ in layers),
        "one step": sum(t == 1 for t, _, _, _ in layers),
        "many steps": sum(t >= 28 for t, _, _, _ in layers),
        "one direction": sum(d == 1 for _, _, _, d in layers),
    }
    assert {name: n for name, n in cases.items() if n < 0.15 * len(SEEDS)} == {}
    assert all(1 <= t <= 100 and f >= 8 and h >= 8 for t, f, h, _ in layers)


def test_a_seed_always_gives_the_same_layer() -> None:
    assert random_recurrent(7) == random_recurrent(7)


def test_image_networks_keep_their_resolution_and_end_in_few_channels() -> None:
    drawn_ones = [random_image(seed) for seed in range(60)]
    assert all(macs(g) <= 1.5 * MAX_MACS for g in drawn_ones)
    for graph in drawn_ones:
        _, size, _, _ = graph.tensors[graph.inputs[0]].shape
        _, high, _, channels = graph.tensors[graph.outputs[0]].shape
        assert high >= size
        assert channels <= 12
    wide = [
        op
        for g in drawn_ones
        for op in g.ops
        if op.kind == "conv2d" and g.tensors[op.inputs[1]].shape[1] == 9
    ]
    assert len(wide) >= 30


def test_networks_of_microcontrollers_are_small_and_a_third_are_one_operator() -> None:
    drawn_ones = [random_micro(seed) for seed in range(300)]
    assert max(macs(g) for g in drawn_ones) <= 5 * MICRO_MACS
    assert sum(macs(g) <= 1.5 * MICRO_MACS for g in drawn_ones) >= 0.95 * 300
    lone = sum(len(g.ops) == 1 for g in drawn_ones)
    assert 0.28 * 300 <= lone <= 0.5 * 300
    kinds = {g.ops[0].kind for g in drawn_ones if len(g.ops) == 1}
    assert {"conv2d", "fully_connected", "add", "relu", "softmax", "max_pool2d"} <= kinds
    assert sum(len(g.ops) >= 6 for g in drawn_ones) >= 0.25 * 300


def repeated(graph: Graph) -> float:
    """Share of a network's convolutions that another one of it equals."""
    shapes = [
        (op.attrs["stride"], *(graph.tensors[t].shape for t in (op.inputs[1], op.outputs[0])))
        for op in graph.ops
        if op.kind == "conv2d"
    ]
    return sum(shapes.count(s) > 1 for s in shapes) / len(shapes)


def test_networks_of_stages_have_most_convolutions_several_times_and_few_kinds_of_blocks() -> None:
    seeds = range(40)
    staged = sum(repeated(random_staged(s)) for s in seeds) / len(seeds)
    mixed = sum(repeated(random_network(s)) for s in seeds) / len(seeds)
    assert staged > 0.55 > 0.4 > mixed
    drawn_ones = [random_staged(seed) for seed in seeds]
    assert all(macs(g) <= 3 * MAX_MACS for g in drawn_ones)
    assert max(len(g.ops) for g in drawn_ones) < 400
    assert sum(len(g.ops) > 30 for g in drawn_ones) > 20


def test_a_stage_leaves_the_draws_of_its_network_alone() -> None:
    d = Draw("stage", np.random.default_rng(1))
    of_network = d.generator
    before = d.g.input((1, 32, 32, 16))
    after = _stage(d, before, lambda one, x: one.g.conv(x, one.channels(16, 64), 3), small=False)
    assert d.generator is of_network
    assert {d.g.shape(op.outputs[0]) for op in d.g.ops} == {d.g.shape(after)}


def test_random_networks_of_every_kind_are_found_by_their_names() -> None:
    for graph in (random_micro(5), random_image(5), random_recurrent(5), random_staged(5)):
        assert random_named(graph.name) == graph
        assert is_micro(graph.name) == (graph == random_micro(5))
