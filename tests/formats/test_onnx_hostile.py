"""ONNX files of the newer kinds with parts exchanged: read, or refused with one error."""

from __future__ import annotations

import random
import resource
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from perfmodel.errors import ModelFileError, PerfmodelError  # noqa: E402
from perfmodel.formats.load import load  # noqa: E402
from perfmodel.kernels import covered_part, fuse, op_costs  # noqa: E402
from tests.formats.onnx_files import MS, body, floats, integers  # noqa: E402

MUTANTS = 2_000
MEGABYTES = 500
NUMBERS = (0, 1, -1, 2, 3, 7, 127, 1000, 65_536, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**63))
node = helper.make_node


def loop(kind: str) -> Any:
    """A Loop, an If or a Scan around a product."""
    product = node("MatMul", ["s", "w"], ["p"])
    if kind == "If":
        bodies = {
            name: body(name, [node("MatMul", ["x", "w"], ["r"]), extra], {}, ["e"])
            for name, extra in (
                ("then_branch", node("Relu", ["r"], ["e"])),
                ("else_branch", node("Concat", ["r", "r"], ["e"], axis=0)),
            )
        }
        return node("If", ["flag"], ["last"], **bodies)
    if kind == "Scan":
        inner = body("b", [node("Add", ["s", "part"], ["n"])], {"s": [4], "part": [4]}, ["n", "n"])
        return node("Scan", ["v4", "x"], ["last", "all"], body=inner, num_scan_inputs=1)
    inputs = {"i": ([], TensorProto.INT64), "go": ([], TensorProto.BOOL), "s": [3, 4]}
    nodes = [product, node("Less", ["i", "three"], ["more"])]
    inner = body("b", nodes, inputs, ["more", "p", "p"])
    return node("Loop", ["steps", "", "x"], ["last", "all"], body=inner)


def ms(kind: str, inputs: list[str], **attrs: Any) -> Any:
    return node(kind, inputs, ["y", "y2", "y3"][: attrs.pop("count", 1)], domain=MS, **attrs)


