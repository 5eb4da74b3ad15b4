"""From raw runs to nominal times, and matching a profile to kernels, on hand-made values."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.cost import fuse
from perfmodel.errors import RunnerError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.measure.align import align, execution_order
from perfmodel.measure.campaign import JobResult, SetResult
from perfmodel.measure.runner import RawRuns
from perfmodel.measure.samples import operator_us, undisturbed_mean, whole_ms


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
    assert whole_ms(JobResult("k", (steady, moved)), nominal_ms=3.0) == pytest.approx(15.0)


def test_an_interrupted_set_is_told_by_its_processor_time() -> None:
    raw = RawRuns((), (20.0, 22.0, 21.0), 0.0, 1.0, 2.0, {}, (10.0, 10.0, 10.2))
    assert SetResult(raw, (1.0,), (1.0,)).median_ms == 10.0
    calm = RawRuns((), (10.1, 10.3, 10.2), 0.0, 1.0, 2.0, {}, (10.0, 10.1, 10.0))
    assert SetResult(calm, (1.0,), (1.0,)).median_ms == 10.2


def test_operators_are_scaled_to_the_nominal_reference() -> None:
    slow = one_set((10.0,), 4.0, 4.0, Conv=80.0)
    times = operator_us(JobResult("k", (slow,)), nominal_ms=2.0)
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
    assert align(graph, kernels, profile).tolist() == [31.0, 11.0, 4.0]


def test_a_profile_without_a_kernels_operator_is_refused() -> None:
    graph = network()
    profile = {"0 Convolution (NHWC, F32) IGEMM": (30.0,)}
    with pytest.raises(RunnerError, match="no operator"):
        align(graph, fuse(graph, "tflite-cpu"), profile)


def test_kernels_outside_the_delegate_run_after_all_that_is_ready_inside() -> None:
    g = GraphBuilder("two_branches")
    x = g.input((1, 8, 8, 4))
    left = g.op("relu", x)
    right = g.conv(x, 4, 3)
    more = g.conv(right, 4, 3)
    graph = g.build(g.binary("add", left, more))
    kernels = fuse(graph, "tflite-cpu")
    outside = frozenset(i for i, k in enumerate(kernels) if k.op == "relu")
    assert outside
    # the first operator that is ready decides which side begins
    assert [kernels[i].op for i in execution_order(graph, kernels, outside)] == [
        "relu",
        "conv2d",
        "conv2d",
        "add",
    ]
    assert np.array_equal(execution_order(graph, kernels, frozenset()), [0, 1, 2, 3])
