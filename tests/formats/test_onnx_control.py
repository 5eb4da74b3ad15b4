"""ONNX control flow, order of nodes, sequences and open sizes, against hand arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
from onnx import TensorProto, helper

from perfmodel.errors import ModelFileError
from perfmodel.formats.onnx.reader import read_onnx
from perfmodel.kernels import macs, params
from tests.formats.onnx_files import body, floats, integers, kinds, write

node = helper.make_node


def test_nodes_may_stand_in_any_order(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["b"], ["c"]),
        node("MatMul", ["a", "w"], ["b"]),
        node("Abs", ["x"], ["a"]),
        node("Neg", ["c"], ["y"]),
    ]
    graph = read_onnx(write(tmp_path, nodes, {"x": [2, 8]}, ["y"], {"w": floats(8, 4)}))
    assert kinds(graph) == ["abs", "fully_connected", "relu", "neg"]


def test_a_body_that_reads_a_later_node_is_put_behind_it(tmp_path: Path) -> None:
    then, other = (
        body(name, [node(kind, ["late"], ["r"])], {}, ["r"])
        for name, kind in (("then", "Exp"), ("else", "Neg"))
    )
    nodes = [
        node("If", ["yes"], ["y"], then_branch=then, else_branch=other),
        node("Abs", ["x"], ["late"]),
    ]
    graph = read_onnx(write(tmp_path, nodes, {"x": [4]}, ["y"], {"yes": np.array(True)}))
    assert kinds(graph) == ["abs", "exp"]


def test_nodes_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    nodes = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"])]
    with pytest.raises(ModelFileError, match="cycle"):
        read_onnx(write(tmp_path, nodes, {"x": [4]}, ["b"]))


def branching(tmp_path: Path, small: int, large: int) -> Path:
    then, other = (
        body(name, [node("MatMul", ["x", w], ["r"])], {}, ["r"])
        for name, w in (("then", "w"), ("else", "v"))
    )
    nodes = [node("If", ["flag"], ["y"], then_branch=then, else_branch=other)]
    constants = {"w": floats(8, small), "v": floats(8, large)}
    dtypes = {"flag": TensorProto.BOOL}
    inputs = {"x": [2, 8], "flag": []}
    return write(tmp_path, nodes, inputs, ["y"], constants, dtypes=dtypes)


@pytest.mark.parametrize(("small", "large"), [(4, 16), (16, 4)])
def test_of_two_branches_that_depend_on_data_the_larger_runs(
    tmp_path: Path, small: int, large: int
) -> None:
    graph = read_onnx(branching(tmp_path, small, large))
    assert graph.tensors[graph.outputs[0]].shape == (2, 16)
    assert (macs(graph), params(graph)) == (2 * 8 * 16, 8 * 16)
    [note] = graph.notes
    assert f"{'else' if large > small else 'then'}_branch" in note


def test_a_branch_that_does_not_fit_leaves_the_other(tmp_path: Path) -> None:
    then = body("then", [node("MatMul", ["x", "w"], ["r"])], {}, ["r"])
    wrong = body("else", [node("Reshape", ["x", "shape"], ["r"])], {}, ["r"])
    nodes = [node("If", ["flag"], ["y"], then_branch=then, else_branch=wrong)]
    constants = {"w": floats(8, 4), "shape": integers(3, 5)}
    dtypes = {"flag": TensorProto.BOOL}
    path = write(tmp_path, nodes, {"x": [2, 8], "flag": []}, ["y"], constants, dtypes=dtypes)
    graph = read_onnx(path)
    assert macs(graph) == 2 * 8 * 4
    assert "the only one that fits" in graph.notes[0]


def test_an_input_of_one_number_may_be_said(tmp_path: Path) -> None:
    """A sampling rate, for example, that decides which network runs."""
    then, other = (
        body(name, [node("MatMul", ["x", w], ["r"])], {}, ["r"])
        for name, w in (("then", "w"), ("else", "v"))
    )
    nodes = [
        node("Equal", ["rate", "wide"], ["is_wide"]),
        node("If", ["is_wide"], ["y"], then_branch=then, else_branch=other),
    ]
    constants = {"w": floats(8, 4), "v": floats(8, 2), "wide": np.array(16000, np.int64)}
    inputs, dtypes = {"x": [2, 8], "rate": []}, {"rate": TensorProto.INT64}
    path = write(tmp_path, nodes, inputs, ["y"], constants, dtypes=dtypes)
    assert [macs(read_onnx(path, dims={"rate": r})) for r in (16000, 8000)] == [64, 32]
    assert read_onnx(path, dims={"rate": 8000}).inputs == ("x",)
    assert len(read_onnx(path).notes) == 1


NOT_DONE = node("Less", ["step", "three"], ["more"])


def loop(tmp_path: Path, limit: np.ndarray | None, again: object, **more: object) -> Path:
    nodes = [
        node("MatMul", ["state", "w"], ["next"]),
        node("ReduceSum", ["next"], ["total"], keepdims=0),
        again,
    ]
    inputs = {"step": ([], TensorProto.INT64), "go": ([], TensorProto.BOOL), "state": [2, 8]}
    outputs = ["more", "next", "total"]
    inner = body("body", nodes, inputs, outputs)
    first = ["limit" if limit is not None else "", "", "x"]
    outer = [node("Loop", first, ["last", "totals"], body=inner)]
    constants = {"w": floats(8, 8), "three": np.array(3, np.int64)}
    constants |= {} if limit is None else {"limit": limit}
    return write(tmp_path, outer, {"x": [2, 8]}, ["last", "totals"], constants)


def test_a_loop_of_known_length_is_written_out(tmp_path: Path) -> None:
    path = loop(tmp_path, np.array(5, np.int64), node("Identity", ["go"], ["more"]))
    graph = read_onnx(path)
    assert kinds(graph) == ["fully_connected", "reduce_sum"] * 5 + ["pack"]
    assert macs(graph) == 5 * 2 * 8 * 8
    assert params(graph) == 64
    assert [graph.tensors[n].shape for n in graph.outputs] == [(2, 8), (5,)]
    assert not graph.notes
    assert len({op.name for op in graph.ops}) == len(graph.ops)


def test_a_loop_ends_by_its_condition(tmp_path: Path) -> None:
    for limit in (None, np.array(2**62, np.int64), np.array(9, np.int64)):
        graph = read_onnx(loop(tmp_path, limit, NOT_DONE))
        # steps 0, 1, 2 say to go on, step 3 says no
        assert macs(graph) == 4 * 2 * 8 * 8


def test_a_loop_that_may_end_early_is_taken_whole_and_says_so(tmp_path: Path) -> None:
    early = node("Cast", ["total"], ["more"], to=TensorProto.BOOL)
    graph = read_onnx(loop(tmp_path, np.array(5, np.int64), early))
    assert macs(graph) == 5 * 2 * 8 * 8
    assert "all of its 5 steps" in graph.notes[0]
    with pytest.raises(ModelFileError, match=r"Loop.*as often as the data say"):
        read_onnx(loop(tmp_path, None, early))


def test_a_loop_of_no_steps_passes_its_state_on(tmp_path: Path) -> None:
    path = loop(tmp_path, np.array(0, np.int64), NOT_DONE)
    with pytest.raises(ModelFileError, match="no steps stacks"):
        read_onnx(path)


def test_a_scan_goes_along_an_axis(tmp_path: Path) -> None:
    inner = body(
        "body",
        [
            node("MatMul", ["part", "w"], ["m"]),
            node("Add", ["m", "state"], ["next"]),
            node("Relu", ["next"], ["out"]),
        ],
        {"state": [2, 4], "part": [2, 8]},
        ["next", "out"],
    )
    attrs = {"num_scan_inputs": 1, "scan_input_axes": [1], "scan_output_axes": [2]}
    nodes = [node("Scan", ["start", "x"], ["last", "all"], body=inner, **attrs)]
    constants = {"w": floats(8, 4), "start": floats(2, 4)}
    graph = read_onnx(write(tmp_path, nodes, {"x": [2, 6, 8]}, ["last", "all"], constants))
    assert macs(graph) == 6 * 2 * 8 * 4
    assert [graph.tensors[n].shape for n in graph.outputs] == [(2, 4), (2, 4, 6)]


def test_sequences_are_kept_apart_and_cost_nothing(tmp_path: Path) -> None:
    nodes = [
        node("SplitToSequence", ["x", "sizes"], ["parts"], axis=1),
        node("SequenceAt", ["parts", "one"], ["second"]),
        node("Relu", ["second"], ["r"]),
        node("SequenceEmpty", [], ["none"]),
        node("SequenceInsert", ["none", "r"], ["some"]),
        node("SequenceInsert", ["some", "second", "zero"], ["both"]),
        node("SequenceLength", ["both"], ["count"]),
        node("ConcatFromSequence", ["both"], ["joined"], axis=1),
        node("ConcatFromSequence", ["both"], ["stacked"], axis=0, new_axis=1),
        node("Reshape", ["count", "as_list"], ["wide"]),
        node("Expand", ["small", "wide"], ["twice"]),
    ]
    constants = {"sizes": integers(2, 5), "one": np.array(1), "zero": np.array(0)}
    constants["as_list"] = integers(1)
    inputs, outputs = {"x": [1, 7, 3], "small": [1]}, ["stacked", "joined", "twice"]
    graph = read_onnx(write(tmp_path, nodes, inputs, outputs, constants))
    shapes = [graph.tensors[n].shape for n in graph.outputs]
    assert shapes == [(2, 1, 5, 3), (1, 10, 3), (2,)]


def test_sizes_of_one_name_or_none_go_by_their_place(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["y"])]
    for names in (["?", "?"], ["side", "side"], ["", ""]):
        path = write(tmp_path, nodes, {"x": ["?", 3, *names]}, ["y"])
        with pytest.raises(ModelFileError, match=r"--dim x\[2\]=N"):
            read_onnx(path)
        graph = read_onnx(path, dims={"x[2]": 48, "x[3]": 192})
        assert graph.tensors["y"].shape == (1, 3, 48, 192)
    square = read_onnx(write(tmp_path, nodes, {"x": [1, "side", "side"]}, ["y"]), dims={"side": 9})
    assert square.tensors["y"].shape == (1, 9, 9)


def test_a_given_shape_sets_the_sizes_of_the_whole_file(tmp_path: Path) -> None:
    nodes = [node("Add", ["x", "x2"], ["y"])]
    path = write(tmp_path, nodes, {"x": ["n", "length"], "x2": [1, "length"]}, ["y"])
    graph = read_onnx(path, input_shape={"x": (4, 7)})
    assert graph.tensors["y"].shape == (4, 7)


@pytest.mark.parametrize(
    ("nodes", "constants", "shape"),
    [
        ([("Clip", ["n", "low", "high"])], {"low": integers(0), "high": integers(3)}, (3,)),
        ([("Cast", ["n"], {"to": 1}), ("Reciprocal",), ("Reciprocal",)], {}, (8,)),
        ([("ReduceProd", ["dims"], {"keepdims": 1})], {}, (16,)),
        ([("ReduceMean", ["dims"], {"keepdims": 1})], {}, (5,)),
        ([("GatherElements", ["dims", "one"])], {"one": integers(1)}, (8,)),
        ([("ScatterND", ["dims", "at", "five"]), ("ReduceMax",)],
         {"at": np.array([[1]]), "five": integers(5)}, (5,)),
        ([("Pad", ["n", "pads", "six"]), ("ReduceSum",)],
         {"pads": integers(1, 0), "six": np.array(6)}, (14,)),
        ([("TopK", ["dims", "k"])], {"k": integers(1)}, (8,)),
        ([("CumSum", ["dims", "zero"]), ("ReduceMax",)], {"zero": np.array(0)}, (10,)),
        ([("Compress", ["dims", "mask"])], {"mask": np.array([False, True])}, (8,)),
        ([("ArgMax", ["dims"]), ("Add", [None, "n"])], {}, (9,)),
        ([("Sum", ["n", "n", "n"])], {}, (24,)),
        ([("Flatten", ["n"], {"axis": 0}), ("Squeeze",), ("Unsqueeze", [None, "first"])],
         {"first": integers(0)}, (8,)),
    ],
)  # fmt: skip
def test_sizes_are_computed_where_the_file_computes_them(
    tmp_path: Path, nodes: list[tuple], constants: dict[str, np.ndarray], shape: tuple[int, ...]
) -> None:
    """Of an input (2, 8): `dims` is its shape, `n` its second size."""
    made = [
        node("Shape", ["x"], ["dims"]),
        node("Slice", ["dims", "from", "to"], ["n"]),
    ]
    last = "n"
    for i, (kind, *rest) in enumerate(nodes):
        inputs = [last if name is None else name for name in rest[0]] if rest else [last]
        outputs = [f"t{i}"] + (["places"] if kind == "TopK" else [])
        made.append(node(kind, inputs, outputs, **(rest[1] if len(rest) > 1 else {})))
        last = f"t{i}"
    made += [
        node("Cast", [last], ["whole"], to=TensorProto.INT64),
        node("Reshape", ["whole", "as_list"], ["size"]),
        node("ConstantOfShape", ["size"], ["made"]),
        node("Add", ["made", "number"], ["y"]),
    ]
    held = {"from": integers(1), "to": integers(2), "as_list": integers(-1)}
    dtypes = {"number": TensorProto.FLOAT}
    inputs = {"x": [2, 8], "number": []}
    graph = read_onnx(write(tmp_path, made, inputs, ["y"], constants | held, dtypes=dtypes))
    assert graph.tensors["y"].shape == shape


def test_sizes_that_are_formulas_follow_from_the_others(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("Relu", ["mask"], ["m"])]
    for formula, size in (("past + 1", 8), ("past + 2*new", 17), ("batch*past", 7)):
        inputs = {"x": ["batch", "past", "new"], "mask": [1, formula]}
        path = write(tmp_path, nodes, inputs, ["y", "m"])
        graph = read_onnx(path, dims={"past": 7, "new": 5})
        assert graph.tensors["m"].shape == (1, size)
        assert read_onnx(path, dims={"past": 7, "new": 5, formula: 9}).tensors["m"].shape == (1, 9)
    path = write(tmp_path, nodes, {"x": [1, 2, 3], "mask": [1, "past + other"]}, ["y", "m"])
    with pytest.raises(ModelFileError, match=r"past \+ other"):
        read_onnx(path)
