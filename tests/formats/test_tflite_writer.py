"""Written files are read back as the graph they came from, and the runtime agrees with numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel import zoo
from perfmodel.errors import GraphError, ModelFileError
from perfmodel.formats.tflite.reader import read_tflite
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.graph import Graph, GraphBuilder
from tests.formats.counts import parameters

interpreters = pytest.importorskip("ai_edge_litert.interpreter")
Build = Callable[[GraphBuilder, str], str]

IMAGE = (1, 9, 12, 8)


def one_op(build: Build, shape: tuple[int, ...] = IMAGE) -> Graph:
    g = GraphBuilder("one")
    return g.build(build(g, g.input(shape, "x")))


class Run:
    """One inference of a file; `tensor` gives constants by the graph's names."""

    def __init__(self, path: Path, low: float = -1.0, high: float = 1.0) -> None:
        self.runtime = interpreters.Interpreter(str(path), num_threads=1)
        self.runtime.allocate_tensors()
        self.inputs = []
        rng = np.random.default_rng(1)
        for detail in self.runtime.get_input_details():
            values = rng.uniform(low, high, detail["shape"])
            if detail["dtype"] == np.int8:
                values = values * 100
            if detail["dtype"] in (np.int32, np.int64):
                values = np.zeros(detail["shape"])
            values = values.astype(detail["dtype"])
            self.runtime.set_tensor(detail["index"], values)
            self.inputs.append(values)
        self.runtime.invoke()
        self.outputs = [
            self.runtime.get_tensor(d["index"]) for d in self.runtime.get_output_details()
        ]

    def tensor(self, name: str) -> np.ndarray:
        details = {d["name"]: d["index"] for d in self.runtime.get_tensor_details()}
        return self.runtime.get_tensor(details[name])


def written(graph: Graph, folder: Path, precision: str = "float32") -> tuple[Path, Graph]:
    path = folder / "file.tflite"
    write_tflite(graph, path, precision=precision)
    return path, read_tflite(path)


