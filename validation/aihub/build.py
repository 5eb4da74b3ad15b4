"""Write the structures of measured networks: `python -m validation.aihub.build` (extra `torch`).

They are those of AI Hub and those of Rockchip's model zoo.
Networks that the pack holds at the size AI Hub runs them are taken from there (networks.csv says
which); those of this package are written here after their papers, with random weights that are
never allocated, and those of the pack's libraries at another size are exported at that size.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from perfmodel.errors import PerfmodelError
from perfmodel.formats.pytorch.export import graph_of_module
from perfmodel.formats.pytorch.libraries import graph_of_name
from perfmodel.formats.structure import write_structure
from perfmodel.graph.ir import Graph
from validation.data.yolo11 import yolo11

FOLDER = Path(__file__).parent / "structures"
Shape = tuple[tuple[int, ...], str]


def _image(height: int, width: int, channels: int = 3) -> list[Shape]:
    return [((1, channels, height, width), "float32")]


def _library(library: str, name: str, side: int) -> Callable[[], Graph]:
    return lambda: graph_of_name(library, name, side)


def _module(make: Callable[[], Any], inputs: Sequence[Shape], name: str) -> Callable[[], Graph]:
    def built() -> Graph:
        import torch

        with torch.device("meta"):
            module = make().eval()
        tensors = [torch.empty(s, dtype=getattr(torch, d), device="meta") for s, d in inputs]
        return graph_of_module(module, tensors, name=name, source="written after its paper")

    return built


def _transformer(kind: str, settings: dict[str, Any], inputs: dict[str, Shape]) -> Any:
    """A module of the library transformers that takes its inputs in order."""
    import torch
    import transformers

    from perfmodel.formats.pytorch.libraries import _plain_results

    made = getattr(transformers, kind)
    inner = _plain_results(made(made.config_class(**settings)))

    class Ordered(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *values: Any) -> Any:
            return self.inner(**dict(zip(inputs, values, strict=True)))

    return Ordered()


def _images() -> dict[str, tuple[Callable[[], Any], tuple[int, ...]]]:
    """Networks on one image, by the name of their file: how they are made and the image's size."""
    from validation.aihub import blaze, detect, faces, pose, segment

    return {
        "mediapipe_face+FaceDetector": (blaze.face_detector, (256, 256)),
        "mediapipe_face+FaceLandmarkDetector": (blaze.FaceLandmarks, (192, 192)),
        "mediapipe_hand+HandDetector": (blaze.PalmDetector, (256, 256)),
        "mediapipe_hand+HandLandmarkDetector": (blaze.HandLandmarks, (256, 256)),
        "mediapipe_hand_gesture+HandLandmarkDetector": (blaze.HandPoints, (224, 224)),
        "mediapipe_pose+PoseDetector": (blaze.pose_detector, (128, 128)),
        "mediapipe_pose+PoseLandmarkDetector": (blaze.PoseLandmarks, (256, 256)),
        "mediapipe_selfie": (blaze.Selfie, (256, 256)),
        "face_det_lite": (faces.FaceDetLite, (480, 640, 1)),
        "foot_track_net": (faces.FootTrack, (480, 640)),
        "face_attrib_net": (faces.FaceAttributes, (128, 128)),
        "facemap_3dmm": (faces.facemap, (128, 128)),
        "gear_guard_net": (faces.GearGuard, (320, 192)),
        "ffnet_40s": (lambda: segment.Ffnet((4, 5, 6, 4), "B", 2), (1024, 2048)),
        "ffnet_54s": (lambda: segment.Ffnet((5, 8, 8, 5), "B", 2), (1024, 2048)),
        "ffnet_78s": (lambda: segment.Ffnet((6, 12, 12, 8), "B", 2), (1024, 2048)),
        "ffnet_78s_lowres": (
            lambda: segment.Ffnet((6, 12, 12, 8), "C", half=True),
            (512, 1024),
        ),
        "ffnet_122ns_lowres": (lambda: segment.Ffnet((16, 24, 20), "C", half=True), (512, 1024)),
        "pidnet": (segment.Pidnet, (1024, 2048)),
        "deeplab_xception": (segment.DeeplabXception, (480, 520)),
        "salsanext": (segment.SalsaNext, (64, 2048, 5)),
        "rtmpose_body2d": (pose.Rtmpose, (256, 192)),
        "sinet": (pose.Sinet, (224, 224)),
        "gpunet": (detect.gpunet, (224, 224)),
        "deepbox+VGG3DDetection": (detect.BoxInSpace, (224, 224)),
        "deepbox+Yolo2DDetection": (detect.Yolov3Tiny, (224, 640)),
        "yolov3": (detect.Yolov3Tiny, (416, 416)),
        "yolov6": (detect.Yolov6, (640, 640)),
        "yolov10_det": (detect.Yolov10, (640, 640)),
    }


