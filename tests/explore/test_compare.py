"""Networks against targets, on phones whose latency is known by construction."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_phones import MakePhone

from perfmodel.cli.app import run
from perfmodel.errors import PerfmodelError
from perfmodel.explore.ai_benchmark import CONFIGURATIONS, ai_benchmark
from perfmodel.explore.compare import alternatives, compare
from perfmodel.zoo.suites import AI_BENCHMARK

CPU = "cpu/ncnn/fp32/t1"


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("titan/gpu/vanilla,cudnn/fp32,cudnn/fp16",
         ["titan/gpu/vanilla", "titan/gpu/cudnn/fp32", "titan/gpu/cudnn/fp16"]),
        ("p/cpu,gpu", ["p/cpu", "p/gpu"]),
        ("p/cpu/tflite/fp32/t4,int8,t1,gpu",
         ["p/cpu/tflite/fp32/t4", "p/cpu/tflite/int8", "p/cpu/tflite/int8/t1", "p/gpu"]),
        ("p,q/gpu", ["p", "q/gpu"]),
        ("p,x 9,t4,y", ["p", "x 9", "t4", "y"]),
        ("p/gpu,x 9/gpu", ["p/gpu", "x 9/gpu"]),
        ("p/gpu,gtx-titan-x", ["p/gpu", "gtx-titan-x"]),
        ("p/gpu,ncnn", ["p/gpu", "p/gpu/ncnn"]),
    ],
)  # fmt: skip
def test_alternatives_by_comma(text: str, means: list[str]) -> None:
    assert alternatives(text, {"p", "q", "titan", "titan-x-maxwell"}) == means


def test_every_network_meets_every_target_and_ratios_are_to_the_first(phones: MakePhone) -> None:
    phones("a", {CPU: 50.0, "gpu/ncnn/fp16": 10.0})
    phones("b", {CPU: 100.0})
    answer = compare(["alexnet", "mobilenet_v1"], ["a/cpu,gpu", "b"])
    assert answer.targets == ("a/cpu/ncnn/fp32/t1", "a/gpu/ncnn/fp16", "b/cpu/ncnn/fp32/t1")
    ratios = [answer.cell("alexnet", t).ratio for t in answer.targets]
    assert ratios == pytest.approx([1.0, 5.0, 0.5])
    best = answer.fastest("mobilenet_v1")
    assert best is not None
    assert best.target == "a/gpu/ncnn/fp16"


def test_a_target_given_twice_stands_once(phones: MakePhone) -> None:
    phones("a", {CPU: 50.0})
    assert len(compare(["alexnet"], ["a", "a/cpu"]).targets) == 1


def test_nothing_to_compare_is_an_error(phones: MakePhone) -> None:
    phones("a", {CPU: 50.0})
    with pytest.raises(PerfmodelError, match="needs networks and targets"):
        compare([], ["a"])


def test_targets_may_follow_one_on(phones: MakePhone, capsys: pytest.CaptureFixture[str]) -> None:
    phones("a", {CPU: 50.0})
    phones("b", {CPU: 20.0})
    assert run(["compare", "alexnet", "--on", "a", "b/cpu", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [c["latency_ms"] for c in data["cells"]] == pytest.approx([50.0, 20.0])
    assert "b/cpu/ncnn/fp32/t1 is the fastest for alexnet" in data["answer"]
    assert "2.5 times" in data["answer"]


def test_the_heat_map_is_written(phones: MakePhone, tmp_path: Path) -> None:
    phones("a", {CPU: 50.0})
    for name in ("map.svg", "map.html"):
        path = tmp_path / name
        assert run(["compare", "alexnet", "--on", "a", "--plot", str(path)]) == 0
        assert "<svg" in path.read_text()
    assert run(["compare", "alexnet", "--on", "a", "--plot", str(tmp_path / "map.gif")]) == 2


def test_ai_benchmark_takes_the_fastest_target_of_each_kind(phones: MakePhone) -> None:
    phones("exynos-8895", {CPU: 50.0, "gpu/ncnn/fp16": 20.0, "npu/ncnn/fp16": 10.0})
    phones("box", {"gpu/ncnn/fp32": 5.0}, kind="desktop")
    answer = ai_benchmark(["exynos-8895"])
    assert len(answer.tests) == len(AI_BENCHMARK) * len(CONFIGURATIONS)
    first = {r.configuration: r.latency_ms for r in answer.tests[:4]}
    assert first["CPU float"] == pytest.approx(50.0)
    assert first["accelerator float"] == pytest.approx(10.0)
    assert first["CPU int"] is None
    assert [(r.device, r.per_second) for r in answer.rates] == [
        ("box", pytest.approx(200.0)),
        ("exynos-8895", pytest.approx(100.0)),
    ]
    old, new, kirin = answer.generations
    assert (old.published_ms, old.latency_ms) == (121.0, pytest.approx(10.0))
    assert (new.latency_ms, new.target, kirin.published_ms) == (None, "", 13.0)


def test_the_suite_prints_what_has_no_target(
    phones: MakePhone, capsys: pytest.CaptureFixture[str]
) -> None:
    phones("a", {CPU: 50.0})
    assert run(["compare", "--suite", "ai-benchmark", "--on", "a"]) == 0
    shown = capsys.readouterr().out
    assert "no target" in shown
    assert "Exynos 8895" in shown
    assert run(["compare", "--suite", "mlperf", "--on", "a"]) == 2