def conv_reference(x: np.ndarray, w: np.ndarray, b: np.ndarray, attrs: Any) -> np.ndarray:
    """Convolution by its definition; weights (cout, kh, kw, cin / groups)."""
    top, bottom, left, right = attrs["pads"]
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    (sh, sw), (dh, dw), groups = attrs["stride"], attrs["dilation"], attrs["groups"]
    cout, kh, kw, cin = w.shape
    rows = (x.shape[1] - dh * (kh - 1) - 1) // sh + 1
    columns = (x.shape[2] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((x.shape[0], rows, columns, cout))
    for o in range(cout):
        first = o // (cout // groups) * cin
        part = x[:, :, :, first : first + cin]
        for r in range(rows):
            for c in range(columns):
                window = part[:, r * sh : r * sh + dh * kh : dh, c * sw : c * sw + dw * kw : dw, :]
                y[:, r, c, o] = (window[:, :kh, :kw] * w[o]).sum((1, 2, 3)) + b[o]
    return y


CONVS: dict[str, Build] = {
    "same": lambda g, x: g.conv(x, 5, 3),
    "same, stride 2": lambda g, x: g.conv(x, 5, (3, 5), (2, 3)),
    "valid": lambda g, x: g.conv(x, 5, (2, 3), padding="valid"),
    "dilated": lambda g, x: g.conv(x, 5, 3, dilation=2),
    "symmetric pads, stride 2": lambda g, x: g.conv(x, 5, 3, 2, (1, 1, 1, 1)),
    "uneven pads": lambda g, x: g.conv(x, 5, 3, padding=(0, 2, 1, 0)),
    "grouped": lambda g, x: g.conv(x, 12, 3, groups=4),
    "depthwise": lambda g, x: g.depthwise(x, 3, 2),
    "depthwise, 3 filters a channel": lambda g, x: g.conv(x, 24, 3, groups=8),
    "without bias": lambda g, x: g.conv(x, 5, 1, bias=False),
}


@pytest.mark.parametrize("case", CONVS)
def test_a_convolution_is_its_definition(tmp_path: Path, case: str) -> None:
    graph = one_op(CONVS[case])
    path, _ = written(graph, tmp_path)
    run = Run(path)
    op = graph.ops[0]
    w = run.tensor(op.inputs[1])
    if w.shape[0] == 1 and op.attrs["groups"] > 1:
        w = w.transpose(3, 1, 2, 0)  # the file's depthwise layout is (1, kh, kw, cout)
    bias = run.tensor(op.inputs[2] if len(op.inputs) > 2 else f"{op.name}/no_bias")
    expected = conv_reference(run.inputs[0], w, bias, op.attrs)
    np.testing.assert_allclose(run.outputs[0], expected, rtol=1e-4, atol=1e-5)
    assert np.std(expected) > 0.1


@pytest.mark.parametrize(
    ("kernel", "stride"), [((3, 3), (2, 2)), ((4, 2), (2, 2)), ((2, 2), (3, 1))]
)
def test_a_transposed_convolution_is_its_definition(
    tmp_path: Path, kernel: tuple[int, int], stride: tuple[int, int]
) -> None:
    graph = one_op(lambda g, x: g.transpose_conv(x, 3, kernel, stride), (1, 4, 5, 2))
    path, read = written(graph, tmp_path)
    run = Run(path)
    op = graph.ops[0]
    x, w, b = run.inputs[0], run.tensor(op.inputs[1]), run.tensor(op.inputs[2])
    # each input pixel adds its weighted kernel to the output, at stride times its place
    full = np.zeros((1, 4 * stride[0] + kernel[0], 5 * stride[1] + kernel[1], 3))
    for r in range(4):
        for c in range(5):
            place = np.s_[
                0,
                r * stride[0] : r * stride[0] + kernel[0],
                c * stride[1] : c * stride[1] + kernel[1],
            ]
            full[place] += np.einsum("i,oyxi->yxo", x[0, r, c], w)
    top, _, left, _ = op.attrs["pads"]
    expected = full[:, top : top + 4 * stride[0], left : left + 5 * stride[1]] + b
    np.testing.assert_allclose(run.outputs[0], expected, rtol=1e-4, atol=1e-5)
    assert dict(read.ops[-1].attrs) == dict(op.attrs)


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "relu_n1_to_1": lambda x: np.clip(x, -1, 1),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "swish": lambda x: x * sigmoid(x),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "softplus": softplus,
    "mish": lambda x: x * np.tanh(softplus(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "exp": np.exp,
    "square": np.square,
    "abs": np.abs,
    "neg": np.negative,
    "sin": np.sin,
    "floor": np.floor,
    "sign": np.sign,
    "reciprocal": lambda x: 1 / x,
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_function_is_its_definition(tmp_path: Path, kind: str) -> None:
    path, _ = written(one_op(lambda g, x: g.op(kind, x)), tmp_path)
    run = Run(path, -8, 8)
    expected = FUNCTIONS[kind](run.inputs[0].astype(np.float64))
    np.testing.assert_allclose(run.outputs[0], expected, rtol=2e-3, atol=2e-3)


def normalised(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5)


def shuffled(x: np.ndarray) -> np.ndarray:
    n, h, w, c = x.shape
    return x.reshape(n, h, w, 4, c // 4).swapaxes(3, 4).reshape(x.shape)


MOVES: dict[str, tuple[Build, Callable[[np.ndarray], np.ndarray]]] = {
    "layer_norm": (lambda g, x: g.op("layer_norm", x), lambda x: normalised(x, (3,))),
    "instance_norm": (lambda g, x: g.op("instance_norm", x), lambda x: normalised(x, (1, 2))),
    "group_norm": (
        lambda g, x: g.op("group_norm", x, groups=2),
        lambda x: normalised(x.reshape(1, 108, 2, 4), (1, 3)).reshape(x.shape),
    ),
    "l2_norm": (
        lambda g, x: g.op("l2_norm", x),
        lambda x: x / np.sqrt((x**2).sum(-1, keepdims=True)),
    ),
    "channel_shuffle": (lambda g, x: g.op("channel_shuffle", x, groups=4), shuffled),
    "transpose": (
        lambda g, x: g.op("transpose", x, perm=(0, 3, 1, 2)),
        lambda x: x.transpose(0, 3, 1, 2),
    ),
    "pad": (
        lambda g, x: g.op("pad", x, paddings=((0, 0), (1, 2), (0, 3), (0, 0))),
        lambda x: np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0))),
    ),
    "reverse": (lambda g, x: g.op("reverse", x, axes=(1, 3)), lambda x: x[:, ::-1, :, ::-1]),
    "slice": (
        lambda g, x: g.op("slice", x, begin=(0, 2, 0, 1), size=(1, 3, 12, 4)),
        lambda x: x[:, 2:5, :, 1:5],
    ),
    "strided slice by shape": (
        lambda g, x: g.op("strided_slice", x, output_shape=(1, 3, 4, 8)),
        lambda x: x[:, ::3, ::3],
    ),
    "space_to_depth": (
        lambda g, x: g.op("space_to_depth", x, block=3),
        lambda x: x.reshape(1, 3, 3, 4, 3, 8).swapaxes(2, 3).reshape(1, 3, 4, 72),
    ),
    "softmax of axis 1": (
        lambda g, x: g.op("softmax", x, axis=1),
        lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
    ),
    "global pool": (lambda g, x: g.global_avg_pool(x), lambda x: x.mean((1, 2), keepdims=True)),
    "tile": (
        lambda g, x: g.op("tile", x, multiples=(1, 2, 1, 3)),
        lambda x: np.tile(x, (1, 2, 1, 3)),
    ),
    "lrn": (
        lambda g, x: g.op("lrn", x, size=3, alpha=0.3, beta=0.75, bias=1.0),
        lambda x: (
            x
            / (
                1
                + 0.1
                * sum(np.pad(x**2, ((0, 0),) * 3 + ((1, 1),))[..., k : k + 8] for k in range(3))
            )
            ** 0.75
        ),
    ),
    "maximum of three": (
        lambda g, x: g.op("maximum", x, g.op("neg", x), g.op("sin", x)),
        lambda x: np.maximum(np.abs(x), np.sin(x)),
    ),
    "sum of three, rectified": (
        lambda g, x: g.op("add", x, x, g.op("square", x), activation="relu"),
        lambda x: np.maximum(2 * x + x**2, 0),
    ),
    "clip": (lambda g, x: g.op("clip", x, min=-0.5, max=0.25), lambda x: np.clip(x, -0.5, 0.25)),
    "arg_max": (lambda g, x: g.op("arg_max", x, axis=3), lambda x: x.argmax(3)),
    "nearest resize": (
        lambda g, x: g.op("resize", x, size=(18, 36), method="nearest"),
        lambda x: x.repeat(2, 1).repeat(3, 2),
    ),
}


@pytest.mark.parametrize("case", MOVES)
def test_an_operator_is_its_definition(tmp_path: Path, case: str) -> None:
    build, reference = MOVES[case]
    graph = one_op(build)
    path, _ = written(graph, tmp_path)
    run = Run(path)
    expected = reference(run.inputs[0].astype(np.float64))
    assert expected.shape == graph.tensors[graph.outputs[0]].shape
    np.testing.assert_allclose(run.outputs[0], expected, rtol=1e-3, atol=1e-4)


def lstm_reference(x: np.ndarray, run: Run, name: str, hidden: int) -> np.ndarray:
    """One direction over time, from the gates' definition (Hochreiter and Schmidhuber 1997)."""
    gates = [
        [run.tensor(f"{name}/{kind}_{g}") for g in range(4)]
        for kind in ("input", "recurrent", "bias")
    ]
    h, c, out = np.zeros((x.shape[0], hidden)), np.zeros((x.shape[0], hidden)), []
    for t in range(x.shape[1]):
        i, f, g, o = (x[:, t] @ w.T + h @ r.T + b for w, r, b in zip(*gates, strict=True))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out, 1)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("whole", [True, False])
