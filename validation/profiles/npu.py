"""Profiles of NPUs from Qualcomm AI Hub: every chip, runtime and precision fitted at once.

The newest release says what the targets are; devices that only earlier releases ran keep the
newest version that they were measured with. Errors come from leaving network families out.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from perfmodel.calibration.learn_npus import LearnedNpus, learn_npus
from perfmodel.calibration.npu import PRECISIONS, NpuPopulation
from perfmodel.devices.profile import TargetProfile
from perfmodel.target import Target
from validation.aihub.as_run import as_run
from validation.data.aihub import SAME_CHIP, campaign_rows, families, table_of
from validation.profiles.common import BuiltTarget, DeviceInfo

FRAMEWORKS = ("qnn", "tflite", "onnxruntime")
NOTE = "near the fastest run; networks it was measured with get their own misfit"

NAMES = {
    "samsung-galaxy-s25": ("Samsung Galaxy S25", "phone", "Snapdragon 8 Elite", 2025),
    "samsung-galaxy-s24": ("Samsung Galaxy S24", "phone", "Snapdragon 8 Gen 3", 2024),
    "samsung-galaxy-s23": ("Samsung Galaxy S23", "phone", "Snapdragon 8 Gen 2", 2023),
    "snapdragon-8-elite-gen-5-qrd": (
        *("Snapdragon 8 Elite Gen 5 QRD", "phone"),
        *("Snapdragon 8 Elite Gen 5", 2025),
    ),
    "snapdragon-8-elite-qrd": ("Snapdragon 8 Elite QRD", "phone", "Snapdragon 8 Elite", 2024),
    "snapdragon-7-gen-4-qrd": ("Snapdragon 7 Gen 4 QRD", "phone", "Snapdragon 7 Gen 4", 2025),
    "snapdragon-7-gen-5-qrd": ("Snapdragon 7 Gen 5 QRD", "phone", "Snapdragon 7 Gen 5", None),
    "qcs8550": ("QCS8550 (Proxy)", "board", "QCS8550 (Snapdragon 8 Gen 2 class)", None),
    "qcs8450": ("QCS8450 (Proxy)", "board", "QCS8450 (Snapdragon 8 Gen 1 class)", None),
    "dragonwing-rb3-gen-2-vision-kit": (
        *("Dragonwing RB3 Gen 2 Vision Kit", "board"),
        *("QCS6490", None),
    ),
    "dragonwing-iq-9075-evk": ("Dragonwing IQ-9075 EVK", "board", "QCS9075", None),
    "qcs8275": ("QCS8275 (Proxy)", "board", "QCS8275", None),
    "sa8775p-adp": ("SA8775P ADP", "board", "SA8775P", None),
    "sa8255": ("SA8255 (Proxy)", "board", "SA8255P", None),
    "sa8650": ("SA8650 (Proxy)", "board", "SA8650P", None),
}
"""Title, kind, chip and year of each device, as AI Hub writes them.

A QRD is Qualcomm's reference design of a phone: phones with its chip answer by it."""


@lru_cache(maxsize=2)
def learned(data: Path) -> LearnedNpus:
    """What all rows of AI Hub teach."""
    return learn_npus(
        table_of(campaign_rows(data)), chips=SAME_CHIP, families=families(), as_run=as_run()
    )


def npu_population(data: Path) -> NpuPopulation:
    """The population that ships, its targets called with their versions."""
    known, full = learned(data).population, _with_versions(data)
    return replace(known, names=tuple(str(full[n]) for n in known.names))


def _with_versions(data: Path) -> dict[str, Target]:
    """Each target with its version, by its name without."""
    return {str(replace(r.target, version="")): r.target for r in campaign_rows(data)}


def build_npu(data: Path) -> list[BuiltTarget]:
    """Every NPU target of AI Hub with enough networks that can be rebuilt."""
    full = _with_versions(data)
    made = [target for profile in learned(data).profiles for target in profile.targets]
    made.sort(key=lambda t: str(full[str(t.target)]))
    return [_built(profile, full[str(profile.target)]) for profile in made]


def _built(profile: TargetProfile, target: Target) -> BuiltTarget:
    title, kind, soc, year = NAMES[target.device]
    rank = (PRECISIONS.index(target.precision), FRAMEWORKS.index(target.framework))
    named = replace(profile, target=target, provenance=replace(profile.provenance, note=NOTE))
    return BuiltTarget(DeviceInfo(target.device, title, kind, soc, year), named, rank)
