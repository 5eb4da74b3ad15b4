"""Sizes that files leave open: every format, in the words of the command line and of Python."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper

import perfmodel
from perfmodel.errors import GraphError, ModelFileError, PerfmodelError
from perfmodel.formats.load import load, named_from, with_sizes
from perfmodel.formats.sizes import Sizes, in_order, parse_shape, parse_sizes, written
from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.graph.builder import GraphBuilder
from perfmodel.kernels import macs

TARGET = "snapdragon-888/cpu"
CONVOLUTION = "Convolution conv 1 1 image out 0=16 1=3 3=2 4=1 5=1 6=432"
CAFFE_CONVOLUTION = (
    'layer { name: "c" type: "Convolution" bottom: "data" top: "out" '
    "convolution_param { num_output: 16 kernel_size: 3 stride: 2 pad: 1 } }"
)
HALVED_MACS = 112 * 112 * 16 * 27
"""Of 16 filters of 3 x 3 x 3 on a picture of 224 x 224 with stride 2."""


def ncnn(folder: Path, *layers: str) -> Path:
    path = folder / "net.param"
    path.write_text("\n".join(["7767517", f"{len(layers)} 9", *layers]) + "\n")
    return path


def caffe(folder: Path, head: str, body: str = CAFFE_CONVOLUTION) -> Path:
    path = folder / "net.prototxt"
    path.write_text(head + body)
    return path


def onnx_file(folder: Path, *, channels: int | str = 3) -> Path:
    sides = ["batch", channels, "height", "width"]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [16, 3, 3, 3], np.zeros(432))
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["out"], strides=[2, 2], pads=[1, 1, 1, 1])],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [weights],
    )
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def tflite(folder: Path, side: int = 8, *, open_size: bool = True) -> Path:
    b = GraphBuilder("net")
    x = b.input((1, side, side, 3), "image")
    path = folder / "net.tflite"
    write_tflite(b.build(b.conv(x, 16, 3, stride=2)), path)
    if open_size:
        model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        for tensor in model.subgraphs[0].tensors:
            if model.buffers[tensor.buffer].data is None:
                tensor.shapeSignature = [1, -1, -1, tensor.shape[3]]
        out = flatbuffers.Builder(1024)
        out.Finish(model.Pack(out), b"TFL3")
        path.write_bytes(bytes(out.Output()))
    return path


def open_file(kind: str, folder: Path) -> Path:
    files = {
        "ncnn": lambda: ncnn(folder, "Input image 0 1 image", CONVOLUTION),
        "caffe": lambda: caffe(folder, 'layer { name: "d" type: "Data" top: "data" }'),
        "onnx": lambda: onnx_file(folder),
        "tflite": lambda: tflite(folder),
    }
    return files[kind]()


@pytest.mark.parametrize("kind", ["ncnn", "caffe", "onnx", "tflite"])
@pytest.mark.parametrize("shape", [(1, 224, 224, 3), (1, 3, 224, 224)])
def test_a_picture_is_taken_in_either_order_in_every_format(
    tmp_path: Path, kind: str, shape: tuple[int, ...]
) -> None:
    path = open_file(kind, tmp_path)
    assert macs(load(path, input_shape=shape)) == HALVED_MACS
    assert macs(load(f"{path}@{'x'.join(map(str, shape))}")) == HALVED_MACS


@pytest.mark.parametrize("kind", ["ncnn", "caffe", "onnx"])
def test_the_hint_for_an_open_size_is_an_option_that_then_answers(
    tmp_path: Path, kind: str
) -> None:
    path = open_file(kind, tmp_path)
    with pytest.raises(ModelFileError) as refused:
        load(path)
    assert "--input-shape" in refused.value.hint
    assert "in Python" in refused.value.hint
    if kind != "onnx":
        option = refused.value.hint.split("--input-shape ")[1].split()[0]
        assert macs(load(f"{path}@{option}")) == HALVED_MACS


def test_every_function_that_takes_a_network_takes_its_sizes(tmp_path: Path) -> None:
    path = str(open_file("ncnn", tmp_path))
    sizes = {"input_shape": {"image": (1, 64, 64, 3)}}
    once = perfmodel.predict(path, TARGET, **sizes).latency_ms
    assert perfmodel.predict(f"{path}@1x64x64x3", TARGET).latency_ms == once
    cell = perfmodel.compare([path, "alexnet"], [TARGET], **sizes).cells[0]
    assert cell.interval_ms is not None
    assert cell.interval_ms[0] < once < cell.interval_ms[1]
    assert perfmodel.partition(path, TARGET, **sizes).latency_ms == pytest.approx(once)
    # so small a network's latency is not known, the ends of its interval are
    asked = {"model": path, "target": TARGET, "sets": ["slowdown=1,2"], "metric": "low_ms"}
    swept = perfmodel.whatif(**asked, **sizes)
    assert swept.summary["min"] == pytest.approx(cell.interval_ms[0])
    assert perfmodel.minspec(path, 1e4, **sizes).minimum is not None
    (answer,) = perfmodel.predict_many([(f"{path}@1x64x64x3", TARGET, None)])
    assert not isinstance(answer, Exception)
    assert answer.latency_ms == once


def test_named_dimensions_reach_every_function(tmp_path: Path) -> None:
    path = str(onnx_file(tmp_path))
    dims = {"height": 224, "width": 224}
    assert macs(load(path, dims=dims)) == HALVED_MACS
    assert macs(load(f"{path}@height=224,width=224")) == HALVED_MACS
    once = perfmodel.predict(path, TARGET, dims=dims).latency_ms
    whole = perfmodel.predict(path, TARGET, input_shape=(1, 3, 224, 224)).latency_ms
    assert once == whole == perfmodel.compare([path], [TARGET], dims=dims).cells[0].latency_ms


def test_a_shape_sets_the_symbols_that_stand_in_its_place(tmp_path: Path) -> None:
    named = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "tokens", 8])
        for name in ("a", "b")
    ]
    out = helper.make_tensor_value_info("c", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "net", named, [out])
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    read = load(path, input_shape={"a": (2, 5, 8)})
    assert [read.tensors[n].shape for n in (*read.inputs, "c")] == [(2, 5, 8)] * 3
    with pytest.raises(ModelFileError, match="2 inputs it could be of"):
        load(path, input_shape=(2, 5, 8))
    with pytest.raises(ModelFileError, match="has 3 axes"):
        load(path, input_shape={"a": (2, 5)})


def test_several_inputs_are_sized_by_name(tmp_path: Path) -> None:
    layers = ("Input a 0 1 a", "Input b 0 1 b", "Concat c 2 1 a b c 0=0")
    path = ncnn(tmp_path, *layers)
    shapes = {"a": (1, 8, 8, 3), "b": (1, 8, 8, 5)}
    assert load(path, input_shape=shapes).tensors["c"].shape == (1, 8, 8, 8)
    with pytest.raises(ModelFileError, match=r"2 inputs.*--input-shape a=1x.*--input-shape b=1x"):
        load(path, input_shape=(1, 8, 8, 3))
    with pytest.raises(ModelFileError, match="no input is called 'd'"):
        load(path, input_shape={"d": (1, 8, 8, 3)})


def test_a_shape_without_a_name_is_that_of_the_one_open_input(tmp_path: Path) -> None:
    path = ncnn(tmp_path, "Input a 0 1 a 0=8 1=8 2=5", "Input b 0 1 b", "Concat c 2 1 a b c 0=0")
    assert load(path, input_shape=(1, 8, 8, 3)).tensors["c"].shape == (1, 8, 8, 8)


def test_a_picture_of_one_pixel_is_no_size(tmp_path: Path) -> None:
    # OpenPose's files say 1 x 3 x 1 x 1, to be set before they run
    path = caffe(tmp_path, 'input: "data" input_dim: [1, 3, 1, 1] ')
    with pytest.raises(ModelFileError, match=r"picture of 1 x 1.*--input-shape 1x224x224x3"):
        load(path)
    assert macs(load(path, input_shape=(1, 224, 224, 3))) == HALVED_MACS
    flat = 'layer { name: "f" type: "InnerProduct" bottom: "data" top: "out" '
    flat += "inner_product_param { num_output: 4 } }"
    vector = caffe(tmp_path, 'input: "data" input_dim: [1, 3, 1, 1] ', flat)
    assert macs(load(vector)) == 12


def test_an_open_picture_of_one_pixel_in_a_tflite_file_is_no_size(tmp_path: Path) -> None:

    path = tflite(tmp_path, side=1)
    with pytest.raises(ModelFileError, match=r"open.*--input-shape image=1xNxNx3"):
        load(path)
    assert macs(load(path, input_shape=(1, 224, 224, 3))) == HALVED_MACS


def test_another_number_of_axes_than_the_file_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is 1x8x8x3, not 224x224x3"):
        load(tflite(tmp_path, open_size=False), input_shape=(224, 224, 3))


def test_a_picture_without_its_batch_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="begin with the batch: --input-shape 1x64x64x3"):
        load(open_file("ncnn", tmp_path), input_shape=(64, 64, 3))


def test_sizes_of_a_network_by_name_are_refused() -> None:
    with pytest.raises(GraphError, match="--input-shape and --dim are for files"):
        load("mobilenet_v2", input_shape=(1, 64, 64, 3))
    with pytest.raises(GraphError, match="are for files"):
        perfmodel.compare(["alexnet", "nin"], [TARGET], dims={"batch": 2})


def test_dimensions_are_named_in_onnx_files_only(tmp_path: Path) -> None:
    for kind in ("ncnn", "caffe", "tflite"):
        with pytest.raises(ModelFileError, match=r"only \.onnx files.*--input-shape"):
            load(open_file(kind, tmp_path), dims={"batch": 2})
    for kind in ("ncnn", "caffe", "onnx"):
        with pytest.raises(ModelFileError, match=r"only \.tflite files"):
            load(f"{open_file(kind, tmp_path)}@signature=main")


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("1x224x224x3", (1, 224, 224, 3)),
        ("[8]", (8,)),
        ("[1x2]", (1, 2)),
        ("8", None),
        ("0x3", None),
        ("1x-3", None),
        ("1x3x", None),
        ("1X3", None),
        ("x".join(["9" * 40] * 3), None),
        (f"1x{2**31 - 1}", (1, 2**31 - 1)),
        (f"1x{2**31}", None),
        ("", None),
    ],
)
def test_shapes_are_sizes_joined_by_x(text: str, shape: tuple[int, ...] | None) -> None:
    assert parse_shape(text) == shape


def test_sizes_are_read_as_they_are_written() -> None:
    sizes = Sizes(
        dims={"a,b=c@%x": 4}, shapes={"": (1, 2), "x:0": (8,), "i[0],": (3, 4)}, signature="a,b"
    )
    assert parse_sizes(written(sizes).split(","), "here") == sizes
    for bad in ("", "image=", "=8", "image=1x", "n=0", "n=-1", "n=1.5", "n=99999999999"):
        with pytest.raises(PerfmodelError):
            parse_sizes([bad], "here")
    with pytest.raises(PerfmodelError, match="given twice"):
        parse_sizes(["1x2", "1x3"], "here")
    for twice in (["n=2", "n=2"], ["signature=a", "signature=b"]):
        with pytest.raises(PerfmodelError, match="given twice"):
            parse_sizes(twice, "here")


@pytest.mark.parametrize("size", [0, -1, True, 1.0, "3", 2**31])
def test_sizes_that_are_none_are_refused_in_python(tmp_path: Path, size: object) -> None:
    path = open_file("ncnn", tmp_path)
    with pytest.raises(GraphError, match="whole numbers"):
        load(path, input_shape=(1, size, 8, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "channels", "last", "held"),
    [
        ((1, 3, 8, 9), 3, True, (1, 8, 9, 3)),
        ((1, 8, 9, 3), 3, True, (1, 8, 9, 3)),
        ((1, 3, 9, 3), 3, True, (1, 3, 9, 3)),
        ((1, 8, 9, 3), 3, False, (1, 3, 8, 9)),
        ((1, 3, 8, 9), 3, False, (1, 3, 8, 9)),
        ((1, 4, 8, 9), None, True, (1, 4, 8, 9)),
        ((1, 3, 8, 9), None, True, (1, 8, 9, 3)),
        ((1, 3, 7, 9), None, True, (1, 3, 7, 9)),
        ((1, 3, 9, 7), None, True, (1, 3, 9, 7)),
        ((1, 8, 9, 3), None, False, (1, 8, 9, 3)),
        ((1, 3, 9), 3, True, (1, 3, 9)),
    ],
)
def test_the_order_is_changed_only_where_the_channels_tell(
    given: tuple[int, ...], channels: int | None, last: bool, held: tuple[int, ...]
) -> None:
    assert in_order(given, channels, last=last) == held


def test_a_file_whose_name_has_an_at_sign_is_that_file(tmp_path: Path) -> None:
    path = open_file("tflite", tmp_path)
    odd = path.rename(tmp_path / "net@2x.tflite")
    assert macs(load(str(odd))) == 4 * 4 * 16 * 27
    assert macs(load(f"{odd}@1x224x224x3")) == HALVED_MACS


def test_paths_in_a_file_are_relative_to_its_folder(tmp_path: Path) -> None:
    path = open_file("ncnn", tmp_path)
    assert named_from("net.param@1x8x8x3", tmp_path) == f"{path}@1x8x8x3"
    assert named_from("mobilenet_v2@width=0.5", tmp_path) == "mobilenet_v2@width=0.5"
    assert named_from(str(path), Path("elsewhere")) == str(path)


@pytest.mark.parametrize("name", ["mobilenet_v2", "folder.onnx", "x" * 5000 + ".onnx", "a\0b.onnx"])
def test_what_is_no_file_of_a_network_keeps_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "mobilenet_v2").write_text("a log that is called by its network")
    (tmp_path / "folder.onnx").mkdir()
    assert named_from(name, tmp_path) == name


def test_sizes_behind_a_name_count_before_those_for_all(tmp_path: Path) -> None:
    path = open_file("ncnn", tmp_path)
    own, plain = f"{path}@1x16x16x3", str(path)
    sized = with_sizes([own, plain], input_shape=(1, 8, 8, 3))
    assert sized == [own, f"{path}@1x8x8x3"]
    assert macs(load(own, input_shape=(1, 8, 8, 3))) == 8 * 8 * 16 * 27


def hint_of(path: Path) -> str:
    """The size that the error of a file without one suggests."""
    with pytest.raises(ModelFileError) as refused:
        load(path)
    return refused.value.hint.split("--input-shape ")[1].split()[0]


def test_the_hint_names_the_size_that_a_reshape_fits(tmp_path: Path) -> None:
    # halved, 16 channels of 80 x 80 as rows of 6400: pictures of 160
    path = ncnn(tmp_path, "Input image 0 1 image", CONVOLUTION, "Reshape r 1 1 out y 0=6400 1=16")
    assert hint_of(path) == "1x160x160x3"
    assert load(f"{path}@{hint_of(path)}").tensors["y"].shape == (1, 16, 6400)


def test_the_hint_names_the_size_that_weights_fit(tmp_path: Path) -> None:
    dense = f"InnerProduct p 1 1 out y 0=4 2={4 * 16 * 56 * 56}"
    path = ncnn(tmp_path, "Input image 0 1 image", CONVOLUTION, dense)
    assert hint_of(path) == "1x112x112x3"


@pytest.mark.parametrize(
    ("name", "side"),
    [("yolov3-tiny", 416), ("mobilenet_v2", 224), ("det_480x480", 480), ("seg-96", 96), ("x", 224)],
)
def test_the_hint_names_the_size_of_networks_of_that_name(
    tmp_path: Path, name: str, side: int
) -> None:
    path = ncnn(tmp_path, "Input image 0 1 image", CONVOLUTION).rename(tmp_path / f"{name}.param")
    assert hint_of(path) == f"1x{side}x{side}x3"


def test_the_hint_knows_the_channels_that_a_convolution_wants(tmp_path: Path) -> None:
    path = ncnn(
        tmp_path,
        "Input image 0 1 image",
        "Split s 1 1 image b",
        "ReLU r 1 1 b c",
        "Convolution conv 1 1 c out 0=8 1=3 6=72",
    )
    assert hint_of(path) == "1x224x224x1"


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("Embed e 1 1 image out 0=8 1=100 3=800", "1x128"),
        ("LSTM r 1 1 image out 0=5 1=400", "1x100x20"),
        ("GRU r 1 1 image out 0=5 1=600 2=2", "1x100x20"),
        ("Convolution1D c 1 1 image out 0=6 1=3 6=72", "1x4x100"),
        ("ConvolutionDepthWise1D c 1 1 image out 0=4 1=3 6=12 7=4", "1x4x100"),
    ],
)
def test_the_hint_for_rows_is_no_picture(tmp_path: Path, layer: str, shape: str) -> None:
    path = ncnn(tmp_path, "Input image 0 1 image", layer)
    assert hint_of(path) == shape
    assert load(f"{path}@{shape}").ops
