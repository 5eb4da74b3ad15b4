"""Names under which publications and other tools know the networks of the zoo."""

from __future__ import annotations

import re

from perfmodel.errors import GraphError
from perfmodel.zoo import entry, names

_SAME = {
    "alexnet (one weird trick)": "alexnet_owt",
    "deeplabv3_plus_mobilenet": "deeplab_v3plus",
    "googlenet v1": "googlenet",
    "inception_v1": "inception_v1",
    "mnasnet05": "mnasnet@width=0.5",
    "mobilebert": "mobilebert",
    "overfeat fast": "overfeat",
    "regnet": "regnet_x_3_2gf",
    "resnet_v2_50": "resnet50_v2",
    "resnet_v2_101": "resnet101_v2",
    "squeezenet": "squeezenet_1_0",
    "squeezenet_v1.0": "squeezenet_1_0",
    "squeezenet_v1.1": "squeezenet_1_1",
    "ssd_mobilenet_v1_coco": "ssd_mobilenet_v1",
    "vgg_a (oxfordnet model a)": "vgg11",
    "wideresnet50": "wide_resnet50_2",
}
"""Names that no rule finds, lower-case and with _ for -."""

_PATTERNS = (
    (r"(mobilenet_v[12]|mnasnet)_(\d[.p]\d+)_(\d+)", r"\1@width=\2,resolution=\3"),
    (r"mobilenetv3_(large|small)_(\d[.p]\d+)", r"mobilenet_v3_\1@width=\2"),
    (r"mobilenetv3_(large|small)_minimalistic", r"mobilenet_v3_\1@variant=minimalistic"),
    (r"mnasnet(\d_\d+)", r"mnasnet@width=\1"),
    (r"(shufflenet_v2)_x(\d_\d)", r"\1@width=\2"),
    (r"yolov([34])_tiny_(\d+)", r"yolo_v\1_tiny@resolution=\2"),
)
"""Names that carry parameters, and the spec they mean."""


def spec_of(name: str, image_size: str = "") -> str | None:
    """The spec of a published network name such as `Mobilenet_V1_0.25_128_quant`, else None.

    `image_size` ("224x224" or "224") is the measured input where the source states it; it becomes
    the resolution unless the name has one. Precision ("_quant") and batch normalisation ("_bn") in
    a name do not change the network here.
    """
    plain = re.sub(r"_(quant|bn)$", "", name.strip().lower().replace("-", "_"))
    spec = _SAME.get(plain) or _by_pattern(plain) or _by_letters(plain)
    return None if spec is None else _with_size(spec, image_size)


def _by_pattern(plain: str) -> str | None:
    for pattern, spec in _PATTERNS:
        match = re.fullmatch(pattern, plain)
        if match:
            model, at, values = match.expand(spec).partition("@")
            return model + at + re.sub(r"(?<=\d)[p_](?=\d)", ".", values)
    return None


def _by_letters(plain: str) -> str | None:
    """A name that differs from ours only in its marks: ResNet-18, squeezenet1_1, VGG_16."""

    def letters(text: str) -> str:
        return "".join(c for c in text if c.isalnum())

    return {letters(n): n for n in names()}.get(letters(plain))


def _with_size(spec: str, image_size: str) -> str | None:
    """`spec` in its shortest form, with the resolution of a square image; None if it has none."""
    model, _, rest = spec.partition("@")
    given: dict[str, object] = {}
    for item in rest.split(",") if rest else []:
        key, _, value = item.partition("=")
        given[key] = value
    sides = set(image_size.lower().replace(" ", "").split("x")) - {""}
    found = entry(model)
    if sides and "resolution" not in given and "resolution" in found.defaults:
        if len(sides) > 1:
            return None
        given["resolution"] = sides.pop()
    try:
        return found.spec(found.resolve(given))
    except GraphError:
        return None