def test_an_lstm_is_its_definition(tmp_path: Path, directions: int, whole: bool) -> None:
    def build(g: GraphBuilder, x: str) -> str:
        constants = [g.constant((4 * 6, 5)), g.constant((4 * 6, 6)), g.constant((4 * 6,))]
        return g.op(
            "lstm",
            x,
            *constants * directions,
            name="cell",
            hidden=6,
            directions=directions,
            return_sequences=whole,
            time_major=False,
        )

    graph = one_op(build, (2, 7, 5))
    path, _ = written(graph, tmp_path)
    run = Run(path)
    x = run.inputs[0]
    parts = [lstm_reference(x, run, "cell/0", 6)]
    if directions == 2:
        parts.append(lstm_reference(x[:, ::-1], run, "cell/1", 6)[:, ::-1])
    if not whole:
        parts = [part[:, -1 if k == 0 else 0] for k, part in enumerate(parts)]
    np.testing.assert_allclose(run.outputs[0], np.concatenate(parts, -1), rtol=1e-3, atol=1e-4)


def attention(g: GraphBuilder, x: str) -> str:
    y = g.reshape(x, (1, 9, 96))
    scores = g.op("softmax", g.op("matmul", y, y, transpose_b=True))
    return g.op("matmul", scores, y)


ROUND_TRIPS: dict[str, Build] = {
    **CONVS,
    "fully connected": lambda g, x: g.fc(x, 7, activation="relu"),
    "fully connected, dims kept": lambda g, x: g.fc(x, 7, keep_dims=True),
    "max pool": lambda g, x: g.pool(x, "max", 3, 2, "same"),
    "avg pool": lambda g, x: g.pool(x, "avg", (3, 2), (1, 2)),
    "add": lambda g, x: g.binary("add", x, x, "relu"),
    "mul by a vector": lambda g, x: g.binary("mul", x, g.constant((8,))),
    "concat": lambda g, x: g.concat([x, g.conv(x, 3)], 3),
    "reshape": lambda g, x: g.reshape(x, (1, 108, 8)),
    "transpose": lambda g, x: g.op("transpose", x, perm=(0, 2, 1, 3)),
    "mean": lambda g, x: g.op("reduce_mean", x, axes=(1, 2), keep_dims=False),
    "sum": lambda g, x: g.op("reduce_sum", x, axes=(3,), keep_dims=True),
    "softmax": lambda g, x: g.op("softmax", x, axis=-1),
    "bilinear resize": lambda g, x: g.op("resize", x, size=(20, 30), method="bilinear"),
    "depth_to_space": lambda g, x: g.op("depth_to_space", x, block=2),
    "pad": lambda g, x: g.op("pad", x, paddings=((0, 0), (1, 1), (2, 0), (0, 0))),
    "mirror_pad": lambda g, x: g.op(
        "mirror_pad",
        x,
        paddings=((0, 0), (1, 1), (2, 0), (0, 0)),
        mode="reflect",
        output_shapes=((1, 11, 14, 8),),
    ),
    "lrn": lambda g, x: g.op("lrn", x, size=5, alpha=1e-4, beta=0.75, bias=1.0),
    "attention": attention,
    "leaky_relu": lambda g, x: g.op("leaky_relu", x, alpha=0.125),
    "hard_swish": lambda g, x: g.op("hard_swish", x),
    "prelu": lambda g, x: g.op("prelu", x, g.constant((8,))),
    "pack": lambda g, x: g.op("pack", x, x, axis=1),
}


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("case", ROUND_TRIPS)
def test_what_is_written_is_read_and_runs(tmp_path: Path, case: str, precision: str) -> None:
    graph = one_op(ROUND_TRIPS[case])
    path, read = written(graph, tmp_path, precision)
    run = Run(path)
    assert run.outputs[0].shape == graph.tensors[graph.outputs[0]].shape
    placed_by_the_writer = {"pad", "quantize", "dequantize"}
    ours = [op for op in graph.ops if op.kind not in placed_by_the_writer]
    theirs = [op for op in read.ops if op.kind not in placed_by_the_writer]
    assert [op.kind for op in theirs] == [op.kind for op in ours]
    explicit_pads = any(op.kind == "pad" for op in read.ops)
    for mine, other in zip(ours, theirs, strict=True):
        for key, value in mine.attrs.items():
            if key == "pads" and explicit_pads:
                continue
            if isinstance(value, float):
                assert other.attrs[key] == pytest.approx(value)
            else:
                assert other.attrs[key] == value, key
        made = [graph.tensors[n].shape for n in mine.outputs]
        assert [read.tensors[n].shape for n in other.outputs] == made
        if mine.kind == "conv2d":
            assert read.tensors[other.inputs[1]].shape == graph.tensors[mine.inputs[1]].shape


