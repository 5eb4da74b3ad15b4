"""Files for other tools: Model Explorer's node data, Chrome traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfmodel.render.model_explorer import node_data, write_node_data
from perfmodel.sim.tracing import write_kernel_trace


def test_node_data_names_nodes_by_output_tensor(tmp_path: Path) -> None:
    path = tmp_path / "latency_ms.json"
    write_node_data(path, {"conv1/Relu6": 1.5, "a;b;c": 0.25})
    data = json.loads(path.read_text())
    assert data["results"] == {"conv1/Relu6": {"value": 1.5}, "a;b;c": {"value": 0.25}}
    assert [item["stop"] for item in data["gradient"]] == [0, 0.5, 1]
    assert all(item["bgColor"].startswith("#") for item in data["gradient"])


@pytest.mark.ci
def test_node_data_is_what_model_explorer_itself_writes(tmp_path: Path) -> None:
    builder = pytest.importorskip("model_explorer.node_data_builder")
    ours = node_data({"conv1": 1.5})
    theirs = builder.GraphNodeData(
        results={"conv1": builder.NodeDataResult(value=1.5)},
        gradient=[builder.GradientItem(**item) for item in ours["gradient"]],
    )
    written = json.loads(theirs.to_json_string())
    assert {key: written[key] for key in ours} == ours


def test_a_figure_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="conv1: nan cannot be painted"):
        node_data({"conv1": float("nan")})


def test_kernels_follow_one_another_in_microseconds(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    write_kernel_trace(path, "my-phone/cpu", [("conv1", 1.5), ("pool1", 0.25)])
    events = json.loads(path.read_text())["traceEvents"]
    slices = [(e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"]
    assert slices == [("conv1", 0, 1500), ("pool1", 1500, 250)]
    named = [e["args"]["name"] for e in events if e["name"] == "process_name"]
    assert named == ["my-phone/cpu"]
