"""The precision of a network's weights picks the target's, and the answer says which and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import perfmodel
from perfmodel.devices.registry import ProfileFolder
from perfmodel.explore.candidates import Networks, memory_mb, resolved_targets
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.graph.ir import Graph
from perfmodel.kernels.precisions import stored_precision
from perfmodel.target import Target
from perfmodel.workload import workload

PHONE, BOTH, FLOATS_ONLY = "pixel-4", "pixel-4/cpu", "exynos-2200/gpu"


def quantised(model: str, dtype: str = "int8") -> Graph:
    """A network of the zoo whose weights are stored as integers."""
    graph = perfmodel.load(model)
    tensors = {n: replace(t, dtype=dtype) if t.constant else t for n, t in graph.tensors.items()}
    return replace(graph, tensors=tensors)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_quantised_network_takes_the_quantised_target(dtype: str) -> None:
    whole, floats = quantised("mobilenet_v1", dtype), perfmodel.load("mobilenet_v1")
    answer, other = perfmodel.predict(whole, BOTH), perfmodel.predict(floats, BOTH)
    assert (answer.target, other.target) == (
        "pixel-4/cpu/tflite/int8/t4",
        "pixel-4/cpu/tflite/fp32/t4",
    )
    assert answer.precision_reason == f"int8, as the network's weights are {dtype}"
    assert other.precision_reason == ""
    assert answer.latency_ms < other.latency_ms


def test_a_quantised_file_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "net_quant.tflite"
    write_tflite(perfmodel.load("squeezenet_1_1"), path, precision="int8")
    assert perfmodel.predict(str(path), BOTH).target.endswith("/int8/t4")
    [answer] = perfmodel.predict_many([(str(path), BOTH, None)])
    assert not isinstance(answer, Exception)
    assert answer.target.endswith("/int8/t4")
    assert perfmodel.partition(str(path), BOTH, k=1).segments[0].target.endswith("/int8/t4")
    frame = perfmodel.whatif(model=str(path), target=BOTH, sets=["slowdown=1,2"]).frame
    bounds = frame["low_ms"].min(), frame["high_ms"].min()
    assert bounds == pytest.approx(answer.interval_ms, rel=1e-9)


def test_every_int8_file_of_ncnn_differs_from_its_float_twin(data_dir: Path) -> None:
    folder = data_dir / "ncnn_models"
    pairs = [
        (p.with_name(p.name.replace("_int8", "")), p) for p in sorted(folder.glob("*_int8.param"))
    ]
    models = [str(p) for pair in pairs for p in pair if pair[0].is_file()]
    assert len(models) >= 10
    on = "snapdragon-855-plus/cpu"
    cells = perfmodel.compare(models, [on]).cells
    for plain, integer in zip(cells[::2], cells[1::2], strict=True):
        assert (plain.target.split("/")[3], integer.target.split("/")[3]) == ("float", "int8")
        assert plain.latency_ms != integer.latency_ms
        assert integer.precision_reason == "int8, as the network's weights are int8"


def test_one_question_may_mean_two_targets() -> None:
    answer = perfmodel.compare([perfmodel.load("mobilenet_v1"), quantised("mobilenet_v1")], [BOTH])
    assert answer.targets == (BOTH,)
    assert [c.target for c in answer.cells] == [
        "pixel-4/cpu/tflite/fp32/t4",
        "pixel-4/cpu/tflite/int8/t4",
    ]
    assert answer.cells[0].latency_ms is not None
    assert answer.cells[1].ratio is not None


def test_another_precision_than_the_networks_is_named() -> None:
    asked = perfmodel.predict(quantised("mobilenet_v1"), f"{BOTH}/tflite/fp32")
    assert asked.precision_reason == (
        "the network's weights are int8: this is the time of its float version in fp32"
    )
    only = perfmodel.predict(quantised("mobilenet_v1"), FLOATS_ONLY)
    assert only.precision_reason == (
        "the network's weights are int8 and exynos-2200 has no other target here: "
        "this is the time of its float version in fp32"
    )
    floats = perfmodel.predict("mobilenet_v1", f"{BOTH}/tflite/int8")
    assert floats.precision_reason == (
        "the network's weights are floats: this is the time of its quantised version in int8"
    )
    plan = perfmodel.partition(quantised("mobilenet_v1"), FLOATS_ONLY, k=1)
    assert any("no other target here" in note for note in plan.notes)


def test_a_float_network_skips_a_quantised_target_that_stands_first() -> None:
    profile = ProfileFolder().device(PHONE)
    int8 = [t for t in profile.targets if t.target.precision == "int8"]
    rest = [t for t in profile.targets if t.target.precision != "int8"]
    turned = replace(profile, targets=(*int8, *rest))
    answer = perfmodel.predict("mobilenet_v1", BOTH, profiles=[turned])
    assert answer.target == "pixel-4/cpu/tflite/fp32/t4"
    assert answer.precision_reason == "fp32, as the network's weights are floats"


def test_the_minimum_phone_of_a_quantised_network_is_sought_among_quantised_targets() -> None:
    stored = stored_precision(quantised("mobilenet_v1"))
    found = {str(r.target.target) for r in resolved_targets(stored=stored)}
    assert "pixel-4/cpu/tflite/int8/t4" in found
    assert "pixel-4/cpu/tflite/fp32/t4" not in found
    assert "exynos-2200/gpu/tflite/fp32" in found  # the device has no other
    floats = {str(r.target.target) for r in resolved_targets(stored="fp32")}
    assert found < floats


def test_memory_counts_activations_in_the_precision_that_runs() -> None:
    """Peak activations of a float graph count 4 bytes, of an int8 graph 1: at int8 both are 1."""
    target = Target("d", "cpu", "tflite", "int8")
    graph = perfmodel.load("mobilenet_v1")
    small = replace(graph, tensors={n: replace(t, dtype="int8") for n, t in graph.tensors.items()})
    floats, integers = (memory_mb(workload(g, "tflite-cpu"), target) for g in (graph, small))
    assert floats == pytest.approx(integers)
    assert integers == pytest.approx(
        (workload(small, "tflite-cpu").params + workload(small, "tflite-cpu").peak_activation_bytes)
        / 1e6
    )


def test_networks_know_what_they_store() -> None:
    assert Networks([quantised("alexnet", "uint8"), "alexnet"]).stored == ("uint8", "fp32")
