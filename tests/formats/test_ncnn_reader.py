"""Reader of ncnn's .param files, against the shapes in the files and published sizes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from perfmodel.errors import ModelFileError
from perfmodel.formats.ncnn.reader import read_layers, read_ncnn
from perfmodel.graph.ir import Graph
from tests.formats.counts import parameters

DETECTION = {"detection_output", "yolo_output"}
"""Their files' hints are what one picture gave; we give the most rows there can be."""

PUBLISHED_PARAMETERS = {
    # bvlc_alexnet, bvlc_googlenet (without the side classifiers), VGG-16, SqueezeNet 1.1:
    "alexnet": 60_965_224,
    "googlenet": 6_998_552,
    "vgg16": 138_357_544,
    "squeezenet": 1_235_496,
    # torchvision's vit_b_32 has 88,224,232 at 224 pixels (50 positions); 384 pixels need 145
    "vision_transformer": 88_224_232 + (145 - 50) * 768,
    # batch norms are fused: torchvision's counts two numbers a channel, a bias is one
    "resnet50": 25_557_032 - 53_120 // 2,
    # likewise, and this one projects in its first block: 64 x 64 weights and 64 biases
    "resnet18": 11_689_512 - 9_600 // 2 + 64 * 64 + 64,
    # Keras' MobileNet 1.0 224, batch norms (2 x 10,944) fused
    "mobilenet": 4_231_976 - 10_944,
    # torchvision's, fused, and this one expands in its first block: 32 x 32 weights, 32 biases
    "mobilenet_v2": 3_504_872 - 34_112 // 2 + 32 * 32 + 32,
}


@pytest.fixture(scope="session")
def param_files(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "ncnn_models").glob("*.param"))


def write(folder: Path, *layers: str, name: str = "net.param", blobs: int = 99) -> Path:
    path = folder / name
    path.write_text("\n".join(["7767517", f"{len(layers)} {blobs}", *layers]) + "\n")
    return path


def shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in graph.tensors.items()}


def shape_hints(path: Path) -> dict[str, tuple[int, ...]]:
    """The output shapes that a file itself gives, by blob, batch first and channels last."""
    layers = read_layers(path)
    return {b: s for layer in layers for b, s in zip(layer.tops, layer.hints, strict=False)}


def test_every_inferred_shape_equals_the_hint_in_the_file(param_files: list[Path]) -> None:
    assert len(param_files) == 35
    compared = 0
    for path in param_files:
        graph, hints = read_ncnn(path), shape_hints(path)
        for op in graph.ops:
            for name in op.outputs:
                if name in hints and op.kind not in DETECTION:
                    assert graph.tensors[name].shape == hints[name], f"{path.name}: {name}"
                    compared += 1
    assert compared > 2000


def test_detection_rows_are_at_least_those_the_file_saw(param_files: list[Path]) -> None:
    for path in param_files:
        graph, hints = read_ncnn(path), shape_hints(path)
        for op in graph.ops:
            hint = hints.get(op.outputs[0])
            if op.kind in DETECTION and hint and len(hint) == 3:
                assert graph.tensors[op.outputs[0]].shape[1] >= hint[1]


@pytest.mark.parametrize("name", PUBLISHED_PARAMETERS)
def test_parameters_equal_the_published_count(data_dir: Path, name: str) -> None:
    graph = read_ncnn(data_dir / "ncnn_models" / f"{name}.param")
    assert parameters(graph) == PUBLISHED_PARAMETERS[name]


def test_no_file_holds_an_operator_that_is_not_covered(param_files: list[Path]) -> None:
    kinds = {op.kind for path in param_files for op in read_ncnn(path).ops}
    assert "custom" not in kinds


def test_a_batch_runs_through_every_network(param_files: list[Path]) -> None:
    for path in param_files:
        one = read_ncnn(path)
        h, w, c = one.tensors[one.inputs[0]].shape[1:]
        two = read_ncnn(path, input_shape=(2, h, w, c))
        for a, b in zip(one.outputs, two.outputs, strict=True):
            assert two.tensors[b].shape == (2, *one.tensors[a].shape[1:]), path.name
        assert parameters(one) == parameters(two)


def test_benchmark_sizes_stand_in_where_the_file_gives_none(data_dir: Path) -> None:
    graph = read_ncnn(data_dir / "ncnn_models" / "FastestDet.param")
    assert graph.tensors[graph.inputs[0]].shape == (1, 352, 352, 3)


def test_int8_graph_has_int8_weights_and_int8_between_quantised_convolutions(
    data_dir: Path,
) -> None:
    graph = read_ncnn(data_dir / "ncnn_models" / "resnet18_int8.param")
    ops = {op.name: op for op in graph.ops}
    assert all(
        graph.weights_of(op)[0].dtype == "int8" for op in ops.values() if op.kind == "conv2d"
    )
    # 8=102 requantises, 8=2 gives floats for the addition that follows
    assert graph.outputs_of(ops["res2a_branch2a"])[0].dtype == "int8"
    assert graph.outputs_of(ops["res2a_branch2b"])[0].dtype == "float32"


