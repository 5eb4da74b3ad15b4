"""Networks by file and by name, through one function."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from perfmodel.errors import GraphError, ModelFileError, UnknownModelError
from perfmodel.formats.load import load
from perfmodel.formats.tflite.writer import write_tflite


def test_a_name_with_parameters_is_built() -> None:
    graph = load("mobilenet_v2@width=0.5,resolution=160")
    assert graph.tensors[graph.inputs[0]].shape == (1, 160, 160, 3)


def test_the_batch_is_replaced() -> None:
    assert load("nin", batch_size=8).batch_size == 8


def test_a_file_is_read_by_its_ending_or_its_content(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    write_tflite(load("nin"), path)
    shutil.copy(path, tmp_path / "net.bin")
    assert load(path).ops == load(str(tmp_path / "net.bin")).ops


def test_real_files_of_each_format(data_dir: Path) -> None:
    assert load(data_dir / "models" / "person_detect.tflite").format == "tflite"
    assert load(data_dir / "ncnn_models" / "mobilenet_v2.param").format == "ncnn"


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match="mobilenet_v2"):
        load("mobilnet_v2")


def test_a_path_that_is_no_file_is_not_looked_up_as_a_name() -> None:
    with pytest.raises(UnknownModelError, match="no such file"):
        load("some/where/network")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("net.pt", "torch.onnx.export"),
        ("net.h5", "TFLiteConverter"),
        ("net.engine", "that it was built of"),
        ("net.gguf", "transformers:llama"),
    ],
)
def test_a_file_of_another_kind_says_what_to_give_instead(
    tmp_path: Path, name: str, instead: str
) -> None:
    with pytest.raises(ModelFileError, match="no such file") as raised:
        load(name)
    assert instead in raised.value.hint
    (tmp_path / name).write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(ModelFileError, match="unknown kind of file") as raised:
        load(tmp_path / name)
    assert instead in raised.value.hint
    assert load("yolov8n.pt").name == "yolov8"


@pytest.mark.parametrize(
    "name", ["", "\0", "a" * 5000, "@", "mobilenet_v2@", "..", "mobilenet_v2@x"]
)
def test_nonsense_is_refused_in_words(name: str) -> None:
    with pytest.raises((UnknownModelError, ModelFileError, GraphError)):
        load(name)


def test_named_dimensions_are_for_onnx_only(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    write_tflite(load("nin"), path)
    with pytest.raises(ModelFileError, match=r"only \.onnx"):
        load(path, dims={"batch": 2})


def test_an_open_input_gets_its_shape(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "data" type: "Data" top: "data" }\n'
        'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"\n'
        "  convolution_param { num_output: 4 kernel_size: 3 } }\n"
    )
    with pytest.raises(ModelFileError):
        load(path)
    graph = load(path, input_shape=(2, 9, 11, 3))
    assert graph.tensors[graph.outputs[0]].shape == (2, 7, 9, 4)  # 9 - 3 + 1, 11 - 3 + 1