class TestTheZoo:
    @pytest.mark.parametrize("precision", ["float32", "int8"])
    @pytest.mark.parametrize(
        "spec",
        [
            "mobilenet_v2",
            "mobilenet_v3_small",
            "squeezenet_1_1",
            "shufflenet_v2",
            "efficientnet_lite0",
            "resnet18@resolution=64",
            "crnn",
            "unet",
        ],
    )
    def test_a_network_is_written_read_and_runs(
        self, tmp_path: Path, spec: str, precision: str
    ) -> None:
        write_and_check(zoo.build(spec), tmp_path, precision)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", zoo.mobile_names())
    def test_every_network(self, tmp_path: Path, name: str) -> None:
        for precision in ("float32", "int8"):
            write_and_check(zoo.build(name), tmp_path, precision)


def write_and_check(graph: Graph, folder: Path, precision: str) -> None:
    path, read = written(graph, folder, precision)
    run = Run(path)
    shapes = [graph.tensors[n].shape for n in graph.outputs]
    assert [o.shape for o in run.outputs] == shapes
    assert all(np.isfinite(o.astype(np.float64)).all() for o in run.outputs)
    assert [op for op in read.ops if op.kind == "custom"] == []
    # scalars of composed operators and the biases that TFLite insists on come on top
    assert parameters(graph) <= parameters(read) <= 1.004 * parameters(graph)