def test_split_is_an_alias(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "Input data 0 1 data 0=8 1=8 2=4",
        "Split s 1 2 data a b",
        "BinaryOp add 2 1 a b sum 0=0",
    )
    graph = read_ncnn(path)
    assert [op.kind for op in graph.ops] == ["add"]
    assert graph.ops[0].inputs == ("data", "data")


def test_pooling_pads_to_a_full_window_unless_told_not_to(tmp_path: Path) -> None:
    # 112 wide, 3 wide windows every 2: (112 - 3) / 2 = 54.5, so 55 windows fit and 56 with padding
    path = write(
        tmp_path,
        "Input data 0 1 data 0=112 1=112 2=4",
        "Split s 1 2 data a b",
        "Pooling full 1 1 a full 0=0 1=3 2=2",
        "Pooling valid 1 1 b valid 0=0 1=3 2=2 5=1",
    )
    found = shapes(read_ncnn(path))
    assert found["full"] == (1, 56, 56, 4)
    assert found["valid"] == (1, 55, 55, 4)


def test_deconvolution_inverts_the_convolution_arithmetic(tmp_path: Path) -> None:
    # (13 - 1) * 2 + 4 - 2 * 1 = 26
    path = write(
        tmp_path,
        "Input data 0 1 data 0=13 1=13 2=8",
        "Deconvolution up 1 1 data up 0=16 1=4 3=2 4=1 5=1 6=2048",
    )
    graph = read_ncnn(path)
    assert graph.tensors["up"].shape == (1, 26, 26, 16)
    assert graph.weights_of(graph.ops[0])[0].shape == (16, 4, 4, 8)


def test_attention_becomes_projections_products_and_a_softmax(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "Input data 0 1 data 0=64 1=10",
        "Split s 1 3 data q k v",
        "MultiHeadAttention att 3 1 q k v att 0=64 1=4 2=4096",
    )
    graph = read_ncnn(path)
    kinds = [op.kind for op in graph.ops if op.kind != "reshape"]
    assert kinds == [*["fully_connected"] * 3, "matmul", "softmax", "matmul", "fully_connected"]
    assert graph.tensors["att/scores"].shape == (1, 4, 10, 10)
    assert graph.tensors["att/mix"].shape == (1, 4, 10, 16)
    assert graph.tensors["att"].shape == (1, 10, 64)
    assert parameters(graph) == 4 * (64 * 64 + 64)


def test_vector_operand_is_aligned_with_the_channels(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "Input data 0 1 data 0=5 1=7 2=16",
        "Split s 1 2 data a b",
        "Pooling gap 1 1 a gap 0=1 4=1",
        "BinaryOp mul 2 1 b gap mul 0=2",
    )
    assert shapes(read_ncnn(path))["mul"] == (1, 7, 5, 16)


