"""From raw runs to times at the reference's usual speed; a profile matched to kernels, by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from perfmodel import zoo
from perfmodel.errors import RunnerError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.kernels import fuse
from perfmodel.runners.campaign import JobResult, SetResult
from perfmodel.runners.host_frameworks import FRAMEWORKS
from perfmodel.runners.runner import RawRuns
from perfmodel.runners.samples import operator_us, undisturbed_mean, whole_ms
from perfmodel.runners.tflite_align import align, trimmed_mean
from perfmodel.runners.tflite_operators import execution_order, outside_choices, written_steps


def network() -> Graph:
    g = GraphBuilder("hand_made")
    x = g.input((1, 8, 8, 3))
    y = g.conv(x, 16, 3, activation="relu")
    z = g.depthwise(y, 3)
    return g.build(g.binary("add", y, z))


def one_set(runs: tuple[float, ...], before: float, after: float, **per_op: float) -> SetResult:
    ops = {f"{i} {name}": (us, us, us) for i, (name, us) in enumerate(per_op.items())}
    return SetResult(RawRuns((), runs, 0.0, 1.0, 2.0, ops), (before,) * 3, (after,) * 3)


def test_interrupted_runs_do_not_count() -> None:
    assert undisturbed_mean([100, 101, 99, 100, 4000]) == 100.0


def test_whole_microseconds_average_to_a_fraction() -> None:
    # 0.4 us, cut to whole microseconds, is seen as 0 in six runs of ten and as 1 in four
    assert undisturbed_mean([0] * 6 + [1] * 4) == pytest.approx(0.4)


def test_sets_around_which_the_reference_moved_are_left_out() -> None:
    steady = one_set((10.0,), 2.0, 2.0)
    moved = one_set((40.0,), 2.0, 2.2)
    assert whole_ms(JobResult("k", (steady, moved)), usual_ms=3.0) == pytest.approx(15.0)


def test_an_interrupted_set_is_told_by_its_processor_time() -> None:
    raw = RawRuns(
        warmup_ms=(),
        runs_ms=(20.0, 22.0, 21.0),
        started_s=0.0,
        load_ms=1.0,
        first_ms=2.0,
        per_op_us={},
        cpu_ms=(10.0, 10.0, 10.2),
    )
    assert SetResult(raw, (1.0,), (1.0,)).median_ms == 10.0
    calm = RawRuns(
        warmup_ms=(),
        runs_ms=(10.1, 10.3, 10.2),
        started_s=0.0,
        load_ms=1.0,
        first_ms=2.0,
        per_op_us={},
        cpu_ms=(10.0, 10.1, 10.0),
    )
    assert SetResult(calm, (1.0,), (1.0,)).median_ms == 10.2


def test_operators_are_scaled_to_the_nominal_reference() -> None:
    slow = one_set((10.0,), 4.0, 4.0, Conv=80.0)
    times = operator_us(JobResult("k", (slow,)), usual_ms=2.0)
    assert times == {"0 Conv": (40.0,)}


def test_each_kernel_gets_its_operator_and_the_runtimes_own_work() -> None:
    graph = network()
    kernels = fuse(graph, "tflite-cpu")
    profile = {
        "0 Copy (NC, X8)": (1.0,),
        "1 Convolution (NHWC, F32) IGEMM": (30.0,),
        "2 Convolution (NHWC, F32) DWConv": (9.0,),
        "3 Convert (NC)": (2.0,),
        "4 Add (ND) ADD": (4.0,),
    }
    # the copy is the first kernel's, the conversion that of the kernel before it
    steps = written_steps(graph, "float32", kernels)
    assert align(steps, len(kernels), profile).tolist() == [31.0, 11.0, 4.0]


def test_a_profile_without_a_kernels_operator_is_refused() -> None:
    graph = network()
    profile = {"0 Convolution (NHWC, F32) IGEMM": (30.0,)}
    kernels = fuse(graph, "tflite-cpu")
    with pytest.raises(RunnerError, match="other operators"):
        align(written_steps(graph, "float32", kernels), len(kernels), profile)


def two_branches() -> Graph:
    g = GraphBuilder("two_branches")
    y = g.conv(g.input((1, 8, 8, 4)), 4, 3)
    left = g.conv(g.op("relu", y), 4, 3)
    right = g.conv(y, 4, 3)
    return g.build(g.binary("add", left, right))


def test_operators_outside_the_delegate_run_after_all_that_is_ready_inside() -> None:
    graph = two_branches()
    kernels = fuse(graph, "tflite-cpu")
    steps = written_steps(graph, "int8", kernels)
    builtins = [s.builtin for s in steps]
    assert builtins == ["CONV_2D", "RELU", "CONV_2D", "CONV_2D", "ADD"]
    assert execution_order(steps, frozenset()) == (0, 1, 2, 3, 4)
    # the third convolution does not wait for the rectifier, the second does
    assert execution_order(steps, frozenset([1])) == (0, 3, 1, 2, 4)
    profile = {
        "0 Convolution (NHWC, QC8) IGEMM": (10.0,),
        "1 Convolution (NHWC, QC8) IGEMM": (30.0,),
        "2 RELU": (5.0,),
        "3 Convolution (NHWC, QC8) IGEMM": (20.0,),
        "4 Add (ND)": (1.0,),
    }
    assert align(steps, len(kernels), profile).tolist() == [10.0, 5.0, 20.0, 30.0, 1.0]


def test_of_operators_that_differ_only_some_may_be_delegated() -> None:
    g = GraphBuilder("pools")
    x = g.input((1, 8, 8, 4))
    y = g.pool(x, "max", 2, 2)
    y = g.pool(y, "max", 1, 2)
    graph = g.build(g.pool(y, "max", 2, 1))
    kernels = fuse(graph, "tflite-cpu")
    steps = written_steps(graph, "float32", kernels)
    names = ["Max Pooling (NHWC, F32)", "MAX_POOL_2D", "Max Pooling (NHWC, F32)"]
    assert set(outside_choices(steps, names)) == {frozenset([i]) for i in range(3)}
    profile = {f"{i} {n}": (us,) for i, (n, us) in enumerate(zip(names, (4, 2, 1), strict=True))}
    assert align(steps, 3, profile).tolist() == [4.0, 2.0, 1.0]


def test_an_activation_that_is_an_operator_of_its_own_has_its_own_time() -> None:
    g = GraphBuilder("hard")
    graph = g.build(g.conv(g.input((1, 8, 8, 3)), 4, 3, activation="hard_swish"))
    kernels = fuse(graph, "tflite-cpu")
    assert [k.op for k in kernels] == ["conv2d", "hard_swish"]
    profile = {"0 Convolution (NHWC, F32) IGEMM": (9.0,), "1 Hard Swish (NC)": (2.0,)}
    steps = written_steps(graph, "float32", kernels)
    assert align(steps, 2, profile).tolist() == [9.0, 2.0]


def test_real_networks_profiles_are_split_without_rest() -> None:
    """The committed profiles of the validation, of networks with operators left to the runtime."""
    path = Path(__file__).parents[2] / "validation" / "results" / "host" / "validation_raw.json.gz"
    entries = {e["key"]: e for e in json.loads(gzip.decompress(path.read_bytes()))["entries"]}
    for name in ("resnet50_v2", "inception_v3", "dped", "shufflenet_v1"):
        for precision in ("fp32", "int8"):
            per_op = entries[f"{precision}/t1/{name}"]["sets"][0]["per_op_us"]
            graph = zoo.build(name)
            times = FRAMEWORKS["tflite"].kernel_us(graph, precision, per_op)
            total = sum(trimmed_mean(v) for v in per_op.values())
            assert times.sum() == pytest.approx(total)
            assert (times > 0).mean() > 0.7
