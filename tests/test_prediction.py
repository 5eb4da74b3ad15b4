"""Predictions add up, are covered by their interval, and say what they cannot answer."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from perfmodel import many_queries
from perfmodel.cli.app import run
from perfmodel.devices.registry import ProfileFolder, Resolved
from perfmodel.errors import TargetError, UncoveredOpError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.kernel_times import NetworkBatch
from perfmodel.many_queries import predict_many
from perfmodel.prediction import BatchPrediction, predict, predict_batch
from perfmodel.workload import load_at_batch, workload

TARGET = "snapdragon-855-plus/cpu"
MODELS = ("mobilenet_v2", "resnet50", "squeezenet_1_1", "vit_b16")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("target", [TARGET, "snapdragon-855-plus/gpu"])
def test_a_network_is_its_kernels_and_the_fixed_cost(model: str, target: str) -> None:
    answer = predict(model, target)
    total = answer.overhead_ms + sum(k.latency_ms for k in answer.kernels)
    assert answer.latency_ms == pytest.approx(total, rel=1e-9)
    assert sum(k.macs for k in answer.kernels) == answer.macs


def test_a_kernel_moves_its_input_weights_and_output_in_the_targets_precision() -> None:
    """10 x 10 x 8 in, 8 x 16 weights and 16 biases, 10 x 10 x 16 out, 2 bytes each."""
    builder = GraphBuilder("one")
    graph = builder.build(builder.conv(builder.input((1, 10, 10, 8)), 16, 1))
    [kernel] = predict(graph, "huawei-p40/gpu/mnn/fp16").kernels
    assert kernel.bytes == 2 * (800 + 8 * 16 + 16 + 1600)
    assert kernel.macs == 100 * 8 * 16


@pytest.mark.parametrize("model", MODELS)
def test_the_interval_holds_the_prediction(model: str) -> None:
    answer = predict(model, TARGET)
    low, high = answer.interval_ms
    assert 0 < low < answer.latency_ms < high
    assert answer.interval_coverage == 0.9


def test_a_larger_batch_takes_longer() -> None:
    times = [predict("mobilenet_v2", TARGET, batch_size=b).latency_ms for b in (1, 2, 4, 8)]
    assert times == sorted(times)
    assert predict("mobilenet_v2", TARGET, batch_size=4).macs == 4 * 300_775_552


def test_a_wider_network_takes_longer() -> None:
    widths = ("0.5", "0.75", "1.0", "1.4")
    times = [predict(f"mobilenet_v2@width={w}", TARGET).latency_ms for w in widths]
    assert times == sorted(times)


def test_the_answer_prints_the_full_target() -> None:
    assert predict("mobilenet_v2", TARGET).target.count("/") == 4


def test_something_unlike_anything_fitted_is_flagged_and_less_sure() -> None:
    usual, strange = predict("mobilenet_v2", TARGET), predict("lstm_text", TARGET)
    assert strange.extrapolated
    assert strange.novel_kernels

    def width(answer: object) -> float:
        low, high = answer.interval_ms  # type: ignore[attr-defined]
        return float(high / low)

    assert width(strange) > width(usual)


def _with_unknown_operator() -> Graph:
    g = GraphBuilder("odd")
    x = g.conv(g.input((1, 8, 8, 4)), 8, 3)
    return g.build(g.op("custom", x, name="odd", output_shapes=((1, 8, 8, 8),), custom_name="Mist"))


def test_what_is_not_covered_is_an_error_unless_allowed() -> None:
    with pytest.raises(UncoveredOpError, match="Mist"):
        predict(_with_unknown_operator(), TARGET)
    answer = predict(_with_unknown_operator(), TARGET, allow_uncovered=True)
    assert "Mist" in answer.uncovered_ops[0]
    assert answer.latency_ms > 0


def test_an_unknown_target_is_an_error() -> None:
    with pytest.raises(TargetError, match="no profile"):
        predict("mobilenet_v2", "no-such-phone/cpu")


def test_bad_pairs_give_their_error_in_place() -> None:
    pairs = [("mobilenet_v2", TARGET, None), ("nothing", TARGET, None), ("mobilenet_v2", "x", 2)]
    answers = list(predict_many(pairs))
    assert [isinstance(a, Exception) for a in answers] == [False, True, True]


def test_a_network_that_fails_among_others_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(batch: NetworkBatch, resolved: Resolved) -> BatchPrediction:
        if any(work.graph.name == "nin" for work in batch.works):
            raise TargetError("no nin")
        return predict_batch(batch, resolved)

    monkeypatch.setattr(many_queries, "predict_batch", picky)
    answers = list(predict_many([(m, TARGET, None) for m in ("alexnet", "nin", "vgg11")]))
    assert [isinstance(answer, TargetError) for answer in answers] == [False, True, False]
    assert [getattr(answer, "model", "") for answer in answers] == ["alexnet", "", "vgg11"]


def test_many_answers_equal_single_ones() -> None:
    pairs = [(m, TARGET, b) for m in MODELS for b in (1, 3)]
    for pair, answer in zip(pairs, predict_many(pairs), strict=True):
        assert not isinstance(answer, Exception)
        alone = predict(pair[0], pair[1], batch_size=pair[2])
        assert answer.latency_ms == pytest.approx(alone.latency_ms)


def test_every_shipped_target_predicts() -> None:
    folder = ProfileFolder()
    graph = load_at_batch("mobilenet_v2", None)
    targets = [str(t.target) for name in folder.names() for t in folder.device(name).targets]
    queries = [("mobilenet_v2", t, None) for t in targets]
    for query, answer in zip(queries, predict_many(queries), strict=True):
        assert not isinstance(answer, Exception), f"{query[1]}: {answer}"
        assert 0 < answer.interval_ms[0] <= answer.latency_ms <= answer.interval_ms[1]
    assert workload(graph, "ncnn").macs == 300_775_552


def test_queries_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("mobilenet_v2", TARGET, "2"), ("nothing_like_it", TARGET, "")]
    with open(tmp_path / "q.csv", "w", newline="") as file:
        csv.writer(file).writerows([("model", "target", "batch_size"), *rows])
    code = run(["predict", "--queries", str(tmp_path / "q.csv"), "-o", str(tmp_path / "out.csv")])
    assert code in (0, 1)
    with open(tmp_path / "out.csv", newline="") as file:
        answers = list(csv.DictReader(file))
    assert float(answers[0]["latency_ms"]) > 0
    assert "nothing_like_it" in "".join(answers[1].values())


@pytest.mark.parametrize(
    "text", ["model\nx\n", "model,target,batch_size\nx,y,0\n", "model,target,batch_size\nx,y,two\n"]
)
def test_a_bad_query_file_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "q.csv").write_text(text)
    out = ["-o", str(tmp_path / "out.csv")]
    assert run(["predict", "--queries", str(tmp_path / "q.csv"), *out]) == 2


def test_json_answers_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", "mobilenet_v2", "--on", TARGET, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["interval_ms"][0] < answer["latency_ms"] < answer["interval_ms"][1]
    assert run(["predict", "mobilenet_v2", "--on", "nowhere/cpu", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "target"
    assert error["message"]