def test_unknown_layer_keeps_its_name_and_the_shape_the_file_gives(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "Input data 0 1 data 0=8 1=8 2=4",
        "MyLayer mine 1 1 data mine -23330=4,3,4,4,9",
    )
    graph = read_ncnn(path)
    assert graph.ops[0].kind == "custom"
    assert graph.ops[0].attrs["custom_name"] == "MyLayer"
    assert graph.tensors["mine"].shape == (1, 4, 4, 9)
    with pytest.raises(ModelFileError, match=r"line 4 .*MyLayer"):
        read_ncnn(path, input_shape=(1, 16, 16, 4))  # the hint holds for the file's size only


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (["Input data 0 1 data"], "line 3.*no input size"),
        (["Input data 0 1 data 0=-8 1=8 2=4"], "line 3"),
        (["Input data 0 1 data 0=8 1=8 2=4", "ReLU r 1 1 nowhere r"], "line 4.*before any layer"),
        (["Input data 0 1 data 0=8 1=8 2=4", "ReLU a 1 1 b a", "ReLU b 1 1 a b"], "line 4"),
        (["Input data 0 1 data 0=8 1=8 2=4", "ReLU r 1 1 data data"], "line 4.*twice"),
        (["Input data 0 1 data 0=8 1=8 2=4", "ReLU r 9999 1 data r"], "line 4.*announced"),
        (["Input data 0 1 data 0=8 1=8 2=4", "Softmax s 1 1 data s 0=9"], "line 4.*axis 9"),
        (["Input data 0 1 data 0=8 1=8 2=4", "Nonsense n 1 1 data n"], "line 4.*unknown layer"),
        (["Input d 0 1 d 0=2147483647 1=2147483647 2=3"], "line 3.*elements"),
        (["Input d 0 1 d 0=8 1=8 2=3", "Interp i 1 1 d i 0=1 1=1e30 2=1e30"], "line 4"),
        (["Input d 0 1 d 0=8 1=8 2=3", "Convolution c 1 1 d c 0=4 1=3 3=0 6=108"], "line 4"),
        (["Input d 0 1 d 0=8 1=8 2=3", "Convolution c 1 1 d c 0=4 1=3 6=109"], "line 4"),
        (["Input d 0 1 d 0=8 1=8 2=3", "Split s 1 1 d"], "line 4"),
        (["Input d 0 1 d 0=8 1=8 2=3", "ReLU r 1 1 d r x=y"], "line 4.*bad parameter"),
    ],
)
def test_bad_networks_are_refused_with_the_line(
    tmp_path: Path, layers: list[str], reason: str
) -> None:
    with pytest.raises(ModelFileError, match=reason):
        read_ncnn(write(tmp_path, *layers))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"7767518\n1 1\n",
        b"7767517",
        b"7767517\n99999999999999999999999 1\n",
        b"7767517\n-1 -1\n",
        b"7767517\n2 2\nInput data 0 1 data 0=8 1=8 2=3\n",
        b"7767517\n1 1\nInput \xff\xfe 0 1 data 0=8 1=8 2=3\n",
        b"7767517\n1 1\nInput data 0 1 " + b"x" * 5000 + b" 0=8\n",
        b"7767517\n1 1\n" + b"x" * 1_000_000,
        b"7767517\n1 1\nInput data 0 1 data 0=" + b"9" * 10_000,
        b"\n" * 5_000_000,
    ],
)
def test_bad_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.param"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"bad\.param"):
        read_ncnn(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_ncnn(tmp_path / "absent.param")


def mutate(random_: random.Random, content: bytes) -> bytes:
    """One random damage: bytes, words, numbers, lines, or the end cut off."""
    kind = random_.randrange(6)
    if kind == 0:
        return content[: random_.randrange(len(content))]
    if kind == 1:
        damaged = bytearray(content)
        for _ in range(random_.randrange(1, 20)):
            damaged[random_.randrange(len(damaged))] = random_.randrange(256)
        return bytes(damaged)
    lines = content.split(b"\n")
    at = random_.randrange(len(lines))
    if kind == 2:
        del lines[at]
    elif kind == 3:
        lines.insert(at, lines[random_.randrange(len(lines))])
    else:
        words = lines[at].split() or [b""]
        word = random_.randrange(len(words))
        if kind == 4:
            words[word] = random_.choice(lines[random_.randrange(len(lines))].split() or [b""])
        else:
            key = words[word].partition(b"=")[0]
            value = random_.choice([b"-1", b"0", b"2147483647", b"1e38", b"nan", b"-233", b"3,,"])
            words[word] = key + b"=" + value
        lines[at] = b" ".join(words)
    return b"\n".join(lines)


@pytest.mark.parametrize("count", [pytest.param(1000, marks=pytest.mark.slow), 250])
def test_damaged_files_are_read_or_refused(
    count: int, tmp_path: Path, param_files: list[Path]
) -> None:
    random_ = random.Random(20_240_607)
    contents = [path.read_bytes() for path in param_files]
    path = tmp_path / "damaged.param"
    messages: list[str] = []
    for _ in range(count):
        content = random_.choice(contents)
        for _ in range(random_.randrange(1, 4)):
            content = mutate(random_, content or b"\n")
        path.write_bytes(content)
        try:
            read_ncnn(path)
        except ModelFileError as error:
            messages.append(str(error))
    assert len(messages) > 0.3 * count
    assert all(str(path) in text and len(text) < 1000 for text in messages)


def test_the_largest_network_allowed_is_read_within_limits(tmp_path: Path) -> None:
    layers = ["Input d 0 1 b0 0=8 1=8 2=3"]
    layers += [f"Convolution c{i} 1 1 b{i} b{i + 1} 0=3 1=1 5=1 6=9" for i in range(9_999)]
    path = write(tmp_path, *layers, blobs=10_000)
    assert len(read_ncnn(path).ops) == 9_999


def test_the_costliest_files_are_refused(tmp_path: Path) -> None:
    layers = ["Input d 0 1 d 0=64 1=10"]
    layers += [f"MultiHeadAttention m{i} 1 1 d m{i} 0=64 1=4 2=4096" for i in range(9_000)]
    with pytest.raises(ModelFileError, match="more than 10000 operators"):
        read_ncnn(write(tmp_path, *layers))
    layers = ["Input d 0 1 d 0=64 1=10", f"Eltwise e 9000 1 {'d ' * 9000} e 0=1"]
    with pytest.raises(ModelFileError, match="line 4"):
        read_ncnn(write(tmp_path, *layers))
