"""Every value's shape in random ONNX graphs, against a run of onnxruntime."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from perfmodel.formats.onnx.reader import read_onnx  # noqa: E402
from tests.formats.onnx_files import channels_last, integers  # noqa: E402

GRAPHS = 240
Shape = tuple[int, ...]


class Grower:
    """A graph that grows by random operators from one value to the next."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.opset = self.pick.choice([9, 11, 13, 15, 17, 18, 20])
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        sides = self.pick.randint(6, 13), self.pick.randint(6, 13)
        self.shape: Shape = (self.pick.randint(1, 2), self.pick.choice([2, 4, 6, 8]), *sides)
        self.first = self.shape
        self.name = "x"

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def floats(self, *shape: int) -> str:
        return self.constant(np.ones(shape, np.float32))

    def add(self, kind: str, inputs: list[str], outputs: int = 1, **attrs: Any) -> list[str]:
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attrs))
        return names

    def grow(self, steps: int) -> None:
        for _ in range(steps):
            choices = [*ANY, *(IMAGE if len(self.shape) == 4 else [])]
            made = self.pick.choice(choices)(self)
            if made is not None:
                self.name, self.shape = made

    def axis(self) -> int:
        return self.pick.randrange(-len(self.shape), len(self.shape))


Made = tuple[str, Shape] | None


