"""Structure files: what is written is read back, bad ones are refused in words."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import ModelFileError, OutputError
from perfmodel.formats.limits import MAX_OPS, MAX_STRUCTURE_BYTES
from perfmodel.formats.load import load
from perfmodel.formats.structure import read_structure, structure_of, write_structure
from perfmodel.graph import Graph, GraphBuilder
from perfmodel.kernels import macs, params

TINY: dict[str, Any] = {
    "format": "perfmodel-structure",
    "version": 1,
    "name": "tiny",
    "inputs": [["image", [1, 8, 8, 3], "float32"]],
    "ops": [
        [
            "conv2d",
            "stem",
            ["image", ["stem.weight", [16, 3, 3, 3]], ["stem.bias", [16], "float16", 5]],
            {"stride": [2, 2], "dilation": [1, 1], "pads": [1, 1, 1, 1], "groups": 1},
        ],
        ["split", "halves", ["stem"], {"axis": 3, "sizes": [4, 12]}, ["left", "right"]],
        ["relu", "act", ["right"]],
    ],
    "outputs": ["left", "act"],
}
"""As a tool that writes graphs would write it by hand."""


def written(tmp_path: Path, data: object, name: str = "net.json") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_a_file_written_by_hand_is_read_with_its_shapes_inferred(tmp_path: Path) -> None:
    graph = load(written(tmp_path, TINY))
    assert (graph.name, graph.format, graph.outputs) == ("tiny", "structure", ("left", "act"))
    assert graph.tensors["stem"].shape == (1, 4, 4, 16)
    assert graph.tensors["right"].shape == (1, 4, 4, 12)
    bias = graph.tensors["stem.bias"]
    assert (bias.dtype, bias.learned) == ("float16", 5)
    # 4 x 4 pixels of 16 filters of 3 x 3 x 3; the bias stands for five parameters
    assert macs(graph) == 4 * 4 * 16 * 27
    assert params(graph) == 16 * 27 + 5


def same(a: Graph, b: Graph) -> bool:
    return (a.tensors, a.ops, a.inputs, a.outputs) == (b.tensors, b.ops, b.inputs, b.outputs)


@pytest.mark.parametrize(
    "name", ["mobilenet_v3_small", "crnn", "ssdlite_mobilenet_v2", "mobilebert"]
)
@pytest.mark.parametrize("ending", [".json", ".json.gz"])
def test_what_is_written_is_read_back(name: str, ending: str, tmp_path: Path) -> None:
    graph = load(name)
    path = tmp_path / f"net{ending}"
    write_structure(graph, path)
    assert same(load(path), graph)


def test_results_of_several_dtypes_are_read_back(tmp_path: Path) -> None:
    builder = GraphBuilder("g")
    x = builder.input((1, 10))
    places = builder.add_op("top_k", [x], {"output_shapes": ((1, 2), (1, 2))}, "best")
    graph = builder.build(*places)
    held = replace(graph.tensors["best:1"], dtype="int64")
    graph = replace(graph, tensors={**graph.tensors, "best:1": held})
    path = tmp_path / "net.json"
    write_structure(graph, path)
    assert same(load(path), graph)


def test_the_same_graph_gives_the_same_bytes_without_a_date(tmp_path: Path) -> None:
    graph = load("squeezenet_1_1")
    for name in ("a.json.gz", "b.json.gz"):
        write_structure(graph, tmp_path / name)
    one, two = ((tmp_path / n).read_bytes() for n in ("a.json.gz", "b.json.gz"))
    assert one == two
    assert one[4:8] == b"\0\0\0\0"


def test_bodies_of_control_flow_are_not_written(tmp_path: Path) -> None:
    graph = load("nin")
    with pytest.raises(OutputError, match="control flow"):
        write_structure(replace(graph, subgraphs=(graph,)), tmp_path / "net.json")


def changed(**keys: object) -> dict[str, Any]:
    return {**TINY, **keys}


def with_op(op: object) -> dict[str, Any]:
    return changed(ops=[op], outputs=["stem"])


CONV = TINY["ops"][0]

BAD: dict[str, tuple[object, str]] = {
    "a list": ([], "not a structure file"),
    "another format": (changed(format="x"), "not a structure file"),
    "a later version": (changed(version=2), "version 2, readable is 1"),
    "an unknown key": (changed(extra=1), "unknown key 'extra'"),
    "no operators": ({k: v for k, v in TINY.items() if k != "ops"}, "'ops' must be a list"),
    "a name that is none": (changed(name=3), "'name' must be a text"),
    "an unknown kind": (with_op(["conv9d", "stem", ["image"]]), r"ops\[0\]: unknown operator"),
    "an operator that is no list": (with_op(7), "expected, not 7"),
    "too short": (with_op(["relu", "stem"]), "expected, not"),
    "too long": (with_op([*CONV, [], [], 1]), "expected, not"),
    "a tensor nobody made": (with_op(["relu", "stem", ["other"]]), "'other' is read before"),
    "a size that is no number": (changed(inputs=[["image", ["a"], "float32"]]), "whole numbers"),
    "a size that is true": (changed(inputs=[["image", [True], "float32"]]), "whole numbers"),
    "a negative size": (changed(inputs=[["image", [-1], "float32"]]), "an axis of -1"),
    "a huge size": (changed(inputs=[["image", [2**40], "float32"]]), "at most"),
    "an unknown dtype": (changed(inputs=[["image", [1], "float31"]]), "unknown dtype 'float31'"),
    "a tensor twice": (changed(inputs=[["a", [1]], ["a", [1]]]), "made twice"),
    "an empty name": (changed(inputs=[["", [1]]]), "a name expected"),
    "a missing attribute": (with_op(["conv2d", "stem", ["image", ["w", [1, 1, 1, 3]]]]), "lacks"),
    "an attribute object": (with_op(["relu", "stem", ["image"], {"a": {}}]), "is an object"),
    "attributes that are a list": (with_op(["relu", "stem", ["image"], [1]]), "an object"),
    "attributes of another type": (
        with_op([*CONV[:3], {**CONV[3], "stride": "x"}]),
        "do not fit",
    ),
    "an output nobody made": (changed(outputs=["x"]), "outputs: 'x' is read before"),
    "more dtypes than results": (
        with_op(["relu", "stem", ["image"], {}, [], ["int8", "int8"]]),
        "do not fit",
    ),
    "negative parameters": (
        with_op(["add", "stem", ["image", ["c", [3], "float32", -1]]]),
        "learned parameters",
    ),
    "too many operators": (changed(ops=[0] * (MAX_OPS + 1)), "more than"),
    "too many inputs of one": (with_op(["concat", "stem", ["image"] * 1001]), "more than 1000"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_words(case: str, tmp_path: Path) -> None:
    data, said = BAD[case]
    path = written(tmp_path, data)
    with pytest.raises(ModelFileError, match=said) as caught:
        read_structure(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5_000]
)
def test_what_is_no_json_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_bytes(data)
    with pytest.raises(ModelFileError):
        load(path)


def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.json.gz"
    path.write_bytes(gzip.compress(b" " * (MAX_STRUCTURE_BYTES + 2)))
    with pytest.raises(ModelFileError, match="more than"):
        load(path)
    path.write_bytes(gzip.compress(b"{}")[:12] + b"damage")
    with pytest.raises(ModelFileError, match=r"damaged|no JSON"):
        load(path)


def test_sizes_and_example_inputs_are_refused_where_they_mean_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, TINY)
    with pytest.raises(ModelFileError, match="leaves no size open"):
        load(path, input_shape=(1, 16, 16, 3))


def mutated(value: Any, random: random.Random) -> Any:
    """The data with one place of it replaced by something else."""
    odd = [None, -1, 0, 2**31, 1e308, "", "image", [], {}, True, [[[]]], ["w", [2, 2]], -0.5]
    if isinstance(value, list) and value and random.random() < 0.85:
        place = random.randrange(len(value))
        return [*value[:place], mutated(value[place], random), *value[place + 1 :]]
    if isinstance(value, dict) and value and random.random() < 0.95:
        key = random.choice(sorted(value))
        return {**value, key: mutated(value[key], random)}
    return random.choice(odd)


def test_mutated_files_are_read_or_refused_in_words(tmp_path: Path) -> None:
    random_ = random.Random(16)
    bases = [TINY, structure_of(load("crnn")), structure_of(load("squeezenet_1_1"))]
    path = tmp_path / "net.json"
    refused = 0
    for i in range(600):
        path.write_text(json.dumps(mutated(bases[i % 3], random_)), encoding="utf-8")
        try:
            read_structure(path)
        except ModelFileError:
            refused += 1
    assert 300 < refused < 600
