"""Choosing the most accurate variant within a budget."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from made_phones import MakePhone

from perfmodel.cli.app import run
from perfmodel.errors import PerfmodelError, UnknownModelError
from perfmodel.explore.select import select, variants_of
from perfmodel.formats.load import load

FLOAT, INT8 = "cpu/ncnn/fp32/t1", "cpu/ncnn/int8/t1"


def test_variants_are_those_with_a_published_accuracy() -> None:
    found = {(v.model, v.precision): v.accuracy.value for v in variants_of(["mobilenet_v1"])}
    assert found["mobilenet_v1", "float"] == 71.0  # hosted_models.md of TensorFlow
    assert ("mobilenet_v1@resolution=192", "float") in found
    assert ("mobilenet_v1", "int8") in found


def test_without_a_tight_budget_the_most_accurate_wins(phones: MakePhone) -> None:
    phones("a", {FLOAT: 10.0, INT8: 5.0})
    best = select(["mobilenet_v3"], on="a", max_latency_ms=50).chosen
    assert best is not None
    assert (best.model, best.precision, best.accuracy) == ("mobilenet_v3_large", "float", 75.2)


def test_a_tight_latency_leaves_the_quantised_variant(phones: MakePhone) -> None:
    phones("a", {FLOAT: 10.0, INT8: 5.0})
    best = select(["mobilenet_v3"], on="a", max_latency_ms=8).chosen  # p95: 12 and 6 ms
    assert best is not None
    assert (best.model, best.precision, best.accuracy) == ("mobilenet_v3_large", "int8", 73.9)
    assert best.latency_ms == pytest.approx(6.0)


def test_a_tight_memory_leaves_a_narrow_network(phones: MakePhone) -> None:
    phones("a", {FLOAT: 10.0})
    # 3.5 M parameters of MobileNet V2 are 14 MB; at width 0.5 there are 2.0 M
    best = select(["mobilenet_v2"], on="a", max_latency_ms=50, max_memory_mb=12).chosen
    assert best is not None
    assert "width=" in best.model
    assert best.memory_mb <= 12


def test_a_share_of_a_fleet_decides(phones: MakePhone, tmp_path: Path) -> None:
    phones("fast", {FLOAT: 10.0, INT8: 5.0})
    phones("slow", {FLOAT: 100.0, INT8: 30.0})
    fleet = tmp_path / "fleet.csv"
    fleet.write_text("device,share\nfast,70\nslow,30\n")
    half = select(["mobilenet_v3"], fleet=fleet, min_share=0.5, max_latency_ms=50).chosen
    most = select(["mobilenet_v3"], fleet=fleet, min_share=0.9, max_latency_ms=50).chosen
    assert half is not None
    assert most is not None
    assert (half.precision, half.share) == ("float", pytest.approx(0.7))
    assert (most.precision, most.share) == ("int8", pytest.approx(1.0))


def test_the_front_never_gets_slower_without_getting_more_accurate() -> None:
    front = select(["mobilenet_v2"], on="snapdragon-855-plus", max_latency_ms=50).front
    assert len(front) > 3
    for quick, slow in itertools.pairwise(front):
        assert quick.latency_ms <= slow.latency_ms
        assert quick.accuracy < slow.accuracy


def test_the_chosen_network_is_written_as_tflite(
    phones: MakePhone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phones("a", {INT8: 5.0})
    arguments = ["select", "mobilenet_v1", "--on", "a", "--max-latency-ms", "50", "--json"]
    assert run([*arguments, "--emit", str(tmp_path / "out")]) == 0
    path = Path(json.loads(capsys.readouterr().out)["emitted"])
    assert path.suffix == ".tflite"
    assert len(load(path).ops) > 25
    assert run([*arguments[:-2], "1", "--json"]) == 1


def test_bad_questions_are_refused(phones: MakePhone) -> None:
    phones("a", {FLOAT: 5.0})
    for given in (
        {"on": "", "fleet": None},
        {"on": "a", "min_share": 2.0},
        {"on": "nobody"},
        {"on": "a", "metric": "beauty"},
    ):
        with pytest.raises(PerfmodelError):
            select(["mobilenet_v1"], max_latency_ms=5, **given)  # type: ignore[arg-type]
    with pytest.raises(PerfmodelError, match="did you mean"):
        select(["mobilenot"], on="a", max_latency_ms=5)


def test_a_name_of_one_variant_and_another_metric_are_told_what_to_give() -> None:
    with pytest.raises(UnknownModelError, match="is one variant") as raised:
        variants_of(["yolov8s"])
    assert raised.value.hint == "give the network, 'yolov8'"
    with pytest.raises(PerfmodelError, match="no imagenet_top1") as told:
        variants_of(["yolov8", "yolo11"])
    assert told.value.hint == "add --metric coco_map"
    assert len(variants_of(["yolov8", "yolo11"], "coco_map")) == 10
    with pytest.raises(PerfmodelError) as told:
        variants_of(["yolov8", "mobilenet_v2"], "beauty")
    assert told.value.hint == "--metric is one of coco_map, imagenet_top1"
