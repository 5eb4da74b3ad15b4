"""Reader of Caffe's .prototxt files, against published sizes and the same networks elsewhere."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from perfmodel.errors import ModelFileError
from perfmodel.formats.caffe.prototxt import parse_prototxt
from perfmodel.formats.caffe.reader import read_caffe
from perfmodel.formats.ncnn.reader import read_ncnn
from perfmodel.graph.ir import Graph
from perfmodel.kernels.operators import op_macs
from tests.formats.counts import parameters

SAMPLES = Path(__file__).parent / "samples"

INPUT = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 10 input_dim: 12\n'


def macs(graph: Graph) -> int:
    return sum(op_macs(graph, op) for op in graph.ops)


def network(folder: Path, text: str, head: str = INPUT) -> Path:
    path = folder / "net.prototxt"
    path.write_text(head + text)
    return path


def shape_of(path: Path, tensor: str) -> tuple[int, ...]:
    return read_caffe(path).tensors[tensor].shape


def test_alexnet_has_the_published_size() -> None:
    graph = read_caffe(SAMPLES / "alexnet.prototxt")
    assert parameters(graph) == 60_965_224  # BVLC's model: 61 M, 244 MB
    assert macs(graph) == pytest.approx(724e6, rel=0.001)  # 724 M at 227 pixels, two groups
    assert graph.tensors["pool5"].shape == (1, 6, 6, 256)
    assert graph.tensors["prob"].shape == (1, 1000)


def test_googlenet_has_the_published_size() -> None:
    graph = read_caffe(SAMPLES / "googlenet.prototxt")
    assert parameters(graph) == 6_998_552  # BVLC's model without side classifiers: 7.0 M
    assert macs(graph) == pytest.approx(1.58e9, rel=0.005)
    assert graph.tensors["inception_4e/output"].shape == (1, 14, 14, 832)


def test_squeezenet_has_the_published_size() -> None:
    graph = read_caffe(SAMPLES / "squeezenet_v1.0.prototxt")
    assert parameters(graph) == 1_248_424  # Iandola et al.: 1,248,424, table 1
    assert graph.tensors["fire9/concat"].shape == (1, 13, 13, 512)


def test_nin_in_the_old_form_with_training_layers() -> None:
    path = SAMPLES / "nin_train_val.prototxt"
    with pytest.raises(ModelFileError, match="input_shape"):
        read_caffe(path)
    graph = read_caffe(path, input_shape=(1, 224, 224, 3))
    by_hand = [
        *(96 * 3 * 11 * 11 + 96, 96 * 96 + 96, 96 * 96 + 96),
        *(256 * 96 * 5 * 5 + 256, 256 * 256 + 256, 256 * 256 + 256),
        *(384 * 256 * 3 * 3 + 384, 384 * 384 + 384, 384 * 384 + 384),
        *(1024 * 384 * 3 * 3 + 1024, 1024 * 1024 + 1024, 1000 * 1024 + 1000),
    ]
    assert parameters(graph) == sum(by_hand) == 7_595_176  # 29 MB as the model zoo has it
    assert graph.outputs == ("pool4",)
    assert graph.tensors["pool4"].shape == (1, 1, 1, 1000)


@pytest.mark.parametrize("name", ["alexnet", "googlenet"])
def test_the_same_network_costs_the_same_from_ncnn(data_dir: Path, name: str) -> None:
    ncnn = read_ncnn(data_dir / "ncnn_models" / f"{name}.param")
    caffe = read_caffe(SAMPLES / f"{name}.prototxt")
    assert (macs(caffe), parameters(caffe)) == (macs(ncnn), parameters(ncnn))


def test_all_forms_of_input_give_the_same_shape(tmp_path: Path) -> None:
    body = 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" }'
    dims = "dim: 1 dim: 3 dim: 10 dim: 12"
    heads = [
        INPUT,
        f'input: "data" input_shape {{ {dims} }}\n',
        f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape: {{ {dims} }} }} }}',
        'input: "data" input_shape: <dim: [1, 3, 10, 12]>;\n',
    ]
    assert {shape_of(network(tmp_path, body, head), "r") for head in heads} == {(1, 10, 12, 3)}


@pytest.mark.parametrize(
    ("param", "shape"),
    [
        # ceil((10 - 3) / 2) + 1 = 5 where 4.5 windows fit, ceil((12 - 3) / 2) + 1 = 6
        ("kernel_size: 3 stride: 2", (1, 5, 6, 3)),
        # ceil((10 + 2 - 3) / 2) + 1 = 6, the last starts at 10 < 10 + 1; 7, the last at 12 < 12 + 1
        ("kernel_size: 3 stride: 2 pad: 1", (1, 6, 7, 3)),
        # ceil((10 + 2 - 2) / 3) + 1 = 5, the last starts at 12 >= 11: dropped; 5, at 12 < 13
        ("kernel_size: 2 stride: 3 pad: 1", (1, 4, 5, 3)),
        ("kernel_size: 3 stride: 2 round_mode: FLOOR", (1, 4, 5, 3)),
        ("kernel_h: 2 kernel_w: 4 stride_h: 2 stride_w: 4", (1, 5, 3, 3)),
        ("global_pooling: true", (1, 1, 1, 3)),
    ],
)
def test_pooling_rounds_up_as_caffe_does(
    tmp_path: Path, param: str, shape: tuple[int, ...]
) -> None:
    text = (
        f'layer {{ name: "p" type: "Pooling" bottom: "data" top: "p" pooling_param {{ {param} }} }}'
    )
    assert shape_of(network(tmp_path, text), "p") == shape


def test_layers_in_place_make_new_tensors(tmp_path: Path) -> None:
    text = """
    layer { name: "c" type: "Convolution" bottom: "data" top: "c"
            convolution_param { num_output: 4 kernel_size: 1 bias_term: false } }
    layer { name: "bn" type: "BatchNorm" bottom: "c" top: "c" }
    layer { name: "sc" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
    layer { name: "re" type: "ReLU" bottom: "c" top: "c" }
    layer { name: "dr" type: "Dropout" bottom: "c" top: "c" }
    """
    graph = read_caffe(network(tmp_path, text))
    assert [op.kind for op in graph.ops] == ["conv2d", "batch_norm", "scale", "relu"]
    assert graph.outputs == ("re",)
    assert parameters(graph) == 4 * 3 + 2 * 4 + 2 * 4


def test_slice_concat_eltwise_and_deconvolution(tmp_path: Path) -> None:
    text = """
    layer { name: "s" type: "Slice" bottom: "data" top: "a" top: "b"
            slice_param { axis: 1 slice_point: 1 } }
    layer { name: "cat" type: "Concat" bottom: "b" bottom: "a" top: "cat" }
    layer { name: "sum" type: "Eltwise" bottom: "cat" bottom: "data" bottom: "data" top: "sum" }
    layer { name: "up" type: "Deconvolution" bottom: "sum" top: "up"
            convolution_param { num_output: 3 kernel_size: 4 stride: 2 pad: 1 group: 3 } }
    layer { name: "flat" type: "Flatten" bottom: "up" top: "flat" }
    """
    graph = read_caffe(network(tmp_path, text))
    shapes = {name: tensor.shape for name, tensor in graph.tensors.items()}
    assert (shapes["a"], shapes["b"]) == ((1, 10, 12, 1), (1, 10, 12, 2))
    # (10 - 1) * 2 + 4 - 2 = 20, (12 - 1) * 2 + 4 - 2 = 24
    assert shapes["up"] == (1, 20, 24, 3)
    assert shapes["flat"] == (1, 20 * 24 * 3)
    assert [op.kind for op in graph.ops].count("add") == 2


def test_reshape_permute_and_prior_boxes_as_in_ssd(tmp_path: Path) -> None:
    text = """
    layer { name: "loc" type: "Convolution" bottom: "data" top: "loc"
            convolution_param { num_output: 24 kernel_size: 3 pad: 1 } }
    layer { name: "perm" type: "Permute" bottom: "loc" top: "perm"
            permute_param { order: 0 order: 2 order: 3 order: 1 } }
    layer { name: "flat" type: "Flatten" bottom: "perm" top: "flat" flatten_param { axis: 1 } }
    layer { name: "rows" type: "Reshape" bottom: "flat" top: "rows"
            reshape_param { shape { dim: 0 dim: -1 dim: 4 } } }
    layer { name: "box" type: "PriorBox" bottom: "loc" bottom: "data" top: "box"
            prior_box_param { min_size: 60 max_size: 111 aspect_ratio: 2 aspect_ratio: 3 } }
    """
    graph = read_caffe(network(tmp_path, text))
    boxes = 10 * 12 * 6  # one size, one between it and the larger, 2, 1/2, 3, 1/3
    assert graph.tensors["rows"].shape == (1, boxes, 4)
    assert graph.tensors["box"].shape == (1, 2, 4 * boxes)


def test_text_format_is_read_as_protobuf_does() -> None:
    message = parse_prototxt(
        'a: 1 a: -2; b: "x # \\"y\\"" # comment\n'
        " c { d: 1.5e3, e: TRUE f: 0x10 } g <h: [1, 2]> i: true"
    )
    assert message.fields["a"] == [1, -2]
    assert message.text("b") == 'x # "y"'
    assert message.message("c").fields == {"d": [1500.0], "e": ["TRUE"], "f": [16]}
    assert message.message("g").fields["h"] == [1, 2]
    assert message.message("c").line == 2


CONV = (
    'layer {{ name: "c" type: "Convolution" bottom: "data" top: "c"\nconvolution_param {{ {} }} }}'
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("layer {", "line 2.*missing"),
        ("}", "line 2.*field name"),
        ("layer { name: }", "line 2.*value expected"),
        ("layer 5", "line 2.*expected after"),
        ("layer { name: 'x }", "line 2.*cannot be read"),
        ("\n\nlayer { name: \x01 }", "line 4.*cannot be read"),
        ("a {" * 10_000, "line 2.*nested"),
        ("a: [1, 2", "line 2"),
        ('layer { name: "' + "x" * 5000 + '" }', "line 2.*word of over"),
        ("a: 1 " * 200_000, "line 2.*more than"),
        ("name: 'nothing'", "no layers"),
        ('layer { name: "n" bottom: "data" top: "n" }', "line 2.*without a type"),
        ('layer { name: "n" type: "Magic" bottom: "data" top: "n" }', "line 2.*Magic"),
        ('layer { name: "n" type: "ReLU" bottom: "no" top: "n" }', "line 2.*before any layer"),
        ('layer { name: "n" type: "ReLU" top: "n" }', "line 2.*bottom is missing"),
        (CONV.format("num_output: -4 kernel_size: 3"), "line 3.*whole number"),
        (CONV.format("num_output: 4"), "line 2.*kernel_size"),
        (CONV.format("num_output: 4 kernel_size: 99"), "line 2"),
        (CONV.format("num_output: 4 kernel_size: 3 group: 2"), "line 2.*groups"),
        (CONV.format("num_output: 2147483647 kernel_size: 2147483647"), "line 2"),
        (CONV.format("num_output: 4 kernel_size: 1 pad: 2000000000"), "line 2.*elements"),
        ('layers { layer { name: "old" } }', "line 2.*first form"),
        (
            'layer { name: "n" type: "Concat" bottom: "data" top: "n" concat_param { axis: 9 } }',
            "axis",
        ),
    ],
)
def test_bad_networks_are_refused_with_the_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        read_caffe(network(tmp_path, text))


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"\x00" * 100, b"x" * 1_000_000, b" " * 5_000_000, b"{" * 9]
)
def test_bad_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.prototxt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"bad\.prototxt"):
        read_caffe(path)


def mutate(random_: random.Random, content: bytes) -> bytes:
    """One random damage: the end cut off, bytes changed, lines or words swapped or changed."""
    kind, at = random_.randrange(5), random_.randrange(len(content))
    if kind == 0:
        return content[:at]
    if kind == 1:
        damaged = bytearray(content)
        for _ in range(random_.randrange(1, 6)):
            damaged[random_.randrange(len(damaged))] = random_.randrange(256)
        return bytes(damaged)
    lines = content.split(b"\n")
    row = random_.randrange(len(lines))
    if kind == 2:
        del lines[row : row + random_.randrange(1, 4)]
    elif kind == 3:
        lines.insert(row, lines[random_.randrange(len(lines))])
    else:
        words = lines[row].split() or [b""]
        values = [b"-1", b"0", b"2147483648", b"1e99", b"nan", b"{", b"}", b'"data"', b"true"]
        words[random_.randrange(len(words))] = random_.choice(values)
        lines[row] = b" ".join(words)
    return b"\n".join(lines)


@pytest.mark.parametrize("count", [pytest.param(1000, marks=pytest.mark.slow), 250])
def test_damaged_files_are_read_or_refused(count: int, tmp_path: Path) -> None:
    random_ = random.Random(20_240_609)
    contents = [path.read_bytes() for path in sorted(SAMPLES.glob("*.prototxt"))]
    path = tmp_path / "damaged.prototxt"
    messages: list[str] = []
    for _ in range(count):
        content = random_.choice(contents)
        for _ in range(random_.randrange(1, 3)):
            content = mutate(random_, content or b"\n")
        path.write_bytes(content)
        try:
            read_caffe(path)
        except ModelFileError as error:
            messages.append(str(error))
    assert len(messages) > 0.3 * count
    assert all(str(path) in text and len(text) < 1000 for text in messages)