class TestFiles:
    def test_the_same_seed_gives_the_same_bytes(self, tmp_path: Path) -> None:
        graph = zoo.build("mobilenet_v2@width=0.35,resolution=96")
        blobs = []
        for name, seed in (("a", 5), ("b", 5), ("c", 6)):
            write_tflite(graph, tmp_path / name, seed=seed)
            blobs.append((tmp_path / name).read_bytes())
        assert blobs[0] == blobs[1]
        assert blobs[0] != blobs[2]

    def test_int8_weights_have_a_scale_per_channel(self, tmp_path: Path) -> None:
        path, _ = written(one_op(CONVS["same"]), tmp_path, "int8")
        runtime = interpreters.Interpreter(str(path))
        weights = next(d for d in runtime.get_tensor_details() if d["name"].endswith("weights"))
        assert weights["dtype"] == np.int8
        assert len(set(weights["quantization_parameters"]["scales"].tolist())) == 5

    def test_int8_convolution_stays_near_the_float_one(self, tmp_path: Path) -> None:
        graph = one_op(CONVS["same"])
        path, _ = written(graph, tmp_path, "int8")
        run = Run(path)
        details = {
            d["name"]: d["quantization_parameters"] for d in run.runtime.get_tensor_details()
        }
        op = graph.ops[0]

        def real(name: str, values: np.ndarray, axis: int = 0) -> np.ndarray:
            scales = details[name]["scales"]
            shape = [1] * values.ndim
            shape[axis] = -1
            return (values - details[name]["zero_points"][0]) * scales.reshape(shape)

        x = real("x", run.inputs[0].astype(np.float64))
        w = real(op.inputs[1], run.tensor(op.inputs[1]).astype(np.float64))
        b = real(op.inputs[2], run.tensor(op.inputs[2]).astype(np.float64))
        expected = np.clip(conv_reference(x, w, b, op.attrs), -4.02, 3.98)
        got = real(op.outputs[0], run.outputs[0].astype(np.float64), 3)
        step = details[op.outputs[0]]["scales"][0]
        assert np.abs(got - expected).max() <= 1.01 * step

    def test_nothing_is_left_behind_where_writing_fails(self, tmp_path: Path) -> None:
        g = GraphBuilder("huge")
        x = g.input((1, 60_000))
        with pytest.raises(GraphError, match="2 GiB"):
            write_tflite(g.build(g.fc(x, 10_000)), tmp_path / "huge.tflite")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match="nowhere"):
            write_tflite(one_op(CONVS["same"]), tmp_path / "nowhere" / "f.tflite")

    def test_an_operator_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        graph = one_op(lambda g, x: g.op("erf", x, name="the_erf"))
        with pytest.raises(GraphError, match=r"the_erf.*erf"):
            write_tflite(graph, tmp_path / "f.tflite")

    def test_an_unknown_precision_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(GraphError, match="choose one of float32, int8"):
            write_tflite(one_op(CONVS["same"]), tmp_path / "f.tflite", precision="fp16")
