"""How long a plan takes: `python -m benchmarks.partition_speed`.

Two units with transfers between them, K <= 4, the graph already loaded; times are made up, since
only their number matters.
"""

from __future__ import annotations

import time

import numpy as np

from perfmodel.formats.load import load
from perfmodel.kernels.fusion import kernel_of
from perfmodel.plans.layers import layer_graph
from perfmodel.plans.plan import solve
from perfmodel.plans.problem import Problem
from perfmodel.plans.units import Transfer, Unit

NETWORKS = ("vgg16", "inception_v3", "inception_v4", "resnet101", "nasnet_mobile", "nasnet_large")


def measured_s(name: str) -> tuple[int, int, float, str]:
    """Operators, layers, seconds and what the plan is the best of."""
    graph = load(name)
    started = time.perf_counter()
    # every operator its own layer: the most that a framework without fusion makes of a graph
    layers = layer_graph(graph, [kernel_of(graph, op) for op in graph.ops])
    generator = np.random.default_rng(0)
    move = Transfer(0.2, 2e6)
    units = (
        Unit(name="cpu", target="d/cpu", layer_ms=generator.exponential(2.0, len(layers))),
        Unit(
            name="gpu",
            target="d/gpu",
            layer_ms=generator.exponential(1.0, len(layers)),
            dispatch_ms=0.5,
            inward=move,
            outward=move,
        ),
    )
    found = solve(Problem(layers, units), k=4)
    return len(graph.ops), len(layers), time.perf_counter() - started, found.exact_over


if __name__ == "__main__":
    for name in NETWORKS:
        ops, layers, seconds, exact = measured_s(name)
        print(f"{name:16} {ops:5} ops {layers:5} layers {seconds:6.2f} s  best of {exact}")
