"""The partition experiment on this machine: small, only that it runs and adds up."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from perfmodel.graph import Graph
from perfmodel.graph.builder import GraphBuilder
from perfmodel.runners.litert_profiler import profiler_available

pytest.importorskip("ai_edge_litert")

from perfmodel.experiments.partition import run_partition
from perfmodel.runners.tflite_chain import PreparedChain, write_pieces


def branching() -> Graph:
    b = GraphBuilder("branching")
    x = b.conv(b.input((1, 8, 8, 3)), 8, 3)
    left, right = b.conv(x, 8, 1), b.conv(x, 8, 3)
    return b.build(b.binary("add", b.conv(left, 8, 1), right))


@pytest.mark.parametrize("places", [(1,), (2,), (3,), (1, 2, 3)])
def test_a_chain_computes_what_the_whole_computes(places: tuple[int, ...], tmp_path: Path) -> None:
    """Several tensors cross these cuts; weights are seeded by name, inputs by position."""
    from perfmodel.formats.tflite.cut import cut_tflite
    from perfmodel.formats.tflite.reader import read_tflite
    from perfmodel.formats.tflite.writer import write_tflite
    from perfmodel.runners.tflite_chain import ChainPiece

    path = tmp_path / "whole.tflite"
    write_tflite(branching(), path)
    graph = read_tflite(path)
    ends = [0, *places, len(graph.ops)]
    pieces = []
    for first, last in pairwise(ends):
        piece = cut_tflite(path, first, last, tmp_path / f"{first}.tflite")
        names = [tuple(t.name for t in ts) for ts in (piece.inputs, piece.outputs)]
        pieces.append(ChainPiece(piece.path, *names))
    whole = PreparedChain([ChainPiece(path, graph.inputs, graph.outputs)], 1)
    chain = PreparedChain(pieces, 1)
    expected, found = (
        c._interpreters[-1].get_tensor(c._interpreters[-1].get_output_details()[0]["index"])
        for c in (whole, chain)
    )
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_pieces_cover_the_network_once(tmp_path: Path) -> None:
    pieces = write_pieces(branching(), (2, 3), tmp_path)
    assert len(pieces) == 3
    made = [name for piece in pieces for name in piece.outputs]
    assert len(made) == len(set(made))


@pytest.mark.skipif(not profiler_available(), reason="the runtime's profiler cannot be reached")
def test_the_experiment_predicts_first_and_gives_the_contract(tmp_path: Path) -> None:
    model = "mobilenet_v1@width=0.25,resolution=96"
    journal = tmp_path / "journal.jsonl"
    done = run_partition(journal, models=[model, "vgg16@nonsense=1"], budget_s=4, most_cuts=3)
    written = json.loads((tmp_path / "journal.predictions.json").read_text())
    predicted = written["predictions"][0]["predicted_ms"]
    for case, plan in zip(done.cases, done.plans, strict=True):
        assert case.predicted_ms == pytest.approx(predicted[plan])
        assert case.measured_ms > 0
    assert {"whole", "layer-count K=2", "param-count K=4"} <= set(done.plans)
    assert "vgg16@nonsense=1" in done.left_out
    answer = json.loads(json.dumps(done.to_json()))
    wanted = {"experiment", "cases", "mape", "within_10", "within_20", "spearman", "machine"}
    assert wanted <= set(answer)
    assert set(answer["groups"]) >= {"whole", "single cuts"}
    # going on with the same journal measures nothing again
    again = run_partition(journal, models=[model], budget_s=4, most_cuts=3)
    assert again.to_json()["cases"] == answer["cases"]


def test_emitted_pieces_of_a_real_file_compute_what_the_file_computes(tmp_path: Path) -> None:
    """Branches run one after the other in a plan, whatever the order of the file."""
    from made_up import predictor, target

    from perfmodel.cli.partition import emit_segments
    from perfmodel.devices.profile import DeviceProfile, write_profile
    from perfmodel.formats.tflite.cut import boundary
    from perfmodel.formats.tflite.reader import read_tflite
    from perfmodel.formats.tflite.writer import write_tflite
    from perfmodel.plans.plan import partition
    from perfmodel.runners.tflite_chain import ChainPiece

    path, profile = tmp_path / "whole.tflite", tmp_path / "test-board.json"
    write_tflite(branching(), path)
    cpu = target("test-board", "cpu", "tflite", predictor(1e3, 1.0))
    write_profile(DeviceProfile("test-board", "", "board", (cpu,)), profile)
    graph = read_tflite(path)
    plan = partition(graph, "test-board/cpu", by="each-layer", profiles=[profile])
    written = emit_segments(graph, str(path), plan, tmp_path / "pieces")
    assert len(written) == plan.k == len(graph.ops)
    ordered = replace(graph, ops=tuple({op.name: op for op in graph.ops}[n] for n in plan.op_order))
    assert ordered.ops != graph.ops
    pieces = [
        ChainPiece(Path(file), *boundary(ordered, s.first_op, s.last_op + 1))
        for file, s in zip(written, plan.segments, strict=True)
    ]
    whole = PreparedChain([ChainPiece(path, graph.inputs, graph.outputs)], 1)
    chain = PreparedChain(pieces, 1)
    expected, found = (
        c._interpreters[-1].get_tensor(c._interpreters[-1].get_output_details()[0]["index"])
        for c in (whole, chain)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
