"""ExecuTorch: what it recorded put down to kernels, its threads, and what it computes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from perfmodel.errors import RunnerError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.runners.executorch_files import _called
from perfmodel.runners.executorch_host import ExecuTorchRunner, set_threads, times_of_runs
from perfmodel.runners.host_frameworks import FRAMEWORKS
from perfmodel.runners.runner import Job

EXECUTORCH = FRAMEWORKS["executorch"]


def joined(size: int = 6) -> Graph:
    """Two convolutions joined, pooled and multiplied."""
    g = GraphBuilder("joined")
    x = g.conv(g.input((1, size, size, 3)), 4, 3, activation="relu", name="a")
    x = g.concat([x, g.conv(x, 4, 1, name="b")], name="join")
    x = g.pool(g.conv(x, 6, 3, name="c"), "max", 2, 2, name="p")
    return g.build(g.fc(g.reshape(x, (1, 6 * (size // 2) ** 2), name="flat"), 5, name="d"))


def test_operators_of_xnnpack_are_put_down_to_kernels_in_their_order() -> None:
    listed = {
        "0 Transpose (ND, X32) Transpose #1": (2.0,),
        "1 Convolution (NHWC, F32) IGEMM #1": (10.0,),
        "2 Convolution (NHWC, F32) IGEMM #2": (5.0,),
        "3 Copy (NC, X32) #1": (3.0,),
        "4 Convolution (NHWC, F32) IGEMM #3": (20.0,),
        "5 Max Pooling (NHWC, F32) #1": (7.0,),
        "6 Transpose (ND, X32) Transpose #2": (1.0,),
        "7 native_call_addmm.out": (6.0,),
    }
    names = [kernel.name for kernel in EXECUTORCH.fused(joined())]
    times = dict(zip(names, EXECUTORCH.kernel_us(joined(), "fp32", listed), strict=True))
    # copies count to the kernel before, or to the first
    assert times == {"a": 12.0, "b": 5.0, "join": 3.0, "c": 20.0, "p": 8.0, "d": 6.0}
    del listed["4 Convolution (NHWC, F32) IGEMM #3"]
    with pytest.raises(RunnerError, match="other operators"):
        EXECUTORCH.kernel_us(joined(), "fp32", listed)


def test_portable_kernels_are_called_as_xnnpack_would_call_them() -> None:
    assert _called("native_call_max_pool2d_with_indices.out") == "Max Pooling"
    assert _called("native_call_strange.out") == "~strange.out"
    assert _called("Add (ND) #12") == "Add (ND)"


def test_the_first_of_several_recorded_runs_warms_up() -> None:
    one, two = [("a", 9.0), ("b", 9.0)], [("a", 1.0), ("b", 2.0)]
    assert times_of_runs([one, two, two]) == {"0 a": (1.0, 1.0), "1 b": (2.0, 2.0)}
    assert times_of_runs([one]) == {"0 a": (9.0,), "1 b": (9.0,)}
    # a run that lists others is another's
    assert times_of_runs([one, two, one[:1]]) == {"0 a": (1.0,), "1 b": (2.0,)}
    assert times_of_runs([]) == {}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Bindings with a pool of four threads."""
    pool = SimpleNamespace(threads=4, follows=True, asked=[])

    def reset(threads: int) -> None:
        pool.asked.append(threads)
        pool.threads = threads if pool.follows else pool.threads

    pool._unsafe_reset_threadpool = reset
    pool._threadpool_get_thread_count = lambda: pool.threads
    for name in ("executorch", "executorch.extension", "executorch.extension.pybindings"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(portable_lib=pool))
    return pool


def test_threads_are_set_and_read_back(library: SimpleNamespace) -> None:
    set_threads(2)
    set_threads(2)
    # a pool that is made anew while a method holds the old one takes the process down
    assert library.asked == [2]
    library.follows = False
    with pytest.raises(RunnerError, match="runs on 2 threads, not on 3"):
        set_threads(3)


def test_without_executorch_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "executorch", None)
    monkeypatch.setitem(sys.modules, "executorch.runtime", None)
    with pytest.raises(RunnerError, match="cannot be used") as told:
        ExecuTorchRunner()
    assert "perfmodel[runtimes-executorch]" in told.value.hint


@pytest.mark.ci
@pytest.mark.slow
# what it and its quantiser import warns of itself
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_executorch_computes_what_onnxruntime_computes_of_the_same_weights(
    precision: str, tmp_path: Path
) -> None:
    pytest.importorskip("executorch")
    onnxruntime = pytest.importorskip("onnxruntime")
    # the tracer tells whole microseconds of XNNPACK: smaller kernels would take none
    graph = joined(96)
    EXECUTORCH.write(graph, tmp_path / "a.pte", precision)
    FRAMEWORKS["onnxruntime"].write(graph, tmp_path / "a.onnx", "fp32")
    prepared = ExecuTorchRunner(seed=4).prepare(Job("a", tmp_path / "a.pte", 1, precision))
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"))
    feed = session.get_inputs()[0]
    values = np.random.default_rng(4).uniform(-1, 1, feed.shape).astype(np.float32)
    (expected,) = session.run(None, {feed.name: values})
    off = (1e-3 if precision == "fp32" else 0.1) * float(np.abs(expected).max())
    (made,) = prepared.outputs()
    assert made == pytest.approx(expected, abs=off)
    raw = prepared.run_set(3, 1)
    assert all(len(times) == 3 for times in raw.per_op_us.values())
    assert EXECUTORCH.kernel_us(graph, precision, raw.per_op_us).sum() > 0
    prepared.close()
