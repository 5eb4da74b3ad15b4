"""Rows of AI Hub: versions of tools, folds of one chip, and the networks that were rebuilt."""

import pytest

from perfmodel.kernels import macs
from validation.data.aihub import FOLDER, SAME_CHIP, network_lines, network_name, version_of


@pytest.mark.parametrize(
    ("tools", "framework", "version"),
    [
        ("qairt=2.42.0.251225135753_193295", "qnn", "2.42"),
        ("qairt=2.37.1.250807093845_124904;onnx_runtime=1.23.0", "onnxruntime", "2.37"),
        ("onnx_runtime=1.23.0", "onnxruntime", ""),
        ("", "tflite", ""),
    ],
)
def test_the_version_of_a_target_is_that_of_the_compiler(tools, framework, version):
    assert version_of(tools, framework) == version


def test_boards_that_share_jobs_are_one_chip():
    # README-aihub.md: QCS8275 = SA7255P, QCS9075 = SA8775P
    assert SAME_CHIP["sa7255p-adp"] == "qcs8275"
    assert SAME_CHIP["sa8775p-adp"] == SAME_CHIP["dragonwing-iq-9075-evk"]


def test_every_network_of_the_list_is_there_once():
    lines = network_lines()
    assert len({(n.model, n.component) for n in lines}) == len(lines)
    for line in lines:
        if line.network.startswith("structures/"):
            assert (FOLDER / line.network).is_file()


@pytest.mark.parametrize(
    ("name", "published_gmacs"),
    [
        # arXiv:2207.02696 prints 13.8 GFLOPs for YOLOv7-tiny at 640 x 640
        ("yolov7", 6.9),
        # the YOLOX repository prints 26.8 GFLOPs for YOLOX-S
        ("yolox", 13.4),
        # the HRNet repository prints 7.1 GFLOPs for the pose network W32 at 256 x 192; this one
        # holds the fusion of the coarser maps as well
        ("hrnet_pose", 7.4),
    ],
)
def test_rebuilt_networks_do_the_work_that_is_published(name, published_gmacs):
    from perfmodel.formats.load import load

    line = next(n for n in network_lines() if n.model == name)
    assert macs(load(network_name(line))) / 1e9 == pytest.approx(published_gmacs, rel=0.05)
