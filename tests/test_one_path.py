"""One answer to one question: every function and command says the same latency of a network.

All shipped targets are asked (a part of them in the quick tests), three networks each: one whose
weights a phone's GPU cannot hold in its fast storage, one of many small kernels, one whose file is
quantised.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import perfmodel
from perfmodel.cli.app import run
from perfmodel.devices.registry import ProfileFolder
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.graph.ir import Graph
from perfmodel.prediction import Prediction
from perfmodel.target import QUANTISED, parse_target

EXACT = 1e-9
WIDTH = 1e-8
"""Rounding of an interval: how like a network is to known ones is solved for all asked at once."""
NINE_DIGITS = 5e-9
"""What rounding to nine significant digits, as JSON is written, can change."""
SAMPLE = (
    "exynos-2200/gpu/tflite/fp32",
    "jetson-agx-xavier/dla/tensorrt/fp16",
    "pixel-4/cpu/tflite/int8/t4",
    "titan-v/gpu/cudnn/fp16",
    "snapdragon-855-plus/cpu/ncnn/float/t4@big",
)
"""A target of each kind: slow storage, fall-back, quantised, from a data sheet, plain."""


@dataclass(frozen=True)
class Asked:
    """Shipped targets, the networks by what a command calls them, and what `predict` says.

    `step` is 1 where all targets are asked, and of how many one is in the quick tests.
    """

    step: int
    names: tuple[str, ...]
    graphs: dict[str, Graph]
    _told: dict[tuple[str, str], Prediction] = field(default_factory=dict)

    def told(self, model: str, name: str) -> Prediction:
        """What `predict` says, asked once."""
        if (model, name) not in self._told:
            self._told[model, name] = perfmodel.predict(self.graphs[model], name, per_layer=False)
        return self._told[model, name]


EVERY = (pytest.param(1, marks=pytest.mark.slow), 4)
"""Every target, and every fourth in the quick tests."""


@pytest.fixture(scope="module", params=EVERY)
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    quantised = tmp_path_factory.mktemp("files") / "quantised.tflite"
    write_tflite(perfmodel.load("mobilenet_v1@width=0.5"), quantised, precision="int8")
    graphs = {m: perfmodel.load(m) for m in ("vgg16", "mobilenet_v2", str(quantised))}
    folder = ProfileFolder()
    names = [str(t.target) for p in map(folder.profile, folder.names()) for t in p.targets]
    assert len(names) > 700
    return Asked(request.param, tuple(dict.fromkeys((*names[:: request.param], *SAMPLE))), graphs)


def same(found: float | None, told: Prediction, rel: float = EXACT) -> bool:
    """Whether a function says of a network what `predict` says; None stands for "not known"."""
    if found is None or told.unknown:
        return found is None and bool(told.unknown)
    return found == pytest.approx(told.latency_ms, rel=rel)


def test_many_queries_say_what_predict_says(asked: Asked) -> None:
    queries = [(model, name, None) for name in asked.names for model in asked.graphs]
    for query, answer in zip(queries, perfmodel.predict_many(queries), strict=True):
        told = asked.told(*query[:2])
        assert isinstance(answer, Prediction), answer
        assert answer.latency_ms == pytest.approx(told.latency_ms, rel=EXACT), query
        assert answer.interval_ms == pytest.approx(told.interval_ms, rel=EXACT), query
        assert (answer.unknown, answer.precision_reason) == (told.unknown, told.precision_reason)


def test_compare_says_what_predict_says(asked: Asked) -> None:
    answer = perfmodel.compare(list(asked.graphs), asked.names)
    width = len(asked.names)
    assert len(answer.cells) == 3 * width
    for i, model in enumerate(asked.graphs):
        for j, name in enumerate(asked.names):
            cell, told = answer.cells[i * width + j], asked.told(model, name)
            assert cell.target == name
            assert same(cell.latency_ms, told), (model, name)
            assert cell.interval_ms == pytest.approx(told.interval_ms, rel=WIDTH)


def test_a_sweep_over_targets_says_what_predict_says(asked: Asked) -> None:
    for model in asked.graphs:
        sets = [f"target={','.join(asked.names)}"]
        frame = perfmodel.whatif(model=model, target=asked.names[0], sets=sets).frame
        for row in frame.to_dict("records"):
            told = asked.told(model, row["target"])
            found = None if math.isnan(row["latency_ms"]) else row["latency_ms"]
            assert same(found, told), (model, row["target"])
            bounds = row["low_ms"], row["high_ms"]
            assert bounds == pytest.approx(told.interval_ms, rel=EXACT)
            assert row["problem"].endswith(told.unknown)


def test_a_plan_of_one_piece_says_what_predict_says(asked: Asked) -> None:
    """A target takes the networks in turn; one that is treated apart takes all of them."""
    models = tuple(asked.graphs)
    for i, name in enumerate(asked.names):
        for model in models if name in SAMPLE else (models[i % len(models)],):
            plan = perfmodel.partition(asked.graphs[model], name, k=1)
            told = asked.told(model, name)
            assert plan.latency_ms == pytest.approx(told.latency_ms, rel=EXACT), (model, name)
            assert plan.unpartitioned_ms == pytest.approx(told.latency_ms, rel=EXACT), (model, name)
            assert plan.unknown == told.unknown, (model, name)
            # predict names another target of the device first, which a plan for this one cannot use
            assert told.settle.endswith(plan.settle), (model, name)
            assert bool(plan.settle) == bool(told.unknown), (model, name)
            assert plan.unpartitioned_unknown == told.unknown, (model, name)


def test_the_minimum_phone_says_what_predict_says(asked: Asked) -> None:
    for model in list(asked.graphs)[:: asked.step]:
        seen = set()
        for unit in ("cpu", "gpu", "npu", "nnapi"):
            answer = perfmodel.minspec(model, 50.0, kind="any", unit=unit)
            for phone in (*answer.passing, *answer.failing, *answer.unknown):
                told = asked.told(model, phone.target)
                assert phone.median_ms == pytest.approx(told.latency_ms, rel=EXACT), phone.target
                assert phone.known == (not told.unknown)
                seen.add(phone.target)
        assert len(seen) > 200


def test_a_selection_says_what_predict_says(asked: Asked) -> None:
    floats = [name for name in asked.names if parse_target(name).precision not in QUANTISED]
    for name in dict.fromkeys(
        (*floats[:: max(20 // asked.step, 1)], "exynos-2200/gpu/tflite/fp32")
    ):
        [vgg16] = [
            c
            for c in perfmodel.select(["vgg16"], on=name, max_latency_ms=50.0).candidates
            if c.model == "vgg16"
        ]
        told = asked.told("vgg16", name)
        assert vgg16.target == name
        assert vgg16.median_ms == pytest.approx(told.latency_ms, rel=EXACT), name
        assert vgg16.known == (not told.unknown)


def alone(model: str, target: str) -> dict[str, Any]:
    """A scenario of one request that meets nobody."""
    return {
        "task": {
            "policy": "device",
            "workload": {"kind": "periodic", "period_ms": 1000.0, "requests": 1},
            "on_device": {"model": model, "target": target},
        },
    }


@pytest.mark.parametrize("name", SAMPLE)
def test_a_request_that_meets_nobody_takes_what_predict_says(asked: Asked, name: str) -> None:
    answer = perfmodel.simulate(alone("vgg16", name)).best
    told = asked.told("vgg16", name).latency_ms
    assert answer.latency_ms["mean"] == pytest.approx(told, rel=EXACT)


Read = Callable[[Any], float | None]

COMMANDS: dict[str, tuple[str, Read]] = {
    "predict": ("predict vgg16 --on TARGET", lambda data: data["latency_ms"]),
    "compare": ("compare vgg16 --on TARGET", lambda data: data["cells"][0]["latency_ms"]),
    "partition": ("partition vgg16 --on TARGET -k 1", lambda data: data["latency_ms"]),
    "whatif": (
        "whatif --model vgg16 --on TARGET --set slowdown=1,2",
        lambda data: None if data["best"] is None else data["best"]["latency_ms"],
    ),
    "select": (
        "select vgg16 --on TARGET --max-latency-ms 1e6",
        lambda data: data["candidates"][0]["median_ms"],
    ),
    "minspec": (
        "minspec vgg16 --max-latency-ms 1e6 --kind any",
        lambda data: next(
            p["median_ms"]
            for p in (*data["passing"], *data["failing"], *data["unknown"])
            if p["target"] == data["asked"]
        ),
    ),
}
"""A command line and where its JSON holds the latency; TARGET stands for the target."""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", SAMPLE)
def test_every_command_says_what_predict_says(
    asked: Asked, command: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "select" and "int8" in name:
        pytest.skip("no accuracy of a quantised VGG16 is published, so select has no candidate")
    line, read = COMMANDS[command]
    told = asked.told("vgg16", name)
    if command == "minspec":
        unit, precision = name.split("/")[1:4:2]
        line += f" --unit {unit} --precision {precision}"
    assert run([*line.replace("TARGET", name).split(), "--json"]) in (0, 1)
    data = json.loads(capsys.readouterr().out)
    if command == "minspec":
        # of a device it names the best target of the unit and precision, which may be another
        answers = (*data["passing"], *data["failing"], *data["unknown"])
        best = next(p["target"] for p in answers if p["device"] == name.partition("/")[0])
        told = told if best == name else perfmodel.predict("vgg16", best)
        name = best
    found = read(data | {"asked": name})
    if command in ("compare", "whatif"):
        assert same(found, told, NINE_DIGITS)
    else:
        assert found == pytest.approx(told.latency_ms, rel=NINE_DIGITS)
    if command in ("partition", "predict"):
        assert data["unknown"] == told.unknown


@pytest.mark.parametrize("name", SAMPLE)
def test_a_file_of_queries_says_what_predict_says(asked: Asked, name: str, tmp_path: Path) -> None:
    """The file holds six digits, and no time where none is known well enough."""
    (tmp_path / "in.csv").write_text(f"model,target,batch_size\nvgg16,{name},\n")
    arguments = ["--queries", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv")]
    assert run(["predict", *arguments]) == 0
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    told = asked.told("vgg16", name)
    if told.unknown:
        assert (row["latency_ms"], row["error"]) == ("", told.unknown)
    else:
        assert float(row["latency_ms"]) == pytest.approx(told.latency_ms, rel=1e-5)
