"""Tables of published latencies of whole networks: which rows are one steady inference.

A row of another kind leaves the steady fits, with the reason: frames per second of a camera demo
hold capture and drawing, an application's time holds what stands around the network. What a
publication calls its networks is here too, where its name alone does not tell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from perfmodel import zoo
from perfmodel.zoo.pack import LIBRARIES, packed_networks
from perfmodel.zoo.published_names import model_name
from validation.data.yolo11 import SIZES

FILES = (
    "published_e2e.csv",
    "published_more.csv",
    "misc_repos.csv",
    "mlperf_mobile.csv",
    "executorch_phones.csv",
)
"""The tables, all with the columns of published_e2e.csv (README-published.md, README-phones.md)."""

OTHER_KINDS = {
    "seed 004": "the study of cuts, which has a model of its own (profiles.partition)",
    "ultralytics/ultralytics#cpu ncnn": "ncnn's own table knows these devices by more networks",
    "open-mmlab/mmdeploy#pu ncnn": "ncnn's own table knows these devices by more networks",
}
"""Sources whose rows are of another kind than one steady inference, by how they begin."""

AT_MOST = ("jkjung-avt/tensorrt_demos",)
"""Sources that print the frame rate of a camera demo: capture and drawing are inside, so that the
network alone takes at most that long, and often much less."""

WHOLE_PIPELINE = "the time of an application: pre- and post-processing inside"
TWICE = "a row of published_e2e.csv as well"
STEADY_DOCS = ("native forward only",)
"""What the ExecuTorch pages say of a row that times the network alone; older pages time all."""

_SHARE = re.compile(r"ExecuTorch share mean ([\d.]+) ms")

NAMED = {
    "clip_vit_base_patch32_image": "transformers:clip-vit-base-patch32-image",
    "efficientnet-v2-s": "torchvision:efficientnet_v2_s",
    "efficientnet_v2_s": "torchvision:efficientnet_v2_s",
    "mobilenet_v4_conv_large": "timm:mobilenetv4_conv_large",
}
"""Networks of the pack by the names that publications give them."""

MMDEPLOY = {
    "ResNet": "resnet50",
    "ResNeXt": "torchvision:resnext50_32x4d",
    "SE-ResNet": "timm:seresnet50",
    "ShuffleNetV2": "shufflenet_v2",
}
"""Classifiers of mmdeploy's table, which names the family alone: its configurations are those of 50
layers, and the time of "ResNet" on a Tesla T4 is that of 4 GMAC. Its segmenters have other
backbones and sizes than the zoo's."""


def other_kind(row: Mapping[str, Any], file: str) -> str:
    """Why a row is no steady inference of a network alone; "" if it is one."""
    source, note = str(row["source"]), str(row["note"])
    for start, reason in OTHER_KINDS.items():
        name, _, rest = start.partition("#")
        ran = f"{row['unit']} {row['framework']}; {note}"
        if source.startswith(name) and rest in ran:
            return reason
    if file == "mlperf_mobile.csv" and source.startswith("mlcommons/mobile_results_v4.0"):
        return TWICE
    if file == "executorch_phones.csv":
        alone = any(words in note for words in STEADY_DOCS) or _SHARE.search(note)
        return "" if alone else WHOLE_PIPELINE
    return ""


def steady_ms(row: Mapping[str, Any]) -> float:
    """The latency of the network alone: the share that a row of a whole pipeline states."""
    share = _SHARE.search(str(row["note"]))
    return float(share[1]) if share else float(row["latency_ms"])


def network_spec(model: str, published: str, source: str) -> str | None:
    """The network of the zoo or the pack that a row is of; None if neither has it."""
    if source.startswith("open-mmlab/mmdeploy"):
        return MMDEPLOY.get(published)
    spec = model if model.partition("@")[0] in zoo.names() else model_name(published)
    if spec.partition("@")[0] in zoo.names():
        return spec
    plain = published.strip().lower()
    if plain in NAMED or plain in SIZES:
        return NAMED.get(plain, plain)
    return next((n for lib in LIBRARIES if (n := f"{lib}:{plain}") in packed_networks()), None)


def network_family(spec: str) -> str:
    """What must be left out together with a network: its family in the zoo or the library."""
    if spec in SIZES:
        return "yolo11"
    if spec in packed_networks():
        # a library writes efficientnet_v2_s and resnext50 as families of their own
        return packed_networks()[spec].family
    return zoo.entry(spec.partition("@")[0]).family
