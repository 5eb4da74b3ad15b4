"""Rows of AI Hub: versions of tools, folds of one chip, and the networks that were rebuilt."""

import pytest

from perfmodel.kernels import macs, params
from validation.aihub.as_run import normalised
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
        # arXiv:2301.05586 prints 11.4 GFLOPs for YOLOv6-N, arXiv:2405.14458 6.7 for YOLOv10-N
        ("yolov6", 5.7),
        ("yolov10_det", 3.35),
        # arXiv:2206.02066 prints 47.6 G for PIDNet-S, arXiv:2003.03653 62.8 for SalsaNext, mmpose
        # 2.2 for RTMPose-m of the whole body
        ("pidnet", 47.6),
        ("salsanext", 62.8),
        ("rtmpose_body2d", 2.2),
    ],
)
def test_rebuilt_networks_do_the_work_that_is_published(name, published_gmacs):
    from perfmodel.formats.load import load

    line = next(n for n in network_lines() if n.model == name)
    assert macs(load(network_name(line))) / 1e9 == pytest.approx(published_gmacs, rel=0.05)


@pytest.mark.parametrize(
    ("model", "component", "millions"),
    [
        # what AI Hub's pages state (aihub_models_rebuild.csv)
        ("mediapipe_face", "FaceDetector", 0.135),
        ("mediapipe_face", "FaceLandmarkDetector", 0.603),
        ("mediapipe_hand", "HandLandmarkDetector", 2.01),
        ("mediapipe_pose", "PoseLandmarkDetector", 3.36),
        ("mediapipe_selfie", "", 0.106),
        ("face_det_lite", "", 0.878),
        ("foot_track_net", "", 2.53),
        ("facemap_3dmm", "", 5.42),
        ("gear_guard_net", "", 6.19),
        ("ffnet_78s", "", 27.5),
        ("ffnet_122ns_lowres", "", 32.1),
        ("gpunet", "", 10.49),
        ("deepbox", "VGG3DDetection", 46.1),
        ("stable_diffusion_v1_5", "unet", 865.0),
    ],
)
def test_rebuilt_networks_have_the_parameters_that_are_published(model, component, millions):
    from perfmodel.formats.load import load

    line = next(n for n in network_lines() if (n.model, n.component) == (model, component))
    assert params(load(network_name(line))) / 1e6 == pytest.approx(millions, rel=0.01)


def test_an_image_is_normalised_before_the_network_by_two_kernels_of_no_macs():
    from perfmodel.formats.load import load
    from perfmodel.kernels import fuse

    graph = load("torchvision:mobilenet_v2")
    run = normalised(graph)
    first, second, third = fuse(run, "qnn")[:3]
    assert (first.op, second.op, third.kernel_class) == ("sub", "div", "conv_first")
    assert first.output_elements == second.input_elements == 224 * 224 * 3
    assert (macs(run), params(run)) == (macs(graph), params(graph))
    with pytest.raises(ValueError, match="takes no image"):
        normalised(load("transformers:bert-base-uncased"))


def test_networks_of_videos_are_normalised_along_the_axis_of_their_channels():
    from perfmodel.graph.ir import Graph, Op, Tensor

    frames = Tensor("frames", (1, 16, 3, 224, 224))
    graph = Graph(
        "video",
        {"frames": frames, "out": Tensor("out", frames.shape)},
        (Op("act", "relu", ("frames",), ("out",)),),
        ("frames",),
        ("out",),
    )
    run = normalised(graph)
    assert [op.kind for op in run.ops] == ["sub", "div", "relu"]
    assert run.tensors["normalised.sub.of_channels"].shape == (1, 1, 3, 1, 1)


def test_what_takes_an_image_as_it_is_is_not_normalised():
    said = {(line.model, line.component): line.normalised for line in network_lines()}
    assert said["resnet50", ""]
    assert said["ddrnet23_slim", ""]
    plain = ("mediapipe", "yolo", "fastsam", "whisper", "bert", "quicksr", "face_det_lite")
    assert not any(said[m, part] for m, part in said if m.startswith(plain))
