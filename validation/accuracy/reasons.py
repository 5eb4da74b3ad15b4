"""Why the worst cases of the accuracy studies are wrong, where it is known.

The studies give the reasons that hold for one of them (`REASONS` there); these hold for several.
"""

from __future__ import annotations

from collections.abc import Mapping

ADRENO_660 = (
    "vgg16 takes as long as resnet50 on Adreno 660 and 740, twice as long on Adreno 640 and six "
    "times on Mali-G72"
)

ODD_RUNS = {
    "rtx-a3000-laptop gpu": "ten loops that did not settle: mnasnet takes 6.5 ms and "
    "mobilenet_v2 0.98 there, resnet18 5.2 and resnet50 3.0",
    "rtx-3090 gpu 10 threads": "its two runs differ: vgg16 takes 4.55 ms in one, 1.38 in the other",
    "vgg16 on snapdragon-888 gpu": ADRENO_660,
    "vgg16_int8 on core-i7-7700k": "2.2 times as long as resnet18_int8 there, 5.4 times on most "
    "targets",
    "phytium-ft-2000-4 cpu 4 threads": "four threads take longer than one there, "
    "143 and 97 ms for resnet18_int8",
    "squeezenet_ssd_int8 on intel-celeron-n5105": "1.9 times as long as squeezenet_int8 there, 2.6 "
    "times on most targets",
    "azure-d64as-v7 cpu 64 threads": "64 threads take longer than 16 there",
    "alexnet on muse-pi-pro-m1": "half as long as resnet18 there, as long on most targets",
    "radxa-orion-o6 cpu 12 threads": "mobilenet_v2 takes 58 ms on twelve threads there, 9.7 on one",
    "vgg16 on macbook-pro-2019-i7": "2.9 times as long as resnet18 there, 5.4 times on most "
    "targets",
    "squeezenet_int8 on snapdragon-8-gen-2 cpu 4 threads": "resnet18_int8 takes 9 times as long "
    "there, 2.4 times on most targets",
    "vgg16_int8 on snapdragon-821": "3.6 times as long as resnet18_int8 there, 5.4 times on most "
    "targets",
    "vgg16 on radeon-rx-6900-xt": "1.9 times as long as resnet18 there, 4.3 times on most targets",
}
"""What the rows of a target themselves show to be odd (ncnn_e2e.csv, the fastest of its loops), by
a part of the case's name."""

REASONS: Mapping[str, Mapping[str, str]] = {
    "ncnn, ": {
        "vision_transformer": "the only network with attention: its kernels are never seen",
        "efficientnetv2_b0": "the only one with reductions that a GPU hands back to the CPU",
        "hyperv gpu": "the GPU is reached through Direct3D 12 in a virtual machine",
        "xeon-phi-3120a": "57 in-order cores of four threads each: unlike every other CPU there",
        "sunway": "one of two CPUs of this instruction set",
        "radxa-orion-o6 gpu": "the only Mali-G720; its kin there are Mali-G52 and G610",
        "kunpeng-920-7260 cpu 64 threads": "64 threads take longer than 16 for a small network: "
        "starting and joining them decides",
        **ODD_RUNS,
    },
    "published, unseen network family, mobile GPU": {
        "pixel-4/gpu/tflite/fp16 efficientnet_lite": "its two sources disagree: mobilenet_v1 takes "
        "9 ms in one, efficientnet_lite1 8 in the other",
        "samsung-galaxy-s9-plus/gpu/tnn/fp16 squeezenet_1_0": "squeezenet_1_1, of half the "
        "products, takes 7 ms there",
        "iphone-xs/gpu/tflite/fp16": "two other networks were measured there, and squeezenet takes "
        "4.6 times as long as mobilenet_v1, 1.5 times on the Pixel 3",
    },
    "published, unseen network family, NPU": {
        "repvit": "published as its authors export it, one convolution in place of three branches, "
        "which stand in the graph here",
        "fastvit": "published as its authors export it, one convolution in place of several "
        "branches, which stand in the graph here",
    },
    "published, unseen network family, CPU": {
        "iphone-17-pro/cpu/executorch/fp32": "its rows run at 79 (fcn_resnet50) to 315 GMAC/s "
        "(clip); on a Pixel 10 clip runs at 65 and fcn_resnet50 at 66",
        "paddle-lite": "shufflenet_v2 takes 0.11 to 0.22 of mobilenet_v1 in Paddle-Lite's tables, "
        "0.39 to 0.47 in TNN's",
    },
    "published, which unit or precision is faster": {
        "pixel-4/gpu/tflite/fp16 efficientnet_lite": "its two sources of the GPU disagree: "
        "mobilenet_v1 takes 9 ms in one, efficientnet_lite1 8 in the other",
        "iphone-17-pro/cpu/executorch/fp32": "in floats its rows run at 79 to 315 GMAC/s",
    },
    "published, unseen network family, GPU of NVIDIA": {
        "torch7-nn/fp32 vgg": "without cuDNN Torch runs a convolution image by image: starts "
        "decide for the other networks, of small layers, and VGG runs at three times their rate",
        "cudaconvnet2": "vgg11 runs at 1.2 TMAC/s there, alexnet_owt and overfeat at 2",
        "fbfft": "vgg11 runs at 1.4 TMAC/s there, alexnet_owt and overfeat at 3",
        "cl-nn-torch": "its source prints one time for alexnet_owt and for overfeat, which has "
        "four times the products",
    },
    "phone from its spec sheet": {
        "efficientnet_b0 on snapdragon-660 gpu": "0.6 times as long as resnet18 there, 0.95 on "
        "most targets",
        "vgg16 on snapdragon-888 gpu": ADRENO_660,
        "snapdragon-8-gen-2 cpu/ncnn": "the only Cortex-X3 of the table",
        "alexnet on kirin-970 gpu": "four times as long as resnet18 there, as long on Adreno 640",
    },
    "which of two phones": {
        "alexnet": "the only network with 5x5 groups and normalisation",
        "vgg16 on snapdragon-8-gen-2 gpu": ADRENO_660,
        "oneplus5t gpu": "the host waits 0.2 ms for a kernel in some sessions and 1.2 in others",
        "oneplus5t cpu": "faster than every other Cortex-A73 of the table",
    },
    "unseen GPU from its data sheet, whole networks, transformers, training": {
        "": "a step is taken as three forward passes"
    },
    "known GPU, whole networks, transformers, training": {
        "": "a step is taken as three forward passes"
    },
    "unseen GPU from its data sheet, kernels": {
        "tesla-t4 linear": "of the other cards the P4 alone draws as little power, and products of "
        "this size run at a fifth of its peak",
    },
    "NAS-Bench-201": {
        "|none~0|+|none~0|none~1|+|": "its output hangs on the last node alone: hardly any work",
        ", batch 32": "32 images take as long as one there: the host starts kernels so slowly that "
        "the work of poolings hides behind it",
    },
}
"""By what the experiment and its target begin with, and by a part of the case's name."""


def explained(place: str, case: str) -> str:
    """A worst case in words with its reason, where one is known and none stands there yet.

    `place` names the experiment and its target, `case` the case as `scores.case_text` words it.
    """
    if "; " in case:
        return case
    for start, reasons in REASONS.items():
        if place.startswith(start):
            for part, reason in reasons.items():
                if part in case.partition(": ")[0]:
                    return f"{case}; {reason}"
    return case
