"""Bodies, signatures, computed shapes and open sizes of .tflite files, against the runtime."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel.errors import ModelFileError
from perfmodel.formats.limits import MAX_OPS
from perfmodel.formats.tflite.file import Data, TfliteFile
from perfmodel.formats.tflite.reader import read_tflite
from perfmodel.graph.ir import Graph
from perfmodel.kernels.operators import uncovered_ops

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")


def ints(file: TfliteFile, name: str, numbers: Sequence[int], shape: Sequence[int]) -> int:
    return file.tensor(name, shape, "int32", data=Data.of(np.array(numbers, np.int32)))


def floats(file: TfliteFile, name: str, shape: Sequence[int]) -> int:
    return file.tensor(name, shape, "float32", data=Data.of(np.ones(shape, np.float32)))


def body(file: TfliteFile, build: Callable[[TfliteFile], tuple[list[int], list[int]]]) -> int:
    """Add a subgraph whose tensors and operators `build` makes; returns its number."""
    main = file._subgraph
    file._subgraph = schema.SubGraphT()
    file._subgraph.tensors, file._subgraph.operators = [], []
    tensors, file.tensors = file.tensors, []
    inputs, outputs = build(file)
    file._subgraph.inputs, file._subgraph.outputs = inputs, outputs
    file._model.subgraphs.append(file._subgraph)
    file._subgraph, file.tensors = main, tensors
    return len(file._model.subgraphs) - 1


def unary(builtin: str) -> Callable[[TfliteFile], tuple[list[int], list[int]]]:
    def build(file: TfliteFile) -> tuple[list[int], list[int]]:
        a, b = (file.tensor(n, (1, 4), "float32") for n in "ab")
        file.operator(builtin, [a], [b])
        return [a], [b]

    return build


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


def runtime_shapes(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """Shapes of the outputs after the runtime has run the file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    numbers = {d["name"]: d["index"] for d in interpreter.get_input_details()}
    for name, array in inputs.items():
        interpreter.resize_tensor_input(numbers[name], array.shape)
    interpreter.allocate_tensors()
    for name, array in inputs.items():
        interpreter.set_tensor(numbers[name], array)
    interpreter.invoke()
    return {
        d["name"]: tuple(interpreter.get_tensor(d["index"]).shape)
        for d in interpreter.get_output_details()
    }