CONSTANTS: dict[str, np.ndarray] = {
    "w": floats(4, 4), "v4": floats(4), "v12": floats(12), "w12": floats(4, 12),
    "packed": np.zeros((4, 1, 8), np.uint8), "steps": np.array(3), "three": np.array(3),
    "one": integers(1), "two": integers(2), "sizes": integers(1, 2), "s": floats(),
    "z": np.array(0, np.int8), "wq": np.zeros((4, 4), np.int8), "vol": floats(2, 3, 2, 2, 2),
    "k": floats(2, 3, 3, 3), "lw": floats(2, 16, 4), "lr": floats(2, 16, 4), "ids": integers(0, 1),
    "words": floats(9, 4),
}  # fmt: skip
INPUTS: dict[str, Any] = {
    "x": [3, 4], "q": [1, 3, 4], "h": [1, 2, 3, 2], "image": [1, 3, 8, 8], "video": [1, 3, 4, 6, 6],
    "grid": [1, 5, 5, 2], "offset": [1, 18, 6, 6], "flag": [], "boxes": [1, 9, 4],
    "scores": [1, 2, 9], "wave": [1, 64], "pkv": [2, 1, 2, 3, 2],
}  # fmt: skip
SEEDS: list[list[Any]] = [
    [loop("Loop"), node("Relu", ["last"], ["y"])],
    [loop("If"), node("Relu", ["last"], ["y"])],
    [loop("Scan"), node("Relu", ["all"], ["y"])],
    [ms("Attention", ["q", "w12", "v12", "", "pkv"], num_heads=2, count=2)],
    [ms("MultiHeadAttention", ["q", "q", "q", "v12"], num_heads=2)],
    [ms("GroupQueryAttention", ["q", "q", "q", "h", "h"], num_heads=2, kv_num_heads=2, count=3)],
    [node("Attention", ["h", "h", "h"], ["y"])],
    [
        ms("EmbedLayerNormalization", ["ids2", "", "words", "words", "", "v4", "v4"], count=2),
        node("Unsqueeze", ["ids", "zero"], ["ids2"]),
        node("Sub", ["one", "one"], ["zero"]),
    ],
    [ms("SkipLayerNormalization", ["q", "q", "v4", "v4", "v4"], count=1)],
    [ms("MatMulNBits", ["q", "packed", "v4"], K=4, N=4, bits=4, block_size=16)],
    [
        ms("DynamicQuantizeLSTM", ["q", "lwq", "lrq"], hidden_size=4, direction="bidirectional"),
        node("Transpose", ["lw"], ["lwq"], perm=[0, 2, 1]),
        node("Transpose", ["lr"], ["lrq"], perm=[0, 2, 1]),
    ],
    [node("LSTM", ["q", "lw", "lr"], ["y", "y2"], hidden_size=4, direction="bidirectional")],
    [
        node("QuantizeLinear", ["x", "s", "z"], ["a"]),
        node("DequantizeLinear", ["a", "s", "z"], ["b"]),
        node("DequantizeLinear", ["wq", "s", "z"], ["c"]),
        node("MatMul", ["b", "c"], ["d"]),
        node("QuantizeLinear", ["d", "s", "z"], ["e"]),
        node("DequantizeLinear", ["e", "s", "z"], ["y"]),
    ],
    [
        ms("QLinearConv", ["a", "s", "z", "k", "s", "z", "s", "z"], channels_last=0),
        node("QuantizeLinear", ["image", "s", "z"], ["a"]),
    ],
    [ms("NhwcConv", ["t", "k"]), node("Transpose", ["image"], ["t"], perm=[0, 2, 3, 1])],
    [
        node("Conv", ["video", "vol"], ["c"], pads=[1] * 6),
        node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2, 2]),
        node("ConvTranspose", ["p", "vt"], ["y"]),
        node("Transpose", ["vol"], ["vt"], perm=[0, 1, 2, 3, 4]),
    ],
    [
        node("GridSample", ["image", "grid"], ["y"]),
        node("DeformConv", ["image", "k", "offset"], ["y2"]),
    ],
    [
        node("NonMaxSuppression", ["boxes", "scores", "two"], ["n"]),
        node("NonZero", ["n"], ["m"]),
        node("Transpose", ["m"], ["t"]),
        node("Shape", ["t"], ["d"]),
        node("ConstantOfShape", ["d"], ["y"]),
    ],
    [
        node("STFT", ["wave3", "step", "", "frame"], ["y"]),
        node("Unsqueeze", ["wave", "two"], ["wave3"]),
        node("Squeeze", ["two"], ["step"]),
        node("Squeeze", ["sizes1"], ["frame"]),
        node("Slice", ["sizes", "one", "two"], ["sizes1"]),
    ],
    [
        node("SplitToSequence", ["x", "sizes"], ["p"]),
        node("SequenceAt", ["p", "index"], ["y"]),
        node("Squeeze", ["one"], ["index"]),
        node("ConcatFromSequence", ["p"], ["y2"], axis=0),
    ],
    [
        node("Shape", ["x"], ["d"]),
        node("Clip", ["d", "", "most"], ["c"]),
        node("Squeeze", ["two"], ["most"]),
        node("Reshape", ["x", "r"], ["y"]),
        node("ScatterND", ["c", "at", "one"], ["r0"]),
        node("Unsqueeze", ["at0", "one"], ["at"]),
        node("Sub", ["one", "one"], ["at0"]),
        node("Concat", ["one", "minus"], ["r"], axis=0),
        node("Neg", ["one"], ["minus"]),
    ],
]


