"""What random recurrent layers are drawn to cover."""

from __future__ import annotations

from perfmodel.measure.random_nets import random_recurrent

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
