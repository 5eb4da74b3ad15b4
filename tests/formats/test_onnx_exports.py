"""ONNX files of PyTorch's two exporters: shapes by onnx, MACs by torch's own flop counter."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
from perfmodel.formats.onnx.reader import read_onnx  # noqa: E402
from perfmodel.kernels import covered_part, macs, params, uncovered_ops  # noqa: E402
from tests.formats.onnx_files import channels_last  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ci,
    pytest.mark.skipif(
        not all(find_spec(name) for name in ("torch", "onnxscript")),
        reason="exports need the packages torch and onnxscript",
    ),
]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of exported files, made by a process of its own."""
    folder = tmp_path_factory.mktemp("exports")
    script = Path(__file__).with_name("export_with_torch.py")
    subprocess.run([sys.executable, "-W", "ignore", str(script), str(folder)], check=True)
    return folder


def inferred(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes that onnx infers, where they are whole."""
    model = onnx.shape_inference.infer_shapes(
        onnx.load(path, load_external_data=False), data_prop=True
    )
    shapes = {}
    for info in (*model.graph.value_info, *model.graph.output):
        kind = info.type.tensor_type
        dims = kind.shape.dim
        if kind.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            shapes[info.name] = tuple(d.dim_value for d in dims)
    return shapes


def test_every_value_has_the_shape_that_onnx_infers(exports: Path) -> None:
    files = sorted(exports.glob("*.onnx"))
    assert len(files) >= 8
    for path in files:
        graph, truth = read_onnx(path), inferred(path)
        both = [
            name for name, tensor in graph.tensors.items() if name in truth and not tensor.constant
        ]
        for name in both:
            ours = graph.tensors[name].shape
            assert ours in (truth[name], channels_last(truth[name])), (path.name, name)
        assert len(both) > 0.3 * len(graph.ops), path.name


def recurrent(graph: Any) -> bool:
    """Recurrent layers, which torch counts in products of whole layers or not at all."""
    return any(op.kind in ("lstm", "gru") for op in graph.ops)


def test_macs_are_those_that_torch_counts(exports: Path) -> None:
    truth = json.loads((exports / "truth.json").read_text())
    compared = 0
    for path in sorted(exports.glob("*.onnx")):
        graph = read_onnx(path)
        assert not uncovered_ops(graph), path.name
        if not recurrent(graph):
            expected = truth[path.name.split(".")[0]]
            # what follows from sizes alone is computed when the file is written, not when it runs
            folded = 0.015 if "edgenext" in path.name else 0.001
            assert macs(covered_part(graph)) == pytest.approx(expected["macs"], rel=folded)
            # normalisations are folded into the weights before them; tables that follow from sizes
            # are stored by the exporters as if they were learned
            assert params(graph) == pytest.approx(expected["params"], rel=0.03)
            compared += 1
    assert compared >= 6