def conv(g: Grower) -> Made:
    n, c, h, w = g.shape
    k, groups = g.pick.choice([1, 2, 3]), g.pick.choice([1, 2, c])
    out = groups * g.pick.randint(1, 2)
    if c % groups or min(h, w) < 6:
        return None
    attrs: dict[str, Any] = {"group": groups, "strides": [g.pick.randint(1, 2)] * 2}
    if g.pick.random() < 0.4:
        attrs["auto_pad"] = g.pick.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
    else:
        attrs["pads"] = [g.pick.randint(0, 2) for _ in range(4)]
        attrs["dilations"] = [g.pick.randint(1, 2)] * 2
    [y] = g.add("Conv", [g.name, g.floats(out, c // groups, k, k), g.floats(out)], **attrs)
    return y, (n, out, 0, 0)


def deconv(g: Grower) -> Made:
    n, c, h, w = g.shape
    if max(h, w) > 20:
        return None
    s = g.pick.randint(1, 3)
    attrs: dict[str, Any] = {"strides": [s, s], "pads": [g.pick.randint(0, 1)] * 4}
    if s > 1 and g.pick.random() < 0.5:
        attrs["output_padding"] = [1, 1]
    [y] = g.add("ConvTranspose", [g.name, g.floats(c, 4, 3, 3)], **attrs)
    return y, (n, 4, 0, 0)


def pool(g: Grower) -> Made:
    n, c, h, w = g.shape
    if min(h, w) < 5:
        return None
    kind = g.pick.choice(["MaxPool", "AveragePool"])
    attrs = {"kernel_shape": [3, 2], "strides": [g.pick.randint(1, 3)] * 2}
    if g.opset >= 11:
        attrs["ceil_mode"] = g.pick.randint(0, 1)
        attrs["pads"] = [g.pick.randint(0, 1) for _ in range(4)]
    [y] = g.add(kind, [g.name], **attrs)
    return y, (n, c, 0, 0)


def resize(g: Grower) -> Made:
    n, c, h, w = g.shape
    if max(h, w) > 20 or min(h, w) < 2 or g.opset < 11:
        return None
    if g.pick.random() < 0.5:
        scales = np.array([1, 1, g.pick.choice([0.7, 1.5, 2]), 2], np.float32)
        [y] = g.add("Resize", [g.name, g.floats(0), g.constant(scales)])
    else:
        empty = g.floats(0)
        sizes = integers(n, c, g.pick.randint(3, 12), g.pick.randint(3, 12))
        [y] = g.add("Resize", [g.name, empty, empty, g.constant(sizes)], mode="linear")
    return y, (n, c, 0, 0)


def depth(g: Grower) -> Made:
    n, c, h, w = g.shape
    if c % 4 == 0:
        [y] = g.add("DepthToSpace", [g.name], blocksize=2)
        return y, (n, c // 4, 2 * h, 2 * w)
    if h % 2 == w % 2 == 0:
        [y] = g.add("SpaceToDepth", [g.name], blocksize=2)
        return y, (n, 4 * c, h // 2, w // 2)
    return None


def means(g: Grower) -> Made:
    [y] = g.add("GlobalAveragePool", [g.name])
    return y, (*g.shape[:2], 1, 1)


def elementwise(g: Grower) -> Made:
    kind = g.pick.choice(["Relu", "Sigmoid", "Abs", "Neg", "Floor", "LeakyRelu", "Elu", "Erf"])
    return g.add(kind, [g.name])[0], g.shape


def binary(g: Grower) -> Made:
    rank = g.pick.randint(0, len(g.shape))
    tail = [g.pick.choice([1, s]) for s in g.shape[len(g.shape) - rank :]]
    other = g.floats(*tail) if g.pick.random() < 0.7 else g.name
    return g.add(g.pick.choice(["Add", "Mul", "Div"]), [g.name, other])[0], g.shape


def transpose(g: Grower) -> Made:
    perm = list(range(len(g.shape)))
    g.pick.shuffle(perm)
    return g.add("Transpose", [g.name], perm=perm)[0], tuple(g.shape[p] for p in perm)


def reshape(g: Grower) -> Made:
    total = int(np.prod(g.shape))
    if g.pick.random() < 0.5 and len(g.shape) > 2:
        shape: list[int] = [0, -1, g.shape[-1]]
        out = (g.shape[0], total // g.shape[0] // g.shape[-1], g.shape[-1])
    else:
        out = (g.shape[0], 1, total // g.shape[0], 1)
        shape = [g.shape[0], 1, -1, 1]
    return g.add("Reshape", [g.name, g.constant(integers(*shape))])[0], out


def computed_reshape(g: Grower) -> Made:
    """x.view(x.shape[0], -1), as exporters write it."""
    [dims] = g.add("Shape", [g.name])
    [n] = g.add("Gather", [dims, g.constant(integers(0))])
    [target] = g.add("Concat", [n, g.constant(integers(-1))], axis=0)
    [y] = g.add("Reshape", [g.name, target])
    return y, (g.shape[0], int(np.prod(g.shape[1:])))


def concat(g: Grower) -> Made:
    axis = g.axis()
    if g.shape[axis] > 20:
        return None
    shape = list(g.shape)
    shape[axis] *= 2
    return g.add("Concat", [g.name, g.name], axis=axis)[0], tuple(shape)


def split(g: Grower) -> Made:
    axis = g.axis()
    size = g.shape[axis]
    if size < 3 or g.opset < 13:
        return None
    first = g.pick.randint(1, size - 1)
    sizes = g.constant(integers(first, size - first))
    made = g.add("Split", [g.name, sizes], outputs=2, axis=axis)
    shape = list(g.shape)
    shape[axis] = size - first
    return made[1], tuple(shape)


def cut(g: Grower) -> Made:
    if g.opset < 10:
        return None
    axis = g.axis() % len(g.shape)
    size = g.shape[axis]
    step = g.pick.choice([1, 2, -1, -2])
    start, end = (0, size) if step > 0 else (size - 1, -(2**40))
    if step > 0 and size > 3:
        start, end = g.pick.randint(-size, 1), g.pick.choice([-1, 2**40, size])
    inputs = [g.name, *(g.constant(integers(v)) for v in (start, end, axis, step))]
    shape = list(g.shape)
    shape[axis] = len(range(size)[slice(start, end, step)])
    return (g.add("Slice", inputs)[0], tuple(shape)) if shape[axis] else None


def reduce(g: Grower) -> Made:
    if g.opset >= 18 or len(g.shape) < 2:
        return None
    axes = sorted({g.axis() % len(g.shape) for _ in range(2)})
    keep = g.pick.randint(0, 1)
    kind = g.pick.choice(["ReduceMean", "ReduceMax", "ReduceL2"])
    [y] = g.add(kind, [g.name], axes=[a - len(g.shape) for a in axes], keepdims=keep)
    shape = [1 if i in axes else s for i, s in enumerate(g.shape) if keep or i not in axes]
    return (y, tuple(shape)) if shape else None


def choose(g: Grower) -> Made:
    axis = g.axis()
    index = np.zeros(g.pick.choice([(), (2,), (3, 1)]), np.int64)
    at = axis % len(g.shape)
    shape = (*g.shape[:at], *index.shape, *g.shape[at + 1 :])
    if not 0 < len(shape) < 6:
        return None
    return g.add("Gather", [g.name, g.constant(index)], axis=axis)[0], shape


def tile(g: Grower) -> Made:
    if int(np.prod(g.shape)) > 3000:
        return None
    repeats = [g.pick.randint(1, 2) for _ in g.shape]
    shape = tuple(a * b for a, b in zip(g.shape, repeats, strict=True))
    return g.add("Tile", [g.name, g.constant(integers(*repeats))])[0], shape


def pad(g: Grower) -> Made:
    if g.opset < 11:
        return None
    pads = [g.pick.randint(0, 2) for _ in range(2 * len(g.shape))]
    rank = len(g.shape)
    shape = tuple(s + pads[i] + pads[i + rank] for i, s in enumerate(g.shape))
    return g.add("Pad", [g.name, g.constant(integers(*pads))])[0], shape


def product(g: Grower) -> Made:
    if len(g.shape) < 2:
        return None
    out = g.pick.randint(2, 9)
    if g.pick.random() < 0.5:
        [y] = g.add("MatMul", [g.name, g.floats(g.shape[-1], out)])
        return y, (*g.shape[:-1], out)
    [flat] = g.add("Flatten", [g.name], axis=1)
    inner = int(np.prod(g.shape[1:]))
    [y] = g.add("Gemm", [flat, g.floats(out, inner), g.floats(out)], transB=1)
    return y, (g.shape[0], out)


def softmax(g: Grower) -> Made:
    return g.add("Softmax", [g.name], axis=g.axis() % len(g.shape))[0], g.shape


def largest(g: Grower) -> Made:
    axis = g.axis()
    if g.opset < 11 or g.shape[axis] < 2:
        return None
    made = g.add("TopK", [g.name, g.constant(integers(2))], outputs=2, axis=axis)
    shape = list(g.shape)
    shape[axis] = 2
    return made[0], tuple(shape)


def recurrent(g: Grower) -> Made:
    if len(g.shape) != 3:
        return None
    time, batch, features = g.shape
    kind, gates = g.pick.choice([("LSTM", 4), ("GRU", 3), ("RNN", 1)])
    both = g.pick.randint(1, 2)
    weights = [g.floats(both, gates * 5, features), g.floats(both, gates * 5, 5)]
    direction = "bidirectional" if both == 2 else "forward"
    made = g.add(kind, [g.name, *weights], outputs=2, hidden_size=5, direction=direction)
    return made[0], (time, both, batch, 5)


ANY: list[Callable[[Grower], Made]] = [
    *(elementwise, binary, transpose, reshape, computed_reshape, concat, split, cut, reduce),
    *(choose, tile, pad, product, softmax, largest, recurrent),
]
IMAGE = [conv, conv, conv, deconv, pool, pool, resize, depth, means]


def run_by_onnxruntime(proto: Any, shape: Shape) -> dict[str, Shape] | None:
    """Shapes of every value; None where onnxruntime refuses the file."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [o.name for o in session.get_outputs()]
        results = session.run(names, {"x": np.ones(shape, np.float32)})
    except Exception:  # onnxruntime has many exceptions of its own, without a common one
        return None
    return {name: np.shape(result) for name, result in zip(names, results, strict=True)}


def grown(seed: int, steps: int) -> tuple[Any, Shape]:
    """A random graph, each value an output, and the shape of its input.

    Sizes behind a window, which the grower leaves at zero, are inferred on the way.
    """
    g = Grower(seed)
    for _ in range(steps):
        g.grow(1)
        if 0 in g.shape:
            inferred = onnx.shape_inference.infer_shapes(as_model(g), data_prop=True)
            dims = next(o for o in inferred.graph.output if o.name == g.name).type.tensor_type
            g.shape = tuple(d.dim_value for d in dims.shape.dim)
            if not g.shape or min(g.shape) < 1:
                break
    return as_model(g), g.first


def as_model(g: Grower) -> Any:
    whole = {"Shape", "TopK"}
    outputs = [
        helper.make_tensor_value_info(
            name, TensorProto.INT64 if index or node.op_type in whole - {"TopK"} else 1, None
        )
        for node in g.nodes
        for index, name in enumerate(node.output)
        if node.op_type in ("Split", "LSTM", "GRU", "RNN", "TopK") or index == 0
    ]
    for info in outputs:
        maker = next(n for n in g.nodes if info.name in n.output)
        if maker.op_type in ("Split", "LSTM", "GRU", "RNN"):
            info.type.tensor_type.elem_type = TensorProto.FLOAT
        if _of_sizes(g, maker):
            info.type.tensor_type.elem_type = TensorProto.INT64
    graph = helper.make_graph(
        g.nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, g.first)],
        outputs,
        [numpy_helper.from_array(a, n) for n, a in g.constants.items()],
    )
    opsets = [helper.make_opsetid("", g.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _of_sizes(g: Grower, node: Any) -> bool:
    """Whether a node computes with sizes: what follows a Shape, before the Reshape."""
    sizes: set[str] = set()
    for other in g.nodes:
        if other.op_type == "Shape" or (other.op_type != "Reshape" and sizes & set(other.input)):
            sizes.update(other.output)
    return bool(sizes & set(node.output))


@pytest.mark.slow
def test_every_value_has_the_shape_that_onnxruntime_gives_it(tmp_path: Path) -> None:
    path, compared, graphs = tmp_path / "net.onnx", 0, 0
    kinds: set[str] = set()
    for seed in range(GRAPHS):
        proto, shape = grown(seed, 10)
        truth = run_by_onnxruntime(proto, shape)
        if truth is None:
            continue
        path.write_bytes(proto.SerializeToString())
        graph, graphs = read_onnx(path), graphs + 1
        kinds.update(n.op_type for n in proto.graph.node)
        for name, real in truth.items():
            if name in graph.tensors:
                ours = graph.tensors[name].shape
                assert ours in (real, channels_last(real)), (seed, name)
                compared += 1
    assert graphs > 0.8 * GRAPHS
    assert compared > 5 * graphs
    assert len(kinds) >= 35
