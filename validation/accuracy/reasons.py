"""Why the worst cases of the accuracy studies are wrong, where it is known.

The studies give the reasons that hold for one of them (`REASONS` there); these hold for several.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    },
    "which of two phones": {"alexnet": "the only network with 5x5 groups and normalisation"},
    "unseen GPU from its data sheet, whole networks, transformers, training": {
        "": "a step is taken as three forward passes"
    },
    "known GPU, whole networks, transformers, training": {
        "": "a step is taken as three forward passes"
    },
    "NAS-Bench-201": {
        "|none~0|+|none~0|none~1|+|": "its output hangs on the last node alone: hardly any work",
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
