"""Networks whose work nobody publishes: counted by hand from their papers' layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel import zoo
from perfmodel.kernels import macs, params


def test_dped_is_two_9x9_and_ten_3x3_convolutions_at_full_size() -> None:
    per_pixel = 81 * 3 * 64 + 10 * 9 * 64 * 64 + 81 * 64 * 3
    assert macs(zoo.build("dped")) == 128 * 192 * per_pixel


def test_nin_is_four_convolutions_each_followed_by_two_of_1x1() -> None:
    # sides: (224 - 11) // 4 + 1 = 54, then 27, 13 and 6 by pooling that keeps partial windows
    expected = 54 * 54 * (121 * 3 * 96 + 2 * 96 * 96)
    expected += 27 * 27 * (25 * 96 * 256 + 2 * 256 * 256)
    expected += 13 * 13 * (9 * 256 * 384 + 2 * 384 * 384)
    expected += 6 * 6 * (9 * 384 * 1024 + 1024 * 1024 + 1024 * 1000)
    assert macs(zoo.build("nin")) == expected


def test_lstm_text_is_two_layers_of_four_gates_and_one_word() -> None:
    steps, hidden, words = 35, 650, 10_000
    gates = 4 * hidden * (hidden + hidden)
    assert macs(zoo.build("lstm_text")) == steps * 2 * gates + hidden * words


def test_crnn_is_seven_convolutions_and_two_bidirectional_layers() -> None:
    # 32 x 100 pixels; each pooling halves the height, the first two the width too
    expected = 32 * 100 * 9 * 1 * 64 + 16 * 50 * 9 * 64 * 128
    expected += 8 * 25 * 9 * (128 * 256 + 256 * 256)
    expected += 4 * 25 * 9 * (256 * 512 + 512 * 512)
    columns = 24  # 2 x 2 kernel without padding on 2 x 25
    expected += columns * 4 * 512 * 512
    expected += columns * 2 * 4 * 256 * ((512 + 256) + (256 + 256))
    expected += columns * (512 * 256 + 512 * 37)
    assert macs(zoo.build("crnn")) == expected


def test_unet_has_two_convolutions_a_level_each_way() -> None:
    expected = 128 * 128 * 32 * 1  # the classifier
    for level in range(5):
        pixels, filters = (128 >> level) ** 2, 32 << level
        expected += pixels * 9 * ((3 if level == 0 else filters // 2) + filters) * filters
        if level < 4:
            # 2 x 2 transposed convolution from twice the filters, then two 3 x 3 on the join
            expected += pixels * 2 * filters * filters
            expected += pixels * 9 * (2 * filters + filters) * filters
    assert macs(zoo.build("unet")) == expected


def test_pynet_does_work_in_proportion_to_the_area() -> None:
    small, large = zoo.build("pynet"), zoo.build("pynet@image_height=448,image_width=448")
    assert macs(large) == 4 * macs(small)
    assert large.tensors[large.outputs[0]].shape == (1, 896, 896, 3)


def test_pynet_has_the_parameters_of_its_levels() -> None:
    def block(cin: int, largest: int, maps: int, norm: bool = True) -> int:
        """Two convolutions with bias per kernel size, each with scale and shift if normalised."""
        sizes = [k * k for k in range(3, largest + 1, 2)]
        extra = (3 if norm else 1) * maps
        return sum(k * cin * maps + k * maps * maps + 2 * extra for k in sizes)

    def up(cin: int, maps: int) -> int:
        return 9 * cin * maps

    down = block(4, 3, 32, False) + block(32, 3, 64) + block(64, 3, 128) + block(128, 3, 256)
    five = block(256, 3, 512) + 3 * block(512, 3, 512)
    four = 2 * up(512, 256) + 2 * block(512, 3, 256) + 3 * block(256, 3, 256)
    three = 2 * up(256, 128) + 4 * block(256, 5, 128) + block(512, 3, 128)
    two = 2 * up(128, 64) + block(128, 5, 64) + 4 * block(192, 7, 64)
    two += block(256, 5, 64) + block(192, 3, 64)
    one = 2 * up(64, 32) + block(64, 5, 32, False) + block(96, 7, 32, False)
    one += block(96, 9, 32, False) + 3 * block(128, 9, 32, False) + block(128, 7, 32, False)
    one += block(128, 5, 32, False) + block(128, 3, 32, False)
    image = up(32, 8) + 9 * 8 * 3 + 3 + 2  # the last two scale and shift the result
    assert params(zoo.build("pynet")) == down + five + four + three + two + one + image


def test_dped_has_the_parameters_of_its_layers() -> None:
    convolutions = 81 * 3 * 64 + 64 + 10 * (9 * 64 * 64 + 64) + 81 * 64 * 3 + 3
    norms = 8 * 2 * 64
    assert params(zoo.build("dped")) == convolutions + norms + 2


def test_resnet_v2_has_the_trainable_parameters_of_keras_less_one_per_folded_channel() -> None:
    # Keras ResNet50V2: 25,613,800 in all, 45,440 of them moving statistics; each bottleneck
    # folds the normalisation of two convolutions as wide as the bottleneck
    folded = 2 * (3 * 64 + 4 * 128 + 6 * 256 + 3 * 512)
    assert params(zoo.build("resnet50_v2@classes=1000")) == 25_613_800 - 45_440 - folded


def test_mobilebert_has_the_parameters_of_the_checkpoint_and_two_logits() -> None:
    assert params(zoo.build("mobilebert")) == 24_581_888 + 2 * 512 + 2


RUNNABLE = {
    "mobilenet_v3_small": "",
    "shufflenet_v2": "width=0.5,resolution=64",
    "squeezenet_1_1": "resolution=97",
    "nasbench201": "",
    "crnn": "",
    "dped": "image_height=32,image_width=48",
    "srgan": "image_height=16,image_width=16",
    "ssdlite_mobilenet_v2": "resolution=96",
    "deeplab_v3plus": "resolution=97",
    "mobilebert": "sequence=8",
    "fbnet": "",
    "once_for_all": "resolution=64",
}


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_network_runs_as_a_tflite_file(name: str, tmp_path: Path) -> None:
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")
    from perfmodel.formats.tflite.writer import write_tflite

    graph = zoo.build(name + ("@" + RUNNABLE[name] if RUNNABLE[name] else ""))
    write_tflite(graph, tmp_path / "network.tflite")
    runtime = interpreters.Interpreter(str(tmp_path / "network.tflite"), num_threads=1)
    runtime.allocate_tensors()
    for detail in runtime.get_input_details():
        runtime.set_tensor(detail["index"], _ones(detail))
    runtime.invoke()
    shapes = sorted(tuple(d["shape"]) for d in runtime.get_output_details())
    assert shapes == sorted(graph.tensors[n].shape for n in graph.outputs)


def _ones(detail: dict) -> object:
    import numpy as np

    return np.ones(detail["shape"], detail["dtype"])
