"""Runtimes of .onnx files on this machine: equal numbers, every kernel's time, plain refusals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perfmodel.errors import RunnerError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.runners.host_frameworks import FRAMEWORKS, HostFramework
from perfmodel.runners.named_times import owner_of, owners
from perfmodel.runners.random_nets import random_network, random_recurrent
from perfmodel.runners.runner import Job
from perfmodel.runners.worker_side import RUNNERS, _named

PACKAGES = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "pytorch": "torch",
}
OTHERS = ["openvino", "pytorch"]
RENAMED = {"openvino": ["wider", "norm", "scores", "soft"]}
"""Kernels that a runtime lists under names of its own: they count to the kernel before, or are part
of the next (OpenVINO 2026.4 runs a whole attention as one)."""


def layers() -> Graph:
    """One of each layer that a runtime could get wrong: uneven pads, strides, groups, gates."""
    g = GraphBuilder("layers")
    x = g.conv(g.input((1, 13, 14, 4)), 8, 3, 2, activation="relu6", name="uneven")
    x = g.conv(x, 8, (3, 1), (2, 1), (0, 1, 2, 1), groups=2, name="grouped")
    x = g.op("hard_swish", g.depthwise(x, 3, name="deep"), name="gate")
    x = g.transpose_conv(x, 8, 3, 2, name="wider")
    y = g.pool(x, "max", 3, 2, "same", name="largest")
    y = g.op("swish", y, name="other_gate")
    z = g.pool(x, "avg", 3, 2, "same", name="mean")
    x = g.binary("add", y, z, name="sum")
    x = g.op("instance_norm", x, g.constant((8,)), g.constant((8,)), name="norm")
    x = g.op(
        "resize",
        g.op("channel_shuffle", x, groups=4, name="shuffle"),
        size=(9, 9),
        method="bilinear",
        name="resized",
    )
    x = g.op("prelu", x, g.constant((1, 1, 8)), name="slope")
    t = g.reshape(x, (1, 81, 8), name="tokens")
    t = g.op("layer_norm", t, g.constant((8,)), g.constant((8,)), axes=(-1,), name="token_norm")
    t = g.fc(t, 16, keep_dims=True, name="dense")
    s = g.op("softmax", g.op("matmul", t, t, transpose_b=True, name="scores"), axis=-1, name="soft")
    t = g.op("gelu", g.op("matmul", s, t, name="mixed"), name="gelu")
    return g.build(g.fc(t, 5, name="last"))


NETWORKS: dict[str, Callable[[], Graph]] = {
    "layers": layers,
    "random_3": lambda: random_network(3),
    "both_directions": lambda: next(
        g
        for g in map(random_recurrent, range(50))
        if g.ops[0].attrs["directions"] == 2 and g.ops[0].attrs["hidden"] < 64
    ),
}


def installed(name: str) -> HostFramework:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip(PACKAGES[name])
    return FRAMEWORKS[name]


@pytest.mark.ci
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_runtime_gives_the_numbers_of_onnx_runtime(
    name: str, network: str, tmp_path: Path
) -> None:
    by, graph = installed(name), NETWORKS[network]()
    import onnxruntime

    by.write(graph, tmp_path / "net.onnx", "fp32")
    loaded = _named(RUNNERS[by.runner])(profile=False).prepare(Job("net", tmp_path / "net.onnx"))
    loaded.run_set(1, 0)
    made = loaded.outputs()
    loaded.close()
    session = onnxruntime.InferenceSession(
        str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"]
    )
    generator = np.random.default_rng(0)
    given = {
        i.name: generator.uniform(-1, 1, i.shape).astype(np.float32) for i in session.get_inputs()
    }
    for ours, theirs in zip(made, session.run(None, given), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4 * np.abs(theirs).max())


IN_PLACE = {"openvino": ("shuffle",)}
"""Reshapes of which OpenVINO says in one run that they were executed and in another that not."""


@pytest.mark.ci
@pytest.mark.parametrize("name", ["onnxruntime", *OTHERS])
def test_every_kernel_finds_its_time_in_a_runtimes_list(name: str, tmp_path: Path) -> None:
    by, graph = installed(name), layers()
    by.write(graph, tmp_path / "net.onnx", "fp32")
    loaded = _named(RUNNERS[by.runner])().prepare(Job("net", tmp_path / "net.onnx"))
    first = loaded.run_set(2, 1)
    loaded.close()
    assert first.load_ms is not None
    assert first.first_ms is not None
    assert len(first.runs_ms) == 2
    kernels = by.fused(graph)
    at = owners(graph, kernels)
    found = {owner_of(key.partition(" ")[2], at) for key in first.per_op_us}
    untimed = [k.name for i, k in enumerate(kernels) if i not in found]
    assert [k for k in untimed if k not in IN_PLACE.get(name, ())] == RENAMED.get(name, [])
    times = by.kernel_us(graph, "fp32", dict.fromkeys(first.per_op_us, (1.0,)))
    assert times.sum() == len(first.per_op_us)


@pytest.mark.ci
@pytest.mark.parametrize("name", ["onnxruntime", *OTHERS])
def test_a_file_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    by = installed(name)
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    runner = _named(RUNNERS[by.runner])()
    with pytest.raises(RunnerError, match="cannot"):
        runner.prepare(Job("bad", tmp_path / "bad.onnx"))


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_refused_with_the_extra_that_brings_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    by = FRAMEWORKS[name]
    with pytest.raises(RunnerError, match="is not installed") as told:
        _named(RUNNERS[by.runner])()
    assert f"perfmodel[{by.extra}]" in told.value.hint


@pytest.mark.ci
def test_an_operator_that_torch_is_not_told_is_named(tmp_path: Path) -> None:
    installed("pytorch")
    import onnx

    from perfmodel.runners.torch_network import torch_network

    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(n, real, [1, 2]) for n in "xy"]
    nodes = [helper.make_node("Det", ["x"], ["y"], name="strange")]
    made = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]))
    onnx.save(made, tmp_path / "d.onnx")
    with pytest.raises(RunnerError, match="'strange': Det"):
        torch_network(tmp_path / "d.onnx")


@pytest.mark.ci
def test_torch_calls_what_exporters_split_as_people_write_it(tmp_path: Path) -> None:
    installed("pytorch")
    from perfmodel.runners.torch_network import torch_network

    FRAMEWORKS["pytorch"].write(layers(), tmp_path / "net.onnx", "fp32")
    names = [step.name for step in torch_network(tmp_path / "net.onnx").steps]
    for once in ("gate", "other_gate", "dense"):
        assert sum(name.partition("/")[0] == once for name in names) == 1
