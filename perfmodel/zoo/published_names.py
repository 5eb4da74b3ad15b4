"""Zoo names of the models that tools and publications name in their own ways.

Only what is obvious is mapped: the same network under another spelling, with its width multiplier
and resolution as zoo parameters. Everything else keeps its name; tables keep the original in
`source_model`.
"""

from __future__ import annotations

import functools
import re

_SAME = {
    "alexnet": "alexnet",
    "alexnet_owt": "alexnet_owt",
    "alexnet_one_weird_trick": "alexnet_owt",
    "squeezenet": "squeezenet_1_0",
    "squeezenet_1_0": "squeezenet_1_0",
    "squeezenet_v1_0": "squeezenet_1_0",
    "squeezenetv1_0": "squeezenet_1_0",
    "squeezenet1_0": "squeezenet_1_0",
    "squeezenet1_1": "squeezenet_1_1",
    "squeezenet_v1_1": "squeezenet_1_1",
    "squeezenetv1_1": "squeezenet_1_1",
    "vgg16": "vgg16",
    "vgg_16": "vgg16",
    "vgg19": "vgg19",
    "vgg_19": "vgg19",
    "resnet18": "resnet18",
    "resnet_18": "resnet18",
    "resnet34": "resnet34",
    "resnet_34": "resnet34",
    "resnet50": "resnet50",
    "resnet_50": "resnet50",
    "resnet50_v1": "resnet50",
    "resnet_v1_50": "resnet50",
    "resnet101": "resnet101",
    "resnet_101": "resnet101",
    "resnet_v1_101": "resnet101",
    "resnet152": "resnet152",
    "resnet_152": "resnet152",
    "resnet_v1_152": "resnet152",
    "resnet50_v2": "resnet50_v2",
    "resnet_v2_50": "resnet50_v2",
    "resnet_v2_101": "resnet101_v2",
    "resnet_v2_152": "resnet152_v2",
    "densenet121": "densenet121",
    "densenet169": "densenet169",
    "densenet201": "densenet201",
    "googlenet": "googlenet",
    "googlenet_v1": "googlenet",
    "inception_v1": "inception_v1",
    "inception_v2": "inception_v2",
    "inception_v3": "inception_v3",
    "inceptionv3": "inception_v3",
    "inception_v4": "inception_v4",
    "inceptionv4": "inception_v4",
    "inception_resnet_v2": "inception_resnet_v2",
    "nasnet_mobile": "nasnet_mobile",
    "nasnet_large": "nasnet_large",
    "pnasnet_mobile": "pnasnet_mobile",
    "pnasnet_large": "pnasnet_large",
    "mobilenet_v1": "mobilenet_v1",
    "mobilenetv1": "mobilenet_v1",
    "mobilenet": "mobilenet_v1",
    "mobilenet_v2": "mobilenet_v2",
    "mobilenetv2": "mobilenet_v2",
    "mobilenet_v3_large": "mobilenet_v3_large",
    "mobilenetv3_large": "mobilenet_v3_large",
    "mobilenet_v3_small": "mobilenet_v3_small",
    "mobilenetv3_small": "mobilenet_v3_small",
    "mnasnet": "mnasnet",
    "proxylessnasnet": "proxylessnas",
    "shufflenet": "shufflenet_v1",
    "shufflenetv2": "shufflenet_v2",
    "shufflenet_v2": "shufflenet_v2",
    "efficientnet_b0": "efficientnet_b0",
    "yolov3_tiny": "yolo_v3_tiny",
    "yolov4_tiny": "yolo_v4_tiny",
    "ssd_mobilenet_v1_coco": "ssd_mobilenet_v1",
    "overfeat_fast": "overfeat",
    "vgg_a_oxfordnet_model_a": "vgg11",
    "vgg11": "vgg11",
    "vgg13": "vgg13",
    "wideresnet50": "wide_resnet50_2",
    "densenet161": "densenet161",
    "mobilebert": "mobilebert",
}
_SIZED = re.compile(
    r"(mobilenet_?v1|mobilenet_?v2|mobilenet_?v3_(?:large|small)|mnasnet|yolov[34]_tiny)"
    r"(?:_(\d)[p_](\d{1,2}))?(?:_(\d{2,3}))?(_minimalistic)?"
)
_TORCHVISION_WIDTH = re.compile(r"(shufflenet_v2_x|mnasnet)(\d)_(\d{1,2})")
_MNASNET_05 = {"mnasnet05": ("mnasnet", 0.5)}


def model_name(source_model: str, resolution: int | None = None) -> str:
    """The zoo name of a published model name: `Mobilenet_V1_0.25_128` is
    `mobilenet_v1@width=0.25,resolution=128`; a name that is not known is returned as it is.

    `resolution` is the input size in pixels where the source gives it beside the name.
    """
    plain = re.sub(r"\.(tflite|mnn|onnx|param|prototxt|engine|plan|pt)$", "", source_model)
    key = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    key = re.sub(r"_(quant|quantized|int8|float|fp32|fp16)$", "", key)
    name, parameters = _parts(key)
    if name is None:
        return source_model
    size = int(parameters.pop("resolution", 0)) or resolution
    if size and size != _usual_resolution(name):
        parameters["resolution"] = str(size)
    stated = ",".join(f"{key}={value}" for key, value in parameters.items())
    return f"{name}@{stated}" if stated else name


@functools.cache
def _usual_resolution(name: str) -> int | None:
    """The resolution that the zoo takes where none is given; None for what is not in the zoo."""
    from perfmodel import zoo

    if name not in zoo.names():
        return None
    usual = {parameter.name: parameter.default for parameter in zoo.entry(name).parameters}
    return int(usual["resolution"]) if "resolution" in usual else None


def _parts(key: str) -> tuple[str | None, dict[str, str]]:
    """Zoo name (None: not known) and parameters of a normalised name."""
    if key in _SAME:
        return _SAME[key], {}
    if key in _MNASNET_05:
        name, width = _MNASNET_05[key]
        return name, _width(width)
    sized = _SIZED.fullmatch(key)
    if sized:
        stem, whole, fraction, size, minimalistic = sized.groups()
        parameters = _width(float(f"{whole}.{fraction}")) if whole else {}
        parameters |= {"variant": "minimalistic"} if minimalistic else {}
        return _SAME[stem], parameters | ({"resolution": size} if size else {})
    torchvision = _TORCHVISION_WIDTH.fullmatch(key)
    if torchvision:
        stem, whole, fraction = torchvision.groups()
        return stem.removesuffix("_x"), _width(float(f"{whole}.{fraction}"))
    return None, {}


def _width(width: float) -> dict[str, str]:
    return {} if width == 1.0 else {"width": f"{width:g}"}
