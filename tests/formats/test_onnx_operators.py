"""ONNX operators that tools write beside convolutions: shapes and MACs by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
from onnx import TensorProto, helper

from perfmodel.errors import ModelFileError
from perfmodel.formats.onnx.reader import read_onnx
from perfmodel.graph.ir import Graph
from perfmodel.kernels import macs, params, uncovered_ops
from tests.formats.onnx_files import MS, Sizes, channels_last, floats, integers, kinds, write

node = helper.make_node
B, S, P, HEADS, SHARED, D = 2, 6, 3, 4, 2, 8
"""Batch, tokens, earlier tokens, heads of queries and of keys, size of a head."""
WIDTH = HEADS * D


def outputs_of(graph: Graph) -> list[tuple[int, ...]]:
    return [graph.tensors[n].shape for n in graph.outputs]


def attention_macs(tokens: int) -> int:
    """Two products for each head: scores, and the mix of values."""
    return 2 * B * HEADS * S * tokens * D


def fused(
    tmp_path: Path, kind: str, inputs: dict[str, Sizes], slots: list[str], **more: Any
) -> Graph:
    """One operator; `slots` names its inputs in order, constants among them."""
    outputs, domain = more.pop("outputs", ["y"]), more.pop("domain", MS)
    constants, dtypes = more.pop("constants", {}), more.pop("dtypes", None)
    opset = more.pop("opset", 17)
    nodes = [node(kind, slots, outputs, domain=domain, **more)]
    named = [name for name in outputs if name]
    path = write(tmp_path, nodes, inputs, named, constants, opset=opset, dtypes=dtypes)
    return read_onnx(path)


def test_attention_with_packed_weights(tmp_path: Path) -> None:
    constants = {"w": floats(16, 3 * WIDTH), "b": floats(3 * WIDTH)}
    slots = ["x", "w", "b", "", "past"]
    inputs: dict[str, Sizes] = {"x": [B, S, 16], "past": [2, B, HEADS, P, D]}
    graph = fused(
        tmp_path, "Attention", inputs, slots,
        outputs=["y", "present"], constants=constants, num_heads=HEADS,
    )  # fmt: skip
    assert outputs_of(graph) == [(B, S, WIDTH), (2, B, HEADS, P + S, D)]
    assert macs(graph) == B * S * 16 * 3 * WIDTH + attention_macs(P + S)
    assert params(graph) == 16 * 3 * WIDTH + 3 * WIDTH


def test_quantised_attention(tmp_path: Path) -> None:
    constants: dict[str, np.ndarray] = {"w": np.zeros((16, 3 * WIDTH), np.int8)}
    constants |= {"b": floats(3 * WIDTH), "s": floats(), "t": floats()}
    slots = ["x", "w", "b", "s", "t"]
    inputs: dict[str, Sizes] = {"x": [B, S, 16]}
    graph = fused(tmp_path, "QAttention", inputs, slots, constants=constants, num_heads=HEADS)
    assert outputs_of(graph) == [(B, S, WIDTH)]
    assert macs(graph) == B * S * 16 * 3 * WIDTH + attention_macs(S)


@pytest.mark.parametrize("packing", ["none", "keys", "all", "cross"])
def test_attention_of_many_heads(tmp_path: Path, packing: str) -> None:
    tokens, slots = S, ["q", "k", "v"]
    inputs: dict[str, Sizes] = {"q": [B, S, WIDTH], "k": [B, S, WIDTH], "v": [B, S, WIDTH]}
    if packing == "keys":
        inputs, slots = {"q": [B, S, WIDTH], "k": [B, S, HEADS, 2, D]}, ["q", "k"]
    elif packing == "all":
        inputs, slots = {"q": [B, S, HEADS, 3, D]}, ["q"]
    elif packing == "cross":
        tokens = 9
        inputs |= {"k": [B, HEADS, tokens, D], "v": [B, HEADS, tokens, D]}
    graph = fused(tmp_path, "MultiHeadAttention", inputs, slots, num_heads=HEADS)
    assert outputs_of(graph) == [(B, S, WIDTH)]
    assert macs(graph) == attention_macs(tokens)


def test_attention_with_bias_mask_and_earlier_tokens(tmp_path: Path) -> None:
    inputs: dict[str, Sizes] = {name: [B, S, WIDTH] for name in "qkv"}
    inputs |= {"mask": [B, 1, S, P + S], "pk": [B, HEADS, P, D], "pv": [B, HEADS, P, D]}
    slots = ["q", "k", "v", "bias", "", "mask", "pk", "pv"]
    graph = fused(
        tmp_path, "MultiHeadAttention", inputs, slots,
        outputs=["y", "keys", "values"], constants={"bias": floats(3 * WIDTH)}, num_heads=HEADS,
    )  # fmt: skip
    assert outputs_of(graph) == [(B, S, WIDTH), *[(B, HEADS, P + S, D)] * 2]
    assert macs(graph) == attention_macs(P + S)
    assert params(graph) == 3 * WIDTH
    assert kinds(graph).count("add") == 2  # the bias of queries, the mask


@pytest.mark.parametrize("packed", [False, True])
def test_heads_of_queries_share_keys(tmp_path: Path, packed: bool) -> None:
    shared = SHARED * D
    inputs: dict[str, Sizes] = {"q": [B, S, WIDTH], "k": [B, S, shared], "v": [B, S, shared]}
    slots = ["q", "k", "v", "pk", "pv", "lengths", "total", "cos", "sin"]
    if packed:
        inputs, slots = {"q": [B, S, WIDTH + 2 * shared]}, ["q", "", "", *slots[3:]]
    inputs |= {"pk": [B, SHARED, P, D], "pv": [B, SHARED, P, D], "lengths": [B], "total": [1]}
    graph = fused(
        tmp_path, "GroupQueryAttention", inputs, slots,
        outputs=["y", "keys", "values"], constants={"cos": floats(64, 4), "sin": floats(64, 4)},
        dtypes=dict.fromkeys(("lengths", "total"), TensorProto.INT32),
        num_heads=HEADS, kv_num_heads=SHARED, do_rotary=1,
    )  # fmt: skip
    assert outputs_of(graph) == [(B, S, WIDTH), *[(B, SHARED, P + S, D)] * 2]
    assert macs(graph) == attention_macs(P + S)
    assert kinds(graph).count("scale") == 2  # queries and keys turn
    assert params(graph) == 0


@pytest.mark.parametrize("rank", [3, 4])
def test_attention_of_operator_set_23(tmp_path: Path, rank: int) -> None:
    shared = SHARED * D
    inputs: dict[str, Sizes] = {"q": [B, S, WIDTH], "k": [B, S, shared], "v": [B, S, shared]}
    attrs = {"q_num_heads": HEADS, "kv_num_heads": SHARED}
    if rank == 4:
        inputs, attrs = {"q": [B, HEADS, S, D], "k": [B, SHARED, S, D], "v": [B, SHARED, S, D]}, {}
    graph = fused(tmp_path, "Attention", inputs, ["q", "k", "v"], domain="", opset=23, **attrs)
    assert outputs_of(graph) == [(B, S, WIDTH) if rank == 3 else (B, HEADS, S, D)]
    assert macs(graph) == attention_macs(S)


def test_embeddings_and_their_norm(tmp_path: Path) -> None:
    constants = {"words": floats(100, WIDTH), "places": floats(50, WIDTH)}
    constants |= {"segments": floats(2, WIDTH), "gamma": floats(WIDTH), "beta": floats(WIDTH)}
    graph = fused(
        tmp_path, "EmbedLayerNormalization", {"ids": [B, S], "seg": [B, S], "mask": [B, S]},
        ["ids", "seg", *constants, "mask"], outputs=["y", "lengths"], constants=constants,
        dtypes=dict.fromkeys(("ids", "seg", "mask"), TensorProto.INT32),
    )  # fmt: skip
    assert outputs_of(graph) == [(B, S, WIDTH), (B,)]
    assert params(graph) == (100 + 50 + 2 + 2) * WIDTH
    expected = ["gather", "strided_slice", "gather", "add", "add", "layer_norm"]
    assert kinds(graph) == expected


@pytest.mark.parametrize("kind", ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"])
def test_a_sum_and_its_norm(tmp_path: Path, kind: str) -> None:
    simple = kind != "SkipLayerNormalization"
    constants = {"gamma": floats(WIDTH), "beta": floats(WIDTH), "bias": floats(WIDTH)}
    slots = ["x", "skip", "gamma", *([] if simple else ["beta"]), "bias"]
    constants = {name: value for name, value in constants.items() if name in slots}
    graph = fused(
        tmp_path, kind, {"x": [B, S, WIDTH], "skip": [B, S, WIDTH]}, slots,
        outputs=["y", "", "", "sum"], constants=constants,
    )  # fmt: skip
    assert kinds(graph) == ["add", "add", "layer_norm"]
    assert outputs_of(graph) == [(B, S, WIDTH)] * 2
    assert graph.ops[-1].inputs[0] == graph.outputs[1]
    assert params(graph) == len(constants) * WIDTH


@pytest.mark.parametrize(
    ("kind", "slots", "expected"),
    [
        ("Gelu", ["x"], ["gelu"]),
        ("FastGelu", ["x"], ["gelu"]),
        ("FastGelu", ["x", "bias"], ["add", "gelu"]),
        ("BiasGelu", ["x", "bias"], ["add", "gelu"]),
        ("QuickGelu", ["x"], ["swish"]),
        ("BiasAdd", ["x", "bias", "x2"], ["add", "add"]),
        ("BiasSoftmax", ["x", "x2"], ["add", "softmax"]),
        ("RotaryEmbedding", ["x", "place", "cos", "sin"], ["scale"]),
        ("BiasSplitGelu", ["x", "bias"], ["add", "split", "gelu", "mul"]),
        ("MatMul", ["x", "w"], ["fully_connected"]),
        ("FusedMatMul", ["x", "x2"], ["matmul"]),
        ("GemmFastGelu", ["x", "w", "bias4"], ["fully_connected", "gelu"]),
    ],
)
def test_activations_and_sums_of_onnxruntime(
    tmp_path: Path, kind: str, slots: list[str], expected: list[str]
) -> None:
    shapes: dict[str, Sizes] = {"x": [B, S, WIDTH], "x2": [B, S, WIDTH], "place": [1]}
    inputs = {name: shape for name, shape in shapes.items() if name in slots}
    constants = {"bias": floats(WIDTH), "cos": floats(9, 4), "sin": floats(9, 4)}
    constants |= {"w": floats(WIDTH, 5), "bias4": floats(5)}
    attrs = {"transB": 1} if kind == "FusedMatMul" else {}
    graph = fused(
        tmp_path, kind, inputs, slots, constants=constants, domain="" if kind == "MatMul" else MS,
        dtypes={"place": TensorProto.INT64}, **attrs,
    )  # fmt: skip
    assert kinds(graph) == expected
    last = {"FusedMatMul": S, "BiasSplitGelu": WIDTH // 2, "MatMul": 5, "GemmFastGelu": 5}
    assert outputs_of(graph) == [(B, S, last.get(kind, WIDTH))]


def test_products_with_batches_behind_and_activations(tmp_path: Path) -> None:
    inputs: dict[str, Sizes] = {"a": [3, 5, 8], "b": [5, 8, 7]}
    graph = fused(tmp_path, "FusedMatMul", inputs, ["a", "b"], transBatchA=1)
    assert outputs_of(graph) == [(5, 3, 7)]
    assert macs(graph) == 5 * 3 * 8 * 7
    constants = {"w": floats(8, 6), "c": floats(6)}
    graph = fused(tmp_path, "FusedGemm", {"a": [4, 8]}, ["a", "w", "c"], constants=constants,
                  activation="Relu")  # fmt: skip
    assert kinds(graph) == ["fully_connected", "relu"]
    assert (macs(graph), params(graph)) == (4 * 8 * 6, 54)
    with pytest.raises(ModelFileError, match="unknown fused activation 'Magic'"):
        fused(tmp_path, "FusedGemm", {"a": [4, 8]}, ["a", "w", "c"], constants=constants,
              activation="Magic")  # fmt: skip


@pytest.mark.parametrize(("bits", "dtype"), [(2, "int2"), (4, "int4"), (8, "int8")])
def test_weights_of_few_bits(tmp_path: Path, bits: int, dtype: str) -> None:
    packed = np.zeros((24, 2, 16 * bits // 8), np.uint8)
    graph = fused(
        tmp_path, "MatMulNBits", {"x": [B, S, 32]}, ["x", "w", "scales"],
        constants={"w": packed, "scales": floats(48)}, K=32, N=24, bits=bits, block_size=16,
    )  # fmt: skip
    [op] = graph.ops
    assert (macs(graph), params(graph)) == (B * S * 32 * 24, 32 * 24)
    assert graph.weights_of(op)[0].size_bytes == 32 * 24 * bits // 8
    assert (graph.weights_of(op)[0].dtype, outputs_of(graph)) == (dtype, [(B, S, 24)])


def test_products_of_integers_that_give_floats(tmp_path: Path) -> None:
    w = np.zeros((32, 24), np.int8)
    constants = {"w": w, "s": floats(), "z": np.array(0, np.int8), "bias": floats(24)}
    dynamic = fused(tmp_path, "DynamicQuantizeMatMul", {"x": [S, 32]},
                    ["x", "w", "s", "z", "bias"], constants=constants)  # fmt: skip
    given = fused(
        tmp_path, "MatMulIntegerToFloat", {"x": [S, 32]},
        ["x", "w", "s", "s", "", "z", "bias"], constants=constants,
        dtypes={"x": TensorProto.UINT8},
    )  # fmt: skip
    gemm = fused(
        tmp_path, "QGemm", {"x": [S, 32]}, ["x", "s", "z", "w", "s", "z", "bias"],
        constants=constants, dtypes={"x": TensorProto.INT8},
    )  # fmt: skip
    for graph in (dynamic, given, gemm):
        assert (macs(graph), params(graph)) == (S * 32 * 24, 32 * 24 + 24)
        assert outputs_of(graph) == [(S, 24)]
        assert graph.tensors[graph.outputs[0]].dtype == "float32"


def test_a_recurrent_layer_of_integers(tmp_path: Path) -> None:
    constants: dict[str, np.ndarray] = {
        "w": np.zeros((2, 16, 4 * 8), np.int8),
        "r": np.zeros((2, 8, 4 * 8), np.int8),
        "b": floats(2, 64),
        **{name: floats(2) for name in ("ws", "rs")},
        **{name: np.zeros(2, np.int8) for name in ("wz", "rz")},
    }
    slots = ["x", "w", "r", "b", "", "", "", "", "ws", "wz", "rs", "rz"]
    graph = fused(
        tmp_path, "DynamicQuantizeLSTM", {"x": [10, 1, 16]}, slots, constants=constants,
        outputs=["y", "h"], hidden_size=8, direction="bidirectional",
    )  # fmt: skip
    assert outputs_of(graph) == [(10, 2, 1, 8), (2, 1, 8)]
    assert macs(graph) == 2 * 10 * 4 * (16 + 8) * 8
    assert params(graph) == 2 * (16 + 8) * 32 + 2 * 64


def test_states_that_are_computed_are_read(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["h0"], ["h"]),
        node("GRU", ["x", "w", "r", "", "", "h"], ["y"], hidden_size=8),
    ]
    constants = {"w": floats(1, 24, 16), "r": floats(1, 24, 8)}
    inputs: dict[str, Sizes] = {"x": [5, 1, 16], "h0": [1, 1, 8]}
    graph = read_onnx(write(tmp_path, nodes, inputs, ["y"], constants))
    gru = next(op for op in graph.ops if op.kind == "gru")
    assert "h" in gru.inputs
    assert macs(graph) == 5 * 3 * (16 + 8) * 8


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolutions_and_pools_of_any_number_of_axes(tmp_path: Path, axes: int) -> None:
    size, nodes = (9, 10, 11)[:axes], []
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], strides=[2] * axes, pads=[1] * 2 * axes),
        node("ConvTranspose", ["c", "v"], ["t"], strides=[2] * axes),
        node("MaxPool", ["t"], ["p"], kernel_shape=[2] * axes, strides=[2] * axes),
        node("GlobalAveragePool", ["p"], ["y"]),
    ]
    constants = {"w": floats(8, 4, *[3] * axes), "b": floats(8), "v": floats(8, 6, *[2] * axes)}
    inputs: dict[str, Sizes] = {"x": [B, 4, *size]}
    graph = read_onnx(write(tmp_path, nodes, inputs, ["p", "y"], constants))
    half = [(s + 2 - 3) // 2 + 1 for s in size]
    pixels = int(np.prod(half))
    assert outputs_of(graph) == [
        channels_last((B, 6, *half)), channels_last((B, 6, *[1] * axes)),
    ]  # fmt: skip
    assert macs(graph) == B * pixels * (8 * 4 * 3**axes + 8 * 6 * 2**axes)
    assert params(graph) == 8 * 4 * 3**axes + 8 + 8 * 6 * 2**axes


def test_four_spatial_axes_are_named(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["y"])]
    path = write(tmp_path, nodes, {"x": [1, 2, 5, 5, 5, 5]}, ["y"], {"w": floats(2, 2, 1, 1, 1, 1)})
    with pytest.raises(ModelFileError, match="'Conv'"):
        read_onnx(path)


@pytest.mark.parametrize("kind", ["NhwcConv", "QLinearConv"])
def test_convolutions_of_images_with_channels_last(tmp_path: Path, kind: str) -> None:
    w = np.zeros((8, 3, 3, 3), np.int8)
    constants = {"w": w, "s": floats(), "z": np.array(0, np.int8)}
    slots = ["x", "w"] if kind == "NhwcConv" else ["x", "s", "z", "w", "s", "z", "s", "z"]
    attrs = {} if kind == "NhwcConv" else {"channels_last": 1}
    dtypes = {} if kind == "NhwcConv" else {"x": TensorProto.INT8}
    graph = fused(tmp_path, kind, {"x": [1, 10, 12, 3]}, slots, constants=constants,
                  dtypes=dtypes, **attrs)  # fmt: skip
    assert outputs_of(graph) == [(1, 8, 10, 8)]
    assert macs(graph) == 80 * 8 * 27


def test_pools_and_means_of_integers(tmp_path: Path) -> None:
    constants = {"s": floats(), "z": np.array(0, np.int8)}
    slots, dtypes = ["x", "s", "z", "s", "z"], {"x": TensorProto.INT8}
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    for kind, attrs, shape in (
        ("QLinearAveragePool", {**pool, "channels_last": 1}, (1, 4, 5, 3)),
        ("QLinearAveragePool", pool, (1, 5, 1, 8)),
        ("QLinearGlobalAveragePool", {"channels_last": 1}, (1, 1, 1, 3)),
        ("QLinearReduceMean", {"axes": [1, 2], "keepdims": 0}, (1, 3)),
        ("NhwcMaxPool", pool, (1, 4, 5, 3)),
    ):
        used = slots[:1] if kind == "NhwcMaxPool" else slots
        graph = fused(tmp_path, kind, {"x": [1, 8, 10, 3]}, used, constants=constants,
                      dtypes=dtypes, **attrs)  # fmt: skip
        assert outputs_of(graph) == [shape], kind


def test_a_fused_convolution_adds_before_its_activation(tmp_path: Path) -> None:
    constants = {"w": floats(4, 4, 1, 1), "b": floats(4)}
    inputs: dict[str, Sizes] = {"x": [1, 4, 8, 8], "skip": [1, 4, 8, 8]}
    graph = fused(tmp_path, "FusedConv", inputs, ["x", "w", "b", "skip"], constants=constants,
                  activation="Relu")  # fmt: skip
    assert kinds(graph) == ["conv2d", "add", "relu"]
    assert graph.ops[0].attrs["activation"] == "none"
    plain = fused(tmp_path, "FusedConv", {"x": [1, 4, 8, 8]}, ["x", "w", "b"],
                  constants=constants, activation="Relu")  # fmt: skip
    assert plain.ops[0].attrs["activation"] == "relu"


def test_a_deformable_convolution_samples_then_multiplies(tmp_path: Path) -> None:
    nodes = [node("DeformConv", ["x", "w", "offset"], ["y"], pads=[1] * 4)]
    inputs: dict[str, Sizes] = {"x": [1, 4, 9, 9], "offset": [1, 18, 9, 9]}
    path = write(tmp_path, nodes, inputs, ["y"], {"w": floats(8, 4, 3, 3)}, opset=19)
    graph = read_onnx(path)
    assert outputs_of(graph) == [channels_last((1, 8, 9, 9))]
    assert macs(graph) == 81 * 8 * 4 * 9
    assert kinds(graph) == ["resize_to", "conv2d"]


def test_group_norm_of_images_with_channels_last(tmp_path: Path) -> None:
    constants = {"g": floats(8), "b": floats(8)}
    graph = fused(
        tmp_path, "SkipGroupNorm", {"x": [1, 4, 4, 8], "skip": [1, 1, 1, 8]},
        ["x", "g", "b", "skip"], outputs=["y", "sum"], constants=constants, groups=2,
        activation=1,
    )  # fmt: skip
    assert kinds(graph) == ["add", "group_norm", "swish"]
    assert outputs_of(graph) == [(1, 4, 4, 8)] * 2


def test_sampling_at_places_is_a_resize_that_reads_them(tmp_path: Path) -> None:
    nodes = [
        node("GridSample", ["x", "grid"], ["a"]),
        node("RoiAlign", ["x", "rois", "of"], ["b"], output_height=7, output_width=5),
        node("MaxRoiPool", ["x", "boxes"], ["c"], pooled_shape=[3, 2]),
    ]
    inputs: dict[str, Sizes] = {"x": [1, 3, 16, 16], "grid": [1, 6, 4, 2], "rois": [9, 4]}
    inputs |= {"of": [9], "boxes": [5, 5]}
    dtypes = {"of": TensorProto.INT64}
    path = write(tmp_path, nodes, inputs, ["a", "b", "c"], dtypes=dtypes)
    graph = read_onnx(path)
    shapes = [(1, 3, 6, 4), (9, 3, 7, 5), (5, 3, 3, 2)]
    assert outputs_of(graph) == [channels_last(s) for s in shapes]
    assert kinds(graph) == ["resize_to"] * 3
    assert [len(graph.activations_in(op)) for op in graph.ops[:1]] == [2]
    assert not uncovered_ops(graph)


def test_choices_by_value_are_taken_at_their_largest(tmp_path: Path) -> None:
    nodes = [
        node("NonZero", ["x"], ["places"]),
        node("Transpose", ["places"], ["rows"]),
        node("Shape", ["rows"], ["size"]),
        node("Slice", ["size", "zero", "one"], ["count"]),
        node("ConstantOfShape", ["count"], ["ones"]),
        node("Add", ["ones", "number"], ["y"]),
    ]
    constants = {"zero": integers(0), "one": integers(1)}
    inputs: dict[str, Sizes] = {"x": [3, 5], "number": []}
    graph = read_onnx(write(tmp_path, nodes, inputs, ["rows", "y"], constants))
    assert outputs_of(graph) == [(15, 2), (15,)]
    assert graph.notes == ("NonZero 'places' finds 15 elements, the most it can",)


def test_boxes_that_stay_are_the_most_that_may(tmp_path: Path) -> None:
    for limit, classes, rows in ((5, 2, 10), (2**40, 2, 200), (None, 3, 0)):
        nodes = [node("NonMaxSuppression", ["boxes", "scores", *(["n"] if limit else [])], ["y"])]
        inputs: dict[str, Sizes] = {"boxes": [1, 100, 4], "scores": [1, classes, 100]}
        constants = {"n": integers(limit)} if limit else {}
        graph = read_onnx(write(tmp_path, nodes, inputs, ["y"], constants))
        assert outputs_of(graph) == [(rows, 3)]
        assert f"keeps {rows} boxes" in graph.notes[0]


def test_transforms_are_named_and_have_their_shape(tmp_path: Path) -> None:
    nodes = [
        node("STFT", ["x", "step", "window"], ["a"]),
        node("STFT", ["x", "step", "", "length"], ["b"], onesided=0),
        node("DFT", ["z", "", "axis"], ["c"], onesided=1),
        node("DFT", ["z"], ["d"], axis=2),
    ]
    constants = {"step": np.array(128), "window": floats(400), "length": np.array(256)}
    constants["axis"] = np.array(1)
    inputs: dict[str, Sizes] = {"x": [2, 16000], "z": [2, 64, 10, 1]}
    path = write(tmp_path, nodes[:2] + nodes[3:], inputs, ["a", "b", "d"], constants)
    graph = read_onnx(path)
    # (16000 - 400) / 128 + 1 = 122 frames of 201; (16000 - 256) / 128 + 1 = 124 of 256
    assert outputs_of(graph) == [(2, 122, 201, 2), (2, 124, 256, 2), (2, 64, 10, 2)]
    names = [op.attrs["custom_name"] for op in uncovered_ops(graph)]
    assert names == ["STFT", "STFT", "DFT"]
    path = write(tmp_path, nodes[2:3], {"z": [2, 64, 10, 1]}, ["c"], constants, opset=20)
    assert outputs_of(read_onnx(path)) == [(2, 33, 10, 2)]


def test_what_is_computed_from_sizes_is_no_parameter(tmp_path: Path) -> None:
    nodes = [
        node("Range", ["zero", "four", "one"], ["places"]),
        node("Gather", ["table", "places"], ["rows"]),
        node("Add", ["x", "rows"], ["a"]),
        node("ConstantOfShape", ["square"], ["filled"]),
        node("Trilu", ["filled"], ["mask"]),
        node("Add", ["a", "mask"], ["m"]),
        node("Add", ["m", "filled"], ["b"]),
        node("Transpose", ["table"], ["turned"]),
        node("MatMul", ["b", "turned"], ["y"]),
    ]
    constants = {"zero": np.array(0), "four": np.array(4), "one": np.array(1)}
    constants |= {"table": floats(20, 4), "square": integers(4, 4)}
    graph = read_onnx(write(tmp_path, nodes, {"x": [4, 4]}, ["y"], constants))
    assert kinds(graph) == ["add", "add", "add", "fully_connected"]
    # the table is read twice, its rows by place and turned as weights; the mask is no table
    assert params(graph) == 20 * 4


def test_the_same_weights_stored_twice_for_a_statistic_count_once(tmp_path: Path) -> None:
    nodes = [
        node("Sub", ["w", "w2"], ["centred"]),
        node("MatMul", ["x", "centred"], ["y"]),
    ]
    constants = {"w": floats(40, 50), "w2": floats(40, 50)}
    assert params(read_onnx(write(tmp_path, nodes, {"x": [2, 40]}, ["y"], constants))) == 40 * 50


@pytest.mark.parametrize("opset", [7, 8, 9, 11, 13, 18, 21, 23])
def test_operator_sets_of_all_exporters(tmp_path: Path, opset: int) -> None:
    """BatchNormalization, Clip, Squeeze and reductions changed their settings most often."""
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("BatchNormalization", ["c", "k", "k", "k", "k"], ["n"]),
        node("Clip", ["n"], ["r"], min=0.0, max=6.0)
        if opset < 11
        else node("Clip", ["n", "low", "high"], ["r"]),
        node("ReduceMean", ["r"], ["m"], axes=[2, 3], keepdims=0)
        if opset < 18
        else node("ReduceMean", ["r", "axes"], ["m"], keepdims=0),
        node("Unsqueeze", ["m"], ["y"], axes=[2])
        if opset < 13
        else node("Unsqueeze", ["m", "two"], ["y"]),
    ]
    constants = {"w": floats(8, 3, 1, 1), "k": floats(8)}
    if opset >= 11:
        constants |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    if opset >= 13:
        constants |= {"two": integers(2), "axes": integers(2, 3)}
    inputs: dict[str, Sizes] = {"x": [1, 3, 4, 4]}
    graph = read_onnx(write(tmp_path, nodes, inputs, ["y"], constants, opset=opset))
    assert outputs_of(graph) == [(1, 8, 1)]
    assert "relu6" in kinds(graph)


def test_what_many_operators_are_taken_to_do_is_said_once(tmp_path: Path) -> None:
    nodes = [node("NonZero", ["x"], [f"y{i}"]) for i in range(3)]
    graph = read_onnx(write(tmp_path, nodes, {"x": [3, 5]}, ["y0", "y1", "y2"]))
    assert graph.notes == ("NonZero 'y0' and 2 more: each finds 15 elements, the most it can",)


@pytest.mark.parametrize("kind", ["Sum", "Max", "Min", "Mean"])
def test_operators_of_any_number_of_operands_are_chains(tmp_path: Path, kind: str) -> None:
    inputs: dict[str, Sizes] = {"a": [2, 1], "b": [1, 3], "c": [2, 3]}
    for count in (1, 2, 3):
        nodes = [node(kind, list(inputs)[:count], ["y"])]
        graph = read_onnx(write(tmp_path, nodes, inputs, ["y"]))
        assert len(kinds(graph)) == count - 1
        assert outputs_of(graph) == [(2, 1) if count == 1 else (2, 3)]


def test_a_tensor_falls_apart_into_its_rows(tmp_path: Path) -> None:
    for keep, shape in ((1, (1, 5)), (0, (5,))):
        nodes = [
            node("SplitToSequence", ["x"], ["p"], keepdims=keep),
            node("SequenceAt", ["p", "last"], ["y"]),
            node("SequenceErase", ["p"], ["q"]),
            node("SequenceAt", ["q", "last"], ["z"]),
        ]
        constants = {"last": np.array(-1)}
        graph = read_onnx(write(tmp_path, nodes, {"x": [4, 5]}, ["y", "z"], constants))
        assert outputs_of(graph) == [shape] * 2
        assert kinds(graph) == ["strided_slice"] * 4


def test_results_of_the_most_that_there_are(tmp_path: Path) -> None:
    nodes = [
        node("Compress", ["x", "mask"], ["a"], axis=1),
        node("Compress", ["x", "mask"], ["b"]),
        node("Unique", ["x"], ["c", "first", "", "counts"]),
        node("Unique", ["x"], ["d"], axis=0),
    ]
    inputs: dict[str, Sizes] = {"x": [4, 5], "mask": [3]}
    path = write(
        tmp_path, nodes, inputs, ["a", "b", "c", "counts", "d"], dtypes={"mask": TensorProto.BOOL}
    )
    graph = read_onnx(path)
    assert outputs_of(graph) == [(4, 3), (20,), (20,), (20,), (4, 5)]
    assert len(graph.notes) == 4


def test_values_that_are_spread_lie_in_a_larger_tensor(tmp_path: Path) -> None:
    nodes = [
        node("MaxUnpool", ["x", "at"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Col2Im", ["columns", "size", "block"], ["b"]),
        node("CenterCropPad", ["x", "wanted"], ["c"], axes=[2, 3]),
        node("AffineGrid", ["theta", "grid"], ["d"]),
    ]
    inputs: dict[str, Sizes] = {"x": [1, 2, 3, 4], "at": [1, 2, 3, 4], "columns": [1, 10, 12]}
    inputs |= {"theta": [2, 2, 3]}
    constants = {"size": integers(5, 7), "block": integers(1, 5), "wanted": integers(8, 2)}
    constants |= {"grid": integers(2, 3, 6, 4)}
    path = write(tmp_path, nodes, inputs, ["a", "b", "c", "d"], constants, opset=20)
    graph = read_onnx(path)
    # (3 - 1) * 2 + 2 = 6 rows, (4 - 1) * 2 + 2 = 8 columns
    shapes = [(1, 2, 6, 8), (1, 2, 5, 7), (1, 2, 8, 2), (2, 6, 4, 2)]
    for found, expected in zip(outputs_of(graph), shapes, strict=True):
        assert found in (expected, channels_last(expected))


def test_the_attention_of_a_decoder_has_its_bias_last(tmp_path: Path) -> None:
    inputs: dict[str, Sizes] = {name: [B, 1, WIDTH] for name in "qkv"}
    inputs |= {"mask": [B, 1, 1, P + 1], "pk": [B, HEADS, P, D], "pv": [B, HEADS, P, D]}
    slots = ["q", "k", "v", "", "mask", "pk", "pv", "", "", "", "bias"]
    graph = fused(
        tmp_path, "DecoderMaskedMultiHeadAttention", inputs, slots,
        outputs=["y", "keys", "values"], constants={"bias": floats(3 * WIDTH)}, num_heads=HEADS,
    )  # fmt: skip
    assert outputs_of(graph) == [(B, 1, WIDTH), *[(B, HEADS, P + 1, D)] * 2]
    assert macs(graph) == 2 * B * HEADS * (P + 1) * D
    assert params(graph) == 3 * WIDTH
    assert kinds(graph).count("add") == 2