def _painted() -> dict[str, tuple[Callable[[], Any], Sequence[Shape]]]:
    """Networks that paint, of an image and its mask or of a text."""
    from validation.aihub import diffusion, segment

    latent: Shape = ((1, 4, 64, 64), "float32")
    time: Shape = ((1,), "float32")
    tokens: Shape = ((1, 77), "int64")
    made: dict[str, tuple[Callable[[], Any], Sequence[Shape]]] = {
        "aotgan": (segment.AotGan, [*_image(512, 512), *_image(512, 512, 1)]),
        "stable_diffusion+vae": (diffusion.LatentDecoder, [latent]),
    }
    for version, wide in (("v1", 768), ("v2", 1024)):
        text: Shape = ((1, 77, wide), "float32")
        name = f"stable_diffusion_{version}"
        made[f"{name}+text_encoder"] = (partial(diffusion.text_encoder, version), [tokens])
        made[f"{name}+unet"] = (partial(diffusion.denoiser, version), [latent, time, text])
    return made


def networks() -> dict[str, Callable[[], Graph]]:
    """How each network is made, by the name of its file."""
    from validation.aihub import enhance, sequence, vision, yolo

    text: dict[str, Shape] = {"input_ids": ((1, 384), "int64")}
    clip = {"vision_config": {"patch_size": 16}}
    both: dict[str, Shape] = {
        "input_ids": ((1, 77), "int64"),
        "pixel_values": ((1, 3, 224, 224), "float32"),
    }
    pixels: dict[str, Shape] = {"pixel_values": ((1, 3, 480, 480), "float32")}
    dilated = {"num_labels": 91, "dilation": True, "use_pretrained_backbone": False}
    modules: dict[str, tuple[Callable[[], Any], Sequence[Shape]]] = {
        "esrgan": (enhance.Esrgan, _image(128, 128)),
        "real_esrgan_general_x4v3": (enhance.CompactEsrgan, _image(128, 128)),
        "quicksrnetlarge": (lambda: enhance.quicksr(64, 11), _image(128, 128)),
        "quicksrnetsmall": (lambda: enhance.quicksr(32, 2), _image(128, 128)),
        "sesr_m5": (enhance.Sesr, _image(128, 128)),
        "xlsr": (enhance.Xlsr, _image(128, 128)),
        "yolov8_det": (lambda: yolo.Yolov8(1 / 3, 0.25, 1024), _image(640, 640)),
        "yolov8_seg": (lambda: yolo.Yolov8(1 / 3, 0.25, 1024, masks=True), _image(640, 640)),
        "yolov8s": (lambda: yolo.Yolov8(1 / 3, 0.5, 1024), _image(640, 640)),
        "yolov8m": (lambda: yolo.Yolov8(2 / 3, 0.75, 768), _image(640, 640)),
        "yolov5n": (lambda: yolo.Yolov5(1 / 3, 0.25), _image(640, 640)),
        "yolov5s": (lambda: yolo.Yolov5(1 / 3, 0.5), _image(640, 640)),
        "yolox_m": (lambda: yolo.Yolox(2 / 3, 0.75), _image(640, 640)),
        "fastsam_s": (lambda: yolo.Yolov8(1 / 3, 0.5, 1024, 1, True), _image(640, 640)),
        "fastsam_x": (lambda: yolo.Yolov8(1.0, 1.25, 512, 1, True), _image(640, 640)),
        "yolov5": (lambda: yolo.Yolov5(2 / 3, 0.75), _image(640, 640)),
        "yolov7": (yolo.Yolov7Tiny, _image(640, 640)),
        "yolox": (lambda: yolo.Yolox(1 / 3, 0.5), _image(640, 640)),
        "yamnet": (vision.yamnet, _image(96, 64, 1)),
        "posenet_mobilenet": (vision.Posenet, _image(513, 257)),
        "cavaface": (vision.cavaface, _image(112, 112)),
        "pspnet": (vision.Pspnet, _image(473, 473)),
        "hrnet_pose": (lambda: vision.Hrnet("hrnet_w32", 17, False), _image(256, 192)),
        "hrnet_face": (lambda: vision.Hrnet("hrnet_w18", 29, True), _image(256, 256)),
        "midas": (vision.Midas, _image(256, 256)),
        "bisenet": (vision.Bisenet, _image(720, 960)),
        "ddrnet23_slim": (vision.Ddrnet, _image(1024, 2048)),
        "easyocr+EasyOCRDetector": (vision.Craft, _image(608, 800)),
        "nomic_embed_text": (sequence.nomic, [((1, 128), "int64")]),
        "whisper_base+HfWhisperDecoder": (
            lambda: sequence.Decoder(512, 6, 8, 2048, 51865),
            sequence.decoder_inputs(6, 8, 64, 199, 1500),
        ),
        "whisper_tiny+HfWhisperDecoder": (
            lambda: sequence.Decoder(384, 4, 6, 1536, 51865),
            sequence.decoder_inputs(4, 6, 64, 199, 1500),
        ),
        "whisper_large_v3_turbo+HfWhisperDecoder": (
            lambda: sequence.Decoder(1280, 4, 20, 5120, 51866),
            sequence.decoder_inputs(4, 20, 64, 199, 1500),
        ),
        "opus_mt_en_es+OpusMTDecoder": (
            lambda: sequence.Decoder(512, 6, 8, 2048, 65001, gelu=False),
            sequence.decoder_inputs(6, 8, 64, 255, 256),
        ),
        "trocr+TrOCRDecoder": (
            lambda: sequence.Decoder(256, 6, 8, 1024, 64044),
            sequence.decoder_inputs(6, 8, 32, 19, 578),
        ),
        "bert_base_uncased_hf": (
            lambda: _transformer("BertForMaskedLM", {}, text),
            list(text.values()),
        ),
        "openai_clip": (lambda: _transformer("CLIPModel", clip, both), list(both.values())),
        "detr_resnet50_dc5": (
            lambda: _transformer("DetrForObjectDetection", dilated, pixels),
            list(pixels.values()),
        ),
    }
    modules |= {name: (make, _image(*size)) for name, (make, size) in _images().items()}
    modules |= _painted()
    made = {name: _module(make, inputs, name) for name, (make, inputs) in modules.items()}
    return made | {
        **{name: partial(yolo11, name) for name in ("yolo11n", "yolo11s", "yolo11m")},
        "inception_v3": _library("torchvision", "inception_v3", 224),
        "nasnet": _library("timm", "nasnetalarge", 224),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Build what is missing, or what is named; a network that cannot be built is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of the networks; all by default")
    parser.add_argument("--again", action="store_true", help="also those that have a file")
    options = parser.parse_args(argv)
    failed = 0
    for name, make in networks().items():
        path = FOLDER / f"{name}.json.gz"
        if (options.names and name not in options.names) or (path.exists() and not options.again):
            continue
        try:
            write_structure(make(), path)
        except PerfmodelError as error:
            failed += 1
            print(f"{name}: {error}", flush=True)
        else:
            print(f"{name}: {path.stat().st_size} bytes", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