def model(nodes: list[Any], opset: int) -> Any:
    made = {name for n in nodes for name in n.output}
    read = {name for n in nodes for name in n.input}
    flag = {"flag": TensorProto.BOOL}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(n, flag.get(n, 1), s) for n, s in INPUTS.items()],
        [helper.make_tensor_value_info(n, 1, None) for n in sorted(made - read)],
        [numpy_helper.from_array(a, n) for n, a in CONSTANTS.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MS, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def graphs_of(proto: Any) -> list[Any]:
    """The graph, and those inside attributes."""
    found = [proto.graph]
    for graph in found:
        found += [a.g for n in graph.node for a in n.attribute if a.HasField("g")]
    return found


def mutate(proto: Any, rng: random.Random, kinds: list[str]) -> None:
    """Exchange, drop, repeat or exaggerate one part of one graph."""
    graph = rng.choice(graphs_of(proto))
    names = [*CONSTANTS, *INPUTS, *(name for n in graph.node for name in n.output)]
    what = rng.randrange(10)
    if what == 0:
        rng.choice(graph.node).op_type = rng.choice(kinds)
    elif what == 1:
        chosen = rng.choice(graph.node)
        if chosen.input:
            chosen.input[rng.randrange(len(chosen.input))] = rng.choice([*names, ""])
    elif what == 2:
        chosen = rng.choice(graph.node)
        del chosen.input[rng.randrange(len(chosen.input) + 1) :]
    elif what == 3:
        rng.choice(graph.node).input.append(rng.choice(names))
    elif what in (4, 5):
        attributes = [a for n in graph.node for a in n.attribute if not a.HasField("g")]
        if attributes:
            chosen = rng.choice(attributes)
            if chosen.ints:
                chosen.ints[rng.randrange(len(chosen.ints))] = rng.choice(NUMBERS)
            else:
                chosen.i = rng.choice(NUMBERS)
    elif what == 6:
        chosen = rng.choice(graph.node)
        chosen.attribute.append(
            helper.make_attribute(rng.choice(["axis", "axes", "perm", "body"]), 1)
        )
    elif what == 7 and proto.graph.initializer:
        tensor = rng.choice(proto.graph.initializer)
        if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
        if rng.random() < 0.5:
            dtype = np.int64
            values = np.array([rng.choice(NUMBERS) for _ in range(rng.randrange(4))], dtype)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    elif what == 8:
        info = rng.choice(list(graph.input) or list(proto.graph.input))
        dims = info.type.tensor_type.shape.dim
        if dims:
            dims[rng.randrange(len(dims))].dim_value = rng.choice(NUMBERS)
    else:
        order = list(graph.node)
        rng.shuffle(order)
        if rng.random() < 0.3:
            order.append(rng.choice(order))
        del graph.node[:]
        graph.node.extend(order)


def answers_well(path: Path) -> str:
    """Read and cost the file; fails on any error that is not ours."""
    refusal = None
    try:
        graph = load(path)
    except ModelFileError as error:
        refusal = str(error)
    if refusal is not None:
        assert str(path) in refusal
        assert len(refusal) < 1500
        return "refused"
    try:
        op_costs(covered_part(graph))
        for framework in ("onnxruntime", "tflite", "tensorrt"):
            fuse(graph, framework)
    except PerfmodelError:
        return "not costed"
    return "read"


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_the_seeds_are_sound(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "seed.onnx"
    path.write_bytes(model(SEEDS[seed], 20).SerializeToString())
    assert answers_well(path) == "read"


@pytest.mark.slow
def test_mutants_of_structure_are_read_or_refused(tmp_path: Path) -> None:
    rng, path = random.Random(16), tmp_path / "mutant.onnx"
    kinds = sorted(
        {n.op_type for nodes in SEEDS for n in nodes} | {"Range", "Tile", "Expand", "Pad"}
    )
    outcomes: Counter[str] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(MUTANTS):
        proto = model(rng.choice(SEEDS), rng.choice([9, 13, 17, 20, 23]))
        for _ in range(rng.choice([1, 1, 2, 4])):
            mutate(proto, rng, kinds)
        path.write_bytes(proto.SerializeToString())
        outcomes[answers_well(path)] += 1
    assert outcomes["refused"] > MUTANTS / 10
    assert outcomes["read"] > MUTANTS / 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024
