"""Which module of the zoo makes a network; the module is imported when the network is asked for."""

from __future__ import annotations

from importlib import import_module

from perfmodel.zoo.registry import ZooEntry

MODULES = {
    "mobilenet": "mobilenet_v1 mobilenet_v2",
    "mobilenet_v3": "mobilenet_v3_large mobilenet_v3_small",
    "efficientnet": "efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 "
    "efficientnet_b4 efficientnet_lite0 efficientnet_lite1 efficientnet_lite2 "
    "efficientnet_lite3 efficientnet_lite4 mnasnet proxylessnas",
    "shufflenet": "shufflenet_v1 shufflenet_v2",
    "squeezenet": "squeezenet_1_0 squeezenet_1_1",
    "classic": "alexnet alexnet_owt overfeat nin vgg11 vgg13 vgg16 vgg19",
    "inception": "inception_v3 googlenet inception_v1 inception_v4 inception_resnet_v2",
    "resnet": "resnet18 resnet34 resnet50 resnet101 resnet152 wide_resnet50_2 resnet50_v2 "
    "resnet101_v2",
    "regnet": "regnet_y_400mf regnet_x_3_2gf",
    "densenet": "densenet121 densenet169 densenet201 densenet161",
    "nasnet": "nasnet_mobile nasnet_large pnasnet_mobile pnasnet_large",
    "nasbench": "nasbench201",
    "supernets": "fbnet once_for_all",
    "transformer": "vit_b16 vit_b32 mobilebert",
    "language": "bert_large gpt2_large gpt3_xl gpt3_2_7b opt_1_3b switch_xl4",
    "detect": "ssd_mobilenet_v1 ssdlite_mobilenet_v2 yolo_v3_tiny yolo_v4_tiny",
    "yolo": "yolov5 yolov8 yolo11",
    "segment": "deeplab_v3plus deeplab_v3",
    "enhance": "vdsr srgan dped pynet unet",
    "recurrent": "crnn lstm_text",
}
"""Networks by module."""

_MODULE_OF = {name: module for module, names in MODULES.items() for name in names.split()}


def names() -> tuple[str, ...]:
    """Names of all networks."""
    return tuple(_MODULE_OF)


def mobile_names() -> tuple[str, ...]:
    """Networks small enough for a phone and its file formats: all but the large language models.

    Their weights take up to 19 GB in float, and a .tflite file ends at 2 GiB.
    """
    return tuple(name for name, module in _MODULE_OF.items() if module != "language")


def entry_named(name: str) -> ZooEntry:
    """The entry of exactly this name; `name` is one of `names()`."""
    module = import_module(f"perfmodel.zoo.{_MODULE_OF[name]}")
    return next(e for e in module.ENTRIES if e.name == name)
