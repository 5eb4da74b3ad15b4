"""Whole networks through the planner, the arena and our kernels, against float64, without a GPU."""

from __future__ import annotations

import itertools
import math
import shutil

import numpy as np
import pytest

from perfmodel import zoo
from perfmodel.errors import UncoveredOpError
from perfmodel.graph import Graph, GraphBuilder
from perfmodel.runners.cuda.backends import MODES, Mode, VanillaBackend
from perfmodel.runners.cuda.network import GpuNetwork, make_weights, plan_arena
from perfmodel.runners.cuda.plan import plan_graph
from perfmodel.runners.cuda.reference import random_input, relative_error, run_plan
from perfmodel.runners.cuda.steps import GpuPlan, Window, before_softmax, even_pads
from tests.cuda.cuda_on_cpu import HostDevice

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="no g++ to build the CUDA kernels for the CPU"
)
STUDY = (
    "alexnet", "vgg16", "resnet50", "mobilenet_v1", "mobilenet_v2", "squeezenet_1_1",
    "inception_v3", "densenet121",
)  # fmt: skip


def everything(batch: int = 2) -> Graph:
    """A small network with every operator and every fusion."""
    g = GraphBuilder("everything")
    x = g.input((batch, 13, 11, 3))
    x = g.conv(x, 12, 3, 2, activation="relu")
    x = g.op("lrn", x, size=5, alpha=1e-4, beta=0.75, bias=1.0)
    trunk = g.pool(x, "max", 3, 1, "same")
    y = g.conv(trunk, 24, 1, activation="relu6")
    y = g.depthwise(y, 3, activation="relu6")
    y = g.conv(y, 12, 1)
    x = g.binary("add", y, trunk)
    short = g.conv(x, 16, 1, 2)
    y = g.conv(x, 8, 1, activation="relu")
    y = g.op("batch_norm", g.conv(y, 8, 3, 2, groups=2), *(g.constant((8,)) for _ in range(4)))
    x = g.binary("add", g.conv(g.op("relu", y), 16, 1), short, "relu")
    x = g.concat([x, g.conv(x, 8, 3, activation="relu"), g.pool(x, "avg", 3, 1, "same")])
    x = g.binary("add", g.binary("mul", x, g.constant((40,))), g.constant((40,)), "relu")
    x = g.op("identity", g.pool(x, "max", 2, 2))
    x = g.op("hard_swish", g.fc(g.reshape(x, (batch, -1)), 20, activation="relu"))
    return g.build(g.op("softmax", g.fc(x, 10)))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostDevice:
    return HostDevice(tmp_path_factory.mktemp("kernels"))


def error_of(host: HostDevice, mode: Mode, plan: GpuPlan, seed: int = 0) -> float:
    """Relative error of the worst output, with every buffer poisoned before the run."""
    rng = np.random.default_rng(seed)
    dtype = mode.variant.dtype
    weights = {n: tuple(w.astype(dtype) for w in ws) for n, ws in make_weights(plan, seed).items()}
    inputs = {n: random_input(plan.shapes[n], rng).astype(dtype) for n in plan.inputs}
    network = GpuNetwork(host, VanillaBackend(host, mode), plan, weights)  # type: ignore[arg-type]
    network.poison()
    network.set_inputs(inputs)
    network.run()
    expected = run_plan(plan, inputs, weights)
    worst = max(relative_error(network.read(n), expected[n]) for n in plan.outputs)
    network.close()
    return worst


