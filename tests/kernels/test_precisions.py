"""In which precision networks are stored, and computed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfmodel.graph import Graph, GraphBuilder
from perfmodel.kernels.precisions import (
    RUNS_IN,
    precision_held,
    runs_in,
    stored_precision,
    stored_shares,
)


def network(dtype: str, *, quantised: str = "", format: str = "onnx") -> Graph:
    """A dense layer of 12 weights of `dtype` and 4 float biases, perhaps behind a quantisation."""
    b = GraphBuilder("net")
    x = b.input((2, 3))
    if quantised:
        x = b.add_op("quantize", [x], dtype="int8")[0]
    if quantised == "pair":
        x = b.add_op("dequantize", [x], dtype="float32")[0]
    y = b.op("fully_connected", x, b.constant((4, 3), dtype=dtype), b.constant((4,)))
    return replace(b.build(y), format=format)


def test_shares_are_of_the_bytes() -> None:
    assert stored_shares(network("int8")) == {"float32": 16 / 28, "int8": 12 / 28}
    assert list(stored_shares(network("float64"))) == ["float64", "float32"]
    assert stored_shares(GraphBuilder("none").build()) == {}


@pytest.mark.parametrize(
    ("dtype", "quantised", "precision"),
    [
        ("int8", "pair", "int8"),
        ("uint8", "only", "uint8"),
        ("int8", "", "fp32"),  # unpacked when the network is loaded
        ("int4", "pair", "fp32"),
        ("float16", "", "fp32"),
        ("float32", "pair", "fp32"),
    ],
)
def test_weights_of_integers_count_where_integers_meet_them(
    dtype: str, quantised: str, precision: str
) -> None:
    assert stored_precision(network(dtype, quantised=quantised)) == precision


def test_in_other_files_integers_are_what_runs() -> None:
    assert stored_precision(network("int8", format="tflite")) == "int8"


@pytest.mark.parametrize(
    ("dtype", "quantised", "tflite", "tensorrt"),
    [
        ("float32", "", "fp32", "TF32"),
        ("float16", "", "fp32", "fp16"),
        ("int8", "pair", "int8", "int8"),
        ("int8", "", "fp32", "TF32"),
    ],
)
def test_frameworks_compute_in_their_own_precision(
    dtype: str, quantised: str, tflite: str, tensorrt: str
) -> None:
    found = runs_in(network(dtype, quantised=quantised))
    assert found["tflite/cpu"] == tflite
    assert found["tensorrt/gpu"].startswith(tensorrt)
    assert found["tflite/gpu"] == "fp16"
    assert list(found) == list(RUNS_IN)
    assert all(arithmetic.source for arithmetic in RUNS_IN.values())


@pytest.mark.parametrize(
    ("dtype", "format", "word"),
    [
        ("float32", "tflite", "fp32"),
        ("float16", "tflite", "fp16"),
        ("bfloat16", "tflite", "bf16"),
        ("int8", "tflite", "int8"),
        ("uint8", "tflite", "uint8"),
        ("int4", "tflite", ""),
        ("int8", "onnx", ""),  # unpacked when the network is loaded
    ],
)
def test_what_most_constants_are_stored_in_has_a_word_or_none(
    dtype: str, format: str, word: str
) -> None:
    b = GraphBuilder("net")
    y = b.op("fully_connected", b.input((1, 30)), b.constant((40, 30), dtype=dtype))
    assert precision_held(replace(b.build(y), format=format)) == word
