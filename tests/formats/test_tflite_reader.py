"""What the .tflite reader tells about real and hand-made files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from perfmodel.formats.tflite.file import Data, TfliteFile
from perfmodel.formats.tflite.reader import read_tflite
from perfmodel.formats.tflite.schema import (
    BUILTINS,
    DTYPES,
    FUSED_ACTIVATIONS,
    BufferSlot,
    CodeSlot,
    CompositeSlot,
    ModelSlot,
    OperatorSlot,
    SubgraphSlot,
    TensorSlot,
)
from tests.formats.counts import parameters

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

REAL = (
    "deeplabv3_mnv2_pascal_quant",
    "dtln_noise_suppression",
    "keras_lstm_mnist_ptq",
    "mnist_trained_lstm",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v2_1.0_224_quant",
    "movenet_single_pose_lightning_ptq",
)
"""Files the runtime opens too (person_detect has a quantised dimension it refuses)."""


def conv_file(path: Path, *, weights_dtype: str) -> None:
    """A 3x3 convolution of an 8x8x3 image to 5 channels, stride 2, SAME; see the callers."""
    file = TfliteFile()
    x = file.tensor("image", (1, 8, 8, 3), "float32")
    stored = file.tensor("stored", (5, 3, 3, 3), weights_dtype, data=Data.of(half(5 * 27)))
    weights = stored
    if weights_dtype == "float16":
        weights = file.tensor("unpacked", (5, 3, 3, 3), "float32")
        file.operator("DEQUANTIZE", [stored], [weights], "DequantizeOptions")
    bias = file.tensor("bias", (5,), "float32", data=Data.of(np.zeros(5, np.float32)))
    y = file.tensor("result", (1, 4, 4, 5), "float32")
    file.operator(
        "CONV_2D",
        [x, weights, bias],
        [y],
        "Conv2DOptions",
        strideH=2,
        strideW=2,
        padding=0,
        fusedActivationFunction=3,
    )
    file.write(path, [x], [y])


def half(count: int) -> np.ndarray:
    return np.zeros(count, np.float16)


def schema_fields(table: str) -> list[str]:
    """Fields of a schema table in their numbered order, upper case."""
    names = [n for n in vars(getattr(schema, table)) if n[0].isupper() and n != "Init"]
    ends = ("AsNumpy", "Length", "IsNone")
    names = [n for n in names if not n.endswith(ends) and not n.startswith("GetRootAs")]
    return [n.upper() for n in names if not n.endswith("BufferHasIdentifier")]


class TestTheSchemaTable:
    def test_operator_codes_are_those_of_the_schema_module(self) -> None:
        codes = {n: v for n, v in vars(schema.BuiltinOperator).items() if n[0] != "_"}
        assert {name: code for code, name in enumerate(BUILTINS)} == codes

    def test_element_types_are_those_of_the_schema_module(self) -> None:
        codes = {n.lower(): v for n, v in vars(schema.TensorType).items() if n[0] != "_"}
        assert {name: code for code, name in enumerate(DTYPES)} == codes

    def test_fused_activations_are_those_of_the_schema_module(self) -> None:
        codes = {
            v: n.lower() for n, v in vars(schema.ActivationFunctionType).items() if n[0] != "_"
        }
        assert [codes[i] for i in range(len(FUSED_ACTIVATIONS))] == list(FUSED_ACTIVATIONS)

    @pytest.mark.parametrize(
        ("table", "slots"),
        [
            ("Model", ModelSlot),
            ("OperatorCode", CodeSlot),
            ("SubGraph", SubgraphSlot),
            ("Tensor", TensorSlot),
            ("Operator", OperatorSlot),
            ("Buffer", BufferSlot),
            ("StableHLOCompositeOptions", CompositeSlot),
        ],
    )
    def test_field_numbers_are_those_of_the_schema_module(self, table: str, slots: type) -> None:
        fields = schema_fields(table)
        ours = {n: v for n, v in vars(slots).items() if n[0] != "_"}
        assert ours
        for name, slot in ours.items():
            short = {"OPCODE": "OPCODEINDEX", "OPTIONS": "BUILTINOPTIONS"}
            short |= {"OPTIONS_TYPE": "BUILTINOPTIONSTYPE", "SIGNATURE": "SHAPESIGNATURE"}
            short |= {"DEPRECATED_BUILTIN": "DEPRECATEDBUILTINCODE", "CUSTOM": "CUSTOMCODE"}
            short |= {"BUILTIN": "BUILTINCODE", "SIGNATURES": "SIGNATUREDEFS"}
            short |= {"OPTIONS_2": "BUILTINOPTIONS2", "DECOMPOSITION": "DECOMPOSITIONSUBGRAPHINDEX"}
            assert fields[slot] == short.get(name, name.replace("_", ""))


class TestRealFiles:
    @pytest.mark.parametrize("name", REAL)
    def test_tensors_are_those_the_runtime_reports(self, model_files: Path, name: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        path = model_files / f"{name}.tflite"
        graph = read_tflite(path)
        runtime = {
            d["name"]: (tuple(d["shape"]), np.dtype(d["dtype"]).name)
            for d in Interpreter(str(path)).get_tensor_details()
        }
        compared = 0
        for tensor in graph.tensors.values():
            if tensor.constant or tensor.name not in runtime:
                continue  # depthwise weights are turned into our layout
            assert (tensor.shape, tensor.dtype) == runtime[tensor.name]
            compared += 1
        assert compared >= len(graph.ops)

    def test_mobilenet_v2_has_the_published_parameters(self, model_files: Path) -> None:
        # Sandler et al. 2018, table 4: 3.4 M; counted from table 2, batch norm folded, with a
        # background class: 1280 * 1001 + 1001 in the classifier
        graph = read_tflite(model_files / "mobilenet_v2_1.0_224_quant.tflite")
        assert parameters(graph) == 3_489_097
        assert parameters(graph) == pytest.approx(3.4e6, rel=0.03)

    def test_depthwise_convolutions_have_one_input_channel_a_group(self, model_files: Path) -> None:
        graph = read_tflite(model_files / "mobilenet_v1_0.25_128_quant.tflite")
        convs = [op for op in graph.ops if op.kind == "conv2d"]
        depthwise = [op for op in convs if op.attrs["groups"] > 1]
        assert len(convs) == 28
        assert len(depthwise) == 13
        for op in depthwise:
            assert graph.tensors[op.inputs[1]].shape == (op.attrs["groups"], 3, 3, 1)

    def test_first_convolution_of_mobilenet_v1_by_hand(self, model_files: Path) -> None:
        graph = read_tflite(model_files / "mobilenet_v1_0.25_128_quant.tflite")
        first = graph.ops[0]
        # SAME, 3x3, stride 2 on 128: 64 outputs need 63 * 2 + 3 = 129 rows: one row below
        assert first.attrs["pads"] == (0, 1, 0, 1)
        assert first.attrs["stride"] == (2, 2)
        assert first.attrs["activation"] in ("relu6", "none")
        assert graph.outputs_of(first)[0].shape == (1, 64, 64, 8)

    def test_a_custom_operator_keeps_its_name(self, model_files: Path) -> None:
        graph = read_tflite(
            model_files / "posenet_mobilenet_v1_075_353_481_16_quant_decoder.tflite"
        )
        last = graph.ops[-1]
        assert last.kind == "custom"
        assert last.attrs["custom_name"] == "PosenetDecoderOp"

    def test_states_of_an_lstm_are_no_inputs(self, model_files: Path) -> None:
        graph = read_tflite(model_files / "mnist_trained_lstm.tflite")
        lstm = graph.ops[0]
        assert lstm.kind == "lstm"
        assert lstm.attrs["hidden"] == 20
        # 4 gates * (20 * 28 + 20 * 20 + 20) = 3920
        assert sum(t.elements for t in graph.weights_of(lstm)) == 3920

    def test_every_file_is_read(self, model_files: Path) -> None:
        files = sorted(model_files.glob("*.tflite"))
        assert len(files) == 9
        for path in files:
            assert read_tflite(path).ops


class TestHandMadeFiles:
    def test_unpacked_half_precision_weights_count_as_stored(self, tmp_path: Path) -> None:
        conv_file(tmp_path / "half.tflite", weights_dtype="float16")
        graph = read_tflite(tmp_path / "half.tflite")
        (conv,) = graph.ops
        weights = graph.tensors[conv.inputs[1]]
        assert (weights.dtype, weights.constant, weights.size_bytes) == ("float16", True, 2 * 135)

    def test_shapes_that_the_file_leaves_open_are_inferred(self, tmp_path: Path) -> None:
        path = tmp_path / "open.tflite"
        file = TfliteFile()
        x = file.tensor("x", (1, 9, 9, 2), "float32")
        y = file.tensor("y", (1, 1, 1, 1), "float32")
        file._subgraph.tensors[y].shapeSignature = [-1, -1, -1, -1]
        file.operator(
            "MAX_POOL_2D",
            [x],
            [y],
            "Pool2DOptions",
            strideH=2,
            strideW=3,
            filterHeight=3,
            filterWidth=3,
            padding=1,
        )
        file.write(path, [x], [y])
        # (9 - 3) / 2 + 1 = 4, (9 - 3) / 3 + 1 = 3
        assert read_tflite(path).tensors["y"].shape == (1, 4, 3, 2)

    def test_an_operator_newer_than_the_table_is_named_not_guessed(self, tmp_path: Path) -> None:
        path = tmp_path / "new.tflite"
        file = TfliteFile()
        x = file.tensor("x", (1, 4), "float32")
        y = file.tensor("y", (1, 4), "float32")
        file.operator("ADD", [x, x], [y])
        file._model.operatorCodes[0].builtinCode = 5000
        file.write(path, [x], [y])
        (op,) = read_tflite(path).ops
        assert (op.kind, op.attrs["custom_name"]) == ("custom", "BUILTIN_5000")
        assert op.attrs["output_shapes"] == ((1, 4),)

    def test_an_operator_without_counterpart_is_custom_under_its_own_name(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "bucket.tflite"
        file = TfliteFile()
        x = file.tensor("x", (1, 4), "float32")
        y = file.tensor("y", (1, 4), "int32")
        file.operator("BUCKETIZE", [x], [y])
        file.write(path, [x], [y])
        (op,) = read_tflite(path).ops
        assert (op.kind, op.attrs["custom_name"]) == ("custom", "BUCKETIZE")

    def test_several_subgraphs_are_read_in_file_order(self, tmp_path: Path) -> None:
        path = tmp_path / "branches.tflite"
        file = TfliteFile()
        condition = file.tensor("condition", (1,), "bool")
        x = file.tensor("x", (1, 4), "float32")
        y = file.tensor("y", (1, 4), "float32")
        file.operator(
            "IF", [condition, x], [y], "IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=2
        )
        for number, builtin in ((1, "EXP"), (2, "NEG")):
            body = TfliteFile()
            a = body.tensor("a", (1, 4), "float32")
            b = body.tensor("b", (1, 4), "float32")
            body.operator(builtin, [a], [b])
            body._subgraph.inputs, body._subgraph.outputs = [a], [b]
            file._model.subgraphs.append(body._subgraph)
            file._model.operatorCodes.append(body._model.operatorCodes[0])
            body._subgraph.operators[0].opcodeIndex = number
        file.write(path, [condition, x], [y])
        graph = read_tflite(path)
        assert graph.ops[0].kind == "control_flow"
        assert graph.ops[0].attrs["bodies"] == (1, 2)
        assert [g.ops[0].kind for g in graph.subgraphs] == ["exp", "neg"]

    def test_tensors_of_one_name_stay_apart(self, tmp_path: Path) -> None:
        path = tmp_path / "twins.tflite"
        file = TfliteFile()
        x, y, z = (file.tensor("same", (1, 4), "float32") for _ in range(3))
        file.operator("EXP", [x], [y])
        file.operator("NEG", [y], [z])
        file.write(path, [x], [z])
        graph = read_tflite(path)
        assert len(graph.tensors) == 3
        assert graph.ops[1].inputs == graph.ops[0].outputs


def test_reading_needs_neither_the_runtime_nor_numpy() -> None:
    code = (
        "import sys; import perfmodel.formats.tflite.reader; "
        "print([m for m in ('numpy', 'flatbuffers', 'ai_edge_litert') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_half_a_gigabyte_is_read_in_time_and_memory() -> None:
    """VGG16 in float32 is 553 MB; the benchmark reads it in a process of its own."""
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "read_speed.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["file_mb"] > 550
    for way in ("read_cached", "read_cold"):
        assert report[way]["process_s"] < 2
        assert report[way]["peak_rss_mb"] < 200
        assert report[way]["params"] == 138_357_544  # Simonyan and Zisserman 2014, table 2: 138 M
    for way in ("onnx_cached", "onnx_cold"):
        assert report[way]["peak_rss_mb"] < 100
        assert report[way]["params"] == 96 * 1024**2