@needs_compiler
@pytest.mark.parametrize("framework", ["cudnn", "vanilla"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_network_with_every_operator(host: HostDevice, framework: str, layout: str) -> None:
    plan = plan_graph(everything(), framework)
    assert error_of(host, Mode("vanilla", "fp32", layout), plan) < 1e-5
    assert host.allocations == 0


@needs_compiler
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_network_in_half_precision_with_vectors(host: HostDevice, layout: str) -> None:
    assert error_of(host, Mode("cudnn", "fp16", layout), plan_graph(everything())) < 5e-3


@needs_compiler
@pytest.mark.parametrize(
    "spec", ["squeezenet_1_1@resolution=48", "mobilenet_v2@resolution=32,width=0.5"]
)
def test_small_networks_of_the_zoo(host: HostDevice, spec: str) -> None:
    graph = zoo.build(spec)
    assert error_of(host, MODES["vanilla/fp32"], plan_graph(graph, "vanilla")) < 1e-4


def test_fused_and_unfused_plans_compute_the_same() -> None:
    graph = everything(batch=1)
    fused, single = plan_graph(graph), plan_graph(graph, "vanilla")
    assert len(fused.steps) < len(single.steps)
    assert sum(s.macs for s in fused.steps) == sum(s.macs for s in single.steps)
    assert fused.outputs == single.outputs


def test_fusions_that_are_expected() -> None:
    steps = {s.op: s for s in plan_graph(everything()).steps if s.residual or s.op == "batch_norm"}
    assert steps["conv2d"].activation == "relu"
    assert steps["batch_norm"].activation == "relu"
    kinds = [s.op for s in plan_graph(everything()).steps]
    assert kinds.count("batch_norm") == 1  # the one behind a convolution is folded
    assert "add" not in kinds
    assert "mul" not in kinds


@pytest.mark.parametrize("name", STUDY)
def test_plans_of_the_study_have_the_macs_of_the_graph(name: str) -> None:
    from perfmodel.kernels import macs

    graph = zoo.build(f"{name}@batch=2")
    for framework in ("cudnn", "vanilla"):
        plan = plan_graph(graph, framework)
        assert sum(s.macs for s in plan.steps) == macs(graph)
        assert plan.batch == 2


@pytest.mark.parametrize("name", STUDY)
def test_plans_are_the_kernels_the_cost_floor_counts(name: str) -> None:
    """What is measured and what is predicted are the same list of kernels."""
    from perfmodel.kernels import fuse

    graph = zoo.build(name)
    for framework in ("vanilla", "cudnn"):
        mine = [
            (s.activation if s.op == "activation" else s.op, s.macs, bool(s.residual))
            for s in plan_graph(graph, framework).steps
        ]
        # the cost floor names a normalisation of its own after its multiplication
        names = {"mul": "batch_norm"} if framework == "cudnn" else {}
        counted = [(names.get(k.op, k.op), k.macs, k.residual) for k in fuse(graph, framework)]
        assert mine == counted


def awkward() -> Graph:
    """What a planner may get wrong: pads, views in a chain, sums of what is made later."""
    g = GraphBuilder("awkward")
    x = g.input((2, 9, 9, 3))
    x = g.conv(x, 8, 3, 2)
    padded = g.op("pad", x, paddings=((0, 0), (1, 0), (0, 1), (0, 0)))
    early = g.conv(padded, 8, 2, padding="valid")
    late = g.pool(x, "max", 3, 1, "same")
    # the convolution comes first, the other operand of the sum after it
    x = g.binary("add", early, late, "relu")
    x = g.op("batch_norm", x, *(g.constant((8,)) for _ in range(4)))
    x = g.op("relu", x)
    x = g.op("clip", g.op("identity", g.conv(x, 6, 1)), min=0, max=6)
    x = g.conv(x, 4, 1, activation="sigmoid")
    x = g.op("relu", g.reshape(x, (2, -1)))
    return g.build(g.fc(x, 5))


@needs_compiler
@pytest.mark.parametrize("framework", ["cudnn", "vanilla"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_awkward_networks_compute_the_same(host: HostDevice, framework: str, layout: str) -> None:
    plan = plan_graph(awkward(), framework)
    assert error_of(host, Mode("vanilla", "fp32", layout), plan) < 1e-5
    assert host.allocations == 0


def test_a_kernel_runs_once_all_that_it_reads_is_there() -> None:
    for framework in ("cudnn", "vanilla"):
        plan = plan_graph(awkward(), framework)
        there = set(plan.inputs)
        for step in plan.steps:
            assert {*step.inputs, *([step.residual] if step.residual else [])} <= there
            there.add(step.output)
        assert set(plan.outputs) <= there


def test_awkward_fusions_are_those_of_the_rules() -> None:
    found = [(s.op, s.activation, bool(s.residual)) for s in plan_graph(awkward()).steps]
    assert found == [
        ("conv2d", "none", False),
        ("max_pool2d", "none", False),
        ("conv2d", "relu", True),
        ("batch_norm", "relu", False),
        ("conv2d", "relu6", False),
        # cuDNN fuses no sigmoid, and a kernel has one activation
        ("conv2d", "none", False),
        ("activation", "sigmoid", False),
        ("activation", "relu", False),
        ("fully_connected", "none", False),
    ]


def test_an_explicit_pad_adds_to_the_convolutions_own() -> None:
    (step,) = (s for s in plan_graph(awkward()).steps if s.residual)
    assert step.window is not None
    assert step.window.kernel == (2, 2)
    # above 1, below 0, left 0, right 1: even padding would give another size
    assert step.window.pads == (1, 0, 0, 1)


def test_a_normalisation_of_channels_that_a_reshape_mixed_is_refused() -> None:
    g = GraphBuilder("mixed")
    x = g.reshape(g.conv(g.input((1, 6, 6, 3)), 4, 3), (1, -1))
    graph = g.build(g.op("batch_norm", x, *(g.constant((144,)) for _ in range(4))))
    with pytest.raises(UncoveredOpError, match="a reshape has mixed"):
        plan_graph(graph)


@pytest.mark.parametrize(
    ("kind", "attrs"),
    [
        ("clip", {"min": 0, "max": 1}),
        ("pad", {"paddings": ((0, 0), (1, 1), (1, 1), (0, 0))}),
        ("leaky_relu", {"alpha": 0.1}),
    ],
)
def test_what_our_kernels_do_not_compute_is_refused(kind: str, attrs: dict[str, object]) -> None:
    g = GraphBuilder("refused")
    x = g.conv(g.input((1, 6, 6, 3)), 4, 3)
    graph = g.build(g.op("softmax", g.op(kind, x, **attrs)))
    for framework in ("cudnn", "vanilla"):
        with pytest.raises(UncoveredOpError, match=kind):
            plan_graph(graph, framework)


def test_the_cost_of_a_step_by_hand() -> None:
    plan = plan_graph(awkward())
    (step,) = (s for s in plan.steps if s.residual)
    # 2 x 5 x 5 pixels, 8 filters of 2 x 2 x 8: 50 * 8 * 32 = 12800
    assert step.matrix == (50, 8, 32)
    assert step.macs == 12800
    # 256 weights and 8 biases; input and residual read, output written: 3 x 2 x 5 x 5 x 8
    assert step.weight_elements == 264
    assert step.activation_elements == 1200


@pytest.mark.parametrize("name", [*STUDY, "everything"])
def test_arena_never_lets_live_tensors_overlap(name: str) -> None:
    plan = plan_graph(everything() if name == "everything" else zoo.build(name))
    arena, last = plan_arena(plan, 4), plan.last_use()
    alive = set(plan.inputs)
    for i, step in enumerate(plan.steps):
        alive = {n for n in alive if last[n] >= i} | {step.output}
        spans = sorted(
            (arena.offsets[n], arena.offsets[n] + 4 * math.prod(plan.shapes[n])) for n in alive
        )
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
        assert spans[-1][1] <= arena.arena_bytes
    everything_at_once = sum(4 * math.prod(s) for s in plan.shapes.values())
    assert arena.arena_bytes < everything_at_once


def test_checks_look_at_what_goes_into_the_softmax() -> None:
    plan = plan_graph(zoo.build("vgg16"))
    checked = before_softmax(plan)
    assert len(checked.steps) == len(plan.steps) - 1
    assert checked.outputs == (plan.steps[-2].output,)
    assert before_softmax(checked) == checked


def test_padding_is_symmetric_where_each_pair_of_sides_is() -> None:
    """Sides are (top, bottom, left, right); height and width may differ."""
    assert Window((3, 3), pads=(1, 1, 0, 0)).symmetric
    assert Window((3, 3), pads=(0, 0, 2, 2)).symmetric
    assert not Window((3, 3), pads=(1, 0, 1, 0)).symmetric
    assert not Window((3, 3), pads=(1, 1, 0, 1)).symmetric


def test_one_sided_padding_becomes_even_where_the_size_allows() -> None:
    window = Window((3, 3), (2, 2), (0, 1, 0, 1))
    assert even_pads(window, (1, 224, 224, 3), (1, 112, 112, 32)).pads == (1, 1, 1, 1)
    # height alone, then width alone, from either side: 8 pixels, 4 of every second one
    for given, even in (
        ((1, 0, 1, 1), (1, 1, 1, 1)),
        ((1, 1, 0, 1), (1, 1, 1, 1)),
        ((1, 1, 1, 0), (1, 1, 1, 1)),
    ):
        side = Window((3, 3), (2, 2), given)
        assert even_pads(side, (1, 8, 8, 3), (1, 4, 4, 5)).pads == even
    kept = Window((2, 2), (1, 1), (0, 1, 0, 1))
    assert even_pads(kept, (1, 8, 8, 4), (1, 8, 8, 4)) == kept


def test_operator_without_a_kernel_is_refused_by_name() -> None:
    g = GraphBuilder("recurrent")
    x = g.input((1, 5, 8))
    y = g.add_op(
        "lstm",
        [x],
        {"hidden": 4, "directions": 1, "return_sequences": True, "time_major": False},
        "memory",
    )
    with pytest.raises(UncoveredOpError, match="memory"):
        plan_graph(g.build(*y))
