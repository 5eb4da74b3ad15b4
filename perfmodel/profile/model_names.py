"""Zoo names of the models that tools and publications name in their own ways.

Only what is obvious is mapped: the same network under another spelling, with its width multiplier
and resolution as zoo parameters. Everything else keeps its name; tables keep the original in
`source_model`.
"""

from __future__ import annotations

import re

_SAME = {
    "alexnet": "alexnet",
    "squeezenet": "squeezenet_1_0",
    "squeezenet_1_0": "squeezenet_1_0",
    "squeezenet_v1_0": "squeezenet_1_0",
    "squeezenet1_0": "squeezenet_1_0",
    "squeezenet1_1": "squeezenet_1_1",
    "squeezenet_v1_1": "squeezenet_1_1",
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
    "googlenet": "inception_v1",
    "googlenet_v1": "inception_v1",
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
    "shufflenet": "shufflenet_v1",
    "shufflenetv2": "shufflenet_v2",
    "shufflenet_v2": "shufflenet_v2",
    "efficientnet_b0": "efficientnet_b0",
    "yolov4_tiny": "yolov4_tiny",
    "mobilebert": "mobilebert",
}
_SIZED = re.compile(
    r"(mobilenet_?v1|mobilenet_?v2|mobilenet_?v3_(?:large|small)|mnasnet)"
    r"_(\d)[p_](\d{1,2})(?:_(\d{2,3}))?"
)
_TORCHVISION_WIDTH = re.compile(r"(shufflenet_v2_x|mnasnet)(\d)_(\d{1,2})")
_MNASNET_05 = {"mnasnet05": ("mnasnet", 0.5)}

_INCEPTION_SIZES = {
    "inception_v3": 299,
    "inception_v4": 299,
    "inception_resnet_v2": 299,
    "nasnet_large": 331,
    "pnasnet_large": 331,
}


def model_name(source_model: str, resolution: int | None = None) -> str:
    """The zoo name of a published model name: `Mobilenet_V1_0.25_128` is
    `mobilenet_v1@width=0.25,resolution=128`; a name that is not known is returned as it is.

    `resolution` is the input size in pixels where the source gives it beside the name.
    """
    plain = re.sub(r"\.(tflite|mnn|onnx|param|prototxt|engine|plan|pt)$", "", source_model)
    key = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    key = re.sub(r"_(quant|quantized|int8|float|fp32|fp16)$", "", key)
    name, width, size = _parts(key)
    if name is None:
        return source_model
    return with_parameters(name, width=width, resolution=size or resolution)


def with_parameters(name: str, width: float = 1.0, resolution: int | None = None) -> str:
    """A zoo name with those parameters that differ from the network's usual ones."""
    parameters = []
    if width != 1.0:
        parameters.append(f"width={width:g}")
    if resolution and resolution != _INCEPTION_SIZES.get(name, 224):
        parameters.append(f"resolution={resolution}")
    return f"{name}@{','.join(parameters)}" if parameters else name


def _parts(key: str) -> tuple[str | None, float, int | None]:
    """Zoo name (None: not known), width multiplier and resolution of a normalised name."""
    if key in _SAME:
        return _SAME[key], 1.0, None
    if key in _MNASNET_05:
        name, width = _MNASNET_05[key]
        return name, width, None
    sized = _SIZED.fullmatch(key)
    if sized:
        stem, whole, fraction, size = sized.groups()
        return _SAME[stem], float(f"{whole}.{fraction}"), int(size) if size else None
    torchvision = _TORCHVISION_WIDTH.fullmatch(key)
    if torchvision:
        stem, whole, fraction = torchvision.groups()
        return stem.removesuffix("_x"), float(f"{whole}.{fraction}"), None
    return None, 1.0, None
