"""torch.compile as a framework: whose time is whose, what it needs, and how long it may take."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from perfmodel.errors import RunnerError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.runners.host_frameworks import FRAMEWORKS
from perfmodel.runners.runner import Job
from perfmodel.runners.torch_compiled import at_most, check_compiler, shared_out


def test_what_the_compiled_run_leaves_is_shared_by_what_is_no_call_of_the_library() -> None:
    eager = {"0 conv": (50.0, 60.0), "1 relu": (10.0, 10.0), "2 add": (30.0, 30.0)}
    shared = shared_out(eager, [True, False, False], [70.0, 64.0])
    # 20 and 4 us are left, by 1 to 3
    assert shared["0 conv"] == (50.0, 60.0)
    assert shared["1 relu"] == pytest.approx((5.0, 1.0))
    assert shared["2 add"] == pytest.approx((15.0, 3.0))


def test_a_step_that_is_no_call_keeps_a_twentieth_where_nothing_is_left() -> None:
    eager = {"0 conv": (50.0,), "1 relu": (40.0,)}
    assert shared_out(eager, [True, False], [30.0]) == {"0 conv": (50.0,), "1 relu": (2.0,)}
    assert shared_out({"0 conv": (50.0,)}, [True], [30.0]) == {"0 conv": (50.0,)}


def test_what_takes_too_long_is_stopped_and_said_whatever_wraps_it() -> None:
    def wrapping() -> None:
        try:
            time.sleep(10)
        except RunnerError as error:
            raise ValueError("wrapped") from error

    with pytest.raises(RunnerError, match=r"it took longer than 0 s"), at_most(0.05, "it"):
        wrapping()
    with pytest.raises(ValueError, match="other"), at_most(5.0, "it"):
        raise ValueError("other")
    with at_most(0.05, "it"):
        pass
    time.sleep(0.1)  # the timer is off


@pytest.mark.ci
def test_a_machine_without_a_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from torch._inductor import cpp_builder

    def none() -> str:
        raise RuntimeError("nothing found")

    check_compiler()
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(RunnerError, match=r"no C\+\+ compiler") as told:
        check_compiler()
    assert "CXX" in told.value.hint


@pytest.mark.ci
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_code_computes_what_eager_code_does_and_every_step_has_a_time(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from perfmodel.runners.pytorch_host import PyTorchRunner
    from perfmodel.runners.torch_compiled import CompiledRunner

    # a machine that does other things too may take minutes
    monkeypatch.setattr("perfmodel.runners.torch_compiled.COMPILED_S", 600.0)

    g = GraphBuilder("joined")
    x = g.conv(g.input((1, 6, 6, 3)), 4, 3, activation="relu", name="a")
    x = g.op("swish", g.binary("add", x, g.conv(x, 4, 1, name="b"), name="sum"), name="gate")
    graph = g.build(g.fc(g.reshape(x, (1, 144), name="flat"), 5, name="d"))
    path = tmp_path / "joined.onnx"
    FRAMEWORKS["pytorch-compiled"].write(graph, path, "fp32")
    eager = PyTorchRunner(seed=4, profile=False).prepare(Job("a", path))
    compiled = CompiledRunner(seed=4).prepare(Job("a", path))
    assert (compiled.first_ms or 0.0) > 10 * (eager.first_ms or 0.0)
    for ours, theirs in zip(compiled.outputs(), eager.outputs(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    raw = compiled.run_set(3, 1)
    assert all(len(times) == 3 for times in raw.per_op_us.values())
    assert FRAMEWORKS["pytorch-compiled"].kernel_us(graph, "fp32", raw.per_op_us).min() > 0
    compiled.close()