class TestBodies:
    @pytest.mark.parametrize(("truth", "kind"), [(True, "exp"), (False, "neg")])
    def test_a_constant_condition_runs_its_branch_alone(
        self, tmp_path: Path, truth: bool, kind: str
    ) -> None:
        file = TfliteFile()
        condition = file.tensor("c", (1,), "bool", data=Data.of(np.array([truth])))
        x, y = (file.tensor(n, (1, 4), "float32") for n in "xy")
        then, other = body(file, unary("EXP")), body(file, unary("NEG"))
        file.operator(
            "IF", [condition, x], [y], "IfOptions", thenSubgraphIndex=then, elseSubgraphIndex=other
        )
        file.write(tmp_path / "if.tflite", [x], [y])
        graph = read_tflite(tmp_path / "if.tflite")
        assert kinds(graph) == [kind]
        assert graph.subgraphs == ()

    @pytest.mark.parametrize("turns", [0, 1, 7])
    def test_a_counted_loop_runs_its_body_as_often_as_it_counts(
        self, tmp_path: Path, turns: int
    ) -> None:
        path = tmp_path / "loop.tflite"
        loop_file(path, turns=turns)
        graph = read_tflite(path)
        assert kinds(graph).count("fully_connected") == turns
        assert kinds(graph).count("less") == turns + 1  # the condition is asked once more
        weights = {op.inputs[1] for op in graph.ops if op.kind == "fully_connected"}
        assert len(weights) <= 1  # one constant, however often it is read
        assert uncovered_ops(graph) == ()
        runtime_shapes(path, {"x": np.ones((1, 4), np.float32)})  # the runtime takes the file

    def test_a_loop_that_counts_to_an_input_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "loop.tflite"
        loop_file(path, turns=None)
        graph = read_tflite(path)
        (op,) = uncovered_ops(graph)
        assert (op.kind, op.attrs["custom_name"]) == ("control_flow", "WHILE")
        assert kinds(graph) == ["control_flow"]  # nothing of the tries is left
        assert len(graph.subgraphs) == 2

    def test_a_loop_without_end_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "loop.tflite"
        loop_file(path, turns=10**9)
        with pytest.raises(ModelFileError, match=f"more than {MAX_OPS} operators run"):
            read_tflite(path)

    def test_a_body_that_calls_itself_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "self.tflite"
        file = TfliteFile()
        x, y = (file.tensor(n, (1, 4), "float32") for n in "xy")

        def call(file: TfliteFile) -> tuple[list[int], list[int]]:
            a, b = (file.tensor(n, (1, 4), "float32") for n in "ab")
            composite(file, a, b, 1)
            composite(file, a, b, 1)
            return [a], [b]

        body(file, call)
        composite(file, x, y, 1)
        file.write(path, [x], [y])
        with pytest.raises(ModelFileError, match="inside each other"):
            read_tflite(path)

    def test_a_composite_is_its_decomposition(self, tmp_path: Path) -> None:
        path = tmp_path / "composite.tflite"
        file = TfliteFile()
        x, y, z = (file.tensor(n, (1, 4), "float32") for n in "xyz")
        number = body(file, unary("EXP"))
        composite(file, x, y, number)
        composite(file, y, z, number)
        file.write(path, [x], [z])
        graph = read_tflite(path)
        assert kinds(graph) == ["exp", "exp"]
        assert graph.ops[1].inputs == graph.ops[0].outputs
        assert graph.ops[0].outputs == ("y/b",)

    def test_an_initialiser_is_no_work_of_an_inference(self, tmp_path: Path) -> None:
        path = tmp_path / "once.tflite"
        file = TfliteFile()
        x, y = (file.tensor(n, (1, 4), "float32") for n in "xy")

        def nothing(file: TfliteFile) -> tuple[list[int], list[int]]:
            return [], []

        number = body(file, nothing)
        file.operator("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=number)
        file.operator("EXP", [x], [y])
        file.write(path, [x], [y])
        graph = read_tflite(path)
        assert kinds(graph) == ["exp"]


def composite(file: TfliteFile, x: int, y: int, number: int) -> None:
    file.operator("STABLEHLO_COMPOSITE", [x], [y])
    operator = file._subgraph.operators[-1]
    operator.builtinOptions2Type = schema.BuiltinOptions2.StableHLOCompositeOptions
    operator.builtinOptions2 = schema.StableHLOCompositeOptionsT()
    operator.builtinOptions2.name = "odml.test"
    operator.builtinOptions2.decompositionSubgraphIndex = number


def loop_file(path: Path, *, turns: int | None) -> None:
    """count = 0; while count < turns: x = 4x4 layer of x, count += 1. None: turns is an input."""
    file = TfliteFile()
    x, y = (file.tensor(n, (1, 4), "float32") for n in "xy")
    zero = ints(file, "zero", [0], ())
    last = file.tensor("n", (), "int32") if turns is None else ints(file, "n", [turns], ())
    counted, kept = (file.tensor(n, (), "int32") for n in ("counted", "kept"))

    def condition(file: TfliteFile) -> tuple[list[int], list[int]]:
        count, end = (file.tensor(n, (), "int32") for n in ("count", "end"))
        state, less = file.tensor("state", (1, 4), "float32"), file.tensor("less", (), "bool")
        file.operator("LESS", [count, end], [less], "LessOptions")
        return [count, end, state], [less]

    def step(file: TfliteFile) -> tuple[list[int], list[int]]:
        count, end, more = (file.tensor(n, (), "int32") for n in ("count", "end", "more"))
        state, result = (file.tensor(n, (1, 4), "float32") for n in ("state", "result"))
        one, weights = ints(file, "one", [1], ()), floats(file, "weights", (4, 4))
        file.operator("ADD", [count, one], [more], "AddOptions")
        file.operator("FULLY_CONNECTED", [state, weights], [result], "FullyConnectedOptions")
        return [count, end, state], [more, end, result]

    file_condition, file_step = body(file, condition), body(file, step)
    file.operator(
        "WHILE",
        [zero, last, x],
        [counted, kept, y],
        "WhileOptions",
        condSubgraphIndex=file_condition,
        bodySubgraphIndex=file_step,
    )
    file.write(path, [x, last] if turns is None else [x], [y])


class TestSignatures:
    def two_ways(self, path: Path) -> None:
        file = TfliteFile()
        x, y = (file.tensor(n, (1, 4), "float32") for n in "xy")
        file.operator("EXP", [x], [y])
        body(file, unary("NEG"))
        file._model.signatureDefs = []
        for name, number in (("prefill", 0), ("decode", 1)):
            signature = schema.SignatureDefT()
            signature.signatureKey, signature.subgraphIndex = name, number
            signature.inputs, signature.outputs = [], []
            file._model.signatureDefs.append(signature)
        file.write(path, [x], [y])

    def test_which_of_several_is_asked_for(self, tmp_path: Path) -> None:
        path = tmp_path / "llm.tflite"
        self.two_ways(path)
        with pytest.raises(ModelFileError, match="2 ways to call it") as caught:
            read_tflite(path)
        assert "llm.tflite@signature=prefill" in str(caught.value.hint)
        assert kinds(read_tflite(path, signature="prefill")) == ["exp"]
        assert kinds(read_tflite(path, signature="decode")) == ["neg"]
        with pytest.raises(ModelFileError, match="no signature 'other'"):
            read_tflite(path, signature="other")


class TestSizes:
    def sized(self, path: Path, build: Callable[[TfliteFile, int], int], *, open_: bool) -> None:
        """An input of (1, 1, 1, 3) with height and width open, and what `build` makes of it."""
        file = TfliteFile()
        x = file.tensor("x", (1, 1, 1, 3), "float32")
        if open_:
            file._subgraph.tensors[x].shapeSignature = [-1, -1, -1, 3]
        y = build(file, x)
        file.write(path, [x], [y])

    def test_an_open_size_is_asked_for_in_the_words_of_the_command(self, tmp_path: Path) -> None:
        path = tmp_path / "open.tflite"
        self.sized(path, STEPS["pool"], open_=True)
        with pytest.raises(ModelFileError, match="leaves the size of input 'x' open") as caught:
            read_tflite(path)
        assert "--input-shape x=NxNxNx3" in str(caught.value.hint)

    def test_a_size_that_does_not_fit_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "open.tflite"
        self.sized(path, STEPS["pool"], open_=True)
        with pytest.raises(ModelFileError, match=r"input 'x' is \?x\?x\?x3, not 1x8x8x4"):
            read_tflite(path, input_shapes={"x": (1, 8, 8, 4)})
        with pytest.raises(ModelFileError, match="no input is called 'z'"):
            read_tflite(path, input_shapes={"z": (1, 8, 8, 3)})

    def test_a_fixed_input_takes_another_batch_only(self, tmp_path: Path) -> None:
        path = tmp_path / "fixed.tflite"
        self.sized(path, STEPS["exp"], open_=False)
        graph = read_tflite(path, input_shapes={"x": (5, 1, 1, 3)})
        assert graph.tensors["y"].shape == (5, 1, 1, 3)
        with pytest.raises(ModelFileError, match="input 'x' is 1x1x1x3"):
            read_tflite(path, input_shapes={"x": (1, 8, 8, 3)})

    @pytest.mark.parametrize("step", ["pool", "exp", "squeeze", "computed", "slice", "strided"])
    @pytest.mark.parametrize("size", [(8, 12), (32, 9)])
    def test_shapes_of_a_given_size_are_those_of_the_runtime(
        self, tmp_path: Path, step: str, size: tuple[int, int]
    ) -> None:
        self.compare(tmp_path / f"{step}.tflite", step, size)

    @pytest.mark.parametrize(
        "step", ["resize", "pad", "mirror", "split", "broadcast", "fill", "batched", "expand"]
    )
    def test_operators_that_write_shapes_down_follow_the_given_size(
        self, tmp_path: Path, step: str
    ) -> None:
        self.compare(tmp_path / f"{step}.tflite", step, (8, 12))

    def compare(self, path: Path, step: str, size: tuple[int, int]) -> None:
        self.sized(path, STEPS[step], open_=True)
        shape = (1, *size, 3)
        graph = read_tflite(path, input_shapes={"x": shape})
        (name,) = graph.outputs
        there = runtime_shapes(path, {"x": np.ones(shape, np.float32)})
        assert graph.tensors[name].shape == next(iter(there.values()))
        assert uncovered_ops(graph) == ()


def _one(builtin: str, options: str = "", **fields: Any) -> Callable[[TfliteFile, int], int]:
    def build(file: TfliteFile, x: int) -> int:
        y = file.tensor("y", (1, 1, 1, 3), "float32")
        file.operator(builtin, [x], [y], options, **fields)
        return y

    return build


def _with(
    builtin: str,
    operands: Sequence[tuple[Sequence[int], Sequence[int]]],
    options: str = "",
    **fields: Any,
) -> Callable[[TfliteFile, int], int]:
    """An operator on x and constants, each given as (numbers, shape)."""

    def build(file: TfliteFile, x: int) -> int:
        constants = [ints(file, f"c{i}", *operand) for i, operand in enumerate(operands)]
        y = file.tensor("y", (1, 1, 1, 3), "float32")
        file.operator(builtin, [x, *constants], [y], options, **fields)
        return y

    return build


def _computed(file: TfliteFile, x: int) -> int:
    """Reshape to (batch, height * width, 3), the shape computed by SHAPE, slices and PACK."""
    shape = file.tensor("shape", (4,), "int32")
    file.operator("SHAPE", [x], [shape], "ShapeOptions", outType=2)
    parts = []
    for place in range(3):
        part = file.tensor(f"part{place}", (), "int32")
        ends = [ints(file, f"e{place}{n}", [n], (1,)) for n in (place, place + 1)]
        one = ints(file, f"one{place}", [1], (1,))
        file.operator(
            "STRIDED_SLICE", [shape, *ends, one], [part], "StridedSliceOptions", shrinkAxisMask=1
        )
        parts.append(part)
    area = file.tensor("area", (), "int32")
    file.operator("MUL", parts[1:], [area], "MulOptions")
    three = ints(file, "three", [3], ())
    wanted = file.tensor("wanted", (3,), "int32")
    file.operator("PACK", [parts[0], area, three], [wanted], "PackOptions", valuesCount=3, axis=0)
    y = file.tensor("y", (1, 1, 3), "float32")
    file._subgraph.tensors[y].shapeSignature = [-1, -1, 3]
    file.operator("RESHAPE", [x, wanted], [y], "ReshapeOptions")
    return y


def _filled(file: TfliteFile, x: int) -> int:
    shape = file.tensor("shape", (4,), "int32")
    file.operator("SHAPE", [x], [shape], "ShapeOptions", outType=2)
    y = file.tensor("y", (1, 1, 1, 3), "float32")
    file.operator("FILL", [shape, floats(file, "seven", ())], [y], "FillOptions")
    return y


def _broadcast(file: TfliteFile, x: int) -> int:
    shape = file.tensor("shape", (4,), "int32")
    file.operator("SHAPE", [x], [shape], "ShapeOptions", outType=2)
    y = file.tensor("y", (1, 1, 1, 3), "float32")
    file.operator("BROADCAST_TO", [floats(file, "row", (1, 1, 1, 3)), shape], [y], version=2)
    return y


def _split(file: TfliteFile, x: int) -> int:
    axis = ints(file, "axis", [2], ())
    a, b = (file.tensor(n, (1, 1, 1, 3), "float32") for n in "ab")
    file.operator("SPLIT", [axis, x], [a, b], "SplitOptions", numSplits=2)
    y = file.tensor("y", (1, 1, 1, 3), "float32")
    file.operator("ADD", [a, b], [y], "AddOptions")
    return y


STEPS: dict[str, Callable[[TfliteFile, int], int]] = {
    "pool": _one(
        "MAX_POOL_2D",
        "Pool2DOptions",
        strideH=2,
        strideW=2,
        filterHeight=3,
        filterWidth=3,
        padding=0,
    ),
    "exp": _one("EXP"),
    "squeeze": _one("SQUEEZE", "SqueezeOptions", squeezeDims=[0]),
    "computed": _computed,
    "slice": _with("SLICE", [([0, 1, 2, 0], (4,)), ([1, 5, 6, 2], (4,))], "SliceOptions"),
    "strided": _with(
        "STRIDED_SLICE",
        [([0, 1, 0, 0], (4,)), ([0, -1, 0, 2], (4,)), ([1, 2, 1, 1], (4,))],
        "StridedSliceOptions",
        beginMask=0b0101,
        endMask=0b0101,
        shrinkAxisMask=0b1000,
    ),
    "resize": _with("RESIZE_BILINEAR", [([5, 7], (2,))], "ResizeBilinearOptions"),
    "pad": _with("PAD", [([0, 0, 1, 2, 3, 0, 0, 0], (4, 2))], "PadOptions"),
    "mirror": _with("MIRROR_PAD", [([0, 0, 1, 2, 3, 0, 0, 0], (4, 2))], "MirrorPadOptions"),
    "split": _split,
    "broadcast": _broadcast,
    "fill": _filled,
    "batched": _with(
        "SPACE_TO_BATCH_ND",
        [([2, 3], (2,)), ([0, 0, 0, 0], (2, 2))],
        "SpaceToBatchNDOptions",
    ),
    "expand": _with("EXPAND_DIMS", [([-2], ())], "ExpandDimsOptions"),
}


def test_a_slice_to_the_end_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "slice.tflite"
    step = _with("SLICE", [([0, 1, 2, 0], (4,)), ([1, -1, -1, 2], (4,))], "SliceOptions")
    TestSizes().sized(path, step, open_=True)
    graph = read_tflite(path, input_shapes={"x": (1, 8, 12, 3)})
    assert graph.tensors["y"].shape == (1, 7, 10, 2)


class TestCustomOperators:
    def file(self, path: Path, name: str, options: bytes, shapes: Sequence[Sequence[int]]) -> None:
        """x (1, 8, 8, 4) through a custom operator; `shapes` are weights, bias, then outputs."""
        file = TfliteFile()
        x = file.tensor("x", (1, 8, 8, 4), "float32")
        weights = [floats(file, f"w{i}", s) for i, s in enumerate(shapes[:-1])]
        y = file.tensor("y", shapes[-1], "float32")
        file.operator("CUSTOM", [x, *weights], [y])
        file._model.operatorCodes[-1].customCode = name
        file._subgraph.operators[-1].customOptions = np.frombuffer(options, np.uint8)
        file.write(path, [x], [y])

    def test_a_transposed_convolution_with_bias_by_hand(self, tmp_path: Path) -> None:
        path = tmp_path / "deconv.tflite"
        # SAME, stride 2 wide and high: 16 x 16 x 6, each input meets 2 x 2 weights of 4 x 6
        options = struct.pack("<3i", 1, 2, 2)
        self.file(path, "Convolution2DTransposeBias", options, [(6, 2, 2, 4), (6,), (1, 16, 16, 6)])
        graph = read_tflite(path)
        (op,) = graph.ops
        assert op.kind == "transpose_conv2d"
        from perfmodel.kernels.operators import op_macs

        assert op_macs(graph, op) == 8 * 8 * 4 * 2 * 2 * 6

    def test_options_of_another_layout_leave_it_named(self, tmp_path: Path) -> None:
        path = tmp_path / "deconv.tflite"
        self.file(path, "Convolution2DTransposeBias", b"\1", [(6, 2, 2, 4), (6,), (1, 16, 16, 6)])
        (op,) = uncovered_ops(read_tflite(path))
        assert op.attrs["custom_name"] == "Convolution2DTransposeBias"

    def test_a_program_for_an_npu_is_named_as_such(self, tmp_path: Path) -> None:
        from perfmodel.errors import UncoveredOpError
        from perfmodel.kernels.operators import op_macs

        path = tmp_path / "npu.tflite"
        self.file(path, "DISPATCH_OP", b"program", [(1, 8, 8, 4)])
        graph = read_tflite(path)
        with pytest.raises(UncoveredOpError, match="compiled for an NPU"):
            op_macs(graph, graph.ops[0])


class TestStates:
    def test_a_network_that_keeps_a_state_has_kernels_for_reading_and_storing_it(
        self, tmp_path: Path
    ) -> None:
        from perfmodel.kernels import fuse

        path = tmp_path / "state.tflite"
        file = TfliteFile()
        x, old, new = (file.tensor(n, (1, 4), "float32") for n in ("x", "old", "new"))
        handle = file.tensor("handle", (), "resource")
        file.operator("VAR_HANDLE", [], [handle], "VarHandleOptions")
        file.operator("READ_VARIABLE", [handle], [old], "ReadVariableOptions")
        file.operator("ADD", [x, old], [new], "AddOptions")
        file.operator("ASSIGN_VARIABLE", [handle, new], [], "AssignVariableOptions")
        file.write(path, [x], [new])
        graph = read_tflite(path)
        assert uncovered_ops(graph) == ()
        stored = [k for k in fuse(graph, "tflite") if k.op == "variable"]
        assert len(stored) == 3
        assert [k.input_elements for k in stored] == [0, 1, 5]  # a handle is one element
