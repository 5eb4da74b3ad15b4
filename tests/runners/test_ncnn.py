"""The ncnn runner: what it times layer by layer, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perfmodel.errors import ModelFileError, RunnerError
from perfmodel.formats.ncnn.net import NcnnLayer
from perfmodel.formats.ncnn.writer import write_ncnn
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.runners.host_frameworks import FRAMEWORKS
from perfmodel.runners.ncnn_host import NcnnRunner, results_of
from perfmodel.runners.runner import Job


def layer(kind: str, bottoms: str, tops: str) -> NcnnLayer:
    names = tuple(bottoms.split()), tuple(tops.split())
    return NcnnLayer(line=1, type=kind, name=tops, bottoms=names[0], tops=names[1], params={})


def test_results_are_what_nothing_reads_but_halves_thrown_away() -> None:
    layers = [layer("Input", "", "in"), layer("Slice", "in", "a b"), layer("ReLU", "a", "out")]
    assert results_of(layers) == ["out"]
    assert results_of(layers[:2]) == ["a", "b"]
    assert results_of([*layers, layer("Split", "out", "c d"), layer("ReLU", "c", "e")]) == [
        "d",
        "e",
    ]


def network() -> Graph:
    g = GraphBuilder("timed")
    x = g.conv(g.input((1, 16, 16, 16)), 32, 3, activation="relu", name="wide")
    return g.build(g.fc(g.global_avg_pool(x, name="mean"), 5, name="last"))


@pytest.mark.ci
@pytest.mark.parametrize("precision", ["float", "int8"])
def test_layers_are_timed_one_by_one_and_integers_stay_near_floats(
    precision: str, tmp_path: Path
) -> None:
    pytest.importorskip("ncnn")
    by = FRAMEWORKS["ncnn"]
    made = []
    for each in ("float", precision):
        path = tmp_path / f"{each}.param"
        by.write(network(), path, each)
        prepared = NcnnRunner(seed=2).prepare(Job(each, path, 1, each))
        raw = prepared.run_set(3, 1)
        made.append(prepared.outputs()[0])
        prepared.close()
    times = by.kernel_us(network(), precision, raw.per_op_us)
    assert [len(values) for values in raw.per_op_us.values()] == [3] * len(raw.per_op_us)
    # 1.2 MMAC beside a mean over 8,192 numbers and a product of 160
    assert times.argmax() == 0
    assert np.abs(made[1] - made[0]).max() <= 0.1 * np.abs(made[0]).max()
    assert (precision == "float") == bool((made[1] == made[0]).all())


@pytest.mark.ci
def test_a_large_input_hides_no_small_layer(tmp_path: Path) -> None:
    pytest.importorskip("ncnn")
    g = GraphBuilder("small")
    x = g.conv(g.input((1, 512, 512, 3)), 16, 7, 8, name="first")
    for number in range(6):
        x = g.conv(x, 16, 1, name=f"point{number}")
    path = tmp_path / "small.param"
    write_ncnn(g.build(x), path)
    prepared = NcnnRunner().prepare(Job("small", path))
    raw = prepared.run_set(9, 1)
    prepared.close()
    # an input runs nothing, but is copied as it is asked for: 786,432 numbers, 100 us or more
    assert set(raw.per_op_us["0 input_0"]) == {0.0}
    # 1 MMAC each, tens of us
    points = [np.median(raw.per_op_us[f"{n + 2} point{n}"]) for n in range(6)]
    assert min(points) > 5


@pytest.mark.ci
def test_what_ncnn_cannot_load_is_refused_in_words(tmp_path: Path) -> None:
    pytest.importorskip("ncnn")
    path = tmp_path / "a.param"
    write_ncnn(network(), path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(RunnerError, match="not beside it"):
        NcnnRunner().prepare(Job("a", path))
    write_ncnn(network(), path)
    sized = path.read_text()
    path.write_text(sized.replace(" 0=16 1=16 2=16\n", "\n", 1))
    assert path.read_text() != sized
    with pytest.raises(ModelFileError, match="no input size"):
        NcnnRunner().prepare(Job("a", path))
    prepared = NcnnRunner(profile=False).prepare(Job("a", path, shapes={"": (1, 24, 20, 16)}))
    assert [made.shape for made in prepared.outputs()] == [(5,)]
    prepared.close()
    path.write_text(sized.replace("Pooling", "Polling"))
    with pytest.raises(RunnerError, match="cannot load this file"):
        NcnnRunner().prepare(Job("a", path))
