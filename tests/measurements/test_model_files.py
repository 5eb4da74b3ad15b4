"""What a file named with `--model NAME=FILE` tells of a log's rows: its precision and its batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import MeasurementError, ModelFileError
from perfmodel.formats.tflite.uint8 import to_uint8
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.graph import GraphBuilder
from perfmodel.measurements import facets
from perfmodel.measurements.read import read_measurements

SUMMARY = "Inference timings in us: Init: 900, First inference: 31000, Warmup (avg): 24000, "
Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A small network's file: stored as `dtype`, its input holding `batch` pictures."""

    def write(name: str, dtype: str = "float32", batch: int = 1) -> Path:
        b = GraphBuilder("net")
        y = b.conv(b.input((batch, 8, 8, 3)), 4)
        path = tmp_path / name
        precision = "float32" if dtype == "float32" else "int8"
        write_tflite(b.build(y), path, precision=precision)
        if dtype == "uint8":
            to_uint8(path)
        return path

    return write


def log(folder: Path, model: str, settings: str = "Num threads: [4]\n") -> Path:
    """A log of TFLite's benchmark_model, which says neither precision nor batch."""
    path = folder / "run.log"
    path.write_text(f"{settings}Graph: [/d/{model}]\n{SUMMARY}Inference (avg): 23000\n")
    return path


def row(path: Path, models: dict[str, str], **stated: str | float) -> dict[str, Any]:
    """The one steady row of a log."""
    table, _ = read_measurements(path, device="dev", models=models, defaults=stated)
    (found,) = table.where(kind="steady").frame.to_dict("records")
    return found


def said(found: dict[str, Any], facet: str) -> tuple[Any, str]:
    return found[facet], dict(found["origin_evidence"])[facet]


@pytest.mark.parametrize(
    ("dtype", "precision"), [("float32", "fp32"), ("int8", "int8"), ("uint8", "uint8")]
)
def test_the_file_tells_precision_and_batch(
    made: Made, tmp_path: Path, dtype: str, precision: str
) -> None:
    own = made("own.tflite", dtype, batch=3)
    found = row(log(tmp_path, "own.tflite"), {"own": str(own)})
    assert said(found, "precision") == (precision, f"file {str(own)[:80]}")
    assert said(found, "batch") == (3.0, f"file {str(own)[:80]}")


def test_without_the_file_the_precision_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="no word of the precision"):
        row(log(tmp_path, "own.tflite"), {"own": "mobilenet_v2"})


def test_a_file_beside_the_log_is_found_by_its_name(made: Made, tmp_path: Path) -> None:
    made("beside.tflite", "int8")
    found = row(log(tmp_path, "own.tflite"), {"own": "beside.tflite"})
    assert said(found, "precision")[0] == "int8"


def test_a_file_knows_better_than_a_name(made: Made, tmp_path: Path) -> None:
    own = made("own_quant.tflite", "uint8")
    found = row(log(tmp_path, "own_quant.tflite"), {"own_quant": str(own)})
    assert said(found, "precision")[0] == "uint8"


def test_an_option_counts_more_than_the_file(made: Made, tmp_path: Path) -> None:
    own = made("own.tflite", "int8", batch=2)
    found = row(log(tmp_path, "own.tflite"), {"own": str(own)}, precision="fp16", batch=4.0)
    assert said(found, "precision") == ("fp16", "option")
    assert said(found, "batch") == (4.0, "option")


def test_what_the_log_or_its_tool_says_counts_more_than_the_file(
    made: Made, tmp_path: Path
) -> None:
    settings = "Use gpu: [1]\nInput shapes: [5,8,8,3]\n"
    own = made("own.tflite", batch=2)
    found = row(log(tmp_path, "own.tflite", settings), {"own": str(own)})
    assert found["precision"] == "fp16"
    assert said(found, "batch") == (5.0, "log, line 2")


@pytest.mark.parametrize(
    ("settings", "dtype", "precision"),
    [
        ("Use nnapi: [1]\n", "float32", "fp32"),
        ("External delegate path: [/vendor/libqnn_htp.so]\n", "int8", "int8"),
        ("External delegate path: [/vendor/libqnn_htp.so]\n", "float32", None),
    ],
)
def test_floats_are_taken_only_where_they_are_computed_as_stored(
    made: Made, tmp_path: Path, settings: str, dtype: str, precision: str | None
) -> None:
    own, path = made("own.tflite", dtype), log(tmp_path, "own.tflite", settings)
    unit = {} if "nnapi" in settings else {"unit": "npu"}
    if precision is None:
        with pytest.raises(MeasurementError, match="no word of the precision"):
            row(path, {"own": str(own)}, **unit)
    else:
        assert row(path, {"own": str(own)}, **unit)["precision"] == precision


def test_a_file_of_another_format_did_not_run_and_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.onnx").write_bytes(b"\x08\x07")
    monkeypatch.setattr(facets, "_stored_in", lambda _: ("onnx", "int8", 7))
    with pytest.raises(MeasurementError, match="no word of the precision"):
        row(log(tmp_path, "own.tflite"), {"own": "own.onnx"})
    found = row(log(tmp_path, "own.tflite"), {"own": "own.onnx"}, precision="int8")
    assert said(found, "batch") == (1.0, "default of the tool, the model's own input")


def test_a_file_is_read_once_and_only_where_something_is_open(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def stored(path: str) -> tuple[str, str, int]:
        opened.append(path)
        return "tflite", "int8", 1

    monkeypatch.setattr(facets, "_stored_in", stored)
    own = made("own.tflite")
    row(log(tmp_path, "own.tflite"), {"own": str(own)})
    assert opened == [str(own)]  # though the log has a row of the first run too
    said_all = "Use gpu: [1]\nAllow lower precision in gpu: [0]\nInput shapes: [1,8,8,3]\n"
    row(log(tmp_path, "own.tflite", said_all), {"own": str(own)})
    assert opened == [str(own)]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"absent\.tflite"):
        row(log(tmp_path, "own.tflite"), {"own": "absent.tflite"})


@pytest.mark.parametrize(("provider", "precision"), [("cpu", "fp32"), ("qnn", None)])
def test_onnxruntime_computes_floats_as_stored_on_its_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, precision: str | None
) -> None:
    monkeypatch.setattr(facets, "_stored_in", lambda _: ("onnx", "fp32", 1))
    (tmp_path / "own.onnx").write_bytes(b"\x08\x07")
    path = tmp_path / "run.log"
    path.write_text(
        f"$ ./onnxruntime_perf_test -e {provider} -r 100 -x 4 own.onnx\n"
        "Session creation time cost: 0.2 s\n"
        "First inference time cost: 25 ms\n"
        "Total inference time cost: 2.3 s\n"
        "Total inference requests: 100\n"
        "Average inference time cost: 23 ms\n"
    )
    unit = {} if provider == "cpu" else {"unit": "npu"}
    if precision is None:
        with pytest.raises(MeasurementError, match="no word of the precision"):
            row(path, {"own": "own.onnx"}, **unit)
    else:
        assert said(row(path, {"own": "own.onnx"}), "precision")[0] == precision
