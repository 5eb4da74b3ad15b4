"""MNN: times put down to what moves data, refusals, and what it computes of a network."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from perfmodel.errors import RunnerError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.runners.host_frameworks import FRAMEWORKS, convert_here
from perfmodel.runners.mnn_files import convert
from perfmodel.runners.runner import Job

MNN = FRAMEWORKS["mnn"]


def joined() -> Graph:
    """Two convolutions joined, flattened and multiplied."""
    g = GraphBuilder("joined")
    x = g.conv(g.input((1, 6, 6, 3)), 4, 3, activation="relu", name="a")
    x = g.concat([x, g.conv(x, 4, 1, name="b")], name="join")
    x = g.pool(g.conv(x, 6, 3, name="c"), "max", 2, 2, name="p")
    return g.build(g.fc(g.reshape(x, (1, 54), name="flat"), 5, name="d"))


def test_moved_data_is_put_down_to_what_joins_it_and_the_rest_to_its_reader() -> None:
    listed = {
        "0 a/conv_raster_0": (2.0,),
        "1 a/conv": (10.0,),
        "2 b/conv": (5.0,),
        "3 c/conv_raster_0": (3.0,),
        "4 c/conv_raster_1": (1.0,),
        "5 c/conv": (20.0,),
        "6 p/pool": (7.0,),
        "7 d/product__matmul_converted_raster": (0.5,),
        "8 d/product__matmul_converted": (6.0,),
    }
    names = [kernel.name for kernel in MNN.fused(joined())]
    times = dict(zip(names, MNN.kernel_us(joined(), "fp32", listed), strict=True))
    assert times == {"a": 12.0, "b": 5.0, "join": 4.0, "c": 20.0, "p": 7.0, "d": 6.5}


def test_a_converter_that_fails_is_told_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_tools.py").write_text(
        "import sys\ndef mnnconvert(words):\n    open('left', 'w').close()\n"
        "    print('cannot take', words[4])\n    sys.exit(3)\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(RunnerError, match=r"converter failed: cannot take .*a\.onnx"):
        convert(tmp_path / "a.onnx", tmp_path / "a.mnn")
    # what it leaves lies beside the source, not where the user is
    assert list((tmp_path / "here").iterdir()) == []
    assert (tmp_path / "left").exists()


@pytest.mark.parametrize(("stored", "bits"), [("float32", False), ("weights8", True)])
def test_a_real_file_is_converted_with_weights_of_its_precision(
    stored: str, bits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_tools.py").write_text(
        "def mnnconvert(words):\n    made = words[words.index('--MNNModel') + 1]\n"
        "    open(made, 'w').write(' '.join(words))\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    done = convert_here("mnn", str(tmp_path / "a.onnx"), str(tmp_path / "a.mnn"), stored, {})
    said = (tmp_path / "a.mnn").read_text()
    assert done.size_bytes == len(said)
    assert ("--weightQuantBits 8" in said) == bits


@pytest.mark.ci
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_mnn_computes_what_onnxruntime_computes_of_the_same_weights(
    precision: str, tmp_path: Path
) -> None:
    pytest.importorskip("MNN")
    onnxruntime = pytest.importorskip("onnxruntime")
    from perfmodel.runners.mnn_host import MnnRunner

    MNN.write(joined(), tmp_path / "a.mnn", precision)
    FRAMEWORKS["onnxruntime"].write(joined(), tmp_path / "a.onnx", "fp32")
    prepared = MnnRunner(seed=4).prepare(Job("a", tmp_path / "a.mnn", 1, precision))
    # its memory is used for other things as it runs: the last run must have the same inputs
    raw = prepared.run_set(3, 1)
    values = np.random.default_rng(4).uniform(-1, 1, (1, 6, 6, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"))
    feeds = {session.get_inputs()[0].name: np.ascontiguousarray(values.transpose(0, 3, 1, 2))}
    (expected,) = session.run(None, feeds)
    # float products by Winograd miss by a few ten-thousandths of the largest value, eight bits of
    # weights and of activations by a few hundredths
    off = (1e-3 if precision == "fp32" else 0.1) * float(np.abs(expected).max())
    (made,) = prepared.outputs()
    assert made == pytest.approx(expected, abs=off)
    assert np.abs(made - expected).max() > 0 or precision == "fp32"
    assert all(len(times) == 3 for times in raw.per_op_us.values())
    assert MNN.kernel_us(joined(), precision, raw.per_op_us).min() >= 0
    prepared.close()
